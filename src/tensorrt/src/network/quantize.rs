//! Layers between floats and 8-bit integers, and what a weakly typed network is told of precisions.

use super::{LayerRef, Network, TensorRef, call};
use crate::{DataType, TensorRtError};

impl Network<'_> {
    /// `IQuantizeLayer`: `input / scale`, rounded to the nearest integer and cut to -128..=127. The
    /// scale is a constant: a scalar, or with an `axis` of `input` one value for each of its
    /// indices.
    ///
    /// # Errors
    ///
    /// [`TensorRtError`] where the library refuses it.
    pub fn add_quantize(
        &self,
        input: TensorRef<'_>,
        scale: TensorRef<'_>,
        axis: Option<usize>,
    ) -> Result<LayerRef<'_>, TensorRtError> {
        let (input, scale) = (self.own(input)?, self.own(scale)?);
        let handle = if self
            .object
            .api()
            .has(|s| &s.network_definition.add_quantize)
        {
            self.make(|s| &s.network_definition.add_quantize, (input, scale))?
        } else {
            let to = DataType::Int8.code();
            self.make(
                |s| &s.network_definition.add_quantize_v2,
                (input, scale, to),
            )?
        };
        if let Some(axis) = axis {
            let axis = i32::try_from(axis).unwrap_or(i32::MAX);
            call::set(&handle, |s| &s.quantize_layer.set_axis, (axis,))?;
        }
        Ok(self.layer(handle))
    }

    /// `IDequantizeLayer`: `input * scale`, with the scale of [`Network::add_quantize`], as `to`.
    /// Versions that choose precisions themselves give [`DataType::Float`], whatever `to` is.
    ///
    /// # Errors
    ///
    /// [`TensorRtError`] where the library refuses it.
    pub fn add_dequantize(
        &self,
        input: TensorRef<'_>,
        scale: TensorRef<'_>,
        axis: Option<usize>,
        to: DataType,
    ) -> Result<LayerRef<'_>, TensorRtError> {
        let (input, scale) = (self.own(input)?, self.own(scale)?);
        let has_first = self
            .object
            .api()
            .has(|s| &s.network_definition.add_dequantize);
        let handle = if has_first {
            self.make(|s| &s.network_definition.add_dequantize, (input, scale))?
        } else {
            self.make(
                |s| &s.network_definition.add_dequantize_v2,
                (input, scale, to.code()),
            )?
        };
        if let Some(axis) = axis {
            let axis = i32::try_from(axis).unwrap_or(i32::MAX);
            call::set(&handle, |s| &s.dequantize_layer.set_axis, (axis,))?;
        }
        Ok(self.layer(handle))
    }
}

impl TensorRef<'_> {
    /// `ITensor::setDynamicRange`: -`range` to `range`, for implicit quantization (TensorRT 8 and
    /// 10). The library divides it by 127.
    ///
    /// # Errors
    ///
    /// [`TensorRtError`] where the library refuses it, or has no implicit quantization.
    pub fn set_range(&self, range: f32) -> Result<(), TensorRtError> {
        call::check(
            &self.handle,
            |s| &s.tensor.set_dynamic_range,
            (-range, range),
        )
    }

    /// Is it, as the network stands, a tensor whose values decide shapes (`ITensor::isShapeTensor`)?
    ///
    /// # Errors
    ///
    /// [`TensorRtError`] where the call fails.
    pub fn is_shape_tensor(&self) -> Result<bool, TensorRtError> {
        call::get(&self.handle, |s| &s.tensor.is_shape_tensor, ())
    }
}

impl LayerRef<'_> {
    /// `ILayer::setPrecision`: what the layer computes in, where the configuration has the library
    /// prefer or obey such words. Not in TensorRT-RTX.
    ///
    /// # Errors
    ///
    /// [`TensorRtError::MissingMethod`] in TensorRT-RTX.
    pub fn set_precision(&self, precision: DataType) -> Result<(), TensorRtError> {
        call::set(
            &self.handle,
            |s| &s.layer.set_precision,
            (precision.code(),),
        )
    }

    /// `ILayer::setOutputType` of output `index`, as [`LayerRef::set_precision`].
    ///
    /// # Errors
    ///
    /// [`TensorRtError::MissingMethod`] in TensorRT-RTX.
    pub fn set_output_type(&self, index: usize, dtype: DataType) -> Result<(), TensorRtError> {
        let index = i32::try_from(index).unwrap_or(i32::MAX);
        call::set(
            &self.handle,
            |s| &s.layer.set_output_type,
            (index, dtype.code()),
        )
    }
}
