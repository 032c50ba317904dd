use heapless::Vec;
use tfjet_core::TensorView;

use super::{Class, Found, MAX_CLASSES, Results, bad, keep_best, numbers::Numbers};
use crate::VideoError;

const NAME: &str = "classify";

/// The `top_k` best of one vector of scores.
pub(super) fn classify(
    view: TensorView<'_>,
    output: usize,
    top_k: usize,
    results: &mut Results,
) -> Result<(), VideoError> {
    if top_k == 0 || top_k > MAX_CLASSES {
        let reason = format!("top_k is {top_k}, expected 1 to {MAX_CLASSES}");
        return Err(bad(NAME, output, reason));
    }
    let shape = view.shape();
    if view.elements() == 0 || shape.last() != Some(&view.elements()) {
        let reason = format!("shape {shape:?}, expected [1, classes]");
        return Err(bad(NAME, output, reason));
    }
    let scores = Numbers::new(NAME, output, view)?;
    let mut best: Vec<Class, MAX_CLASSES> = Vec::new();
    let mut lowest = None;
    for index in 0..scores.len() {
        let score = scores.get(index);
        if !score.is_finite() {
            results.not_finite += 1;
            continue;
        }
        let class = i32::try_from(index).unwrap_or(i32::MAX);
        let item = Class { class, score };
        keep_best(&mut best, top_k, &mut lowest, item, |class| class.score);
    }
    best.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.class.cmp(&b.class)));
    results.found = Found::Classes(best);
    Ok(())
}

#[cfg(test)]
mod tests {
    use tfjet_core::{Decoder, Tensor};

    use super::*;
    use crate::{Placement, decode};

    fn run(tensor: &Tensor, top_k: usize) -> Result<Results, VideoError> {
        let mut results = Results::default();
        let decoder = Decoder::Classify { output: 0, top_k };
        let placement = Placement::identity(1, 1);
        decode(&decoder, &[tensor.view()], &placement, &mut results)?;
        Ok(results)
    }

    #[test]
    fn takes_the_best_in_order() {
        let scores = [0.1, f32::NAN, 0.5, 0.05, 0.5, 0.2];
        for shape in [&[6][..], &[1, 6], &[1, 1, 1, 6]] {
            let tensor = Tensor::from_slice(shape, &scores).unwrap();
            let results = run(&tensor, 3).unwrap();
            let ids: std::vec::Vec<_> = results.classes().iter().map(|class| class.class).collect();
            assert_eq!(ids, [2, 4, 5]);
            assert_eq!((results.not_finite, results.left_out), (1, 0));
        }
        let bytes = Tensor::from_slice(&[1, 3], &[1u8, 200, 3]).unwrap();
        let results = run(&bytes, 64).unwrap();
        assert_eq!(
            results.classes()[0],
            Class {
                class: 1,
                score: 200.0
            }
        );
        assert_eq!(results.classes().len(), 3);
    }

    #[test]
    fn refuses_bad_shapes() {
        for shape in [&[2, 3][..], &[6, 1], &[], &[0]] {
            let len = shape.iter().product::<usize>();
            let tensor = Tensor::from_slice(shape, &vec![0.0f32; len]).unwrap();
            assert!(run(&tensor, 1).is_err(), "{shape:?}");
        }
        let tensor = Tensor::from_slice(&[1, 3], &[0.0f32; 3]).unwrap();
        assert!(run(&tensor, 0).is_err());
        assert!(run(&tensor, 65).is_err());
        assert!(run(&Tensor::from_bools(&[1], &[true]).unwrap(), 1).is_err());
    }
}
