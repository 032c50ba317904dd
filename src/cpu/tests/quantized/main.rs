//! Networks in numbers of 8 and 16 bits on ONNX Runtime, against loops over integers.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test is its own documentation, and panics"
)]

mod fp16;
mod int8;
mod interpreter;
mod network;
