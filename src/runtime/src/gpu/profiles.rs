//! Optimization profiles of engines, and which of them serves which shapes.

use tfjet_tensorrt::{Engine, TensorRtError};

/// Smallest, best and largest shape of an input.
pub(super) type Range = [Vec<u64>; 3];

/// Most profiles that an error tells.
const SHOWN: usize = 8;

/// The profile for inputs of these shapes, of an engine with `profiles` as
/// [`EngineHeader::profiles`](tfjet_bundle::EngineHeader::profiles) has them: of those that allow
/// the shapes the first whose best shapes they are, else the one whose largest shapes are the
/// smallest. `None` where there is none. An engine whose header has no profiles takes fixed shapes
/// only, and its profile is 0.
pub fn profile_for(profiles: &[Vec<Range>], shapes: &[&[usize]]) -> Option<usize> {
    if profiles.is_empty() {
        return Some(0);
    }
    let allows = |profile: &[Range]| {
        profile.len() == shapes.len()
            && profile
                .iter()
                .zip(shapes)
                .all(|([min, _, max], shape)| lies_within(shape, min, max))
    };
    let is_best = |profile: &[Range]| {
        let mut inputs = profile.iter().zip(shapes);
        inputs.all(|([_, opt, _], shape)| lies_within(shape, opt, opt))
    };
    let allowing = profiles.iter().enumerate().filter(|(_, it)| allows(it));
    allowing
        .min_by_key(|(_, profile)| match is_best(profile) {
            true => (false, 0),
            false => (true, elements(profile)),
        })
        .map(|(index, _)| index)
}

fn lies_within(shape: &[usize], min: &[u64], max: &[u64]) -> bool {
    shape.len() == min.len()
        && shape.len() == max.len()
        && shape
            .iter()
            .zip(min.iter().zip(max))
            .all(|(&size, (&min, &max))| (min..=max).contains(&(size as u64)))
}

/// Elements of the largest shapes of all inputs.
fn elements(profile: &[Range]) -> u64 {
    let largest = profile.iter().map(|[_, _, max]| {
        let sizes = max.iter().copied();
        sizes.fold(1, u64::saturating_mul)
    });
    largest.fold(0, u64::saturating_add)
}

/// The profiles of an engine, for its inputs in the order of [`Engine::io`].
pub(super) fn of_engine(engine: &Engine) -> Result<Vec<Vec<Range>>, TensorRtError> {
    let sizes = |dims: Vec<i64>| -> Vec<u64> {
        let sizes = dims.into_iter().map(u64::try_from);
        sizes.map(Result::unwrap_or_default).collect()
    };
    let profiles = (0..engine.profile_count()).map(|profile| {
        let inputs = engine.io().iter().filter(|tensor| tensor.is_input);
        inputs
            .map(|tensor| {
                if tensor.dims.iter().all(|&size| size >= 0) {
                    return Ok([(); 3].map(|()| sizes(tensor.dims.clone())));
                }
                let dims = engine.profile_dims(&tensor.name, profile)?;
                Ok(dims.map(sizes))
            })
            .collect()
    });
    profiles.collect()
}

/// `input:0 9x3`.
pub(super) fn shapes_text(names: &[&str], shapes: &[&[usize]]) -> String {
    let inputs = names.iter().zip(shapes);
    let texts: Vec<String> = inputs
        .map(|(name, shape)| format!("{name} {}", sizes_text(shape)))
        .collect();
    texts.join(", ")
}

/// `input:0 1x3 to 8x3`, the profiles with `or` between them.
pub(super) fn profiles_text(names: &[&str], profiles: &[Vec<Range>]) -> String {
    let mut texts: Vec<String> = profiles
        .iter()
        .take(SHOWN)
        .map(|profile| {
            let inputs = names.iter().zip(profile);
            let texts: Vec<String> = inputs
                .map(|(name, [min, _, max])| match min == max {
                    true => format!("{name} {}", sizes_text(min)),
                    false => format!("{name} {} to {}", sizes_text(min), sizes_text(max)),
                })
                .collect();
            texts.join(", ")
        })
        .collect();
    if let Some(more) = profiles.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        texts.push(format!("{more} more"));
    }
    texts.join("; or ")
}

fn sizes_text<T: ToString>(sizes: &[T]) -> String {
    let sizes: Vec<String> = sizes.iter().map(T::to_string).collect();
    match sizes.is_empty() {
        true => "of no dimension".into(),
        false => sizes.join("x"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(min: &[u64], opt: &[u64], max: &[u64]) -> Range {
        [min.to_vec(), opt.to_vec(), max.to_vec()]
    }

    #[test]
    fn the_best_profile_serves_and_else_the_smallest() {
        let one = |size: u64| vec![range(&[size, 3], &[size, 3], &[size, 3])];
        let from_one = |best, size| vec![range(&[1, 3], &[best, 3], &[size, 3])];
        let profiles = [
            from_one(64, 64),
            one(2),
            from_one(4, 8),
            one(4),
            from_one(8, 8),
        ];
        for (rows, expected) in [
            (1, Some(2)),
            (2, Some(1)),
            (3, Some(2)),
            (4, Some(2)),
            (8, Some(4)),
            (9, Some(0)),
            (64, Some(0)),
            (65, None),
            (0, None),
        ] {
            assert_eq!(profile_for(&profiles, &[&[rows, 3]]), expected, "{rows}");
        }
        for shapes in [&[&[1, 4][..]][..], &[&[1]], &[], &[&[1, 3], &[1, 3]]] {
            assert_eq!(profile_for(&profiles, shapes), None, "{shapes:?}");
        }
    }

    #[test]
    fn all_inputs_count() {
        let profiles = [
            vec![range(&[1], &[4], &[4]), range(&[1], &[9], &[9])],
            vec![range(&[1], &[4], &[8]), range(&[1], &[2], &[2])],
        ];
        for (shapes, expected) in [
            ([4, 9], Some(0)),
            ([4, 2], Some(1)),
            ([4, 1], Some(1)),
            ([8, 9], None),
        ] {
            let shapes = shapes.map(|size| [size]);
            let shapes: Vec<&[usize]> = shapes.iter().map(|shape| &shape[..]).collect();
            assert_eq!(profile_for(&profiles, &shapes), expected, "{shapes:?}");
        }
    }

    #[test]
    fn shapes_are_told_as_users_write_them() {
        let names = ["input:0", "input:1"];
        let text = shapes_text(&names, &[&[9, 3], &[]]);
        assert_eq!(text, "input:0 9x3, input:1 of no dimension");
        let profile = |size| vec![range(&[1, 3], &[2, 3], &[size, 3]), range(&[7], &[7], &[7])];
        let profiles: Vec<_> = (1..=9).map(profile).collect();
        let text = profiles_text(&names, &profiles[..2]);
        assert_eq!(
            text,
            "input:0 1x3, input:1 7; or input:0 1x3 to 2x3, input:1 7"
        );
        assert!(profiles_text(&names, &profiles).ends_with("8x3, input:1 7; or 1 more"));
    }

    #[test]
    fn an_engine_of_fixed_shapes_needs_no_profile() {
        assert_eq!(profile_for(&[], &[&[1, 3]]), Some(0));
    }
}
