use std::sync::Arc;

use tfjet_bundle::{Bundle, BundleError};
use tfjet_core::{Schedule, TensorView, ValueSource, WeightsEntry, WeightsTable};

use crate::SessionError;
use crate::slots::Slots;

/// Where a value lies during a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The caller's input of this index.
    Input(usize),
    /// The constant of this index.
    Constant(usize),
    /// The buffer of this index.
    Buffer(usize),
}

/// The schedule's constants, which stay in the bundle.
#[derive(Debug)]
pub(crate) struct Constants {
    bundle: Arc<Bundle>,
    entries: Vec<WeightsEntry>,
}

impl Constants {
    pub(crate) fn view(&self, constant: usize) -> Result<TensorView<'_>, BundleError> {
        self.bundle.weights_view(&self.entries[constant])
    }
}

/// Where each value of `schedule` lies, and its constants.
pub(crate) fn locate(
    schedule: &Schedule,
    slots: &Slots,
    bundle: &Arc<Bundle>,
    table: &WeightsTable,
) -> Result<(Vec<Source>, Constants), SessionError> {
    let refused = |what, value: usize, problem| SessionError::Interface {
        what,
        name: schedule.values[value].name.clone(),
        problem,
    };
    let mut positions: Vec<Option<usize>> = vec![None; schedule.values.len()];
    for (position, id) in schedule.inputs.iter().enumerate() {
        let value = id.index();
        if schedule.values[value].source != ValueSource::Input {
            return Err(refused("input", value, "the caller is not to give it"));
        }
        if positions[value].replace(position).is_some() {
            return Err(refused("input", value, "the schedule takes it twice"));
        }
    }
    let mut constants = Constants {
        bundle: bundle.clone(),
        entries: Vec::new(),
    };
    let mut sources = Vec::with_capacity(schedule.values.len());
    for (value, described) in schedule.values.iter().enumerate() {
        sources.push(match described.source {
            ValueSource::Input => {
                Source::Input(positions[value].ok_or_else(|| {
                    refused("input", value, "it is not among the schedule's inputs")
                })?)
            }
            ValueSource::Constant(id) => {
                let entry = table.get(id).cloned();
                let entry = entry.ok_or_else(|| {
                    refused("constant", value, "its weights are not in the table")
                })?;
                constants.entries.push(entry);
                let constant = constants.entries.len() - 1;
                constants.view(constant)?;
                Source::Constant(constant)
            }
            ValueSource::Computed | ValueSource::Argument => {
                Source::Buffer(slots.of_value[value].unwrap_or_default())
            }
        });
    }
    Ok((sources, constants))
}
