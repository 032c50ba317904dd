//! The ops between a list and one tensor of all or some of its elements.

use tfjet_core::{AttrReader, AttrValue, DType, Tensor, TensorView};

use super::{List, agreed, element_dtype, element_shape, fit, list_and, list_shape, position};
use crate::arguments::{Indices, expect_dtype, integer, output, reset, size, take};
use crate::error::{shape_error, value_error};
use crate::{Kernel, OpError};

/// `TensorListStack`.
#[derive(Debug)]
struct Stack {
    dtype: DType,
    len: Option<usize>,
}

pub(crate) fn stack(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Stack {
        dtype: element_dtype(reader)?,
        len: usize::try_from(reader.int_or("num_elements", -1)?).ok(),
    }))
}

impl Kernel for Stack {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [view, shape] = take(inputs)?;
        let stacked = output(outputs)?;
        expect_dtype(0, view, self.dtype)?;
        let list = List::new(0, view.shape())?;
        if let Some(len) = self.len.filter(|&len| len != list.len) {
            return Err(value_error!(
                "a list of {} elements, expected {len}",
                list.len
            ));
        }
        all(view, &list, element_shape(1, shape)?, stacked)
    }
}

/// All elements, of a shape that the list or `given` knows.
fn all(
    view: &TensorView<'_>,
    list: &List<'_>,
    given: Option<Vec<Option<usize>>>,
    stacked: &mut Tensor,
) -> Result<(), OpError> {
    let element = agreed(list, given)?;
    if list.len == 0 && element.is_none() {
        return Err(shape_error!(
            "an empty list whose elements have no known shape"
        ));
    }
    let element = element.unwrap_or_else(|| list.element.to_vec());
    reset(stacked, view.dtype(), &list_shape(list.len, &element)?)?;
    if element == list.element {
        stacked.bytes_mut().copy_from_slice(view.bytes());
    } else {
        stacked.bytes_mut().fill(0);
    }
    Ok(())
}

/// `TensorListFromTensor`.
#[derive(Debug)]
struct FromTensor;

pub(crate) fn from_tensor(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    reader.ignore(&["element_dtype", "shape_type"]);
    Ok(Box::new(FromTensor))
}

/// A list of the rows of `tensor`.
fn rows<'a>(
    tensor: &TensorView<'a>,
    shape_input: usize,
    shape: &TensorView<'_>,
) -> Result<List<'a>, OpError> {
    let list = List::new(0, tensor.shape())?;
    let given = element_shape(shape_input, shape)?;
    if given
        .as_ref()
        .is_some_and(|given| given.len() != list.element.len())
    {
        return Err(shape_error!(
            "elements of shape {:?} where {} dimensions are expected",
            list.element,
            given.map_or(0, |given| given.len())
        ));
    }
    agreed(&list, given)?;
    Ok(list)
}

impl Kernel for FromTensor {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [tensor, shape] = take(inputs)?;
        rows(tensor, 1, shape)?;
        Ok(output(outputs)?.copy_from(tensor)?)
    }
}

/// `TensorListGather`.
#[derive(Debug)]
struct Gather {
    dtype: DType,
}

pub(crate) fn gather(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Gather {
        dtype: element_dtype(reader)?,
    }))
}

impl Kernel for Gather {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [view, indices, shape] = take(inputs)?;
        let gathered = output(outputs)?;
        expect_dtype(0, view, self.dtype)?;
        let list = List::new(0, view.shape())?;
        let indices = Indices::vector(1, indices)?;
        let element = agreed(&list, element_shape(2, shape)?)?;
        if indices.len() == 0 && element.is_none() {
            return Err(shape_error!("no elements, and their shape is not known"));
        }
        let element = element.unwrap_or_else(|| list.element.to_vec());
        reset(
            gathered,
            view.dtype(),
            &list_shape(indices.len(), &element)?,
        )?;
        let written = element == list.element;
        let size = gathered.bytes().len() / indices.len().max(1);
        for (i, index) in indices.iter().enumerate() {
            let from = position(index, list.len)? * size;
            let slot = &mut gathered.bytes_mut()[i * size..(i + 1) * size];
            if written {
                slot.copy_from_slice(&view.bytes()[from..from + size]);
            } else {
                slot.fill(0);
            }
        }
        Ok(())
    }
}

/// `TensorListScatter` and `TensorListScatterV2`: the rows of a tensor at the indices of a new list.
#[derive(Debug)]
struct Scatter {
    counted: bool,
}

pub(crate) fn scatter(reader: &AttrReader<'_>, counted: bool) -> Result<Box<dyn Kernel>, OpError> {
    reader.ignore(&["element_dtype", "shape_type"]);
    Ok(Box::new(Scatter { counted }))
}

/// The number of elements that `indices` need.
fn needed(indices: Indices<'_>, rows: usize) -> Result<usize, OpError> {
    if indices.len() != rows {
        return Err(shape_error!("{} indices for {rows} rows", indices.len()));
    }
    indices.iter().try_fold(0, |len: usize, index| {
        Ok(len.max(size("an index", index)?.saturating_add(1)))
    })
}

fn scatter_rows(tensor: &TensorView<'_>, rows: usize, indices: Indices<'_>, list: &mut [u8]) {
    let size = tensor.bytes().len() / rows.max(1);
    for (row, index) in indices.iter().enumerate() {
        let to = index as usize * size;
        list[to..to + size].copy_from_slice(&tensor.bytes()[row * size..(row + 1) * size]);
    }
}

impl Kernel for Scatter {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let (tensor, indices, shape, count) = if self.counted {
            let [tensor, indices, shape, count] = take(inputs)?;
            (tensor, indices, shape, integer(3, count)?)
        } else {
            let [tensor, indices, shape] = take(inputs)?;
            (tensor, indices, shape, -1)
        };
        let list = output(outputs)?;
        let source = rows(tensor, 2, shape)?;
        let indices = Indices::vector(1, indices)?;
        let needed = needed(indices, source.len)?;
        let len = if count == -1 {
            needed
        } else {
            size("the number of elements", count)?
        };
        if needed > len {
            return Err(value_error!("element {} of a list of {len}", needed - 1));
        }
        reset(list, tensor.dtype(), &list_shape(len, source.element)?)?;
        list.bytes_mut().fill(0);
        scatter_rows(tensor, source.len, indices, list.bytes_mut());
        Ok(())
    }
}

/// `TensorListScatterIntoExistingList`: the list gets longer where an index is behind its end.
#[derive(Debug)]
struct ScatterInto;

pub(crate) fn scatter_into(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    reader.ignore(&["element_dtype"]);
    Ok(Box::new(ScatterInto))
}

impl Kernel for ScatterInto {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [view, tensor, indices] = take(inputs)?;
        let target = output(outputs)?;
        expect_dtype(1, tensor, view.dtype())?;
        let list = List::new(0, view.shape())?;
        let source = List::new(1, tensor.shape())?;
        let indices = Indices::vector(2, indices)?;
        fit(&list, source.element)?;
        let len = needed(indices, source.len)?.max(list.len);
        reset(target, view.dtype(), &list_shape(len, source.element)?)?;
        target.bytes_mut().fill(0);
        if list.element == source.element {
            target.bytes_mut()[..view.bytes().len()].copy_from_slice(view.bytes());
        }
        scatter_rows(tensor, source.len, indices, target.bytes_mut());
        Ok(())
    }
}

/// `TensorListConcat` and `TensorListConcatV2`: the elements joined along their first axis, and
/// the size of each along it.
#[derive(Debug)]
struct Concat {
    dtype: DType,
    /// `TensorListConcat`: what the attribute `element_shape` says.
    given: Option<Vec<Option<usize>>>,
    /// `TensorListConcatV2`: the shape and the sizes are inputs.
    with_inputs: bool,
}

pub(crate) fn concat(
    reader: &AttrReader<'_>,
    with_inputs: bool,
) -> Result<Box<dyn Kernel>, OpError> {
    let given = match reader.get("element_shape") {
        Some(AttrValue::Shape(Some(shape))) if !with_inputs => {
            Some(shape.dims().iter().map(tfjet_core::Dim::fixed).collect())
        }
        _ => None,
    };
    Ok(Box::new(Concat {
        dtype: element_dtype(reader)?,
        given,
        with_inputs,
    }))
}

impl Kernel for Concat {
    fn output_count(&self) -> usize {
        2
    }

    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let (view, given) = if self.with_inputs {
            let [view, shape, leading] = take(inputs)?;
            Indices::vector(2, leading)?;
            (view, element_shape(1, shape)?)
        } else {
            let [view] = take(inputs)?;
            (view, self.given.clone())
        };
        let [joined, lengths] = list_and(outputs)?;
        expect_dtype(0, view, self.dtype)?;
        let list = List::new(0, view.shape())?;
        all(view, &list, given, joined)?;
        let (len, each, mut shape) = match joined.shape() {
            &[len, each, ref rest @ ..] => {
                (len, each, [&[len.saturating_mul(each)], rest].concat())
            }
            _ => return Err(shape_error!("scalars have no axis to be joined along")),
        };
        if len == 0 {
            shape[0] = 0;
        }
        joined.reshape(&shape)?;
        reset(lengths, DType::I64, &[len])?;
        lengths.as_mut_slice::<i64>()?.fill(each as i64);
        Ok(())
    }
}

/// `TensorListSplit` into parts of one size.
#[derive(Debug)]
struct Split;

pub(crate) fn split(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    reader.ignore(&["element_dtype", "shape_type"]);
    Ok(Box::new(Split))
}

impl Kernel for Split {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [tensor, shape, lengths] = take(inputs)?;
        let parts = output(outputs)?;
        let whole = List::new(0, tensor.shape())?;
        let lengths = Indices::vector(2, lengths)?;
        let each = match lengths.iter().next() {
            Some(length) => size("a length", length)?,
            None => 0,
        };
        if lengths.iter().any(|length| length != each as i64) {
            return Err(value_error!(
                "lengths {:?}: the elements of a list have one shape here",
                lengths.iter().collect::<Vec<_>>()
            ));
        }
        if each.checked_mul(lengths.len()) != Some(whole.len) {
            return Err(shape_error!(
                "{} lengths of {each} do not split {} rows",
                lengths.len(),
                whole.len
            ));
        }
        let element = list_shape(each, whole.element)?;
        let list = list_shape(lengths.len(), &element)?;
        agreed(&List::new(0, &list)?, element_shape(1, shape)?)?;
        reset(parts, tensor.dtype(), &list)?;
        parts.bytes_mut().copy_from_slice(tensor.bytes());
        Ok(())
    }
}
