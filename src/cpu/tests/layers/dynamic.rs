use tfjet_core::{
    DType, InterpolationMode, Layer, ResizeCoordinateTransformation, ResizeRounding, SampleMode,
};

use crate::case::{Case, Size, noise, whole};
use crate::reference::{Array, resize, slice, stretched};

pub fn cases() -> Vec<Case> {
    [
        shapes(),
        slices(),
        pads(),
        resizes(),
        copies(),
        lin_spaces(),
    ]
    .concat()
}

/// Types that data may have where it is only moved.
const MOVED: &[DType] = &[DType::F32, DType::F16, DType::I32, DType::I64, DType::U8];

fn shapes() -> Vec<Case> {
    let x = noise(&[2, 3, 4], 70);
    let sizes = Array::new(&[3], &[2.0, 3.0, 4.0]);
    let numbers = Layer::Numbers {
        values: vec![2, 3, 4],
    };
    let mut cases = vec![
        Case::typed(
            "Shape",
            Layer::Shape,
            DType::F32,
            &[&x],
            DType::I64,
            sizes.clone(),
        ),
        Case::typed("Numbers", numbers, DType::F32, &[], DType::I64, sizes),
    ];
    for (sizes, shape) in [
        (Size::Shape(vec![6, 4]), &[6, 4][..]),
        (Size::Shape(vec![1, 2, 3, 2, 2]), &[1, 2, 3, 2, 2]),
        (Size::Shape(vec![24]), &[24]),
        (Size::Numbers(vec![4, 6]), &[4, 6]),
    ] {
        for &dtype in MOVED {
            let x = whole(&[2, 3, 4], 71, 0, 50);
            let name = format!("Reshape {sizes:?} {dtype}");
            let case = Case::typed(name, Layer::Reshape, dtype, &[&x], dtype, x.reshape(shape));
            cases.push(case.with_sizes(std::slice::from_ref(&sizes)));
        }
    }
    cases
}

fn taken(x: &Array, start: &[i64], size: &[usize], stride: &[i64], mode: SampleMode) -> Array {
    let size: Vec<_> = size.iter().map(|&size| Some(size)).collect();
    slice(x, start, &size, stride, mode)
}

fn slices() -> Vec<Case> {
    let mut cases = Vec::new();
    for (start, size, stride) in [
        (&[0, 1, 2][..], &[2, 3, 3][..], &[1, 1, 1][..]),
        (&[1, 0, 0], &[1, 2, 3], &[1, 2, 3]),
        (&[1, 4, 6], &[2, 2, 7], &[-1, -2, -1]),
        (&[0, 4, 1], &[2, 5, 1], &[1, -1, 1]),
    ] {
        for &dtype in MOVED {
            let x = whole(&[2, 5, 7], 72, 0, 50);
            let expected = taken(&x, start, size, stride, SampleMode::Strict);
            let layer = Layer::SliceTo {
                stride: stride.to_vec(),
            };
            let name = format!("SliceTo {start:?} {size:?} {stride:?} {dtype}");
            let case = Case::typed(name, layer, dtype, &[&x], dtype, expected);
            cases.push(
                case.with_sizes(&[Size::Numbers(start.to_vec()), Size::Shape(size.to_vec())]),
            );
        }
    }
    let x = noise(&[3, 4], 73);
    let layer = Layer::SliceTo { stride: vec![1, 1] };
    let expected = taken(&x, &[1, 2], &[2, 2], &[1, 1], SampleMode::Strict);
    let case = Case::float("SliceTo from a shape", layer, &[&x], expected);
    cases.push(case.with_sizes(&[Size::Shape(vec![1, 2]), Size::Shape(vec![2, 2])]));
    cases
}

fn pads() -> Vec<Case> {
    let mut cases = Vec::new();
    for (mode, before, after) in [
        (SampleMode::Fill(0.0), [0, 1, 2], [0, 2, 1]),
        (SampleMode::Fill(7.0), [1, 0, 0], [2, 3, 0]),
        (SampleMode::Reflect, [0, 1, 2], [0, 2, 3]),
    ] {
        for &dtype in MOVED {
            let x = whole(&[2, 3, 4], 74, 0, 50);
            let shape: Vec<usize> = (0..3)
                .map(|axis| before[axis] + x.shape[axis] + after[axis])
                .collect();
            let start: Vec<i64> = before.iter().map(|&pad| -(pad as i64)).collect();
            let expected = taken(&x, &start, &shape, &[1, 1, 1], mode);
            let pads: Vec<i64> = before.iter().chain(&after).map(|&pad| pad as i64).collect();
            let name = format!("Pad {mode:?} {before:?} {after:?} {dtype}");
            let case = Case::typed(name, Layer::Pad { mode }, dtype, &[&x], dtype, expected);
            cases.push(case.with_sizes(&[Size::Numbers(pads)]));
        }
    }
    let x = noise(&[2, 3], 75);
    let layer = Layer::Pad {
        mode: SampleMode::Fill(-1.0),
    };
    let expected = taken(&x, &[-1, -2], &[6, 9], &[1, 1], SampleMode::Fill(-1.0));
    let case = Case::float("Pad by a shape", layer, &[&x], expected);
    cases.push(case.with_sizes(&[Size::Shape(vec![1, 2, 3, 4])]));
    cases
}

fn resizes() -> Vec<Case> {
    use ResizeCoordinateTransformation::{AlignCorners, Asymmetric, HalfPixel};
    let x = noise(&[1, 2, 5, 6], 76);
    let mut cases = Vec::new();
    for coordinates in [AlignCorners, Asymmetric, HalfPixel] {
        for (mode, rounding) in [
            (InterpolationMode::Linear, ResizeRounding::Floor),
            (InterpolationMode::Nearest, ResizeRounding::Floor),
            (InterpolationMode::Nearest, ResizeRounding::HalfUp),
        ] {
            // Of a nearest pixel at equal distance the release decides.
            if mode == InterpolationMode::Nearest
                && (rounding == ResizeRounding::Floor) != (coordinates == Asymmetric)
            {
                continue;
            }
            for shape in [[1, 2, 9, 13], [1, 2, 3, 4]] {
                let expected = resize(&x, mode, coordinates, rounding, &shape);
                let layer = Layer::ResizeTo {
                    mode,
                    coordinates,
                    rounding,
                };
                let name = format!("ResizeTo {shape:?} {mode:?} {coordinates:?} {rounding:?}");
                let case = Case::float(name, layer, &[&x], expected);
                cases.push(case.with_sizes(&[Size::Shape(shape.to_vec())]));
            }
            for scales in [[1, 1, 2, 2], [1, 1, 3, 1]] {
                let shape: Vec<usize> = (0..4).map(|axis| x.shape[axis] * scales[axis]).collect();
                let expected = resize(&x, mode, coordinates, rounding, &shape);
                let layer = Layer::ResizeBy {
                    mode,
                    coordinates,
                    rounding,
                    scales: scales.to_vec(),
                };
                let name = format!("ResizeBy {scales:?} {mode:?} {coordinates:?} {rounding:?}");
                cases.push(Case::float(name, layer, &[&x], expected));
            }
        }
    }
    cases
}

fn copies() -> Vec<Case> {
    let mut cases = Vec::new();
    for (from, to) in [
        (&[1, 1][..], &[3, 4][..]),
        (&[2, 1, 3], &[2, 5, 3]),
        (&[1, 3], &[4, 3]),
        (&[2, 3], &[2, 3]),
    ] {
        for &dtype in MOVED {
            let x = whole(from, 77, 0, 50);
            let expected = Array::build(to, |at| stretched(&x, at));
            let name = format!("Expand {from:?} {to:?} {dtype}");
            let case = Case::typed(name, Layer::Expand, dtype, &[&x], dtype, expected);
            cases.push(case.with_sizes(&[Size::Shape(to.to_vec())]));
        }
    }
    for times in [[1, 3], [2, 2]] {
        for &dtype in MOVED {
            let x = whole(&[2, 3], 78, 0, 50);
            let expected = Array::build(&[2 * times[0], 3 * times[1]], |at| {
                x.at(&[at[0] % 2, at[1] % 3])
            });
            let name = format!("Tile {times:?} {dtype}");
            let case = Case::typed(name, Layer::Tile, dtype, &[&x], dtype, expected);
            cases.push(case.with_sizes(&[Size::Shape(times.to_vec())]));
        }
    }
    cases
}

fn lin_spaces() -> Vec<Case> {
    let mut cases = Vec::new();
    for (count, start, delta) in [(5, 0.0, 1.0), (4, 7.0, -2.0), (1, 3.0, 5.0)] {
        for dtype in [DType::F32, DType::I32, DType::I64] {
            let expected = Array::build(&[count], |at| start + delta * at[0] as f64);
            cases.push(Case {
                name: format!("LinSpace {count} from {start} by {delta} {dtype}"),
                layer: Layer::LinSpace,
                inputs: Vec::new(),
                weights: Vec::new(),
                expected: vec![(dtype, expected)],
                sizes: vec![
                    Size::Shape(vec![count]),
                    Size::Constant(dtype, Array::new(&[], &[start])),
                    Size::Constant(dtype, Array::new(&[1], &[delta])),
                ],
            });
        }
    }
    cases
}
