//! Kernels that resize images.

use super::launch::{Index, Program, Source, check, refuse_types, source};
use super::{DeviceTensor, ElementType, KernelError, Kernels};
use crate::{KernelArgument, Scope};

pub(super) static RESIZE: Source = source!("resize");

/// Where the pixels of a resized image lie in the original, in TensorFlow's terms. Not both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sampling {
    /// The centers of the corner pixels stay at the corners.
    pub align_corners: bool,
    /// A pixel's center lies half a pixel inside.
    pub half_pixel_centers: bool,
}

impl Sampling {
    fn scale(self, input: usize, output: usize) -> f32 {
        if self.align_corners && output > 1 {
            (input - 1) as f32 / (output - 1) as f32
        } else {
            input as f32 / output as f32
        }
    }
}

impl Kernels {
    /// TensorFlow's `ResizeBilinear` of NHWC images to the size of `out`, which is `F32`.
    ///
    /// # Errors
    /// [`KernelError`] where types, shapes or regions do not fit.
    pub fn resize_bilinear(
        &self,
        scope: &Scope<'_, '_>,
        x: &DeviceTensor,
        sampling: Sampling,
        out: &DeviceTensor,
    ) -> Result<(), KernelError> {
        let index = check("resize_bilinear", &[x, out])?;
        if out.dtype != ElementType::F32 || x.dtype == ElementType::Bool {
            return Err(refuse_types("resize_bilinear", &[x, out]));
        }
        let types = [x.dtype.name(), out.dtype.name()];
        self.resize(scope, "bilinear", index, types, x, sampling, out)
    }

    /// TensorFlow's `ResizeNearestNeighbor` of NHWC images to the size of `out`, which has the type
    /// of `x`.
    ///
    /// # Errors
    /// [`KernelError`] where types, shapes or regions do not fit.
    pub fn resize_nearest(
        &self,
        scope: &Scope<'_, '_>,
        x: &DeviceTensor,
        sampling: Sampling,
        out: &DeviceTensor,
    ) -> Result<(), KernelError> {
        let index = check("resize_nearest", &[x, out])?;
        let types = x
            .dtype
            .moved(out.dtype)
            .ok_or_else(|| refuse_types("resize_nearest", &[x, out]))?;
        self.resize(scope, "nearest", index, types, x, sampling, out)
    }

    #[allow(clippy::too_many_arguments)]
    fn resize(
        &self,
        scope: &Scope<'_, '_>,
        sample: &'static str,
        index: Index,
        types: [&'static str; 2],
        x: &DeviceTensor,
        sampling: Sampling,
        out: &DeviceTensor,
    ) -> Result<(), KernelError> {
        let sizes = sizes(&x.shape, &out.shape)
            .filter(|_| !(sampling.align_corners && sampling.half_pixel_centers));
        let [height, width, channels, out_height, out_width] =
            sizes.ok_or_else(|| KernelError::Shapes {
                kernel: "resize",
                detail: format!(
                    "images of {:?} do not resize to {:?} with {sampling:?}",
                    x.shape, out.shape
                ),
            })?;
        let flag = |set: bool| if set { "1" } else { "0" };
        let program = Program {
            source: &RESIZE,
            index,
            defines: &[
                ("IN", types[0]),
                ("OUT", types[1]),
                ("SAMPLE", sample),
                ("CENTERS", flag(sampling.half_pixel_centers)),
                ("ALIGN", flag(sampling.align_corners)),
            ],
        };
        let count = out.elements();
        let arguments = [
            KernelArgument::Read(&x.region),
            KernelArgument::Write(&out.region),
            KernelArgument::Bytes(
                &index.sizes(&[height, width, channels, out_height, out_width, count]),
            ),
            KernelArgument::F32(sampling.scale(height, out_height)),
            KernelArgument::F32(sampling.scale(width, out_width)),
        ];
        // SAFETY: these are the arguments of `resize`, which clamps rows and columns to the image;
        // the sizes are those of both tensors, which fit their regions.
        unsafe { self.launch(scope, &program, count, &arguments) }
    }
}

/// Height, width and channels of `x`, then height and width of `out`, where one can become the
/// other.
fn sizes(x: &[usize], out: &[usize]) -> Option<[usize; 5]> {
    let (&[batch, height, width, channels], &[out_batch, out_height, out_width, out_channels]) =
        (x, out)
    else {
        return None;
    };
    let same = batch == out_batch && channels == out_channels;
    let pixels = height > 0 && width > 0 && out_height > 0 && out_width > 0;
    (same && pixels).then_some([height, width, channels, out_height, out_width])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_follow_the_corners_where_they_are_aligned() {
        let aligned = Sampling {
            align_corners: true,
            ..Sampling::default()
        };
        assert_eq!(aligned.scale(5, 9), 0.5);
        assert_eq!(aligned.scale(5, 1), 5.0);
        assert_eq!(Sampling::default().scale(5, 10), 0.5);
    }

    #[test]
    fn only_rows_and_columns_change() {
        assert_eq!(sizes(&[2, 3, 4, 5], &[2, 6, 7, 5]), Some([3, 4, 5, 6, 7]));
        assert_eq!(sizes(&[2, 3, 4, 5], &[1, 6, 7, 5]), None);
        assert_eq!(sizes(&[2, 0, 4, 5], &[2, 6, 7, 5]), None);
        assert_eq!(sizes(&[3, 4, 5], &[6, 7, 5]), None);
    }
}
