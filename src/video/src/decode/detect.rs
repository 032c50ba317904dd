use heapless::Vec;
use tfjet_core::{BoxColumns, TensorView};

use super::{Detection, Detections, Found, Results, bad, keep_best, numbers::Numbers};
use crate::{Placement, VideoError};

pub(super) const SSD: &str = "detect-ssd";
pub(super) const ROWS: &str = "detect-rows";

/// An output and its index.
type Indexed<'a> = (usize, TensorView<'a>);

/// The outputs of a TensorFlow Object Detection API graph.
pub(super) struct Ssd<'a> {
    pub(super) boxes: Indexed<'a>,
    pub(super) scores: Indexed<'a>,
    pub(super) classes: Indexed<'a>,
    pub(super) count: Option<Indexed<'a>>,
}

impl Ssd<'_> {
    pub(super) fn decode(
        &self,
        threshold: f32,
        placement: &Placement,
        results: &mut Results,
    ) -> Result<(), VideoError> {
        let n = match self.boxes.1.shape() {
            [1, n, 4] | [n, 4] => *n,
            other => {
                let reason = format!("shape {other:?}, expected [1, n, 4]");
                return Err(bad(SSD, self.boxes.0, reason));
            }
        };
        for (index, view) in [self.scores, self.classes] {
            if !matches!(view.shape(), [1, m] | [m] if *m == n) {
                let reason = format!("shape {:?}, expected [1, {n}]", view.shape());
                return Err(bad(SSD, index, reason));
            }
        }
        let boxes = Numbers::new(SSD, self.boxes.0, self.boxes.1)?;
        let scores = Numbers::new(SSD, self.scores.0, self.scores.1)?;
        let classes = Numbers::new(SSD, self.classes.0, self.classes.1)?;
        let rows = self.rows(n)?;
        let (width, height) = (placement.model.0 as f32, placement.model.1 as f32);
        let mut best = Best::new(threshold, placement);
        for row in 0..rows {
            let at = row * 4;
            let [y1, x1, y2, x2] = [0, 1, 2, 3].map(|column| boxes.get(at + column));
            let model = [x1 * width, y1 * height, x2 * width, y2 * height];
            best.add(model, scores.get(row), classes.get(row), results);
        }
        best.finish(results);
        Ok(())
    }

    /// How many of the `n` rows count.
    fn rows(&self, n: usize) -> Result<usize, VideoError> {
        let Some((index, view)) = self.count else {
            return Ok(n);
        };
        if view.elements() != 1 {
            let reason = format!("shape {:?}, expected [1]", view.shape());
            return Err(bad(SSD, index, reason));
        }
        let count = Numbers::new(SSD, index, view)?.get(0);
        if !(count >= 0.0 && count <= n as f32) {
            return Err(bad(
                SSD,
                index,
                format!("count is {count}, expected 0 to {n}"),
            ));
        }
        Ok(count.round() as usize)
    }
}

/// One output with a row per detection.
pub(super) fn rows(
    (index, view): Indexed<'_>,
    columns: &BoxColumns,
    normalized: bool,
    threshold: f32,
    placement: &Placement,
    results: &mut Results,
) -> Result<(), VideoError> {
    let (n, width) = match view.shape() {
        [n, width] | [1, n, width] => (*n, *width),
        other => {
            let reason = format!("shape {other:?}, expected [n, columns] or [1, n, columns]");
            return Err(bad(ROWS, index, reason));
        }
    };
    let BoxColumns {
        x1,
        y1,
        x2,
        y2,
        score,
        class,
    } = *columns;
    for (name, column) in [
        ("x1", x1),
        ("y1", y1),
        ("x2", x2),
        ("y2", y2),
        ("score", score),
        ("class", class),
    ] {
        if column >= width {
            let reason = format!("column {column} for {name}, but a row has only {width}");
            return Err(bad(ROWS, index, reason));
        }
    }
    let values = Numbers::new(ROWS, index, view)?;
    let factor = if normalized {
        (placement.model.0 as f32, placement.model.1 as f32)
    } else {
        (1.0, 1.0)
    };
    let mut best = Best::new(threshold, placement);
    for row in 0..n {
        let value = |column: usize| values.get(row * width + column);
        let model = [
            value(x1) * factor.0,
            value(y1) * factor.1,
            value(x2) * factor.0,
            value(y2) * factor.1,
        ];
        best.add(model, value(score), value(class), results);
    }
    best.finish(results);
    Ok(())
}

/// Collects the best detections of a frame.
struct Best<'a> {
    kept: Detections,
    lowest: Option<usize>,
    threshold: f32,
    placement: &'a Placement,
}

impl<'a> Best<'a> {
    fn new(threshold: f32, placement: &'a Placement) -> Self {
        Self {
            kept: Vec::new(),
            lowest: None,
            threshold,
            placement,
        }
    }

    /// Takes a row: a box in pixels of the model's image, score, class.
    fn add(&mut self, model: [f32; 4], score: f32, class: f32, results: &mut Results) {
        if score < self.threshold {
            return;
        }
        if !score.is_finite() || !class.is_finite() || !model.iter().all(|v| v.is_finite()) {
            results.not_finite += 1;
            return;
        }
        let detection = Detection {
            class: class.round() as i32,
            score,
            box_: self.placement.box_to_source(model),
        };
        let limit = self.kept.capacity();
        if keep_best(&mut self.kept, limit, &mut self.lowest, detection, |d| {
            d.score
        }) {
            results.left_out += 1;
        }
    }

    fn finish(mut self, results: &mut Results) {
        self.kept.sort_unstable_by(|a, b| {
            b.score
                .total_cmp(&a.score)
                .then(a.class.cmp(&b.class))
                .then(a.box_[0].total_cmp(&b.box_[0]))
                .then(a.box_[1].total_cmp(&b.box_[1]))
        });
        results.found = Found::Detections(self.kept);
    }
}

#[cfg(test)]
mod tests {
    use tfjet_core::{Decoder, Tensor};

    use super::*;
    use crate::{MAX_DETECTIONS, decode};

    const CENTERNET: BoxColumns = BoxColumns {
        x1: 0,
        y1: 1,
        x2: 2,
        y2: 3,
        score: 4,
        class: 5,
    };

    fn placement() -> Placement {
        Placement {
            model: (100, 100),
            source: (200, 100),
            offset: (0.0, 25.0),
            scale: (2.0, 2.0),
        }
    }

    fn run(decoder: &Decoder, outputs: &[Tensor]) -> Result<Results, VideoError> {
        let views: std::vec::Vec<_> = outputs.iter().map(Tensor::view).collect();
        let mut results = Results::default();
        decode(decoder, &views, &placement(), &mut results)?;
        Ok(results)
    }

    fn row_decoder(normalized: bool) -> Decoder {
        Decoder::DetectRows {
            output: 0,
            columns: CENTERNET,
            normalized,
            threshold: 0.25,
        }
    }

    fn ssd_decoder(count: Option<usize>) -> Decoder {
        Decoder::DetectSsd {
            boxes: 0,
            scores: 1,
            classes: 2,
            count,
            class_offset: 1,
            threshold: 0.5,
        }
    }

    #[test]
    fn rows_become_boxes_in_the_frame() {
        let table = [
            [10.0, 35.0, 20.0, 45.0, 0.5, 2.0],
            [-10.0, 25.0, 200.0, 300.0, 0.9, 0.0],
            [0.0, 0.0, 9.0, 9.0, 0.2, 0.0],
            [0.0, 0.0, 9.0, 9.0, f32::NAN, 0.0],
            [0.0, f32::INFINITY, 9.0, 9.0, 0.8, 0.0],
        ];
        let expected = [
            Detection {
                class: 0,
                score: 0.9,
                box_: [0.0, 0.0, 200.0, 100.0],
            },
            Detection {
                class: 2,
                score: 0.5,
                box_: [20.0, 20.0, 40.0, 40.0],
            },
        ];
        let pixels = Tensor::from_slice(&[1, 5, 6], table.as_flattened()).unwrap();
        let results = run(&row_decoder(false), &[pixels]).unwrap();
        assert_eq!(results.detections(), expected);
        assert_eq!((results.not_finite, results.left_out), (2, 0));

        let share =
            table.map(|[x1, y1, x2, y2, s, c]| [x1 / 100., y1 / 100., x2 / 100., y2 / 100., s, c]);
        let shares = Tensor::from_slice(&[5, 6], share.as_flattened()).unwrap();
        let results = run(&row_decoder(true), &[shares]).unwrap();
        for (found, expected) in results.detections().iter().zip(expected) {
            for (a, b) in found.box_.iter().zip(expected.box_) {
                assert!((a - b).abs() < 1e-4, "{found:?} {expected:?}");
            }
        }
    }

    #[test]
    fn overflow_keeps_the_best_and_counts_the_rest() {
        let n = MAX_DETECTIONS + 50;
        let values: std::vec::Vec<f32> = (0..n)
            .flat_map(|i| {
                [
                    0.0,
                    0.0,
                    1.0,
                    1.0,
                    0.3 + ((i * 7919) % n) as f32 / 1000.0,
                    0.0,
                ]
            })
            .collect();
        let results = run(
            &row_decoder(false),
            &[Tensor::from_slice(&[n, 6], &values).unwrap()],
        )
        .unwrap();
        let scores: std::vec::Vec<_> = results.detections().iter().map(|d| d.score).collect();
        let mut expected: std::vec::Vec<_> = (0..n).map(|i| 0.3 + i as f32 / 1000.0).collect();
        expected.reverse();
        expected.truncate(MAX_DETECTIONS);
        assert_eq!(scores, expected);
        assert_eq!(results.left_out, 50);
    }

    #[test]
    fn ssd_outputs_become_boxes() {
        let boxes = Tensor::from_slice(
            &[1, 3, 4],
            &[0.25f32, 0.1, 0.75, 0.2, 0.3, 0.0, 0.5, 0.5, 0., 0., 1., 1.],
        )
        .unwrap();
        let scores = Tensor::from_slice(&[1, 3], &[0.6f32, 0.9, 0.99]).unwrap();
        let classes = Tensor::from_slice(&[1, 3], &[1.0f32, 3.0, 5.0]).unwrap();
        let count = Tensor::from_slice(&[1], &[2.0f32]).unwrap();
        let outputs = [boxes, scores, classes, count];
        let results = run(&ssd_decoder(Some(3)), &outputs).unwrap();
        let found: std::vec::Vec<_> = results
            .detections()
            .iter()
            .map(|d| (d.class, d.score))
            .collect();
        assert_eq!(found, [(3, 0.9), (1, 0.6)]);
        for (a, b) in results.detections()[1]
            .box_
            .iter()
            .zip([20.0, 0.0, 40.0, 100.0])
        {
            assert!((a - b).abs() < 1e-4);
        }
        assert_eq!(
            run(&ssd_decoder(None), &outputs[..3])
                .unwrap()
                .detections()
                .len(),
            3
        );
    }

    #[test]
    fn refuses_outputs_that_do_not_fit() {
        let f = |shape: &[usize], value: f32| {
            Tensor::from_slice(shape, &vec![value; shape.iter().product()]).unwrap()
        };
        let ssd = |a: &[usize], b: &[usize], c: &[usize], count: f32| {
            run(
                &ssd_decoder(Some(3)),
                &[f(a, 0.0), f(b, 0.0), f(c, 0.0), f(&[1], count)],
            )
        };
        assert!(ssd(&[1, 3, 4], &[1, 3], &[1, 3], 3.0).is_ok());
        assert!(ssd(&[2, 3, 4], &[1, 3], &[1, 3], 3.0).is_err());
        assert!(ssd(&[1, 3, 5], &[1, 3], &[1, 3], 3.0).is_err());
        assert!(ssd(&[1, 3, 4], &[1, 2], &[1, 3], 3.0).is_err());
        assert!(ssd(&[1, 3, 4], &[1, 3], &[3, 1], 3.0).is_err());
        for count in [-1.0, 4.0, f32::NAN, f32::INFINITY] {
            assert!(ssd(&[1, 3, 4], &[1, 3], &[1, 3], count).is_err());
        }
        assert!(run(&ssd_decoder(Some(7)), &[f(&[1, 3, 4], 0.0)]).is_err());
        for shape in [&[2, 3, 6][..], &[6], &[3, 5]] {
            let error = run(&row_decoder(false), &[f(shape, 0.0)])
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with("decoder `detect-rows`, output 0: "),
                "{error}"
            );
        }
        assert!(
            run(&row_decoder(false), &[f(&[0, 6], 0.0)])
                .unwrap()
                .detections()
                .is_empty()
        );
    }
}
