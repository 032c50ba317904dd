//! What a version of TensorRT has no layer for.

use tfjet_core::requirements::lacks;
use tfjet_core::{EngineKind, LayerSpec, NetworkSpec, Release};

use crate::{Flavor, Version};

/// What `version` lacks for `layer`, in one sentence; `None` where the builder has a way.
pub fn refusal(version: Version, spec: &NetworkSpec, layer: &LayerSpec) -> Option<String> {
    let engine = match version.flavor {
        Flavor::TensorRt => EngineKind::TensorRt,
        Flavor::TensorRtRtx => EngineKind::TensorRtRtx,
    };
    let release = Release::new(version.major, version.minor, version.patch);
    lacks(engine, release, spec, layer)
}
