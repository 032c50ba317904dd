//! The post-processing of one image, node by node as the Object Detection API writes it.

mod nodes;

use tfjet_convert::tensorflow::SourceNode;
use tfjet_core::{AttrValue, Attrs, DType, Dim, Element, Shape, Tensor};

pub(crate) use nodes::Nodes;

/// Which release's way of writing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Early 2018: score filter, window and `NonMaxSuppressionV2` for each class.
    Filtered,
    /// Late 2018: `NonMaxSuppressionV3`, padded, clipped after the sort.
    PaddedV3,
    /// 2019 and later: the same with `NonMaxSuppressionV5`.
    PaddedV5,
}

/// What the graph is like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Detector {
    pub(crate) style: Style,
    pub(crate) boxes: usize,
    pub(crate) classes: usize,
    /// A box for each class.
    pub(crate) boxes_per_class: bool,
    /// One suppression over the best class of each box.
    pub(crate) agnostic: bool,
    /// Masks and one more field.
    pub(crate) fields: bool,
    /// The first rows only, as many as an input says.
    pub(crate) sliced: bool,
    pub(crate) change_coordinate_frame: bool,
    pub(crate) per_class: i32,
    pub(crate) total: i32,
    pub(crate) score_threshold: f32,
    /// A constant window instead of an input.
    pub(crate) constant_window: bool,
}

impl Default for Detector {
    fn default() -> Self {
        Self {
            style: Style::PaddedV5,
            boxes: 60,
            classes: 3,
            boxes_per_class: false,
            agnostic: false,
            fields: false,
            sliced: false,
            change_coordinate_frame: true,
            per_class: 8,
            total: 10,
            score_threshold: 1e-8,
            constant_window: false,
        }
    }
}

/// The rows of the kept boxes.
#[derive(Clone)]
struct Rows {
    boxes: String,
    scores: String,
    /// Labels or, without a class, what else is gathered with the boxes.
    others: Vec<String>,
}

fn typed(dtype: DType) -> Attrs {
    Attrs::default().with("T", AttrValue::Type(Some(dtype)))
}

fn ports(name: &str, count: usize) -> Vec<String> {
    let port = |slot| match slot {
        0 => name.to_owned(),
        slot => format!("{name}:{slot}"),
    };
    (0..count).map(port).collect()
}

const IOU_THRESHOLD: f32 = 0.5;

impl Detector {
    fn sets(&self) -> usize {
        if self.boxes_per_class {
            self.classes
        } else {
            1
        }
    }

    /// The graph, its outputs named `detection_boxes`, `detection_scores`, `detection_classes`,
    /// `num_detections`, and `detection_masks`, `detection_features` where it has fields.
    pub(crate) fn nodes(&self) -> Vec<SourceNode> {
        let mut nodes = Nodes(Vec::new());
        let n = &mut nodes;
        let (k, sets) = (self.boxes, self.sets());
        let mut boxes = n.input("boxes", DType::F32, &[k, sets, 4]);
        let mut scores = n.input("scores", DType::F32, &[k, self.classes]);
        let window = if self.constant_window {
            n.constant(&[4], &[0.0f32, 0.0, 1.0, 1.0])
        } else {
            n.input("window", DType::F32, &[4])
        };
        let mut masks = n.input("masks", DType::F32, &[k, sets, 2, 3]);
        let mut features = n.input("features", DType::F32, &[k, 5]);
        if self.sliced {
            let rows = n.input("rows", DType::I32, &[]);
            boxes = first_rows(n, &boxes, &rows, &[sets, 4]);
            scores = first_rows(n, &scores, &rows, &[self.classes]);
            masks = first_rows(n, &masks, &rows, &[sets, 2, 3]);
            features = first_rows(n, &features, &rows, &[5]);
        }
        let mut rows = if self.agnostic {
            self.suppress_agnostic(n, &boxes, &scores, [&masks, &features])
        } else {
            self.suppress_classes(n, &boxes, &scores, &window, [&masks, &features])
        };
        rows = n.sort(self.style, &rows);
        let number = if self.style == Style::Filtered {
            let total = self.cut(n, &rows);
            let all = n.range(&total);
            rows = n.gather_rows(self.style, &rows, &all);
            n.rows(&rows.boxes)
        } else {
            let (cut, number) = self.clip_and_cut(n, &rows, &window);
            rows = cut;
            number
        };
        let total = self.total;
        let boxes = n.pad(&rows.boxes, total, &[4]);
        let scores = n.pad(&rows.scores, total, &[]);
        let classes = n.pad(&rows.others[0], total, &[]);
        for (name, of) in [
            ("detection_boxes", boxes),
            ("detection_scores", scores),
            ("detection_classes", classes),
        ] {
            n.named(name, "Identity", &[&of], typed(DType::F32));
        }
        n.named("num_detections", "Identity", &[&number], typed(DType::I32));
        if self.fields {
            let masks = n.pad(&rows.others[1], total, &[2, 3]);
            let features = n.pad(&rows.others[2], total, &[5]);
            n.named("detection_masks", "Identity", &[&masks], typed(DType::F32));
            n.named(
                "detection_features",
                "Identity",
                &[&features],
                typed(DType::F32),
            );
        }
        nodes.0
    }

    /// `min(total, rows)`
    fn cut(&self, n: &mut Nodes, rows: &Rows) -> String {
        let total = n.number(self.total);
        let count = n.rows(&rows.boxes);
        n.int("Minimum", &[&total, &count])
    }

    fn clip_and_cut(&self, n: &mut Nodes, rows: &Rows, window: &str) -> (Rows, String) {
        let mut rows = n.clip_to_window(self.style, rows, window);
        let count = n.rows(&rows.boxes);
        let areas = n.area(&rows.boxes);
        let has_area = n.cast(DType::F32, DType::Bool, &areas);
        let minus = n.minus_ones(&count);
        rows.scores = n.float("Select", &[&has_area, &rows.scores, &minus]);
        let zero = n.number(0f32);
        let counted = n.float("GreaterEqual", &[&rows.scores, &zero]);
        let counted = n.cast(DType::Bool, DType::I32, &counted);
        let axis = n.constant(&[1], &[0i32]);
        let counted = n.int("Sum", &[&counted, &axis]);
        rows = n.sort(self.style, &rows);
        if self.change_coordinate_frame {
            rows.boxes = n.change_frame(self.style, &rows.boxes, window);
        }
        let total = self.cut(n, &rows);
        let all = n.range(&total);
        rows = n.gather_rows(self.style, &rows, &all);
        let fewer = n.int("Greater", &[&total, &counted]);
        let number = n.int("Select", &[&fewer, &counted, &total]);
        let all = n.range(&number);
        (n.gather_rows(self.style, &rows, &all), number)
    }

    fn suppress_classes(
        &self,
        n: &mut Nodes,
        boxes: &str,
        scores: &str,
        window: &str,
        [masks, features]: [&str; 2],
    ) -> Rows {
        let sets = n.unpack(boxes, self.sets(), 1);
        let mask_sets = n.unpack(masks, self.sets(), 1);
        let count = n.rows(scores);
        let mut kept = Vec::new();
        for class in 0..self.classes {
            let of = class.min(sets.len() - 1);
            let column = i32::try_from(class).expect("few classes");
            let begin = n.constant(&[2], &[0, column]);
            let one = n.number(1i32);
            let size = n.pack(&[&count, &one], DType::I32, 0);
            let attrs = typed(DType::F32).with("Index", AttrValue::Type(Some(DType::I32)));
            let own = n.add("Slice", &[scores, &begin, &size], attrs);
            let flat = n.constant(&[1], &[-1i32]);
            let own = n.float("Reshape", &[&own, &flat]);
            let fields = [&*mask_sets[of], features].map(str::to_owned);
            let rows = Rows {
                boxes: sets[of].clone(),
                scores: own,
                others: if self.fields {
                    fields.into()
                } else {
                    Vec::new()
                },
            };
            let mut rows = match self.style {
                Style::Filtered => self.suppress_filtered(n, rows, window),
                _ => self.suppress_padded(n, &rows),
            };
            let zeros = n.float("ZerosLike", &[&rows.scores]);
            let label = n.number(column as f32);
            let add = if self.style == Style::PaddedV5 {
                "AddV2"
            } else {
                "Add"
            };
            rows.others.insert(0, n.float(add, &[&zeros, &label]));
            kept.push(rows);
        }
        let mut column = |of: &dyn Fn(&Rows) -> String| {
            let parts: Vec<String> = kept.iter().map(of).collect();
            n.concat(&parts, 0)
        };
        Rows {
            boxes: column(&|rows| rows.boxes.clone()),
            scores: column(&|rows| rows.scores.clone()),
            others: (0..kept[0].others.len())
                .map(|other| column(&|rows| rows.others[other].clone()))
                .collect(),
        }
    }

    fn suppress_agnostic(
        &self,
        n: &mut Nodes,
        boxes: &str,
        scores: &str,
        [masks, features]: [&str; 2],
    ) -> Rows {
        let axis = n.number(-1i32);
        let keep = typed(DType::F32).with("keep_dims", AttrValue::Bool(false));
        let best = n.add("Max", &[scores, &axis], keep);
        let kind = typed(DType::F32).with("output_type", AttrValue::Type(Some(DType::I64)));
        let class = n.add("ArgMax", &[scores, &axis], kind);
        let mut rows = Rows {
            boxes: n.squeeze(boxes, 1),
            scores: best,
            others: vec![class],
        };
        if self.fields {
            rows.others.push(n.squeeze(masks, 1));
            rows.others.push(features.into());
        }
        let mut rows = self.suppress_padded(n, &rows);
        rows.others[0] = n.cast(DType::I64, DType::F32, &rows.others[0]);
        rows
    }

    fn suppress_filtered(&self, n: &mut Nodes, rows: Rows, window: &str) -> Rows {
        let indices = n.above(&rows.scores, self.score_threshold);
        let mut rows = n.gather_rows(self.style, &rows, &indices);
        rows = n.clip_to_window(self.style, &rows, window);
        if self.change_coordinate_frame {
            rows.boxes = n.change_frame(self.style, &rows.boxes, window);
        }
        let limit = self.limit(n, &rows);
        let iou = n.number(IOU_THRESHOLD);
        let kept = n.add(
            "NonMaxSuppressionV2",
            &[&rows.boxes, &rows.scores, &limit, &iou],
            Attrs::default(),
        );
        n.gather_rows(self.style, &rows, &kept)
    }

    fn limit(&self, n: &mut Nodes, rows: &Rows) -> String {
        let most = if self.agnostic {
            self.total
        } else {
            self.per_class
        };
        let most = n.number(most);
        let count = n.rows(&rows.boxes);
        n.int("Minimum", &[&most, &count])
    }

    fn suppress_padded(&self, n: &mut Nodes, rows: &Rows) -> Rows {
        let limit = self.limit(n, rows);
        let (iou, score) = (n.number(IOU_THRESHOLD), n.number(self.score_threshold));
        let mut inputs = vec![&*rows.boxes, &rows.scores, &limit, &iou, &score];
        let sigma = n.number(0f32);
        let op = if self.style == Style::PaddedV5 {
            inputs.push(&sigma);
            "NonMaxSuppressionV5"
        } else {
            "NonMaxSuppressionV3"
        };
        let kept = n.add(op, &inputs, typed(DType::F32));
        let shape = n.int("Shape", &[&kept]);
        let count = n.element(&shape, DType::I32, 0);
        let valid = (self.style == Style::PaddedV3).then(|| n.valid(&limit, &count));
        let missing = n.int("Sub", &[&limit, &count]);
        let zeros = n.fill(&missing, 0i32);
        let axis = n.number(0i32);
        let attrs = typed(DType::I32).with("N", AttrValue::Int(2));
        let indices = n.add("ConcatV2", &[&kept, &zeros, &axis], attrs);
        let mut found = n.gather_rows(self.style, rows, &indices);
        if self.style == Style::PaddedV5 {
            let missing = n.int("Sub", &[&limit, &count]);
            let zeros = n.fill(&missing, 0f32);
            let axis = n.number(-1i32);
            let attrs = typed(DType::F32).with("N", AttrValue::Int(2));
            found.scores = n.add("ConcatV2", &[&format!("{kept}:1"), &zeros, &axis], attrs);
        }
        // The order of the nodes differs from file to file.
        let valid = valid.unwrap_or_else(|| n.valid(&limit, &count));
        let minus = n.minus_ones(&limit);
        found.scores = n.float("Select", &[&valid, &found.scores, &minus]);
        found
    }
}

fn first_rows(n: &mut Nodes, of: &str, rows: &str, rest: &[usize]) -> String {
    let rank = 1 + rest.len();
    let begin = n.constant(&[rank], &vec![0i32; rank]);
    let all = n.number(-1i32);
    let mut sizes = vec![rows];
    sizes.resize(rank, &all);
    let size = n.pack(&sizes, DType::I32, 0);
    let attrs = typed(DType::F32).with("Index", AttrValue::Type(Some(DType::I32)));
    let sliced = n.add("Slice", &[of, &begin, &size], attrs);
    let mut shape = vec![-1i32];
    shape.extend(rest.iter().map(|&size| i32::try_from(size).expect("small")));
    let shape = n.constant(&[rank], &shape);
    n.float("Reshape", &[&sliced, &shape])
}
