//! The ops that grappler and TF.js fuse behind a convolution or a matrix product.

use tfjet_core::{AttrError, AttrReader, Tensor, TensorView};

use crate::OpError;
use crate::activation::{Activation, prelu_value};
use crate::arguments::{expect_dtype, product};
use crate::batch_norm::Normalization;
use crate::broadcast::Broadcast;
use crate::error::shape_error;
use crate::number::{Number, Real};

/// One fused op; `arg` is the first of its inputs among `args`.
#[derive(Debug)]
enum Step {
    BiasAdd { arg: usize },
    FusedBatchNorm { arg: usize, epsilon: f32 },
    Prelu { arg: usize },
    Activation(Activation),
}

/// The fused ops of a node, in order.
#[derive(Debug, Default)]
pub(crate) struct Fused {
    steps: Vec<Step>,
    /// Inputs that the fused ops take.
    pub(crate) args: usize,
}

impl Fused {
    /// Reads `fused_ops` and the attributes that belong to them.
    pub(crate) fn read(reader: &AttrReader<'_>) -> Result<Self, OpError> {
        let epsilon = reader.float_or("epsilon", 0.0001)?;
        let alpha = reader.float_or("leakyrelu_alpha", 0.2)?;
        reader.ignore(&["num_host_args"]);
        let mut fused = Self::default();
        for name in reader.strs("fused_ops")? {
            let arg = fused.args;
            let step = match name {
                "BiasAdd" => {
                    fused.args += 1;
                    Step::BiasAdd { arg }
                }
                "FusedBatchNorm" => {
                    fused.args += 4;
                    Step::FusedBatchNorm { arg, epsilon }
                }
                "Prelu" => {
                    fused.args += 1;
                    Step::Prelu { arg }
                }
                "Relu" => Step::Activation(Activation::Relu),
                "Relu6" => Step::Activation(Activation::Relu6),
                "Elu" => Step::Activation(Activation::Elu),
                "Sigmoid" => Step::Activation(Activation::Sigmoid),
                "Tanh" => Step::Activation(Activation::Tanh),
                "LeakyRelu" => Step::Activation(Activation::LeakyRelu(alpha)),
                "Linear" => continue,
                other => {
                    return Err(AttrError::Value {
                        name: "fused_ops".into(),
                        value: other.into(),
                        expected: "BiasAdd, FusedBatchNorm, Prelu or an activation",
                    }
                    .into());
                }
            };
            fused.steps.push(step);
        }
        let args = reader.int_or("num_args", fused.args as i64)?;
        if args != fused.args as i64 {
            return Err(AttrError::Value {
                name: "num_args".into(),
                value: args.to_string(),
                expected: "the number of inputs that fused_ops take",
            }
            .into());
        }
        Ok(fused)
    }

    /// Runs the fused ops on `y` in place. Its channels are dimension `channel`; `args` are the
    /// inputs from `first` on.
    pub(crate) fn apply<T: Real>(
        &self,
        args: &[TensorView<'_>],
        first: usize,
        channel: usize,
        y: &mut Tensor,
    ) -> Result<(), OpError> {
        for step in &self.steps {
            match *step {
                Step::Activation(activation) => {
                    activation.map_in_place(y.as_mut_slice::<T>()?);
                }
                Step::BiasAdd { arg } => {
                    let channels = Channels::new(y.shape(), channel);
                    let bias = channels.vector::<T>(first + arg, &args[arg])?;
                    channels.each(y.as_mut_slice::<T>()?, |c, row| {
                        for value in row {
                            *value = value.plus(bias[c]);
                        }
                    });
                }
                Step::FusedBatchNorm { arg, epsilon } => {
                    let channels = Channels::new(y.shape(), channel);
                    let vector = |i: usize| channels.vector::<T>(first + arg + i, &args[arg + i]);
                    let [scale, offset] = [vector(0)?, vector(1)?];
                    let [mean, variance] = [vector(2)?, vector(3)?];
                    channels.each(y.as_mut_slice::<T>()?, |c, row| {
                        let of = Normalization {
                            scale: scale[c].wide(),
                            offset: offset[c].wide(),
                            mean: mean[c].wide(),
                            variance: variance[c].wide(),
                            epsilon: <T::Wide as Number>::from_f64(epsilon.into()),
                        };
                        for value in row {
                            *value = T::narrow(of.apply(value.wide()));
                        }
                    });
                }
                Step::Prelu { arg } => prelu::<T>(first + arg, &args[arg], y)?,
            }
        }
        Ok(())
    }
}

fn prelu<T: Real>(input: usize, alpha: &TensorView<'_>, y: &mut Tensor) -> Result<(), OpError> {
    expect_dtype(input, alpha, T::DTYPE)?;
    let broadcast = Broadcast::new([y.shape(), alpha.shape()])?;
    if broadcast.shape() != y.shape() {
        return Err(shape_error!(
            "input {input} of shape {:?} does not broadcast to {:?}",
            alpha.shape(),
            y.shape()
        ));
    }
    let alpha = alpha.as_slice::<T>()?;
    let y = y.as_mut_slice::<T>()?;
    broadcast.rows(|[at, mut from], len, [_, step]| {
        for value in &mut y[at..at + len] {
            *value = prelu_value(*value, alpha[from]);
            from += step;
        }
    });
    Ok(())
}

/// A tensor as rows that each lie in one channel.
struct Channels {
    count: usize,
    row: usize,
}

impl Channels {
    fn new(shape: &[usize], channel: usize) -> Self {
        Self {
            count: shape[channel],
            row: product(&shape[channel + 1..]),
        }
    }

    /// An input with an element for each channel.
    fn vector<'a, T: Number>(
        &self,
        input: usize,
        view: &TensorView<'a>,
    ) -> Result<&'a [T], OpError> {
        expect_dtype(input, view, T::DTYPE)?;
        if view.shape() == [self.count] {
            Ok(view.as_slice()?)
        } else {
            Err(shape_error!(
                "input {input} has shape {:?}, expected [{}]",
                view.shape(),
                self.count
            ))
        }
    }

    fn each<T>(&self, values: &mut [T], mut f: impl FnMut(usize, &mut [T])) {
        if values.is_empty() {
            return;
        }
        for (i, row) in values.chunks_exact_mut(self.row).enumerate() {
            f(i % self.count, row);
        }
    }
}
