//! Misuse is rejected by the compiler, with messages that help.
//!
//! The pass cases are the other modules of this binary. After a wanted change
//! of the messages: `TRYBUILD=overwrite cargo test -p amends --test it ui`,
//! and read the difference.

#[test]
fn misuse_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/ui/fail/*.rs");
}
