use tfjet_core::Shape;

/// Order of an image tensor's axes in a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// As TensorFlow has it.
    Native,
    /// TensorFlow's last axis moved to axis 1: NHWC as NCHW.
    ChannelsFirst,
}

impl Layout {
    /// For each axis in this layout, TensorFlow's axis.
    pub fn order(self, rank: usize) -> Vec<usize> {
        match self {
            Self::ChannelsFirst if rank > 2 => {
                let mut order = vec![0, rank - 1];
                order.extend(1..rank - 1);
                order
            }
            _ => (0..rank).collect(),
        }
    }

    /// Where TensorFlow's `axis` lies in this layout.
    pub fn axis(self, axis: usize, rank: usize) -> usize {
        self.order(rank)
            .iter()
            .position(|&a| a == axis)
            .unwrap_or(axis)
    }

    /// TensorFlow's per-axis values in this layout's order.
    pub fn arrange<T: Clone>(self, native: &[T]) -> Vec<T> {
        self.order(native.len())
            .into_iter()
            .map(|axis| native[axis].clone())
            .collect()
    }

    /// TensorFlow's shape in this layout.
    pub fn shape(self, native: &Shape) -> Shape {
        Shape(self.arrange(native.dims()))
    }
}

/// The order that undoes `order`.
pub(super) fn inverse(order: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; order.len()];
    for (position, &axis) in order.iter().enumerate() {
        inverse[axis] = position;
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_first_moves_the_last_axis() {
        let layout = Layout::ChannelsFirst;
        assert_eq!(layout.arrange(&["n", "h", "w", "c"]), ["n", "c", "h", "w"]);
        assert_eq!(layout.axis(3, 4), 1);
        assert_eq!(layout.axis(1, 4), 2);
        assert_eq!(inverse(&layout.order(4)), [0, 2, 3, 1]);
    }
}
