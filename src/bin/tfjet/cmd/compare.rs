use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;
use tfjet::arrays::{inputs, plain};
use tfjet::board::{Board, choose};
use tfjet::bundle::{Bundle, MAGIC};
use tfjet::convert::Task;
use tfjet::core::{Decoder, Manifest, Tensor, TensorView};
use tfjet::cpu::Library;
use tfjet::exit::{DIFFERS, GOOD, Usage};
use tfjet::runtime::{Session, SessionOptions, read_npz};

use super::convert::{convert, model_name};
use super::model::{GraphArgs, known, known_task};
use super::print;
use crate::compare::{
    DetectionTolerance, OutputComparison, Rows, compare, detection_row, match_rows, numbers,
};

/// Run a model or bundle on reference inputs and compare with reference outputs
///
/// REF.npz holds inputs as `in:NAME` and outputs as `out:NAME`. Exit code 1 where an element
/// exceeds both tolerances.
#[derive(Debug, Args)]
pub(crate) struct Cmd {
    #[arg(value_name = "MODEL_OR_BUNDLE")]
    model: PathBuf,
    #[arg(value_name = "REF.npz")]
    reference: PathBuf,
    #[command(flatten)]
    graph: GraphArgs,
    /// Largest difference of an element
    #[arg(long, default_value = "1e-4", value_parser = tolerance)]
    atol: f64,
    /// Largest difference by the output's largest magnitude
    #[arg(long, default_value = "1e-3", value_parser = tolerance)]
    rtol: f64,
    /// Match detections by class and overlap instead of row by row
    #[arg(long)]
    detections: bool,
    /// With --detections: compare this many rows, the best first
    #[arg(long, value_name = "N")]
    top: Option<usize>,
    /// With --detections: largest difference of a score
    #[arg(long, default_value = "1e-3", value_parser = tolerance)]
    score_tolerance: f64,
    /// With --detections: largest difference of a corner, in the unit of the boxes
    #[arg(long, default_value = "0.5", value_parser = tolerance)]
    box_tolerance: f64,
    /// With --detections: least overlap of a matching pair
    #[arg(long, default_value = "0.5", value_parser = tolerance)]
    iou: f64,
    /// ONNX Runtime's library
    #[arg(long, value_name = "PATH")]
    onnxruntime: Option<PathBuf>,
    /// Threads of the CPU engine, 0 for all
    #[arg(long, default_value = "0", value_parser = clap::value_parser!(u16).range(..=256))]
    threads: u16,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value >= 0.0 => Ok(value),
        _ => Err("expected a number of 0 or more".into()),
    }
}

#[derive(Serialize)]
struct Outcome {
    good: bool,
    outputs: Vec<OutputComparison>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detections: Option<crate::compare::DetectionComparison>,
    skipped: Vec<String>,
}

impl Cmd {
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        let arrays = read_npz(&self.reference)?;
        let mut references: Vec<(String, Tensor)> = Vec::new();
        let mut given: Vec<(String, Tensor)> = Vec::new();
        for (name, array) in arrays {
            match name.strip_prefix("out:") {
                Some(output) => references.push((output.to_owned(), array)),
                None => given.push((name, array)),
            }
        }
        if references.is_empty() {
            bail!(
                "{}: no array `out:NAME`, nothing to compare",
                self.reference.display()
            );
        }
        let bundle = if is_bundle(&self.model)? {
            if !self.graph.input.is_empty() || !self.graph.output.is_empty() {
                bail!(Usage(
                    "--input and --output change a model, not a bundle".into()
                ));
            }
            Bundle::open(&self.model)?
        } else {
            self.convert(&references)?
        };
        let bundle = choose(&Arc::new(bundle), None, &Board::default(), None)?.bundle;
        let manifest = bundle.manifest()?;
        let library = match manifest.summary.segments.len() {
            0 => None,
            _ => Some(Library::load(
                self.onnxruntime.as_deref(),
                &tfjet::cache::library_dirs(),
            )?),
        };
        let options = SessionOptions {
            threads: usize::from(self.threads),
            ..SessionOptions::default()
        };
        let mut session = Session::load(bundle, library.as_ref(), &options)?;
        let tensors = inputs(&manifest.inputs, given)
            .with_context(|| self.reference.display().to_string())?;
        let views: Vec<TensorView<'_>> = tensors.iter().map(Tensor::view).collect();
        let outputs = session.run(&views)?;
        let mut pairs: Vec<(String, TensorView<'_>, Tensor)> = Vec::new();
        let mut skipped = Vec::new();
        for (name, array) in references {
            let index = manifest
                .outputs
                .iter()
                .position(|output| plain(&output.name) == plain(&name));
            match index.and_then(|index| outputs.get(index)) {
                Some(view) => pairs.push((name, view, array)),
                None => skipped.push(name),
            }
        }
        if pairs.is_empty() {
            bail!(
                "nothing to compare: the bundle has none of the outputs {}",
                skipped.join(", ")
            );
        }
        let outcome = self.compare(&manifest, &pairs, skipped)?;
        let text = match self.json {
            true => serde_json::to_string(&outcome)? + "\n",
            false => text(&outcome),
        };
        print(&text)?;
        Ok(if outcome.good { GOOD } else { DIFFERS })
    }

    fn convert(&self, references: &[(String, Tensor)]) -> anyhow::Result<Bundle> {
        let mut options = self.graph.options(None)?;
        for (name, _) in references {
            let request = name
                .parse()
                .with_context(|| format!("array `out:{name}`"))?;
            if !options.outputs.contains(&request) {
                options.outputs.push(request);
            }
        }
        let entry = known(&self.model);
        let task = match entry.map(|entry| known_task(&entry)) {
            Some(task) if self.detections => Task {
                image: None,
                ..task
            },
            _ => Task {
                image: None,
                ..Task::default()
            },
        };
        let name = model_name(&self.model);
        let writer = convert(&self.model, &name, &options, &task)?;
        Ok(Bundle::from_bytes(writer.to_bytes()?)?)
    }

    fn compare(
        &self,
        manifest: &Manifest,
        pairs: &[(String, TensorView<'_>, Tensor)],
        skipped: Vec<String>,
    ) -> anyhow::Result<Outcome> {
        if self.detections {
            let ours: Vec<(&str, TensorView<'_>)> = pairs
                .iter()
                .map(|(name, view, _)| (name.as_str(), *view))
                .collect();
            let theirs: Vec<(&str, TensorView<'_>)> = pairs
                .iter()
                .map(|(name, _, array)| (name.as_str(), array.view()))
                .collect();
            let tolerance = DetectionTolerance {
                score: self.score_tolerance,
                corner: self.box_tolerance,
                iou: self.iou,
            };
            let mut reference = rows(manifest, &theirs)?;
            reference.truncate(self.top.unwrap_or(usize::MAX));
            let result = match_rows(&rows(manifest, &ours)?, &reference, tolerance);
            return Ok(Outcome {
                good: result.problems.is_empty(),
                outputs: Vec::new(),
                detections: Some(result),
                skipped,
            });
        }
        let outputs: Vec<OutputComparison> = pairs
            .iter()
            .map(|(name, view, array)| compare(name, view, array, self.atol, self.rtol))
            .collect::<Result<_, _>>()?;
        Ok(Outcome {
            good: outputs.iter().all(OutputComparison::is_good),
            outputs,
            detections: None,
            skipped,
        })
    }
}

/// Is it a file that begins as a bundle does?
pub(crate) fn is_bundle(path: &Path) -> anyhow::Result<bool> {
    if !path.is_file() {
        return Ok(false);
    }
    let mut head = [0; MAGIC.len()];
    let mut file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
    Ok(file.read_exact(&mut head).is_ok() && head == MAGIC)
}

/// The detections in named outputs: the four of the Object Detection API, or rows.
pub(crate) fn rows(
    manifest: &Manifest,
    outputs: &[(&str, TensorView<'_>)],
) -> anyhow::Result<Rows> {
    let find = |name: &str| {
        outputs
            .iter()
            .find(|(n, _)| plain(n) == name)
            .map(|(_, view)| view)
    };
    let name_of = |index: usize| manifest.outputs.get(index).map_or("", |o| plain(&o.name));
    let ssd = match &manifest.decoder {
        Decoder::DetectSsd {
            boxes,
            scores,
            classes,
            count,
            ..
        } => [*boxes, *scores, *classes]
            .map(name_of)
            .map(find)
            .into_iter()
            .collect::<Option<Vec<_>>>()
            .map(|views| (views, count.map(name_of).and_then(find))),
        _ => ["detection_boxes", "detection_scores", "detection_classes"]
            .map(find)
            .into_iter()
            .collect::<Option<Vec<_>>>()
            .map(|views| (views, find("num_detections"))),
    };
    if let Some((views, count)) = ssd {
        let [boxes, scores, classes] = [numbers(views[0])?, numbers(views[1])?, numbers(views[2])?];
        let kept = match count {
            Some(view) => numbers(view)?.first().map_or(0, |count| *count as usize),
            None => scores.len(),
        };
        return Ok(boxes
            .chunks_exact(4)
            .zip(scores.iter().zip(&classes))
            .take(kept)
            .map(|(c, (score, class))| detection_row(*class, *score, [c[1], c[0], c[3], c[2]]))
            .collect());
    }
    let (index, columns) = match &manifest.decoder {
        Decoder::DetectRows {
            output, columns, ..
        } => (find(name_of(*output)), Some(*columns)),
        _ => (outputs.first().map(|(_, view)| view), None),
    };
    let Some(view) = index else {
        bail!(Usage(
            "--detections: the reference lacks the output with the detections".into()
        ));
    };
    let width = view.shape().last().copied().unwrap_or(0);
    if width < 6 {
        bail!(Usage(format!(
            "--detections: an output of shape {:?} holds no rows",
            view.shape()
        )));
    }
    let c = columns.map_or([0, 1, 2, 3, 4, 5], |c| {
        [c.x1, c.y1, c.x2, c.y2, c.score, c.class]
    });
    if c.iter().any(|&column| column >= width) {
        bail!(Usage(format!(
            "--detections: rows of {width} columns lack column {c:?}"
        )));
    }
    Ok(numbers(view)?
        .chunks_exact(width)
        .map(|row| {
            detection_row(
                row[c[5]],
                row[c[4]],
                [row[c[0]], row[c[1]], row[c[2]], row[c[3]]],
            )
        })
        .collect())
}

fn text(outcome: &Outcome) -> String {
    let mut text = String::new();
    for output in &outcome.outputs {
        let verdict = if output.is_good() {
            "agrees "
        } else {
            "DIFFERS"
        };
        let detail = match &output.problem {
            Some(problem) => problem.clone(),
            None => format!(
                "max abs {:.3e}, max rel {:.3e}, {} of {} elements beyond",
                output.max_abs, output.max_rel, output.exceeding, output.elements
            ),
        };
        text.push_str(&format!("{verdict} {}: {detail}\n", output.name));
    }
    if let Some(detections) = &outcome.detections {
        let verdict = if outcome.good { "agrees " } else { "DIFFERS" };
        text.push_str(&format!(
            "{verdict} {} detections: max score difference {:.3e}, max corner difference {:.3e}\n",
            detections.rows, detections.max_score, detections.max_corner
        ));
        for problem in detections.problems.iter().take(20) {
            text.push_str(&format!("  {problem}\n"));
        }
    }
    for name in &outcome.skipped {
        text.push_str(&format!("skipped {name}: the bundle has no such output\n"));
    }
    text
}
