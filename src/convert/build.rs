//! Compiles `proto/` to Rust types and embeds its descriptors, without `protoc`. Of the text forms
//! only the descriptors are needed.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let mut descriptors = protox::Compiler::new(["proto"])?
        .include_source_info(false)
        .include_imports(true)
        .open_file("saved_model.proto")?
        .open_file("saved_model_text.proto")?
        .file_descriptor_set();
    fs::write(out.join("graph.bin"), descriptors.encode_to_vec())?;
    descriptors
        .file
        .retain(|file| file.package() == "tensorflow");
    prost_build::Config::new()
        .btree_map(["."])
        .bytes(["."])
        .boxed(".tensorflow.AttrValue.value.tensor")
        .enable_type_names()
        .compile_fds(descriptors)?;
    Ok(())
}
