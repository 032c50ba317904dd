//! Ops with attributes and inputs.

use tfjet_core::{AttrValue, Attrs, DType, Tensor};

use super::data::{Random, clear_signs, ints};

#[derive(Debug)]
pub(super) struct Case {
    pub(super) op: &'static str,
    pub(super) attrs: Attrs,
    pub(super) inputs: Vec<Tensor>,
    /// Of the result, relative to it or to 1.
    pub(super) tolerance: f64,
    /// Are inputs and results in the range of 32-bit integers?
    pub(super) fits_narrow: bool,
}

impl Case {
    fn new(op: &'static str, inputs: Vec<Tensor>) -> Self {
        Self {
            op,
            attrs: Attrs::default(),
            inputs,
            tolerance: 0.0,
            fits_narrow: true,
        }
    }

    fn with(mut self, name: &str, value: AttrValue) -> Self {
        self.attrs.insert(name, value);
        self
    }

    fn int(self, name: &str, value: i64) -> Self {
        self.with(name, AttrValue::Int(value))
    }

    fn flag(self, name: &str, value: bool) -> Self {
        self.with(name, AttrValue::Bool(value))
    }

    fn dtype(self, name: &str, value: DType) -> Self {
        self.with(name, AttrValue::Type(Some(value)))
    }

    /// Functions of the two libraries differ by a few units in the last place.
    fn inexact(mut self) -> Self {
        let half = self.inputs.iter().any(|input| input.dtype() == DType::F16);
        self.tolerance = if half { 2e-3 } else { 4e-6 };
        self
    }

    fn wide(mut self) -> Self {
        self.fits_narrow = false;
        self
    }
}

const NUMBERS: [DType; 6] = [
    DType::F32,
    DType::F16,
    DType::I32,
    DType::I64,
    DType::U8,
    DType::I8,
];
const FLOATS: [DType; 2] = [DType::F32, DType::F16];
const ALL: [DType; 7] = [
    DType::F32,
    DType::F16,
    DType::I32,
    DType::I64,
    DType::U8,
    DType::I8,
    DType::Bool,
];

/// What every kernel must make as the host does.
pub(super) fn cases() -> Vec<Case> {
    let mut random = Random::new(7);
    let mut cases = Vec::new();
    unary(&mut random, &mut cases);
    binary(&mut random, &mut cases);
    casts(&mut random, &mut cases);
    movement(&mut random, &mut cases);
    slices(&mut random, &mut cases);
    resizes(&mut random, &mut cases);
    gathers(&mut random, &mut cases);
    reductions(&mut random, &mut cases);
    cases
}

fn unary(random: &mut Random, cases: &mut Vec<Case>) {
    let exact = [
        "Abs",
        "Neg",
        "Sign",
        "Square",
        "Round",
        "Rint",
        "Ceil",
        "Floor",
        "Sqrt",
        "Rsqrt",
        "Reciprocal",
        "Inv",
        "Relu",
        "Relu6",
        "LeakyRelu",
        "Softsign",
        "IsFinite",
        "IsInf",
        "IsNan",
    ];
    let inexact = [
        "Exp", "Expm1", "Log", "Log1p", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh",
        "Cosh", "Asinh", "Atanh", "Erf", "Elu", "Selu", "Sigmoid", "Tanh", "Softplus",
    ];
    for dtype in FLOATS {
        for op in exact {
            cases.push(Case::new(op, vec![random.special(dtype, &[3, 171])]));
        }
        for op in inexact {
            cases.push(Case::new(op, vec![random.special(dtype, &[3, 171])]).inexact());
        }
        let mut above = random.special(dtype, &[99]);
        clear_signs(&mut above);
        cases.push(Case::new("Acosh", vec![above]).inexact());
        let x = random.special(dtype, &[99]);
        cases.push(Case::new("LeakyRelu", vec![x]).with("alpha", AttrValue::Float(1.5)));
    }
    for dtype in &NUMBERS[2..] {
        for op in ["Abs", "Neg", "Sign", "Square", "Relu", "Relu6"] {
            cases.push(Case::new(op, vec![random.special(*dtype, &[77])]).wide());
            cases.push(Case::new(op, vec![random.tensor(*dtype, &[77])]));
        }
    }
    cases.push(Case::new("Round", vec![random.tensor(DType::I64, &[9])]));
    cases.push(Case::new(
        "LogicalNot",
        vec![random.tensor(DType::Bool, &[5, 1, 7])],
    ));
    cases.push(Case::new("Exp", vec![random.tensor(DType::F32, &[0, 4])]));
    cases.push(Case::new("Neg", vec![random.tensor(DType::F32, &[])]));
    for op in ["Identity", "Snapshot", "StopGradient", "PreventGradient"] {
        cases.push(Case::new(op, vec![random.tensor(DType::F32, &[2, 3])]));
    }
}

const BROADCASTS: [(&[usize], &[usize]); 8] = [
    (&[2, 3, 5], &[2, 3, 5]),
    (&[4, 1, 3], &[5, 1]),
    (&[], &[7]),
    (&[1, 6, 1, 2], &[3, 1, 4, 1]),
    (&[513], &[1]),
    (&[2, 1, 2, 1, 2, 1, 2], &[1, 3, 1, 3, 1, 3, 1]),
    (&[0, 3], &[1, 3]),
    (&[], &[]),
];

fn binary(random: &mut Random, cases: &mut Vec<Case>) {
    for (left, right) in BROADCASTS {
        for dtype in NUMBERS {
            for op in [
                "Add",
                "AddV2",
                "Sub",
                "Mul",
                "Maximum",
                "Minimum",
                "SquaredDifference",
                "Less",
                "LessEqual",
                "Greater",
                "GreaterEqual",
                "Equal",
                "NotEqual",
            ] {
                let inputs = vec![random.tensor(dtype, left), random.tensor(dtype, right)];
                cases.push(Case::new(op, inputs));
                let inputs = vec![random.special(dtype, left), random.special(dtype, right)];
                cases.push(Case::new(op, inputs).wide());
            }
            for op in ["Div", "FloorDiv", "FloorMod", "Mod", "TruncateMod"] {
                let inputs = vec![random.tensor(dtype, left), random.divisors(dtype, right)];
                cases.push(Case::new(op, inputs));
                let inputs = vec![random.special(dtype, left), random.divisors(dtype, right)];
                cases.push(Case::new(op, inputs).wide());
            }
            let inputs = vec![random.tensor(dtype, left), random.divisors(dtype, right)];
            cases.push(Case::new("Pow", inputs).inexact());
        }
        for dtype in FLOATS {
            for op in [
                "RealDiv",
                "DivNoNan",
                "Prelu",
                "FloorDiv",
                "FloorMod",
                "TruncateMod",
            ] {
                let inputs = vec![random.special(dtype, left), random.special(dtype, right)];
                cases.push(Case::new(op, inputs));
            }
            let inputs = vec![random.special(dtype, left), random.special(dtype, right)];
            cases.push(Case::new("Pow", inputs).inexact());
        }
        for dtype in &NUMBERS[2..] {
            let inputs = vec![random.special(*dtype, left), random.divisors(*dtype, right)];
            cases.push(Case::new("TruncateDiv", inputs).wide());
        }
        for op in ["LogicalAnd", "LogicalOr", "Equal", "NotEqual"] {
            let inputs = vec![
                random.tensor(DType::Bool, left),
                random.tensor(DType::Bool, right),
            ];
            cases.push(Case::new(op, inputs));
        }
        for dtype in ALL {
            let condition = random.tensor(DType::Bool, right);
            let inputs = vec![
                condition,
                random.tensor(dtype, left),
                random.tensor(dtype, right),
            ];
            cases.push(Case::new("SelectV2", inputs));
        }
    }
    let by_minus_one = |op, x: Tensor, y: Tensor| Case::new(op, vec![x, y]).wide();
    for op in ["TruncateDiv", "FloorDiv", "FloorMod", "TruncateMod"] {
        let (x, y) = (random.special(DType::I32, &[6]), ints(&[-1]));
        cases.push(by_minus_one(op, x, y));
        let y = Tensor::from_slice(&[1], &[-1i64]).unwrap();
        cases.push(by_minus_one(op, random.special(DType::I64, &[6]), y));
        let y = Tensor::from_slice(&[1], &[-1i8]).unwrap();
        cases.push(by_minus_one(op, random.special(DType::I8, &[6]), y));
    }
    for (shape, channels, format) in [
        (&[2, 5, 7, 3][..], 3, "NHWC"),
        (&[2, 3, 5, 7], 3, "NCHW"),
        (&[4, 9], 9, "NHWC"),
    ] {
        for dtype in [DType::F32, DType::F16, DType::I32] {
            let inputs = vec![
                random.special(dtype, shape),
                random.tensor(dtype, &[channels]),
            ];
            let format = AttrValue::Str(format.into());
            cases.push(Case::new("BiasAdd", inputs).with("data_format", format));
        }
    }
    for count in [1, 2, 4] {
        for dtype in [DType::F32, DType::F16, DType::I64] {
            let inputs = (0..count).map(|_| random.tensor(dtype, &[3, 11])).collect();
            cases.push(Case::new("AddN", inputs).int("N", count));
        }
    }
    for shape in [&[][..], &[4], &[4, 3, 2]] {
        let condition = random.tensor(DType::Bool, shape);
        let [a, b] = [0, 1].map(|_| random.tensor(DType::I64, &[4, 3, 2]));
        cases.push(Case::new("Select", vec![condition, a, b]));
    }
}

fn casts(random: &mut Random, cases: &mut Vec<Case>) {
    for from in ALL {
        for to in ALL {
            let cast = |x| {
                Case::new("Cast", vec![x])
                    .dtype("SrcT", from)
                    .dtype("DstT", to)
            };
            cases.push(cast(random.special(from, &[3, 71])).wide());
            if !from.is_float() {
                cases.push(cast(random.tensor(from, &[3, 71])));
            }
        }
    }
}

fn movement(random: &mut Random, cases: &mut Vec<Case>) {
    for dtype in ALL {
        let x = random.tensor(dtype, &[2, 3, 4, 5]);
        for order in [[0, 3, 1, 2], [3, 2, 1, 0], [0, 1, 2, 3], [-1, 0, -2, 1]] {
            cases.push(Case::new("Transpose", vec![x.clone(), ints(&order)]));
        }
        let paddings = Tensor::from_slice(&[4, 2], &[0i32, 1, 2, 0, 0, 0, 1, 3]).unwrap();
        cases.push(Case::new("Pad", vec![x.clone(), paddings.clone()]));
        let value = random.divisors(dtype, &[]);
        cases.push(Case::new("PadV2", vec![x.clone(), paddings, value]));
        cases.push(Case::new("Tile", vec![x.clone(), ints(&[2, 1, 3, 2])]));
        cases.push(Case::new("ReverseV2", vec![x.clone(), ints(&[1, -1])]));
        let parts = [1, 4, 2].map(|size| random.tensor(dtype, &[3, size, 5]));
        for (op, at) in [("ConcatV2", 3), ("Concat", 0)] {
            let mut inputs = parts.to_vec();
            inputs.insert(at, Tensor::scalar(-2i32));
            cases.push(Case::new(op, inputs).int("N", 3));
        }
        for axis in [0, 1, -1] {
            let inputs = (0..3).map(|_| random.tensor(dtype, &[4, 5])).collect();
            cases.push(Case::new("Pack", inputs).int("N", 3).int("axis", axis));
        }
        for (axis, size) in [(0, 2), (2, 4), (-1, 5)] {
            let case = Case::new("Unpack", vec![x.clone()]);
            cases.push(case.int("num", size).int("axis", axis));
        }
        let split = vec![Tensor::scalar(2i32), x.clone()];
        cases.push(Case::new("Split", split).int("num_split", 2));
        let split = vec![x, ints(&[1, -1, 1]), Tensor::scalar(3i32)];
        cases.push(Case::new("SplitV", split).int("num_split", 3));
    }
    for (from, to) in [
        (&[3, 1][..], &[2, 3, 4][..]),
        (&[], &[2, 2]),
        (&[4], &[0, 4]),
    ] {
        let inputs = vec![random.tensor(DType::F32, from), ints(to)];
        cases.push(Case::new("BroadcastTo", inputs));
    }
    let scalar = random.tensor(DType::F32, &[]);
    cases.push(Case::new("Transpose", vec![scalar, ints(&[])]));
    let image = random.tensor(DType::F32, &[1, 3, 224, 50]);
    cases.push(Case::new("Transpose", vec![image, ints(&[0, 2, 3, 1])]));
    let deep = random.tensor(DType::F32, &[2; 8]);
    let order = ints(&[7, 5, 3, 1, 6, 4, 2, 0]);
    cases.push(Case::new("Transpose", vec![deep, order]));

    let x = random.tensor(DType::I64, &[2, 1, 6, 1]);
    for wanted in [&[12][..], &[-1, 3], &[2, 6, -1], &[2, 1, 6, 1]] {
        cases.push(Case::new("Reshape", vec![x.clone(), ints(wanted)]));
    }
    let empty = random.tensor(DType::F32, &[0, 3]);
    cases.push(Case::new("Reshape", vec![empty, ints(&[3, 0])]));
    for dim in [0, 2, -1] {
        cases.push(Case::new(
            "ExpandDims",
            vec![x.clone(), Tensor::scalar(dim)],
        ));
    }
    for dims in [&[][..], &[1], &[-1, 1]] {
        let dims = AttrValue::Ints(dims.to_vec());
        cases.push(Case::new("Squeeze", vec![x.clone()]).with("squeeze_dims", dims));
    }
}

fn slices(random: &mut Random, cases: &mut Vec<Case>) {
    let x = random.tensor(DType::F32, &[4, 5, 6]);
    for (begin, size) in [
        ([1, 0, 2], [2, -1, 3]),
        ([0, 0, 0], [4, 5, 6]),
        ([3, 5, 1], [1, 0, 5]),
    ] {
        cases.push(Case::new(
            "Slice",
            vec![x.clone(), ints(&begin), ints(&size)],
        ));
    }
    let mut strided = |begin: &[i32], end: &[i32], strides: &[i32], masks: [i64; 5]| {
        let inputs = vec![x.clone(), ints(begin), ints(end), ints(strides)];
        let names = [
            "begin_mask",
            "end_mask",
            "ellipsis_mask",
            "new_axis_mask",
            "shrink_axis_mask",
        ];
        let case = Case::new("StridedSlice", inputs);
        let case = names
            .iter()
            .zip(masks)
            .fold(case, |case, (name, mask)| case.int(name, mask));
        cases.push(case);
    };
    strided(&[1, 0], &[4, 5], &[2, 3], [0; 5]);
    strided(&[0, -1, 5], &[0, -6, -7], &[1, -2, -1], [1, 1, 0, 0, 0]);
    strided(&[0, 0, -2], &[0, 0, -1], &[1, 1, 1], [0, 0, 1, 2, 4]);
    strided(&[-1], &[0], &[1], [0, 0, 0, 0, 1]);
    strided(&[3, 2, 1], &[4, 3, 2], &[1, 1, 1], [0, 0, 0, 0, 7]);
    strided(&[2], &[2], &[1], [0; 5]);
    strided(&[], &[], &[], [0; 5]);
    strided(&[-9, 9], &[9, -9], &[9, -9], [0; 5]);
}

fn resizes(random: &mut Random, cases: &mut Vec<Case>) {
    let sizes: [(&[usize], [i32; 2]); 6] = [
        (&[2, 7, 5, 3], [14, 10]),
        (&[1, 7, 5, 3], [3, 11]),
        (&[1, 1, 1, 4], [5, 6]),
        (&[2, 8, 8, 1], [1, 1]),
        (&[1, 13, 17, 2], [13, 17]),
        (&[0, 3, 3, 2], [5, 5]),
    ];
    for (shape, size) in sizes {
        for (align, half) in [(false, false), (true, false), (false, true)] {
            for dtype in NUMBERS {
                for op in ["ResizeBilinear", "ResizeNearestNeighbor"] {
                    let inputs = vec![random.tensor(dtype, shape), ints(&size)];
                    let case = Case::new(op, inputs).flag("align_corners", align);
                    cases.push(case.flag("half_pixel_centers", half));
                }
            }
        }
    }
}

fn gathers(random: &mut Random, cases: &mut Vec<Case>) {
    let sets: [(&[usize], &[usize], i32, i64); 7] = [
        (&[7, 3], &[5], 0, 0),
        (&[4, 7, 3], &[2, 5], 1, 0),
        (&[4, 7, 3], &[4, 5], 1, 1),
        (&[2, 3, 6, 5], &[2, 3, 4], -1, 2),
        (&[2, 3, 6, 5], &[2, 4], 2, -1),
        (&[9], &[], 0, 0),
        (&[4, 7, 3], &[0], 1, 0),
    ];
    for (params, indices, axis, batch_dims) in sets {
        for dtype in ALL {
            for index in [DType::I32, DType::I64] {
                let rank = params.len() as i32;
                let limit = params[axis.rem_euclid(rank) as usize];
                let params = random.tensor(dtype, params);
                let indices = random.indices(index, indices, limit);
                if axis == 0 {
                    let inputs = vec![params.clone(), indices.clone()];
                    cases.push(Case::new("Gather", inputs));
                }
                let inputs = vec![params, indices, Tensor::scalar(axis)];
                cases.push(Case::new("GatherV2", inputs).int("batch_dims", batch_dims));
            }
        }
    }
}

fn reductions(random: &mut Random, cases: &mut Vec<Case>) {
    let sets: [(&[usize], &[i32]); 10] = [
        (&[3, 4, 5], &[1]),
        (&[3, 4, 5], &[0, 2]),
        (&[2, 9, 7, 3], &[1, 2]),
        (&[4, 1000], &[-1]),
        (&[1000, 4], &[0]),
        (&[2, 17000], &[0]),
        (&[6], &[0]),
        (&[3, 4], &[]),
        (&[3, 0], &[1]),
        (&[0, 3], &[1]),
    ];
    for (shape, axes) in sets {
        for keep in [false, true] {
            for dtype in NUMBERS {
                for op in ["Sum", "Max", "Min"] {
                    let inputs = vec![random.tensor(dtype, shape), ints(axes)];
                    let mut case = Case::new(op, inputs).flag("keep_dims", keep).inexact();
                    case.fits_narrow = op == "Sum" || shape != [3, 0];
                    cases.push(case);
                }
            }
            for dtype in FLOATS {
                for op in ["Sum", "Mean", "Max", "Min"] {
                    let inputs = vec![random.special(dtype, shape), ints(axes)];
                    cases.push(Case::new(op, inputs).flag("keep_dims", keep).inexact());
                }
            }
            for op in ["All", "Any"] {
                let inputs = vec![random.tensor(DType::Bool, shape), ints(axes)];
                cases.push(Case::new(op, inputs).flag("keep_dims", keep));
            }
        }
        let &[axis] = axes else { continue };
        if shape[axis.rem_euclid(shape.len() as i32) as usize] == 0 {
            continue;
        }
        for dtype in ALL {
            for op in ["ArgMax", "ArgMin"] {
                for output in [DType::I32, DType::I64] {
                    let inputs = vec![random.special(dtype, shape), Tensor::scalar(axis)];
                    cases.push(Case::new(op, inputs).dtype("output_type", output).wide());
                    let inputs = vec![random.tensor(dtype, shape), Tensor::scalar(axis)];
                    cases.push(Case::new(op, inputs).dtype("output_type", output));
                }
            }
        }
    }
}

/// What neither the host nor the device runs.
pub(super) fn refused() -> Vec<Case> {
    let mut random = Random::new(3);
    let mut f32s = |shape: &[usize]| random.tensor(DType::F32, shape);
    let scalar = Tensor::scalar::<i32>;
    vec![
        Case::new("Add", vec![f32s(&[2]), f32s(&[3])]),
        Case::new("Add", vec![f32s(&[2]), ints(&[1, 2])]),
        Case::new("Exp", vec![ints(&[1])]),
        Case::new("FloorDiv", vec![ints(&[1, 2]), ints(&[1, 0])]),
        Case::new("Pow", vec![ints(&[1, 2]), ints(&[1, -1])]),
        Case::new("BiasAdd", vec![f32s(&[2, 3]), f32s(&[2])]),
        Case::new("AddN", vec![f32s(&[2]), f32s(&[1])]),
        Case::new("Select", vec![f32s(&[2]), f32s(&[2]), f32s(&[2])]),
        Case::new("Gather", vec![f32s(&[2, 3]), ints(&[0, 2])]),
        Case::new("GatherV2", vec![f32s(&[2, 3]), ints(&[0]), scalar(2)]),
        Case::new("GatherV2", vec![f32s(&[2, 3]), ints(&[0]), scalar(0)]).int("batch_dims", 1),
        Case::new("ResizeBilinear", vec![f32s(&[1, 2, 2, 1]), ints(&[0, 3])]),
        Case::new("ResizeBilinear", vec![f32s(&[1, 0, 2, 1]), ints(&[2, 3])]),
        Case::new("Reshape", vec![f32s(&[6]), ints(&[4])]),
        Case::new("Reshape", vec![f32s(&[6]), ints(&[-1, -1])]),
        Case::new("Reshape", vec![f32s(&[6]), ints(&[-1, 0])]),
        Case::new("Reshape", vec![f32s(&[6]), ints(&[-1, 4])]),
        Case::new("Squeeze", vec![f32s(&[2, 1])]).with("squeeze_dims", AttrValue::Ints(vec![0])),
        Case::new("ExpandDims", vec![f32s(&[2]), scalar(3)]),
        Case::new("Transpose", vec![f32s(&[2, 3]), ints(&[0])]),
        Case::new("Transpose", vec![f32s(&[2, 3]), ints(&[0, 0])]),
        Case::new("Slice", vec![f32s(&[2]), ints(&[1]), ints(&[2])]),
        Case::new("Slice", vec![f32s(&[2]), ints(&[-1]), ints(&[1])]),
        Case::new(
            "StridedSlice",
            vec![f32s(&[2]), ints(&[0]), ints(&[1]), ints(&[0])],
        ),
        Case::new(
            "StridedSlice",
            vec![f32s(&[2]), ints(&[0, 0]), ints(&[1, 1]), ints(&[1, 1])],
        ),
        Case::new(
            "StridedSlice",
            vec![f32s(&[2]), ints(&[2]), ints(&[3]), ints(&[1])],
        )
        .int("shrink_axis_mask", 1),
        Case::new("Pad", vec![f32s(&[2]), ints(&[1, 1])]),
        Case::new(
            "Pad",
            vec![
                f32s(&[2]),
                Tensor::from_slice(&[1, 2], &[-1i32, 0]).unwrap(),
            ],
        ),
        Case::new("Tile", vec![f32s(&[2]), ints(&[1, 1])]),
        Case::new("Tile", vec![f32s(&[2]), ints(&[i32::MAX])]),
        Case::new("BroadcastTo", vec![f32s(&[2]), ints(&[3])]),
        Case::new("ReverseV2", vec![f32s(&[2]), ints(&[0, 0])]),
        Case::new("ConcatV2", vec![f32s(&[2, 1]), f32s(&[3, 1]), scalar(1)]),
        Case::new("Pack", vec![f32s(&[2]), f32s(&[3])]),
        Case::new("Unpack", vec![f32s(&[2])]).int("num", 3),
        Case::new("Split", vec![scalar(0), f32s(&[3])]).int("num_split", 2),
        Case::new("SplitV", vec![f32s(&[3]), ints(&[2, 2]), scalar(0)]).int("num_split", 2),
        Case::new("Sum", vec![f32s(&[3]), ints(&[1])]),
        Case::new("Sum", vec![f32s(&[3]), ints(&[0, 0])]),
        Case::new("ArgMax", vec![f32s(&[0]), scalar(0)]),
        Case::new("All", vec![f32s(&[3]), ints(&[0])]),
    ]
}
