//! The model of a configuration, prepared first where that is asked for.

use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;
use clap::Parser;
use tfjet::bundle::Bundle;
use tfjet::exit;
use tfjet::runtime::SessionOptions;
use tfjet_service::config::{Config, Engine};
use tfjet_service::notify::Notifier;

use super::prepare;
use crate::backend::{BackendArgs, Opened};

/// The flags that `[engine]` stands for.
#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
struct Flags {
    #[command(flatten)]
    backend: BackendArgs,
}

/// Loads the bundle. Where there are no engines for this machine and the configuration has them
/// built, builds them and loads it then.
pub(super) fn open(
    config: &Config,
    options: &SessionOptions,
    notifier: &Notifier,
    stop: &AtomicBool,
) -> anyhow::Result<Opened> {
    let flags = flags(&config.engine)?;
    let bundle = Arc::new(Bundle::open(&config.bundle)?);
    notifier.status(&format!("loading {}", config.bundle.display()));
    match flags.open(bundle.clone(), options) {
        Err(error) if config.prepare && exit::code(&error) == exit::NOT_PREPARED => {
            tracing::info!("{}", exit::one_line(&error));
            let program = std::env::current_exe().context("this program's own path")?;
            prepare::run(&program, config, notifier, stop)?;
            flags.open(bundle, options)
        }
        opened => opened,
    }
}

fn flags(engine: &Engine) -> anyhow::Result<BackendArgs> {
    let flags = Flags::try_parse_from(arguments(engine)).context("engine")?;
    Ok(flags.backend)
}

/// `[engine]` as a command line.
fn arguments(engine: &Engine) -> Vec<OsString> {
    let Engine {
        device,
        gpu,
        precision,
        tensorrt,
        onnxruntime,
        cache,
        threads,
        dynamic,
        dynamic_capacity,
        max_memory,
    } = engine;
    let mut arguments: Vec<OsString> = Vec::new();
    let mut add = |flag: &str, value: Option<OsString>| {
        if let Some(value) = value {
            let mut argument = OsString::from(format!("--{flag}="));
            argument.push(value);
            arguments.push(argument);
        }
    };
    add("device", device.map(|it| it.text().into()));
    add("gpu", (*gpu != 0).then(|| gpu.to_string().into()));
    add("precision", precision.map(|it| it.text().into()));
    add("tensorrt", tensorrt.clone().map(Into::into));
    add("onnxruntime", onnxruntime.clone().map(Into::into));
    add("cache", cache.clone().map(Into::into));
    add(
        "threads",
        (*threads != 0).then(|| threads.to_string().into()),
    );
    add("dynamic", dynamic.map(|it| it.text().into()));
    add(
        "dynamic-capacity",
        dynamic_capacity.map(|it| it.to_string().into()),
    );
    add("max-memory", max_memory.map(|it| it.to_string().into()));
    arguments
}

#[cfg(test)]
mod tests {
    use tfjet_service::config::{Device, Dynamic, Precision};

    use super::*;

    #[test]
    fn every_key_of_the_engine_is_a_flag() {
        assert_eq!(arguments(&Engine::default()), [] as [&str; 0]);
        let engine = Engine {
            device: Some(Device::Gpu),
            gpu: 1,
            precision: Some(Precision::Fp16),
            tensorrt: Some("t".into()),
            onnxruntime: Some("o".into()),
            cache: Some("c".into()),
            threads: 2,
            dynamic: Some(Dynamic::NeverBuild),
            dynamic_capacity: Some(3),
            max_memory: Some(512),
        };
        assert_eq!(
            arguments(&engine),
            [
                "--device=gpu",
                "--gpu=1",
                "--precision=fp16",
                "--tensorrt=t",
                "--onnxruntime=o",
                "--cache=c",
                "--threads=2",
                "--dynamic=never-build",
                "--dynamic-capacity=3",
                "--max-memory=512",
            ]
        );
        flags(&engine).unwrap();
    }
}
