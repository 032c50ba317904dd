//! The ops that write to a list. In place they cost as much as the element.

use tfjet_core::{AttrReader, DType, Tensor, TensorView};

use super::{
    List, agreed, copy_element, element_dtype, element_shape, fit, list_and, list_shape, position,
};
use crate::arguments::{MAX_OUTPUT_BYTES, expect_dtype, integer, output, outputs, product, take};
use crate::error::value_error;
use crate::{Kernel, OpError};

/// A list's length and its elements' shape become others; what is new is zeros.
fn resize(list: &mut Tensor, len: usize, element: &[usize]) -> Result<(), OpError> {
    let shape = list_shape(len, element)?;
    let bytes = product(&shape).saturating_mul(list.dtype().size_bytes());
    if bytes > MAX_OUTPUT_BYTES {
        return Err(OpError::TooLarge {
            shape: shape.to_vec(),
            dtype: list.dtype(),
        });
    }
    Ok(list.resize(&shape)?)
}

/// Writes element `index` of `list`, which gets longer where it ends before.
fn write(list: &mut Tensor, index: usize, item: &TensorView<'_>) -> Result<(), OpError> {
    let shape = list.shape().to_vec();
    let old = List::new(0, &shape)?;
    fit(&old, item.shape())?;
    let len = old.len.max(index.saturating_add(1));
    if len != old.len || old.element != item.shape() {
        resize(list, len, item.shape())?;
    }
    let size = item.bytes().len();
    list.bytes_mut()[index * size..(index + 1) * size].copy_from_slice(item.bytes());
    Ok(())
}

/// `TensorListSetItem`.
#[derive(Debug)]
struct SetItem {
    dtype: DType,
    grows: bool,
}

pub(crate) fn set_item(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(SetItem {
        dtype: element_dtype(reader)?,
        grows: reader.bool_or("resize_if_index_out_of_bounds", false)?,
    }))
}

impl Kernel for SetItem {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [list, ..] = take::<3>(inputs)?;
        expect_dtype(0, list, self.dtype)?;
        output(outputs)?.copy_from(list)?;
        self.run_in_place(inputs, outputs)
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn run_in_place(
        &self,
        inputs: &[TensorView<'_>],
        outputs: &mut [Tensor],
    ) -> Result<(), OpError> {
        let [_, index, item] = take(inputs)?;
        let list = output(outputs)?;
        expect_dtype(0, &list.view(), self.dtype)?;
        expect_dtype(2, item, self.dtype)?;
        let len = List::new(0, list.shape())?.len;
        let index = integer(1, index)?;
        let index = match usize::try_from(index) {
            Ok(index) if self.grows && index < MAX_OUTPUT_BYTES => index,
            _ => position(index, len)?,
        };
        write(list, index, item)
    }
}

/// `TensorListPushBack`.
#[derive(Debug)]
struct PushBack {
    dtype: DType,
}

pub(crate) fn push_back(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(PushBack {
        dtype: element_dtype(reader)?,
    }))
}

impl Kernel for PushBack {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [list, _] = take(inputs)?;
        output(outputs)?.copy_from(list)?;
        self.run_in_place(inputs, outputs)
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn run_in_place(
        &self,
        inputs: &[TensorView<'_>],
        outputs: &mut [Tensor],
    ) -> Result<(), OpError> {
        let [_, item] = take(inputs)?;
        let list = output(outputs)?;
        expect_dtype(0, &list.view(), self.dtype)?;
        expect_dtype(1, item, self.dtype)?;
        let len = List::new(0, list.shape())?.len;
        write(list, len, item)
    }
}

/// `TensorListPopBack`: the list without its last element, and that element.
#[derive(Debug)]
struct PopBack {
    dtype: DType,
}

pub(crate) fn pop_back(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(PopBack {
        dtype: element_dtype(reader)?,
    }))
}

impl Kernel for PopBack {
    fn output_count(&self) -> usize {
        2
    }

    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [list, _] = take(inputs)?;
        let [shorter, _] = list_and(outputs)?;
        shorter.copy_from(list)?;
        self.run_in_place(inputs, outputs)
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn run_in_place(
        &self,
        inputs: &[TensorView<'_>],
        outputs: &mut [Tensor],
    ) -> Result<(), OpError> {
        let [_, given] = take(inputs)?;
        let [list, item] = self::outputs(outputs)?;
        expect_dtype(0, &list.view(), self.dtype)?;
        let shape = list.shape().to_vec();
        let old = List::new(0, &shape)?;
        let Some(last) = old.len.checked_sub(1) else {
            return Err(value_error!("the list is empty"));
        };
        let element = agreed(&old, element_shape(1, given)?)?;
        copy_element(&list.view(), &old, last, element.as_deref(), item)?;
        resize(list, last, old.element)
    }
}
