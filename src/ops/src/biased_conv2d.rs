use tfjet_core::{AttrError, AttrReader, Tensor, TensorView};

use crate::activation::Activation;
use crate::arguments::{expect_dtype, float, output, take};
use crate::binary::DataFormat;
use crate::conv2d::conv2d;
use crate::error::shape_error;
use crate::number::{Number, Real, with_type};
use crate::{Kernel, OpError};

/// `FusedConv2DBiasActivation` of floats: a convolution times a factor, a second tensor times
/// another, a bias for each channel, an activation.
#[derive(Debug)]
struct FusedConv2dBiasActivation {
    convolution: Box<dyn Kernel>,
    format: DataFormat,
    activation: Option<Activation>,
}

pub(crate) fn fused_conv2d_bias_activation(
    reader: &AttrReader<'_>,
) -> Result<Box<dyn Kernel>, OpError> {
    let refuse = |name: &str, value: &str, expected| AttrError::Value {
        name: name.into(),
        value: value.into(),
        expected,
    };
    match reader.str_or("filter_format", "HWIO")? {
        "HWIO" => {}
        other => return Err(refuse("filter_format", other, "HWIO").into()),
    }
    let activation = match reader.str_or("activation_mode", "Relu")? {
        "None" => None,
        "Relu" => Some(Activation::Relu),
        "Relu6" => Some(Activation::Relu6),
        "Elu" => Some(Activation::Elu),
        "Sigmoid" => Some(Activation::Sigmoid),
        "Tanh" => Some(Activation::Tanh),
        other => {
            let expected = "None, Relu, Relu6, Elu, Sigmoid or Tanh";
            return Err(refuse("activation_mode", other, expected).into());
        }
    };
    reader.ignore(&["Tbias"]);
    Ok(Box::new(FusedConv2dBiasActivation {
        convolution: conv2d(reader, false, false)?,
        format: DataFormat::read(reader)?,
        activation,
    }))
}

impl Kernel for FusedConv2dBiasActivation {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, filter, bias, side, scale, side_scale] = take(inputs)?;
        let (scale, side_scale) = (float(4, scale)?, float(5, side_scale)?);
        self.convolution.run(&[*x, *filter], outputs)?;
        let y = output(outputs)?;
        with_type!(reals, 0, x.dtype(), T => {
            self.finish::<T>([bias, side], [scale, side_scale], y)
        })
    }
}

impl FusedConv2dBiasActivation {
    fn finish<T: Real>(
        &self,
        [bias, side]: [&TensorView<'_>; 2],
        [scale, side_scale]: [f64; 2],
        y: &mut Tensor,
    ) -> Result<(), OpError> {
        expect_dtype(2, bias, T::DTYPE)?;
        expect_dtype(3, side, T::DTYPE)?;
        let shape = y.shape().to_vec();
        let channel = self.format.axes()[3];
        if bias.shape() != [shape[channel]] {
            return Err(shape_error!(
                "bias of shape {:?} does not fit the channels of {shape:?}",
                bias.shape()
            ));
        }
        let side = match side_scale {
            0.0 => None,
            _ if side.shape() == shape => Some(side.as_slice::<T>()?),
            _ => {
                return Err(shape_error!(
                    "the second tensor has shape {:?}, expected {shape:?}",
                    side.shape()
                ));
            }
        };
        let bias = bias.as_slice::<T>()?;
        let inner: usize = shape[channel + 1..].iter().product();
        let wide = <T::Wide as Number>::from_f64;
        let values = y.as_mut_slice::<T>()?;
        for (i, value) in values.iter_mut().enumerate() {
            let mut sum = value.wide().times(wide(scale));
            if let Some(side) = side {
                sum = sum.plus(side[i].wide().times(wide(side_scale)));
            }
            *value = T::narrow(sum.plus(bias[i / inner % bias.len()].wide()));
        }
        if let Some(activation) = self.activation {
            activation.map_in_place(values);
        }
        Ok(())
    }
}
