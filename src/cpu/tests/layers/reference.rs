//! Plain loops over `f64`, written from the definitions of the layers and from nothing else.

use tfjet_core::{
    GatherMode, InterpolationMode, PoolingType, ReduceOperation, ResizeCoordinateTransformation,
    ResizeRounding, SampleMode,
};

#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    pub shape: Vec<usize>,
    pub data: Vec<f64>,
}

impl Array {
    pub fn new(shape: &[usize], data: &[f64]) -> Self {
        assert_eq!(shape.iter().product::<usize>(), data.len());
        Self {
            shape: shape.to_vec(),
            data: data.to_vec(),
        }
    }

    /// Filled by index.
    pub fn build(shape: &[usize], mut value: impl FnMut(&[usize]) -> f64) -> Self {
        let count = shape.iter().product();
        let data = (0..count).map(|flat| value(&index(shape, flat))).collect();
        Self {
            shape: shape.to_vec(),
            data,
        }
    }

    pub fn at(&self, index: &[usize]) -> f64 {
        assert_eq!(index.len(), self.shape.len());
        let flat = index.iter().zip(&self.shape).fold(0, |flat, (i, dim)| {
            assert!(i < dim, "{index:?} in {:?}", self.shape);
            flat * dim + i
        });
        self.data[flat]
    }

    /// The element at `index`, or nothing outside.
    fn get(&self, index: &[i64]) -> Option<f64> {
        let inside = index
            .iter()
            .zip(&self.shape)
            .all(|(&i, &dim)| (0..dim as i64).contains(&i));
        inside.then(|| self.at(&index.iter().map(|&i| i as usize).collect::<Vec<_>>()))
    }

    pub fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self {
            shape: self.shape.clone(),
            data: self.data.iter().map(|&x| f(x)).collect(),
        }
    }

    pub fn reshape(&self, shape: &[usize]) -> Self {
        Self::new(shape, &self.data)
    }
}

pub fn index(shape: &[usize], mut flat: usize) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for axis in (0..shape.len()).rev() {
        index[axis] = flat % shape[axis];
        flat /= shape[axis];
    }
    index
}

fn indices(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> + '_ {
    (0..shape.iter().product()).map(|flat| index(shape, flat))
}

/// Two arrays of equal rank, size-1 dims broadcast.
pub fn broadcast(a: &Array, b: &Array, f: impl Fn(f64, f64) -> f64) -> Array {
    let shape: Vec<usize> = a
        .shape
        .iter()
        .zip(&b.shape)
        .map(|(&a, &b)| a.max(b))
        .collect();
    Array::build(&shape, |at| f(stretched(a, at), stretched(b, at)))
}

pub fn stretched(a: &Array, at: &[usize]) -> f64 {
    let at: Vec<usize> = at
        .iter()
        .zip(&a.shape)
        .map(|(&i, &dim)| if dim == 1 { 0 } else { i })
        .collect();
    a.at(&at)
}

pub struct Window<'a> {
    pub stride: &'a [usize],
    pub dilation: &'a [usize],
    pub pre: &'a [usize],
    pub post: &'a [usize],
    pub groups: usize,
}

pub fn convolution(x: &Array, k: &Array, bias: Option<&Array>, w: &Window<'_>) -> Array {
    let mut shape = vec![x.shape[0], k.shape[0]];
    for d in 0..w.stride.len() {
        let reach = w.dilation[d] * (k.shape[d + 2] - 1) + 1;
        shape.push((x.shape[d + 2] + w.pre[d] + w.post[d] - reach) / w.stride[d] + 1);
    }
    let per_group = k.shape[0] / w.groups;
    Array::build(&shape, |at| {
        let group = at[1] / per_group;
        let mut sum = bias.map_or(0.0, |bias| bias.data[at[1]]);
        for tap in indices(&k.shape[1..]) {
            let mut from = vec![at[0] as i64, (group * k.shape[1] + tap[0]) as i64];
            for d in 0..w.stride.len() {
                let i = at[d + 2] * w.stride[d] + tap[d + 1] * w.dilation[d];
                from.push(i as i64 - w.pre[d] as i64);
            }
            let kernel = [&[at[1]], &tap[..]].concat();
            sum += x.get(&from).unwrap_or(0.0) * k.at(&kernel);
        }
        sum
    })
}

pub fn deconvolution(x: &Array, k: &Array, bias: Option<&Array>, w: &Window<'_>) -> Array {
    let channels = k.shape[1] * w.groups;
    let mut shape = vec![x.shape[0], channels];
    for d in 0..w.stride.len() {
        shape.push((x.shape[d + 2] - 1) * w.stride[d] + k.shape[d + 2] - w.pre[d] - w.post[d]);
    }
    let mut out = Array::build(&shape, |at| bias.map_or(0.0, |bias| bias.data[at[1]]));
    for at in indices(&x.shape) {
        let group = at[1] / (x.shape[1] / w.groups);
        for tap in indices(&k.shape[1..]) {
            let mut flat = at[0] * channels + group * k.shape[1] + tap[0];
            let mut inside = true;
            for d in 0..w.stride.len() {
                let i = (at[d + 2] * w.stride[d] + tap[d + 1]) as i64 - w.pre[d] as i64;
                inside &= (0..shape[d + 2] as i64).contains(&i);
                flat = flat * shape[d + 2] + i.max(0) as usize;
            }
            if inside {
                out.data[flat] += x.at(&at) * k.at(&[&[at[1]], &tap[..]].concat());
            }
        }
    }
    out
}

pub fn pooling(
    x: &Array,
    kind: PoolingType,
    size: &[usize],
    w: &Window<'_>,
    exclude: bool,
) -> Array {
    let mut shape = x.shape[..2].to_vec();
    for (d, size) in size.iter().enumerate() {
        shape.push((x.shape[d + 2] + w.pre[d] + w.post[d] - size) / w.stride[d] + 1);
    }
    Array::build(&shape, |at| {
        let mut seen = Vec::new();
        for tap in indices(size) {
            let mut from = vec![at[0] as i64, at[1] as i64];
            for d in 0..size.len() {
                from.push((at[d + 2] * w.stride[d] + tap[d]) as i64 - w.pre[d] as i64);
            }
            seen.extend(x.get(&from));
        }
        match kind {
            PoolingType::Max => seen.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            PoolingType::Average => {
                let count = if exclude {
                    seen.len()
                } else {
                    size.iter().product()
                };
                seen.iter().sum::<f64>() / count as f64
            }
        }
    })
}

pub fn transpose(x: &Array, order: &[usize]) -> Array {
    let shape: Vec<usize> = order.iter().map(|&axis| x.shape[axis]).collect();
    Array::build(&shape, |at| {
        let mut from = vec![0; at.len()];
        for (i, &axis) in order.iter().enumerate() {
            from[axis] = at[i];
        }
        x.at(&from)
    })
}

pub fn matrix_multiply(a: &Array, b: &Array) -> Array {
    let r = a.shape.len();
    let mut shape: Vec<usize> = a
        .shape
        .iter()
        .zip(&b.shape)
        .map(|(&a, &b)| a.max(b))
        .collect();
    (shape[r - 2], shape[r - 1]) = (a.shape[r - 2], b.shape[r - 1]);
    Array::build(&shape, |at| {
        (0..a.shape[r - 1])
            .map(|k| {
                let (mut left, mut right) = (at.to_vec(), at.to_vec());
                (left[r - 1], right[r - 2]) = (k, k);
                stretched_batch(a, &left) * stretched_batch(b, &right)
            })
            .sum()
    })
}

fn stretched_batch(a: &Array, at: &[usize]) -> f64 {
    let batch = at.len() - 2;
    let at: Vec<usize> = (0..at.len())
        .map(|d| {
            if d < batch && a.shape[d] == 1 {
                0
            } else {
                at[d]
            }
        })
        .collect();
    a.at(&at)
}

pub fn softmax(x: &Array, axis: usize) -> Array {
    Array::build(&x.shape, |at| {
        let line = |i: usize| {
            let mut at = at.to_vec();
            at[axis] = i;
            x.at(&at).exp()
        };
        line(at[axis]) / (0..x.shape[axis]).map(line).sum::<f64>()
    })
}

pub fn reduce(x: &Array, operation: ReduceOperation, axes: &[usize], keep: bool) -> Array {
    let inner: Vec<usize> = axes.iter().map(|&axis| x.shape[axis]).collect();
    let kept: Vec<usize> = (0..x.shape.len())
        .map(|d| if axes.contains(&d) { 1 } else { x.shape[d] })
        .collect();
    let out = Array::build(&kept, |at| {
        let values = indices(&inner).map(|tap| {
            let mut at = at.to_vec();
            for (&axis, i) in axes.iter().zip(tap) {
                at[axis] = i;
            }
            x.at(&at)
        });
        match operation {
            ReduceOperation::Sum => values.sum(),
            ReduceOperation::Prod => values.product(),
            ReduceOperation::Max => values.reduce(f64::max).unwrap(),
            ReduceOperation::Min => values.reduce(f64::min).unwrap(),
            ReduceOperation::Avg => values.sum::<f64>() / inner.iter().product::<usize>() as f64,
        }
    });
    let dropped: Vec<usize> = (0..x.shape.len())
        .filter(|d| !axes.contains(d))
        .map(|d| x.shape[d])
        .collect();
    if keep { out } else { out.reshape(&dropped) }
}

pub fn slice(
    x: &Array,
    start: &[i64],
    size: &[Option<usize>],
    stride: &[i64],
    mode: SampleMode,
) -> Array {
    let shape: Vec<usize> = size
        .iter()
        .zip(&x.shape)
        .map(|(size, &dim)| size.unwrap_or(dim))
        .collect();
    Array::build(&shape, |at| {
        let mut from: Vec<i64> = (0..at.len())
            .map(|d| start[d] + at[d] as i64 * stride[d])
            .collect();
        for (i, &dim) in from.iter_mut().zip(&x.shape) {
            let dim = dim as i64;
            while !(0..dim).contains(i) {
                *i = match mode {
                    SampleMode::Strict | SampleMode::Fill(_) => break,
                    SampleMode::Reflect if *i < 0 => -*i,
                    SampleMode::Reflect => 2 * (dim - 1) - *i,
                    SampleMode::Symmetric if *i < 0 => -1 - *i,
                    SampleMode::Symmetric => 2 * dim - 1 - *i,
                };
            }
        }
        x.get(&from).unwrap_or_else(|| match mode {
            SampleMode::Fill(value) => f64::from(value),
            _ => panic!("{from:?} lies outside"),
        })
    })
}

pub fn gather(data: &Array, indices: &Array, mode: GatherMode) -> Array {
    let d = &data.shape;
    match mode {
        GatherMode::Default { axis, batch_dims } => {
            let inner = &indices.shape[batch_dims..];
            let shape = [&d[..axis], inner, &d[axis + 1..]].concat();
            Array::build(&shape, |at| {
                let which = [&at[..batch_dims], &at[axis..axis + inner.len()]].concat();
                let i = indices.at(&which) as usize;
                data.at(&[&at[..axis], &[i], &at[axis + inner.len()..]].concat())
            })
        }
        GatherMode::Nd => {
            let (&depth, outer) = indices.shape.split_last().unwrap();
            let shape = [outer, &d[depth..]].concat();
            Array::build(&shape, |at| {
                let (outer, rest) = at.split_at(outer.len());
                let head = (0..depth).map(|i| indices.at(&[outer, &[i]].concat()) as usize);
                data.at(&head.chain(rest.iter().copied()).collect::<Vec<_>>())
            })
        }
    }
}

pub fn resize(
    x: &Array,
    mode: InterpolationMode,
    coordinates: ResizeCoordinateTransformation,
    rounding: ResizeRounding,
    shape: &[usize],
) -> Array {
    let source = |i: usize, d: usize| {
        let (i, from, to) = (i as f64, x.shape[d] as f64, shape[d] as f64);
        match coordinates {
            ResizeCoordinateTransformation::AlignCorners if shape[d] == 1 => 0.0,
            ResizeCoordinateTransformation::AlignCorners => i * (from - 1.0) / (to - 1.0),
            ResizeCoordinateTransformation::Asymmetric => i * from / to,
            ResizeCoordinateTransformation::HalfPixel => (i + 0.5) * from / to - 0.5,
        }
    };
    let clamp = |i: f64, d: usize| i.clamp(0.0, x.shape[d] as f64 - 1.0);
    Array::build(shape, |at| {
        let at: Vec<f64> = (0..at.len()).map(|d| source(at[d], d)).collect();
        if mode == InterpolationMode::Nearest {
            let round = |i: f64| match rounding {
                ResizeRounding::HalfUp => (i + 0.5).floor(),
                ResizeRounding::HalfDown => (i - 0.5).ceil(),
                ResizeRounding::Floor => i.floor(),
                ResizeRounding::Ceil => i.ceil(),
            };
            let from: Vec<usize> = (0..at.len())
                .map(|d| clamp(round(at[d]), d) as usize)
                .collect();
            return x.at(&from);
        }
        (0..1usize << at.len())
            .map(|corner| {
                let mut weight = 1.0;
                let from: Vec<usize> = (0..at.len())
                    .map(|d| {
                        let i = clamp(at[d], d);
                        let upper = corner >> d & 1 == 1;
                        let part = i - i.floor();
                        weight *= if upper { part } else { 1.0 - part };
                        clamp(i.floor() + f64::from(u8::from(upper)), d) as usize
                    })
                    .collect();
                weight * x.at(&from)
            })
            .sum()
    })
}

/// `numbers` are alpha, beta and k.
pub fn local_response(x: &Array, window: usize, [alpha, beta, k]: [f64; 3]) -> Array {
    Array::build(&x.shape, |at| {
        let radius = window as i64 / 2;
        let squares = (-radius..=radius).map(|offset| {
            let mut other: Vec<i64> = at.iter().map(|&i| i as i64).collect();
            other[1] += offset;
            x.get(&other).map_or(0.0, |value| value * value)
        });
        let mean = squares.sum::<f64>() / window as f64;
        x.at(at) / (k + alpha * mean).powf(beta)
    })
}

/// The boxes that are kept, best score first, and zeros behind them; how many are kept.
pub fn suppression(
    boxes: &Array,
    scores: &Array,
    max_output_boxes: usize,
    iou_threshold: f64,
    score_threshold: f64,
) -> (Array, Array) {
    let mut order: Vec<usize> = (0..scores.data.len())
        .filter(|&i| scores.data[i] > score_threshold)
        .collect();
    order.sort_by(|&a, &b| scores.data[b].total_cmp(&scores.data[a]));
    let mut kept: Vec<usize> = Vec::new();
    for candidate in order {
        let overlaps = |&other: &usize| overlap(boxes, candidate, other) > iou_threshold;
        if kept.len() < max_output_boxes && !kept.iter().any(overlaps) {
            kept.push(candidate);
        }
    }
    let count = kept.len() as f64;
    kept.resize(max_output_boxes, 0);
    let kept: Vec<f64> = kept.into_iter().map(|i| i as f64).collect();
    (
        Array::new(&[max_output_boxes], &kept),
        Array::new(&[], &[count]),
    )
}

/// Intersection over union of two boxes of `[n, 4]`.
pub fn overlap(boxes: &Array, a: usize, b: usize) -> f64 {
    let sides = |i: usize, axis: usize| {
        let (p, q) = (boxes.at(&[i, axis]), boxes.at(&[i, axis + 2]));
        (p.min(q), p.max(q))
    };
    let area = |i: usize| {
        let ((top, bottom), (left, right)) = (sides(i, 0), sides(i, 1));
        (bottom - top) * (right - left)
    };
    let common = |axis: usize| {
        let (a, b) = (sides(a, axis), sides(b, axis));
        (a.1.min(b.1) - a.0.max(b.0)).max(0.0)
    };
    if area(a) <= 0.0 || area(b) <= 0.0 {
        return 0.0;
    }
    let intersection = common(0) * common(1);
    intersection / (area(a) + area(b) - intersection)
}
