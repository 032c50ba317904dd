use tfjet_core::{Layer, PoolingType};

use super::convolution::padding;
use super::writer::Writer;
use crate::OnnxError;
use crate::proto::AttributeProto;
use crate::types::Kernel;

pub(super) fn pooling(w: &mut Writer<'_, '_>) -> Result<(), OnnxError> {
    let Layer::Pooling {
        kind,
        window,
        stride,
        pre_padding,
        post_padding,
        padding_mode,
        average_count_excludes_padding,
    } = &w.spec.layer
    else {
        return Err(w.fail("is no pooling"));
    };
    let Some(spatial) = w.input_dims(0)?.len().checked_sub(2).filter(|&n| n > 0) else {
        return Err(w.fail("the input has no spatial axis"));
    };
    for (name, values) in [
        ("window", window),
        ("stride", stride),
        ("pre_padding", pre_padding),
        ("post_padding", post_padding),
    ] {
        w.expect_len(name, values, spatial)?;
    }
    if window.iter().chain(stride).any(|&size| size == 0) {
        return Err(w.fail("window sizes and strides are at least 1"));
    }
    let paddings = pre_padding.iter().zip(post_padding).zip(window);
    for ((before, after), size) in paddings {
        if before >= size || after >= size {
            return Err(w.fail(format!(
                "a padding of {before}, {after} reaches past a window of {size}"
            )));
        }
    }
    let mut attributes = vec![
        AttributeProto::ints("kernel_shape", w.ints(window)?),
        AttributeProto::ints("strides", w.ints(stride)?),
        padding(w, *padding_mode, pre_padding, post_padding)?,
    ];
    let (op, input) = match kind {
        PoolingType::Max => ("MaxPool", w.input_for(0, Kernel::MAX_POOL)?),
        PoolingType::Average => {
            let include = i64::from(!average_count_excludes_padding);
            attributes.push(AttributeProto::int("count_include_pad", include));
            ("AveragePool", w.input_for(0, Kernel::FLOAT)?)
        }
    };
    let output = w.node(op, &[&input], attributes, input.dtype);
    w.finish(0, output)
}

/// Across channels; `numbers` are alpha, beta and k.
pub(super) fn lrn(
    w: &mut Writer<'_, '_>,
    window: usize,
    [alpha, beta, k]: [f32; 3],
) -> Result<(), OnnxError> {
    let rank = w.input_dims(0)?.len();
    if rank < 3 || window.is_multiple_of(2) {
        return Err(w.fail(format!("a window of {window} channels over {rank} axes")));
    }
    let attributes = vec![
        AttributeProto::int("size", w.int(window)?),
        AttributeProto::float("alpha", alpha),
        AttributeProto::float("beta", beta),
        AttributeProto::float("bias", k),
    ];
    let input = w.input(0)?;
    let single = w.cast(&input, tfjet_core::DType::F32)?;
    let output = w.node("LRN", &[&single], attributes, single.dtype);
    w.finish(0, output)
}
