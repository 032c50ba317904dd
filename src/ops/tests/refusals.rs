//! Inputs that an op does not define get an error that says what is wrong.

use tfjet_core::{AttrValue, Attrs, DType, Tensor};
use tfjet_ops::{OpError, kernel};

fn f32s(shape: &[usize]) -> Tensor {
    Tensor::zeros(DType::F32, shape).expect("a small tensor")
}

fn i32s(values: &[i32]) -> Tensor {
    Tensor::from_slice(&[values.len()], values).expect("a small tensor")
}

fn i64s(values: &[i64]) -> Tensor {
    Tensor::from_slice(&[values.len()], values).expect("a small tensor")
}

fn int(value: i32) -> Tensor {
    Tensor::scalar(value)
}

fn ints(name: &str, values: &[i64]) -> (String, AttrValue) {
    (name.into(), AttrValue::Ints(values.to_vec()))
}

fn text(name: &str, value: &str) -> (String, AttrValue) {
    (name.into(), AttrValue::Str(value.into()))
}

fn run(op: &str, attrs: Vec<(String, AttrValue)>, inputs: &[Tensor]) -> Result<(), OpError> {
    let kernel = kernel(op, &Attrs(attrs.into_iter().collect()))?;
    let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
    kernel.run(&views, &mut vec![Tensor::default(); kernel.output_count()])
}

#[test]
fn wrong_inputs_are_named() {
    let zero = || int(0);
    let cases = [
        (
            "Add",
            vec![f32s(&[2]), f32s(&[3])],
            "shapes [[2], [3]] do not broadcast",
        ),
        ("Add", vec![f32s(&[2])], "expected 2 inputs, got 1"),
        (
            "Add",
            vec![f32s(&[2]), i32s(&[1, 2])],
            "input 1 is int32, expected float32",
        ),
        (
            "LogicalNot",
            vec![f32s(&[2])],
            "input 0 is float32, expected bool",
        ),
        (
            "Exp",
            vec![i32s(&[1])],
            "input 0 is int32, expected a floating-point number",
        ),
        (
            "FloorDiv",
            vec![i32s(&[1]), i32s(&[0])],
            "integer division by zero",
        ),
        ("Mod", vec![i32s(&[1]), int(0)], "integer division by zero"),
        (
            "Pow",
            vec![i32s(&[2]), i32s(&[-1])],
            "negative power of an integer",
        ),
        (
            "BiasAdd",
            vec![f32s(&[2, 3]), f32s(&[2])],
            "bias of shape [2] does not fit the channels of [2, 3]",
        ),
        (
            "ConcatV2",
            vec![f32s(&[2, 2]), f32s(&[3, 3]), zero()],
            "shapes [2, 2] and [3, 3] differ outside axis 0",
        ),
        (
            "ConcatV2",
            vec![f32s(&[2]), f32s(&[3]), int(1)],
            "axis 1 is outside rank 1",
        ),
        (
            "Pack",
            vec![f32s(&[2]), f32s(&[3])],
            "inputs have shapes [2] and [3]",
        ),
        (
            "Fill",
            vec![i32s(&[2, -3]), zero()],
            "a dimension must not be negative, got -3",
        ),
        (
            "Range",
            vec![zero(), int(3), zero()],
            "no range from 0 to 3 in steps of 0",
        ),
        (
            "Range",
            vec![zero(), int(3), int(-1)],
            "no range from 0 to 3 in steps of -1",
        ),
        (
            "Gather",
            vec![f32s(&[3]), i32s(&[0, 3])],
            "index 1 is 3, outside [0, 3)",
        ),
        (
            "Gather",
            vec![f32s(&[3]), i32s(&[-1])],
            "index 0 is -1, outside [0, 3)",
        ),
        (
            "GatherNd",
            vec![f32s(&[2, 2]), i32s(&[1, 2])],
            "indices[0,1] is 2, outside [0, 2)",
        ),
        (
            "GatherNd",
            vec![f32s(&[0, 2]), i32s(&[0])],
            "params of shape [0, 2] have no elements",
        ),
        (
            "ScatterNd",
            vec![i32s(&[5]), f32s(&[]), i32s(&[4])],
            "indices[0,0] is 5, outside [0, 4)",
        ),
        (
            "ScatterNd",
            vec![i32s(&[1]), f32s(&[2]), i32s(&[4])],
            "updates have shape [2], expected []",
        ),
        (
            "MatMul",
            vec![f32s(&[2, 3]), f32s(&[2, 3])],
            "shapes [2, 3] and [2, 3] do not multiply",
        ),
        (
            "MatMul",
            vec![f32s(&[3]), f32s(&[3, 3])],
            "input 0 must have rank 2, has shape [3]",
        ),
        (
            "Pad",
            vec![f32s(&[3]), i32s(&[1, 1])],
            "paddings have shape [2], expected [1, 2]",
        ),
        (
            "Sum",
            vec![f32s(&[3]), i32s(&[0, -1])],
            "axis 0 is there twice",
        ),
        ("Max", vec![f32s(&[3]), int(2)], "axis 2 is outside rank 1"),
        (
            "ArgMax",
            vec![f32s(&[3, 0]), int(1)],
            "axis 1 of [3, 0] is empty",
        ),
        (
            "Reshape",
            vec![f32s(&[6]), i32s(&[4])],
            "6 elements of shape [6] do not fill shape [4]",
        ),
        (
            "Reshape",
            vec![f32s(&[6]), i32s(&[-1, -1])],
            "more than one size of -1",
        ),
        (
            "Reshape",
            vec![f32s(&[0]), i32s(&[-1, 0])],
            "a size of -1 beside a size of 0",
        ),
        (
            "ExpandDims",
            vec![f32s(&[6]), int(3)],
            "axis 3 is outside rank 2",
        ),
        (
            "ResizeBilinear",
            vec![f32s(&[1, 2, 2, 1]), i32s(&[0, 4])],
            "the size must be two positive numbers, got [0, 4]",
        ),
        (
            "Slice",
            vec![f32s(&[4]), i32s(&[3]), i32s(&[2])],
            "begin 3 and size 2 are outside dimension 0 of [4]",
        ),
        (
            "StridedSlice",
            vec![f32s(&[4]), i32s(&[0]), i32s(&[4]), i32s(&[0])],
            "a stride of 0",
        ),
        (
            "StridedSlice",
            vec![f32s(&[4]), i32s(&[0, 0]), i32s(&[1, 1]), i32s(&[1, 1])],
            "2 slices for shape [4]",
        ),
        (
            "Softmax",
            vec![f32s(&[])],
            "a scalar has no dimension for a softmax",
        ),
        (
            "Tile",
            vec![f32s(&[2]), i32s(&[-1])],
            "a multiple must not be negative, got -1",
        ),
        (
            "TopKV2",
            vec![f32s(&[2]), int(3)],
            "k is 3, but the last dimension has 2 elements",
        ),
        (
            "Transpose",
            vec![f32s(&[2, 2]), i32s(&[1, 1])],
            "perm has dimension 1 twice",
        ),
        (
            "InvertPermutation",
            vec![i32s(&[0, 0])],
            "0 is outside [0, 2) or there twice",
        ),
        ("Where", vec![f32s(&[])], "a scalar has no coordinates"),
        (
            "TensorListLength",
            vec![f32s(&[])],
            "input 0 is a scalar, no list",
        ),
        (
            "Bincount",
            vec![i32s(&[1, -2]), int(3), i32s(&[])],
            "-2 is negative",
        ),
        (
            "SegmentSum",
            vec![f32s(&[2]), i32s(&[1, 0])],
            "ids are not sorted: 0 behind 1",
        ),
        (
            "UnsortedSegmentSum",
            vec![f32s(&[2]), i32s(&[0, 2]), int(2)],
            "id 2 is outside 2 segments",
        ),
        (
            "TensorScatterUpdate",
            vec![f32s(&[4]), i32s(&[5]), f32s(&[])],
            "indices[0,0] is 5, outside [0, 4)",
        ),
        (
            "MatrixBandPart",
            vec![f32s(&[4]), int(0), int(0)],
            "shape [4] holds no matrices",
        ),
        (
            "CropAndResize",
            vec![
                f32s(&[1, 2, 2, 1]),
                f32s(&[1, 4]),
                i32s(&[1]),
                i32s(&[2, 2]),
            ],
            "image 1 is outside [0, 1)",
        ),
        (
            "Assert",
            vec![
                Tensor::from_bools(&[], &[false]).expect("a scalar"),
                i32s(&[1, 2, 3, 4]),
            ],
            "assertion failed [1.0, 2.0, 3.0 ...]",
        ),
    ];
    for (op, inputs, message) in cases {
        let error = run(op, vec![], &inputs).unwrap_err();
        assert_eq!(error.to_string(), message, "{op}");
    }
}

#[test]
fn wrong_attributes_are_named() {
    let window =
        |strides: &[i64], padding: &str| vec![ints("strides", strides), text("padding", padding)];
    let training = ("is_training".to_string(), AttrValue::Bool(true));
    let cases = [
        (
            "Conv2D",
            window(&[1, 1, 1], "SAME"),
            "attribute `strides` is [1, 1, 1], expected four positive integers, 1 for batch and channels",
        ),
        (
            "Conv2D",
            window(&[2, 1, 1, 1], "SAME"),
            "attribute `strides` is [2, 1, 1, 1], expected four positive integers, 1 for batch and channels",
        ),
        (
            "Conv2D",
            window(&[1, 1, 1, 1], "FULL"),
            "attribute `padding` is FULL, expected SAME, VALID or EXPLICIT",
        ),
        (
            "FusedBatchNormV3",
            vec![training],
            "attribute `is_training` is true, expected false",
        ),
        (
            "MirrorPad",
            vec![text("mode", "WRAP")],
            "attribute `mode` is WRAP, expected REFLECT or SYMMETRIC",
        ),
        ("Split", vec![], "attribute `num_split` is missing"),
        (
            "Split",
            vec![("num_split".into(), AttrValue::Int(0))],
            "attribute `num_split` is 0, expected 1 or more",
        ),
        (
            "Relu",
            vec![("alpha".into(), AttrValue::Float(1.0))],
            "attribute `alpha` is not known for this op",
        ),
        (
            "BiasAdd",
            vec![text("data_format", "NHWCX")],
            "attribute `data_format` is NHWCX, expected NHWC or NCHW",
        ),
    ];
    for (op, attrs, message) in cases {
        let error = run(op, attrs, &[]).unwrap_err();
        assert_eq!(error.to_string(), message, "{op}");
    }
}

#[test]
fn huge_outputs_are_refused_before_they_are_allocated() {
    let many = i64s(&[1 << 40, 1 << 40]);
    let cases = [
        ("Fill", vec![many.clone(), Tensor::scalar(0.0f32)]),
        ("Fill", vec![i64s(&[(1 << 29) + 1]), Tensor::scalar(0.0f32)]),
        ("Tile", vec![f32s(&[2, 2]), many.clone()]),
        ("BroadcastTo", vec![f32s(&[]), many.clone()]),
        (
            "Pad",
            vec![
                f32s(&[1]),
                Tensor::from_slice(&[1, 2], &[i64::MAX, i64::MAX]).unwrap(),
            ],
        ),
        (
            "Range",
            vec![
                Tensor::scalar(0i64),
                Tensor::scalar(i64::MAX),
                Tensor::scalar(1i64),
            ],
        ),
        (
            "ScatterNd",
            vec![
                Tensor::zeros(DType::I64, &[0, 2]).unwrap(),
                f32s(&[0]),
                many,
            ],
        ),
        (
            "OneHot",
            vec![
                i64s(&[0]),
                int(i32::MAX),
                Tensor::scalar(1.0f32),
                Tensor::scalar(0.0f32),
            ],
        ),
        (
            "ResizeBilinear",
            vec![f32s(&[1, 2, 2, 1]), i32s(&[1 << 30, 1 << 30])],
        ),
        ("AddV2", vec![f32s(&[1 << 16, 1]), f32s(&[1, 1 << 16])]),
    ];
    for (op, inputs) in cases {
        let error = run(op, vec![], &inputs).unwrap_err();
        assert!(matches!(error, OpError::TooLarge { .. }), "{op}: {error}");
    }
}

#[test]
fn lists_refuse_what_does_not_fit_them() {
    let element = || {
        vec![(
            "element_dtype".to_string(),
            AttrValue::Type(Some(DType::F32)),
        )]
    };
    let list = || f32s(&[3, 2]);
    let cases = [
        (
            "TensorListSetItem",
            vec![list(), int(3), f32s(&[2])],
            "element 3 of a list of 3",
        ),
        (
            "TensorListSetItem",
            vec![list(), int(0), f32s(&[4])],
            "a list of elements of shape [2] takes none of shape [4]",
        ),
        (
            "TensorListGetItem",
            vec![list(), int(-1), int(-1)],
            "element -1 of a list of 3",
        ),
        (
            "TensorListGetItem",
            vec![list(), int(0), i32s(&[5])],
            "elements of shape [2] where [Some(5)] is expected",
        ),
        (
            "TensorListPushBack",
            vec![list(), i32s(&[1, 2])],
            "input 1 is int32, expected float32",
        ),
        (
            "TensorListPopBack",
            vec![f32s(&[0, 2]), int(-1)],
            "the list is empty",
        ),
        (
            "TensorListStack",
            vec![f32s(&[0, 0]), int(-1)],
            "an empty list whose elements have no known shape",
        ),
        (
            "TensorListSplit",
            vec![f32s(&[3, 2]), int(-1), i64s(&[1, 2])],
            "lengths [1, 2]: the elements of a list have one shape here",
        ),
    ];
    for (op, inputs, message) in cases {
        let error = run(op, element(), &inputs).unwrap_err();
        assert_eq!(error.to_string(), message, "{op}");
    }
}

#[test]
fn an_assertion_says_its_message() {
    let holds_not = Tensor::from_bools(&[], &[false]).unwrap();
    let error = run(
        "Assert",
        vec![text("message", "rank is wrong:")],
        &[holds_not, int(7)],
    );
    assert_eq!(
        error.unwrap_err().to_string(),
        "assertion failed: rank is wrong: [7.0]"
    );
}

#[test]
fn checked_numbers_are_refused_with_their_message() {
    let x = Tensor::from_slice(&[2], &[1.0f32, f32::NAN]).unwrap();
    let error = run("CheckNumerics", vec![text("message", "loss")], &[x]).unwrap_err();
    assert_eq!(error.to_string(), "loss: the tensor holds NaN");
}

#[test]
fn outputs_keep_their_allocation() {
    let kernel = kernel("Add", &Attrs::default()).unwrap();
    let x = f32s(&[4, 4]);
    let mut outputs = [Tensor::zeros(DType::F64, &[64]).unwrap()];
    let before = outputs[0].bytes().as_ptr();
    kernel.run(&[x.view(), x.view()], &mut outputs).unwrap();
    assert_eq!(outputs[0].bytes().as_ptr(), before);
    let error = kernel.run(&[x.view(), x.view()], &mut []).unwrap_err();
    assert_eq!(
        error,
        OpError::OutputCount {
            expected: 1,
            actual: 0
        }
    );
}
