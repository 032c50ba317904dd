//! What a version of TensorRT has no layer for.

use tfjet_core::requirements::lacks;
use tfjet_core::{
    DType, Dim, EngineKind, GatherMode, Layer, LayerSpec, NetworkSpec, NetworkTensor, Release,
    SampleMode, TensorId,
};

use crate::{DataType, Flavor, Version};

/// What `version` lacks for `layer`, in one sentence; `None` where the builder has a way.
pub fn refusal(version: Version, spec: &NetworkSpec, layer: &LayerSpec) -> Option<String> {
    let engine = match version.flavor {
        Flavor::TensorRt => EngineKind::TensorRt,
        Flavor::TensorRtRtx => EngineKind::TensorRtRtx,
    };
    let release = Release::new(version.major, version.minor, version.patch);
    lacks(engine, release, spec, layer).or_else(|| {
        let what = missing(version, spec, layer)?;
        Some(format!("{version} has no {what}"))
    })
}

fn missing(version: Version, spec: &NetworkSpec, layer: &LayerSpec) -> Option<&'static str> {
    let tensor = |id: Option<&TensorId>| -> Option<&NetworkTensor> { spec.tensor(*id?) };
    match layer.layer {
        Layer::Gather {
            mode: GatherMode::Nd,
        } => {
            let depth = tensor(layer.inputs.get(1))?.shape.dims().last()?;
            matches!(depth, Dim::Symbolic(_)).then_some("gather by tuples of unknown length")
        }
        Layer::Slice {
            mode: SampleMode::Fill(_) | SampleMode::Reflect,
            ..
        } => {
            let wide = tensor(layer.inputs.first())?.dtype == DType::I64
                && version.flavor == Flavor::TensorRt
                && DataType::Int64.is_in(version);
            wide.then_some("slice of int64 that reads outside")
        }
        _ => None,
    }
}
