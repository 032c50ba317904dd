use std::collections::BTreeMap;

use tfjet_core::{DType, Dim, InputSpec, Shape, TensorView};

use crate::SessionError;

/// Two dims of inputs that carry the same symbol.
#[derive(Debug, PartialEq, Eq)]
struct Equal {
    input: usize,
    axis: usize,
    first: (usize, usize),
}

/// Dims of different inputs that must be equal.
#[derive(Debug)]
pub(crate) struct InputCheck {
    equal: Vec<Equal>,
}

impl InputCheck {
    pub(crate) fn new(specs: &[InputSpec]) -> Self {
        let mut seen: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        let mut equal = Vec::new();
        for (input, spec) in specs.iter().enumerate() {
            let dims = spec.shape.iter().flat_map(Shape::dims).enumerate();
            for (axis, dim) in dims {
                let Dim::Symbolic(symbol) = dim else { continue };
                match seen.get(symbol.as_str()) {
                    Some(&first) => equal.push(Equal { input, axis, first }),
                    None => _ = seen.insert(symbol, (input, axis)),
                }
            }
        }
        Self { equal }
    }

    /// Do `inputs` fit `specs`, for which this was made?
    pub(crate) fn check(
        &self,
        specs: &[InputSpec],
        inputs: &[TensorView<'_>],
    ) -> Result<(), SessionError> {
        if specs.len() != inputs.len() {
            return Err(SessionError::InputCount {
                expected: specs.len(),
                names: specs
                    .iter()
                    .map(|spec| format!("`{}`", spec.name))
                    .collect(),
                given: inputs.len(),
            });
        }
        for (spec, input) in specs.iter().zip(inputs) {
            let fits = spec
                .shape
                .as_ref()
                .is_none_or(|shape| shape.admits(input.shape()));
            if spec.dtype != input.dtype() || !fits {
                return Err(wrong(
                    spec,
                    describe(spec.dtype, spec.shape.as_ref()),
                    input,
                ));
            }
        }
        for Equal { input, axis, first } in &self.equal {
            let (spec, view) = (&specs[*input], &inputs[*input]);
            let size = inputs[first.0].shape().get(first.1);
            if view.shape().get(*axis) != size {
                let expected = format!(
                    "{} with the size {} on axis {axis} that input `{}` has on axis {}",
                    describe(spec.dtype, spec.shape.as_ref()),
                    size.copied().unwrap_or_default(),
                    specs[first.0].name,
                    first.1,
                );
                return Err(wrong(spec, expected, view));
            }
        }
        Ok(())
    }
}

fn wrong(spec: &InputSpec, expected: String, input: &TensorView<'_>) -> SessionError {
    SessionError::Input {
        name: spec.name.clone(),
        expected,
        given: describe(input.dtype(), Some(&Shape::fixed(input.shape()))),
    }
}

/// Type and shape, for people.
pub(crate) fn describe(dtype: DType, shape: Option<&Shape>) -> String {
    match shape {
        Some(shape) => format!("{dtype} {shape}"),
        None => format!("{dtype} of any shape"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tfjet_core::Tensor;

    fn spec(name: &str, shape: Option<&[&str]>) -> InputSpec {
        let dim = |dim: &&str| match dim.parse() {
            Ok(size) => Dim::Fixed(size),
            Err(_) => Dim::Symbolic((*dim).into()),
        };
        InputSpec {
            name: name.into(),
            dtype: DType::F32,
            shape: shape.map(|dims| Shape(dims.iter().map(dim).collect())),
        }
    }

    #[test]
    fn names_the_input_with_what_was_expected_and_given() {
        let specs = [
            spec("a", Some(&["n", "3"])),
            spec("b", Some(&["2", "n"])),
            spec("c", None),
        ];
        let check = InputCheck::new(&specs);
        let f32s = |shape: &[usize]| Tensor::zeros(DType::F32, shape).unwrap();
        for (inputs, expected) in [
            (vec![f32s(&[5, 3]), f32s(&[2, 5]), f32s(&[9])], None),
            (vec![f32s(&[0, 3]), f32s(&[2, 0]), f32s(&[])], None),
            (
                vec![f32s(&[5, 3])],
                Some("the model takes 3 inputs (`a`, `b`, `c`), given 1"),
            ),
            (
                vec![f32s(&[5, 4]), f32s(&[2, 5]), f32s(&[])],
                Some("input `a`: expected float32 [n,3], given float32 [5,4]"),
            ),
            (
                vec![f32s(&[5, 3, 1]), f32s(&[2, 5]), f32s(&[])],
                Some("input `a`: expected float32 [n,3], given float32 [5,3,1]"),
            ),
            (
                vec![f32s(&[5, 3]), f32s(&[2, 5]), Tensor::scalar(1u8)],
                Some("input `c`: expected float32 of any shape, given uint8 []"),
            ),
            (
                vec![f32s(&[5, 3]), f32s(&[2, 4]), f32s(&[])],
                Some(
                    "input `b`: expected float32 [2,n] with the size 5 on axis 1 that input `a` \
                     has on axis 0, given float32 [2,4]",
                ),
            ),
        ] {
            let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
            let error = check.check(&specs, &views).err().map(|e| e.to_string());
            assert_eq!(error.as_deref(), expected);
        }
    }
}
