use tfjet_core::Layer;

use super::convolution::check;
use super::writer::Writer;
use crate::TensorRtError;
use crate::network::Window;

pub(super) fn pooling(w: &mut Writer<'_, '_, '_>) -> Result<(), TensorRtError> {
    let Layer::Pooling {
        kind,
        window: size,
        stride,
        pre_padding,
        post_padding,
        padding_mode,
        average_count_excludes_padding,
    } = &w.layer.layer
    else {
        return Err(w.fail("is no pooling"));
    };
    let input = w.input(0)?;
    let spatial = w.input_dims(0)?.len().saturating_sub(2);
    w.expect_len("window", size, spatial)?;
    let window = Window {
        stride,
        dilation: &[],
        pre_padding,
        post_padding,
        padding_mode: *padding_mode,
    };
    check(w, &window, size)?;
    let layer = w.network.add_pooling(
        input.tensor,
        *kind,
        size,
        &window,
        *average_count_excludes_padding,
    )?;
    let value = w.value("pooling", layer, input.dtype)?;
    w.finish(0, value)
}

/// Across channels; `numbers` are alpha, beta and k.
pub(super) fn lrn(
    w: &mut Writer<'_, '_, '_>,
    window: usize,
    numbers: [f32; 3],
) -> Result<(), TensorRtError> {
    let input = w.input(0)?;
    let layer = w.network.add_lrn(input.tensor, window, numbers)?;
    let value = w.value("lrn", layer, input.dtype)?;
    w.finish(0, value)
}
