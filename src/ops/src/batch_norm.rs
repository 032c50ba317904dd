use tfjet_core::{AttrError, AttrReader, DType, Element, Tensor, TensorView};

use crate::arguments::{outputs, reset, take};
use crate::binary::DataFormat;
use crate::error::shape_error;
use crate::number::{Float, Number, Real, with_type};
use crate::window::Image;
use crate::{Kernel, OpError};

/// One channel's batch normalization at inference.
pub(crate) struct Normalization<W> {
    pub(crate) scale: W,
    pub(crate) offset: W,
    pub(crate) mean: W,
    pub(crate) variance: W,
    pub(crate) epsilon: W,
}

impl<W: Float> Normalization<W> {
    pub(crate) fn apply(&self, x: W) -> W {
        let scale = self.scale / (self.variance + self.epsilon).sqrt();
        (x - self.mean) * scale + self.offset
    }
}

/// `FusedBatchNorm`, `V2` and `V3` at inference. Batch mean, batch variance and the first two
/// reserve spaces are copies of the mean and variance inputs, the third is a zero.
#[derive(Debug)]
struct FusedBatchNorm {
    epsilon: f32,
    format: DataFormat,
    outputs: usize,
}

pub(crate) fn fused_batch_norm(
    reader: &AttrReader<'_>,
    outputs: usize,
) -> Result<Box<dyn Kernel>, OpError> {
    if reader.bool_or("is_training", true)? {
        return Err(AttrError::Value {
            name: "is_training".into(),
            value: "true".into(),
            expected: "false",
        }
        .into());
    }
    reader.ignore(&["exponential_avg_factor"]);
    Ok(Box::new(FusedBatchNorm {
        epsilon: reader.float_or("epsilon", 0.0001)?,
        format: DataFormat::read(reader)?,
        outputs,
    }))
}

impl Kernel for FusedBatchNorm {
    fn output_count(&self) -> usize {
        self.outputs
    }

    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, params @ ..] = take::<5>(inputs)?;
        let image = Image::of(0, x.shape(), self.format)?;
        let channels = image.sizes[3];
        if let Some(other) = params.iter().find(|view| view.shape() != [channels]) {
            return Err(shape_error!(
                "scale, offset, mean and variance must have shape [{channels}], one has {:?}",
                other.shape()
            ));
        }
        if outputs.len() != self.outputs {
            return Err(OpError::OutputCount {
                expected: self.outputs,
                actual: outputs.len(),
            });
        }
        let (main, reserve) = outputs.split_at_mut(3);
        let [y, batch_mean, batch_variance] = self::outputs(main)?;
        reset(y, x.dtype(), x.shape())?;
        with_type!(reals, 0, x.dtype(), T => self.normalize::<T>(&image, x, params, y))?;
        let [_, _, mean, variance] = params;
        batch_mean.copy_from(mean)?;
        batch_variance.copy_from(variance)?;
        for (space, value) in reserve.iter_mut().zip([Some(mean), Some(variance), None]) {
            match value {
                Some(value) => space.copy_from(value)?,
                None => {
                    reset(space, mean.dtype(), &[])?;
                    space.bytes_mut().fill(0);
                }
            }
        }
        Ok(())
    }
}

impl FusedBatchNorm {
    fn normalize<T: Real>(
        &self,
        image: &Image,
        x: &TensorView<'_>,
        params: &[TensorView<'_>; 4],
        y: &mut Tensor,
    ) -> Result<(), OpError> {
        let wide = T::Wide::DTYPE;
        for (i, param) in params.iter().enumerate() {
            let fits = param.dtype() == wide || param.dtype() == T::DTYPE;
            if !fits {
                return Err(OpError::DType {
                    input: i + 1,
                    dtype: param.dtype(),
                    allowed: DType::F32.name(),
                });
            }
        }
        let value = |param: &TensorView<'_>, channel: usize| -> Result<T::Wide, OpError> {
            Ok(if param.dtype() == wide {
                param.as_slice::<T::Wide>()?[channel]
            } else {
                param.as_slice::<T>()?[channel].wide()
            })
        };
        if x.elements() == 0 {
            return Ok(());
        }
        let (x, y) = (x.as_slice::<T>()?, y.as_mut_slice::<T>()?);
        let [scale, offset, mean, variance] = params;
        let [batch, rows, columns, channels] = image.sizes;
        for channel in 0..channels {
            let of = Normalization {
                scale: value(scale, channel)?,
                offset: value(offset, channel)?,
                mean: value(mean, channel)?,
                variance: value(variance, channel)?,
                epsilon: <T::Wide as Number>::from_f64(self.epsilon.into()),
            };
            let own = Image {
                sizes: [batch, rows, columns, 1],
                ..*image
            };
            own.places(|batch, row, column| {
                let at = image.at(batch, row, column) + channel * image.strides[3];
                y[at] = T::narrow(of.apply(x[at].wide()));
            });
        }
        Ok(())
    }
}

/// `BatchNormWithGlobalNormalization`, the first form of batch normalization.
#[derive(Debug)]
struct GlobalNormalization {
    epsilon: f32,
    scale: bool,
}

pub(crate) fn global_normalization(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(GlobalNormalization {
        epsilon: reader.float_or("variance_epsilon", 0.001)?,
        scale: reader.bool_or("scale_after_normalization", true)?,
    }))
}

impl Kernel for GlobalNormalization {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, vectors @ ..] = take::<5>(inputs)?;
        let [y] = self::outputs(outputs)?;
        crate::arguments::expect_same_dtype(inputs)?;
        let depth = x.shape().last().copied().unwrap_or(0);
        if let Some(vector) = vectors.iter().find(|vector| vector.shape() != [depth]) {
            return Err(shape_error!(
                "a vector of shape {:?} for {depth} channels",
                vector.shape()
            ));
        }
        reset(y, x.dtype(), x.shape())?;
        if x.elements() == 0 {
            return Ok(());
        }
        with_type!(reals, 0, x.dtype(), T => {
            let [mean, variance] = [vectors[0].as_slice::<T>()?, vectors[1].as_slice::<T>()?];
            let [beta, gamma] = [vectors[2].as_slice::<T>()?, vectors[3].as_slice::<T>()?];
            let rows = x.as_slice::<T>()?.chunks_exact(depth);
            for (x, y) in rows.zip(y.as_mut_slice::<T>()?.chunks_exact_mut(depth)) {
                for channel in 0..depth {
                    let of = Normalization {
                        scale: if self.scale { gamma[channel].wide() } else { Number::ONE },
                        offset: beta[channel].wide(),
                        mean: mean[channel].wide(),
                        variance: variance[channel].wide(),
                        epsilon: <<T as Number>::Wide as Number>::from_f64(self.epsilon.into()),
                    };
                    y[channel] = T::narrow(of.apply(x[channel].wide()));
                }
            }
            Ok(())
        })
    }
}
