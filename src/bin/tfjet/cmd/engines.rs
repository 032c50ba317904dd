//! Engines that `convert` builds ahead of time, through TensorRT-RTX and without a GPU.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, bail};
use clap::Args;
use tfjet::arrays::plain;
use tfjet::bundle::{Bundle, BundleWriter, EngineHeader};
use tfjet::core::{
    Dim, EngineKind, NetworkSpec, NetworkTensor, Shape, Target, TensorView, WeightsId, WeightsTable,
};
use tfjet::exit::Usage;
use tfjet::runtime::{EngineKey, NetworkHash, bundle_precision, segment_numbers};
use tfjet_tensorrt::{
    BuildOptions, BuildProgress, Flavor, Library, Profile, ShapeRange, WeightsSource, build_engine,
};

/// Names the library's file, or a folder that holds it.
const VARIABLE: &str = "TFJET_TENSORRT_RTX";

/// The builder's settings, as `tfjet-run prepare` writes those of its defaults.
const FLAGS: &str = "tf32=on workspace=default tactics=default dla=none layers=names";

/// How engines are built.
#[derive(Debug, Args)]
pub(crate) struct EngineArgs {
    /// With --target x86-rtx: sizes of an input that has open ones, one shape or three
    #[arg(long, value_name = "NAME=MIN:OPT:MAX")]
    shape: Vec<ShapeRequest>,
    /// With --target x86-rtx: TensorRT-RTX's library [default: $TFJET_TENSORRT_RTX, else what
    /// `tfjet fetch tensorrt-rtx` got]
    #[arg(long, value_name = "PATH")]
    tensorrt_rtx: Option<PathBuf>,
}

/// `input=1x224x224x3:8x224x224x3:32x224x224x3`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ShapeRequest {
    name: String,
    range: ShapeRange,
}

impl FromStr for ShapeRequest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, shapes) = text.rsplit_once('=').ok_or("expected NAME=MIN:OPT:MAX")?;
        let shapes: Vec<Vec<usize>> = shapes.split(':').map(sizes).collect::<Result<_, _>>()?;
        let [min, opt, max] = match shapes.as_slice() {
            [only] => [only, only, only],
            [min, opt, max] => [min, opt, max],
            _ => return Err("expected one shape or three".into()),
        };
        let ordered = |a: &[usize], b: &[usize]| a.iter().zip(b).all(|(a, b)| a <= b);
        if min.len() != opt.len() || opt.len() != max.len() {
            return Err("the shapes differ in rank".into());
        }
        if name.is_empty() || !ordered(min, opt) || !ordered(opt, max) {
            return Err("expected NAME=MIN:OPT:MAX with MIN <= OPT <= MAX".into());
        }
        Ok(Self {
            name: name.into(),
            range: ShapeRange {
                min: min.clone(),
                opt: opt.clone(),
                max: max.clone(),
            },
        })
    }
}

fn sizes(text: &str) -> Result<Vec<usize>, String> {
    text.split('x')
        .map(|size| match size.parse() {
            Ok(0) | Err(_) => Err(format!("`{size}` is no size")),
            Ok(size) => Ok(size),
        })
        .collect()
}

impl EngineArgs {
    /// The target whose engines are built at conversion. Flags that no target has a use for are
    /// refused.
    pub(crate) fn check<'a>(&self, targets: &'a [Target]) -> anyhow::Result<Option<&'a Target>> {
        let mut built_here = targets
            .iter()
            .filter(|target| target.engine == EngineKind::TensorRtRtx);
        if let Some(target) = built_here.next() {
            if let Some(other) = built_here.next() {
                bail!(Usage(format!(
                    "--target {},{}: engines are built at conversion for one target at a time",
                    target.name, other.name
                )));
            }
            return Ok(Some(target));
        }
        let given = [
            ("--shape", !self.shape.is_empty()),
            ("--tensorrt-rtx", self.tensorrt_rtx.is_some()),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((flag, _)) => bail!(Usage(format!(
                "{flag} needs a target whose engines are built at conversion: --target x86-rtx"
            ))),
            None => Ok(None),
        }
    }

    /// Builds an engine for each segment of `target`, in the numbers that the bundle says, and adds
    /// it; a line for each.
    pub(crate) fn build(&self, writer: &mut BundleWriter, target: &str) -> anyhow::Result<String> {
        let bundle = Bundle::from_bytes(writer.to_bytes()?)?;
        let bundle = Arc::new(bundle.select(target)?);
        let precision = bundle_precision(&bundle)?.unwrap_or_default();
        let ranges = self.ranges(&bundle)?;
        let mut builds = Vec::with_capacity(bundle.segment_count());
        for segment in 0..u32::try_from(bundle.segment_count())? {
            let network = bundle.network(segment)?;
            let options = BuildOptions {
                precision,
                quantization: segment_numbers(&bundle, segment, &network)?,
                tf32: true,
                profiles: profile(&network, &ranges)?.into_iter().collect(),
                ..BuildOptions::default()
            };
            builds.push((segment, network, options));
        }
        if builds.is_empty() {
            return Ok(String::new());
        }
        let library = self.library()?;
        let mut text = String::new();
        for (segment, network, options) in builds {
            let start = Instant::now();
            let weights = Weights {
                bundle: &bundle,
                table: bundle.weights_table()?,
            };
            let mut progress = Progress::new(&network.name);
            let mut show = |step: BuildProgress| progress.show(&step);
            let built = build_engine(&library, &network, &weights, &options, None, &mut show);
            progress.end();
            let engine = built
                .with_context(|| format!("{}: no engine", network.name))?
                .engine;
            let mut header = EngineHeader {
                library: library.version().key(),
                precision: options.precision.name().into(),
                profiles: options.profiles.iter().map(described).collect(),
                flags: FLAGS.into(),
                build_seconds: start.elapsed().as_secs_f32(),
                ..EngineHeader::default()
            };
            header.key = EngineKey::of(&NetworkHash::of(&bundle, segment)?, &header).0;
            writer.set_engine(&header, segment, &engine)?;
            text.push_str(&format!(
                "engine     {} {}: {:.1} MiB, built in {:.1} s by {}\n",
                network.name,
                header.target(),
                engine.len() as f64 / f64::from(1 << 20),
                header.build_seconds,
                library.version(),
            ));
        }
        Ok(text)
    }

    fn library(&self) -> anyhow::Result<Library> {
        let variable = std::env::var_os(VARIABLE).filter(|value| !value.is_empty());
        let explicit = self.tensorrt_rtx.clone().or(variable.map(PathBuf::from));
        let dirs: Vec<PathBuf> = tfjet::cache::cache_dir()
            .map(|cache| cache.join("tensorrt-rtx"))
            .into_iter()
            .collect();
        let loaded = Library::load(Flavor::TensorRtRtx, explicit.as_deref(), &dirs);
        match explicit {
            Some(_) => Ok(loaded?),
            None => loaded.context(format!(
                "engines are built at conversion: run `tfjet fetch tensorrt-rtx`, set {VARIABLE} \
                 or pass --tensorrt-rtx"
            )),
        }
    }

    /// What each symbol of the networks' shapes ranges over.
    fn ranges(&self, bundle: &Bundle) -> anyhow::Result<BTreeMap<String, [usize; 3]>> {
        let mut known: Vec<(String, Option<Shape>)> = bundle
            .manifest()?
            .inputs
            .into_iter()
            .map(|input| (input.name, input.shape))
            .collect();
        for segment in 0..bundle.segment_count() {
            let network = bundle.network(u32::try_from(segment)?)?;
            let inputs = network.inputs.iter().filter_map(|id| network.tensor(*id));
            known.extend(inputs.map(|input| (input.name.clone(), Some(input.shape.clone()))));
        }
        let mut ranges = BTreeMap::new();
        for ShapeRequest { name, range } in &self.shape {
            let mut named = known.iter().filter(|(n, _)| plain(n) == plain(name));
            let Some((_, shape)) = named.next() else {
                bail!(Usage(format!("--shape {name}: no input of that name")));
            };
            let fits = |sizes: &[usize]| shape.as_ref().is_none_or(|shape| shape.admits(sizes));
            if ![&range.min, &range.opt, &range.max]
                .into_iter()
                .all(|s| fits(s))
            {
                let shape = shape.as_ref().map_or("?".into(), ToString::to_string);
                bail!(Usage(format!("--shape {name}: the input is {shape}")));
            }
            let dims = shape.iter().flat_map(Shape::dims).enumerate();
            for (axis, dim) in dims {
                let Dim::Symbolic(symbol) = dim else { continue };
                let new = [&range.min, &range.opt, &range.max].map(|sizes| sizes[axis]);
                let old = ranges.insert(symbol.clone(), new);
                if old.is_some_and(|old| old != new) {
                    bail!(Usage(format!(
                        "--shape {name}: another --shape has other sizes for `{symbol}`"
                    )));
                }
            }
        }
        Ok(ranges)
    }
}

/// The profile of a network, where one of its inputs has an open size.
fn profile(
    network: &NetworkSpec,
    ranges: &BTreeMap<String, [usize; 3]>,
) -> anyhow::Result<Option<Profile>> {
    let inputs: Vec<&NetworkTensor> = network
        .inputs
        .iter()
        .filter_map(|id| network.tensor(*id))
        .collect();
    if inputs.iter().all(|input| input.shape.as_fixed().is_some()) {
        return Ok(None);
    }
    let mut profile = Vec::with_capacity(inputs.len());
    for input in inputs {
        let mut range = ShapeRange::default();
        for dim in input.shape.dims() {
            let [min, opt, max] = match dim {
                Dim::Fixed(size) => [*size; 3],
                Dim::Symbolic(symbol) => match ranges.get(symbol) {
                    Some(range) => *range,
                    None => bail!(Usage(format!(
                        "{}: input `{}` is {}: say with --shape {}=MIN:OPT:MAX for which sizes \
                         to build",
                        network.name, input.name, input.shape, input.name
                    ))),
                },
            };
            range.min.push(min);
            range.opt.push(opt);
            range.max.push(max);
        }
        profile.push(range);
    }
    Ok(Some(Profile(profile)))
}

fn described(profile: &Profile) -> Vec<[Vec<u64>; 3]> {
    let wide = |sizes: &[usize]| sizes.iter().map(|&size| size as u64).collect();
    let ranges = profile.0.iter();
    ranges
        .map(|range| [wide(&range.min), wide(&range.opt), wide(&range.max)])
        .collect()
}

/// The weights of a bundle.
struct Weights<'a> {
    bundle: &'a Bundle,
    table: WeightsTable,
}

impl WeightsSource for Weights<'_> {
    fn weights(&self, id: WeightsId) -> Option<TensorView<'_>> {
        self.bundle.weights_view(self.table.get(id)?).ok()
    }
}

/// One line on the standard error that says how far a build is: over and over in a terminal,
/// else once.
struct Progress<'a> {
    segment: &'a str,
    terminal: bool,
    width: usize,
}

impl<'a> Progress<'a> {
    fn new(segment: &'a str) -> Self {
        let terminal = std::io::stderr().is_terminal();
        if !terminal {
            let _ = writeln!(std::io::stderr(), "building   {segment}");
        }
        Self {
            segment,
            terminal,
            width: 0,
        }
    }

    fn show(&mut self, progress: &BuildProgress) {
        if !self.terminal {
            return;
        }
        let steps = match progress.steps {
            0 => String::new(),
            steps => format!(" {}/{steps}", progress.step),
        };
        let line = format!(
            "building   {}: {}{steps}, {:.0} s",
            self.segment,
            progress.phase,
            progress.elapsed.as_secs_f32()
        );
        let _ = write!(std::io::stderr(), "\r{line:<width$}", width = self.width);
        self.width = line.chars().count();
    }

    fn end(&self) {
        if self.width > 0 {
            let _ = write!(std::io::stderr(), "\r{:width$}\r", "", width = self.width);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_one_or_three() {
        let parse = |text: &str| text.parse::<ShapeRequest>();
        let one = parse("a:0=1x2").unwrap();
        assert_eq!(
            (one.name.as_str(), one.range),
            ("a:0", ShapeRange::only(&[1, 2]))
        );
        let three = parse("a=1x2:3x2:4x2").unwrap().range;
        assert_eq!([three.min, three.opt, three.max], [[1, 2], [3, 2], [4, 2]]);
        for bad in [
            "a",
            "=1",
            "a=",
            "a=0",
            "a=1:2",
            "a=2:1:3",
            "a=1:2x2:3",
            "a=1:2:3:4",
            "a=x",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
