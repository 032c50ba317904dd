//! Tensors with reproducible contents.

use half::f16;
use tfjet_core::{DType, Tensor};

/// A xorshift generator.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 20
    }

    /// In [-5, 5], every seventh a whole or half number; now and then one of `special`.
    fn float(&mut self, special: &[f32]) -> f32 {
        let bits = self.next();
        if !special.is_empty() && bits.is_multiple_of(5) {
            return special[self.next() as usize % special.len()];
        }
        let value = (self.next() % 10_001) as f32 / 1000.0 - 5.0;
        if bits.is_multiple_of(7) {
            (value * 2.0).round() / 2.0
        } else {
            value
        }
    }

    fn integer(&mut self, low: i64, high: i64) -> i64 {
        low + (self.next() % (high - low + 1) as u64) as i64
    }

    /// Floats as of [`Random::float`]; integers in [-9, 9] and, where they fit, the extremes.
    pub(super) fn tensor(&mut self, dtype: DType, shape: &[usize]) -> Tensor {
        self.filled(dtype, shape, &[], -9, 9)
    }

    /// With NaN, infinities, zeros of both signs, halves, and numbers of very different magnitude.
    pub(super) fn special(&mut self, dtype: DType, shape: &[usize]) -> Tensor {
        const SPECIAL: [f32; 16] = [
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            0.0,
            -0.0,
            0.5,
            -0.5,
            1.5,
            2.5,
            -2.5,
            1e-40,
            3e9,
            -3e9,
            1e30,
            254.9,
            -129.5,
        ];
        let mut tensor = self.filled(dtype, shape, &SPECIAL, -100, 100);
        match dtype {
            DType::I32 => extremes(&mut tensor, &[i32::MIN, i32::MAX, 0, 70_000]),
            DType::I64 => extremes(&mut tensor, &[i64::MIN, i64::MAX, 1 << 33, 16_777_217]),
            DType::I8 => extremes(&mut tensor, &[i8::MIN, i8::MAX]),
            DType::U8 => extremes(&mut tensor, &[u8::MIN, u8::MAX]),
            _ => {}
        }
        tensor
    }

    /// Integers in [1, 9] or floats as of [`Random::float`].
    pub(super) fn divisors(&mut self, dtype: DType, shape: &[usize]) -> Tensor {
        self.filled(dtype, shape, &[], 1, 9)
    }

    /// Integers in [0, `limit`).
    pub(super) fn indices(&mut self, dtype: DType, shape: &[usize], limit: usize) -> Tensor {
        self.filled(dtype, shape, &[], 0, limit as i64 - 1)
    }

    fn filled(
        &mut self,
        dtype: DType,
        shape: &[usize],
        special: &[f32],
        low: i64,
        high: i64,
    ) -> Tensor {
        let count: usize = shape.iter().product();
        let mut integers = |low: i64| {
            (0..count)
                .map(|_| self.integer(low, high))
                .collect::<Vec<_>>()
        };
        match dtype {
            DType::F32 => {
                let values: Vec<f32> = (0..count).map(|_| self.float(special)).collect();
                Tensor::from_slice(shape, &values)
            }
            DType::F16 => {
                let value = |_| f16::from_f32(self.float(special));
                let values: Vec<f16> = (0..count).map(value).collect();
                Tensor::from_slice(shape, &values)
            }
            DType::I32 => {
                let values: Vec<i32> = integers(low).iter().map(|&x| x as i32).collect();
                Tensor::from_slice(shape, &values)
            }
            DType::I64 => Tensor::from_slice(shape, &integers(low)),
            DType::I8 => {
                let values: Vec<i8> = integers(low).iter().map(|&x| x as i8).collect();
                Tensor::from_slice(shape, &values)
            }
            DType::U8 => {
                let values: Vec<u8> = integers(low.max(0)).iter().map(|&x| x as u8).collect();
                Tensor::from_slice(shape, &values)
            }
            _ => {
                let values: Vec<bool> = integers(0).iter().map(|&x| x % 2 == 1).collect();
                Tensor::from_bools(shape, &values)
            }
        }
        .unwrap()
    }
}

/// Puts values at the front.
fn extremes<T: tfjet_core::Element>(tensor: &mut Tensor, values: &[T]) {
    let slots = tensor.as_mut_slice::<T>().unwrap();
    for (slot, value) in slots.iter_mut().zip(values) {
        *slot = *value;
    }
}

/// A vector of `int32`.
pub(super) fn ints(values: &[i32]) -> Tensor {
    Tensor::from_slice(&[values.len()], values).unwrap()
}

/// Makes all floats positive.
pub(super) fn clear_signs(tensor: &mut Tensor) {
    let size = tensor.dtype().size_bytes();
    for bytes in tensor.bytes_mut().chunks_exact_mut(size) {
        bytes[size - 1] &= 0x7f;
    }
}
