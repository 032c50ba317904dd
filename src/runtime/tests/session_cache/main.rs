//! Sessions by shapes: which one serves, what is built and when, and what is remembered.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

mod builds;
#[path = "../common/mod.rs"]
mod common;
mod maker;
mod property;
mod serving;
mod tftrt;
mod warnings;
