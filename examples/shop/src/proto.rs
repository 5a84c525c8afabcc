//! What the services tell the front over gRPC, generated from `shop.proto`.
#![allow(
    missing_docs,
    clippy::all,
    clippy::too_many_lines,
    clippy::semicolon_if_nothing_returned,
    unreachable_pub
)]

tonic::include_proto!("shop.v1");
