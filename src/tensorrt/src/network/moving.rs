//! Layers that move data.

use tfjet_core::{
    GatherMode, InterpolationMode, ResizeCoordinateTransformation, ResizeRounding, SampleMode,
};

use super::{LayerRef, Network, TensorRef, call, codes};
use crate::TensorRtError;
use crate::sys::{Dims, Permutation};

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

    /// `ISliceLayer`; `fill` is the scalar of [`SampleMode::Fill`], of the input's type.
    ///
    /// [`SampleMode::Symmetric`] is [`TensorRtError::Unsupported`].
    pub fn add_slice(
        &self,
        input: TensorRef<'_>,
        start: &[i64],
        size: &Sizes<'_>,
        stride: &[i64],
        mode: SampleMode,
        fill: Option<TensorRef<'_>>,
    ) -> Added<'_> {
        let mode = match mode {
            SampleMode::Strict => codes::STRICT_BOUNDS,
            SampleMode::Fill(_) => codes::FILL,
            SampleMode::Reflect => codes::REFLECT,
            SampleMode::Symmetric => {
                return Err(TensorRtError::Unsupported {
                    what: "slice that repeats the border when it mirrors".into(),
                    version: self.version(),
                });
            }
        };
        let (start, stride) = (Dims::new(start)?, Dims::new(stride)?);
        let dims = match size {
            Sizes::Known(dims) => Dims::new(dims)?,
            Sizes::Tensor { rank, .. } => Dims::new(&vec![0; *rank])?,
        };
        let handle = self.make(
            |s| &s.network_definition.add_slice,
            (self.own(input)?, &start, &dims, &stride),
        )?;
        call::set(&handle, |s| &s.slice_layer.set_mode, (mode,))?;
        let layer = self.layer(handle);
        if let Sizes::Tensor { tensor, .. } = size {
            layer.set_input(2, self.own(*tensor)?)?;
        }
        if let Some(fill) = fill {
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
}
