//! Running loops and conditions.

use std::mem::swap;

use tfjet_core::{DType, TensorView};

use super::{Given, Program, ReadyItem, Running, check_output};
use crate::SessionError;
use crate::buffers::Buffer;
use crate::gpu::GpuExecutor;
use crate::sources::Source;

pub(super) mod moves;

use moves::Move;

pub(super) struct Loop {
    /// Scope of the condition.
    pub(super) condition: usize,
    /// Scope of the body.
    pub(super) body: usize,
    /// The condition's result.
    pub(super) predicate: Source,
    /// What brings the first values to their buffers.
    pub(super) start: Vec<Move>,
    /// What brings a pass's results to the buffers of the next.
    pub(super) next: Vec<Move>,
}

pub(super) struct Branches {
    pub(super) then_branch: Branch,
    pub(super) else_branch: Branch,
}

pub(super) struct Branch {
    pub(super) scope: usize,
    /// What brings the results to the step's outputs.
    pub(super) moves: Vec<Move>,
}

impl Program {
    pub(super) fn run_loop(
        &self,
        item: &ReadyItem,
        control: &Loop,
        given: &Given<'_>,
        buffers: &mut [Buffer],
        running: &mut Running,
    ) -> Result<(), SessionError> {
        let mut pass = 0u64;
        let result = self.passes(control, given, buffers, running, &mut pass);
        running.clocks[item.step].passes += pass;
        result.map_err(|source| SessionError::InLoop {
            node: node(given, item),
            pass: pass + 1,
            source: Box::new(source),
        })?;
        check_outputs(item, given, buffers)
    }

    /// `passes` counts those that are finished.
    fn passes(
        &self,
        control: &Loop,
        given: &Given<'_>,
        buffers: &mut [Buffer],
        running: &mut Running,
        passes: &mut u64,
    ) -> Result<(), SessionError> {
        apply(&control.start, given, buffers)?;
        let outer = running.gpu.as_mut().map(GpuExecutor::enter_loop);
        let result = self.repeat(control, given, buffers, running, passes);
        if let (Some(gpu), Some(outer)) = (&mut running.gpu, outer) {
            gpu.leave_loop(outer);
        }
        result
    }

    fn repeat(
        &self,
        control: &Loop,
        given: &Given<'_>,
        buffers: &mut [Buffer],
        running: &mut Running,
        passes: &mut u64,
    ) -> Result<(), SessionError> {
        loop {
            if self.stop.is_set() {
                return Err(SessionError::Stopped);
            }
            self.scope(control.condition, given, buffers, running)?;
            if !holds(&given.view(control.predicate, buffers)?) {
                return Ok(());
            }
            self.scope(control.body, given, buffers, running)?;
            apply(&control.next, given, buffers)?;
            *passes += 1;
        }
    }

    pub(super) fn run_branch(
        &self,
        item: &ReadyItem,
        control: &Branches,
        given: &Given<'_>,
        buffers: &mut [Buffer],
        running: &mut Running,
    ) -> Result<(), SessionError> {
        let predicate = item.inputs.first().copied();
        let predicate = predicate.unwrap_or(Source::Constant(0));
        let (name, branch) = match holds(&given.view(predicate, buffers)?) {
            true => ("then", &control.then_branch),
            false => ("else", &control.else_branch),
        };
        self.scope(branch.scope, given, buffers, running)
            .and_then(|()| apply(&branch.moves, given, buffers))
            .and_then(|()| check_outputs(item, given, buffers))
            .map_err(|source| SessionError::InBranch {
                node: node(given, item),
                branch: name,
                source: Box::new(source),
            })
    }
}

fn node(given: &Given<'_>, item: &ReadyItem) -> String {
    let step = given.schedule.all_steps().nth(item.step);
    step.and_then(|step| step.node())
        .unwrap_or_default()
        .to_owned()
}

fn check_outputs(
    item: &ReadyItem,
    given: &Given<'_>,
    buffers: &[Buffer],
) -> Result<(), SessionError> {
    let made = item.makes.iter().zip(&item.outputs);
    made.into_iter().try_for_each(|(id, &slot)| {
        check_output(item.index, given.value(*id), &buffers[slot].tensor.view())
    })
}

fn apply(moves: &[Move], given: &Given<'_>, buffers: &mut [Buffer]) -> Result<(), SessionError> {
    for step in moves {
        match *step {
            Move::Copy { from, to, value } => {
                let copied = match from {
                    Source::Buffer(from) => match buffers.get_disjoint_mut([from, to]) {
                        Ok([from, to]) => to.tensor.copy_from(&from.tensor.view()),
                        Err(_) => continue,
                    },
                    Source::Input(input) => buffers[to].tensor.copy_from(&given.inputs[input]),
                    Source::Constant(constant) => {
                        let view = given.constants.view(constant)?;
                        buffers[to].tensor.copy_from(&view)
                    }
                };
                copied.map_err(|source| SessionError::Carried {
                    value: given.value(value).name.clone(),
                    source,
                })?;
                buffers[to].filled();
            }
            Move::Swap { from, to } => {
                if let Ok([from, to]) = buffers.get_disjoint_mut([from, to]) {
                    swap(&mut from.tensor, &mut to.tensor);
                    to.filled();
                }
            }
        }
    }
    Ok(())
}

/// Does a predicate hold? As TensorFlow has it: a scalar where it is not zero, any other tensor
/// where it has elements.
fn holds(predicate: &TensorView<'_>) -> bool {
    if !predicate.shape().is_empty() {
        return predicate.elements() > 0;
    }
    let bytes = predicate.bytes();
    match predicate.dtype() {
        // The sign of a zero is its highest bit.
        DType::F64 | DType::F32 | DType::F16 => match bytes.split_last() {
            Some((last, rest)) => last & 0x7f != 0 || rest.iter().any(|&byte| byte != 0),
            None => false,
        },
        _ => bytes.iter().any(|&byte| byte != 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tfjet_core::Tensor;

    #[test]
    fn predicates_are_tensorflows() {
        for (tensor, expected) in [
            (Tensor::from_bools(&[], &[true]), true),
            (Tensor::from_bools(&[], &[false]), false),
            (Tensor::from_bools(&[1], &[false]), true),
            (Tensor::from_bools(&[0], &[]), false),
            (Tensor::from_slice(&[], &[0i32]), false),
            (Tensor::from_slice(&[], &[256i32]), true),
            (Tensor::from_slice(&[], &[-0.0f32]), false),
            (Tensor::from_slice(&[], &[-0.5f32]), true),
            (Tensor::from_slice(&[], &[f32::NAN]), true),
            (Tensor::from_slice(&[], &[1u8]), true),
        ] {
            let tensor = tensor.unwrap();
            assert_eq!(holds(&tensor.view()), expected, "{tensor:?}");
        }
    }
}
