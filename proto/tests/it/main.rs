//! The proto files keep the usual rules (buf's STANDARD and COMMENTS sets), and
//! what is on the wire once stays as it is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod elements;
mod frozen;
mod lint;

use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet};

/// The files of this API, without those they import from elsewhere.
fn files() -> Vec<FileDescriptorProto> {
    let set = FileDescriptorSet::decode(amends_proto::DESCRIPTORS).expect("descriptors decode");
    let ours = |file: &FileDescriptorProto| file.name().starts_with("amends/");
    set.file.into_iter().filter(ours).collect()
}
