use tfjet_core::{AttrError, AttrReader, Tensor, TensorView};

use crate::arguments::{axis, expect_same_dtype, integer, output, product, reset, take};
use crate::error::{shape_error, value_error};
use crate::number::{Float, Number, Real, with_type};
use crate::{Kernel, OpError};

/// Which inputs and attributes an op has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Version {
    /// The range is attributes.
    V1,
    /// The range is inputs.
    V2,
    /// So is the number of bits.
    V3,
    /// As V2, with a gradient of its own.
    V4,
}

/// `QuantizeAndDequantize` and its later versions: float values on a grid around 0.
#[derive(Debug)]
struct QuantizeAndDequantize {
    version: Version,
    signed: bool,
    narrow: bool,
    range_given: bool,
    range: (f32, f32),
    bits: i64,
    half_up: bool,
    axis: Option<i64>,
}

pub(crate) fn quantize_and_dequantize(
    reader: &AttrReader<'_>,
    version: Version,
) -> Result<Box<dyn Kernel>, OpError> {
    let half_up = match reader.str_or("round_mode", "HALF_TO_EVEN")? {
        "HALF_TO_EVEN" => false,
        "HALF_UP" => true,
        other => {
            return Err(AttrError::Value {
                name: "round_mode".into(),
                value: other.into(),
                expected: "HALF_TO_EVEN or HALF_UP",
            }
            .into());
        }
    };
    let axis = reader.int_or("axis", -1)?;
    Ok(Box::new(QuantizeAndDequantize {
        version,
        signed: reader.bool_or("signed_input", true)?,
        narrow: reader.bool_or("narrow_range", false)?,
        range_given: reader.bool_or("range_given", version == Version::V3)?,
        range: (
            reader.float_or("input_min", 0.0)?,
            reader.float_or("input_max", 0.0)?,
        ),
        bits: reader.int_or("num_bits", 8)?,
        half_up,
        axis: (axis != -1).then_some(axis),
    }))
}

/// A range stretched to the grid, and the grid's steps.
struct Grid<T> {
    min: T,
    max: T,
    scale: T,
    inverse: T,
}

impl QuantizeAndDequantize {
    fn grid<T: Float>(&self, bits: i64, min: T, max: T) -> Grid<T> {
        let (lowest, highest) = if self.signed {
            let half = 1i64 << (bits - 1);
            (-half + i64::from(self.narrow), half - 1)
        } else {
            (0, ((1u64 << bits) - 1) as i64)
        };
        let (lowest, highest) = (T::from_f64(lowest as f64), T::from_f64(highest as f64));
        let finite = T::from_f64(if size_of::<T>() == 4 {
            f32::MAX.into()
        } else {
            f64::MAX
        });
        let side = |level: T, bound: T| {
            if level * bound > T::ZERO {
                level / bound
            } else {
                finite
            }
        };
        let (from_min, from_max) = (side(lowest, min), side(highest, max));
        if from_min < from_max {
            let inverse = min / lowest;
            Grid {
                min,
                max: highest * inverse,
                scale: from_min,
                inverse,
            }
        } else {
            let inverse = max / highest;
            Grid {
                min: lowest * inverse,
                max,
                scale: from_max,
                inverse,
            }
        }
    }

    fn snap<T: Real>(&self, grid: &Grid<T::Wide>, x: T) -> T {
        let x = x.wide();
        let x = if self.range_given {
            let upper = if grid.max < x { grid.max } else { x };
            if upper < grid.min { grid.min } else { upper }
        } else {
            x
        };
        let scaled = x * grid.scale;
        let level = if self.half_up {
            (scaled + T::Wide::from_f64(0.5)).floor()
        } else {
            scaled.round_ties_even()
        };
        T::narrow(level * grid.inverse)
    }

    fn apply<T: Real>(
        &self,
        bits: i64,
        x: &TensorView<'_>,
        range: Option<[&TensorView<'_>; 2]>,
        y: &mut Tensor,
    ) -> Result<(), OpError> {
        let shape = x.shape();
        let (channels, inner) = match self.axis {
            Some(dim) => {
                let axis = axis(dim, shape.len())?;
                (shape[axis], product(&shape[axis + 1..]))
            }
            None => (1, x.elements().max(1)),
        };
        let values = x.as_slice::<T>()?;
        let mut bounds = vec![(T::HIGHEST, T::LOWEST); channels];
        if !self.range_given {
            for (i, &value) in values.iter().enumerate() {
                let bound = &mut bounds[i / inner % channels];
                *bound = (bound.0.lesser(value), bound.1.greater(value));
            }
        } else if let Some([min, max]) = range {
            let (min, max) = (min.as_slice::<T>()?, max.as_slice::<T>()?);
            if min.len() != channels || max.len() != channels {
                return Err(shape_error!(
                    "{} and {} bounds for {channels} channels",
                    min.len(),
                    max.len()
                ));
            }
            bounds = min.iter().copied().zip(max.iter().copied()).collect();
        } else {
            bounds = vec![(
                T::from_f64(self.range.0.into()),
                T::from_f64(self.range.1.into()),
            )];
        }
        if self.range_given && bounds.iter().any(|(min, max)| min > max) {
            return Err(value_error!("the lower bound is above the upper one"));
        }
        let grids: Vec<_> = bounds
            .into_iter()
            .map(|(min, max)| self.grid(bits, min.wide(), max.wide()))
            .collect();
        let slots = y.as_mut_slice::<T>()?.iter_mut().zip(values);
        for (i, (slot, &value)) in slots.enumerate() {
            *slot = self.snap(&grids[i / inner % channels], value);
        }
        Ok(())
    }
}

impl Kernel for QuantizeAndDequantize {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let y = output(outputs)?;
        let (x, range, bits) = match self.version {
            Version::V1 => {
                let [x] = take(inputs)?;
                (x, None, self.bits)
            }
            Version::V2 | Version::V4 => {
                let [x, min, max] = take(inputs)?;
                expect_same_dtype(inputs)?;
                (x, Some([min, max]), self.bits)
            }
            Version::V3 => {
                let [x, min, max, bits] = take(inputs)?;
                expect_same_dtype(&inputs[..3])?;
                (x, Some([min, max]), integer(3, bits)?)
            }
        };
        if !(1..=if self.signed { 62 } else { 63 }).contains(&bits) {
            return Err(value_error!("{bits} bits, expected 1 to 63 with the sign"));
        }
        reset(y, x.dtype(), x.shape())?;
        if x.elements() == 0 {
            return Ok(());
        }
        with_type!(reals, 0, x.dtype(), T => self.apply::<T>(bits, x, range, y))
    }
}
