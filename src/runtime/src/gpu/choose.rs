//! Which residual ops run on the device.

use tfjet_core::{Shape, Step, Value, ValueId};

use crate::steps::Steps;

/// A result of fewer elements is worth no kernel launch where the host reads it next: moving a
/// few kilobytes on the host takes less time than starting a kernel.
const WORTH_ELEMENTS: usize = 4096;

/// What the device could do with a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer<'a> {
    /// It has an engine.
    Engine,
    /// It has kernels for the op, which read the inputs of these indices on the host.
    Op { host_inputs: &'a [usize] },
    /// Nothing.
    Nothing,
}

/// Which steps run on the device: all engines, and the residual ops that
/// - read what a step on the device made, in the type that the schedule says (`plain`, for each
///   value), and
/// - feed a step on the device, or make a large result of nothing but the device's values, and
/// - need nothing on the host that the device makes, and
/// - in a function, look at nothing that a loop may change, and take from the host nothing whose
///   shape it may change: a block is made anew for both.
///
/// Values from outside a function are the device's there if they are so outside. What a function
/// takes and gives lies on the host.
pub(crate) fn choose(steps: &Steps<'_>, offers: &[Offer<'_>], plain: &[bool]) -> Vec<bool> {
    let values = &steps.schedule().values;
    let mut on_device = vec![false; values.len()];
    let mut chosen = vec![false; steps.len()];
    let mut mixed = vec![false; steps.len()];
    for (index, step) in steps.iter() {
        let is_in_function = steps.scope_of_step(index) != 0;
        let may_change = |id: ValueId| is_in_function && steps.scope_of_value(id) != 0;
        chosen[index] = match offers[index] {
            Offer::Engine => true,
            Offer::Nothing => false,
            Offer::Op { host_inputs } => {
                let (mut device, mut host, mut fits) = (0, 0, true);
                for (input, id) in step.inputs().iter().enumerate() {
                    let value = id.index();
                    if host_inputs.contains(&input) {
                        fits &= !on_device[value] && !may_change(*id);
                    } else if on_device[value] {
                        fits &= plain[value];
                        device += 1;
                    } else if !steps.is_constant(*id) {
                        fits &= !may_change(*id) || is_fixed(&values[value]);
                        host += 1;
                    }
                }
                mixed[index] = host > 0;
                fits && device > 0
            }
        };
        if chosen[index] {
            for id in step.outputs() {
                on_device[id.index()] = true;
            }
        }
    }
    let mut read_on_device = vec![false; values.len()];
    for (index, step) in steps.iter().rev() {
        if let (true, Offer::Op { .. }) = (chosen[index], offers[index]) {
            let feeds = step.outputs().iter().any(|id| read_on_device[id.index()]);
            let large = step
                .outputs()
                .iter()
                .any(|id| is_large(&values[id.index()]));
            chosen[index] = feeds || (large && !mixed[index]);
        }
        if chosen[index] {
            let read_on_host: &[usize] = match offers[index] {
                Offer::Op { host_inputs } => host_inputs,
                Offer::Engine | Offer::Nothing => &[],
            };
            for (input, id) in step.inputs().iter().enumerate() {
                read_on_device[id.index()] |= !read_on_host.contains(&input);
            }
        }
    }
    chosen
}

fn is_fixed(value: &Value) -> bool {
    value.shape.as_ref().and_then(Shape::elements).is_some()
}

fn is_large(value: &Value) -> bool {
    let elements = value.shape.as_ref().and_then(Shape::elements);
    elements.is_none_or(|elements| elements >= WORTH_ELEMENTS)
}

/// For people: how many of the residual ops run on the device.
pub(crate) fn residual_on_device(steps: &Steps<'_>, chosen: &[bool]) -> (usize, usize) {
    let residual = steps
        .iter()
        .zip(chosen)
        .filter(|((_, step), _)| matches!(step, Step::Residual { .. }));
    residual.fold((0, 0), |(device, all), (_, &chosen)| {
        (device + usize::from(chosen), all + 1)
    })
}

#[cfg(test)]
mod tests;
