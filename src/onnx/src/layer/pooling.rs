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
