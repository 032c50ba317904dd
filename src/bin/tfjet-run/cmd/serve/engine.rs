//! The model of a configuration, prepared first where that is asked for.

use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;
use clap::Parser;
use tfjet::bundle::Bundle;
use tfjet::exit;
use tfjet::runtime::SessionOptions;
use tfjet_service::config::{Config, Dynamic, Engine, TacticSources};
use tfjet_service::notify::Notifier;

use super::prepare;
use crate::backend::{BackendArgs, Opened};
use crate::build::BuildFlags;

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
    let opened = match flags.open(bundle.clone(), options) {
        Err(error) if config.prepare && exit::code(&error) == exit::NOT_PREPARED => {
            tracing::info!("{}", exit::one_line(&error));
            let program = std::env::current_exe().context("this program's own path")?;
            prepare::run(&program, config, notifier, stop)?;
            flags.open(bundle, options)
        }
        opened => opened,
    }?;
    if let Some(text) =
        (opened.backend.flags.as_deref()).and_then(|built| built_otherwise(&config.engine, built))
    {
        tracing::warn!("{text}");
    }
    Ok(opened)
}

/// Says where engines that are there were built in another way than the configuration asks for.
fn built_otherwise(engine: &Engine, built: &str) -> Option<String> {
    let keys: Vec<&str> = engine.of_builds().collect();
    let asked: Vec<String> = build_flags(engine).collect();
    let differs = match BuildFlags::from_text(built) {
        Some(flags) => {
            let there = flags.arguments();
            asked.iter().any(|flag| !there.contains(flag))
        }
        None => !asked.is_empty(),
    };
    differs.then(|| {
        format!(
            "the engines that are there were built otherwise than {} says ({built}), and are used \
             as they are; `tfjet-run prepare` with {} builds others",
            keys.join(", "),
            asked.join(" ")
        )
    })
}

/// The keys that say how engines are built, as flags of `prepare` and `run --dynamic`.
pub(super) fn build_flags(engine: &Engine) -> impl Iterator<Item = String> {
    let mask = engine.tactic_sources.map(|TacticSources(mask)| mask);
    [
        engine.workspace.map(|mib| format!("--workspace={mib}")),
        mask.map(|mask| format!("--tactic-sources={mask:#x}")),
        engine.dla_core.map(|core| format!("--dla-core={core}")),
    ]
    .into_iter()
    .flatten()
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
        workspace: _,
        tactic_sources: _,
        dla_core: _,
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
    if !matches!(dynamic, None | Some(Dynamic::Off)) {
        arguments.extend(build_flags(engine).map(OsString::from));
    }
    arguments
}

#[cfg(test)]
mod tests {
    use tfjet_service::config::{Device, Precision};

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
            workspace: Some(256),
            tactic_sources: Some(TacticSources(0)),
            dla_core: Some(1),
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
                "--workspace=256",
                "--tactic-sources=0x0",
                "--dla-core=1",
            ]
        );
        flags(&engine).unwrap();
    }

    #[test]
    fn how_engines_are_built_is_a_flag_of_run_only_where_it_builds() {
        let engine = Engine {
            workspace: Some(256),
            ..Engine::default()
        };
        assert_eq!(arguments(&engine), [] as [&str; 0]);
        assert_eq!(
            build_flags(&engine).collect::<Vec<_>>(),
            ["--workspace=256"]
        );
    }

    #[test]
    fn engines_that_were_built_otherwise_are_named() {
        let engine = Engine {
            workspace: Some(256),
            tactic_sources: Some(TacticSources(0)),
            ..Engine::default()
        };
        let built = |workspace: &str, more: &str| {
            format!("tf32=off workspace={workspace} tactics=0x0 dla=1 layers=names{more}")
        };
        for (engine, built, expected) in [
            (&Engine::default(), built("default", ""), None),
            (&engine, built("256MiB", ""), None),
            (
                &engine,
                built("128MiB", ""),
                Some("(tf32=off workspace=128MiB "),
            ),
            (
                &engine,
                built("256MiB", " word=new"),
                Some(" word=new), and are used"),
            ),
            (&Engine::default(), "of another version".into(), None),
        ] {
            let said = built_otherwise(engine, &built);
            match expected {
                None => assert_eq!(said, None),
                Some(part) => {
                    let said = said.unwrap();
                    assert!(
                        said.contains("engine.workspace, engine.tactic_sources"),
                        "{said}"
                    );
                    assert!(said.contains(part), "{said}");
                }
            }
        }
    }
}
