//! What the services tell the front over gRPC, generated from `shop.proto`.
#![allow(missing_docs, clippy::all, unreachable_pub)]

tonic::include_proto!("shop.v1");
