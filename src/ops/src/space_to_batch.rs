use tfjet_core::{AttrError, AttrReader, Tensor, TensorView};

use crate::arguments::{Indices, expect_rank, output, reset, size, take};
use crate::binary::DataFormat;
use crate::error::{shape_error, value_error};
use crate::number::with_size;
use crate::slice::copy_walk;
use crate::strided::{Dims, MAX_DIMS, Strided, row_major};
use crate::{Kernel, OpError};

/// `SpaceToBatchND` and its inverse, `BatchToSpaceND`.
#[derive(Debug)]
struct SpaceBatch {
    to_batch: bool,
}

pub(crate) fn space_batch(to_batch: bool) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(SpaceBatch { to_batch }))
}

/// The two sides of the op: the image side has the larger spatial dimensions.
struct Sides {
    block: Dims,
    /// Padding or crop before each spatial dimension.
    before: Dims,
    image: Dims,
    batch: Dims,
}

impl SpaceBatch {
    fn sides(
        &self,
        shape: &[usize],
        block: &TensorView<'_>,
        borders: &TensorView<'_>,
    ) -> Result<Sides, OpError> {
        let block_shape = Indices::vector(1, block)?;
        let spatial = block_shape.len();
        if borders.shape() != [spatial, 2] {
            return Err(shape_error!(
                "paddings or crops have shape {:?}, expected {:?}",
                borders.shape(),
                [spatial, 2]
            ));
        }
        let borders = Indices::new(2, borders)?;
        let Some((&first, rest)) = shape
            .split_first()
            .filter(|(_, rest)| rest.len() >= spatial)
        else {
            return Err(shape_error!("{spatial} block sizes for shape {shape:?}"));
        };
        let (mut block, mut before, mut dims) = (Dims::new(), Dims::new(), Dims::new());
        let mut blocks = 1usize;
        dims.push(first)?;
        for (dim, &extent) in rest[..spatial].iter().enumerate() {
            let step = size("a block size", block_shape.get(dim))?;
            let low = size("a padding or crop", borders.get(2 * dim))?;
            let high = size("a padding or crop", borders.get(2 * dim + 1))?;
            let border = low.saturating_add(high);
            let other = if step == 0 {
                None
            } else if self.to_batch {
                let padded = extent.saturating_add(border);
                padded.is_multiple_of(step).then_some(padded / step)
            } else {
                extent.saturating_mul(step).checked_sub(border)
            };
            let Some(other) = other else {
                return Err(value_error!(
                    "block size {step} with borders {low} and {high} does not fit dimension {} \
                     of {shape:?}",
                    dim + 1
                ));
            };
            blocks = blocks.saturating_mul(step);
            block.push(step)?;
            before.push(low)?;
            dims.push(other)?;
        }
        dims.extend(&rest[spatial..])?;
        if self.to_batch {
            dims[0] = first.saturating_mul(blocks);
        } else if first.is_multiple_of(blocks) {
            dims[0] = first / blocks;
        } else {
            return Err(shape_error!(
                "a batch of {first} does not split into {blocks} blocks"
            ));
        }
        let own = Dims::from_slice(shape)?;
        let (image, batch) = if self.to_batch {
            (own, dims)
        } else {
            (dims, own)
        };
        Ok(Sides {
            block,
            before,
            image,
            batch,
        })
    }
}

impl Sides {
    /// Calls `copy(walk, [image offset, batch offset])` for each position within a block.
    fn each_block(&self, mut copy: impl FnMut(&Strided<2>, [isize; 2])) -> Result<(), OpError> {
        let (image_strides, batch_strides) = (row_major(&self.image)?, row_major(&self.batch)?);
        let spatial = self.block.len();
        let mut position = [0usize; MAX_DIMS];
        let mut index = 0isize;
        loop {
            let mut walk = Strided::new();
            let mut start = [0, index * self.image[0] as isize * batch_strides[0]];
            walk.push(self.image[0], [image_strides[0], batch_strides[0]])?;
            for dim in 1..self.image.len() {
                let strides = [image_strides[dim], batch_strides[dim]];
                if dim > spatial {
                    walk.push(self.image[dim], strides)?;
                    continue;
                }
                let (block, before) = (self.block[dim - 1], self.before[dim - 1]);
                let first = before.saturating_sub(position[dim - 1]).div_ceil(block);
                let end = (self.image[dim] + before)
                    .saturating_sub(position[dim - 1])
                    .div_ceil(block)
                    .min(self.batch[dim]);
                let from = first * block + position[dim - 1];
                start[0] += from as isize * strides[0] - before as isize * strides[0];
                start[1] += first as isize * strides[1];
                let step = strides[0].wrapping_mul(block as isize);
                walk.push(end.saturating_sub(first), [step, strides[1]])?;
            }
            copy(&walk, start);
            index += 1;
            let mut dim = spatial;
            loop {
                if dim == 0 {
                    return Ok(());
                }
                dim -= 1;
                position[dim] += 1;
                if position[dim] < self.block[dim] {
                    break;
                }
                position[dim] = 0;
            }
        }
    }
}

/// `SpaceToBatch` and `BatchToSpace`: the first versions, of images and one block size.
#[derive(Debug)]
struct SquareBlocks {
    block: Tensor,
    blocks: SpaceBatch,
}

pub(crate) fn square_blocks(
    reader: &AttrReader<'_>,
    to_batch: bool,
) -> Result<Box<dyn Kernel>, OpError> {
    let size = reader.int("block_size")?;
    Ok(Box::new(SquareBlocks {
        block: Tensor::from_slice(&[2], &[size, size])?,
        blocks: SpaceBatch { to_batch },
    }))
}

impl Kernel for SquareBlocks {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, borders] = take(inputs)?;
        crate::arguments::expect_rank(0, x, 4)?;
        self.blocks.run(&[*x, self.block.view(), *borders], outputs)
    }
}

impl Kernel for SpaceBatch {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, block, borders] = take(inputs)?;
        let y = output(outputs)?;
        let sides = self.sides(x.shape(), block, borders)?;
        let shape = if self.to_batch {
            &sides.batch
        } else {
            &sides.image
        };
        reset(y, x.dtype(), shape)?;
        y.bytes_mut().fill(0);
        if x.elements() == 0 || y.elements() == 0 {
            return Ok(());
        }
        with_size!(x.dtype(), N => {
            let source = x.bytes().as_chunks::<N>().0;
            let target = y.bytes_mut().as_chunks_mut::<N>().0;
            sides.each_block(|walk, [image, batch]| {
                if self.to_batch {
                    walk.scatter([image, batch], source, target);
                } else {
                    walk.gather([image, batch], source, target);
                }
            })
        })
    }
}

/// `SpaceToDepth` and its inverse, `DepthToSpace`.
#[derive(Debug)]
struct SpaceDepth {
    to_depth: bool,
    block: usize,
    format: DataFormat,
}

pub(crate) fn space_depth(
    reader: &AttrReader<'_>,
    to_depth: bool,
) -> Result<Box<dyn Kernel>, OpError> {
    let block = reader.int("block_size")?;
    let Some(block) = usize::try_from(block).ok().filter(|&block| block > 1) else {
        return Err(AttrError::Value {
            name: "block_size".into(),
            value: block.to_string(),
            expected: "2 or more",
        }
        .into());
    };
    Ok(Box::new(SpaceDepth {
        to_depth,
        block,
        format: DataFormat::read(reader)?,
    }))
}

impl Kernel for SpaceDepth {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x] = take(inputs)?;
        let y = output(outputs)?;
        expect_rank(0, x, 4)?;
        let shape = x.shape();
        let [n, h, w, c] = self.format.axes().map(|axis| shape[axis]);
        let block = self.block;
        let area = block.saturating_mul(block);
        let fits = if self.to_depth {
            h.is_multiple_of(block) && w.is_multiple_of(block)
        } else {
            c.is_multiple_of(area)
        };
        if !fits {
            return Err(shape_error!(
                "block size {block} does not divide shape {shape:?}"
            ));
        }
        let strides = row_major(shape)?;
        let [sn, sh, sw, sc] = self.format.axes().map(|axis| strides[axis]);
        let step = block as isize;
        let (h, w, c) = if self.to_depth {
            (h / block, w / block, c)
        } else {
            (h, w, c / area)
        };
        let (rows, columns, channels) = ((h, sh), (w, sw), (c, sc));
        let dims = if self.to_depth {
            let rows = (rows.0, rows.1.wrapping_mul(step));
            let columns = (columns.0, columns.1.wrapping_mul(step));
            let (block_rows, block_columns) = ((block, sh), (block, sw));
            match self.format {
                DataFormat::Nhwc => [rows, columns, block_rows, block_columns, channels],
                DataFormat::Nchw => [block_rows, block_columns, channels, rows, columns],
            }
        } else {
            let block_columns = (block, sc.wrapping_mul(c as isize));
            let block_rows = (block, block_columns.1.wrapping_mul(step));
            match self.format {
                DataFormat::Nhwc => [rows, block_rows, columns, block_columns, channels],
                DataFormat::Nchw => [channels, rows, block_rows, columns, block_columns],
            }
        };
        let sizes = if self.to_depth {
            [n, h, w, c.saturating_mul(area)]
        } else {
            [n, h.saturating_mul(block), w.saturating_mul(block), c]
        };
        let mut result = [0; 4];
        for (axis, size) in self.format.axes().into_iter().zip(sizes) {
            result[axis] = size;
        }
        reset(y, x.dtype(), &result)?;
        let mut walk = Strided::new();
        walk.push(n, [sn])?;
        for (size, stride) in dims {
            walk.push(size, [stride])?;
        }
        copy_walk(&walk, 0, x, y);
        Ok(())
    }
}
