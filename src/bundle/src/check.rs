use tfjet_core::{
    Decoder, Manifest, NetworkSpec, Schedule, SchedulePlace, Step, TensorId, ValueSource,
    WeightsId, WeightsTable,
};

use crate::SectionProblem;

/// Tensors exist, are made once, and before they are read.
pub(crate) fn check_network(network: &NetworkSpec) -> Result<(), SectionProblem> {
    let count = network.tensors.len();
    let mut made = vec![false; count];
    let position = |id: TensorId, place: &dyn Fn() -> String| {
        usize::try_from(id.0)
            .ok()
            .filter(|&position| position < count)
            .ok_or_else(|| no_such(place(), "tensor", id.0, count))
    };
    let name = |position: usize| network.tensors[position].name.clone();
    let inputs = || "the list of inputs".to_owned();
    for &id in &network.inputs {
        let tensor = position(id, &inputs)?;
        if std::mem::replace(&mut made[tensor], true) {
            return Err(SectionProblem::MadeTwice {
                place: inputs(),
                tensor: name(tensor),
            });
        }
    }
    for layer in &network.layers {
        let place = || format!("layer `{}`", layer.name);
        for &id in &layer.inputs {
            let tensor = position(id, &place)?;
            if !made[tensor] {
                return Err(SectionProblem::ReadBeforeMade {
                    place: place(),
                    tensor: name(tensor),
                });
            }
        }
        for &id in &layer.outputs {
            let tensor = position(id, &place)?;
            if std::mem::replace(&mut made[tensor], true) {
                return Err(SectionProblem::MadeTwice {
                    place: place(),
                    tensor: name(tensor),
                });
            }
        }
    }
    let outputs = || "the list of outputs".to_owned();
    for &id in &network.outputs {
        let tensor = position(id, &outputs)?;
        if !made[tensor] {
            return Err(SectionProblem::ReadBeforeMade {
                place: outputs(),
                tensor: name(tensor),
            });
        }
    }
    Ok(())
}

/// The weights that a network refers to are in the table.
pub(crate) fn check_network_weights(
    network: &NetworkSpec,
    table: &WeightsTable,
) -> Result<(), SectionProblem> {
    for layer in &network.layers {
        for id in layer.layer.weights() {
            if table.get(id).is_none() {
                return Err(no_such_weights(
                    format!("layer `{}`", layer.name),
                    id,
                    table,
                ));
            }
        }
    }
    Ok(())
}

/// Engine steps fit the networks, constants fit the table.
pub(crate) fn check_schedule(
    schedule: &Schedule,
    networks: &[NetworkSpec],
    table: &WeightsTable,
) -> Result<(), SectionProblem> {
    for value in &schedule.values {
        let ValueSource::Constant(id) = value.source else {
            continue;
        };
        let Some(entry) = table.get(id) else {
            return Err(no_such_weights(
                format!("value `{}`", value.name),
                id,
                table,
            ));
        };
        let shape_fits = value
            .shape
            .as_ref()
            .is_none_or(|shape| shape.admits(&entry.shape));
        if value.dtype != entry.dtype || !shape_fits {
            return Err(SectionProblem::Constant {
                value: value.name.clone(),
                weights: id.0,
            });
        }
    }
    let own = schedule.steps.iter().enumerate().map(|step| (None, step));
    let inner = schedule.functions.iter().flat_map(|function| {
        let steps = function.steps.iter().enumerate();
        steps.map(move |step| (Some(&function.name), step))
    });
    for (function, (index, step)) in own.chain(inner) {
        let Step::Engine {
            segment,
            inputs,
            outputs,
        } = step
        else {
            continue;
        };
        let place = || {
            let place = SchedulePlace {
                function: function.cloned(),
                step: Some(index),
            };
            place.to_string()
        };
        let network = usize::try_from(*segment)
            .ok()
            .and_then(|segment| networks.get(segment))
            .ok_or_else(|| no_such(place(), "segment", *segment, networks.len()))?;
        expect_count(
            place(),
            "inputs",
            inputs.len(),
            "network",
            network.inputs.len(),
        )?;
        expect_count(
            place(),
            "outputs",
            outputs.len(),
            "network",
            network.outputs.len(),
        )?;
    }
    Ok(())
}

/// The manifest counts inputs and outputs as the schedule does, and refers to such as exist.
pub(crate) fn check_manifest(
    manifest: &Manifest,
    schedule: &Schedule,
) -> Result<(), SectionProblem> {
    let (inputs, outputs) = (manifest.inputs.len(), manifest.outputs.len());
    let it = || "the manifest".to_owned();
    expect_count(it(), "inputs", inputs, "schedule", schedule.inputs.len())?;
    expect_count(it(), "outputs", outputs, "schedule", schedule.outputs.len())?;
    if let Some(preprocess) = &manifest.preprocess
        && preprocess.input >= inputs
    {
        let place = "the pre-processing".to_owned();
        return Err(no_such(place, "input", preprocess.input as u64, inputs));
    }
    let referred = match &manifest.decoder {
        Decoder::Raw => Vec::new(),
        Decoder::Classify { output, .. } | Decoder::DetectRows { output, .. } => vec![*output],
        Decoder::DetectSsd {
            boxes,
            scores,
            classes,
            count,
            ..
        } => [boxes, scores, classes]
            .into_iter()
            .chain(count)
            .copied()
            .collect(),
    };
    match referred.into_iter().find(|&output| output >= outputs) {
        Some(output) => {
            let place = "the decoder".to_owned();
            Err(no_such(place, "output", output as u64, outputs))
        }
        None => Ok(()),
    }
}

pub(crate) fn expect_count(
    place: String,
    what: &'static str,
    found: usize,
    other: &'static str,
    expected: usize,
) -> Result<(), SectionProblem> {
    if found == expected {
        return Ok(());
    }
    Err(SectionProblem::Count {
        place,
        what,
        found,
        other,
        expected,
    })
}

fn no_such_weights(place: String, id: WeightsId, table: &WeightsTable) -> SectionProblem {
    no_such(place, "weights", id.0, table.entries.len())
}

pub(crate) fn no_such(
    place: String,
    what: &'static str,
    index: impl Into<u64>,
    count: usize,
) -> SectionProblem {
    SectionProblem::NoSuch {
        place,
        what,
        index: index.into(),
        count,
    }
}
