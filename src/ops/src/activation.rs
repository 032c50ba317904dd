use tfjet_core::{AttrReader, Element, Tensor, TensorView};

use crate::arguments::{expect_same_dtype, output, reset, take};
use crate::broadcast::Broadcast;
use crate::number::{Float, Number, Real, with_type};
use crate::{Kernel, OpError};

/// An elementwise activation of one input, also the epilogue of a fused op.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Activation {
    Relu,
    Relu6,
    /// With `alpha`.
    LeakyRelu(f32),
    Elu,
    Selu,
    Sigmoid,
    Tanh,
    Softplus,
    Softsign,
}

const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
const SELU_SCALE_ALPHA: f64 = 1.758_099_340_847_376_9;

impl Activation {
    /// Calls `map` with the function, so that each gets a loop of its own.
    fn dispatch<W: Float>(self, mut map: impl FnMapper<W>) {
        match self {
            Self::Relu => map.call(|x: W| x.greater(W::ZERO)),
            Self::Relu6 => map.call(|x: W| x.greater(W::ZERO).lesser(W::small(6))),
            Self::LeakyRelu(alpha) => {
                let alpha = W::from_f64(alpha.into());
                if alpha <= W::ONE {
                    map.call(move |x: W| x.greater(x * alpha));
                } else {
                    map.call(move |x: W| if x > W::ZERO { x } else { x * alpha });
                }
            }
            Self::Elu => map.call(|x: W| if x < W::ZERO { x.exp() - W::ONE } else { x }),
            Self::Selu => {
                let scale = W::from_f64(SELU_SCALE);
                let scale_alpha = W::from_f64(SELU_SCALE_ALPHA);
                map.call(move |x: W| {
                    if x < W::ZERO {
                        scale_alpha * (x.exp() - W::ONE)
                    } else {
                        scale * x
                    }
                });
            }
            Self::Sigmoid => map.call(|x: W| W::ONE / (W::ONE + (-x).exp())),
            Self::Tanh => map.call(W::tanh),
            Self::Softplus => {
                let threshold = W::EPSILON.ln() + W::small(2);
                map.call(move |x: W| {
                    if x > -threshold {
                        x
                    } else if x < threshold {
                        x.exp()
                    } else {
                        x.exp().ln_1p()
                    }
                });
            }
            Self::Softsign => map.call(|x: W| x / (W::ONE + x.magnitude())),
        }
    }

    /// `target = f(source)`.
    pub(crate) fn map<T: Real>(self, source: &[T], target: &mut [T]) {
        self.dispatch(Map { source, target });
    }

    /// `values = f(values)`.
    pub(crate) fn map_in_place<T: Real>(self, values: &mut [T]) {
        self.dispatch(MapInPlace { values });
    }
}

trait FnMapper<W> {
    fn call(&mut self, f: impl Fn(W) -> W);
}

struct Map<'a, T> {
    source: &'a [T],
    target: &'a mut [T],
}

impl<T: Real> FnMapper<T::Wide> for Map<'_, T> {
    fn call(&mut self, f: impl Fn(T::Wide) -> T::Wide) {
        for (target, source) in self.target.iter_mut().zip(self.source) {
            *target = T::narrow(f(source.wide()));
        }
    }
}

struct MapInPlace<'a, T> {
    values: &'a mut [T],
}

impl<T: Real> FnMapper<T::Wide> for MapInPlace<'_, T> {
    fn call(&mut self, f: impl Fn(T::Wide) -> T::Wide) {
        for value in &mut *self.values {
            *value = T::narrow(f(value.wide()));
        }
    }
}

/// An [`Activation`] as an op of its own.
#[derive(Debug)]
struct ActivationKernel(Activation);

pub(crate) fn activation(activation: Activation) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(ActivationKernel(activation)))
}

pub(crate) fn leaky_relu(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    activation(Activation::LeakyRelu(reader.float_or("alpha", 0.2)?))
}

impl Kernel for ActivationKernel {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x] = take(inputs)?;
        let y = output(outputs)?;
        reset(y, x.dtype(), x.shape())?;
        let integers = matches!(self.0, Activation::Relu | Activation::Relu6);
        if integers && !x.dtype().is_float() {
            let limit = self.0 == Activation::Relu6;
            return with_type!(numbers, 0, x.dtype(), T => clip::<T>(limit, x, y));
        }
        with_type!(reals, 0, x.dtype(), T => {
            self.0.map::<T>(x.as_slice()?, y.as_mut_slice()?);
            Ok(())
        })
    }
}

fn clip<T: Number>(limit: bool, x: &TensorView<'_>, y: &mut Tensor) -> Result<(), OpError> {
    let limit = if limit { T::small(6) } else { T::HIGHEST };
    for (y, x) in y.as_mut_slice::<T>()?.iter_mut().zip(x.as_slice::<T>()?) {
        *y = x.greater(T::ZERO).lesser(limit);
    }
    Ok(())
}

/// `Prelu` as TF.js has it: `x` where it is not negative, else `alpha * x`.
#[derive(Debug)]
struct Prelu;

pub(crate) fn prelu(_: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Prelu))
}

/// One element of `Prelu`.
pub(crate) fn prelu_value<T: Real>(x: T, alpha: T) -> T {
    if x < T::ZERO { x.times(alpha) } else { x }
}

impl Kernel for Prelu {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, alpha] = take(inputs)?;
        let y = output(outputs)?;
        expect_same_dtype(inputs)?;
        let broadcast = Broadcast::new([x.shape(), alpha.shape()])?;
        reset(y, x.dtype(), broadcast.shape())?;
        with_type!(reals, 0, x.dtype(), T => prelu_run::<T>(&broadcast, x, alpha, y))
    }
}

fn prelu_run<T: Real + Element>(
    broadcast: &Broadcast<2>,
    x: &TensorView<'_>,
    alpha: &TensorView<'_>,
    y: &mut Tensor,
) -> Result<(), OpError> {
    let y = y.as_mut_slice::<T>()?;
    broadcast.zip(x.as_slice::<T>()?, alpha.as_slice::<T>()?, y, prelu_value);
    Ok(())
}
