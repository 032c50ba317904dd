use tfjet_core::{NetworkSpec, NetworkTensor};

use super::{Profile, ShapeRange};
use crate::{Builder, BuilderConfig, TensorRtError};

/// Adds the profiles of a network that has inputs of unknown size.
pub(super) fn add(
    builder: &Builder,
    config: &mut BuilderConfig<'_>,
    spec: &NetworkSpec,
    profiles: &[Profile],
) -> Result<(), TensorRtError> {
    let inputs: Vec<&NetworkTensor> = spec
        .inputs
        .iter()
        .filter_map(|&id| spec.tensor(id))
        .collect();
    let unknown = inputs.iter().find(|input| input.shape.as_fixed().is_none());
    let Some(unknown) = unknown else {
        return Ok(());
    };
    if profiles.is_empty() {
        return Err(TensorRtError::Network {
            network: spec.name.clone(),
            reason: format!(
                "input {} is {}, and no profile says for which sizes to build",
                unknown.name, unknown.shape
            ),
        });
    }
    for (index, profile) in profiles.iter().enumerate() {
        let fail = |reason: String| TensorRtError::Profile {
            profile: index,
            reason,
        };
        if profile.0.len() != inputs.len() {
            return Err(fail(format!(
                "has {} shapes for {} inputs",
                profile.0.len(),
                inputs.len()
            )));
        }
        let mut made = builder.profile()?;
        for (i, (input, range)) in inputs.iter().zip(&profile.0).enumerate() {
            check(input, range).map_err(fail)?;
            if input.shape.as_fixed().is_none() {
                made.set_dimensions(&format!("input:{i}"), &range.min, &range.opt, &range.max)?;
            }
        }
        config.add_profile(&made)?;
    }
    Ok(())
}

fn check(input: &NetworkTensor, range: &ShapeRange) -> Result<(), String> {
    let name = &input.name;
    for shape in [&range.min, &range.opt, &range.max] {
        if !input.shape.admits(shape) {
            return Err(format!(
                "{shape:?} does not fit {}, which is {name}'s",
                input.shape
            ));
        }
    }
    let ordered = |a: &[usize], b: &[usize]| a.iter().zip(b).all(|(a, b)| a <= b);
    if ordered(&range.min, &range.opt) && ordered(&range.opt, &range.max) {
        return Ok(());
    }
    Err(format!(
        "{name}: {:?}, {:?}, {:?} do not grow",
        range.min, range.opt, range.max
    ))
}
