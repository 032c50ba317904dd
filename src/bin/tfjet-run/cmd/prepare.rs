//! `tfjet-run prepare`: builds a bundle's engines for this machine, once.

mod build;
mod flags;
mod progress;
mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, bail};
use clap::Args;
use tfjet::bundle::{Bundle, BundleWriter, EngineHeader, SectionKind};
use tfjet::exit::Usage;
use tfjet::runtime::{EngineCache, EngineKey, NetworkHash};
use tfjet::shapes::{Ranges, ShapeFlag};
use tfjet::tensorrt::{Flavor, Library};

pub(crate) use flags::BuildFlags;
pub(crate) use progress::Message;

use self::build::{Job, Workplace};
use self::report::{Report, SegmentReport, Status};
use crate::tensorrt;

/// Build a bundle's engines for this machine
///
/// The engines go into the cache, where `run` and `bench` find them, and with --write-back into a
/// copy of the bundle, for machines with the same GPU and TensorRT.
#[derive(Debug, Args)]
pub(crate) struct Cmd {
    bundle: PathBuf,
    #[command(flatten)]
    flags: BuildFlags,
    /// Sizes of an input, repeatable: smallest, best and largest shape, as in
    /// image=1x224x224x3:8x224x224x3:16x224x224x3, or one shape
    #[arg(long = "shape", value_name = "NAME=MIN:OPT:MAX")]
    shapes: Vec<ShapeFlag>,
    /// The GPU's number
    #[arg(long, value_name = "N", default_value = "0")]
    device: u32,
    /// TensorRT's library, or a folder that holds it
    #[arg(long, value_name = "PATH")]
    tensorrt: Option<PathBuf>,
    /// Where engines are kept
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Write the bundle with its engines here; the bundle's own path is allowed
    #[arg(long, value_name = "OUT")]
    write_back: Option<PathBuf>,
    /// Build engines that are in the cache again
    #[arg(long)]
    force: bool,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
    /// The executable that builds, in place of this one
    #[arg(long, value_name = "PATH", hide = true)]
    builder: Option<PathBuf>,
}

/// What all engines of a run have in common.
struct Build<'a> {
    cmd: &'a Cmd,
    bundle: &'a Arc<Bundle>,
    library: &'a Library,
    cache: &'a EngineCache,
    builder: &'a Path,
    workplace: &'a Workplace,
    stop: &'a AtomicBool,
}

/// A segment and the engine that it is to have.
struct Wanted {
    segment: u32,
    name: String,
    header: EngineHeader,
}

impl Cmd {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let bundle = Arc::new(Bundle::open(&self.bundle)?);
        bundle.verify()?;
        let manifest = bundle.manifest()?;
        let networks = (0..u32::try_from(bundle.segment_count())?)
            .map(|segment| bundle.network(segment))
            .collect::<Result<Vec<_>, _>>()?;
        let Ranges { segments, assumed } =
            tfjet::shapes::ranges(&manifest, &bundle.schedule()?, &networks, &self.shapes)?;
        let library = tensorrt::library(self.tensorrt.as_deref());
        let device = tensorrt::device(self.device);
        let (library, device) = match (library, device) {
            (Ok(library), Ok(device)) => (library, Some(device)),
            (Ok(library), Err(_)) if library.version().flavor == Flavor::TensorRtRtx => {
                (library, None)
            }
            (Err(error), Ok(_)) => return Err(error.into()),
            (Err(error), Err(_)) if self.tensorrt.is_some() => return Err(error.into()),
            (_, Err(error)) => return Err(error.into()),
        };
        let machine = tensorrt::machine(&library, device.as_ref());
        let mut wanted = Vec::with_capacity(networks.len());
        let mut hashes = Vec::with_capacity(networks.len());
        for ((segment, network), profile) in (0..).zip(networks).zip(segments) {
            let mut header = EngineHeader {
                library: machine.library.clone(),
                compute_capability: machine.compute_capability,
                precision: self.flags.precision.name().into(),
                gpu: machine.gpu.clone(),
                profiles: vec![profile],
                flags: self.flags.text(),
                ..EngineHeader::default()
            };
            let hash = NetworkHash::of(&bundle, segment)?;
            header.key = EngineKey::of(&hash, &header).0;
            hashes.push(hash);
            wanted.push(Wanted {
                segment,
                name: network.name,
                header,
            });
        }
        if self.write_back.is_none() {
            self.check_own_engines(&bundle, &wanted)?;
        }
        let dir = self.cache.clone().or_else(tfjet::cache::engine_dir);
        let dir = dir.context("no home folder for a cache: name one with --cache")?;
        let cache = EngineCache::open(&dir)?;
        for text in &assumed {
            tracing::warn!("{text}");
        }
        let builder = match &self.builder {
            Some(builder) => builder.clone(),
            None => std::env::current_exe().context("this program's own path")?,
        };
        let workplace = Workplace::new(&dir)?;
        let build = Build {
            cmd: &self,
            bundle: &bundle,
            library: &library,
            cache: &cache,
            builder: &builder,
            workplace: &workplace,
            stop: stop_flag()?,
        };
        let mut reports = Vec::with_capacity(wanted.len());
        for wanted in &wanted {
            reports.push(build.prepare(wanted)?);
        }
        drop(workplace);
        if let Some(first) = wanted.first() {
            let keys: Vec<EngineKey> = wanted.iter().map(|it| EngineKey(it.header.key)).collect();
            cache.set_prepared(&hashes, &first.header.target(), &keys)?;
        }
        if let Some(out) = &self.write_back {
            write_back(&bundle, &cache, &wanted, out)?;
        }
        let report = Report {
            bundle: self.bundle.display().to_string(),
            library: library.version().to_string(),
            machine: machine.to_string(),
            precision: self.flags.precision.name(),
            flags: self.flags.text(),
            cache: dir.display().to_string(),
            written: self.write_back.as_ref().map(|it| it.display().to_string()),
            assumed,
            segments: reports,
        };
        report.print(self.json)
    }

    /// A bundle's own engines are used before those of the cache, so other ones would be built in
    /// vain.
    fn check_own_engines(&self, bundle: &Bundle, wanted: &[Wanted]) -> anyhow::Result<()> {
        for Wanted { header, .. } in wanted {
            let target = header.target();
            let own = bundle.engine_ids().filter(|id| id.target == target);
            for id in own {
                let (own, _) = bundle.engine(&target, id.index)?;
                let same = wanted
                    .iter()
                    .any(|it| it.segment == id.index && it.header.key == own.key);
                if !same {
                    bail!(Usage(format!(
                        "{0} holds engines for {target} that were built with other shapes or \
                         flags ({1}), and they are used before those of the cache: give \
                         --write-back {0} to replace them",
                        self.bundle.display(),
                        own.flags,
                    )));
                }
            }
        }
        Ok(())
    }
}

/// Set when the process is asked to end.
fn stop_flag() -> anyhow::Result<&'static AtomicBool> {
    static STOP: AtomicBool = AtomicBool::new(false);
    ctrlc::set_handler(|| STOP.store(true, Ordering::Relaxed)).context("signal handler")?;
    Ok(&STOP)
}

impl Build<'_> {
    /// Makes sure that the cache has the engine.
    fn prepare(&self, wanted: &Wanted) -> anyhow::Result<SegmentReport> {
        let key = EngineKey(wanted.header.key);
        let found = match self.cache.get(&key) {
            Ok(found) => found.filter(|_| !self.cmd.force),
            Err(error) if error.is_damage() => {
                tracing::warn!("{error}; it is built again");
                None
            }
            Err(error) => return Err(error.into()),
        };
        let (status, header, len_bytes) = match found {
            Some(entry) => (Status::Cached, entry.header().clone(), entry.bytes().len()),
            None => match self.own_engine(wanted)? {
                Some((header, engine)) => {
                    self.cache.put(&header, engine)?;
                    (Status::Bundle, header, engine.len())
                }
                None => self.build(wanted, &key)?,
            },
        };
        Ok(SegmentReport {
            segment: wanted.segment,
            name: wanted.name.clone(),
            status,
            seconds: header.build_seconds,
            len_bytes,
            profiles: header.profiles,
            file: self.cache.path(&key).display().to_string(),
        })
    }

    /// The very engine in the bundle, where it is there.
    fn own_engine(&self, wanted: &Wanted) -> anyhow::Result<Option<(EngineHeader, &[u8])>> {
        let (target, segment) = (wanted.header.target(), wanted.segment);
        let mut ids = self.bundle.engine_ids();
        if self.cmd.force || !ids.any(|id| id.target == target && id.index == segment) {
            return Ok(None);
        }
        let (header, engine) = self.bundle.engine(&target, segment)?;
        Ok((header.key == wanted.header.key).then_some((header, engine)))
    }

    fn build(
        &self,
        wanted: &Wanted,
        key: &EngineKey,
    ) -> anyhow::Result<(Status, EngineHeader, usize)> {
        let timing_target = wanted.header.timing_target();
        let known = self.known_timings(&timing_target);
        let timing = self.workplace.file("timing");
        if let Some(bytes) = &known {
            fs::write(&timing, bytes).with_context(|| timing.display().to_string())?;
        }
        let segment = format!("segment {} (`{}`)", wanted.segment, wanted.name);
        let job = Job {
            title: format!(
                "building {segment}, {} of {}, for {} in {}",
                wanted.segment + 1,
                self.bundle.segment_count(),
                self.library.version(),
                wanted.header.precision
            ),
            segment,
            builder: self.builder,
            engine: self.workplace.file("engine"),
            arguments: self.arguments(wanted, &timing)?,
            timing,
            log: self.cache.path(key).with_extension("log"),
        };
        let built = job.run(self.stop)?;
        let mut header = wanted.header.clone();
        header.build_seconds = built.took.as_secs_f32();
        self.cache.put(&header, &built.engine)?;
        fs::remove_file(&job.engine).ok();
        if let Some(bytes) = built.timing.filter(|bytes| Some(bytes) != known.as_ref()) {
            self.cache.put_timing_cache(&timing_target, &bytes)?;
        }
        Ok((Status::Built, header, built.engine.len()))
    }

    /// The timing cache to start from: that of the cache, else that of the bundle.
    fn known_timings(&self, target: &str) -> Option<Vec<u8>> {
        match self.cache.timing_cache(target) {
            Ok(Some(bytes)) => return Some(bytes),
            Ok(None) => {}
            Err(error) => tracing::warn!("{error}; the build starts without timings"),
        }
        let own = self.bundle.timing_cache(target);
        own.ok().flatten().map(<[u8]>::to_vec)
    }

    fn arguments(&self, wanted: &Wanted, timing: &Path) -> anyhow::Result<Vec<std::ffi::OsString>> {
        let mut arguments: Vec<std::ffi::OsString> = vec![
            self.cmd.bundle.clone().into(),
            "--segment".into(),
            wanted.segment.to_string().into(),
            "--device".into(),
            self.cmd.device.to_string().into(),
            "--tensorrt".into(),
            self.library.path().into(),
            "--library".into(),
            wanted.header.library.clone().into(),
            "--profiles".into(),
            serde_json::to_string(&wanted.header.profiles)?.into(),
            "--timing".into(),
            timing.into(),
            "--engine".into(),
            self.workplace.file("engine").into(),
        ];
        arguments.extend(self.cmd.flags.arguments().into_iter().map(Into::into));
        Ok(arguments)
    }
}

/// Writes a copy of the bundle that has the engines, and the timing cache that they gave.
fn write_back(
    bundle: &Arc<Bundle>,
    cache: &EngineCache,
    wanted: &[Wanted],
    out: &Path,
) -> anyhow::Result<()> {
    let mut writer = BundleWriter::from_bundle(bundle)?;
    for Wanted {
        segment, header, ..
    } in wanted
    {
        let key = EngineKey(header.key);
        let entry = cache.get(&key)?;
        let entry = entry.with_context(|| format!("{} is gone", cache.path(&key).display()))?;
        writer.set_engine(entry.header(), *segment, entry.bytes())?;
    }
    if let Some(first) = wanted.first() {
        let target = first.header.timing_target();
        if let Some(bytes) = cache.timing_cache(&target)? {
            writer.set(SectionKind::TimingCache, &target, 0, bytes)?;
        }
    }
    Ok(writer.write(out)?)
}
