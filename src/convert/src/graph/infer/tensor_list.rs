//! `TensorList` ops. A list is one dense tensor `[n, element shape...]`; `[n, 0]` where no element
//! was written and their shape is not known.

use tfjet_core::{DType, Dim, Shape};

use super::reshape::shape_from_elements;
use super::{Context, InferError, fact, impossible};
use crate::graph::{Formula, SymbolicInt, WireFact};

pub(super) fn infer(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let op = context.node.op.as_str();
    let dtype = match op {
        "TensorListResize" | "TensorListScatterIntoExistingList" => context.dtype(0),
        "TensorListLength" | "TensorListElementShape" => None,
        _ => Some(context.attrs.dtype("element_dtype")?),
    };
    match op {
        "EmptyTensorList" => Ok(vec![reserved(context, dtype, Dim::Fixed(0))?]),
        "TensorListReserve" => {
            let len = count(context, 1)?.unwrap_or_else(|| context.symbol(0, 0));
            Ok(vec![reserved(context, dtype, len)?])
        }
        "TensorListLength" => {
            let len = list(context, 0)?.map(|list| context.sizes.formula(&list.len));
            let mut result = fact(Some(DType::I32), Some(Shape::default()));
            result.elements = Some(vec![SymbolicInt::from(len)]);
            Ok(vec![result])
        }
        "TensorListElementShape" => Ok(vec![shape_of_elements(context)?]),
        "TensorListSetItem" => {
            let len = match list(context, 0)? {
                Some(list)
                    if !context
                        .attrs
                        .bool_or("resize_if_index_out_of_bounds", false)? =>
                {
                    list.len
                }
                _ => context.symbol(0, 0),
            };
            Ok(vec![written(context, dtype, len, context.shape(2)?)?])
        }
        "TensorListPushBack" => {
            let len = longer(context, 1)?;
            Ok(vec![written(context, dtype, len, context.shape(1)?)?])
        }
        "TensorListScatterIntoExistingList" => {
            let rows = context.shape(1)?.map(row);
            let len = context.symbol(0, 0);
            Ok(vec![written(context, dtype, len, rows.as_ref())?])
        }
        "TensorListPopBack" => {
            let len = longer(context, -1)?;
            let rest = list(context, 0)?.map(|list| stack(len, list.element.dims()));
            let element = element(context, 1, 1)?;
            Ok(vec![fact(dtype, rest), fact(dtype, element)])
        }
        "TensorListGetItem" => Ok(vec![fact(dtype, element(context, 2, 0)?)]),
        "TensorListStack" => Ok(vec![stacked(context, dtype)?]),
        "TensorListConcat" | "TensorListConcatV2" => concat(context, dtype),
        "TensorListGather" => {
            let len = rows_of(context, 1)?;
            let shape = element(context, 2, 0)?.map(|element| stack(len, element.dims()));
            Ok(vec![fact(dtype, shape)])
        }
        "TensorListFromTensor" => {
            let input = context.input(0)?;
            let mut result = fact(dtype, input.shape.clone());
            result.elements.clone_from(&input.elements);
            Ok(vec![result])
        }
        "TensorListResize" => {
            let len = count(context, 1)?.unwrap_or_else(|| context.symbol(0, 0));
            let shape = list(context, 0)?.map(|list| stack(len, list.element.dims()));
            Ok(vec![fact(dtype, shape)])
        }
        "TensorListSplit" => {
            let (len, rows) = (rows_of(context, 2)?, context.shape(0)?.map(row));
            let each = match context.elements(2)?.as_deref() {
                Some([first, ..]) => first.formula(),
                _ => None,
            };
            let shape = rows.map(|rows| {
                let mut shape = stack(len, rows.dims());
                shape.0.insert(1, context.dim(each, 0, 1));
                shape
            });
            Ok(vec![fact(dtype, shape)])
        }
        _ => {
            let len = match op {
                "TensorListScatterV2" => count(context, 3)?,
                _ => None,
            };
            let len = len.unwrap_or_else(|| context.symbol(0, 0));
            let shape = context.shape(0)?.map(|rows| stack(len, row(rows).dims()));
            Ok(vec![fact(dtype, shape)])
        }
    }
}

/// What a list's shape says.
struct List {
    len: Dim,
    element: Shape,
}

impl List {
    /// Is it known what shape the elements have?
    fn is_settled(&self) -> bool {
        match self.element.dims() {
            [Dim::Fixed(size)] => *size > 0,
            [Dim::Symbolic(_)] => false,
            _ => true,
        }
    }
}

fn list(context: &Context<'_>, index: usize) -> Result<Option<List>, InferError> {
    let Some(shape) = context.shape(index)? else {
        return Ok(None);
    };
    match shape.dims() {
        [len, element @ ..] => Ok(Some(List {
            len: len.clone(),
            element: Shape(element.to_vec()),
        })),
        [] => impossible(format!("input {index} is a scalar, no list")),
    }
}

/// A tensor's shape without its first axis.
fn row(shape: &Shape) -> Shape {
    Shape(shape.dims().get(1..).unwrap_or_default().to_vec())
}

fn stack(len: Dim, element: &[Dim]) -> Shape {
    Shape([&[len], element].concat())
}

/// The length of a vector.
fn rows_of(context: &Context<'_>, index: usize) -> Result<Dim, InferError> {
    Ok(match context.shape(index)?.map(Shape::dims) {
        Some([len]) => len.clone(),
        _ => context.symbol(0, 0),
    })
}

/// A number of elements that is an input.
fn count(context: &Context<'_>, index: usize) -> Result<Option<Dim>, InferError> {
    let count = match context.input(index)?.elements.as_deref() {
        Some([count]) => count.formula(),
        _ => None,
    };
    Ok(count.and_then(|count| context.sizes.dim(&count)))
}

/// The length of the list, by so much longer.
fn longer(context: &Context<'_>, by: i64) -> Result<Dim, InferError> {
    let len =
        list(context, 0)?.and_then(|list| context.sizes.formula(&list.len).add(&Formula::from(by)));
    Ok(context.dim(len, 0, 0))
}

/// What an `element_shape` input says.
enum Given {
    /// Nothing, at conversion.
    Unknown,
    /// That the shape is not known at run time either, but for some sizes.
    Partly(Option<Vec<Option<SymbolicInt>>>),
    Fully(Vec<SymbolicInt>),
}

fn given(context: &Context<'_>, index: usize) -> Result<Given, InferError> {
    let input = context.input(index)?;
    let Some(elements) = input.elements.clone() else {
        return Ok(Given::Unknown);
    };
    match input.rank() {
        Some(0) => Ok(Given::Partly(None)),
        Some(1) if elements.contains(&SymbolicInt::Known(-1)) => Ok(Given::Partly(Some(
            elements
                .into_iter()
                .map(|size| (size != SymbolicInt::Known(-1)).then_some(size))
                .collect(),
        ))),
        Some(1) if elements.iter().all(|size| size.formula().is_some()) => {
            Ok(Given::Fully(elements))
        }
        _ => Ok(Given::Unknown),
    }
}

fn reserved(context: &Context<'_>, dtype: Option<DType>, len: Dim) -> Result<WireFact, InferError> {
    let shape = match given(context, 0)? {
        Given::Unknown => None,
        Given::Partly(_) => Some(stack(len, &[Dim::Fixed(0)])),
        Given::Fully(sizes) => {
            let element = shape_from_elements(context, 0, &sizes)?;
            Some(stack(len, element.dims()))
        }
    };
    Ok(fact(dtype, shape))
}

/// A list after elements of shape `item` were written to list 0.
fn written(
    context: &Context<'_>,
    dtype: Option<DType>,
    len: Dim,
    item: Option<&Shape>,
) -> Result<WireFact, InferError> {
    let list = list(context, 0)?.filter(List::is_settled);
    let element = match (list, item) {
        (Some(list), Some(item)) => Some(merge(&list.element, item)?),
        (Some(list), None) => Some(list.element),
        (None, item) => item.cloned(),
    };
    Ok(fact(
        dtype,
        element.map(|element| stack(len, element.dims())),
    ))
}

/// Two shapes that are one.
fn merge(a: &Shape, b: &Shape) -> Result<Shape, InferError> {
    if a.rank() != b.rank() {
        return impossible(format!("elements of shape {a} and {b} in one list"));
    }
    let dims = a.dims().iter().zip(b.dims()).map(|pair| match pair {
        (Dim::Fixed(x), Dim::Fixed(y)) if x != y => {
            impossible(format!("elements of shape {a} and {b} in one list"))
        }
        (x @ Dim::Fixed(_), _) => Ok(x.clone()),
        (_, y) => Ok(y.clone()),
    });
    Ok(Shape(dims.collect::<Result<_, _>>()?))
}

/// The shape of an element that is read from list 0, where input `index` may tell it.
fn element(context: &Context<'_>, index: usize, slot: usize) -> Result<Option<Shape>, InferError> {
    let list = list(context, 0)?;
    if let Some(list) = list.as_ref().filter(|list| list.is_settled()) {
        return Ok(Some(list.element.clone()));
    }
    Ok(match given(context, index)? {
        Given::Fully(sizes) => Some(shape_from_elements(context, slot, &sizes)?),
        Given::Partly(Some(sizes)) if list.is_none() => {
            let dim = |(axis, size): (usize, Option<SymbolicInt>)| {
                context.dim(size.and_then(|size| size.formula()), slot, axis)
            };
            Some(Shape(sizes.into_iter().enumerate().map(dim).collect()))
        }
        _ => None,
    })
}

fn stacked(context: &Context<'_>, dtype: Option<DType>) -> Result<WireFact, InferError> {
    let fixed = usize::try_from(context.attrs.int_or("num_elements", -1)?).ok();
    let list = list(context, 0)?;
    let len = match (fixed, &list) {
        (Some(len), _) => Dim::Fixed(len),
        (None, Some(list)) => list.len.clone(),
        (None, None) => context.symbol(0, 0),
    };
    let element = element(context, 1, 0)?;
    let is_same = list.is_some_and(|list| Some(&list.element) == element.as_ref());
    let mut result = fact(dtype, element.map(|element| stack(len, element.dims())));
    if is_same {
        result.elements.clone_from(&context.input(0)?.elements);
    }
    Ok(result)
}

fn concat(context: &Context<'_>, dtype: Option<DType>) -> Result<Vec<WireFact>, InferError> {
    let list = list(context, 0)?;
    let len = list
        .as_ref()
        .map_or_else(|| context.symbol(1, 0), |list| list.len.clone());
    let element = match &list {
        Some(list) if list.is_settled() => Some(list.element.clone()),
        _ => None,
    };
    let joined = element.and_then(|element| {
        let (each, rest) = element.dims().split_first()?;
        let size = context
            .sizes
            .formula(&len)
            .mul(&context.sizes.formula(each));
        Some(stack(context.dim(size, 0, 0), rest))
    });
    Ok(vec![
        fact(dtype, joined),
        fact(Some(DType::I64), Some(Shape(vec![len]))),
    ])
}

fn shape_of_elements(context: &Context<'_>) -> Result<WireFact, InferError> {
    let dtype = Some(context.attrs.dtype("shape_type")?);
    let Some(list) = list(context, 0)? else {
        return Ok(fact(dtype, None));
    };
    if !list.is_settled() {
        let blank = list.element.as_fixed().is_some();
        return Ok(fact(dtype, blank.then(Shape::default)));
    }
    let sizes = list.element.dims().iter();
    let elements = sizes.map(|dim| SymbolicInt::from(context.sizes.formula(dim)));
    let elements: Vec<_> = elements.collect();
    let mut result = fact(dtype, Some(Shape::fixed(&[elements.len()])));
    result.elements = Some(elements);
    Ok(result)
}
