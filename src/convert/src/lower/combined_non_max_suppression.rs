//! `CombinedNonMaxSuppression`: one suppression over the classes of all images, each a group of its
//! own, then the best of each image.

use std::sync::Arc;

use tfjet_core::{
    ActivationType, DType, ElementWiseOperation, GatherMode, Layer, ReduceOperation, SampleMode,
    Shape, Tensor, TensorId, TopKOperation,
};

use super::op::Op;
use super::top_k::MAX_K;
use super::{Layout, Refusal, refuse};

/// Most rows that are sorted for all images together.
const MAX_SORTED: usize = 1 << 24;

/// Sizes and thresholds of the node.
struct Sizes {
    images: usize,
    boxes: usize,
    /// 1 where all classes share their boxes, else the number of classes.
    box_sets: usize,
    classes: usize,
    /// Most boxes that a class of an image keeps.
    per_class: usize,
    /// Boxes that come out for an image.
    total: usize,
    iou_threshold: f32,
    score_threshold: f32,
}

impl Sizes {
    fn of(op: &Op<'_, '_>) -> Result<Self, Refusal> {
        for index in [0, 1] {
            op.dtype(index, &[DType::F32])?;
        }
        let (boxes, scores) = (op.shape(0)?, op.shape(1)?);
        let fixed = (boxes.as_fixed(), scores.as_fixed());
        let (images, count, box_sets, classes) = match (fixed.0.as_deref(), fixed.1.as_deref()) {
            (Some(&[images, count, sets, 4]), Some(&[batch, scored, classes]))
                if images == batch && count == scored && (sets == 1 || sets == classes) =>
            {
                (images, count, sets, classes)
            }
            _ => {
                return refuse(format!(
                    "boxes of {boxes} and scores of {scores} are not known to be [b, n, q, 4] and \
                     [b, n, c] with q being 1 or c"
                ));
            }
        };
        let threshold = |index: usize, role: &str| match op.require_constant(index, role)? {
            value if value.dtype() == DType::F32 => match value.as_slice::<f32>()? {
                [value] => Ok(*value),
                values => refuse(format!(
                    "the input \"{role}\" has {} elements, not 1",
                    values.len()
                )),
            },
            value => refuse(format!(
                "the input \"{role}\" is {}, not float32",
                value.dtype()
            )),
        };
        let limit = |index: usize, role: &str| match usize::try_from(op.integer(index, role)?) {
            Ok(limit @ 1..) => Ok(limit),
            _ => refuse(format!("a {role} below 1 selects nothing")),
        };
        let iou_threshold = threshold(4, "iou_threshold")?;
        if !(0.0..=1.0).contains(&iou_threshold) {
            return refuse(format!(
                "the iou_threshold is {iou_threshold}, not within 0..=1"
            ));
        }
        let score_threshold = threshold(5, "score_threshold")?;
        if score_threshold.is_nan() {
            return refuse("the score_threshold is no number");
        }
        let (_, rows) = op.output_type(1)?;
        let total = match rows.as_fixed().as_deref() {
            Some(&[_, total]) => total,
            _ => return refuse(format!("how many boxes come out is not known: {rows}")),
        };
        limit(3, "max_total_size")?;
        let sizes = Self {
            images,
            boxes: count,
            box_sets,
            classes,
            per_class: limit(2, "max_output_size_per_class")?.min(count),
            total,
            iou_threshold,
            score_threshold,
        };
        let sorted = [sizes.images, sizes.images, classes, sizes.per_class]
            .iter()
            .try_fold(1usize, |all, &size| all.checked_mul(size));
        match sorted {
            Some(0) => refuse("there is nothing to choose from"),
            Some(sorted) if sorted <= MAX_SORTED => Ok(sizes),
            _ => refuse("it has too many boxes to sort"),
        }
    }

    fn groups(&self) -> usize {
        self.images * self.classes
    }

    /// Boxes that all groups keep at most.
    fn rows(&self) -> usize {
        self.groups() * self.per_class
    }

    /// How many boxes of an image are sorted for.
    fn best(&self) -> Result<usize, Refusal> {
        match self.total.min(self.rows()) {
            best if best <= MAX_K => Ok(best),
            best => refuse(format!(
                "it sorts for the best {best} boxes, {MAX_K} is the most"
            )),
        }
    }
}

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    let clip_boxes = op.attrs.bool_or("clip_boxes", true)?;
    // It is in the shape of the results.
    op.attrs.ignore(&["pad_per_class"]);
    let sizes = Sizes::of(op)?;
    let (images, rows, best) = (sizes.images, sizes.rows(), sizes.best()?);
    let mut layers = Layers { op };
    let selected = layers.select(&sizes)?;
    let is_there = layers.by_image(&sizes, &selected)?;

    let score = layers.reshape(selected.score, &[1, rows])?;
    let nothing = layers.op.number(f32::NEG_INFINITY, DType::F32, 2)?;
    let inputs = [is_there, score, nothing];
    let score = layers.add(Layer::Select, &inputs, DType::F32, &[images, rows]);
    let top = Layer::TopK {
        operation: TopKOperation::Max,
        k: best,
        axis: 1,
    };
    let shape = Shape::fixed(&[images, best]);
    let types = [(DType::F32, shape.clone()), (DType::I32, shape)];
    let sorted = layers.layer(top, &[score], &types);
    let (score, row) = (sorted[0], sorted[1]);

    let valid = layers.count(is_there, &sizes, best)?;
    let by_row = layers.reshape(valid, &[images, 1])?;
    let numbers = layers.integers("places", &[1, best], 0..best)?;
    let less = ElementWiseOperation::Less;
    let is_valid = layers.elementwise(less, [numbers, by_row], DType::Bool, &[images, best]);

    let place = layers.gather(selected.place, row, DType::I32, &[images, best]);
    let mut corners = layers.gather(selected.corners, place, DType::F32, &[images, best, 4]);
    if clip_boxes {
        let clip = Layer::Activation {
            kind: ActivationType::Clip,
            alpha: 0.0,
            beta: 1.0,
        };
        corners = layers.add(clip, &[corners], DType::F32, &[images, best, 4]);
    }
    let class = (0..sizes.groups()).map(|group| group % sizes.classes);
    let class = layers.integers("classes", &[sizes.groups()], class)?;
    let group = layers.gather(selected.group, row, DType::I32, &[images, best]);
    let class = layers.gather(class, group, DType::I32, &[images, best]);
    let to_float = Layer::Cast { to: DType::F32 };
    let class = layers.add(to_float, &[class], DType::F32, &[images, best]);

    let is_valid_box = layers.reshape(is_valid, &[images, best, 1])?;
    let results = [
        (is_valid_box, corners, &[4][..]),
        (is_valid, score, &[]),
        (is_valid, class, &[]),
    ];
    for (slot, (is_valid, tensor, row)) in (0..).zip(results) {
        let shape = [&[images, best], row].concat();
        let zero = layers.op.number(0.0, DType::F32, shape.len())?;
        let kept = layers.add(Layer::Select, &[is_valid, tensor, zero], DType::F32, &shape);
        let padded = layers.pad(kept, [images, best, sizes.total], row)?;
        layers.op.output(slot, padded, Layout::Native);
    }
    layers.op.output(3, valid, Layout::Native);
    Ok(())
}

/// What is left of all groups, in rows of which the last ones are empty.
struct Selected {
    /// `[rows]`, the group of each row.
    group: TensorId,
    /// `[rows]`, where its box is among those of all groups.
    place: TensorId,
    /// `[rows]`.
    score: TensorId,
    /// How many rows there are, `[1]`.
    count: TensorId,
    /// `[groups * boxes, 4]`, what `place` is an index of.
    corners: TensorId,
}

/// Adds layers whose results are fixed in shape and laid out as TensorFlow has them.
struct Layers<'o, 'b, 'a> {
    op: &'o mut Op<'b, 'a>,
}

impl Layers<'_, '_, '_> {
    /// The suppression in each group.
    fn select(&mut self, sizes: &Sizes) -> Result<Selected, Refusal> {
        let (groups, boxes, rows) = (sizes.groups(), sizes.boxes, sizes.rows());
        let corners = self.corners_by_group(sizes)?;
        let scores = self.scores_by_group(sizes)?;
        let nms = Layer::Nms {
            max_output_boxes: sizes.per_class,
            iou_threshold: sizes.iou_threshold,
            score_threshold: sizes.score_threshold,
        };
        let types = [
            (DType::I32, Shape::fixed(&[rows, 2])),
            (DType::I32, Shape::default()),
        ];
        let made = self.layer(nms, &[corners, scores], &types);
        let mut columns = [made[0]; 2];
        for (start, column) in (0..).zip(&mut columns) {
            let layer = Layer::Slice {
                start: vec![0, start],
                size: vec![None, Some(1)],
                stride: vec![1, 1],
                mode: SampleMode::Strict,
            };
            let slice = self.add(layer, &[made[0]], DType::I32, &[rows, 1]);
            *column = self.reshape(slice, &[rows])?;
        }
        let [group, index] = columns;
        let per_group = self.integers("boxes", &[1], std::iter::once(boxes))?;
        let (prod, sum) = (ElementWiseOperation::Prod, ElementWiseOperation::Sum);
        let place = self.elementwise(prod, [group, per_group], DType::I32, &[rows]);
        let place = self.elementwise(sum, [place, index], DType::I32, &[rows]);
        let scores = self.reshape(scores, &[groups * boxes])?;
        Ok(Selected {
            group,
            place,
            score: self.gather(scores, place, DType::F32, &[rows]),
            count: self.reshape(made[1], &[1])?,
            corners: self.reshape(corners, &[groups * boxes, 4])?,
        })
    }

    fn corners_by_group(&mut self, sizes: &Sizes) -> Result<TensorId, Refusal> {
        let &Sizes {
            images,
            boxes,
            classes,
            ..
        } = sizes;
        let given = self.op.tensor(0, Layout::Native)?;
        let by_group = [sizes.groups(), boxes, 4];
        if sizes.box_sets == classes {
            let shape = [images, classes, boxes, 4];
            let sets = self.transpose(given, &[0, 2, 1, 3], &shape);
            return self.reshape(sets, &by_group);
        }
        let shared = self.reshape(given, &[images, boxes, 4])?;
        let of_groups = self.images_of_groups(sizes)?;
        Ok(self.gather(shared, of_groups, DType::F32, &by_group))
    }

    fn scores_by_group(&mut self, sizes: &Sizes) -> Result<TensorId, Refusal> {
        let given = self.op.tensor(1, Layout::Native)?;
        let shape = [sizes.images, sizes.classes, sizes.boxes];
        let scores = self.transpose(given, &[0, 2, 1], &shape);
        self.reshape(scores, &[sizes.groups(), sizes.boxes])
    }

    fn images_of_groups(&mut self, sizes: &Sizes) -> Result<TensorId, Refusal> {
        let images = (0..sizes.groups()).map(|group| group / sizes.classes);
        self.integers("images", &[sizes.groups()], images)
    }

    /// Which rows are an image's, `[images, rows]`.
    fn by_image(&mut self, sizes: &Sizes, selected: &Selected) -> Result<TensorId, Refusal> {
        let (images, rows) = (sizes.images, sizes.rows());
        let numbers = self.integers("rows", &[rows], 0..rows)?;
        let less = ElementWiseOperation::Less;
        let is_there = self.elementwise(less, [numbers, selected.count], DType::Bool, &[rows]);
        let is_there = self.reshape(is_there, &[1, rows])?;
        if images == 1 {
            return Ok(is_there);
        }
        let of_groups = self.images_of_groups(sizes)?;
        let image = self.gather(of_groups, selected.group, DType::I32, &[rows]);
        let image = self.reshape(image, &[1, rows])?;
        let numbers = self.integers("image", &[images, 1], 0..images)?;
        let (equal, and) = (ElementWiseOperation::Equal, ElementWiseOperation::And);
        let shape = [images, rows];
        let own = self.elementwise(equal, [image, numbers], DType::Bool, &shape);
        Ok(self.elementwise(and, [own, is_there], DType::Bool, &shape))
    }

    /// How many rows each image has, at most `best`: `[images]`.
    fn count(
        &mut self,
        is_there: TensorId,
        sizes: &Sizes,
        best: usize,
    ) -> Result<TensorId, Refusal> {
        let (images, rows) = (sizes.images, sizes.rows());
        let to_integer = Layer::Cast { to: DType::I32 };
        let ones = self.add(to_integer, &[is_there], DType::I32, &[images, rows]);
        let sum = Layer::Reduce {
            operation: ReduceOperation::Sum,
            axes: vec![1],
            keep_dims: false,
        };
        let found = self.add(sum, &[ones], DType::I32, &[images]);
        let most = self.integers("most", &[1], std::iter::once(best))?;
        let min = ElementWiseOperation::Min;
        Ok(self.elementwise(min, [found, most], DType::I32, &[images]))
    }

    /// Puts zeros behind the `from` rows of each image, up to `to`.
    fn pad(
        &mut self,
        tensor: TensorId,
        [images, from, to]: [usize; 3],
        row: &[usize],
    ) -> Result<TensorId, Refusal> {
        if from == to {
            return Ok(tensor);
        }
        let shape = |rows: usize| [&[images, rows], row].concat();
        let missing = shape(to - from);
        let zeros = self.op.constant_layer("zeros", DType::F32, &missing, || {
            Ok(Arc::new(Tensor::zeros(DType::F32, &missing)?))
        })?;
        let layer = Layer::Concatenation { axis: 1 };
        Ok(self.add(layer, &[tensor, zeros], DType::F32, &shape(to)))
    }

    fn layer(
        &mut self,
        layer: Layer,
        inputs: &[TensorId],
        outputs: &[(DType, Shape)],
    ) -> Vec<TensorId> {
        let name = self.op.node.name.clone();
        self.op.builder.layer(&name, layer, inputs, outputs)
    }

    fn add(
        &mut self,
        layer: Layer,
        inputs: &[TensorId],
        dtype: DType,
        shape: &[usize],
    ) -> TensorId {
        let shape = Shape::fixed(shape);
        self.op.emit(layer, inputs, dtype, &shape, Layout::Native)
    }

    fn elementwise(
        &mut self,
        operation: ElementWiseOperation,
        inputs: [TensorId; 2],
        dtype: DType,
        shape: &[usize],
    ) -> TensorId {
        self.add(Layer::ElementWise { operation }, &inputs, dtype, shape)
    }

    fn transpose(&mut self, tensor: TensorId, order: &[usize], shape: &[usize]) -> TensorId {
        let layer = Layer::Shuffle {
            first_transpose: order.to_vec(),
            reshape: None,
            second_transpose: Vec::new(),
        };
        self.add(layer, &[tensor], DType::F32, shape)
    }

    fn reshape(&mut self, tensor: TensorId, shape: &[usize]) -> Result<TensorId, Refusal> {
        let name = self.op.node.name.clone();
        let builder = &mut self.op.builder;
        builder.reshape(&name, tensor, &Shape::fixed(shape))
    }

    /// The rows of `from` that `places` name.
    fn gather(
        &mut self,
        from: TensorId,
        places: TensorId,
        dtype: DType,
        shape: &[usize],
    ) -> TensorId {
        let mode = GatherMode::Default {
            axis: 0,
            batch_dims: 0,
        };
        self.add(Layer::Gather { mode }, &[from, places], dtype, shape)
    }

    fn integers(
        &mut self,
        suffix: &str,
        shape: &[usize],
        values: impl Iterator<Item = usize>,
    ) -> Result<TensorId, Refusal> {
        let values: Option<Vec<i32>> = values.map(|value| i32::try_from(value).ok()).collect();
        let Some(values) = values else {
            return refuse("it has more boxes than int32 counts");
        };
        self.op.constant_layer(suffix, DType::I32, shape, || {
            Ok(Arc::new(Tensor::from_slice(shape, &values)?))
        })
    }
}
