//! Two sessions over the same samples.

use anyhow::{Context as _, bail};
use tfjet::arrays::plain;
use tfjet::core::{Manifest, Tensor, TensorView};
use tfjet::runtime::{Outputs, Session};

use super::{
    ClassReport, Classes, DetectionReport, Detections, OutputDifference, OutputReport, Truth,
};
use crate::calibration::{Progress, Question, Samples, detections, score_rows};
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
    let asked = question.filter(|question| is_there(question, &manifest, &other));
    let mut differences: Vec<OutputDifference> = Vec::new();
    differences.resize_with(outputs.len(), OutputDifference::default);
    let mut classes = Classes::default();
    let mut found = match asked {
        Some(Question::Detections(matching)) => Some(Detections::new(*matching)),
        _ => None,
    };
    let mut unlabelled = Vec::new();
    let mut progress = Progress::new("comparing", samples.len());
    for index in 0..samples.len() {
        let file = samples.name(index);
        if let Some(inputs) = samples.read(index)? {
            let views: Vec<TensorView<'_>> = inputs.iter().map(Tensor::view).collect();
            let theirs: Vec<TensorView<'_>> = order
                .iter()
                .filter_map(|&index| views.get(index).copied())
                .collect();
            let expected = pair.reference.run(&theirs).with_context(|| file.clone())?;
            let got = pair.ours.run(&views).with_context(|| file.clone())?;
            for (difference, &(a, b)) in differences.iter_mut().zip(&outputs) {
                add(difference, (&expected, b), (&got, a))?;
            }
            match (asked, &mut found) {
                (Some(Question::Classes { output }), _) => {
                    let name = manifest.outputs.get(*output).map(|it| &it.name);
                    let at =
                        name.and_then(|name| match_names([name].into_iter(), &names(&other))[0]);
                    let class = truth.and_then(|truth| truth.of(&file));
                    if truth.is_some() && class.is_none() {
                        unlabelled.push(file.clone());
                    }
                    let expected = score_rows(at.and_then(|at| expected.get(at)))?;
                    let got = score_rows(got.get(*output))?;
                    for (expected, got) in expected.iter().zip(&got) {
                        classes.add(&file, expected, got, class);
                    }
                }
                (Some(Question::Detections(_)), Some(found)) => {
                    let got = detections(&manifest, &got)?;
                    found.add(&file, &detections(&manifest, &expected)?, &got);
                }
                _ => {}
            }
        }
        progress.show(index + 1);
    }
    drop(progress);
    let ran = samples.check_any()?;
    if truth.is_some() && unlabelled.len() == ran && !unlabelled.is_empty() {
        bail!(
            "{}: none of the files has a true class, {} for one",
            samples.folder().display(),
            unlabelled[0]
        );
    }
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
    Ok(Measured {
        samples: ran,
        outputs: reports.collect(),
        classes: match asked {
            Some(Question::Classes { output }) => classes.report(
                manifest
                    .outputs
                    .get(*output)
                    .map_or("", |it| it.name.as_str()),
            ),
            _ => None,
        },
        detections: found.map(Detections::report),
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

/// Does the reference have what the question is about?
fn is_there(question: &Question, manifest: &Manifest, other: &Manifest) -> bool {
    match question {
        Question::Classes { output } => manifest
            .outputs
            .get(*output)
            .is_some_and(|it| match_names([&it.name].into_iter(), &names(other))[0].is_some()),
        Question::Detections(_) => true,
    }
}

fn add(
    difference: &mut OutputDifference,
    (expected, theirs): (&Outputs<'_>, usize),
    (got, ours): (&Outputs<'_>, usize),
) -> anyhow::Result<()> {
    let (Some(expected), Some(got)) = (expected.get(theirs), got.get(ours)) else {
        return Ok(());
    };
    difference.add(
        (&numbers(&expected)?, expected.shape()),
        (&numbers(&got)?, got.shape()),
    );
    Ok(())
}
