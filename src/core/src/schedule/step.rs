use serde::{Deserialize, Serialize};

use crate::{Attrs, FunctionId, ValueId};

/// One step of the schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Step {
    /// Runs the engine of a segment.
    Engine {
        /// Index of the segment, counted over the bundle's networks of the same target.
        segment: u32,
        /// Bound to the network's inputs in order.
        inputs: Vec<ValueId>,
        /// Bound to the network's outputs in order.
        outputs: Vec<ValueId>,
    },
    /// Runs one TensorFlow op outside the segments.
    Residual {
        /// Name of the TensorFlow node.
        node: String,
        /// TensorFlow op.
        op_type: String,
        /// Attributes as in the source graph.
        attrs: Attrs,
        /// In the op's order.
        inputs: Vec<ValueId>,
        /// In the op's order, one for each output that the op has.
        outputs: Vec<ValueId>,
    },
    /// Runs a body as long as a condition holds, as TensorFlow's `While`. The condition is asked
    /// before each pass.
    While {
        /// Name of the TensorFlow node.
        node: String,
        /// Takes what the loop carries, gives one scalar: go on?
        condition: FunctionId,
        /// Takes what the loop carries, gives what the next pass is to have.
        body: FunctionId,
        /// As many as there are outputs: what the loop carries into the first pass. After them, the
        /// values from outside that the two functions read.
        inputs: Vec<ValueId>,
        /// What the loop carries when the condition no longer holds.
        outputs: Vec<ValueId>,
    },
    /// Runs one of two branches, as TensorFlow's `If`. Branches take no arguments.
    If {
        /// Name of the TensorFlow node.
        node: String,
        /// Run where the predicate holds.
        then_branch: FunctionId,
        /// Run where it does not.
        else_branch: FunctionId,
        /// The predicate, a scalar; after it the values from outside that the branches read.
        inputs: Vec<ValueId>,
        /// The results of the branch that ran.
        outputs: Vec<ValueId>,
    },
}

impl Step {
    /// What the step reads.
    pub fn inputs(&self) -> &[ValueId] {
        match self {
            Self::Engine { inputs, .. }
            | Self::Residual { inputs, .. }
            | Self::While { inputs, .. }
            | Self::If { inputs, .. } => inputs,
        }
    }

    /// What the step writes.
    pub fn outputs(&self) -> &[ValueId] {
        match self {
            Self::Engine { outputs, .. }
            | Self::Residual { outputs, .. }
            | Self::While { outputs, .. }
            | Self::If { outputs, .. } => outputs,
        }
    }

    /// The values that the step itself reads, without those that are only for its functions: what a
    /// loop carries into its first pass, the predicate of a condition, all inputs of other steps.
    pub fn own_inputs(&self) -> &[ValueId] {
        let inputs = self.inputs();
        inputs.get(..self.own_count()).unwrap_or(inputs)
    }

    /// The values from outside that the step's functions may read.
    pub fn captured(&self) -> &[ValueId] {
        self.inputs().get(self.own_count()..).unwrap_or_default()
    }

    fn own_count(&self) -> usize {
        match self {
            Self::Engine { inputs, .. } | Self::Residual { inputs, .. } => inputs.len(),
            Self::While { outputs, .. } => outputs.len(),
            Self::If { .. } => 1,
        }
    }

    /// The functions that the step runs: condition and body, or the branch for a predicate that
    /// holds and the other.
    pub fn functions(&self) -> Option<[FunctionId; 2]> {
        match self {
            Self::Engine { .. } | Self::Residual { .. } => None,
            Self::While {
                condition, body, ..
            } => Some([*condition, *body]),
            Self::If {
                then_branch,
                else_branch,
                ..
            } => Some([*then_branch, *else_branch]),
        }
    }

    /// Name of the TensorFlow node; none for a segment.
    pub fn node(&self) -> Option<&str> {
        match self {
            Self::Engine { .. } => None,
            Self::Residual { node, .. } | Self::While { node, .. } | Self::If { node, .. } => {
                Some(node)
            }
        }
    }

    /// What the step does: `engine`, a TensorFlow op, `While` or `If`.
    pub fn kind(&self) -> &str {
        match self {
            Self::Engine { .. } => "engine",
            Self::Residual { op_type, .. } => op_type,
            Self::While { .. } => "While",
            Self::If { .. } => "If",
        }
    }
}
