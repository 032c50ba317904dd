use std::fmt;

use tfjet_core::{Tensor, TensorView};

/// A buffer, and the most bytes that it has held.
#[derive(Debug)]
pub(crate) struct Buffer {
    pub(crate) tensor: Tensor,
    len_bytes: usize,
}

impl Buffer {
    /// Notes what the tensor holds now.
    pub(crate) fn filled(&mut self) {
        self.len_bytes = self.len_bytes.max(self.tensor.bytes().len());
    }
}

/// The buffers of one set of input shapes.
#[derive(Debug)]
struct ShapeBuffers {
    input_shapes: Vec<Vec<usize>>,
    buffers: Vec<Buffer>,
}

impl ShapeBuffers {
    fn fits(&self, inputs: &[TensorView<'_>]) -> bool {
        let shapes = self.input_shapes.iter().map(Vec::as_slice);
        shapes.eq(inputs.iter().map(TensorView::shape))
    }
}

/// Makes the empty tensor of a buffer's index.
pub(crate) type MakeTensor = Box<dyn Fn(usize) -> Tensor + Send>;

/// The buffers of the sets of input shapes that ran last, the latest first.
pub(crate) struct BufferCache {
    held: Vec<ShapeBuffers>,
    max_shapes: usize,
    slots: usize,
    make: MakeTensor,
}

impl BufferCache {
    /// Holds `slots` buffers for each of at most `max_shapes` sets of input shapes, at least one.
    pub(crate) fn new(max_shapes: usize, slots: usize, make: MakeTensor) -> Self {
        Self {
            held: Vec::new(),
            max_shapes: max_shapes.max(1),
            slots,
            make,
        }
    }

    /// The buffers for these inputs, which become the latest. Where there are none yet and no
    /// room is left, those that were not used for longest go.
    pub(crate) fn select(&mut self, inputs: &[TensorView<'_>]) -> &mut [Buffer] {
        match self.held.iter().position(|held| held.fits(inputs)) {
            Some(position) => self.held[..=position].rotate_right(1),
            None => {
                self.held.truncate(self.max_shapes - 1);
                let shapes: Vec<Vec<usize>> =
                    inputs.iter().map(|input| input.shape().to_vec()).collect();
                tracing::debug!(?shapes, held = self.held.len() + 1, "new input shapes");
                let buffer = |slot| Buffer {
                    tensor: (self.make)(slot),
                    len_bytes: 0,
                };
                let buffers = (0..self.slots).map(buffer).collect();
                self.held.insert(
                    0,
                    ShapeBuffers {
                        input_shapes: shapes,
                        buffers,
                    },
                );
            }
        }
        &mut self.held[0].buffers
    }

    /// The buffers of the latest run; none before the first.
    pub(crate) fn latest(&self) -> &[Buffer] {
        self.held.first().map_or(&[], |held| &held.buffers)
    }

    /// Number of sets of input shapes that have buffers.
    pub(crate) fn held_shapes(&self) -> usize {
        self.held.len()
    }

    /// Bytes of all buffers.
    pub(crate) fn len_bytes(&self) -> usize {
        let buffers = self.held.iter().flat_map(|held| &held.buffers);
        buffers.map(|buffer| buffer.len_bytes).sum()
    }
}

impl fmt::Debug for BufferCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferCache")
            .field("held", &self.held)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tfjet_core::DType;

    fn cache(max_shapes: usize, slots: usize) -> BufferCache {
        BufferCache::new(max_shapes, slots, Box::new(|_| Tensor::default()))
    }

    #[test]
    fn keeps_the_latest_shapes() {
        let mut cache = cache(2, 1);
        // Rows of the input, and whether its buffer has been filled before.
        for (rows, filled) in [
            (1, false),
            (2, false),
            (1, true),
            (3, false),
            (1, true),
            (2, false),
            (3, false),
        ] {
            let input = Tensor::zeros(DType::U8, &[rows]).unwrap();
            let buffer = &mut cache.select(&[input.view()])[0];
            let before = buffer.tensor.bytes().len();
            assert_eq!(before, if filled { rows } else { 0 }, "{rows} rows");
            buffer.tensor.reset(DType::U8, &[rows]).unwrap();
            buffer.filled();
            assert!(cache.held_shapes() <= 2);
        }
        assert_eq!(cache.len_bytes(), 2 + 3);
    }

    #[test]
    fn holds_one_set_where_none_is_allowed() {
        let mut cache = cache(0, 3);
        assert_eq!(cache.latest().len(), 0);
        assert_eq!(cache.select(&[]).len(), 3);
        assert_eq!((cache.latest().len(), cache.held_shapes()), (3, 1));
    }
}
