//! Windows that slide over images: strides, dilations and paddings of convolution and pooling.

use tfjet_core::{AttrError, AttrReader};

use crate::OpError;
use crate::binary::DataFormat;
use crate::error::shape_error;

/// TensorFlow's `padding`.
#[derive(Debug, Clone, Copy)]
enum Padding {
    Same,
    Valid,
    /// Before and after, for rows and columns.
    Explicit([[usize; 2]; 2]),
}

/// How windows move over rows and columns.
#[derive(Debug)]
pub(crate) struct Sliding {
    pub(crate) format: DataFormat,
    strides: [usize; 2],
    dilations: [usize; 2],
    padding: Padding,
}

impl Sliding {
    /// Reads `data_format`, `strides`, `dilations`, `padding` and `explicit_paddings`.
    pub(crate) fn read(reader: &AttrReader<'_>) -> Result<Self, OpError> {
        let format = DataFormat::read(reader)?;
        let dilations = match reader.ints("dilations")? {
            [] => [1, 1],
            _ => spatial(reader, "dilations", format)?,
        };
        let explicit = reader.ints("explicit_paddings")?;
        let padding = match reader.str_or("padding", "")? {
            "SAME" => Padding::Same,
            "VALID" => Padding::Valid,
            "EXPLICIT" => Padding::Explicit(explicit_paddings(explicit, format)?),
            other => return Err(refuse("padding", other, "SAME, VALID or EXPLICIT")),
        };
        if !explicit.is_empty() && !matches!(padding, Padding::Explicit(_)) {
            let value = format!("{explicit:?}");
            return Err(refuse(
                "explicit_paddings",
                &value,
                "an empty list without EXPLICIT",
            ));
        }
        Ok(Self {
            format,
            strides: spatial(reader, "strides", format)?,
            dilations,
            padding,
        })
    }

    /// The windows of `kernel` taps along rows (0) or columns (1) of `input` elements.
    pub(crate) fn along(&self, dim: usize, input: usize, kernel: usize) -> Result<Window, OpError> {
        let border = match self.padding {
            Padding::Same => Border::Same,
            Padding::Valid => Border::Explicit([0, 0]),
            Padding::Explicit(paddings) => Border::Explicit(paddings[dim]),
        };
        Window::new(
            input,
            kernel,
            self.strides[dim],
            self.dilations[dim],
            border,
        )
    }
}

/// The padding along one dimension.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Border {
    Same,
    /// Before and after.
    Explicit([usize; 2]),
}

impl Border {
    /// Reads `padding`, `SAME` or `VALID`.
    pub(crate) fn read(reader: &AttrReader<'_>) -> Result<Self, OpError> {
        match reader.str_or("padding", "")? {
            "SAME" => Ok(Self::Same),
            "VALID" => Ok(Self::Explicit([0, 0])),
            other => Err(refuse("padding", other, "SAME or VALID")),
        }
    }
}

impl Window {
    /// The windows of `kernel` taps over `input` elements.
    pub(crate) fn new(
        input: usize,
        kernel: usize,
        stride: usize,
        dilation: usize,
        border: Border,
    ) -> Result<Self, OpError> {
        let most = isize::MAX as usize / 4;
        let reach = kernel
            .checked_sub(1)
            .and_then(|taps| taps.checked_mul(dilation)?.checked_add(1))
            .filter(|&reach| reach <= most && input <= most)
            .ok_or_else(|| {
                shape_error!("no window has {kernel} taps, dilated {dilation}, over {input}")
            })?;
        let (count, before) = match border {
            Border::Same => {
                let count = input.div_ceil(stride);
                let last = count.saturating_sub(1) * stride;
                (count, (last + reach).saturating_sub(input) / 2)
            }
            Border::Explicit([before, after]) => {
                let padded = input.saturating_add(before).saturating_add(after);
                (fitting(padded, reach, stride)?, before)
            }
        };
        Ok(Self {
            count,
            kernel,
            input,
            stride,
            dilation,
            before,
        })
    }
}

fn fitting(input: usize, reach: usize, stride: usize) -> Result<usize, OpError> {
    match input.checked_sub(reach) {
        Some(rest) => Ok(rest / stride + 1),
        None if reach - input <= stride => Ok(0),
        None => Err(shape_error!(
            "a window that reaches over {reach} does not fit {input}"
        )),
    }
}

pub(crate) fn refuse(name: &str, value: &str, expected: &'static str) -> OpError {
    AttrError::Value {
        name: name.into(),
        value: value.into(),
        expected,
    }
    .into()
}

/// Rows and columns of a list with an element for each of the four dimensions.
pub(crate) fn spatial(
    reader: &AttrReader<'_>,
    name: &str,
    format: DataFormat,
) -> Result<[usize; 2], OpError> {
    let values = reader.ints(name)?;
    let expected = "four positive integers, 1 for batch and channels";
    let fail = || refuse(name, &format!("{values:?}"), expected);
    let values: &[i64; 4] = values.try_into().map_err(|_| fail())?;
    let [n, h, w, c] = format.axes().map(|axis| values[axis]);
    if n != 1 || c != 1 {
        return Err(fail());
    }
    let positive = |value: i64| u32::try_from(value).ok().filter(|&value| value > 0);
    match (positive(h), positive(w)) {
        (Some(h), Some(w)) => Ok([h as usize, w as usize]),
        _ => Err(fail()),
    }
}

fn explicit_paddings(values: &[i64], format: DataFormat) -> Result<[[usize; 2]; 2], OpError> {
    let expected = "eight integers that are not negative, 0 for batch and channels";
    let fail = || refuse("explicit_paddings", &format!("{values:?}"), expected);
    let values: &[i64; 8] = values.try_into().map_err(|_| fail())?;
    let [n, h, w, c] = format
        .axes()
        .map(|axis| [values[2 * axis], values[2 * axis + 1]]);
    if n != [0, 0] || c != [0, 0] {
        return Err(fail());
    }
    let mut paddings = [[0; 2]; 2];
    for (slot, value) in paddings
        .iter_mut()
        .flatten()
        .zip([h, w].into_iter().flatten())
    {
        *slot = u32::try_from(value).map_err(|_| fail())? as usize;
    }
    Ok(paddings)
}

/// The windows along one dimension.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    /// Number of windows.
    pub(crate) count: usize,
    /// Taps of a window.
    pub(crate) kernel: usize,
    input: usize,
    stride: usize,
    dilation: usize,
    before: usize,
}

impl Window {
    /// The taps of window `at` that meet an element, with that element.
    pub(crate) fn taps(&self, at: usize) -> impl ExactSizeIterator<Item = (usize, usize)> + use<> {
        let Self {
            input,
            dilation,
            before,
            ..
        } = *self;
        let start = at * self.stride;
        let first = before.saturating_sub(start).div_ceil(dilation);
        let end = (input + before)
            .saturating_sub(start)
            .div_ceil(dilation)
            .min(self.kernel);
        (first..end.max(first)).map(move |tap| (tap, start + tap * dilation - before))
    }

    /// The window whose tap `tap` meets element `position`.
    pub(crate) fn output(&self, position: usize, tap: usize) -> Option<usize> {
        let start = (position + self.before).checked_sub(tap * self.dilation)?;
        let at = start / self.stride;
        (start.is_multiple_of(self.stride) && at < self.count).then_some(at)
    }
}

/// Sizes and strides of an image tensor: batch, rows, columns, channels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Image {
    pub(crate) sizes: [usize; 4],
    pub(crate) strides: [usize; 4],
}

impl Image {
    /// An image of `shape`, laid out after `format`.
    pub(crate) fn new(shape: [usize; 4], format: DataFormat) -> Self {
        let mut strides = [1usize; 4];
        for dim in (0..3).rev() {
            strides[dim] = strides[dim + 1].wrapping_mul(shape[dim + 1]);
        }
        Self {
            sizes: format.axes().map(|axis| shape[axis]),
            strides: format.axes().map(|axis| strides[axis]),
        }
    }

    /// The image of input `input`.
    pub(crate) fn of(input: usize, shape: &[usize], format: DataFormat) -> Result<Self, OpError> {
        let shape = shape
            .try_into()
            .map_err(|_| shape_error!("input {input} must have rank 4, has shape {shape:?}"))?;
        Ok(Self::new(shape, format))
    }

    /// Offset of channel 0 at a place.
    pub(crate) fn at(&self, batch: usize, row: usize, column: usize) -> usize {
        batch * self.strides[0] + row * self.strides[1] + column * self.strides[2]
    }

    /// Calls `place(batch, row, column)` for all places of the image.
    pub(crate) fn places(&self, mut place: impl FnMut(usize, usize, usize)) {
        let [n, h, w, _] = self.sizes;
        for batch in 0..n {
            for row in 0..h {
                for column in 0..w {
                    place(batch, row, column);
                }
            }
        }
    }
}

/// The shape of an image tensor of batch, rows, columns and channels `sizes`.
pub(crate) fn image_shape(sizes: [usize; 4], format: DataFormat) -> [usize; 4] {
    let mut shape = [0; 4];
    for (axis, size) in format.axes().into_iter().zip(sizes) {
        shape[axis] = size;
    }
    shape
}
