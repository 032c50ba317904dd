//! `TensorList` ops. A list of `n` tensors is one dense tensor `[n, element shape...]`; `n`
//! elements that were never written and whose shape is not known are a tensor `[n, 0]`. Elements
//! that were not written read as zeros.

mod in_place;
mod stack;

use tfjet_core::{AttrReader, DType, Tensor, TensorView};

use crate::arguments::{
    Indices, expect_dtype, expect_rank, integer, output, outputs, reset, size, take,
};
use crate::error::{shape_error, value_error};
use crate::strided::Dims;
use crate::{Kernel, OpError};

pub(crate) use in_place::{pop_back, push_back, set_item};
pub(crate) use stack::{concat, from_tensor, gather, scatter, scatter_into, split, stack};

/// What a list says of its elements' shape.
pub(crate) struct List<'a> {
    pub(crate) len: usize,
    pub(crate) element: &'a [usize],
}

impl<'a> List<'a> {
    pub(crate) fn new(input: usize, shape: &'a [usize]) -> Result<Self, OpError> {
        match shape.split_first() {
            Some((&len, element)) => Ok(Self { len, element }),
            None => Err(shape_error!("input {input} is a scalar, no list")),
        }
    }

    /// Is nothing known about the elements?
    pub(crate) fn is_blank(&self) -> bool {
        self.element == [0]
    }
}

/// Fails where `element` is not a shape that an element of `list` can have.
pub(crate) fn fit(list: &List<'_>, element: &[usize]) -> Result<(), OpError> {
    if list.is_blank() || list.element == element {
        return Ok(());
    }
    Err(shape_error!(
        "a list of elements of shape {:?} takes none of shape {element:?}",
        list.element
    ))
}

/// An `element_shape` input, each size `None` where it is not known; `None` for any rank.
pub(crate) fn element_shape(
    input: usize,
    view: &TensorView<'_>,
) -> Result<Option<Vec<Option<usize>>>, OpError> {
    let sizes = Indices::new(input, view)?;
    if view.shape().is_empty() {
        return match sizes.get(0) {
            -1 => Ok(None),
            other => Err(value_error!(
                "an element shape is a vector or -1, got {other}"
            )),
        };
    }
    expect_rank(input, view, 1)?;
    let size = |value| match value {
        -1 => Ok(None),
        value => size("a size of an element", value).map(Some),
    };
    sizes.iter().map(size).collect::<Result<_, _>>().map(Some)
}

/// The elements' shape by the list and by `given`, which must agree; `None` where neither knows.
pub(crate) fn agreed(
    list: &List<'_>,
    given: Option<Vec<Option<usize>>>,
) -> Result<Option<Vec<usize>>, OpError> {
    let Some(given) = given else {
        return Ok((!list.is_blank()).then(|| list.element.to_vec()));
    };
    let fits = |element: &[usize]| {
        given.len() == element.len()
            && given
                .iter()
                .zip(element)
                .all(|(given, size)| given.is_none_or(|given| given == *size))
    };
    if fits(list.element) {
        return Ok(Some(list.element.to_vec()));
    }
    if list.is_blank() {
        return Ok(given.into_iter().collect());
    }
    Err(shape_error!(
        "elements of shape {:?} where {given:?} is expected",
        list.element
    ))
}

/// The full shape of a list.
pub(crate) fn list_shape(len: usize, element: &[usize]) -> Result<Dims, OpError> {
    let mut shape = Dims::new();
    shape.push(len)?;
    shape.extend(element)?;
    Ok(shape)
}

/// Reads `element_dtype`, and marks what only restates types as read.
pub(crate) fn element_dtype(reader: &AttrReader<'_>) -> Result<DType, OpError> {
    reader.ignore(&["shape_type"]);
    Ok(reader.dtype("element_dtype")?)
}

/// `EmptyTensorList` and `TensorListReserve`.
#[derive(Debug)]
struct Reserve {
    dtype: DType,
    empty: bool,
}

pub(crate) fn reserve(reader: &AttrReader<'_>, empty: bool) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Reserve {
        dtype: element_dtype(reader)?,
        empty,
    }))
}

impl Kernel for Reserve {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [shape, count] = take(inputs)?;
        let list = output(outputs)?;
        let count = integer(1, count)?;
        let len = if self.empty {
            0
        } else {
            size("the number of elements", count)?
        };
        let known = element_shape(0, shape)?
            .and_then(|sizes| sizes.into_iter().collect::<Option<Vec<_>>>());
        let element = known.unwrap_or_else(|| vec![0]);
        reset(list, self.dtype, &list_shape(len, &element)?)?;
        list.bytes_mut().fill(0);
        Ok(())
    }
}

/// `TensorListLength`.
#[derive(Debug)]
struct Length;

pub(crate) fn length(_: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Length))
}

impl Kernel for Length {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [list] = take(inputs)?;
        let length = output(outputs)?;
        let len = List::new(0, list.shape())?.len;
        reset(length, DType::I32, &[])?;
        let len = i32::try_from(len).map_err(|_| value_error!("{len} elements are too many"))?;
        length.as_mut_slice()?.fill(len);
        Ok(())
    }
}

/// `TensorListElementShape`: -1 where the shape is not known.
#[derive(Debug)]
struct ElementShape {
    dtype: DType,
}

pub(crate) fn shape_of_elements(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(ElementShape {
        dtype: reader.dtype("shape_type")?,
    }))
}

impl Kernel for ElementShape {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [list] = take(inputs)?;
        let shape = output(outputs)?;
        let list = List::new(0, list.shape())?;
        let sizes: Vec<i64> = if list.is_blank() {
            vec![-1]
        } else {
            list.element.iter().map(|&size| size as i64).collect()
        };
        let dims = [sizes.len()];
        let dims = if list.is_blank() { &[][..] } else { &dims };
        match self.dtype {
            DType::I32 => {
                reset(shape, DType::I32, dims)?;
                for (slot, size) in shape.as_mut_slice::<i32>()?.iter_mut().zip(sizes) {
                    *slot = i32::try_from(size)
                        .map_err(|_| value_error!("size {size} does not fit int32"))?;
                }
            }
            dtype => {
                reset(shape, DType::I64, dims)?;
                if dtype != DType::I64 {
                    return Err(value_error!("attribute `shape_type` is {dtype}"));
                }
                shape.as_mut_slice::<i64>()?.copy_from_slice(&sizes);
            }
        }
        Ok(())
    }
}

/// `TensorListGetItem`.
#[derive(Debug)]
struct GetItem {
    dtype: DType,
}

pub(crate) fn get_item(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(GetItem {
        dtype: element_dtype(reader)?,
    }))
}

impl Kernel for GetItem {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [list_view, index, shape] = take(inputs)?;
        let item = output(outputs)?;
        expect_dtype(0, list_view, self.dtype)?;
        let list = List::new(0, list_view.shape())?;
        let index = position(integer(1, index)?, list.len)?;
        let element = agreed(&list, element_shape(2, shape)?)?;
        copy_element(list_view, &list, index, element.as_deref(), item)
    }
}

/// An index of a list.
pub(crate) fn position(index: i64, len: usize) -> Result<usize, OpError> {
    usize::try_from(index)
        .ok()
        .filter(|&index| index < len)
        .ok_or_else(|| value_error!("element {index} of a list of {len}"))
}

/// Makes `item` element `index` of `list`, of shape `element`.
pub(crate) fn copy_element(
    view: &TensorView<'_>,
    list: &List<'_>,
    index: usize,
    element: Option<&[usize]>,
    item: &mut Tensor,
) -> Result<(), OpError> {
    reset(item, view.dtype(), element.unwrap_or(list.element))?;
    if element.is_some_and(|element| element != list.element) {
        item.bytes_mut().fill(0);
        return Ok(());
    }
    let len = item.bytes().len();
    item.bytes_mut()
        .copy_from_slice(&view.bytes()[index * len..(index + 1) * len]);
    Ok(())
}

/// `TensorListResize`.
#[derive(Debug)]
struct Resize;

pub(crate) fn resize(_: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Resize))
}

impl Kernel for Resize {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [list_view, count] = take(inputs)?;
        let target = output(outputs)?;
        let list = List::new(0, list_view.shape())?;
        let len = size("the size of a list", integer(1, count)?)?;
        reset(target, list_view.dtype(), &list_shape(len, list.element)?)?;
        let target = target.bytes_mut();
        let kept = target.len().min(list_view.bytes().len());
        target[..kept].copy_from_slice(&list_view.bytes()[..kept]);
        target[kept..].fill(0);
        Ok(())
    }
}

/// Two outputs, the list first.
pub(crate) fn list_and(outputs: &mut [Tensor]) -> Result<[&mut Tensor; 2], OpError> {
    let [list, other] = self::outputs::<2>(outputs)?;
    Ok([list, other])
}
