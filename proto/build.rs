//! Compiles the proto files with protox, so that nobody needs protoc.
#![allow(missing_docs)]

use std::error::Error;
use std::path::PathBuf;

use prost::Message;

const FILES: [&str; 9] = [
    "amends/v1/types.proto",
    "amends/v1/saga.proto",
    "amends/v1/tcc.proto",
    "amends/v1/live.proto",
    "amends/v1/transaction.proto",
    "amends/v1/half.proto",
    "amends/v1/message.proto",
    "amends/v1/participant.proto",
    "amends/v1/admin.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=amends");
    let descriptors = protox::compile(FILES, ["."])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?).join("amends.v1.bin");
    std::fs::write(out, descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}
