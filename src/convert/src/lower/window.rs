//! Sliding windows: strides, dilations and paddings of convolutions and pooling.

use tfjet_core::{Dim, PaddingMode, Shape};

use super::op::Op;
use super::{Layout, Refusal, refuse};

/// The attributes that all sliding windows share, one value for each spatial axis.
pub(super) struct Window {
    pub(super) layout: Layout,
    pub(super) stride: Vec<usize>,
    pub(super) dilation: Vec<usize>,
    pub(super) pre_padding: Vec<usize>,
    pub(super) post_padding: Vec<usize>,
    pub(super) padding_mode: PaddingMode,
}

/// The layout that `data_format` names and TensorFlow's spatial axes in it, of which there are
/// `spatial`.
pub(super) fn data_format(
    op: &Op<'_, '_>,
    spatial: usize,
) -> Result<(Layout, Vec<usize>), Refusal> {
    let (last, first) = match spatial {
        3 => ("NDHWC", "NCDHW"),
        _ => ("NHWC", "NCHW"),
    };
    match op.attrs.str_or("data_format", last)? {
        format if format == last => Ok((Layout::ChannelsFirst, (1..=spatial).collect())),
        format if format == first => Ok((Layout::Native, (2..spatial + 2).collect())),
        other => refuse(format!("data_format {other} is not {last} or {first}")),
    }
}

/// The positive values of an attribute along the spatial `axes`; 1 along all where it is empty and
/// `may_be_empty`.
pub(super) fn per_axis(
    op: &Op<'_, '_>,
    name: &str,
    axes: &[usize],
    may_be_empty: bool,
) -> Result<Vec<usize>, Refusal> {
    let values = op.attrs.ints(name)?;
    let rank = axes.len() + 2;
    if values.is_empty() && may_be_empty {
        return Ok(vec![1; axes.len()]);
    }
    if values.len() != rank {
        return refuse(format!(
            "attribute `{name}` needs {rank} values, it has {}",
            values.len()
        ));
    }
    let mut outside = (0..rank).filter(|axis| !axes.contains(axis));
    if outside.any(|axis| values[axis] != 1) {
        return refuse(format!(
            "attribute `{name}` must be 1 on batch and channels"
        ));
    }
    axes.iter()
        .map(|&axis| match usize::try_from(values[axis]) {
            Ok(value) if value > 0 => Ok(value),
            _ => refuse(format!("attribute `{name}` must be positive")),
        })
        .collect()
}

/// Reads strides, dilations and padding for a window of `size` that maps `input` to `output`
/// (TensorFlow shapes).
pub(super) fn window(
    op: &Op<'_, '_>,
    size: &[usize],
    input: &Shape,
    output: &Shape,
) -> Result<Window, Refusal> {
    let (layout, axes) = data_format(op, size.len())?;
    let rank = size.len() + 2;
    if input.rank() != rank || output.rank() != rank || size.contains(&0) {
        return refuse(format!(
            "a window of {size:?} does not slide over {input} to {output}"
        ));
    }
    let stride = per_axis(op, "strides", &axes, false)?;
    let dilation = per_axis(op, "dilations", &axes, true)?;
    let explicit = op.attrs.ints("explicit_paddings")?;
    let padding = op.attrs.str_or("padding", "VALID")?;
    let mut pre_padding = vec![0; axes.len()];
    let mut post_padding = vec![0; axes.len()];
    let mut padding_mode = PaddingMode::Explicit;
    for (spatial, &axis) in axes.iter().enumerate() {
        let extent = (size[spatial] - 1).saturating_mul(dilation[spatial]) + 1;
        match padding {
            "VALID" => {}
            "EXPLICIT" => {
                let get = |i: usize| explicit.get(i).and_then(|&v| usize::try_from(v).ok());
                let (Some(before), Some(after)) = (get(2 * axis), get(2 * axis + 1)) else {
                    return refuse(format!(
                        "attribute `explicit_paddings` needs {} values of 0 or more",
                        2 * rank
                    ));
                };
                (pre_padding[spatial], post_padding[spatial]) = (before, after);
            }
            "SAME" => {
                let total = match (&input.dims()[axis], &output.dims()[axis]) {
                    (Dim::Fixed(input), Dim::Fixed(output)) => {
                        let steps = output.saturating_sub(1).saturating_mul(stride[spatial]);
                        steps.saturating_add(extent).saturating_sub(*input)
                    }
                    _ if stride[spatial] == 1 => extent - 1,
                    _ => {
                        padding_mode = PaddingMode::SameUpper;
                        0
                    }
                };
                pre_padding[spatial] = total / 2;
                post_padding[spatial] = total - total / 2;
            }
            other => return refuse(format!("padding {other} is not known")),
        }
    }
    if padding_mode == PaddingMode::SameUpper {
        pre_padding.fill(0);
        post_padding.fill(0);
    }
    Ok(Window {
        padding_mode,
        layout,
        stride,
        dilation,
        pre_padding,
        post_padding,
    })
}
