use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use tfjet::bundle::Bundle;
use tfjet::convert::Task;
use tfjet::core::{Manifest, Precision, Quantization, Target};
use tfjet::engines::EngineSearch;
use tfjet::exit::{DIFFERS, GOOD, Usage};
use tfjet::runtime::{Session, SessionOptions, bundle_precision};

use super::compare::is_bundle;
use super::convert::{convert, model_name};
use super::model::{GraphArgs, known};
use super::{print, write_file};
use crate::accuracy::{
    Accuracy, LabelArgs, Layers, Limit, MatchArgs, Measured, Pair, measure, page, text,
};
use crate::calibration::{
    Cpu, CpuArgs, FEW, Question, SampleArgs, emulated, in_memory, list, parse_percent, rank,
};

/// Measure what a bundle's precision costs, against its model in FP32
///
/// Runs the model in FP32 and the bundle over the same images, prepared as the bundle says. Without
/// --device gpu the bundle's INT8 and FP16 are computed on the CPU as the numbers that they are on a
/// GPU. Exit code 1 where a limit is not met.
#[derive(Debug, Args)]
pub(crate) struct Cmd {
    /// The model, or a bundle of it in FP32; not needed with another --reference
    #[arg(value_name = "MODEL", required_unless_present = "reference")]
    model: Option<PathBuf>,
    /// The bundle to measure
    #[arg(long, value_name = "BUNDLE")]
    bundle: PathBuf,
    #[command(flatten)]
    samples: SampleArgs,
    /// True classes: in each line a file's name and its class, a number or one of the model's labels
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    #[command(flatten)]
    truth: LabelArgs,
    #[command(flatten)]
    matching: MatchArgs,
    /// What to compare with
    #[arg(long, value_enum)]
    reference: Option<Reference>,
    /// Where the bundle runs; gpu takes the engines of `tfjet-run prepare`
    #[arg(long, value_enum, default_value = "cpu")]
    device: Device,
    /// With --device gpu: precision of the engines, where several are prepared. Else: of a bundle
    /// that leaves it open
    #[arg(long, value_name = "fp32|fp16|int8")]
    precision: Option<tfjet::tensorrt::Precision>,
    /// The GPU's number
    #[arg(long, value_name = "N", default_value = "0")]
    gpu: u32,
    /// TensorRT's library, or a folder that holds it
    #[arg(long, value_name = "PATH")]
    tensorrt: Option<PathBuf>,
    /// Where `tfjet-run prepare` keeps engines
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Run the bundle as the CPU engine does in use: INT8 with kernels for integers, FP16 as FP32
    #[arg(long)]
    fast: bool,
    /// Samples for what is said of layers; 0 for nothing
    #[arg(long, value_name = "N", default_value_t = FEW)]
    layer_samples: usize,
    /// Rank the layers by what INT8 in each alone costs
    #[arg(long)]
    sensitivity: bool,
    /// Least share of samples with FP32's top-1 class, or of FP32's detections that are kept
    #[arg(long, value_name = "PERCENT", value_parser = parse_percent)]
    min_agreement: Option<f64>,
    /// Most that top-1 may lose, in percent points; needs true classes
    #[arg(long, value_name = "PERCENT", value_parser = parse_percent)]
    max_drop: Option<f64>,
    /// Write the report as a page, with plots
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cpu: CpuArgs,
    #[command(flatten)]
    graph: GraphArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Reference {
    /// The model in FP32
    Model,
    /// The bundle's own networks in FP32
    BundleFp32,
    /// The bundle in its own numbers, computed on the CPU: what a GPU makes of them beside it
    BundleCpu,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Device {
    Cpu,
    Gpu,
}

/// A session, and words for what it computes in and on.
struct Running {
    session: Session,
    numbers: String,
    device: String,
    /// Why the layers of the bundle's own numbers are not those that run.
    other_layers: Option<String>,
}

impl Cmd {
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        let bundle = self.open()?;
        let cpu = self.cpu.load()?;
        let quantizations = self.quantizations(&bundle)?;
        let manifest = bundle.manifest()?;
        let mut samples = self.samples.open(&manifest)?;
        let labels = ("--labels", self.labels.as_deref());
        let truth = self.truth.truth(labels, &manifest.labels)?;
        let question = Question::of(&manifest, self.matching.matching());
        self.check(&manifest, question.as_ref(), truth.is_some())?;
        self.matching.check(&manifest.model, question.as_ref())?;
        let (reference, compared_with) = self.reference(&cpu, &bundle, &quantizations)?;
        let Running {
            session,
            numbers,
            device,
            other_layers,
        } = self.ours(&cpu, &bundle, &quantizations)?;
        let mut pair = Pair {
            reference,
            ours: session,
        };
        let Measured {
            samples: ran,
            classes,
            detections,
            outputs,
            mut warnings,
        } = measure(&mut pair, &mut samples, question.as_ref(), truth.as_ref())?;
        drop(pair);
        if ran < FEW {
            warnings.push(format!(
                "{}: {ran} samples say little; give {FEW} or more",
                samples.folder().display()
            ));
        }
        let mut layers = Layers::default();
        let has_layers = self.layer_samples > 0 && quantizations.iter().any(Option::is_some);
        if let (true, Some(reason)) = (has_layers, &other_layers) {
            warnings.push(reason.clone());
        } else if has_layers {
            layers = Layers::run(
                &cpu,
                &bundle,
                &quantizations,
                &mut samples,
                self.layer_samples,
            )?;
        }
        if !layers.unseen.is_empty() {
            warnings.push(format!(
                "layers of loops and conditions cannot be seen: {}",
                list(&layers.unseen)
            ));
        }
        let mut sensitivity = Vec::new();
        if self.sensitivity {
            let (ranked, _) = rank(
                &cpu,
                &bundle,
                &quantizations,
                &mut samples,
                question.as_ref(),
                FEW,
            )?;
            if ranked.is_empty() {
                warnings.push("--sensitivity: no layer of the bundle is in INT8".into());
            }
            sensitivity = ranked;
        }
        let mut accuracy = Accuracy {
            model: manifest.model.clone(),
            bundle: self.bundle.display().to_string(),
            target: bundle
                .target()
                .map_or_else(|| manifest.target.clone(), str::to_owned),
            numbers,
            device,
            reference: compared_with,
            source: samples.folder().display().to_string(),
            samples: ran,
            unreadable: samples.unreadable(),
            good: true,
            limits: Vec::new(),
            classes,
            detections,
            outputs,
            layers: layers.reports,
            layer_samples: layers.samples,
            sensitivity,
            warnings,
        };
        accuracy.limits = self.limits(&accuracy)?;
        accuracy.good = accuracy.limits.iter().all(|limit| limit.good);
        for warning in &accuracy.warnings {
            tracing::warn!("{warning}");
        }
        if let Some(file) = &self.html {
            write_file(file, page(&accuracy).as_bytes())?;
        }
        print(&match self.json {
            true => serde_json::to_string(&accuracy)? + "\n",
            false => text(&accuracy),
        })?;
        Ok(if accuracy.good { GOOD } else { DIFFERS })
    }

    /// Refuses true classes and limits that say nothing about the model.
    fn check(
        &self,
        manifest: &Manifest,
        question: Option<&Question>,
        has_truth: bool,
    ) -> anyhow::Result<()> {
        if has_truth && !matches!(question, Some(Question::Classes { .. })) {
            bail!(Usage(format!(
                "`{}` is no classifier: true classes say nothing about it",
                manifest.model
            )));
        }
        if question.is_none() && (self.min_agreement.is_some() || self.max_drop.is_some()) {
            bail!(Usage(format!(
                "`{}` is no classifier or detector, so a limit on its answers says nothing: convert \
                 it with --decoder",
                manifest.model
            )));
        }
        if self.max_drop.is_some() && !has_truth {
            bail!(Usage(
                "--max-drop needs true classes: --labels or --labels-from-names".into()
            ));
        }
        Ok(())
    }

    /// The bundle as one of its targets: the only one, or the one that `--target` names.
    fn open(&self) -> anyhow::Result<Arc<Bundle>> {
        let bundle = Bundle::open(&self.bundle)?;
        bundle.verify()?;
        let targets = bundle.targets()?;
        if targets.len() < 2 {
            return Ok(Arc::new(bundle));
        }
        let wanted = self.graph.target.as_str();
        match targets.iter().any(|target| target == wanted) {
            true => Ok(Arc::new(bundle.select(wanted)?)),
            false => bail!(Usage(format!(
                "{} is for {}: say with --target which of them to measure",
                self.bundle.display(),
                targets.join(", ")
            ))),
        }
    }

    /// What the bundle's layers compute in; where it leaves that open, what `--precision` says.
    fn quantizations(&self, bundle: &Bundle) -> anyhow::Result<Vec<Option<Quantization>>> {
        let segments = 0..u32::try_from(bundle.segment_count())?;
        let mut quantizations = segments
            .clone()
            .map(|segment| bundle.quantization(segment))
            .collect::<Result<Vec<_>, _>>()?;
        let is_open = quantizations.iter().all(Option::is_none);
        let wanted = self.precision.map(tfjet::tensorrt::Precision::name);
        if self.device == Device::Cpu && !is_open && wanted.is_some() {
            bail!(Usage(
                "--precision: the bundle says what its layers compute in".into()
            ));
        }
        match wanted {
            Some("fp16") if is_open => {
                for (segment, quantization) in segments.zip(&mut quantizations) {
                    let network = bundle.network(segment)?;
                    *quantization = Some(Quantization::floats(&network, Precision::Fp16));
                }
            }
            Some("int8") if is_open => bail!(Usage(format!(
                "{} has no ranges for int8: convert the model with --precision int8",
                self.bundle.display()
            ))),
            _ => {}
        }
        Ok(quantizations)
    }

    /// What the bundle is compared with, and words for it.
    fn reference(
        &self,
        cpu: &Cpu,
        bundle: &Arc<Bundle>,
        quantizations: &[Option<Quantization>],
    ) -> anyhow::Result<(Session, String)> {
        let engine = cpu.name();
        let model = match (self.reference, &self.model) {
            (Some(Reference::BundleCpu), _) => {
                let text = format!("the bundle in its own numbers on {engine}");
                return Ok((cpu.exact(emulated(bundle, quantizations)?)?, text));
            }
            (Some(Reference::BundleFp32), _) => {
                let none = vec![None; bundle.segment_count()];
                let text = format!("the bundle's networks in FP32 on {engine}");
                return Ok((cpu.exact(emulated(bundle, &none)?)?, text));
            }
            (_, Some(model)) => model,
            (_, None) => bail!(Usage("give the model, or --reference bundle-fp32".into())),
        };
        let text = format!("{} in FP32 on {engine}", model.display());
        let reference = match is_bundle(model)? {
            true => reference_bundle(model)?,
            false => self.in_floats(model)?,
        };
        Ok((cpu.exact(reference)?, text))
    }

    /// The model, converted in memory for the CPU.
    fn in_floats(&self, path: &Path) -> anyhow::Result<Arc<Bundle>> {
        let known = known(path);
        let options = self.graph.options_for(known.as_ref(), Target::default())?;
        let task = Task {
            image: None,
            ..self.graph.task(known.as_ref())
        };
        in_memory(&convert(path, &model_name(path), &options, &task)?)
    }

    /// The bundle on what `--device` says.
    fn ours(
        &self,
        cpu: &Cpu,
        bundle: &Arc<Bundle>,
        quantizations: &[Option<Quantization>],
    ) -> anyhow::Result<Running> {
        if self.device == Device::Gpu {
            return self.on_gpu(bundle);
        }
        let device = cpu.name();
        let stored = describe(quantizations);
        if self.fast {
            return Ok(Running {
                session: cpu.fast(bundle.clone())?,
                numbers: format!("{stored}; as the CPU engine computes it"),
                device,
                other_layers: None,
            });
        }
        Ok(Running {
            session: cpu.exact(emulated(bundle, quantizations)?)?,
            numbers: match quantizations.iter().any(Option::is_some) {
                true => format!("{stored}; as a GPU computes it"),
                false => stored,
            },
            device,
            other_layers: None,
        })
    }

    fn on_gpu(&self, bundle: &Arc<Bundle>) -> anyhow::Result<Running> {
        if self.fast {
            bail!(Usage("--fast is for --device cpu".into()));
        }
        let search = EngineSearch {
            device: self.gpu,
            tensorrt: self.tensorrt.clone(),
            cache: self.cache.clone(),
            target: None,
            precision: self.precision,
        };
        let gpu = search.open_gpu()?;
        let located = search.locate(bundle, &gpu)?;
        let engines = located.engines?;
        let numbers = format!("engines in {}, {}", engines.precision(), engines.origin());
        let name = gpu.context().device().name.clone();
        let device = format!("{name}, {}", gpu.library().version());
        let own = bundle_precision(&located.bundle)?.unwrap_or_default();
        let other_layers = (engines.precision() != own.name()).then(|| {
            format!(
                "nothing is said of layers: the bundle's are in {own}, the engines in {}",
                engines.precision()
            )
        });
        let options = SessionOptions::default();
        Ok(Running {
            session: Session::load_gpu(located.bundle, &gpu, &engines, &options)
                .with_context(|| self.bundle.display().to_string())?,
            numbers,
            device,
            other_layers,
        })
    }

    /// The limits that were given, and what was found.
    fn limits(&self, accuracy: &Accuracy) -> anyhow::Result<Vec<Limit>> {
        let agreement = match (&accuracy.classes, &accuracy.detections) {
            (Some(classes), _) => Some(classes.agreement_percent),
            (None, found) => found.as_ref().map(|found| found.kept_percent),
        };
        let truth = accuracy.classes.as_ref().and_then(|classes| classes.truth);
        let drop = truth.map(|truth| truth.drop);
        let mut limits = Vec::new();
        for (name, limit, found, is_least) in [
            ("--min-agreement", self.min_agreement, agreement, true),
            ("--max-drop", self.max_drop, drop, false),
        ] {
            match (limit, found) {
                (None, _) => {}
                (Some(_), None) => bail!("{name}: no answers of both could be compared"),
                (Some(limit), Some(found)) => limits.push(Limit {
                    name,
                    limit_percent: limit,
                    found_percent: found,
                    good: if is_least {
                        found >= limit
                    } else {
                        found <= limit
                    },
                }),
            }
        }
        Ok(limits)
    }
}

/// A bundle of the model in FP32, as the first of its targets.
fn reference_bundle(path: &Path) -> anyhow::Result<Arc<Bundle>> {
    let bundle = Bundle::open(path)?;
    let bundle = match bundle.targets()?.first() {
        Some(first) => bundle.select(first)?,
        None => bundle,
    };
    let segments = 0..u32::try_from(bundle.segment_count())?;
    for segment in segments {
        let quantization = bundle.quantization(segment)?;
        if quantization.is_some_and(|it| it.precision() != Precision::Fp32) {
            bail!(Usage(format!(
                "{} is not in FP32: give the model itself",
                path.display()
            )));
        }
    }
    Ok(Arc::new(bundle))
}

/// What layers compute in, in words.
fn describe(quantizations: &[Option<Quantization>]) -> String {
    use tfjet::core::LayerPrecision;
    let layers = || quantizations.iter().flatten().flat_map(|it| &it.layers);
    let int8 = layers().filter(|it| matches!(it, LayerPrecision::Int8 { .. }));
    match (layers().count(), int8.count()) {
        (0, _) => "fp32: the bundle leaves it to who builds engines".into(),
        (_, 0) if layers().any(|it| *it == LayerPrecision::Fp16) => "fp16".into(),
        (_, 0) => "fp32".into(),
        (_, int8) => format!("int8 in {int8} layers, floats in the others"),
    }
}
