use std::fmt::Write as _;

use serde::Serialize;
use tfjet_core::Precision;

/// Most layers of a list that the text names.
const NAMED: usize = 10;

/// In which numbers the layers compute, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrecisionReport {
    /// What the bundle has.
    pub precision: Precision,
    /// Why that is less than what was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downgraded: Option<String>,
    /// Where the ranges of 8-bit numbers come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ranges: Option<RangesReport>,
    /// Layers in INT8.
    pub int8: usize,
    /// Layers that could be in INT8, or were asked to be in other numbers, and why they are not.
    pub kept: Vec<KeptReport>,
    /// How the layers that stay in floats were found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchReport>,
    /// What a user should know.
    pub warnings: Vec<String>,
}

/// Where ranges come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RangesReport {
    /// A table, images, or the graph itself.
    pub source: String,
    /// How they were chosen; empty where that is not known.
    pub method: String,
    /// How many samples were run; 0 where that is not known.
    pub samples: usize,
}

/// A layer that is not in INT8.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptReport {
    /// Its segment.
    pub segment: String,
    /// Its name.
    pub layer: String,
    /// Its kind.
    pub kind: String,
    /// What it computes in.
    pub precision: Precision,
    /// Why.
    pub reason: String,
}

/// The search for the fewest layers that stay in floats.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SearchReport {
    /// What is counted.
    pub measure: String,
    /// Where: a folder of samples.
    pub evaluated_on: String,
    /// Samples of it.
    pub samples: usize,
    /// The most that may be lost, in percent.
    pub limit_percent: f64,
    /// Lost with all layers in INT8, in percent.
    pub int8_percent: f64,
    /// Lost with what was chosen, in percent.
    pub percent: f64,
    /// Every evaluation, in order.
    pub evaluations: Vec<EvaluationReport>,
    /// What INT8 in each layer alone costs, the worst first; empty where all in INT8 is good enough.
    pub ranking: Vec<RankedReport>,
    /// Samples that the ranking is of.
    pub ranking_samples: usize,
}

/// One evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct EvaluationReport {
    /// Layers that were kept in floats.
    pub kept: usize,
    /// What was lost, in percent.
    pub percent: f64,
}

/// What INT8 in one layer alone costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RankedReport {
    /// Its segment.
    pub segment: String,
    /// Its name.
    pub layer: String,
    /// Its kind.
    pub kind: String,
    /// Signal to quantization noise in dB; absent where nothing changes.
    pub sqnr_db: Option<f64>,
    /// Answers that are others than in 32-bit floats, or detections that are lost.
    pub changed: usize,
}

impl PrecisionReport {
    /// A report of one precision and nothing else.
    pub fn new(precision: Precision) -> Self {
        Self {
            precision,
            downgraded: None,
            ranges: None,
            int8: 0,
            kept: Vec::new(),
            search: None,
            warnings: Vec::new(),
        }
    }

    /// The report for a terminal.
    pub(super) fn to_text(&self, text: &mut String) {
        let _ = match self.precision {
            Precision::Int8 => writeln!(
                text,
                "precision  int8: {} layers, {} more could be but stay in floats",
                self.int8,
                self.kept.len()
            ),
            precision => writeln!(text, "precision  {precision}"),
        };
        if let Some(reason) = &self.downgraded {
            let _ = writeln!(text, "downgraded {reason}");
        }
        if let Some(ranges) = &self.ranges {
            let _ = write!(text, "ranges     {}", ranges.source);
            if !ranges.method.is_empty() {
                let _ = write!(text, ", {}", ranges.method);
            }
            let _ = match ranges.samples {
                0 => writeln!(text),
                samples => writeln!(text, ", {samples} samples"),
            };
        }
        for kept in self.kept.iter().take(NAMED) {
            let _ = writeln!(
                text,
                "  {} {} ({}): {}",
                kept.precision, kept.layer, kept.kind, kept.reason
            );
        }
        rest(text, self.kept.len());
        if let Some(search) = &self.search {
            search.to_text(text);
        }
        for warning in &self.warnings {
            let _ = writeln!(text, "warning    {warning}");
        }
    }
}

impl SearchReport {
    fn to_text(&self, text: &mut String) {
        let _ = writeln!(
            text,
            "accuracy   {:.2} % {} on {} samples of {} (at most {} %), {:.2} % with all layers in \
             INT8; {} evaluations",
            self.percent,
            self.measure,
            self.samples,
            self.evaluated_on,
            self.limit_percent,
            self.int8_percent,
            self.evaluations.len()
        );
        if self.ranking.is_empty() {
            return;
        }
        let _ = writeln!(
            text,
            "ranking    what INT8 in one layer alone costs, on {} samples",
            self.ranking_samples
        );
        for ranked in self.ranking.iter().take(NAMED) {
            let sqnr = ranked
                .sqnr_db
                .map_or_else(|| "  equal".into(), |db| format!("{db:>4.1} dB"));
            let _ = writeln!(
                text,
                "  {sqnr}, {} changed: {} ({})",
                ranked.changed, ranked.layer, ranked.kind
            );
        }
        rest(text, self.ranking.len());
    }
}

fn rest(text: &mut String, count: usize) {
    if count > NAMED {
        let _ = writeln!(text, "  and {} more", count - NAMED);
    }
}
