use serde::{Deserialize, Serialize};

use crate::{Attrs, DType, Shape, WeightsId};

/// Index of a value in [`Schedule::values`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ValueId(pub u32);

impl ValueId {
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
}

/// A tensor that lives outside segments: an input, a constant of a residual op, or what a step
/// makes for another step or for the caller.
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
}

impl Step {
    /// What the step reads.
    pub fn inputs(&self) -> &[ValueId] {
        match self {
            Self::Engine { inputs, .. } | Self::Residual { inputs, .. } => inputs,
        }
    }

    /// What the step writes.
    pub fn outputs(&self) -> &[ValueId] {
        match self {
            Self::Engine { outputs, .. } | Self::Residual { outputs, .. } => outputs,
        }
    }
}

/// The order in which a session runs its steps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// All values, addressed by [`ValueId`].
    pub values: Vec<Value>,
    /// What the caller gives, in the order of the manifest's inputs.
    pub inputs: Vec<ValueId>,
    /// What the caller gets, in the order of the manifest's outputs.
    pub outputs: Vec<ValueId>,
    /// Steps in order.
    pub steps: Vec<Step>,
}

/// Why a schedule cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// An id outside the table of values.
    #[error("step {step} refers to value {value}, the schedule has {count}")]
    NoSuchValue {
        /// Index of the step; the number of steps stands for the schedule's own inputs and outputs.
        step: usize,
        /// The id.
        value: u32,
        /// Number of values.
        count: usize,
    },
    /// A value is read before a step made it.
    #[error("step {step} reads `{value}` before it is made")]
    ReadBeforeMade {
        /// Index of the step.
        step: usize,
        /// Name of the value.
        value: String,
    },
    /// A value is made twice, or is no value that a step may make.
    #[error("step {step} writes `{value}`, which is not its to write")]
    BadWrite {
        /// Index of the step.
        step: usize,
        /// Name of the value.
        value: String,
    },
}

impl Schedule {
    /// The value of `id`.
    pub fn value(&self, id: ValueId) -> Option<&Value> {
        self.values.get(id.index())
    }

    /// Checks that ids exist and that every value is made once, before it is read.
    pub fn check(&self) -> Result<(), ScheduleError> {
        let mut made: Vec<bool> = self
            .values
            .iter()
            .map(|value| value.source != ValueSource::Computed)
            .collect();
        let position = |step: usize, id: ValueId| {
            if id.index() < self.values.len() {
                Ok(id.index())
            } else {
                Err(ScheduleError::NoSuchValue {
                    step,
                    value: id.0,
                    count: self.values.len(),
                })
            }
        };
        for (index, step) in self.steps.iter().enumerate() {
            for &id in step.inputs() {
                let value = position(index, id)?;
                if !made[value] {
                    return Err(ScheduleError::ReadBeforeMade {
                        step: index,
                        value: self.values[value].name.clone(),
                    });
                }
            }
            for &id in step.outputs() {
                let value = position(index, id)?;
                if std::mem::replace(&mut made[value], true) {
                    return Err(ScheduleError::BadWrite {
                        step: index,
                        value: self.values[value].name.clone(),
                    });
                }
            }
        }
        for &id in self.inputs.iter().chain(&self.outputs) {
            let value = position(self.steps.len(), id)?;
            if !made[value] {
                return Err(ScheduleError::ReadBeforeMade {
                    step: self.steps.len(),
                    value: self.values[value].name.clone(),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &str, source: ValueSource) -> Value {
        Value {
            name: name.into(),
            dtype: DType::F32,
            shape: None,
            source,
        }
    }

    #[test]
    fn finds_reads_before_writes_and_double_writes() {
        let engine = |input: u32, output: u32| Step::Engine {
            segment: 0,
            inputs: vec![ValueId(input)],
            outputs: vec![ValueId(output)],
        };
        let schedule = |steps| Schedule {
            values: vec![
                value("x", ValueSource::Input),
                value("y", ValueSource::Computed),
                value("z", ValueSource::Computed),
            ],
            inputs: vec![ValueId(0)],
            outputs: vec![ValueId(2)],
            steps,
        };
        assert_eq!(schedule(vec![engine(0, 1), engine(1, 2)]).check(), Ok(()));
        assert!(matches!(
            schedule(vec![engine(1, 2), engine(0, 1)]).check(),
            Err(ScheduleError::ReadBeforeMade { step: 0, .. })
        ));
        assert!(matches!(
            schedule(vec![engine(0, 2), engine(0, 2)]).check(),
            Err(ScheduleError::BadWrite { step: 1, .. })
        ));
        assert!(matches!(
            schedule(vec![engine(0, 7)]).check(),
            Err(ScheduleError::NoSuchValue { value: 7, .. })
        ));
        assert!(schedule(vec![engine(0, 1)]).check().is_err());
    }
}
