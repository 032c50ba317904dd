//! What stands in the library's place gets a clear error.

#![allow(clippy::print_stderr, clippy::unwrap_used, reason = "a test panics")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tfjet_cpu::{CpuError, Library};

fn message(path: &Path) -> String {
    let message = Library::load(Some(path), &[]).unwrap_err().to_string();
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(message.contains(path.to_str().unwrap()), "{message}");
    message
}

#[test]
fn names_every_place_where_no_library_is() {
    let dir = tempfile::tempdir().unwrap();
    let absent = message(&dir.path().join("absent.so"));
    assert!(absent.contains("tfjet fetch onnxruntime"), "{absent}");
    assert!(absent.contains("TFJET_ONNXRUNTIME"), "{absent}");
    assert!(
        message(dir.path()).contains("was not found"),
        "an empty folder"
    );
    if std::env::var_os("TFJET_ONNXRUNTIME").is_none() {
        let extra = [dir.path().to_owned(), PathBuf::from("/nowhere")];
        match Library::load(None, &extra) {
            Err(CpuError::LibraryNotFound { looked_at }) => assert_eq!(looked_at[1..], extra),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn rejects_what_is_no_library() {
    let dir = tempfile::tempdir().unwrap();
    let path = fs::canonicalize(dir.path())
        .unwrap()
        .join("libonnxruntime.so");
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(4096, 0xff);
    for bytes in [&b"#!/bin/sh\necho no\n"[..], b"", &elf, &[0x5a; 100_000]] {
        fs::write(&path, bytes).unwrap();
        assert!(message(&path).contains("cannot be loaded as a library"));
        assert!(
            Library::load(Some(dir.path()), &[]).is_err(),
            "through its folder"
        );
    }
}

/// A shared library with this Rust source, for the machine that the test runs on, be it emulated:
/// then the compiler is the real machine's, and the linker the one that cargo was given.
fn compile(dir: &Path, name: &str, source: &str) -> Option<PathBuf> {
    let (from, to) = (dir.join("source.rs"), dir.join(name));
    fs::write(&from, source).unwrap();
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(rustc);
    if let Some(linker) = std::env::var_os("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER")
        .filter(|_| cfg!(target_arch = "aarch64"))
    {
        let linker = Path::new(&linker).display();
        command.arg("--target=aarch64-unknown-linux-gnu");
        command.arg(format!("-Clinker={linker}"));
    }
    let built = command
        .args([
            "--edition=2024",
            "--crate-type=cdylib",
            "-Cpanic=abort",
            "-o",
        ])
        .args([&to, &from])
        .output();
    if built.is_ok_and(|output| output.status.success()) {
        return Some(to);
    }
    eprintln!("skipped: rustc is not there to build a library");
    None
}

fn pretender(version: &str) -> String {
    format!(
        r#"
        #[repr(C)]
        pub struct Base(extern "C" fn(u32) -> *const u8, extern "C" fn() -> *const u8);
        extern "C" fn api(_: u32) -> *const u8 {{ std::ptr::null() }}
        extern "C" fn version() -> *const u8 {{ c"{version}".as_ptr().cast() }}
        static BASE: Base = Base(api, version);
        #[unsafe(no_mangle)]
        pub extern "C" fn OrtGetApiBase() -> *const Base {{ &BASE }}
        "#
    )
}

#[test]
fn rejects_foreign_and_old_libraries() {
    let dir = tempfile::tempdir().unwrap();
    let dir = fs::canonicalize(dir.path()).unwrap();
    let null = r#"#[unsafe(no_mangle)] pub extern "C" fn OrtGetApiBase() -> usize { 0 }"#;
    for (name, source, expected) in [
        ("empty.so", String::new(), "it has no OrtGetApiBase"),
        ("null.so", null.into(), "OrtGetApiBase returned null"),
        (
            "old.so",
            pretender("1.19.2"),
            "is ONNX Runtime 1.19.2; 1.24 or a later 1.x is needed",
        ),
        ("next.so", pretender("2.30.0"), "is ONNX Runtime 2.30.0"),
        ("odd.so", pretender("one"), "is ONNX Runtime one"),
        (
            "liar.so",
            pretender("1.24.0"),
            "it does not offer the API of its version",
        ),
    ] {
        let Some(path) = compile(&dir, name, &source) else {
            return;
        };
        let message = message(&path);
        assert!(message.contains(expected), "{message}");
    }
}
