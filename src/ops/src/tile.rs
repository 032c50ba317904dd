use tfjet_core::{AttrReader, Tensor, TensorView};

use crate::arguments::{Indices, output, reset, size, take};
use crate::error::shape_error;
use crate::slice::copy_walk;
use crate::strided::{Dims, Strided, row_major};
use crate::{Kernel, OpError};

/// `Tile`.
#[derive(Debug)]
struct Tile;

pub(crate) fn tile(_: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Tile))
}

impl Kernel for Tile {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, multiples] = take(inputs)?;
        let y = output(outputs)?;
        let multiples = Indices::vector(1, multiples)?;
        let shape = x.shape();
        if multiples.len() != shape.len() {
            return Err(shape_error!(
                "{} multiples for shape {shape:?}",
                multiples.len()
            ));
        }
        let strides = row_major(shape)?;
        let (mut tiled, mut walk) = (Dims::new(), Strided::new());
        for (dim, multiple) in multiples.iter().enumerate() {
            let multiple = size("a multiple", multiple)?;
            tiled.push(shape[dim].saturating_mul(multiple))?;
            walk.push(multiple, [0])?;
            walk.push(shape[dim], [strides[dim]])?;
        }
        reset(y, x.dtype(), &tiled)?;
        copy_walk(&walk, 0, x, y);
        Ok(())
    }
}

/// `BroadcastTo`.
#[derive(Debug)]
struct BroadcastTo;

pub(crate) fn broadcast_to(_: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(BroadcastTo))
}

impl Kernel for BroadcastTo {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, wanted] = take(inputs)?;
        let y = output(outputs)?;
        let mut shape = Dims::new();
        for dim in Indices::vector(1, wanted)?.iter() {
            shape.push(size("a dimension", dim)?)?;
        }
        let strides = row_major(x.shape())?;
        let fail = || shape_error!("shape {:?} does not broadcast to {:?}", x.shape(), &*shape);
        let added = shape.len().checked_sub(x.shape().len()).ok_or_else(fail)?;
        let mut walk = Strided::new();
        for (dim, &size) in shape.iter().enumerate() {
            let stride = match dim
                .checked_sub(added)
                .map(|dim| (x.shape()[dim], strides[dim]))
            {
                None | Some((1, _)) => 0,
                Some((own, stride)) if own == size => stride,
                _ => return Err(fail()),
            };
            walk.push(size, [stride])?;
        }
        reset(y, x.dtype(), &shape)?;
        copy_walk(&walk, 0, x, y);
        Ok(())
    }
}
