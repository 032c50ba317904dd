mod kinds;

use serde::{Deserialize, Serialize};

use crate::{DType, Shape};

pub use kinds::{
    ActivationType, ElementWiseOperation, GatherMode, InterpolationMode, MatrixOperation,
    PaddingMode, PoolingType, ReduceOperation, ReshapeDim, ResizeCoordinateTransformation,
    ResizeRounding, SampleMode, TopKOperation, UnaryOperation,
};

/// Index of a tensor in [`NetworkSpec::tensors`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TensorId(pub u32);

/// Index of an entry in [`WeightsTable::entries`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WeightsId(pub u32);

/// Where one array of weights lies in the bundle's weights section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightsEntry {
    /// Element type.
    pub dtype: DType,
    /// Sizes of all dimensions.
    pub shape: Vec<usize>,
    /// Bytes from the start of the weights section, a multiple of 64.
    pub offset: u64,
    /// Bytes.
    pub len_bytes: u64,
}

/// All weights of a bundle. Equal arrays are stored once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightsTable {
    /// Addressed by [`WeightsId`].
    pub entries: Vec<WeightsEntry>,
}

impl WeightsTable {
    /// The entry of `id`.
    pub fn get(&self, id: WeightsId) -> Option<&WeightsEntry> {
        self.entries.get(usize::try_from(id.0).ok()?)
    }
}

/// One tensor of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkTensor {
    /// Unique in the network.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Shape in the network's own layout.
    pub shape: Shape,
}

/// A TensorRT network as plain data: what `INetworkDefinition` would be told, layer by layer, in
/// an order in which every tensor is made before it is used.
///
/// Image tensors are NCHW and kernels KCRS (deconvolution: CKRS), as TensorRT wants them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NetworkSpec {
    /// The segment's name.
    pub name: String,
    /// All tensors, addressed by [`TensorId`].
    pub tensors: Vec<NetworkTensor>,
    /// Network inputs, in the order in which the schedule binds them.
    pub inputs: Vec<TensorId>,
    /// Network outputs, in the order in which the schedule binds them.
    pub outputs: Vec<TensorId>,
    /// Layers in topological order.
    pub layers: Vec<LayerSpec>,
}

impl NetworkSpec {
    /// The tensor of `id`.
    pub fn tensor(&self, id: TensorId) -> Option<&NetworkTensor> {
        self.tensors.get(usize::try_from(id.0).ok()?)
    }

    /// Does TensorRT wait for the device while it enqueues some layer of the network?
    pub fn waits_for_values(&self) -> bool {
        self.layers
            .iter()
            .any(|layer| layer.layer.waits_for_values())
    }

    /// How many layers move data only to change its layout: shuffles that transpose.
    pub fn transposes(&self) -> usize {
        let moves = |order: &[usize]| order.iter().enumerate().any(|(i, &axis)| i != axis);
        self.layers
            .iter()
            .filter(|layer| {
                matches!(&layer.layer, Layer::Shuffle { first_transpose, second_transpose, .. }
                    if moves(first_transpose) || moves(second_transpose))
            })
            .count()
    }
}

/// One layer with its wires.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerSpec {
    /// Unique in the network; starts with the name of the TensorFlow node that it came from.
    pub name: String,
    /// What it computes.
    pub layer: Layer,
    /// Input tensors.
    pub inputs: Vec<TensorId>,
    /// Output tensors.
    pub outputs: Vec<TensorId>,
}

/// What a layer computes. Names and parameters follow TensorRT's layer classes, which each
/// variant names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Layer {
    /// `IConstantLayer`: no input.
    Constant {
        /// The values; shape and type as in the weights table.
        weights: WeightsId,
    },
    /// `IConvolutionLayer` over NC+spatial input.
    Convolution {
        /// KCRS (K, C / groups, spatial...).
        kernel: WeightsId,
        /// \[K\].
        bias: Option<WeightsId>,
        /// Per spatial axis.
        stride: Vec<usize>,
        /// Per spatial axis.
        dilation: Vec<usize>,
        /// Zeros before each spatial axis.
        pre_padding: Vec<usize>,
        /// Zeros after each spatial axis.
        post_padding: Vec<usize>,
        /// Whether the paddings hold or follow from the input's size.
        padding_mode: PaddingMode,
        /// Channel groups.
        groups: usize,
    },
    /// `IDeconvolutionLayer` over NC+spatial input; the paddings are removed from the output.
    Deconvolution {
        /// CKRS (C, K / groups, spatial...).
        kernel: WeightsId,
        /// \[K\].
        bias: Option<WeightsId>,
        /// Per spatial axis.
        stride: Vec<usize>,
        /// Removed before each spatial axis.
        pre_padding: Vec<usize>,
        /// Removed after each spatial axis.
        post_padding: Vec<usize>,
        /// Channel groups.
        groups: usize,
    },
    /// `IActivationLayer`.
    Activation {
        /// Which function.
        kind: ActivationType,
        /// First parameter, where the function has one.
        alpha: f32,
        /// Second parameter, where the function has one.
        beta: f32,
    },
    /// `IScaleLayer`, channel mode on axis 1: `x * scale + shift`.
    Scale {
        /// \[C\]; absent means one.
        scale: Option<WeightsId>,
        /// \[C\]; absent means zero.
        shift: Option<WeightsId>,
    },
    /// `IElementWiseLayer`: two inputs of equal rank, size-1 dims broadcast.
    ElementWise {
        /// Which operation.
        operation: ElementWiseOperation,
    },
    /// `IUnaryLayer`.
    Unary {
        /// Which operation.
        operation: UnaryOperation,
    },
    /// `IPoolingLayer` over NC+spatial input.
    Pooling {
        /// Maximum or average.
        kind: PoolingType,
        /// Per spatial axis.
        window: Vec<usize>,
        /// Per spatial axis.
        stride: Vec<usize>,
        /// Before each spatial axis.
        pre_padding: Vec<usize>,
        /// After each spatial axis.
        post_padding: Vec<usize>,
        /// Whether the paddings hold or follow from the input's size.
        padding_mode: PaddingMode,
        /// An average divides by the number of elements that are no padding.
        average_count_excludes_padding: bool,
    },
    /// `IMatrixMultiplyLayer`: two inputs of equal rank; leading dims broadcast.
    MatrixMultiply {
        /// Of the first input.
        first: MatrixOperation,
        /// Of the second input.
        second: MatrixOperation,
    },
    /// `ISoftMaxLayer`.
    Softmax {
        /// Reduced axis.
        axis: usize,
    },
    /// `IReduceLayer`.
    Reduce {
        /// Which operation.
        operation: ReduceOperation,
        /// Reduced axes, ascending.
        axes: Vec<usize>,
        /// Keep reduced axes with size 1.
        keep_dims: bool,
    },
    /// `IShuffleLayer`: transpose, then reshape, then transpose. An empty order moves nothing.
    Shuffle {
        /// Output axis `i` is input axis `first_transpose[i]`.
        first_transpose: Vec<usize>,
        /// Shape between the transposes; `None` keeps it.
        reshape: Option<Vec<ReshapeDim>>,
        /// Output axis `i` is the reshaped axis `second_transpose[i]`.
        second_transpose: Vec<usize>,
    },
    /// `ISliceLayer`. With [`SampleMode::Strict`] the slice lies inside; the other modes read
    /// outside too and thereby pad.
    Slice {
        /// First index per axis; negative means before the tensor.
        start: Vec<i64>,
        /// Elements per axis; `None` takes the axis whole (start 0, stride 1).
        size: Vec<Option<usize>>,
        /// Step per axis, not 0.
        stride: Vec<i64>,
        /// What is read outside.
        mode: SampleMode,
    },
    /// `IConcatenationLayer`: one or more inputs.
    Concatenation {
        /// Joined axis.
        axis: usize,
    },
    /// `IGatherLayer`: data, indices.
    Gather {
        /// Meaning of the indices.
        mode: GatherMode,
    },
    /// `ITopKLayer`: outputs values and int32 indices, sorted.
    TopK {
        /// Largest or smallest.
        operation: TopKOperation,
        /// How many.
        k: usize,
        /// Searched axis.
        axis: usize,
    },
    /// `IResizeLayer` to a fixed output shape.
    Resize {
        /// Nearest or linear.
        mode: InterpolationMode,
        /// How an output coordinate maps to an input coordinate.
        coordinates: ResizeCoordinateTransformation,
        /// How nearest rounds.
        rounding: ResizeRounding,
        /// Output size per axis; `None` keeps the axis.
        size: Vec<Option<usize>>,
    },
    /// `ISelectLayer`: condition, then, else; equal ranks, size-1 dims broadcast.
    Select,
    /// `ICastLayer` (`IIdentityLayer` with an output type before TensorRT 8.5). Floats become
    /// integers by truncation.
    Cast {
        /// Target type.
        to: DType,
    },
    /// `IParametricReLULayer`: input and slopes of equal rank.
    ParametricRelu,
    /// `IShapeLayer`: the sizes of all axes, as a vector of int64.
    Shape,
    /// `IShuffleLayer` to the sizes that its second input holds, a vector of int64.
    Reshape,
    /// `ISliceLayer` whose first indices and sizes are its second and third input, vectors of
    /// int64 with one value per axis. The slice lies inside.
    SliceTo {
        /// Step per axis, not 0.
        stride: Vec<i64>,
    },
    /// `ISliceLayer` that reads outside. The second input is a vector of int64: elements before
    /// each axis, then elements after each axis, none negative.
    Pad {
        /// What is read outside; not [`SampleMode::Strict`].
        mode: SampleMode,
    },
    /// `IResizeLayer` to the shape that its second input holds, a vector of int64.
    ResizeTo {
        /// Nearest or linear.
        mode: InterpolationMode,
        /// How an output coordinate maps to an input coordinate.
        coordinates: ResizeCoordinateTransformation,
        /// How nearest rounds.
        rounding: ResizeRounding,
    },
    /// `IResizeLayer` by whole factors.
    ResizeBy {
        /// Nearest or linear.
        mode: InterpolationMode,
        /// How an output coordinate maps to an input coordinate.
        coordinates: ResizeCoordinateTransformation,
        /// How nearest rounds.
        rounding: ResizeRounding,
        /// Factor per axis, not 0.
        scales: Vec<usize>,
    },
    /// `ISliceLayer` of step 0 along axes of size 1: repeats the first input to the shape that its
    /// second input holds, a vector of int64 of the same rank.
    Expand,
    /// `ISliceLayer` that starts over at the end: as many copies along each axis as the second
    /// input says, a vector of int64.
    Tile,
    /// `IConstantLayer` of a vector of int64 that is part of the network, for sizes: no input.
    Numbers {
        /// The values.
        values: Vec<i64>,
    },
    /// `IFillLayer` of `kLINSPACE`: a vector of as many numbers as the first input says (a vector
    /// of one int64), from the second input (a scalar) in steps of the third (a vector of one).
    LinSpace,
    /// `ILRNLayer` across axis 1: `x / (k + alpha / window * sum)^beta`, where `sum` is of the
    /// squares of the `window` channels around that of x, those outside being 0.
    Lrn {
        /// Odd.
        window: usize,
        /// Factor of the squares' mean.
        alpha: f32,
        /// Power.
        beta: f32,
        /// Added to the mean.
        k: f32,
    },
    /// `INMSLayer` over one class, with its result padded to a fixed size. Inputs: boxes of
    /// `[n, 4]`, the coordinates of two opposite corners each, and scores of `[n]`, all float32.
    /// Outputs: `max_output_boxes` int32, the indices of the selected boxes by falling score and
    /// zeros behind them; how many boxes are selected, a scalar int32.
    ///
    /// Or over groups that know nothing of each other: boxes of `[g, n, 4]` and scores of `[g, n]`
    /// give `[g * max_output_boxes, 2]` int32, a row of group and index for each selected box, those
    /// of a group by falling score, and rows of zeros behind them.
    ///
    /// A box counts where its score is above the threshold for scores, and goes where its
    /// intersection over union with a selected box is above the other threshold. Which of two
    /// equal scores comes first is left open.
    Nms {
        /// Most boxes that are selected, at least 1.
        max_output_boxes: usize,
        /// Within 0..=1.
        iou_threshold: f32,
        /// Any number; negative infinity for none.
        score_threshold: f32,
    },
}

impl Layer {
    /// The layer's kind, in TensorRT's words.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Constant { .. } => "Constant",
            Self::Convolution { .. } => "Convolution",
            Self::Deconvolution { .. } => "Deconvolution",
            Self::Activation { .. } => "Activation",
            Self::Scale { .. } => "Scale",
            Self::ElementWise { .. } => "ElementWise",
            Self::Unary { .. } => "Unary",
            Self::Pooling { .. } => "Pooling",
            Self::MatrixMultiply { .. } => "MatrixMultiply",
            Self::Softmax { .. } => "Softmax",
            Self::Reduce { .. } => "Reduce",
            Self::Shuffle { .. } => "Shuffle",
            Self::Slice { .. } => "Slice",
            Self::Concatenation { .. } => "Concatenation",
            Self::Gather { .. } => "Gather",
            Self::TopK { .. } => "TopK",
            Self::Resize { .. } => "Resize",
            Self::Select => "Select",
            Self::Cast { .. } => "Cast",
            Self::ParametricRelu => "ParametricRelu",
            Self::Shape => "Shape",
            Self::Reshape => "Reshape",
            Self::SliceTo { .. } => "SliceTo",
            Self::Pad { .. } => "Pad",
            Self::ResizeTo { .. } => "ResizeTo",
            Self::ResizeBy { .. } => "ResizeBy",
            Self::Expand => "Expand",
            Self::Tile => "Tile",
            Self::Numbers { .. } => "Numbers",
            Self::LinSpace => "LinSpace",
            Self::Lrn { .. } => "Lrn",
            Self::Nms { .. } => "Nms",
        }
    }

    /// Does the size of something inside the layer follow from values? TensorRT then waits for the
    /// device while it enqueues the layer, which a CUDA graph cannot record.
    pub fn waits_for_values(&self) -> bool {
        matches!(self, Self::Nms { .. })
    }

    /// The weights that the layer refers to.
    pub fn weights(&self) -> Vec<WeightsId> {
        match self {
            Self::Constant { weights } => vec![*weights],
            Self::Convolution { kernel, bias, .. } | Self::Deconvolution { kernel, bias, .. } => {
                std::iter::once(*kernel).chain(*bias).collect()
            }
            Self::Scale { scale, shift } => scale.iter().chain(shift).copied().collect(),
            _ => Vec::new(),
        }
    }
}
