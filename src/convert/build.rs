//! Compiles `proto/graph.proto` to Rust types and embeds its descriptor, without `protoc`.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto/graph.proto");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let descriptors = protox::Compiler::new(["proto"])?
        .include_source_info(false)
        .open_file("graph.proto")?
        .file_descriptor_set();
    fs::write(out.join("graph.bin"), descriptors.encode_to_vec())?;
    prost_build::Config::new()
        .btree_map(["."])
        .bytes(["."])
        .boxed(".tensorflow.AttrValue.value.tensor")
        .enable_type_names()
        .compile_fds(descriptors)?;
    Ok(())
}
