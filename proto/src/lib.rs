//! The `amends.v1` gRPC API, generated from the proto files beside this crate.
//!
//! Everything a coordinator, a participant or a client says on the wire is
//! defined in `amends/v1/*.proto`; this crate adds nothing of its own.

/// Package `amends.v1`.
pub mod v1 {
    #![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
    tonic::include_proto!("amends.v1");
}

/// The compiled descriptors with comments, for reflection and for tests.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/amends.v1.bin"));
