//! `tfjet-run prepare`: builds a bundle's engines for this machine, once.

mod report;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, bail};
use clap::Args;
use tfjet::arrays::plain;
use tfjet::board::{BoardError, Choice, GpuFound, choose, detect};
use tfjet::bundle::{Bundle, BundleWriter, EngineHeader, SectionKind};
use tfjet::core::NetworkSpec;
use tfjet::engines;
use tfjet::exit::{self, Failed, Usage};
use tfjet::profiles::{Profiles, Strategy, profiles, samples};
use tfjet::runtime::{EngineCache, EngineEntry, EngineKey, MachineKey};
use tfjet::shapes::{Interface, ShapeFlag};
use tfjet::tensorrt::{Flavor, Precision};

use self::report::{Report, SegmentReport, Status};
use crate::build::{
    BuildFlags, BuilderOptions, BuiltBy, EngineBuilder, Progress, Wanted, Workplace,
};
use crate::tensorrt;

/// Build a bundle's engines for this machine
///
/// The engines go into the cache, where `run` and `bench` find them, and with --write-back into a
/// copy of the bundle, for machines with the same GPU and TensorRT.
#[derive(Debug, Args)]
pub(crate) struct Cmd {
    bundle: PathBuf,
    /// fp32; fp16 where the library finds it faster; int8, where the bundle has the ranges of its
    /// tensors [default: what it was converted for]
    #[arg(long, value_name = "fp32|fp16|int8")]
    precision: Option<Precision>,
    #[command(flatten)]
    flags: BuildFlags,
    /// Sizes of an input, repeatable: smallest, best and largest shape, as in
    /// image=1x224x224x3:8x224x224x3:16x224x224x3, or one shape; several shapes of one input are
    /// what the model is run with, of which --profile-strategy makes profiles
    #[arg(long = "shape", value_name = "NAME=MIN:OPT:MAX")]
    shapes: Vec<ShapeFlag>,
    /// Take shapes that the model is run with from a folder of sample inputs: .npz files with
    /// arrays NAME or in:NAME, and images where the bundle makes inputs of them
    #[arg(long, value_name = "DIR")]
    profile_from: Option<PathBuf>,
    /// What profiles are made of several shapes: range (one, from the smallest to the largest),
    /// optimal (one for each, which takes no other) or range+optimal (both) [default: range]
    #[arg(long, value_name = "STRATEGY")]
    profile_strategy: Option<Strategy>,
    /// Which of the bundle's targets to build for, where it is for several [default: by the board]
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
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

/// What is to be built.
struct Plan {
    networks: Vec<NetworkSpec>,
    profiles: Profiles,
}

/// The precision of a bundle's engines: what is asked for, else what suits bundle and GPU.
fn precision_of(
    asked: Option<Precision>,
    bundle: &Bundle,
    machine: &MachineKey,
) -> anyhow::Result<Precision> {
    let Some(asked) = asked else {
        let own = engines::default_precision(bundle, None)?;
        let precision = engines::default_precision(bundle, machine.compute_capability)?;
        if precision != own {
            tracing::warn!(
                "{} has no {own}: the engines are in {precision}",
                machine.gpu
            );
        }
        return Ok(precision);
    };
    engines::check_precision(bundle, asked)?;
    engines::check_gpu(machine, asked)?;
    Ok(asked)
}

/// A run of the command, once all is known that engines are built from.
struct Run<'a> {
    cmd: &'a Cmd,
    bundle: &'a Arc<Bundle>,
    builder: &'a EngineBuilder,
    workplace: &'a Workplace,
    stop: &'a AtomicBool,
}

impl Cmd {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let bundle = Arc::new(Bundle::open(&self.bundle)?);
        bundle.verify()?;
        // What is wrong with the command line is said on any machine.
        let early = match self.target.is_some() || bundle.targets()?.len() == 1 {
            true => Some(self.plan(&self.choose(&bundle, None)?.bundle)?),
            false => None,
        };
        if let (Some(_), Some(precision)) = (&early, self.precision) {
            let bundle = self.choose(&bundle, None)?.bundle;
            engines::check_precision(&bundle, precision)?;
        }
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
        let found = GpuFound::new(&library.version(), machine.compute_capability);
        let choice = self.choose(&bundle, Some(&found))?;
        let bundle = choice.bundle.clone();
        let Plan { networks, profiles } = match early {
            Some(plan) => plan,
            None => self.plan(&bundle)?,
        };
        let Profiles { segments, assumed } = profiles;
        let dir = self.cache.clone().or_else(tfjet::cache::engine_dir);
        let dir = dir.context("no home folder for a cache: name one with --cache")?;
        let precision = precision_of(self.precision, &bundle, &machine)?;
        let options = BuilderOptions {
            precision,
            flags: self.flags.clone(),
            device: self.device,
            cache: EngineCache::at(&dir),
            executable: self.builder.clone(),
        };
        let built_by = BuiltBy::new(&library, machine.clone());
        let builder = EngineBuilder::new(bundle.clone(), &networks, built_by, options)?;
        let wanted = builder.wanted(segments);
        if self.write_back.is_none() {
            self.check_own_engines(&bundle, &wanted)?;
        }
        let cache = EngineCache::open(&dir)?;
        for text in &assumed {
            tracing::warn!("{text}");
        }
        let workplace = Workplace::new(&dir)?;
        let run = Run {
            cmd: &self,
            bundle: &bundle,
            builder: &builder,
            workplace: &workplace,
            stop: stop_flag()?,
        };
        let mut reports = Vec::with_capacity(wanted.len());
        for wanted in &wanted {
            reports.push(run.prepare(wanted)?);
        }
        drop(workplace);
        if let Some(first) = wanted.first() {
            let keys: Vec<EngineKey> = wanted.iter().map(Wanted::key).collect();
            cache.set_prepared(&builder.hashes(), &first.header.target(), &keys)?;
        }
        if let Some(out) = &self.write_back {
            write_back(&bundle, &cache, &wanted, out)?;
        }
        let report = Report {
            bundle: self.bundle.display().to_string(),
            library: library.version().to_string(),
            machine: machine.to_string(),
            precision: precision.name(),
            flags: self.flags.text(),
            target: (!choice.why.is_empty()).then(|| choice.to_string()),
            cache: dir.display().to_string(),
            written: self.write_back.as_ref().map(|it| it.display().to_string()),
            assumed,
            segments: reports,
        };
        report.print(self.json)
    }

    fn choose(&self, bundle: &Arc<Bundle>, gpu: Option<&GpuFound>) -> Result<Choice, BoardError> {
        choose(bundle, self.target.as_deref(), &detect(), gpu)
    }

    fn plan(&self, bundle: &Bundle) -> anyhow::Result<Plan> {
        let networks = (0..u32::try_from(bundle.segment_count())?)
            .map(|segment| bundle.network(segment))
            .collect::<Result<Vec<_>, _>>()?;
        let (manifest, schedule) = (bundle.manifest()?, bundle.schedule()?);
        let profiles = self.profiles(&Interface::new(&manifest, &schedule, &networks))?;
        Ok(Plan { networks, profiles })
    }

    /// What the engines are to be built for.
    fn profiles(&self, interface: &Interface<'_>) -> anyhow::Result<Profiles> {
        let given = |name: &str| {
            let mut names = self.shapes.iter().map(|flag| plain(flag.name()));
            names.any(|given| given == plain(name))
        };
        let samples = match &self.profile_from {
            Some(dir) => samples(interface, dir, given)?,
            None => Vec::new(),
        };
        let strategy = self.profile_strategy.unwrap_or_default();
        Ok(profiles(interface, &self.shapes, &samples, strategy)?)
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

impl Run<'_> {
    /// Makes sure that the cache has the engine.
    fn prepare(&self, wanted: &Wanted) -> anyhow::Result<SegmentReport> {
        let cache = self.builder.cache();
        let key = wanted.key();
        let found = self.builder.find(wanted)?;
        let (status, entry) = match found.filter(|_| !self.cmd.force) {
            Some(entry) => (Status::Cached, entry),
            None => match self.own_engine(wanted)? {
                Some((header, engine)) => {
                    cache.put(&header, engine)?;
                    let entry = cache.get(&key)?;
                    let gone = || format!("{} is gone", cache.path(&key).display());
                    (Status::Bundle, entry.with_context(gone)?)
                }
                None => self.build(wanted)?,
            },
        };
        let header = entry.header();
        Ok(SegmentReport {
            segment: wanted.segment,
            name: wanted.name.clone(),
            status,
            seconds: header.build_seconds,
            len_bytes: entry.bytes().len(),
            profiles: header.profiles.clone(),
            file: cache.path(&key).display().to_string(),
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

    /// Builds the engine, or waits for another process that does.
    fn build(&self, wanted: &Wanted) -> anyhow::Result<(Status, EngineEntry)> {
        let (cache, key) = (self.builder.cache(), wanted.key());
        let _lock = match cache.try_lock(&key)? {
            Some(lock) => lock,
            None => {
                tracing::warn!("{} is built by another process", wanted.title());
                let gives_up = || self.stop.load(Ordering::Relaxed);
                let Some(lock) = cache.lock(&key, gives_up)? else {
                    bail!(Failed {
                        code: exit::NOT_PREPARED,
                        text: format!(
                            "{}: stopped by a signal while another process built it",
                            wanted.title()
                        ),
                    });
                };
                if let Some(entry) = self.builder.find(wanted)? {
                    return Ok((Status::Cached, entry));
                }
                lock
            }
        };
        let progress = Progress::shown(self.builder.title(wanted));
        let entry = self
            .builder
            .build(wanted, self.workplace, progress, self.stop)?;
        Ok((Status::Built, entry))
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
    for wanted in wanted {
        let key = wanted.key();
        let entry = cache.get(&key)?;
        let entry = entry.with_context(|| format!("{} is gone", cache.path(&key).display()))?;
        writer.set_engine(entry.header(), wanted.segment, entry.bytes())?;
    }
    if let Some(first) = wanted.first() {
        let target = first.header.timing_target();
        if let Some(bytes) = cache.timing_cache(&target)? {
            writer.set(SectionKind::TimingCache, &target, 0, bytes)?;
        }
    }
    Ok(writer.write(out)?)
}
