//! Flags that say in which numbers a bundle's layers compute.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::bail;
use clap::Args;
use tfjet::convert::calibrate::Method;
use tfjet::core::{Precision, Target};
use tfjet::engines::has_int8;
use tfjet::exit::Usage;

use super::CpuArgs;
use crate::accuracy::{LabelArgs, MatchArgs};

/// `--precision` and what goes with it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Precision")]
pub(crate) struct PrecisionArgs {
    /// Numbers that layers compute in. fp32 leaves the choice between fp32 and fp16 to
    /// `tfjet-run prepare`; int8 needs the ranges of the activations: --calibration, --calibrate, or
    /// a graph that was trained with them
    #[arg(long, value_name = "fp32|fp16|int8", default_value = "fp32", value_parser = parse_precision)]
    pub(crate) precision: Precision,
    /// With int8: ranges from this table of `tfjet calibrate`, or from TensorRT's calibration cache
    #[arg(long, value_name = "TABLE", conflicts_with = "calibrate")]
    pub(crate) calibration: Option<PathBuf>,
    /// With int8: ranges from these images or .npz files
    #[arg(long, value_name = "DIR")]
    pub(crate) calibrate: Option<PathBuf>,
    /// With --calibrate: how a range is chosen from the values: entropy, percentile:99.99, min-max or
    /// mse [default: entropy]
    #[arg(long, value_name = "METHOD", requires = "calibrate")]
    pub(crate) method: Option<Method>,
    /// With --calibrate: take this many of the files, evenly picked [default: all]
    #[arg(long, value_name = "N", requires = "calibrate", value_parser = parse_count)]
    pub(crate) samples: Option<usize>,
    /// Take the table although it was made for another model
    #[arg(long, requires = "calibration")]
    pub(crate) unchecked_calibration: bool,
    /// Keep a layer in these floats: its name, or SEGMENT/NAME
    #[arg(long, value_name = "LAYER=fp16|fp32")]
    pub(crate) keep: Vec<Keep>,
    /// With int8: numbers of the layers that are not in int8. fp32 is slower, and has an engine whose
    /// precisions are pinned give what the CPU does
    #[arg(long, value_name = "fp16|fp32", default_value = "fp16", value_parser = parse_floats)]
    pub(crate) float_layers: Precision,
    /// With int8: keep as few layers in fp16 (or --float-layers) as are needed to lose at most this
    /// much, in percent, on the samples of --evaluate: of top-1 with true classes, of answers that
    /// are those of fp32 without, of fp32's detections with a detector
    #[arg(long, value_name = "PERCENT", requires = "evaluate", value_parser = parse_percent)]
    pub(crate) max_accuracy_drop: Option<f64>,
    /// Images or .npz files to measure on; better others than those of the calibration
    #[arg(long, value_name = "DIR", requires = "max_accuracy_drop")]
    pub(crate) evaluate: Option<PathBuf>,
    /// With --evaluate: take this many of the files, evenly picked [default: all]
    #[arg(long, value_name = "N", requires = "evaluate", value_parser = parse_count)]
    pub(crate) evaluate_samples: Option<usize>,
    /// With --evaluate: a file's name and its class in each line, a number or one of the model's
    /// labels
    #[arg(long, value_name = "FILE", requires = "evaluate")]
    pub(crate) labels_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) labels: LabelArgs,
    #[command(flatten)]
    pub(crate) matching: MatchArgs,
    /// Store fp16 for targets that cannot compute in int8, instead of refusing them
    #[arg(long)]
    pub(crate) allow_downgrade: bool,
    #[command(flatten)]
    pub(crate) cpu: CpuArgs,
}

/// `--keep`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keep {
    pub(crate) layer: String,
    pub(crate) precision: Precision,
}

impl FromStr for Keep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.rsplit_once('=').filter(|(layer, _)| !layer.is_empty());
        let (layer, in_what) = parts.ok_or("expected LAYER=fp16 or LAYER=fp32")?;
        let precision = match parse_precision(in_what)? {
            Precision::Int8 => return Err("a layer is kept in fp16 or fp32".into()),
            floats => floats,
        };
        Ok(Self {
            layer: layer.into(),
            precision,
        })
    }
}

fn parse_precision(text: &str) -> Result<Precision, String> {
    let known = [Precision::Fp32, Precision::Fp16, Precision::Int8];
    let mut found = known.into_iter().filter(|it| it.to_string() == text);
    found
        .next()
        .ok_or_else(|| "expected fp32, fp16 or int8".into())
}

fn parse_floats(text: &str) -> Result<Precision, String> {
    match parse_precision(text) {
        Ok(floats @ (Precision::Fp16 | Precision::Fp32)) => Ok(floats),
        _ => Err("expected fp16 or fp32".into()),
    }
}

/// A number of samples.
pub(crate) fn parse_count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a number of 1 or more".into()),
        Ok(count) => Ok(count),
    }
}

/// A share in percent.
pub(crate) fn parse_percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches(['%', ' ']).parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("expected a number from 0 to 100, in percent".into()),
    }
}

impl PrecisionArgs {
    /// Do ranges that stand in the graph become those of the bundle?
    pub(crate) fn takes_ranges(&self) -> bool {
        self.precision == Precision::Int8
    }

    /// Flags that have no use with this precision, and targets that cannot compute in it.
    pub(crate) fn check(&self, targets: &[Target]) -> anyhow::Result<()> {
        let int8 = [
            ("--calibration", self.calibration.is_some()),
            ("--calibrate", self.calibrate.is_some()),
            ("--max-accuracy-drop", self.max_accuracy_drop.is_some()),
            ("--allow-downgrade", self.allow_downgrade),
            ("--float-layers", self.float_layers != Precision::Fp16),
        ];
        let given = int8.into_iter().find(|(_, given)| *given);
        if let Some((flag, _)) = given.filter(|_| self.precision != Precision::Int8) {
            bail!(Usage(format!("{flag} needs --precision int8")));
        }
        let labelled = self.labels.labels_from_names.is_some() || self.labels.label_offset != 0;
        if labelled && self.evaluate.is_none() {
            bail!(Usage(
                "true classes are for --max-accuracy-drop with --evaluate".into()
            ));
        }
        if let (Some(flag), None) = (self.matching.given(), &self.evaluate) {
            bail!(Usage(format!(
                "{flag} is for --max-accuracy-drop with --evaluate"
            )));
        }
        match self.precision {
            Precision::Fp32 if !self.keep.is_empty() => {
                bail!(Usage("--keep needs --precision fp16 or int8".into()))
            }
            Precision::Fp16 if self.keep.iter().any(|it| it.precision == Precision::Fp16) => {
                bail!(Usage(
                    "--precision fp16: a layer can be kept in fp32 only".into()
                ))
            }
            _ => {}
        }
        let lacking: Vec<&str> = targets
            .iter()
            .filter(|target| !has(target, self.precision))
            .map(|target| target.name.as_str())
            .collect();
        if lacking.is_empty() {
            return Ok(());
        }
        let names = lacking.join(", ");
        if self.precision != Precision::Int8 {
            bail!(Usage(format!("no {} on {names}", self.precision)));
        }
        let low = targets.iter().find(|target| {
            lacking.contains(&target.name.as_str()) && !has(target, Precision::Fp16)
        });
        match (self.allow_downgrade, low) {
            (true, None) => Ok(()),
            (true, Some(target)) => {
                bail!(Usage(format!("{} has neither int8 nor fp16", target.name)))
            }
            (false, _) => bail!(Usage(format!(
                "{names} cannot compute in int8: {}; --allow-downgrade stores fp16 for {}",
                lacks(targets, &lacking),
                match lacking.len() {
                    1 => "it",
                    _ => "them",
                }
            ))),
        }
    }

    /// What a target gets, and why where that is less than what was asked for.
    pub(crate) fn for_target(&self, target: &Target) -> (Precision, Option<String>) {
        match has(target, self.precision) {
            true => (self.precision, None),
            false => (
                Precision::Fp16,
                Some(format!(
                    "fp16 instead of {} for {}: {}",
                    self.precision,
                    target.name,
                    reason(target)
                )),
            ),
        }
    }
}

/// FP32 leaves the choice to who builds engines.
fn has(target: &Target, precision: Precision) -> bool {
    precision == Precision::Fp32 || target.supports(precision)
}

/// Why a target has no INT8.
fn reason(target: &Target) -> String {
    match target.compute_capability {
        Some(gpu) if !has_int8((gpu.major, gpu.minor)) => {
            format!("its GPU (SM {gpu}) has no INT8 arithmetic")
        }
        _ => "its `precisions` have no int8".into(),
    }
}

fn lacks(targets: &[Target], lacking: &[&str]) -> String {
    let named = targets
        .iter()
        .filter(|it| lacking.contains(&it.name.as_str()));
    let reasons: Vec<String> = named
        .map(|target| match lacking.len() {
            1 => reason(target),
            _ => format!("{}: {}", target.name, reason(target)),
        })
        .collect();
    reasons.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_without_int8_says_why() {
        let target = |name: &str| tfjet::convert::find_target(name).unwrap();
        let said = "its GPU (SM 5.3) has no INT8 arithmetic";
        assert_eq!(reason(&target("nano")), said);
        let mut orin = target("agx-orin");
        assert!(has(&orin, Precision::Int8) && has(&target("x86-cpu"), Precision::Int8));
        orin.precisions = vec![Precision::Fp16];
        assert!(has(&orin, Precision::Fp32) && !has(&orin, Precision::Int8));
        assert_eq!(reason(&orin), "its `precisions` have no int8");
    }

    #[test]
    fn what_is_kept_is_a_name_and_floats() {
        let keep: Keep = "a/b=c=fp32".parse().unwrap();
        assert_eq!(
            (keep.layer.as_str(), keep.precision),
            ("a/b=c", Precision::Fp32)
        );
        for bad in ["", "a", "=fp16", "a=int8", "a=half"] {
            assert!(bad.parse::<Keep>().is_err(), "{bad}");
        }
        assert_eq!(parse_percent("0.2%"), Ok(0.2));
        for bad in ["-1", "101", "nan", "x"] {
            assert!(parse_percent(bad).is_err(), "{bad}");
        }
    }
}
