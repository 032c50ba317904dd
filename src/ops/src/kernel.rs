use std::fmt;

use tfjet_core::{Tensor, TensorView};

use crate::OpError;

/// One op with its attributes bound, ready to run on tensors in memory.
pub trait Kernel: Send + Sync + fmt::Debug {
    /// Computes the outputs from the inputs, both in the op's own order. Each output takes the
    /// type and shape of its result, in its present allocation where that is large enough.
    ///
    /// # Errors
    /// An [`OpError`] where the numbers of tensors, their types, shapes or values are not what
    /// the op defines. The outputs then hold nothing of meaning.
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError>;

    /// Number of outputs that [`Kernel::run`] expects.
    fn output_count(&self) -> usize {
        1
    }

    /// The input whose memory output 0 may take over, where the caller has no more need of that
    /// input's value: [`Kernel::run_in_place`] then costs less than [`Kernel::run`].
    fn in_place(&self) -> Option<usize> {
        None
    }

    /// [`Kernel::run`] of a kernel with [`Kernel::in_place`]: `outputs[0]` holds the value of that
    /// input and becomes the result, and the view in its place among `inputs` is not read.
    ///
    /// # Errors
    /// As [`Kernel::run`]. The value that `outputs[0]` held is then lost.
    fn run_in_place(
        &self,
        inputs: &[TensorView<'_>],
        outputs: &mut [Tensor],
    ) -> Result<(), OpError> {
        self.run(inputs, outputs)
    }
}
