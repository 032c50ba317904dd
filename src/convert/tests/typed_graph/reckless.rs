//! Ops with inputs and attributes that nobody chose to fit.

use tfjet_convert::lower::lowered_ops;
use tfjet_convert::tensorflow::SourceNode;
use tfjet_core::{AttrValue, DType, Dim, Shape};

use super::{Draft, text, with};

const NUMBERS: &[i64] = &[0, 1, 2, 3, -1, -2, 4, 7, i64::MAX, i64::MIN, 0xffff_ffff];

/// An attribute name with a value of the right kind or of any.
const ATTRS: &[&str] = &[
    "strides",
    "ksize",
    "dilations",
    "explicit_paddings",
    "padding",
    "data_format",
    "axis",
    "N",
    "num",
    "num_split",
    "keep_dims",
    "squeeze_dims",
    "block_size",
    "batch_dims",
    "fused_ops",
    "epsilon",
    "alpha",
    "transpose_a",
    "transpose_b",
    "adj_x",
    "adj_y",
    "begin_mask",
    "end_mask",
    "shrink_axis_mask",
    "new_axis_mask",
    "ellipsis_mask",
    "mode",
    "sorted",
    "k",
    "DstT",
    "output_type",
    "align_corners",
    "half_pixel_centers",
    "is_training",
];

pub(super) fn reckless(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let ops: Vec<&str> = lowered_ops().collect();
    let op = ops[(draft.below(256) * 256 + draft.below(256)) % ops.len()];
    let count = draft.below(5);
    let inputs: Vec<String> = (0..count).filter_map(|_| input(draft)).collect();
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let mut node = draft.op(op, &inputs);
    for _ in 0..draft.below(5) {
        let name = draft.one_of(ATTRS);
        let value = value(draft);
        node = with(node, name, value);
    }
    Some(node)
}

fn input(draft: &mut Draft<'_>) -> Option<String> {
    Some(match draft.below(6) {
        0 => {
            let shape: &[usize] =
                [&[][..], &[1], &[4], &[0], &[2, 2], &[1, 1, 4, 2]][draft.below(6)];
            draft.floats(shape)
        }
        1 => {
            let length = draft.below(5);
            let values: Vec<i32> = (0..length)
                .map(|_| draft.one_of(&[0, 1, -1, 2, 3, i32::MAX, i32::MIN]))
                .collect();
            draft.vector(&values)
        }
        2 => {
            let value = draft.one_of(&[0, 1, -1, 2, 3, i32::MAX, i32::MIN]);
            draft.ints(&[], &[value])
        }
        _ => draft.wire(|_| true)?.name,
    })
}

fn value(draft: &mut Draft<'_>) -> AttrValue {
    match draft.below(8) {
        0 | 1 => AttrValue::Int(draft.one_of(NUMBERS)),
        2 | 3 => {
            let length = draft.below(6);
            AttrValue::Ints((0..length).map(|_| draft.one_of(NUMBERS)).collect())
        }
        4 => text(draft.one_of(&["SAME", "VALID", "EXPLICIT", "NCHW", "NHWC", "REFLECT", "?"])),
        5 => AttrValue::Bool(draft.below(2) == 1),
        6 => {
            let names = [
                "BiasAdd",
                "Relu",
                "Prelu",
                "FusedBatchNorm",
                "LeakyRelu",
                "Elu",
            ];
            let length = draft.below(3);
            let names = (0..length).map(|_| draft.one_of(&names).as_bytes().to_vec());
            AttrValue::Strs(names.collect())
        }
        _ => match draft.below(3) {
            0 => AttrValue::Type(Some(draft.one_of(&[DType::F32, DType::Bool, DType::I64]))),
            1 => AttrValue::Float(draft.one_of(&[0.0, -1.0, f32::NAN, f32::INFINITY])),
            _ => AttrValue::Shape(Some(Shape(vec![Dim::Fixed(usize::MAX)]))),
        },
    }
}
