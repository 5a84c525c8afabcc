//! Migrations are embedded: a new one means building anew.

#[allow(clippy::print_stdout)] // This is how a build script speaks to cargo.
fn main() {
    println!("cargo:rerun-if-changed=../migrations/coordinator");
}
