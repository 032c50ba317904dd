//! What a measured session is fed with.

use std::path::Path;

use anyhow::{Context as _, bail};
use tfjet::core::{DType, Tensor};
use tfjet::exit::Usage;
use tfjet::runtime::{Model, read_npz};
use tfjet::shapes::ShapeFlag;

/// One tensor for each input of the model: from a file, or noise of the model's shape, where the
/// flags give the sizes that it leaves open.
pub(super) fn fill(
    model: &Model,
    shapes: &[ShapeFlag],
    file: Option<&Path>,
) -> anyhow::Result<Vec<Tensor>> {
    let specs = &model.manifest().inputs;
    if let Some(file) = file {
        return tfjet::arrays::inputs(specs, read_npz(file)?)
            .with_context(|| file.display().to_string());
    }
    if let Some(stranger) = shapes
        .iter()
        .find(|flag| specs.iter().all(|spec| spec.name != flag.name()))
    {
        let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
        bail!(Usage(format!(
            "--shape names `{}`; the model's inputs are {}",
            stranger.name(),
            names.join(", ")
        )));
    }
    let mut noise = Noise(1);
    let mut filled = Vec::with_capacity(specs.len());
    for spec in specs {
        let flag = shapes.iter().find(|flag| flag.name() == spec.name);
        let dims = match (flag.map(ShapeFlag::best), &spec.shape) {
            (Some(dims), Some(shape)) if !shape.admits(&dims) => bail!(Usage(format!(
                "--shape {}={:?} does not fit the model's {shape}",
                spec.name, dims
            ))),
            (Some(dims), _) => dims,
            (None, shape) => match shape.as_ref().and_then(tfjet::core::Shape::as_fixed) {
                Some(dims) => dims,
                None => bail!(Usage(format!(
                    "the model leaves sizes of `{}` open: give --shape {}=...",
                    spec.name, spec.name
                ))),
            },
        };
        filled.push(noise.tensor(spec.dtype, &dims)?);
    }
    Ok(filled)
}

/// The tensors in the memory from which the session reads fastest.
pub(super) fn in_session_memory(model: &Model, given: &[Tensor]) -> anyhow::Result<Vec<Tensor>> {
    let mut filled = Vec::with_capacity(given.len());
    for (index, tensor) in given.iter().enumerate() {
        let mut copy = model.input_tensor(index);
        copy.copy_from(&tensor.view())?;
        filled.push(copy);
    }
    Ok(filled)
}

/// A linear congruential generator.
struct Noise(u32);

impl Noise {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 8
    }

    /// Floats in 0..1, bytes of any value, other integers 0 or 1.
    fn tensor(&mut self, dtype: DType, dims: &[usize]) -> anyhow::Result<Tensor> {
        let mut tensor = Tensor::zeros(dtype, dims)?;
        let unit = |bits: u32| bits as f32 / (1 << 24) as f32;
        match dtype {
            DType::F32 => {
                for value in tensor.as_mut_slice::<f32>()? {
                    *value = unit(self.next());
                }
            }
            DType::C64 => {
                for value in tensor.as_mut_slice::<[f32; 2]>()? {
                    *value = [unit(self.next()), unit(self.next())];
                }
            }
            DType::F16 => {
                for value in tensor.as_mut_slice::<half::f16>()? {
                    *value = half::f16::from_f32(unit(self.next()));
                }
            }
            DType::U8 => tensor.bytes_mut().fill_with(|| self.next() as u8),
            DType::I32 => {
                for value in tensor.as_mut_slice::<i32>()? {
                    *value = (self.next() & 1) as i32;
                }
            }
            _ => {}
        }
        Ok(tensor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_neither_constant_nor_out_of_range() {
        let tensor = Noise(1).tensor(DType::F32, &[1000]).unwrap();
        let values = tensor.as_slice::<f32>().unwrap();
        assert!(values.iter().all(|value| (0.0..1.0).contains(value)));
        let mean = values.iter().sum::<f32>() / 1000.0;
        assert!((0.4..0.6).contains(&mean), "{mean}");
    }
}
