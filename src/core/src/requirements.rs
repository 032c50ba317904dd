//! What a release of TensorRT has no way to do, so that a layer which could not be built is refused
//! while it is planned.
//!
//! What a release lacks but other layers of its express, such as a cast to bool, is no lack: the
//! builder expresses it. Where a release may or may not take something, it is taken not to.

use crate::{
    ActivationType, DType, Dim, ElementWiseOperation, EngineKind, GatherMode, InterpolationMode,
    Layer, LayerSpec, NetworkSpec, NetworkTensor, ReduceOperation, Release, SampleMode, TensorId,
    UnaryOperation,
};

/// Most dimensions of a tensor.
const MAX_RANK: usize = 8;
/// Largest k of a top-k layer.
const MAX_K: usize = 3840;
/// A top-k layer searches one of so many last axes.
const TOP_K_AXES: usize = 4;
/// Widest window of an LRN layer.
const MAX_LRN_WINDOW: usize = 15;
/// Of more boxes of a batch item an NMS layer looks at those with the highest scores only (the
/// TopK box limit in NVIDIA's table of operators).
const MAX_NMS_BOXES: usize = 5000;
/// A resize layer changes so many last axes at most.
const RESIZED_AXES: usize = 3;

/// Why no engine can be built with this release at all.
pub fn unsupported(engine: EngineKind, release: Release) -> Option<String> {
    let Release { major, minor, .. } = release;
    let known = match engine {
        EngineKind::Cpu => return None,
        EngineKind::TensorRt => matches!((major, minor), (8, 2..=6) | (10, 0..=16)),
        EngineKind::TensorRtRtx => (major, minor) == (1, 7),
    };
    match (engine, major, minor) {
        _ if known => None,
        (EngineKind::TensorRt, 8, 0 | 1) => Some(format!(
            "{engine} {release} is not supported: update to JetPack 4.6.1 or later, which brings \
             TensorRT 8.2"
        )),
        (EngineKind::TensorRt, ..) => Some(format!(
            "{engine} {release} is not supported; known are 8.2 to 8.6 and 10.0 to 10.16"
        )),
        _ => Some(format!("{engine} {release} is not supported; known is 1.7")),
    }
}

/// Does this release compute int64 tensors as int32?
pub fn narrows_int64(engine: EngineKind, release: Release) -> bool {
    engine == EngineKind::TensorRt && release.major < 10
}

/// What this release cannot do with a layer of `network`, in one sentence; `None` where it can.
/// [`EngineKind::Cpu`] can do everything.
pub fn lacks(
    engine: EngineKind,
    release: Release,
    network: &NetworkSpec,
    layer: &LayerSpec,
) -> Option<String> {
    if engine == EngineKind::Cpu {
        return None;
    }
    if let Some(reason) = unsupported(engine, release) {
        return Some(reason);
    }
    let library = Library { engine, release };
    let tensors = |ids: &[TensorId]| -> Option<Vec<&NetworkTensor>> {
        ids.iter().map(|id| network.tensor(*id)).collect()
    };
    let (Some(inputs), Some(outputs)) = (tensors(&layer.inputs), tensors(&layer.outputs)) else {
        return Some(format!("layer `{}` has a wire to nowhere", layer.name));
    };
    let reason = inputs
        .iter()
        .chain(&outputs)
        .find_map(|tensor| library.tensor(tensor))
        .or_else(|| library.layer(&layer.layer, &inputs, &outputs))?;
    Some(format!("{engine} {release} {reason}"))
}

fn is_integer(dtype: DType) -> bool {
    matches!(dtype, DType::I32 | DType::I64)
}

fn is_number(dtype: DType) -> bool {
    dtype.is_float() || is_integer(dtype)
}

struct Library {
    engine: EngineKind,
    release: Release,
}

impl Library {
    /// TensorRT before this release? TensorRT-RTX is never.
    fn before(&self, major: u32, minor: u32) -> bool {
        self.engine == EngineKind::TensorRt
            && (self.release.major, self.release.minor) < (major, minor)
    }

    /// A tensor that no layer takes or makes. Unsigned bytes are floats inside an engine.
    fn tensor(&self, tensor: &NetworkTensor) -> Option<String> {
        let rank = tensor.shape.rank();
        if rank > MAX_RANK {
            return Some(format!(
                "has tensors of {MAX_RANK} dimensions at most, not {rank}"
            ));
        }
        let elements = tensor.shape.dims().iter().filter_map(Dim::fixed);
        if elements.fold(1usize, usize::saturating_mul) > i32::MAX as usize {
            return Some(format!("has no tensor as large as {}", tensor.shape));
        }
        match tensor.dtype {
            DType::F32 | DType::F16 | DType::I32 | DType::I64 | DType::U8 | DType::Bool => None,
            DType::I8 => Some("takes int8 only as quantized floats".into()),
            other => Some(format!("has no tensor of {other}")),
        }
    }

    fn layer(
        &self,
        layer: &Layer,
        inputs: &[&NetworkTensor],
        outputs: &[&NetworkTensor],
    ) -> Option<String> {
        let kind = layer.kind();
        if let Layer::Constant { .. } = layer {
            let bools = outputs.first()?.dtype == DType::Bool;
            return (bools && self.before(10, 0))
                .then(|| "has no constant of bool before 10.0".into());
        }
        if let Layer::Numbers { values } = layer {
            let wide = |value: &&i64| i32::try_from(**value).is_err();
            let wide = values.iter().find(wide).filter(|_| self.before(10, 0));
            return wide.map(|value| format!("has no int64 before 10.0, and {value} is no int32"));
        }
        let input = inputs.first()?;
        let (dtype, rank) = (input.dtype, input.shape.rank());
        let no = |what: String| Some(format!("has no {what} of {dtype}"));
        match layer {
            Layer::Unary { .. } | Layer::Activation { .. } if rank == 0 && self.before(10, 0) => {
                Some(format!("has no {kind} of a scalar before 10.0"))
            }
            Layer::Softmax { .. } if rank < 2 => Some("has no Softmax of a vector".into()),
            Layer::Unary { operation } if !unary(*operation, dtype) => no(format!("{operation:?}")),
            Layer::Activation { kind, .. } if !activation(*kind, dtype) => no(format!("{kind:?}")),
            Layer::ElementWise { operation } if !element_wise(*operation, dtype) => {
                no(format!("{operation:?}"))
            }
            Layer::Reduce { operation, .. } if !reduce(*operation, dtype) => {
                no(format!("{operation:?} reduction"))
            }
            Layer::TopK { k, axis, .. } => self.top_k(*k, *axis, dtype, rank),
            Layer::Slice {
                mode: SampleMode::Symmetric,
                ..
            }
            | Layer::Pad {
                mode: SampleMode::Symmetric,
            } => Some("has no mirroring that repeats the border".into()),
            // TensorRT 8 could, in int32, but what it takes newer releases are to take too.
            Layer::Slice {
                mode: SampleMode::Fill(_) | SampleMode::Reflect,
                ..
            }
            | Layer::Pad { .. }
            | Layer::Tile
                if dtype == DType::I64 && self.engine == EngineKind::TensorRt =>
            {
                no("slice that reads outside".into())
            }
            Layer::Gather {
                mode: GatherMode::Nd,
            } => {
                let tuple = inputs.get(1)?.shape.dims().last()?;
                let open = matches!(tuple, Dim::Symbolic(_));
                open.then(|| "gathers by tuples of known length only".into())
            }
            Layer::Resize { mode, size, .. } => {
                let first = size.iter().position(Option::is_some).unwrap_or(size.len());
                if size.len() - first > RESIZED_AXES {
                    return Some(format!("resizes the last {RESIZED_AXES} axes at most"));
                }
                resized(*mode, dtype, kind)
            }
            Layer::ResizeTo { mode, .. } => {
                let first = grown(input, outputs.first()?);
                if rank - first > RESIZED_AXES {
                    return Some(format!("resizes the last {RESIZED_AXES} axes at most"));
                }
                resized(*mode, dtype, kind)
            }
            Layer::ResizeBy { mode, scales, .. } => {
                let first = scales.iter().position(|&scale| scale != 1);
                if rank - first.unwrap_or(rank) > RESIZED_AXES {
                    return Some(format!("resizes the last {RESIZED_AXES} axes at most"));
                }
                resized(*mode, dtype, kind)
            }
            Layer::Lrn {
                window,
                alpha,
                beta,
                k,
            } => lrn(*window, *alpha, *beta, *k)
                .or_else(|| (!dtype.is_float()).then(|| format!("has no {kind} of {dtype}"))),
            Layer::Nms { .. } => self.nms(input),
            Layer::LinSpace => {
                let made = outputs.first()?.dtype;
                let takes = matches!(made, DType::F32 | DType::I32 | DType::I64);
                (!takes).then(|| format!("has no {kind} of {made}"))
            }
            Layer::Convolution { stride, .. }
            | Layer::Deconvolution { stride, .. }
            | Layer::Pooling { stride, .. }
                if !matches!(stride.len(), 2 | 3) =>
            {
                Some(format!("has no {kind} over {} axes", stride.len()))
            }
            Layer::Convolution { .. }
            | Layer::Deconvolution { .. }
            | Layer::Pooling { .. }
            | Layer::Scale { .. }
            | Layer::MatrixMultiply { .. }
            | Layer::Softmax { .. }
            | Layer::ParametricRelu
                if !dtype.is_float() =>
            {
                no(kind.into())
            }
            _ => None,
        }
    }

    /// `boxes` are the first input. GPUs of compute capability 5.3 and 6.2 look at fewer, but have
    /// no TensorRT with the layer. TensorRT-RTX 1.7 takes the layer into a network, and then finds
    /// nothing that computes it.
    fn nms(&self, boxes: &NetworkTensor) -> Option<String> {
        if self.engine == EngineKind::TensorRtRtx {
            return Some("has nothing that computes an Nms".into());
        }
        if self.before(8, 5) {
            return Some("has no Nms before 8.5".into());
        }
        if boxes.dtype != DType::F32 {
            return Some(format!("has no Nms of {}", boxes.dtype));
        }
        match boxes.shape.dims().iter().nth_back(1) {
            Some(Dim::Fixed(count)) if *count <= MAX_NMS_BOXES => None,
            Some(Dim::Fixed(count)) => Some(format!(
                "has Nms look at {MAX_NMS_BOXES} boxes at most, not {count}"
            )),
            _ => Some(format!(
                "has Nms look at {MAX_NMS_BOXES} boxes at most, and how many there are is open"
            )),
        }
    }

    fn top_k(&self, k: usize, axis: usize, dtype: DType, rank: usize) -> Option<String> {
        if k > MAX_K {
            return Some(format!("has no TopK with k = {k}, {MAX_K} is the most"));
        }
        if axis + TOP_K_AXES < rank {
            return Some(format!(
                "has TopK along the last {TOP_K_AXES} axes only, not axis {axis} of {rank}"
            ));
        }
        match dtype {
            DType::Bool => Some("has no TopK of bool".into()),
            dtype if is_integer(dtype) && self.before(10, 0) => {
                Some(format!("has no TopK of {dtype} before 10.0"))
            }
            _ => None,
        }
    }
}

/// TensorRT's bounds on the parameters of an LRN layer.
fn lrn(window: usize, alpha: f32, beta: f32, k: f32) -> Option<String> {
    if window > MAX_LRN_WINDOW {
        return Some(format!(
            "has no Lrn over {window} channels, {MAX_LRN_WINDOW} are the most"
        ));
    }
    let fits = alpha.abs() <= 1e20 && (0.01..=1e5).contains(&beta) && (1e-5..=1e10).contains(&k);
    (!fits).then(|| format!("has no Lrn with alpha {alpha}, beta {beta} and k {k}"))
}

/// The first axis whose size differs, or may differ.
fn grown(from: &NetworkTensor, to: &NetworkTensor) -> usize {
    let mut axes = from.shape.dims().iter().zip(to.shape.dims());
    axes.position(|(from, to)| from != to)
        .unwrap_or(from.shape.rank())
}

fn resized(mode: InterpolationMode, dtype: DType, kind: &str) -> Option<String> {
    let nearest = mode == InterpolationMode::Nearest;
    let takes = dtype.is_float() || nearest && dtype == DType::U8;
    (!takes).then(|| format!("has no {kind} of {dtype}"))
}

fn unary(operation: UnaryOperation, dtype: DType) -> bool {
    match operation {
        UnaryOperation::Not => dtype == DType::Bool,
        // A whole number is its own.
        UnaryOperation::Ceil | UnaryOperation::Floor | UnaryOperation::Round => {
            dtype != DType::Bool
        }
        UnaryOperation::Abs | UnaryOperation::Neg | UnaryOperation::Sign => is_number(dtype),
        _ => dtype.is_float(),
    }
}

fn activation(kind: ActivationType, dtype: DType) -> bool {
    match kind {
        ActivationType::Relu | ActivationType::Clip => dtype != DType::Bool,
        _ => dtype.is_float(),
    }
}

fn element_wise(operation: ElementWiseOperation, dtype: DType) -> bool {
    match operation {
        ElementWiseOperation::And | ElementWiseOperation::Or => dtype == DType::Bool,
        ElementWiseOperation::Equal => true,
        ElementWiseOperation::Greater
        | ElementWiseOperation::Less
        | ElementWiseOperation::Max
        | ElementWiseOperation::Min => dtype != DType::Bool,
        ElementWiseOperation::Pow => dtype.is_float(),
        ElementWiseOperation::Sum
        | ElementWiseOperation::Prod
        | ElementWiseOperation::Sub
        | ElementWiseOperation::Div
        | ElementWiseOperation::FloorDiv => is_number(dtype),
    }
}

fn reduce(operation: ReduceOperation, dtype: DType) -> bool {
    match operation {
        ReduceOperation::Max | ReduceOperation::Min => dtype != DType::Bool,
        ReduceOperation::Sum | ReduceOperation::Prod => is_number(dtype),
        ReduceOperation::Avg => dtype.is_float(),
    }
}

#[cfg(test)]
mod tests;
