//! What `convert --precision` does between lowering and writing.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use tfjet::bundle::Bundle;
use tfjet::convert::calibrate::{CalibrateError, Choice, Placed, Table, quantize};
use tfjet::convert::partition::PartitionOptions;
use tfjet::convert::{
    ConvertOptions, EvaluationReport, KeptReport, Lowered, PrecisionReport, RangesReport,
    RankedReport, Report, SearchReport, Task, emit, lower_targets,
};
use tfjet::core::{LayerPrecision, Precision, Quantization, Target};
use tfjet::exit::{DIFFERS, Failed};

use super::evaluate::emulated;
use super::search::{Found, fewest};
use super::{
    Collected, Cpu, Evaluation, FEW, PrecisionArgs, Ranked, Samples, collect, in_memory, rank,
};
use crate::accuracy::db_text;
use crate::cmd::model::at;

/// A conversion whose layers get their numbers.
pub(crate) struct Numbers<'a> {
    pub(crate) args: &'a PrecisionArgs,
    pub(crate) path: &'a Path,
    pub(crate) name: &'a str,
    pub(crate) options: &'a ConvertOptions,
    pub(crate) task: &'a Task,
}

/// The folder or file without what lies above it, so that a report is the same wherever it is made.
fn short(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

impl Numbers<'_> {
    /// Sets the quantizations of each target, and says what there is to say of it: nothing where
    /// the numbers are left to who builds engines.
    pub(crate) fn place(
        &self,
        lowered: &mut [Lowered],
    ) -> anyhow::Result<Vec<Option<PrecisionReport>>> {
        let mut reports: Vec<Option<PrecisionReport>> = Vec::with_capacity(lowered.len());
        for index in 0..lowered.len() {
            let (before, rest) = lowered.split_at_mut(index);
            let Some(this) = rest.first_mut() else {
                break;
            };
            let (precision, downgraded) = self.args.for_target(&this.target);
            if let Some(reason) = &downgraded {
                tracing::warn!("{reason}");
            }
            let report = match precision {
                Precision::Fp32 => None,
                Precision::Fp16 => Some(PrecisionReport {
                    downgraded,
                    ..self.fp16(this)?
                }),
                Precision::Int8 => {
                    let done = before.iter().zip(&reports);
                    let mut same = done.filter(|(other, report)| {
                        let is_int8 = |it: &PrecisionReport| it.precision == Precision::Int8;
                        report.as_ref().is_some_and(is_int8) && other.networks == this.networks
                    });
                    match same.next() {
                        Some((other, report)) => {
                            this.quantizations = other.quantizations.clone();
                            report.clone()
                        }
                        None => Some(self.int8(this)?),
                    }
                }
            };
            reports.push(report);
        }
        Ok(reports)
    }

    fn fp16(&self, lowered: &mut Lowered) -> anyhow::Result<PrecisionReport> {
        let networks = lowered.networks.iter();
        let mut quantizations: Vec<Quantization> = networks
            .map(|network| Quantization::floats(network, Precision::Fp16))
            .collect();
        let mut report = PrecisionReport::new(Precision::Fp16);
        for keep in &self.args.keep {
            let mut found = false;
            for (network, quantization) in lowered.networks.iter().zip(&mut quantizations) {
                let layers = network.layers.iter().zip(&mut quantization.layers);
                for (layer, precision) in layers {
                    let full = format!("{}/{}", network.name, layer.name);
                    if keep.layer != layer.name && keep.layer != full {
                        continue;
                    }
                    found = true;
                    if keep.precision == Precision::Fp32 {
                        *precision = LayerPrecision::Fp32;
                        report.kept.push(KeptReport {
                            segment: network.name.clone(),
                            layer: layer.name.clone(),
                            kind: layer.layer.kind().into(),
                            precision: Precision::Fp32,
                            reason: "--keep".into(),
                        });
                    }
                }
            }
            if !found {
                return Err(CalibrateError::UnknownLayer {
                    layer: keep.layer.clone(),
                    near: String::new(),
                })
                .context("--keep");
            }
        }
        lowered.quantizations = quantizations.into_iter().map(Some).collect();
        Ok(report)
    }

    fn int8(&self, lowered: &mut Lowered) -> anyhow::Result<PrecisionReport> {
        let args = self.args;
        let mut report = PrecisionReport::new(Precision::Int8);
        let runs = args.calibrate.is_some() || args.evaluate.is_some();
        let mut ready: Option<(Cpu, Arc<Bundle>)> = None;
        if runs {
            ready = Some((args.cpu.load()?, self.in_floats(&lowered.target)?));
        }
        let table = match (&args.calibration, &args.calibrate, &ready) {
            (Some(file), _, _) => Some(read_table(file)?),
            (None, Some(folder), Some((cpu, bundle))) => {
                let manifest = bundle.manifest()?;
                let mut samples = Samples::open(folder, None, args.samples, &manifest)?;
                let method = args.method.unwrap_or_default();
                let Collected { table, warnings } =
                    collect(cpu, bundle, lowered, self.name, &mut samples, method)?;
                report.warnings.extend(warnings);
                Some(table)
            }
            _ => None,
        };
        report.ranges = Some(match &table {
            Some(table) => RangesReport {
                source: short(match (&args.calibration, &args.calibrate) {
                    (Some(path), _) | (None, Some(path)) => path,
                    (None, None) => Path::new(""),
                }),
                method: table.method.clone(),
                samples: table.samples,
            },
            None => RangesReport {
                source: "the graph's own".into(),
                method: String::new(),
                samples: 0,
            },
        });
        let keep = args
            .keep
            .iter()
            .map(|keep| (keep.layer.clone(), keep.precision));
        let choice = Choice {
            table,
            keep: keep.collect(),
            unchecked: args.unchecked_calibration,
            fp32: args.float_layers == Precision::Fp32,
        };
        let Placed {
            int8,
            fp16,
            warnings,
        } = quantize(lowered, &choice).with_context(|| self.path.display().to_string())?;
        report.int8 = int8;
        report.warnings.extend(warnings);
        report.kept = fp16
            .into_iter()
            .map(|it| KeptReport {
                precision: precision_of(lowered, &it.segment, &it.layer),
                segment: it.segment,
                layer: it.layer,
                kind: it.kind,
                reason: it.reason,
            })
            .collect();
        if let (Some(limit), Some((cpu, bundle))) = (args.max_accuracy_drop, &ready) {
            self.search(cpu, bundle, lowered, limit, &mut report)?;
        }
        for warning in &report.warnings {
            tracing::warn!("{warning}");
        }
        Ok(report)
    }

    /// The model for one target as a bundle in floats.
    fn in_floats(&self, target: &Target) -> anyhow::Result<Arc<Bundle>> {
        let targets = [target.clone()];
        let lowered = lower_targets(self.path, self.options, &targets).map_err(at(self.path))?;
        let partition = PartitionOptions {
            target: target.clone(),
            ..self.options.partition.clone()
        };
        let Some(lowered) = lowered.into_iter().next() else {
            bail!("{}: nothing to convert", self.path.display());
        };
        let report = Report::new(&lowered, &partition);
        let writer = emit(lowered, self.name, self.task, &report).map_err(at(self.path))?;
        in_memory(&writer)
    }

    /// Keeps as few layers in FP16 as the limit takes.
    fn search(
        &self,
        cpu: &Cpu,
        bundle: &Bundle,
        lowered: &mut Lowered,
        limit: f64,
        report: &mut PrecisionReport,
    ) -> anyhow::Result<()> {
        let args = self.args;
        let Some(folder) = &args.evaluate else {
            return Ok(());
        };
        let manifest = bundle.manifest()?;
        let samples = Samples::open(folder, None, args.evaluate_samples, &manifest)?;
        let list = ("--labels-file", args.labels_file.as_deref());
        let truth = args.labels.truth(list, &manifest.labels)?;
        let mut evaluation = Evaluation::new(cpu, bundle, samples, &args.matching, truth)?;
        let is_same = |other: &Path| other.canonicalize().ok() == folder.canonicalize().ok();
        if args.calibrate.as_deref().is_some_and(is_same) {
            report.warnings.push(format!(
                "{}: the accuracy is measured on the samples of the calibration, and may be worse \
                 on others",
                folder.display()
            ));
        }
        let all = lowered.quantizations.clone();
        let int8 = evaluation.loss(&emulated(bundle, &all)?, "evaluating INT8")?;
        if int8.of < FEW || 100.0 / int8.of as f64 > limit && limit > 0.0 {
            report.warnings.push(format!(
                "{}: one of {} is {:.2} %, a limit of {limit} % says little",
                folder.display(),
                int8.of,
                100.0 / int8.of as f64
            ));
        }
        let mut evaluations = vec![EvaluationReport {
            kept: 0,
            percent: int8.percent,
        }];
        let mut percent = int8.percent;
        let (mut ranking, mut ranking_samples) = (Vec::new(), 0);
        if int8.percent > limit {
            let question = *evaluation.question();
            (ranking, ranking_samples) = rank(
                cpu,
                bundle,
                &all,
                evaluation.samples(),
                Some(&question),
                FEW,
            )?;
            let found = fewest(ranking.len(), limit, |kept| {
                let what = format!(
                    "evaluation {} ({} of {} layers in floats)",
                    evaluations.len() + 1,
                    kept.len(),
                    ranking.len()
                );
                let quantizations = with_kept(&all, &ranking, kept, args.float_layers);
                let writer = emulated(bundle, &quantizations)?;
                let percent = evaluation.loss(&writer, &what)?.percent;
                evaluations.push(EvaluationReport {
                    kept: kept.len(),
                    percent,
                });
                anyhow::Ok(percent)
            })?;
            if !found.is_met {
                bail!(Failed {
                    code: DIFFERS,
                    text: format!(
                        "{}: more than {limit} % even with all {} layers in {}: {:.2} % {} ({:.2} \
                         % with all in INT8)",
                        self.path.display(),
                        ranking.len(),
                        args.float_layers,
                        found.loss,
                        evaluation.measure(),
                        int8.percent
                    ),
                });
            }
            percent = found.loss;
            keep(lowered, report, &all, &ranking, &found, args.float_layers);
        }
        report.search = Some(SearchReport {
            measure: evaluation.measure().into(),
            evaluated_on: short(folder),
            samples: evaluation.samples().check_any()?,
            limit_percent: limit,
            int8_percent: int8.percent,
            percent,
            evaluations,
            ranking: ranking.into_iter().map(reported).collect(),
            ranking_samples,
        });
        Ok(())
    }
}

/// A table of either kind.
fn read_table(file: &Path) -> anyhow::Result<Table> {
    let name = file.display().to_string();
    let text = std::fs::read(file).with_context(|| name.clone())?;
    let text =
        String::from_utf8(text).map_err(|_| CalibrateError::NoTable { file: name.clone() })?;
    Ok(Table::read(&text, &name)?)
}

fn precision_of(lowered: &Lowered, segment: &str, layer: &str) -> Precision {
    let networks = lowered.networks.iter().zip(&lowered.quantizations);
    let mut found = networks
        .filter(|(network, _)| network.name == segment)
        .filter_map(|(network, quantization)| {
            let index = network.layers.iter().position(|it| it.name == layer)?;
            quantization.as_ref()?.layers.get(index)
        });
    match found.next() {
        Some(LayerPrecision::Fp32) => Precision::Fp32,
        _ => Precision::Fp16,
    }
}

/// These numbers with some layers of the ranking in floats.
fn with_kept(
    all: &[Option<Quantization>],
    ranking: &[Ranked],
    kept: &[usize],
    floats: Precision,
) -> Vec<Option<Quantization>> {
    let mut quantizations = all.to_vec();
    for ranked in kept.iter().filter_map(|place| ranking.get(*place)) {
        let (segment, layer) = ranked.place;
        let quantization = quantizations.get_mut(segment).and_then(Option::as_mut);
        if let Some(precision) = quantization.and_then(|it| it.layers.get_mut(layer)) {
            *precision = match floats {
                Precision::Fp32 => LayerPrecision::Fp32,
                _ => LayerPrecision::Fp16,
            };
        }
    }
    quantizations
}

/// Takes what the search found.
fn keep(
    lowered: &mut Lowered,
    report: &mut PrecisionReport,
    all: &[Option<Quantization>],
    ranking: &[Ranked],
    found: &Found,
    floats: Precision,
) {
    lowered.quantizations = with_kept(all, ranking, &found.kept, floats);
    report.int8 -= found.kept.len().min(report.int8);
    let kept = found.kept.iter().filter_map(|place| ranking.get(*place));
    report.kept.extend(kept.map(|ranked| KeptReport {
        segment: ranked.segment.clone(),
        layer: ranked.layer.clone(),
        kind: ranked.kind.clone(),
        precision: floats,
        reason: format!(
            "--max-accuracy-drop: {} of noise alone in INT8",
            db_text(ranked.sqnr_db)
        ),
    }));
}

fn reported(ranked: Ranked) -> RankedReport {
    RankedReport {
        segment: ranked.segment,
        layer: ranked.layer,
        kind: ranked.kind,
        sqnr_db: ranked.sqnr_db,
        changed: ranked.changed,
    }
}
