//! Engines built in child processes and kept in the cache, for `prepare` and for `--dynamic`.

mod background;
mod flags;
mod job;
mod progress;
mod workplace;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;
use tfjet::bundle::{Bundle, BundleError, EngineHeader};
use tfjet::core::NetworkSpec;
use tfjet::runtime::{EngineCache, EngineEntry, EngineKey, MachineKey, NetworkHash};
use tfjet::shapes::Profile;
use tfjet::tensorrt::{Library, Precision};

pub(crate) use background::BackgroundBuild;
pub(crate) use flags::BuildFlags;
pub(crate) use job::Interrupted;
pub(crate) use progress::{Message, Progress};
pub(crate) use workplace::Workplace;

use job::Job;

/// What all engines of a bundle have in common: what they are built from, by and for.
#[derive(Debug)]
pub(crate) struct EngineBuilder {
    bundle: Arc<Bundle>,
    segments: Vec<SegmentName>,
    library: BuiltBy,
    precision: Precision,
    flags: BuildFlags,
    /// The GPU's number.
    device: u32,
    cache: EngineCache,
    executable: PathBuf,
}

#[derive(Debug)]
struct SegmentName {
    name: String,
    hash: NetworkHash,
}

/// The library that builds, and the machine that it builds for.
#[derive(Debug, Clone)]
pub(crate) struct BuiltBy {
    /// The library's file.
    pub(crate) path: PathBuf,
    /// Its kind and version, for people.
    pub(crate) version: String,
    pub(crate) machine: MachineKey,
}

impl BuiltBy {
    pub(crate) fn new(library: &Library, machine: MachineKey) -> Self {
        Self {
            path: library.path().into(),
            version: library.version().to_string(),
            machine,
        }
    }
}

/// What a builder is made of beside a bundle and a library.
#[derive(Debug, Clone)]
pub(crate) struct BuilderOptions {
    pub(crate) precision: Precision,
    pub(crate) flags: BuildFlags,
    /// The GPU's number.
    pub(crate) device: u32,
    pub(crate) cache: EngineCache,
    /// The executable that has the command `build-engine`, in place of this one.
    pub(crate) executable: Option<PathBuf>,
}

/// A segment and the engine that it is to have.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) segment: u32,
    pub(crate) name: String,
    pub(crate) header: EngineHeader,
}

impl Wanted {
    pub(crate) fn key(&self) -> EngineKey {
        EngineKey(self.header.key)
    }

    /// `segment 0 (`head`)`.
    pub(crate) fn title(&self) -> String {
        format!("segment {} (`{}`)", self.segment, self.name)
    }
}

impl EngineBuilder {
    /// A builder of engines of `bundle`, whose networks are `networks`.
    pub(crate) fn new(
        bundle: Arc<Bundle>,
        networks: &[NetworkSpec],
        library: BuiltBy,
        options: BuilderOptions,
    ) -> anyhow::Result<Self> {
        let hashes = (0..).zip(networks).map(|(segment, network)| {
            let hash = NetworkHash::of(&bundle, segment)?;
            let name = network.name.clone();
            Ok(SegmentName { name, hash })
        });
        let segments = hashes.collect::<Result<_, BundleError>>()?;
        let executable = match options.executable {
            Some(executable) => executable,
            None => std::env::current_exe().context("this program's own path")?,
        };
        Ok(Self {
            bundle,
            segments,
            library,
            precision: options.precision,
            flags: options.flags,
            device: options.device,
            cache: options.cache,
            executable,
        })
    }

    pub(crate) fn cache(&self) -> &EngineCache {
        &self.cache
    }

    /// Hashes of the bundle's networks, in the order of segments.
    pub(crate) fn hashes(&self) -> Vec<NetworkHash> {
        self.segments.iter().map(|segment| segment.hash).collect()
    }

    /// The engines of all segments with these profiles.
    pub(crate) fn wanted(&self, profiles: Vec<Vec<Profile>>) -> Vec<Wanted> {
        let segments = (0..).zip(&self.segments).zip(profiles);
        segments
            .map(|((segment, SegmentName { name, hash }), profiles)| {
                let mut header = self.header(profiles);
                header.key = EngineKey::of(hash, &header).0;
                Wanted {
                    segment,
                    name: name.clone(),
                    header,
                }
            })
            .collect()
    }

    /// A key of what all engines have in common, whatever their profiles.
    pub(crate) fn common_key(&self) -> EngineKey {
        let mut key = EngineKey([0; 32]);
        for segment in &self.segments {
            let header = EngineHeader {
                flags: format!("{} after {key}", self.flags.text()),
                ..self.header(Vec::new())
            };
            key = EngineKey::of(&segment.hash, &header);
        }
        key
    }

    fn header(&self, profiles: Vec<Profile>) -> EngineHeader {
        let machine = &self.library.machine;
        EngineHeader {
            library: machine.library.clone(),
            compute_capability: machine.compute_capability,
            precision: self.precision.name().into(),
            gpu: machine.gpu.clone(),
            profiles,
            flags: self.flags.text(),
            ..EngineHeader::default()
        }
    }

    /// The engine in the cache. A damaged one counts as none, and is told of.
    pub(crate) fn find(&self, wanted: &Wanted) -> anyhow::Result<Option<EngineEntry>> {
        match self.cache.get(&wanted.key()) {
            Ok(found) => Ok(found),
            Err(error) if error.is_damage() => {
                tracing::warn!("{error}; it is built again");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Builds an engine and keeps it in the cache. Where `stop` is set meanwhile the build ends.
    pub(crate) fn build(
        &self,
        wanted: &Wanted,
        workplace: &Workplace,
        progress: Progress,
        stop: &AtomicBool,
    ) -> anyhow::Result<EngineEntry> {
        let timing_target = wanted.header.timing_target();
        let known = self.known_timings(&timing_target);
        let timing = workplace.file("timing");
        if let Some(bytes) = &known {
            fs::write(&timing, bytes).with_context(|| timing.display().to_string())?;
        }
        let key = wanted.key();
        let engine = workplace.file("engine");
        let job = Job {
            segment: wanted.title(),
            executable: &self.executable,
            arguments: self.arguments(wanted, &timing, &engine)?,
            engine,
            timing,
            log: self.cache.path(&key).with_extension("log"),
        };
        let built = job.run(progress, stop)?;
        let mut header = wanted.header.clone();
        header.build_seconds = built.took.as_secs_f32();
        self.cache.put(&header, &built.engine)?;
        fs::remove_file(&job.engine).ok();
        if let Some(bytes) = built.timing.filter(|bytes| Some(bytes) != known.as_ref()) {
            self.cache.put_timing_cache(&timing_target, &bytes)?;
        }
        let entry = self.cache.get(&key)?;
        entry.with_context(|| format!("{} is gone", self.cache.path(&key).display()))
    }

    /// What is said while an engine is built.
    pub(crate) fn title(&self, wanted: &Wanted) -> String {
        format!(
            "building {}, {} of {}, for {} in {}",
            wanted.title(),
            wanted.segment + 1,
            self.segments.len(),
            self.library.version,
            wanted.header.precision
        )
    }

    /// The timing cache to start from: that of the cache, else that of the bundle.
    fn known_timings(&self, target: &str) -> Option<Vec<u8>> {
        match self.cache.timing_cache(target) {
            Ok(Some(bytes)) => return Some(bytes),
            Ok(None) => {}
            Err(error) => tracing::warn!("{error}; the build starts without timings"),
        }
        match self.bundle.timing_cache(target) {
            Ok(own) => own.map(<[u8]>::to_vec),
            Err(error) => {
                tracing::warn!("{error}; the build starts without timings");
                None
            }
        }
    }

    fn arguments(
        &self,
        wanted: &Wanted,
        timing: &Path,
        engine: &Path,
    ) -> anyhow::Result<Vec<OsString>> {
        let path = self.bundle.path();
        let path = path.context("a bundle in memory: engines are built from a file")?;
        let mut arguments: Vec<OsString> = vec![path.into()];
        let mut add = |name: &str, value: OsString| arguments.extend([name.into(), value]);
        if let Some(target) = self.bundle.target() {
            add("--target", target.into());
        }
        add("--segment", wanted.segment.to_string().into());
        add("--device", self.device.to_string().into());
        add("--tensorrt", self.library.path.clone().into());
        add("--library", wanted.header.library.clone().into());
        add("--precision", self.precision.name().into());
        let profiles = serde_json::to_string(&wanted.header.profiles)?;
        add("--profiles", profiles.into());
        add("--timing", timing.into());
        add("--engine", engine.into());
        arguments.extend(self.flags.arguments().into_iter().map(Into::into));
        Ok(arguments)
    }
}
