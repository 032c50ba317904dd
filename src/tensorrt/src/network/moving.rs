//! Layers that move data.

use tfjet_core::{GatherMode, InterpolationMode, ResizeCoordinateTransformation, ResizeRounding};

use super::{LayerRef, Network, TensorRef, call, codes};
use crate::sys::{Dims, Permutation};
use crate::{DataType, TensorRtError};

type Added<'n> = Result<LayerRef<'n>, TensorRtError>;

/// What a shuffle reshapes to.
#[derive(Debug, Clone, Copy)]
pub enum Reshape<'n, 'a> {
    /// No reshape.
    Keep,
    /// These sizes; -1 is what is left.
    To {
        /// Size per axis.
        dims: &'a [i64],
        /// 0 copies the input's size instead of meaning an empty axis.
        zero_copies: bool,
    },
    /// The sizes that a shape tensor holds.
    ToTensor(TensorRef<'n>),
}

/// Sizes of an output: numbers, or what a shape tensor holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sizes<'n> {
    /// One number per axis.
    Known(Vec<i64>),
    /// A shape tensor of `rank` elements.
    Tensor {
        /// int32 before TensorRT 10, int64 since.
        tensor: TensorRef<'n>,
        /// How many sizes it holds.
        rank: usize,
    },
}

impl Sizes<'_> {
    /// As many values of `placeholder` as there are axes, where a tensor holds the sizes.
    fn dims(&self, placeholder: i64) -> Result<Dims, TensorRtError> {
        match self {
            Self::Known(dims) => Dims::new(dims),
            Self::Tensor { rank, .. } => Dims::new(&vec![placeholder; *rank]),
        }
    }
}

/// What a slice reads outside of its input.
#[derive(Debug, Clone, Copy)]
pub enum Outside<'n> {
    /// Nothing.
    Never,
    /// The input again, from its first element on.
    Again,
    /// A scalar of the input's type.
    Fill(TensorRef<'n>),
    /// The input mirrored, without repeating the border.
    Mirror,
}

/// What a slice takes, one value per axis each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'n> {
    /// First index.
    pub start: Sizes<'n>,
    /// Elements.
    pub size: Sizes<'n>,
    /// Step; 0 repeats one element.
    pub stride: Sizes<'n>,
}

/// Every method fails with [`TensorRtError`] where the library refuses the layer.
#[allow(clippy::missing_errors_doc, reason = "said once, above")]
impl Network<'_> {
    /// `IShuffleLayer`: transpose, reshape, transpose; an empty order moves nothing.
    pub fn add_shuffle(
        &self,
        input: TensorRef<'_>,
        first: &[usize],
        reshape: Reshape<'_, '_>,
        second: &[usize],
    ) -> Added<'_> {
        let handle = self.make(|s| &s.network_definition.add_shuffle, (self.own(input)?,))?;
        let layer = self.layer(handle);
        if !first.is_empty() {
            let order = Permutation::new(first)?;
            call::set(&handle, |s| &s.shuffle_layer.set_first_transpose, (&order,))?;
        }
        match reshape {
            Reshape::Keep => {}
            Reshape::To { dims, zero_copies } => {
                let dims = Dims::new(dims)?;
                call::set(
                    &handle,
                    |s| &s.shuffle_layer.set_zero_is_placeholder,
                    (zero_copies,),
                )?;
                call::set(
                    &handle,
                    |s| &s.shuffle_layer.set_reshape_dimensions,
                    (&dims,),
                )?;
            }
            Reshape::ToTensor(sizes) => {
                call::set(
                    &handle,
                    |s| &s.shuffle_layer.set_zero_is_placeholder,
                    (false,),
                )?;
                layer.set_input(1, self.own(sizes)?)?;
            }
        }
        if !second.is_empty() {
            let order = Permutation::new(second)?;
            call::set(
                &handle,
                |s| &s.shuffle_layer.set_second_transpose,
                (&order,),
            )?;
        }
        Ok(layer)
    }

    /// `ISliceLayer`.
    pub fn add_slice(
        &self,
        input: TensorRef<'_>,
        part: &Part<'_>,
        outside: Outside<'_>,
    ) -> Added<'_> {
        let (start, size, stride) = (
            part.start.dims(0)?,
            part.size.dims(0)?,
            part.stride.dims(1)?,
        );
        let handle = self.make(
            |s| &s.network_definition.add_slice,
            (self.own(input)?, &start, &size, &stride),
        )?;
        let mode = match outside {
            Outside::Never => codes::STRICT_BOUNDS,
            Outside::Again => codes::WRAP,
            Outside::Fill(_) => codes::FILL,
            Outside::Mirror => codes::REFLECT,
        };
        call::set(&handle, |s| &s.slice_layer.set_mode, (mode,))?;
        let layer = self.layer(handle);
        for (index, sizes) in [(1, &part.start), (2, &part.size), (3, &part.stride)] {
            if let Sizes::Tensor { tensor, .. } = sizes {
                layer.set_input(index, self.own(*tensor)?)?;
            }
        }
        if let Outside::Fill(fill) = outside {
            layer.set_input(4, self.own(fill)?)?;
        }
        Ok(layer)
    }

    /// `IConcatenationLayer`.
    pub fn add_concatenation(&self, inputs: &[TensorRef<'_>], axis: usize) -> Added<'_> {
        let tensors = inputs
            .iter()
            .map(|&input| Ok(self.own(input)?.as_ptr()))
            .collect::<Result<Vec<_>, TensorRtError>>()?;
        let handle = self.make(
            |s| &s.network_definition.add_concatenation,
            (
                tensors.as_ptr(),
                i32::try_from(tensors.len()).unwrap_or(i32::MAX),
            ),
        )?;
        let axis = i32::try_from(axis).unwrap_or(i32::MAX);
        call::set(&handle, |s| &s.concatenation_layer.set_axis, (axis,))?;
        Ok(self.layer(handle))
    }

    /// `IGatherLayer`; at most one batch axis.
    pub fn add_gather(
        &self,
        data: TensorRef<'_>,
        indices: TensorRef<'_>,
        mode: GatherMode,
    ) -> Added<'_> {
        let handle = self.make(
            |s| &s.network_definition.add_gather_v2,
            (self.own(data)?, self.own(indices)?, codes::gather(mode)),
        )?;
        if let GatherMode::Default { axis, batch_dims } = mode {
            let axis = i32::try_from(axis).unwrap_or(i32::MAX);
            let batch = i32::try_from(batch_dims).unwrap_or(i32::MAX);
            call::set(&handle, |s| &s.gather_layer.set_gather_axis, (axis,))?;
            call::set(
                &handle,
                |s| &s.gather_layer.set_nb_element_wise_dims,
                (batch,),
            )?;
        }
        Ok(self.layer(handle))
    }

    /// `IResizeLayer` to an output of these sizes.
    pub fn add_resize(
        &self,
        input: TensorRef<'_>,
        mode: InterpolationMode,
        coordinates: ResizeCoordinateTransformation,
        rounding: ResizeRounding,
        sizes: &Sizes<'_>,
    ) -> Added<'_> {
        let handle = self.make(|s| &s.network_definition.add_resize, (self.own(input)?,))?;
        call::set(
            &handle,
            |s| &s.resize_layer.set_resize_mode,
            (codes::interpolation(mode),),
        )?;
        call::set(
            &handle,
            |s| &s.resize_layer.set_coordinate_transformation,
            (codes::coordinates(coordinates),),
        )?;
        call::set(
            &handle,
            |s| &s.resize_layer.set_nearest_rounding,
            (codes::rounding(rounding),),
        )?;
        let layer = self.layer(handle);
        match sizes {
            Sizes::Known(dims) => {
                let dims = Dims::new(dims)?;
                call::set(&handle, |s| &s.resize_layer.set_output_dimensions, (&dims,))?;
            }
            Sizes::Tensor { tensor, .. } => layer.set_input(1, self.own(*tensor)?)?,
        }
        Ok(layer)
    }

    /// `IShapeLayer`: the sizes of a tensor, int32 before TensorRT 10 and int64 since.
    pub fn add_shape(&self, input: TensorRef<'_>) -> Added<'_> {
        let handle = self.make(|s| &s.network_definition.add_shape, (self.own(input)?,))?;
        Ok(self.layer(handle))
    }

    /// `IFillLayer` of `kLINSPACE`: a vector of type `dtype` of as many numbers as `count` (a shape
    /// tensor of one element) says, from the scalar `start` in steps of `delta` (a vector of one
    /// element).
    pub fn add_lin_space(
        &self,
        count: TensorRef<'_>,
        start: TensorRef<'_>,
        delta: TensorRef<'_>,
        dtype: DataType,
    ) -> Added<'_> {
        let dims = Dims::new(&[0])?;
        let typed = self.object.api().has(|s| &s.network_definition.add_fill_v2);
        let handle = if typed {
            self.make(
                |s| &s.network_definition.add_fill_v2,
                (&dims, codes::LINSPACE, dtype.code()),
            )?
        } else {
            self.make(|s| &s.network_definition.add_fill, (&dims, codes::LINSPACE))?
        };
        let layer = self.layer(handle);
        for (index, input) in [(0, count), (1, start), (2, delta)] {
            layer.set_input(index, self.own(input)?)?;
        }
        Ok(layer)
    }
}
