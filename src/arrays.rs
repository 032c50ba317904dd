//! Arrays of an `.npz` file as a model's inputs: keys are `NAME` or `in:NAME`, outputs are
//! written as `out:NAME`.

use tfjet_core::{InputSpec, Tensor};

/// An input has no array.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no array `{name}` or `in:{name}` for the model's input; arrays in the file: {found}")]
pub struct MissingArray {
    /// The input.
    pub name: String,
    /// Names that the file has.
    pub found: String,
}

/// The name without the `:0` that TensorFlow leaves out or writes.
pub fn plain(name: &str) -> &str {
    name.strip_suffix(":0").unwrap_or(name)
}

/// The arrays for `inputs`, in order.
pub fn inputs(
    inputs: &[InputSpec],
    mut arrays: Vec<(String, Tensor)>,
) -> Result<Vec<Tensor>, MissingArray> {
    let names: Vec<String> = arrays.iter().map(|(name, _)| name.clone()).collect();
    inputs
        .iter()
        .map(|input| {
            let is_it = |(name, _): &(String, Tensor)| {
                plain(name.strip_prefix("in:").unwrap_or(name)) == plain(&input.name)
            };
            match arrays.iter().position(is_it) {
                Some(index) => Ok(arrays.swap_remove(index).1),
                None => Err(MissingArray {
                    name: input.name.clone(),
                    found: match names.as_slice() {
                        [] => "none of numbers or booleans".into(),
                        names => names.join(", "),
                    },
                }),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tfjet_core::DType;

    #[test]
    fn keys_match_with_and_without_prefix_and_port() {
        let spec = |name: &str| InputSpec {
            name: name.into(),
            dtype: DType::F32,
            shape: None,
        };
        let array = |name: &str, value: f32| (name.to_owned(), Tensor::scalar(value));
        let arrays = vec![array("in:b:0", 2.0), array("a", 1.0), array("out:a", 3.0)];
        let found = inputs(&[spec("a"), spec("b")], arrays.clone()).unwrap();
        assert_eq!(found, [Tensor::scalar(1.0f32), Tensor::scalar(2.0f32)]);
        let error = inputs(&[spec("c")], arrays).unwrap_err();
        assert!(error.to_string().contains("in:b:0, a, out:a"));
    }
}
