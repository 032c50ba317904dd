//! A bundle's answers and numbers beside those of its model in 32-bit floats.

mod classes;
mod detections;
mod difference;
mod labels;
mod layers;
mod measure;
mod page;
mod plot;
mod text;

use anyhow::bail;
use clap::Args;
use serde::Serialize;
use tfjet::exit::Usage;

use crate::calibration::{Question, Ranked, Unreadable};

pub(crate) use classes::{ClassReport, Classes, ranking};
pub(crate) use detections::{DetectionReport, Detections, Matching};
pub(crate) use difference::{Db, OutputDifference, OutputReport, SignalToNoise, db, db_text};
pub(crate) use labels::{LabelArgs, Truth};
pub(crate) use layers::{LayerReport, Layers};
pub(crate) use measure::{Measured, Pair, measure};
pub(crate) use page::page;
pub(crate) use text::text;

/// When two detections are the same.
#[derive(Debug, Clone, Args)]
pub(crate) struct MatchArgs {
    /// With a detector: lowest score of a detection that counts [default: 0.3]
    #[arg(long, value_name = "SCORE", value_parser = parse_share)]
    pub(crate) score: Option<f64>,
    /// With a detector: least overlap of two detections that are the same [default: 0.7]
    #[arg(long, value_name = "IOU", value_parser = parse_share)]
    pub(crate) iou: Option<f64>,
}

impl MatchArgs {
    pub(crate) fn matching(&self) -> Matching {
        Matching {
            score: self.score.unwrap_or(0.3),
            iou: self.iou.unwrap_or(0.7),
        }
    }

    /// A flag that is given.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let flags = [("--score", self.score), ("--iou", self.iou)];
        let mut given = flags.into_iter().filter(|(_, value)| value.is_some());
        given.next().map(|(flag, _)| flag)
    }

    /// Refuses flags that say nothing about a model that is no detector.
    pub(crate) fn check(&self, model: &str, question: Option<&Question>) -> anyhow::Result<()> {
        match (self.given(), question) {
            (Some(flag), None | Some(Question::Classes { .. })) => bail!(Usage(format!(
                "{flag} is for detectors, and `{model}` is none"
            ))),
            _ => Ok(()),
        }
    }
}

fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0 to 1".into()),
    }
}

/// What `tfjet accuracy` found.
#[derive(Debug, Serialize)]
pub(crate) struct Accuracy {
    /// Name of the model.
    pub(crate) model: String,
    /// What was measured, and as which of its targets.
    pub(crate) bundle: String,
    pub(crate) target: String,
    /// What its layers compute in, and how that was run.
    pub(crate) numbers: String,
    pub(crate) device: String,
    /// What it was compared with.
    pub(crate) reference: String,
    /// Where samples came from, how many were run, and those that cannot be read.
    pub(crate) source: String,
    pub(crate) samples: usize,
    pub(crate) unreadable: Vec<Unreadable>,
    /// Within all limits that were given.
    pub(crate) good: bool,
    pub(crate) limits: Vec<Limit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) classes: Option<ClassReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detections: Option<DetectionReport>,
    pub(crate) outputs: Vec<OutputReport>,
    /// The worst first, over so many samples.
    pub(crate) layers: Vec<LayerReport>,
    pub(crate) layer_samples: usize,
    /// What INT8 in each layer alone costs, the worst first; with `--sensitivity`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) sensitivity: Vec<Ranked>,
    pub(crate) warnings: Vec<String>,
}

impl Accuracy {
    /// How many samples were run, of what, for people.
    fn samples_text(&self) -> String {
        let unreadable = match self.unreadable.len() {
            0 => String::new(),
            count => format!(", {count} cannot be read"),
        };
        format!("{} of {}{unreadable}", self.samples, self.source)
    }
}

/// A limit that the command line set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Limit {
    pub(crate) name: &'static str,
    pub(crate) limit_percent: f64,
    pub(crate) found_percent: f64,
    pub(crate) good: bool,
}
