//! The fused op against the ops that it stands for, one by one, as the Object Detection API writes
//! them.

use tfjet_core::{AttrValue, Attrs, DType, Tensor};
use tfjet_ops::{OpError, kernel};

fn run(op: &str, attrs: &Attrs, inputs: &[&Tensor]) -> Result<Vec<Tensor>, OpError> {
    let kernel = kernel(op, attrs)?;
    let views: Vec<_> = inputs.iter().map(|input| input.view()).collect();
    let mut outputs = vec![Tensor::default(); kernel.output_count()];
    kernel.run(&views, &mut outputs)?;
    Ok(outputs)
}

fn of(op: &str, inputs: &[&Tensor]) -> Tensor {
    with(op, &Attrs::default(), inputs)
}

fn with(op: &str, attrs: &Attrs, inputs: &[&Tensor]) -> Tensor {
    let mut outputs = run(op, attrs, inputs).unwrap_or_else(|error| panic!("{op}: {error}"));
    outputs.swap_remove(0)
}

fn int(value: usize) -> Tensor {
    Tensor::scalar(i32::try_from(value).expect("small"))
}

fn ints(values: &[i32]) -> Tensor {
    Tensor::from_slice(&[values.len()], values).expect("a vector")
}

fn floats(shape: &[usize], values: &[f32]) -> Tensor {
    Tensor::from_slice(shape, values).expect("values fill the shape")
}

fn concat(parts: &[Tensor], axis: i32) -> Tensor {
    let axis = Tensor::scalar(axis);
    let mut inputs: Vec<&Tensor> = parts.iter().collect();
    inputs.push(&axis);
    let n = i64::try_from(parts.len()).expect("few");
    with(
        "ConcatV2",
        &Attrs::default().with("N", AttrValue::Int(n)),
        &inputs,
    )
}

fn gather(params: &Tensor, indices: &Tensor) -> Tensor {
    of("GatherV2", &[params, indices, &Tensor::scalar(0i32)])
}

fn range(limit: usize) -> Tensor {
    of("Range", &[&int(0), &int(limit), &int(1)])
}

fn fill(len: usize, value: f32) -> Tensor {
    of(
        "Fill",
        &[
            &ints(&[i32::try_from(len).expect("small")]),
            &Tensor::scalar(value),
        ],
    )
}

fn cast(tensor: &Tensor, to: DType) -> Tensor {
    let attrs = Attrs::default()
        .with("SrcT", AttrValue::Type(Some(tensor.dtype())))
        .with("DstT", AttrValue::Type(Some(to)));
    with("Cast", &attrs, &[tensor])
}

fn split(boxes: &Tensor) -> Vec<Tensor> {
    let attrs = Attrs::default().with("num_split", AttrValue::Int(4));
    run("Split", &attrs, &[&int(1), boxes]).expect("four columns")
}

/// `[k, ..]` at `[:, column]`.
fn column(tensor: &Tensor, column: usize) -> Tensor {
    let attrs = Attrs::default()
        .with(
            "num",
            AttrValue::Int(i64::try_from(tensor.shape()[1]).expect("few")),
        )
        .with("axis", AttrValue::Int(1));
    run("Unpack", &attrs, &[tensor])
        .expect("columns")
        .swap_remove(column)
}

fn area(boxes: &Tensor) -> Tensor {
    let c = split(boxes);
    let product = of(
        "Mul",
        &[&of("Sub", &[&c[2], &c[0]]), &of("Sub", &[&c[3], &c[1]])],
    );
    with(
        "Squeeze",
        &Attrs::default().with("squeeze_dims", AttrValue::Ints(vec![1])),
        &[&product],
    )
}

fn clip(boxes: &Tensor, window: [f32; 4]) -> Tensor {
    let c = split(boxes);
    let clip = |part: usize, lowest: usize, highest: usize| {
        let least = of("Minimum", &[&c[part], &Tensor::scalar(window[highest])]);
        of("Maximum", &[&least, &Tensor::scalar(window[lowest])])
    };
    concat(
        &[clip(0, 0, 2), clip(1, 1, 3), clip(2, 0, 2), clip(3, 1, 3)],
        1,
    )
}

fn change_frame(boxes: &Tensor, w: [f32; 4]) -> Tensor {
    let moved = of("Sub", &[boxes, &floats(&[4], &[w[0], w[1], w[0], w[1]])]);
    let c = split(&moved);
    let (y, x) = (1.0 / (w[2] - w[0]), 1.0 / (w[3] - w[1]));
    let scaled: Vec<_> = [y, x, y, x]
        .iter()
        .zip(&c)
        .map(|(&scale, part)| of("Mul", &[&Tensor::scalar(scale), part]))
        .collect();
    concat(&scaled, 1)
}

/// Numbers of rows for which a condition holds.
fn rows_where(condition: &Tensor) -> Tensor {
    cast(
        &of("Reshape", &[&of("Where", &[condition]), &ints(&[-1])]),
        DType::I32,
    )
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Style {
    /// Score filter and window come before the suppression.
    Before,
    /// The kept boxes are padded, joined, sorted, clipped and sorted again.
    After,
}

#[derive(Debug, Clone)]
struct Case {
    boxes: Tensor,
    scores: Tensor,
    window: [f32; 4],
    /// A row for each box.
    extra: Tensor,
    /// A row for each box and class.
    masks: Tensor,
    iou: f32,
    score: f32,
    per_class: usize,
    total: usize,
    frame: bool,
    style: Style,
}

/// Boxes, scores, classes, and the rows of two fields.
type Rows = [Tensor; 5];

fn gather_all(rows: &Rows, indices: &Tensor) -> Rows {
    rows.each_ref().map(|field| gather(field, indices))
}

impl Case {
    fn class(&self, class: usize) -> Rows {
        let set = |tensor: &Tensor| column(tensor, class.min(tensor.shape()[1] - 1));
        let scores = column(&self.scores, class);
        let label = of(
            "Add",
            &[&of("ZerosLike", &[&scores]), &Tensor::scalar(class as f32)],
        );
        [
            set(&self.boxes),
            scores,
            label,
            self.extra.clone(),
            set(&self.masks),
        ]
    }

    fn suppress_filtered(&self, class: usize) -> Rows {
        let mut rows = self.class(class);
        let threshold = Tensor::scalar(self.score);
        rows = gather_all(&rows, &rows_where(&of("Greater", &[&rows[1], &threshold])));
        rows[0] = clip(&rows[0], self.window);
        let zero = Tensor::scalar(0f32);
        rows = gather_all(
            &rows,
            &rows_where(&of("Greater", &[&area(&rows[0]), &zero])),
        );
        if self.frame {
            rows[0] = change_frame(&rows[0], self.window);
        }
        let limit = int(self.per_class.min(rows[1].elements()));
        let iou = Tensor::scalar(self.iou);
        let kept = of("NonMaxSuppressionV2", &[&rows[0], &rows[1], &limit, &iou]);
        gather_all(&rows, &kept)
    }

    fn suppress_padded(&self, class: usize) -> Rows {
        let rows = self.class(class);
        let limit = self.per_class.min(rows[1].elements());
        let (iou, score) = (Tensor::scalar(self.iou), Tensor::scalar(self.score));
        let inputs = [&rows[0], &rows[1], &int(limit), &iou, &score, &fill(1, 0.0)];
        let kept = run("NonMaxSuppressionV5", &Attrs::default(), &inputs).expect("suppresses");
        let count = kept[0].elements();
        let indices = concat(
            &[kept[0].clone(), cast(&fill(limit - count, 0.0), DType::I32)],
            0,
        );
        let scores = concat(&[kept[1].clone(), fill(limit - count, 0.0)], -1);
        let valid = of("Less", &[&range(limit), &int(count)]);
        let mut rows = gather_all(&rows, &indices);
        rows[1] = of("Select", &[&valid, &scores, &fill(limit, -1.0)]);
        rows
    }

    /// The post-processing, op by op: the rows and their number.
    fn by_ops(&self) -> (Rows, usize) {
        let classes = self.scores.shape()[1];
        let parts: Vec<Rows> = (0..classes)
            .map(|class| match self.style {
                Style::Before => self.suppress_filtered(class),
                Style::After => self.suppress_padded(class),
            })
            .collect();
        let mut rows: Rows = std::array::from_fn(|field| {
            let parts: Vec<_> = parts.iter().map(|rows| rows[field].clone()).collect();
            concat(&parts, 0)
        });
        let sort = |rows: &Rows| {
            let by = run(
                "TopKV2",
                &Attrs::default(),
                &[&rows[1], &int(rows[1].elements())],
            );
            gather_all(rows, &by.expect("sorts")[1])
        };
        rows = sort(&rows);
        if self.style == Style::Before {
            rows = gather_all(&rows, &range(self.total.min(rows[1].elements())));
            let count = rows[1].elements();
            return (rows, count);
        }
        rows[0] = clip(&rows[0], self.window);
        let zero = Tensor::scalar(0f32);
        rows = gather_all(
            &rows,
            &rows_where(&of("Greater", &[&area(&rows[0]), &zero])),
        );
        let all = rows[1].elements();
        let has_area = cast(&area(&rows[0]), DType::Bool);
        rows[1] = of("Select", &[&has_area, &rows[1], &fill(all, -1.0)]);
        let counted = cast(&of("GreaterEqual", &[&rows[1], &zero]), DType::I32);
        let count = of("Sum", &[&counted, &ints(&[0])]);
        let count = usize::try_from(count.as_slice::<i32>().expect("int32")[0]).expect("0 or more");
        rows = sort(&rows);
        if self.frame {
            rows[0] = change_frame(&rows[0], self.window);
        }
        let total = self.total.min(all);
        rows = gather_all(&rows, &range(total));
        let count = if total > count { count } else { total };
        (gather_all(&rows, &range(count)), count)
    }

    fn fused(&self, pad: bool) -> Vec<Tensor> {
        let clip = match self.style {
            Style::Before => "before",
            Style::After => "after",
        };
        let size = |size: usize| AttrValue::Int(i64::try_from(size).expect("small"));
        let attrs = Attrs::default()
            .with("iou_threshold", AttrValue::Float(self.iou))
            .with("score_threshold", AttrValue::Float(self.score))
            .with("max_size_per_class", size(self.per_class))
            .with("max_total_size", size(self.total))
            .with("clip", AttrValue::Str(clip.into()))
            .with("change_coordinate_frame", AttrValue::Bool(self.frame))
            .with("pad", AttrValue::Bool(pad))
            .with("fields", AttrValue::Ints(vec![0, 1]));
        let window = floats(&[4], &self.window);
        let inputs = [&self.boxes, &self.scores, &window, &self.extra, &self.masks];
        run("TfjetMultiClassNonMaxSuppression", &attrs, &inputs).expect("runs")
    }

    /// Fails where the fused op differs in a bit, padded or not.
    fn check(&self, name: &str) -> usize {
        let (rows, count) = self.by_ops();
        for pad in [false, true] {
            let fused = self.fused(pad);
            assert_eq!(
                fused[3].as_slice::<i32>().expect("int32"),
                [count as i32],
                "{name}"
            );
            let fused = [&fused[0], &fused[1], &fused[2], &fused[4], &fused[5]];
            for (field, (actual, expected)) in fused.iter().zip(&rows).enumerate() {
                let mut shape = expected.shape().to_vec();
                if pad {
                    shape[0] = self.total;
                }
                assert_eq!(actual.shape(), shape, "{name}: field {field}");
                let (own, padding) = actual.bytes().split_at(expected.bytes().len());
                assert_eq!(own, expected.bytes(), "{name}: field {field}");
                assert!(
                    padding.iter().all(|&byte| byte == 0),
                    "{name}: field {field}"
                );
            }
        }
        count
    }
}

/// A linear congruential generator.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn unit(&mut self) -> f32 {
        self.below(1 << 24) as f32 / (1 << 24) as f32
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).expect("small")]
    }
}

fn random_case(seed: u64) -> Case {
    let mut r = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let count = r.one_of(&[0, 1, 2, 7, 40, 300]);
    let classes = r.one_of(&[1, 2, 5, 20]);
    let sets = r.one_of(&[1, classes]);
    let grid = r.one_of(&[0, 3, 12]);
    let mut boxes = Vec::new();
    for _ in 0..count * sets {
        let mut corner = || match grid {
            0 => r.unit() * 1.4 - 0.2,
            steps => r.below(steps) as f32 / steps as f32,
        };
        let mut corners = [corner(), corner(), corner(), corner()];
        match r.below(30) {
            0 => corners[2] = corners[0],
            1 => corners[1] = f32::NAN,
            2 => corners = [f32::NAN; 4],
            3 => corners[3] = f32::INFINITY,
            4 => corners = [2.0, 2.0, 3.0, 3.0],
            5 => corners = [-0.0, 0.0, -0.0, 1.0],
            6..20 => {
                let [a, b, c, d] = corners;
                corners = [a.min(c), b.min(d), a.max(c), b.max(d)];
            }
            _ => {}
        }
        boxes.extend(corners);
    }
    let kinds = r.one_of(&[0, 2, 9]);
    let empty_classes = r.one_of(&[1, 3]);
    let mut scores = Vec::new();
    for at in 0..count * classes {
        scores.push(match (r.below(40), kinds) {
            _ if at % classes % empty_classes == 1 => 0.0,
            (0, _) => f32::NAN,
            (1, _) => -0.0,
            (2, _) => f32::INFINITY,
            (3, _) => -1.5,
            (_, 0) => r.unit(),
            (_, kinds) => r.below(kinds) as f32 / kinds as f32,
        });
    }
    let rows = |width: usize| (0..width).map(|i| i as f32).collect::<Vec<_>>();
    let score = r.one_of(&[0.0, 1e-8, 0.4]);
    Case {
        boxes: floats(&[count, sets, 4], &boxes),
        scores: floats(&[count, classes], &scores),
        window: r.one_of(&[
            [0.0, 0.0, 1.0, 1.0],
            [0.1, 0.2, 0.7, 0.9],
            [0.5, 0.5, 0.5, 1.0],
        ]),
        extra: floats(&[count, 3], &rows(count * 3)),
        masks: floats(&[count, sets, 2], &rows(count * sets * 2)),
        iou: r.one_of(&[0.0, 0.3, 0.6, 1.0]),
        score,
        per_class: r.one_of(&[1, 4, 100]),
        total: r.one_of(&[1, 10, 100, 700]),
        frame: r.below(2) == 0,
        style: r.one_of(&[Style::Before, Style::After]),
    }
}

#[test]
fn equals_the_ops_that_it_stands_for() {
    let mut filled = [0, 0];
    for seed in 0..600 {
        let case = random_case(seed);
        let count = case.check(&format!("seed {seed}"));
        filled[usize::from(count == case.total)] += 1;
    }
    assert!(
        filled.iter().all(|&cases| cases > 50),
        "{filled:?}: cases with fewer than max_total_size detections, and with as many"
    );
}

#[test]
fn looks_at_all_candidates_where_most_suppress_one_another() {
    let (count, classes) = (600, 30);
    let mut r = Random(3);
    let boxes: Vec<f32> = (0..count)
        .flat_map(|_| [0.1, 0.1, 0.8 + 0.01 * r.unit(), 0.8])
        .collect();
    let scores: Vec<f32> = (0..count * classes).map(|_| 0.5 + 0.5 * r.unit()).collect();
    let case = Case {
        boxes: floats(&[count, 1, 4], &boxes),
        scores: floats(&[count, classes], &scores),
        extra: floats(&[count, 1], &vec![1.0; count]),
        masks: floats(&[count, 1, 1], &vec![1.0; count]),
        window: [0.0, 0.0, 1.0, 1.0],
        iou: 0.6,
        score: 1e-8,
        per_class: 100,
        total: 100,
        frame: true,
        style: Style::After,
    };
    assert_eq!(case.check("one box a class"), classes);
}

#[test]
fn one_class_may_have_scores_of_one_axis() {
    let mut case = random_case(11);
    case.scores = floats(&[3, 1], &[0.2, 0.9, 0.5]);
    case.boxes = floats(
        &[3, 1, 4],
        &[0.0, 0.0, 0.5, 0.5, 0.0, 0.0, 0.5, 0.4, 0.5, 0.5, 1.0, 1.0],
    );
    case.extra = floats(&[3, 1], &[1.0, 2.0, 3.0]);
    case.masks = floats(&[3, 1, 1], &[1.0, 2.0, 3.0]);
    case.window = [0.0, 0.0, 1.0, 1.0];
    let expected = case.fused(true);
    case.scores.reshape(&[3]).expect("as many");
    case.boxes.reshape(&[3, 4]).expect("as many");
    for (actual, expected) in case.fused(true).iter().zip(&expected) {
        assert_eq!(actual.bytes(), expected.bytes());
    }
}

#[test]
fn wrong_inputs_and_attributes_are_named() {
    let attrs = Attrs::default()
        .with("max_size_per_class", AttrValue::Int(1))
        .with("max_total_size", AttrValue::Int(1));
    let (boxes, scores) = (floats(&[2, 3, 4], &[0.0; 24]), floats(&[2, 2], &[0.0; 4]));
    let op = "TfjetMultiClassNonMaxSuppression";
    let message = |attrs: &Attrs, inputs: &[&Tensor]| match run(op, attrs, inputs) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    assert!(message(&attrs, &[&boxes, &scores]).contains("q being 1 or c"));
    assert!(message(&attrs, &[&boxes]).contains("expected 2 inputs, got 1"));
    let window = attrs.clone().with("clip", AttrValue::Str("after".into()));
    let boxes = floats(&[2, 4], &[0.0; 8]);
    assert!(message(&window, &[&boxes, &scores, &scores]).contains("window of shape [2, 2]"));
    let field = attrs.clone().with("fields", AttrValue::Ints(vec![1]));
    assert!(message(&field, &[&boxes, &scores, &floats(&[3], &[0.0; 3])]).contains("no row"));
    for (name, value) in [
        ("max_total_size", AttrValue::Int(0)),
        ("clip", AttrValue::Str("twice".into())),
        ("fields", AttrValue::Ints(vec![2])),
        ("iou_threshold", AttrValue::Float(1.5)),
        ("change_coordinate_frame", AttrValue::Bool(true)),
    ] {
        assert!(
            kernel(op, &attrs.clone().with(name, value)).is_err(),
            "{name}"
        );
    }
}
