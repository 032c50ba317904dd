use tfjet_core::{DType, Layer, ReshapeDim, SampleMode};

use crate::case::{Case, noise, whole};
use crate::reference::{Array, slice, transpose};

pub fn cases() -> Vec<Case> {
    [shuffles(), slices(), concatenations()].concat()
}

fn shuffles() -> Vec<Case> {
    use ReshapeDim::{Copy, Fixed, Infer};
    let x = noise(&[2, 3, 4, 5], 50);
    let shuffle =
        |first: &[usize], reshape: Option<&[ReshapeDim]>, second: &[usize]| Layer::Shuffle {
            first_transpose: first.to_vec(),
            reshape: reshape.map(<[ReshapeDim]>::to_vec),
            second_transpose: second.to_vec(),
        };
    let nhwc = [0, 2, 3, 1];
    let moved = transpose(&x, &nhwc);
    let table = [
        ("nothing", shuffle(&[], None, &[]), x.clone()),
        (
            "identity",
            shuffle(&[0, 1, 2, 3], None, &[0, 1, 2, 3]),
            x.clone(),
        ),
        ("transpose", shuffle(&nhwc, None, &[]), moved.clone()),
        ("second transpose", shuffle(&[], None, &nhwc), moved.clone()),
        (
            "flatten",
            shuffle(&[], Some(&[Copy, Infer]), &[]),
            x.reshape(&[2, 60]),
        ),
        (
            "copy and fix",
            shuffle(&[], Some(&[Fixed(6), Infer, Copy]), &[]),
            x.reshape(&[6, 5, 4]),
        ),
        (
            "transpose, then flatten",
            shuffle(&nhwc, Some(&[Copy, Infer]), &[]),
            moved.reshape(&[2, 60]),
        ),
        (
            "copy after transpose",
            shuffle(&nhwc, Some(&[Copy, Copy, Infer]), &[]),
            moved.reshape(&[2, 4, 15]),
        ),
        (
            "all three",
            shuffle(
                &nhwc,
                Some(&[Copy, Fixed(20), Fixed(3), Fixed(1)]),
                &[0, 2, 3, 1],
            ),
            transpose(&moved.reshape(&[2, 20, 3, 1]), &[0, 2, 3, 1]),
        ),
        (
            "to one axis",
            shuffle(&[], Some(&[Infer]), &[]),
            x.reshape(&[120]),
        ),
    ];
    let mut cases: Vec<Case> = table
        .into_iter()
        .map(|(name, layer, expected)| {
            Case::float(format!("Shuffle: {name}"), layer, &[&x], expected)
        })
        .collect();
    let empty = Array::new(&[0, 4], &[]);
    let layer = shuffle(&[], Some(&[Fixed(2), Fixed(0)]), &[]);
    cases.push(Case::float(
        "Shuffle: empty",
        layer,
        &[&empty],
        Array::new(&[2, 0], &[]),
    ));
    let one = Array::new(&[1, 1], &[3.0]);
    let layer = shuffle(&[], Some(&[]), &[]);
    cases.push(Case::float(
        "Shuffle: to a scalar",
        layer,
        &[&one],
        Array::new(&[], &[3.0]),
    ));
    for dtype in [DType::U8, DType::Bool, DType::I64, DType::F16, DType::I16] {
        let x = whole(&[2, 3], 51, 0, 1);
        let expected = transpose(&x, &[1, 0]);
        cases.push(Case::typed(
            format!("Shuffle {dtype}"),
            shuffle(&[1, 0], None, &[]),
            dtype,
            &[&x],
            dtype,
            expected,
        ));
    }
    cases
}

fn slices() -> Vec<Case> {
    type Row = (
        &'static str,
        [i64; 3],
        [Option<usize>; 3],
        [i64; 3],
        SampleMode,
    );
    let (strict, fill) = (SampleMode::Strict, SampleMode::Fill(-2.5));
    let (reflect, symmetric) = (SampleMode::Reflect, SampleMode::Symmetric);
    let table: [Row; 22] = [
        ("whole", [0, 0, 0], [None, None, None], [1, 1, 1], strict),
        (
            "all fixed",
            [0, 0, 0],
            [Some(3), Some(4), Some(5)],
            [1, 1, 1],
            strict,
        ),
        (
            "inner",
            [1, 0, 2],
            [Some(2), None, Some(2)],
            [1, 1, 1],
            strict,
        ),
        (
            "strided",
            [0, 1, 0],
            [None, Some(2), Some(3)],
            [1, 2, 2],
            strict,
        ),
        (
            "backwards",
            [2, 3, 4],
            [Some(3), Some(4), Some(5)],
            [-1, -1, -1],
            strict,
        ),
        (
            "backwards by two",
            [0, 3, 4],
            [None, Some(2), Some(3)],
            [1, -2, -2],
            strict,
        ),
        (
            "backwards to the middle",
            [0, 0, 3],
            [None, None, Some(2)],
            [1, 1, -1],
            strict,
        ),
        (
            "nothing left",
            [0, 4, 0],
            [None, Some(0), None],
            [1, 1, 1],
            strict,
        ),
        (
            "pad both ends",
            [0, -1, -2],
            [None, Some(6), Some(10)],
            [1, 1, 1],
            fill,
        ),
        (
            "pad and cut",
            [0, -1, 2],
            [None, Some(3), Some(5)],
            [1, 1, 1],
            fill,
        ),
        (
            "pad with stride",
            [0, -1, -2],
            [None, Some(3), Some(4)],
            [1, 2, 3],
            fill,
        ),
        (
            "pad backwards",
            [0, 4, 6],
            [None, Some(6), Some(5)],
            [1, -1, -2],
            fill,
        ),
        (
            "all outside",
            [0, 6, 0],
            [None, Some(2), None],
            [1, 1, 1],
            fill,
        ),
        (
            "inside fill",
            [0, 1, 0],
            [None, Some(2), None],
            [1, 1, 1],
            fill,
        ),
        (
            "reflect",
            [0, -3, -2],
            [None, Some(10), Some(9)],
            [1, 1, 1],
            reflect,
        ),
        (
            "reflect more than once",
            [-5, 0, -9],
            [Some(13), None, Some(23)],
            [1, 1, 1],
            reflect,
        ),
        (
            "reflect with stride",
            [0, 0, -4],
            [None, None, Some(5)],
            [1, 1, 2],
            reflect,
        ),
        (
            "reflect backwards",
            [0, 5, 6],
            [None, Some(7), Some(8)],
            [1, -1, -1],
            reflect,
        ),
        (
            "symmetric",
            [0, -4, -2],
            [None, Some(12), Some(9)],
            [1, 1, 1],
            symmetric,
        ),
        (
            "symmetric more than once",
            [-7, 0, 0],
            [Some(17), None, Some(16)],
            [1, 1, 1],
            symmetric,
        ),
        (
            "symmetric with stride",
            [0, -1, -2],
            [None, Some(3), Some(4)],
            [1, 2, 3],
            symmetric,
        ),
        (
            "symmetric inside",
            [0, 1, 0],
            [None, Some(2), Some(5)],
            [1, 1, 1],
            symmetric,
        ),
    ];
    let x = noise(&[3, 4, 5], 52);
    let mut cases = Vec::new();
    for (name, start, size, stride, mode) in table {
        let layer = Layer::Slice {
            start: start.to_vec(),
            size: size.to_vec(),
            stride: stride.to_vec(),
            mode,
        };
        let expected = slice(&x, &start, &size, &stride, mode);
        cases.push(Case::float(
            format!("Slice: {name}"),
            layer,
            &[&x],
            expected,
        ));
    }
    for dtype in [
        DType::I8,
        DType::I16,
        DType::I32,
        DType::I64,
        DType::U8,
        DType::Bool,
        DType::F16,
    ] {
        let x = whole(&[2, 3], 53, 0, 1);
        let (start, size, mode) = ([0, -1], [None, Some(5)], SampleMode::Fill(1.0));
        let layer = Layer::Slice {
            start: start.to_vec(),
            size: size.to_vec(),
            stride: vec![1, 1],
            mode,
        };
        let expected = slice(&x, &start, &size, &[1, 1], mode);
        cases.push(Case::typed(
            format!("Slice: pad {dtype}"),
            layer,
            dtype,
            &[&x],
            dtype,
            expected,
        ));
    }
    cases
}

fn concatenations() -> Vec<Case> {
    let mut cases = Vec::new();
    for axis in 0..3 {
        let shape = |size: usize| {
            let mut shape = [2, 3, 4];
            shape[axis] = size;
            shape
        };
        let parts = [
            noise(&shape(1), 54),
            noise(&shape(3), 55),
            noise(&shape(2), 56),
        ];
        let expected = Array::build(&shape(6), |at| {
            let mut at = at.to_vec();
            for part in &parts {
                if at[axis] < part.shape[axis] {
                    return part.at(&at);
                }
                at[axis] -= part.shape[axis];
            }
            unreachable!()
        });
        let parts: Vec<&Array> = parts.iter().collect();
        let layer = Layer::Concatenation { axis };
        cases.push(Case::float(
            format!("Concatenation {axis}"),
            layer.clone(),
            &parts,
            expected,
        ));
        let only = parts[1].clone();
        cases.push(Case::float(
            format!("Concatenation {axis} of one"),
            layer,
            &parts[1..2],
            only,
        ));
    }
    cases
}
