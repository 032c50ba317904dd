use std::fmt;

use crate::DType;

/// A place in a schedule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SchedulePlace {
    /// The function's name; none outside all functions.
    pub function: Option<String>,
    /// Index of the step there; none for the lists of inputs and outputs.
    pub step: Option<usize>,
}

impl fmt::Display for SchedulePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.function, self.step) {
            (None, Some(step)) => write!(f, "step {step}"),
            (None, None) => f.write_str("the list of inputs and outputs"),
            (Some(function), Some(step)) => write!(f, "step {step} of function `{function}`"),
            (Some(function), None) => write!(f, "function `{function}`"),
        }
    }
}

/// Why a schedule cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// An id outside the table of values.
    #[error("{place} refers to value {value}, the schedule has {count}")]
    NoSuchValue {
        /// Who refers to it.
        place: SchedulePlace,
        /// The id.
        value: u32,
        /// Number of values.
        count: usize,
    },
    /// A value is read before a step made it.
    #[error("{place} reads `{value}` before it is made")]
    ReadBeforeMade {
        /// Who reads it.
        place: SchedulePlace,
        /// Name of the value.
        value: String,
    },
    /// A function reads a value from outside that its step does not list, or one of another
    /// function.
    #[error("{place} reads `{value}`, which is not captured")]
    NotCaptured {
        /// Who reads it.
        place: SchedulePlace,
        /// Name of the value.
        value: String,
    },
    /// A value is made twice, or is no value that a step may make.
    #[error("{place} writes `{value}`, which is not its to write")]
    BadWrite {
        /// Who writes it.
        place: SchedulePlace,
        /// Name of the value.
        value: String,
    },
    /// An id outside the table of functions.
    #[error("{place} refers to function {function}, the schedule has {count}")]
    NoSuchFunction {
        /// The step.
        place: SchedulePlace,
        /// The id.
        function: u32,
        /// Number of functions.
        count: usize,
    },
    /// A step of a function uses that function or one that stands before it.
    #[error("{place} uses function `{function}`, which does not stand after its own")]
    FunctionOrder {
        /// The step.
        place: SchedulePlace,
        /// Name of the function.
        function: String,
    },
    /// A function is used by no step, or by more than one.
    #[error("function `{function}` is used {uses} times, not once")]
    FunctionUses {
        /// Name of the function.
        function: String,
        /// How often it is used.
        uses: usize,
    },
    /// Functions are nested too deep.
    #[error("function `{function}` is nested more than {most} deep")]
    TooDeep {
        /// Name of the function.
        function: String,
        /// [`Schedule::MAX_DEPTH`](crate::Schedule::MAX_DEPTH).
        most: usize,
    },
    /// A function takes a value that is no argument or that is taken already.
    #[error("function `{function}` takes `{value}`, which is not its argument")]
    NotAnArgument {
        /// Name of the function.
        function: String,
        /// Name of the value.
        value: String,
    },
    /// A value is an argument, and no function takes it.
    #[error("`{value}` is an argument of no function")]
    ArgumentOfNone {
        /// Name of the value.
        value: String,
    },
    /// A step and its functions differ in a number of values.
    #[error("{place}: {what} has {found} {of}, expected {expected}")]
    Count {
        /// The step.
        place: SchedulePlace,
        /// Whose values are counted.
        what: String,
        /// `inputs` or `outputs`.
        of: &'static str,
        /// How many it has.
        found: usize,
        /// How many it must have.
        expected: usize,
    },
    /// What is handed to a function, or comes from it, has another type than it must have.
    #[error("{place} gives `{to}` ({expected}) the value of `{from}` ({given})")]
    Type {
        /// The step.
        place: SchedulePlace,
        /// Name of the value that takes it.
        to: String,
        /// The type that it must have.
        expected: DType,
        /// Name of the value that is given.
        from: String,
        /// Its type.
        given: DType,
    },
}
