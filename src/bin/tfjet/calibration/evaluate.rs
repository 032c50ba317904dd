//! How much worse a model answers in other numbers than in 32-bit floats.

use std::sync::Arc;

use anyhow::bail;
use tfjet::bundle::Bundle;
use tfjet::convert::probe::with_quantization;
use tfjet::core::{DType, Decoder, Manifest, Quantization, TensorView};
use tfjet::exit::Usage;
use tfjet::runtime::Outputs;

use super::{Cpu, Samples, in_memory};
use crate::accuracy::{Detections, MatchArgs, Matching, Truth, ranking};
use crate::cmd::compare::rows;
use crate::compare::{Rows, numbers};

/// What an answer of a model is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Question {
    /// The best class in each row of an output.
    Classes {
        /// The output.
        output: usize,
    },
    /// What was found.
    Detections(Matching),
}

/// The answer to one sample.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    Classes(Vec<usize>),
    Detections(Rows),
}

impl Question {
    /// What the model is asked. A model without a decoder is a classifier where its only output is
    /// rows of two or more floats. `None` where that cannot be told.
    pub(crate) fn of(manifest: &Manifest, matching: Matching) -> Option<Self> {
        match &manifest.decoder {
            Decoder::Classify { output, .. } => Some(Self::Classes { output: *output }),
            Decoder::DetectSsd { .. } | Decoder::DetectRows { .. } => {
                Some(Self::Detections(matching))
            }
            Decoder::Raw => {
                let [output] = manifest.outputs.as_slice() else {
                    return None;
                };
                let shape = output.shape.as_ref()?;
                let classes = shape.dims().last()?.fixed();
                let is_rows = shape.rank() == 2 && classes.is_none_or(|count| count > 1);
                (is_rows && output.dtype == DType::F32).then_some(Self::Classes { output: 0 })
            }
        }
    }

    /// How many classes the model tells apart, where it is known.
    pub(crate) fn classes(&self, manifest: &Manifest) -> Option<usize> {
        let Self::Classes { output } = *self else {
            return None;
        };
        let shape = manifest.outputs.get(output)?.shape.as_ref()?;
        shape.dims().last()?.fixed()
    }

    /// The answer in the outputs of a run.
    pub(crate) fn answer(
        &self,
        manifest: &Manifest,
        outputs: &Outputs<'_>,
    ) -> anyhow::Result<Answer> {
        Ok(match *self {
            Self::Classes { output } => {
                let rows = score_rows(outputs.get(output))?;
                let best = rows.iter().filter_map(|row| ranking(row).first().copied());
                Answer::Classes(best.collect())
            }
            Self::Detections(_) => Answer::Detections(detections(manifest, outputs)?),
        })
    }

    /// How many of the reference's answers to a sample are others, or missing, in ours.
    pub(crate) fn changed(&self, reference: &Answer, ours: &Answer) -> usize {
        match (self, reference, ours) {
            (_, Answer::Classes(reference), Answer::Classes(ours)) => {
                let rows = reference.iter().enumerate();
                rows.filter(|(row, class)| ours.get(*row) != Some(class))
                    .count()
            }
            (Self::Detections(matching), Answer::Detections(a), Answer::Detections(b)) => {
                let mut detections = Detections::new(*matching);
                detections.add("", a, b);
                let report = detections.report();
                report.reference - report.matched
            }
            _ => 0,
        }
    }
}

/// The rows of scores in an output.
pub(crate) fn score_rows(output: Option<TensorView<'_>>) -> anyhow::Result<Vec<Vec<f64>>> {
    let Some(view) = output else {
        bail!("the model has no such output");
    };
    let width = view.shape().last().copied().unwrap_or(0).max(1);
    let scores = numbers(&view)?;
    Ok(scores.chunks_exact(width).map(<[f64]>::to_vec).collect())
}

/// The detections in the outputs of a run, of whatever score.
pub(crate) fn detections(manifest: &Manifest, outputs: &Outputs<'_>) -> anyhow::Result<Rows> {
    let named: Vec<(&str, TensorView<'_>)> = outputs
        .iter()
        .map(|(spec, view)| (spec.name.as_str(), view))
        .collect();
    rows(manifest, &named)
}

/// What is lost, in percent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Loss {
    pub(crate) percent: f64,
    /// Rows, images or detections that it is of.
    pub(crate) of: usize,
}

/// A folder of samples with the answers of a model in 32-bit floats.
pub(crate) struct Evaluation<'a> {
    cpu: &'a Cpu,
    samples: Samples,
    manifest: Manifest,
    question: Question,
    truth: Option<Truth>,
    reference: Vec<Option<Answer>>,
}

impl<'a> Evaluation<'a> {
    /// Runs `bundle`, the model in floats, over the samples.
    ///
    /// # Errors
    /// A model whose answers cannot be told, and samples none of which can be read or, with true
    /// classes, none of which has one.
    pub(crate) fn new(
        cpu: &'a Cpu,
        bundle: &Bundle,
        samples: Samples,
        matching: &MatchArgs,
        truth: Option<Truth>,
    ) -> anyhow::Result<Self> {
        let manifest = bundle.manifest()?;
        let Some(question) = Question::of(&manifest, matching.matching()) else {
            bail!(Usage(format!(
                "`{}` is no classifier or detector: say with --decoder what its outputs mean",
                manifest.model
            )));
        };
        matching.check(&manifest.model, Some(&question))?;
        if truth.is_some() && matches!(question, Question::Detections(_)) {
            bail!(Usage(format!(
                "`{}` is a detector: it is compared with its own detections in FP32, not with true \
                 classes",
                manifest.model
            )));
        }
        if let Some(truth) = &truth {
            truth.check(&samples, question.classes(&manifest))?;
        }
        let mut evaluation = Self {
            cpu,
            samples,
            manifest,
            question,
            truth,
            reference: Vec::new(),
        };
        let floats = Arc::new(bundle.clone());
        evaluation.reference = evaluation.answers(&floats, "reference")?;
        evaluation.samples.check_any()?;
        Ok(evaluation)
    }

    /// What `loss` counts.
    pub(crate) fn measure(&self) -> &'static str {
        match (&self.question, &self.truth) {
            (Question::Detections(_), _) => "detections of FP32 that are lost",
            (Question::Classes { .. }, Some(_)) => "drop in top-1",
            (Question::Classes { .. }, None) => "samples whose top-1 class is not that of FP32",
        }
    }

    pub(crate) fn question(&self) -> &Question {
        &self.question
    }

    pub(crate) fn samples(&mut self) -> &mut Samples {
        &mut self.samples
    }

    /// The answers of a bundle of the same model, one for each file that can be read.
    fn answers(&mut self, bundle: &Arc<Bundle>, what: &str) -> anyhow::Result<Vec<Option<Answer>>> {
        let mut session = self.cpu.exact(bundle.clone())?;
        let mut answers = vec![None; self.samples.len()];
        let (manifest, question) = (&self.manifest, self.question);
        let files = 0..self.samples.len();
        self.samples.each(Some(what), files, |sample| {
            let outputs = session.run(sample.inputs)?;
            answers[sample.index] = Some(question.answer(manifest, &outputs)?);
            Ok(())
        })?;
        Ok(answers)
    }

    /// What a bundle of the same model in other numbers loses. `what` names it while it runs.
    pub(crate) fn loss(&mut self, bundle: &Arc<Bundle>, what: &str) -> anyhow::Result<Loss> {
        let answers = self.answers(bundle, what)?;
        let pairs = self.reference.iter().zip(&answers).enumerate();
        let mut of = 0;
        let mut lost = 0_i64;
        for (index, (reference, ours)) in pairs {
            let (Some(reference), Some(ours)) = (reference, ours) else {
                continue;
            };
            match (&self.truth, reference, ours) {
                (Some(truth), Answer::Classes(reference), Answer::Classes(ours)) => {
                    let Some(class) = truth.of(&self.samples.name(index)) else {
                        continue;
                    };
                    let right = |rows: &[usize]| rows.iter().filter(|it| **it == class).count();
                    of += reference.len();
                    lost += right(reference) as i64 - right(ours) as i64;
                }
                (_, reference, ours) => {
                    of += match (&self.question, reference) {
                        (Question::Detections(matching), Answer::Detections(rows)) => rows
                            .iter()
                            .filter(|row| row.score >= matching.score)
                            .count(),
                        (_, Answer::Classes(rows)) => rows.len(),
                        _ => 0,
                    };
                    lost += self.question.changed(reference, ours) as i64;
                }
            }
        }
        if of == 0 {
            let what = match self.question {
                Question::Detections(_) => "FP32 finds nothing in them",
                Question::Classes { .. } => "no file that can be read has a true class",
            };
            bail!(
                "{}: nothing to lose: {what}",
                self.samples.folder().display()
            );
        }
        Ok(Loss {
            percent: 100.0 * lost as f64 / of as f64,
            of,
        })
    }
}

/// A bundle of the same model in other numbers, as a GPU has them.
pub(crate) fn emulated(
    bundle: &Bundle,
    quantizations: &[Option<Quantization>],
) -> anyhow::Result<Arc<Bundle>> {
    in_memory(&with_quantization(bundle, quantizations, true)?)
}
