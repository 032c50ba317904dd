//! Types and shapes that are inferred, against those of the tensors that TensorFlow made in the
//! cases of `tests/goldens`. What is inferred of less must not contradict them either.

#[path = "../../../tests/goldens/cases.rs"]
#[allow(dead_code, reason = "values are not compared here")]
mod cases;

use std::collections::BTreeMap;
use std::sync::Arc;

use tfjet_convert::graph::infer::{Context, infer};
use tfjet_convert::graph::{Node, Sizes, SymbolicInt, WireFact, output_count};
use tfjet_core::{AttrReader, DType, Dim, Shape, Tensor};

use cases::{Case, cases};

/// What inference is told of the inputs.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Told {
    Values,
    Shapes,
    /// Every size is a symbol.
    Ranks,
    /// Every size is a symbol, but small integer tensors are known.
    RanksAndIntegers,
    Types,
}

fn symbol(input: usize, axis: usize) -> String {
    format!("input{input}_{axis}")
}

fn told(told: Told, input: usize, tensor: &Tensor) -> WireFact {
    let small = matches!(tensor.dtype(), DType::I32 | DType::I64) && tensor.shape().len() <= 1;
    match told {
        Told::Types => WireFact::new(tensor.dtype(), None),
        Told::Values => WireFact::constant(Arc::new(tensor.clone())),
        Told::RanksAndIntegers if small => WireFact::constant(Arc::new(tensor.clone())),
        Told::Shapes => WireFact::new(tensor.dtype(), Some(Shape::fixed(tensor.shape()))),
        Told::Ranks | Told::RanksAndIntegers => {
            let dims = (0..tensor.shape().len()).map(|axis| Dim::Symbolic(symbol(input, axis)));
            WireFact::new(tensor.dtype(), Some(Shape(dims.collect())))
        }
    }
}

fn integers(tensor: &Tensor) -> Option<Vec<i64>> {
    match tensor.dtype() {
        DType::I32 => {
            let values = tensor.as_slice::<i32>().ok()?;
            Some(values.iter().map(|&value| value.into()).collect())
        }
        DType::I64 => Some(tensor.as_slice::<i64>().ok()?.to_vec()),
        _ => None,
    }
}

/// What in `fact` is not so.
fn contradiction(
    fact: &WireFact,
    actual: &Tensor,
    sizes: &Sizes,
    symbols: &BTreeMap<String, i64>,
) -> Option<String> {
    if fact.dtype.is_some_and(|dtype| dtype != actual.dtype()) {
        return Some(format!("{:?} for {}", fact.dtype, actual.dtype()));
    }
    let value_of = |name: &str| symbols.get(name).copied();
    if let Some(shape) = &fact.shape {
        let fits = shape.rank() == actual.shape().len()
            && shape.dims().iter().zip(actual.shape()).all(|(dim, &size)| {
                let value = sizes.formula(dim).value(&value_of);
                value.is_none_or(|value| usize::try_from(value) == Ok(size))
            });
        if !fits {
            return Some(format!("{shape} for {:?}", actual.shape()));
        }
    }
    let (elements, actual) = (fact.elements.as_ref()?, integers(actual)?);
    let fits = elements.len() == actual.len()
        && elements.iter().zip(&actual).all(|(element, &value)| {
            let known = element
                .formula()
                .and_then(|formula| formula.value(&value_of));
            *element == SymbolicInt::Unknown || known.is_none_or(|known| known == value)
        });
    (!fits).then(|| format!("{elements:?} for {actual:?}"))
}

fn failure(case: &Case, what: Told) -> Option<String> {
    let inputs = case.inputs();
    let facts: Vec<WireFact> = inputs
        .iter()
        .enumerate()
        .map(|(i, input)| told(what, i, input))
        .collect();
    let node = Node {
        name: "node".into(),
        op: case.op.clone(),
        attrs: case.attrs(),
        ..Node::default()
    };
    let count = usize::try_from(output_count(&node.op, &node.attrs)?).ok()?;
    if count != case.output_count() {
        return Some(format!("{count} outputs for {}", case.output_count()));
    }
    let sizes = Sizes::default();
    let context = Context {
        node: &node,
        inputs: facts.iter().collect(),
        attrs: AttrReader::new(&node.attrs),
        sizes: &sizes,
    };
    let inferred = match infer(&context, count) {
        Ok(inferred) => inferred,
        Err(error) => return Some(error.to_string()),
    };
    let symbols: BTreeMap<String, i64> = inputs
        .iter()
        .enumerate()
        .flat_map(|(i, input)| {
            let shape = input.shape().iter().enumerate();
            shape.map(move |(axis, &size)| (symbol(i, axis), size as i64))
        })
        .collect();
    let outputs = case.outputs();
    for (slot, (fact, actual)) in inferred.iter().zip(&outputs).enumerate() {
        if let Some(wrong) = contradiction(fact, actual, &sizes, &symbols) {
            return Some(format!("output {slot} is {wrong}"));
        }
        if fact.dtype.is_none() {
            return Some(format!("output {slot} has no type"));
        }
        let settled = fact.shape.as_ref().is_some_and(|shape| {
            let by_value = shape.as_fixed().is_none();
            !by_value || SHAPED_BY_VALUES.contains(&case.op.as_str())
        });
        if what == Told::Values && !settled {
            return Some(format!("output {slot} has shape {:?}", fact.shape));
        }
    }
    None
}

/// Ops with outputs whose shapes the values of large inputs or of floats tell.
const SHAPED_BY_VALUES: &[&str] = &[
    "NonMaxSuppression",
    "NonMaxSuppressionV2",
    "NonMaxSuppressionV3",
    "NonMaxSuppressionV4",
    "NonMaxSuppressionV5",
    "CombinedNonMaxSuppression",
    "DynamicPartition",
    "DynamicStitch",
    "ListDiff",
    "ParallelDynamicStitch",
    "Range",
    "SegmentMax",
    "SegmentMean",
    "SegmentMin",
    "SegmentProd",
    "SegmentSum",
    "Unique",
    "UniqueV2",
    "UniqueWithCounts",
    "UniqueWithCountsV2",
    "Where",
    "TensorListScatter",
    "TensorListScatterV2",
    "TensorListScatterIntoExistingList",
    "TensorListSetItem",
];

#[test]
fn inference_says_what_tensorflow_makes() {
    let cases = cases();
    for what in [
        Told::Values,
        Told::Shapes,
        Told::Ranks,
        Told::RanksAndIntegers,
        Told::Types,
    ] {
        let failures: Vec<String> = cases
            .iter()
            .filter_map(|case| Some(format!("{}: {}", case.name, failure(case, what)?)))
            .collect();
        assert!(
            failures.is_empty(),
            "{} of {} cases, told {what:?}:\n{}",
            failures.len(),
            cases.len(),
            failures.join("\n")
        );
    }
}
