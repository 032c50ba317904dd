//! Constants of the schedule, in the device's memory.

use std::collections::BTreeMap;

use tfjet_core::{DType, Tensor, TensorError};
use tfjet_cuda::{Context, DeviceBuffer, Region, Stream};

use super::GpuError;
use super::convert::{ConvertError, convert};
use crate::sources::Constants;

/// Constants that were uploaded, each once in each type that it is held in.
pub(crate) struct DeviceConstants {
    context: Context,
    held: BTreeMap<(usize, DType), (Vec<usize>, DeviceBuffer)>,
}

impl DeviceConstants {
    pub(crate) fn new(context: &Context) -> Self {
        Self {
            context: context.clone(),
            held: BTreeMap::new(),
        }
    }

    /// Shape and place of a constant, uploaded where it is not there yet.
    pub(crate) fn get(
        &mut self,
        constants: &Constants,
        constant: usize,
        held: DType,
        name: &str,
    ) -> Result<(Vec<usize>, Region), GpuError> {
        let (shape, buffer) = match self.held.get(&(constant, held)) {
            Some(known) => known,
            None => {
                let uploaded = self.upload(constants, constant, held, name)?;
                self.held.entry((constant, held)).or_insert(uploaded)
            }
        };
        Ok((shape.clone(), buffer.region()))
    }

    fn upload(
        &self,
        constants: &Constants,
        constant: usize,
        held: DType,
        name: &str,
    ) -> Result<(Vec<usize>, DeviceBuffer), GpuError> {
        let view = constants
            .view(constant)
            .map_err(|error| GpuError::Op(error.to_string()))?;
        let mut converted = Tensor::default();
        let bytes = if view.dtype() == held {
            view.bytes()
        } else {
            convert(&view, held, &mut converted).map_err(|error| conversion(name, held, error))?;
            converted.bytes()
        };
        let buffer = DeviceBuffer::new(&self.context, bytes.len())?;
        let stream = Stream::new(&self.context)?;
        stream.scope(|scope| scope.upload(&buffer.region(), bytes))??;
        Ok((view.shape().to_vec(), buffer))
    }

    /// Bytes on the device.
    pub(crate) fn len_bytes(&self) -> u64 {
        let lens = self
            .held
            .values()
            .map(|(_, buffer)| buffer.len_bytes() as u64);
        lens.sum()
    }
}

/// The error of a conversion of the value `name`.
pub(crate) fn conversion(name: &str, held: DType, error: ConvertError) -> GpuError {
    match error {
        ConvertError::OutOfRange(out) => GpuError::OutOfRange {
            value: name.to_owned(),
            position: out.position,
            number: out.value,
            held,
        },
        ConvertError::Tensor(source) => tensor_error(name, source),
    }
}

/// The error of a tensor that holds the value `name`.
pub(crate) fn tensor_error(name: &str, source: TensorError) -> GpuError {
    GpuError::Tensor {
        value: name.to_owned(),
        source,
    }
}
