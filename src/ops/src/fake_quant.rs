use tfjet_core::{AttrError, AttrReader, Tensor, TensorView};

use crate::arguments::{expect_dtype, output, reset, take};
use crate::error::{shape_error, value_error};
use crate::{Kernel, OpError};
use tfjet_core::DType;

/// Where the bounds come from.
#[derive(Debug)]
enum Bounds {
    /// `FakeQuantWithMinMaxArgs`.
    Fixed(f32, f32),
    /// `FakeQuantWithMinMaxVars`: scalars.
    Scalars,
    /// `FakeQuantWithMinMaxVarsPerChannel`: one pair for each element of the last axis.
    Channels,
}

/// `FakeQuantWithMinMaxArgs`, `-Vars` and `-VarsPerChannel`: float values on a grid of
/// `2^num_bits` steps, one of which is 0.
#[derive(Debug)]
struct FakeQuant {
    bounds: Bounds,
    lowest: f32,
    highest: f32,
}

fn read(reader: &AttrReader<'_>, bounds: Bounds) -> Result<Box<dyn Kernel>, OpError> {
    let bits = reader.int_or("num_bits", 8)?;
    if !(2..=16).contains(&bits) {
        return Err(AttrError::Value {
            name: "num_bits".into(),
            value: bits.to_string(),
            expected: "2 to 16",
        }
        .into());
    }
    Ok(Box::new(FakeQuant {
        bounds,
        lowest: f32::from(u8::from(reader.bool_or("narrow_range", false)?)),
        highest: ((1i64 << bits) - 1) as f32,
    }))
}

pub(crate) fn with_args(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    let (min, max) = (reader.float_or("min", -6.0)?, reader.float_or("max", 6.0)?);
    if min.is_nan() || max.is_nan() || min >= max {
        return Err(AttrError::Value {
            name: "min".into(),
            value: min.to_string(),
            expected: "a number below `max`",
        }
        .into());
    }
    read(reader, Bounds::Fixed(min, max))
}

pub(crate) fn with_vars(
    reader: &AttrReader<'_>,
    per_channel: bool,
) -> Result<Box<dyn Kernel>, OpError> {
    let bounds = if per_channel {
        Bounds::Channels
    } else {
        Bounds::Scalars
    };
    read(reader, bounds)
}

/// The grid between two bounds, moved so that 0 lies on it.
#[derive(Clone, Copy)]
struct Grid {
    min: f32,
    max: f32,
    scale: f32,
    inverse: f32,
    zero: f32,
}

impl FakeQuant {
    /// No grid where both bounds are 0.
    fn grid(&self, min: f32, max: f32) -> Option<Grid> {
        if min == 0.0 && max == 0.0 {
            return None;
        }
        let scale = (max - min) / (self.highest - self.lowest);
        let zero = self.lowest - min / scale;
        let zero = if zero < self.lowest {
            self.lowest
        } else if zero > self.highest {
            self.highest
        } else {
            zero.round()
        };
        let min = (self.lowest - zero) * scale;
        let inverse = 1.0 / scale;
        Some(Grid {
            min,
            max: (self.highest - zero) * scale,
            scale,
            inverse,
            zero: (-min * inverse + 0.5).floor(),
        })
    }
}

impl Grid {
    fn snap(self, x: f32) -> f32 {
        let upper = if x < self.max { x } else { self.max };
        let clamped = if upper > self.min { upper } else { self.min };
        ((clamped - self.min) * self.inverse - self.zero + 0.5).floor() * self.scale
    }
}

impl Kernel for FakeQuant {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let y = output(outputs)?;
        let (x, bounds) = match self.bounds {
            Bounds::Fixed(min, max) => {
                let [x] = take(inputs)?;
                (x, vec![(min, max)])
            }
            _ => {
                let [x, min, max] = take(inputs)?;
                expect_dtype(1, min, DType::F32)?;
                expect_dtype(2, max, DType::F32)?;
                if min.shape() != max.shape() {
                    return Err(shape_error!(
                        "bounds have shapes {:?} and {:?}",
                        min.shape(),
                        max.shape()
                    ));
                }
                let pairs = min.as_slice::<f32>()?.iter().zip(max.as_slice::<f32>()?);
                (x, pairs.map(|(&min, &max)| (min, max)).collect())
            }
        };
        expect_dtype(0, x, DType::F32)?;
        let channels = match self.bounds {
            Bounds::Channels => x.shape().last().copied().unwrap_or(0),
            _ => 1,
        };
        if bounds.len() != channels {
            return Err(shape_error!(
                "{} bounds for {channels} channels",
                bounds.len()
            ));
        }
        if let Some((min, max)) = bounds.iter().find(|(min, max)| min > max) {
            return Err(value_error!("the bounds {min} and {max} are no range"));
        }
        reset(y, DType::F32, x.shape())?;
        let grids: Vec<_> = bounds
            .iter()
            .map(|&(min, max)| self.grid(min, max))
            .collect();
        let values = y
            .as_mut_slice::<f32>()?
            .iter_mut()
            .zip(x.as_slice::<f32>()?);
        for ((y, &x), grid) in values.zip(grids.iter().cycle()) {
            *y = grid.map_or(0.0, |grid| grid.snap(x));
        }
        Ok(())
    }
}
