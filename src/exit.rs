//! Exit codes, the same for every command of both programs.

/// All good.
pub const GOOD: u8 = 0;
/// A comparison differs, or a check did not pass.
pub const DIFFERS: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 2;
/// A model, bundle, video or other input is bad.
pub const BAD_INPUT: u8 = 3;
/// A library, program or device is missing.
pub const MISSING: u8 = 4;

/// The command line asks for something that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// The exit code of an error that reached `main`.
pub fn code(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if cause.is::<Usage>() {
            return USAGE;
        }
        if let Some(error) = cause.downcast_ref::<tfjet_video::VideoError>() {
            return if error.is_usage() {
                USAGE
            } else if error.is_missing() {
                MISSING
            } else {
                BAD_INPUT
            };
        }
        if let Some(error) = cause.downcast_ref::<tfjet_runtime::SessionError>() {
            return if error.is_missing() {
                MISSING
            } else {
                BAD_INPUT
            };
        }
        if let Some(error) = cause.downcast_ref::<tfjet_cpu::CpuError>() {
            return if error.is_missing() {
                MISSING
            } else {
                BAD_INPUT
            };
        }
    }
    BAD_INPUT
}

/// The error and its causes on one line, each cause once.
pub fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if line.ends_with(&text) {
            continue;
        }
        if !line.is_empty() {
            line.push_str(": ");
        }
        line.push_str(&text);
    }
    line.replace('\n', " ")
}
