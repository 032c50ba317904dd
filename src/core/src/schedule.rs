use serde::{Deserialize, Serialize};

use crate::{DType, Shape, WeightsId};

mod check;
mod error;
mod step;
mod walk;

pub use error::{ScheduleError, SchedulePlace};
pub use step::Step;
pub use walk::PlacedStep;

/// Index of a value in [`Schedule::values`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ValueId(pub u32);

impl ValueId {
    /// The id as an index.
    pub fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Index of a function in [`Schedule::functions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FunctionId(pub u32);

impl FunctionId {
    /// The id as an index.
    pub fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ValueSource {
    /// The caller.
    Input,
    /// The weights section.
    Constant(WeightsId),
    /// A step.
    Computed,
    /// The step that runs the function whose argument it is.
    Argument,
}

/// A tensor that lives outside segments: an input, a constant of a residual op, an argument of a
/// function, or what a step makes for another step or for the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    /// TensorFlow's name of the wire, `node` or `node:port`.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Shape as far as it was inferred; `None` for unknown rank.
    pub shape: Option<Shape>,
    /// Where it comes from.
    pub source: ValueSource,
}

/// Steps that a [`Step::While`] or [`Step::If`] runs: a condition, a loop's body or a branch.
///
/// Its steps read its arguments, what earlier of its steps made, constants, and those values from
/// outside that the step which runs it lists as captured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Function {
    /// TensorFlow's name, or one made from the node's.
    pub name: String,
    /// Its arguments, values of [`ValueSource::Argument`].
    pub inputs: Vec<ValueId>,
    /// Its results: what its steps made, arguments, captured values, or constants.
    pub outputs: Vec<ValueId>,
    /// Steps in order.
    pub steps: Vec<Step>,
}

/// The order in which a session runs its steps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// All values, those of functions among them, addressed by [`ValueId`].
    pub values: Vec<Value>,
    /// What the caller gives, in the order of the manifest's inputs.
    pub inputs: Vec<ValueId>,
    /// What the caller gets, in the order of the manifest's outputs.
    pub outputs: Vec<ValueId>,
    /// Steps in order.
    pub steps: Vec<Step>,
    /// Functions of the control flow, addressed by [`FunctionId`]. Each is used by one step, which
    /// stands outside all functions or in one of a smaller index.
    pub functions: Vec<Function>,
}

impl Schedule {
    /// Functions are nested at most so deep.
    pub const MAX_DEPTH: usize = 64;

    /// The value of `id`.
    pub fn value(&self, id: ValueId) -> Option<&Value> {
        self.values.get(id.index())
    }

    /// The function of `id`.
    pub fn function(&self, id: FunctionId) -> Option<&Function> {
        self.functions.get(id.index())
    }

    /// All steps: the schedule's own, then those of each function.
    pub fn all_steps(&self) -> impl Iterator<Item = &Step> {
        let functions = self.functions.iter();
        self.steps
            .iter()
            .chain(functions.flat_map(|function| &function.steps))
    }

    /// All steps as they are nested: each is followed by those of the functions that it runs. For a
    /// schedule that has passed [`Schedule::check`].
    pub fn walk(&self) -> Vec<PlacedStep<'_>> {
        walk::walk(self)
    }

    /// Checks that the steps can run as they stand:
    /// - ids exist, and every value is made once, before it is read;
    /// - each function is used by one step, which stands outside all functions or in one of a
    ///   smaller index, at most [`Schedule::MAX_DEPTH`] deep;
    /// - a function reads nothing from outside but constants and what its step lists;
    /// - arguments are those of functions and of one function each;
    /// - numbers and types of what steps hand in and get back fit.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), ScheduleError> {
        check::check(self)
    }
}
