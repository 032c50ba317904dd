//! The importer's messages, so that targets can write them.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=../src/convert/proto");
    let descriptors = protox::Compiler::new(["../src/convert/proto"])?
        .include_source_info(false)
        .include_imports(true)
        .open_file("saved_model.proto")?
        .file_descriptor_set();
    prost_build::Config::new()
        .btree_map(["."])
        .bytes(["."])
        .compile_fds(descriptors)?;
    Ok(())
}
