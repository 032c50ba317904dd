//! Two sessions over the same samples.

use anyhow::bail;
use tfjet::arrays::plain;
use tfjet::core::{DType, Manifest, TensorView};
use tfjet::runtime::{Outputs, Session};

use super::{
    ClassReport, Classes, DetectionReport, Detections, OutputDifference, OutputReport, Truth,
};
use crate::calibration::{Question, Samples, detections, score_rows};
use crate::compare::numbers;

/// The reference and what is compared with it.
pub(crate) struct Pair {
    pub(crate) reference: Session,
    pub(crate) ours: Session,
}

/// What two sessions over the same samples came to.
pub(crate) struct Measured {
    pub(crate) samples: usize,
    pub(crate) classes: Option<ClassReport>,
    pub(crate) detections: Option<DetectionReport>,
    pub(crate) outputs: Vec<OutputReport>,
    pub(crate) warnings: Vec<String>,
}

/// For each input or output of ours the reference's of the same name.
fn match_names<'a>(
    ours: impl Iterator<Item = &'a String>,
    reference: &[&String],
) -> Vec<Option<usize>> {
    ours.map(|name| {
        let mut others = reference.iter();
        others.position(|other| plain(other) == plain(name))
    })
    .collect()
}

/// Counts of what the model is asked.
enum Answers {
    Classes {
        /// The output, of ours and of the reference.
        output: (usize, usize),
        name: String,
        counts: Classes,
    },
    Detections(Detections),
}

impl Answers {
    /// `None` where the reference does not have the output that the question is about.
    fn new(question: &Question, manifest: &Manifest, outputs: &[(usize, usize)]) -> Option<Self> {
        Some(match question {
            Question::Classes { output } => Self::Classes {
                output: *outputs.iter().find(|(ours, _)| ours == output)?,
                name: manifest.outputs.get(*output)?.name.clone(),
                counts: Classes::default(),
            },
            Question::Detections(matching) => Self::Detections(Detections::new(*matching)),
        })
    }

    fn add(
        &mut self,
        file: &str,
        manifest: &Manifest,
        (expected, got): (&Outputs<'_>, &Outputs<'_>),
        truth: Option<usize>,
    ) -> anyhow::Result<()> {
        match self {
            Self::Classes {
                output: (ours, theirs),
                counts,
                ..
            } => {
                let expected = score_rows(expected.get(*theirs))?;
                let got = score_rows(got.get(*ours))?;
                for (expected, got) in expected.iter().zip(&got) {
                    counts.add(file, expected, got, truth);
                }
            }
            Self::Detections(counts) => counts.add(
                file,
                &detections(manifest, expected)?,
                &detections(manifest, got)?,
            ),
        }
        Ok(())
    }
}

/// Runs both over all samples. What the outputs mean is said by the manifest of ours.
pub(crate) fn measure(
    pair: &mut Pair,
    samples: &mut Samples,
    question: Option<&Question>,
    truth: Option<&Truth>,
) -> anyhow::Result<Measured> {
    let manifest = pair.ours.manifest().clone();
    let other = pair.reference.manifest().clone();
    let order = inputs(&manifest, &other)?;
    let mut warnings = Vec::new();
    let outputs = outputs(&manifest, &other, &mut warnings)?;
    if let Some(truth) = truth {
        truth.check(samples, question.and_then(|it| it.classes(&manifest)))?;
    }
    let mut answers = question.and_then(|it| Answers::new(it, &manifest, &outputs));
    let mut differences: Vec<OutputDifference> = Vec::new();
    differences.resize_with(outputs.len(), OutputDifference::default);
    let mut unlabelled = Vec::new();
    samples.each(Some("comparing"), 0..samples.len(), |sample| {
        let views = sample.inputs;
        let theirs = order.iter().filter_map(|&index| views.get(index).copied());
        let theirs: Vec<TensorView<'_>> = theirs.collect();
        let expected = pair.reference.run(&theirs)?;
        let got = pair.ours.run(views)?;
        for (difference, &(ours, theirs)) in differences.iter_mut().zip(&outputs) {
            add(difference, (&expected, theirs), (&got, ours))?;
        }
        let class = truth.and_then(|truth| truth.of(sample.file));
        if truth.is_some() && class.is_none() {
            unlabelled.push(sample.file.to_owned());
        }
        match &mut answers {
            Some(answers) => answers.add(sample.file, &manifest, (&expected, &got), class),
            None => Ok(()),
        }
    })?;
    let ran = samples.check_any()?;
    if let Some(first) = unlabelled.first() {
        warnings.push(format!(
            "{} files have no true class and count for none: {first} for one",
            unlabelled.len()
        ));
    }
    let named = outputs.iter().map(|&(ours, _)| manifest.outputs.get(ours));
    let reports = differences
        .into_iter()
        .zip(named)
        .map(|(difference, output)| {
            difference.report(output.map_or("", |output| output.name.as_str()))
        });
    let (classes, detections) = match answers {
        Some(Answers::Classes { name, counts, .. }) => (counts.report(&name), None),
        Some(Answers::Detections(counts)) => (None, Some(counts.report())),
        None => (None, None),
    };
    Ok(Measured {
        samples: ran,
        outputs: reports.collect(),
        classes,
        detections,
        warnings,
    })
}

fn names(manifest: &Manifest) -> Vec<&String> {
    manifest.outputs.iter().map(|output| &output.name).collect()
}

/// For each input of the reference the place of ours.
fn inputs(manifest: &Manifest, other: &Manifest) -> anyhow::Result<Vec<usize>> {
    let ours: Vec<&String> = manifest.inputs.iter().map(|input| &input.name).collect();
    let theirs = other.inputs.iter().map(|input| &input.name);
    let places = match_names(theirs, &ours);
    let missing = other
        .inputs
        .iter()
        .zip(&places)
        .find(|(_, place)| place.is_none());
    match missing {
        Some((input, _)) => bail!(
            "the bundle has no input `{}` as the model has: give the flags that it was converted \
             with (--input, --signature, --fold-preprocessing ...)",
            input.name
        ),
        None => Ok(places.into_iter().flatten().collect()),
    }
}

/// The outputs that both have, ours first.
fn outputs(
    manifest: &Manifest,
    other: &Manifest,
    warnings: &mut Vec<String>,
) -> anyhow::Result<Vec<(usize, usize)>> {
    let ours = manifest.outputs.iter().map(|output| &output.name);
    let places = match_names(ours, &names(other));
    let mut pairs = Vec::new();
    for (index, (place, output)) in places.iter().zip(&manifest.outputs).enumerate() {
        match place {
            Some(place) => pairs.push((index, *place)),
            None => warnings.push(format!("the model has no output `{}`", output.name)),
        }
    }
    match pairs.is_empty() {
        true => bail!("the bundle and the model have no output in common: give --output"),
        false => Ok(pairs),
    }
}

fn add(
    difference: &mut OutputDifference,
    (expected, theirs): (&Outputs<'_>, usize),
    (got, ours): (&Outputs<'_>, usize),
) -> anyhow::Result<()> {
    let (Some(expected), Some(got)) = (expected.get(theirs), got.get(ours)) else {
        bail!("output {ours} is missing");
    };
    difference.add(
        (&numbers(&expected)?, &shape_of_numbers(&expected)),
        (&numbers(&got)?, &shape_of_numbers(&got)),
    );
    Ok(())
}

/// The two parts of a complex number lie along an axis of their own.
fn shape_of_numbers(view: &TensorView<'_>) -> Vec<usize> {
    match view.dtype() {
        DType::C64 => [view.shape(), &[2]].concat(),
        _ => view.shape().to_vec(),
    }
}
