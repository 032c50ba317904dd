//! Kernels that make one element from many.

use super::element::elements;
use super::launch::{Program, Source, THREADS, check, refuse_types, source};
use super::{DeviceTensor, ElementType, KernelError, Kernels, Walk, row_major};
use crate::{KernelArgument, Scope};

pub(super) static REDUCE: Source = source!("reduce");

/// What a reduction makes of the elements. Sums of floats are kept in 64 bits, of integers in
/// `I64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReduceOp {
    /// `Sum`.
    Sum,
    /// `Mean`; of integers truncated.
    Mean,
    /// `Max`; NaN where any is.
    Max,
    /// `Min`; NaN where any is.
    Min,
    /// `All`.
    All,
    /// `Any`.
    Any,
    /// `ArgMax`: index along the axis of the first of the largest elements; NaN never wins.
    ArgMax,
    /// `ArgMin`.
    ArgMin,
}

impl ReduceOp {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Sum,
        Self::Mean,
        Self::Max,
        Self::Min,
        Self::All,
        Self::Any,
        Self::ArgMax,
        Self::ArgMin,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sum => "Sum",
            Self::Mean => "Mean",
            Self::Max => "Max",
            Self::Min => "Min",
            Self::All => "All",
            Self::Any => "Any",
            Self::ArgMax => "ArgMax",
            Self::ArgMin => "ArgMin",
        }
    }

    pub(super) fn is_arg(self) -> bool {
        matches!(self, Self::ArgMax | Self::ArgMin)
    }

    /// Is the reduction defined for elements of this type?
    pub fn is_defined_for(self, x: ElementType) -> bool {
        match self {
            Self::All | Self::Any => x == ElementType::Bool,
            Self::ArgMax | Self::ArgMin => true,
            _ => x != ElementType::Bool,
        }
    }

    fn holds(self, x: ElementType, out: ElementType) -> bool {
        if self.is_arg() {
            matches!(out, ElementType::I32 | ElementType::I64)
        } else {
            out.common(x).is_some()
        }
    }
}

impl Kernels {
    /// `out` has the elements of `x` reduced over `axes`, whose dimensions it lacks or keeps at one
    /// element. Without axes the elements stay as they are. [`ReduceOp::ArgMax`] and
    /// [`ReduceOp::ArgMin`] take one axis that is not empty.
    ///
    /// # Errors
    /// [`KernelError`] where types, shapes or regions do not fit.
    pub fn reduce(
        &self,
        scope: &Scope<'_, '_>,
        op: ReduceOp,
        x: &DeviceTensor,
        axes: &[usize],
        out: &DeviceTensor,
    ) -> Result<(), KernelError> {
        let index = check(op.name(), &[x, out])?;
        if !op.is_defined_for(x.dtype) || !op.holds(x.dtype, out.dtype) {
            return Err(refuse_types(op.name(), &[x, out]));
        }
        let reduced = Reduced::new(&x.shape, axes)
            .filter(|reduced| !op.is_arg() || (axes.len() == 1 && reduced.elements > 0))
            .filter(|reduced| reduced.fits(&out.shape))
            .ok_or_else(|| KernelError::Shapes {
                kernel: op.name(),
                detail: format!("{:?} over {axes:?} does not make {:?}", x.shape, out.shape),
            })?;
        let results = out.elements();
        let group = reduced.group();
        let program = Program {
            source: &REDUCE,
            index,
            defines: &[
                ("IN", x.dtype.name()),
                ("OUT", out.dtype.name()),
                ("REDUCTION", op.name()),
            ],
        };
        let arguments = [
            KernelArgument::Read(&x.region),
            KernelArgument::Write(&out.region),
            KernelArgument::Bytes(&index.walk(op.name(), &reduced.kept)?),
            KernelArgument::Bytes(&index.walk(op.name(), &reduced.walk)?),
            KernelArgument::Bytes(&index.sizes(&[results, reduced.elements, group])),
        ];
        let work = results.saturating_mul(group);
        // SAFETY: these are the arguments of `reduce`; the two walks together meet the elements of
        // `x`, the first has as many points as `out` has elements, both tensors fit their regions,
        // and `group` is a power of two up to the threads of a block.
        unsafe { self.launch(scope, &program, work, &arguments) }
    }
}

/// The walk over the results, and the walk over the elements that make one of them.
struct Reduced {
    /// Sizes without the axes, and with size 1 in their places.
    shapes: [Vec<usize>; 2],
    kept: Walk<1>,
    walk: Walk<1>,
    elements: usize,
}

impl Reduced {
    fn new(shape: &[usize], axes: &[usize]) -> Option<Self> {
        let mut is_axis = vec![false; shape.len()];
        for &axis in axes {
            if std::mem::replace(is_axis.get_mut(axis)?, true) {
                return None;
            }
        }
        let mut reduced = Self {
            shapes: [Vec::new(), Vec::new()],
            kept: Walk::new([0]),
            walk: Walk::new([0]),
            elements: 1,
        };
        let mut sizes = Vec::new();
        for ((&size, stride), is_axis) in shape.iter().zip(row_major(shape)).zip(is_axis) {
            if is_axis {
                reduced.shapes[1].push(1);
                reduced.walk.push(size, [stride]);
                sizes.push(size);
            } else {
                reduced.shapes.iter_mut().for_each(|shape| shape.push(size));
                reduced.kept.push(size, [stride]);
            }
        }
        reduced.elements = elements(&sizes);
        Some(reduced)
    }

    fn fits(&self, shape: &[usize]) -> bool {
        self.shapes.iter().any(|own| own == shape)
    }

    /// Threads that share one result: more where its elements lie together, one where the results'
    /// elements do.
    fn group(&self) -> usize {
        let many = elements(&self.shapes[0]) >= 1 << 14;
        if many && self.walk.innermost(0) != 1 {
            return 1;
        }
        self.elements.div_ceil(4).min(THREADS).next_power_of_two()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_go_away_or_keep_size_one() {
        let reduced = Reduced::new(&[2, 3, 4], &[1]).unwrap();
        assert!(reduced.fits(&[2, 4]) && reduced.fits(&[2, 1, 4]) && !reduced.fits(&[2, 3]));
        assert_eq!(reduced.elements, 3);
        assert_eq!(reduced.kept.points(), Some(8));
        assert_eq!(reduced.kept.reach(0), Some((0, 15)));
        assert_eq!(reduced.walk.reach(0), Some((0, 8)));
        assert!(Reduced::new(&[2, 3], &[1, 1]).is_none());
        assert!(Reduced::new(&[2, 3], &[2]).is_none());
    }

    #[test]
    fn groups_are_powers_of_two_up_to_a_block() {
        for (shape, axes, group) in [
            (&[2, 1000][..], &[1][..], 256),
            (&[2, 7], &[1], 2),
            (&[2, 3], &[1], 1),
            (&[2, 0], &[1], 1),
            (&[1000, 1 << 14], &[0], 1),
            (&[1000, 8], &[0], 256),
            (&[], &[], 1),
        ] {
            assert_eq!(
                Reduced::new(shape, axes).unwrap().group(),
                group,
                "{shape:?}"
            );
        }
    }
}
