//! The crate against a driver of its own making, on machines without a GPU.
#![cfg(unix)]
#![allow(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "helpers of tests fail and tell like tests"
)]

mod graphs;
mod kernels;
mod library;
mod memory;
mod probing;
mod scopes;
