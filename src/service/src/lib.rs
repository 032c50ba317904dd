//! What a process needs to be a service: its configuration, its word to the service manager,
//! signals, logs, metrics, and the board's sensors.
//!
//! Does not: know tensors, models or frames.
#![forbid(unsafe_code)]

pub mod config;
pub mod http;
pub mod journal;
pub mod log;
pub mod metrics;
pub mod notify;
pub mod sensors;
pub mod signals;
pub mod stamp;

/// Takes the secrets of URLs out of a text before anyone reads it.
pub type Mask = fn(&str) -> String;
