//! Exit codes, the same for every command of both programs.

use tfjet_bundle::BundleError;
use tfjet_runtime::{EngineCacheError, EngineSetError, GpuError, NotEnoughMemory, SessionError};

use crate::board::BoardError;

/// All good.
pub const GOOD: u8 = 0;
/// A comparison differs, or a check did not pass.
pub const DIFFERS: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 2;
/// A model, bundle, video or other input is bad, or a model takes more memory than there is.
pub const BAD_INPUT: u8 = 3;
/// A library, program or device is missing, or too old for the bundle.
pub const MISSING: u8 = 4;
/// There are no engines for this machine, or they could not be built.
pub const NOT_PREPARED: u8 = 5;

/// The command line asks for something that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// A failure that names its exit code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Failed {
    /// The exit code.
    pub code: u8,
    /// What went wrong, one line.
    pub text: String,
}

/// The exit code of an error that reached `main`.
pub fn code(error: &anyhow::Error) -> u8 {
    error.chain().find_map(code_of).unwrap_or(BAD_INPUT)
}

/// The exit code of one error of a chain, where its type has one.
fn code_of(cause: &(dyn std::error::Error + 'static)) -> Option<u8> {
    let missing = |is_missing| Some(if is_missing { MISSING } else { BAD_INPUT });
    if cause.is::<Usage>() {
        return Some(USAGE);
    }
    if let Some(error) = cause.downcast_ref::<Failed>() {
        return Some(error.code);
    }
    if let Some(error) = cause.downcast_ref::<tfjet_video::VideoError>() {
        return match error.is_usage() {
            true => Some(USAGE),
            false => missing(error.is_missing()),
        };
    }
    if let Some(error) = cause.downcast_ref::<BoardError>() {
        return match error {
            BoardError::Unknown { .. } => Some(USAGE),
            BoardError::Unsuitable { .. } => Some(MISSING),
            BoardError::Bundle(error) => bundle_code(error),
        };
    }
    if let Some(error) = cause.downcast_ref::<BundleError>() {
        return bundle_code(error);
    }
    if cause.is::<NotEnoughMemory>() {
        return Some(BAD_INPUT);
    }
    if let Some(error) = cause.downcast_ref::<EngineSetError>() {
        return match error {
            error if error.is_not_prepared() => Some(NOT_PREPARED),
            EngineSetError::Cache(error) => Some(cache_code(error)),
            _ => Some(BAD_INPUT),
        };
    }
    if let Some(error) = cause.downcast_ref::<EngineCacheError>() {
        return Some(cache_code(error));
    }
    if let Some(error) = cause.downcast_ref::<SessionError>() {
        return missing(error.is_missing());
    }
    if let Some(error) = cause.downcast_ref::<GpuError>() {
        return missing(error.is_missing());
    }
    if let Some(error) = cause.downcast_ref::<tfjet_cuda::CudaError>() {
        return missing(error.is_missing());
    }
    if let Some(error) = cause.downcast_ref::<tfjet_tensorrt::TensorRtError>() {
        return missing(error.is_missing());
    }
    if let Some(error) = cause.downcast_ref::<tfjet_cpu::CpuError>() {
        return missing(error.is_missing());
    }
    None
}

fn bundle_code(error: &BundleError) -> Option<u8> {
    match error {
        BundleError::ChooseTarget { .. } | BundleError::NoTarget { .. } => Some(USAGE),
        _ => Some(BAD_INPUT),
    }
}

/// Damaged engines count as missing ones: building them again helps.
fn cache_code(error: &EngineCacheError) -> u8 {
    match error.is_damage() {
        true => NOT_PREPARED,
        false => BAD_INPUT,
    }
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

#[cfg(test)]
mod tests {
    use anyhow::Context as _;
    use tfjet_cuda::CudaError;
    use tfjet_runtime::NotPrepared;
    use tfjet_tensorrt::{Flavor, TensorRtError};

    use super::*;

    #[test]
    fn each_kind_of_error_has_its_code() {
        let no_driver = || CudaError::DriverMissing {
            tried: "libcuda.so.1".into(),
            reason: "no such file".into(),
        };
        let no_tensorrt = TensorRtError::LibraryMissing {
            flavor: Flavor::TensorRt,
            tried: vec!["libnvinfer.so.10".into()],
        };
        let not_prepared = NotPrepared {
            bundle: "model.jet".into(),
            machine: "trt8.5.2-sm90".into(),
            precision: None,
            segments: vec![0],
            total: 1,
            ready: Vec::new(),
        };
        let damaged = || EngineCacheError::Record {
            path: "a.prepared".into(),
        };
        let no_target = || BundleError::NoTarget {
            file: "model.jet".into(),
            target: "tx2".into(),
            targets: "nano, xavier-nx".into(),
        };
        let too_large = NotEnoughMemory {
            what: "the model",
            need_bytes: 2 << 20,
            bound: "the limit is",
            bound_bytes: 1 << 20,
            parts: "weights 2.0 MiB".into(),
        };
        let unwritable = EngineCacheError::Unwritable {
            dir: "engines".into(),
            source: std::io::ErrorKind::StorageFull.into(),
        };
        for (error, expected) in [
            (anyhow::anyhow!("any"), BAD_INPUT),
            (Usage("no".into()).into(), USAGE),
            (no_driver().into(), MISSING),
            (GpuError::from(no_driver()).into(), MISSING),
            (CudaError::StreamBusy.into(), BAD_INPUT),
            (no_tensorrt.into(), MISSING),
            (
                EngineSetError::from(Box::new(not_prepared)).into(),
                NOT_PREPARED,
            ),
            (damaged().into(), NOT_PREPARED),
            (EngineSetError::from(damaged()).into(), NOT_PREPARED),
            (unwritable.into(), BAD_INPUT),
            (no_target().into(), USAGE),
            (BoardError::Bundle(no_target()).into(), USAGE),
            (
                BoardError::Unknown {
                    target: "tx2".into(),
                    source: no_target(),
                }
                .into(),
                USAGE,
            ),
            (
                BoardError::Unsuitable {
                    bundle: "model.jet".into(),
                    machine: "TensorRT 8.2.1".into(),
                    reasons: "xavier-nx needs TensorRT 8.5.2".into(),
                }
                .into(),
                MISSING,
            ),
            (too_large.into(), BAD_INPUT),
            (
                Failed {
                    code: DIFFERS,
                    text: "child".into(),
                }
                .into(),
                DIFFERS,
            ),
        ] {
            let text = one_line(&error);
            assert_eq!(code(&error), expected, "{text}");
            let wrapped = Err::<(), _>(error).context("while testing").unwrap_err();
            assert_eq!(code(&wrapped), expected, "{text}");
        }
    }

    #[test]
    fn a_cause_that_a_line_ends_with_is_not_said_twice() {
        let error = anyhow::anyhow!("the reason")
            .context("reading: the reason")
            .context("model.jet");
        assert_eq!(one_line(&error), "model.jet: reading: the reason");
    }
}
