//! What a process needs to be a service: its configuration, its word to the service manager,
//! signals, logs, metrics, and the board's sensors.
//!
//! Does not: know tensors, models or frames.
#![forbid(unsafe_code)]

pub mod sensors;
