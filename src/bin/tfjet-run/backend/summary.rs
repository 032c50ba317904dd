use serde::Serialize;
use tfjet::runtime::{CacheCounters, MemoryNeed};

use super::DynamicMode;

/// What a model runs on, as summaries tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct BackendSummary {
    /// The GPU's name, or `CPU`.
    pub(crate) device: String,
    /// Name and version of what runs the segments; absent where there are none.
    pub(crate) library: Option<String>,
    /// `fp32`, `fp16` or `int8`.
    pub(crate) precision: String,
    /// Where the engines come from; absent where there are none.
    pub(crate) engines: Option<String>,
    /// How the first of them was built; absent where there are none, and with `--dynamic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) flags: Option<String>,
    /// What happens to shapes without an engine, where `--dynamic` says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dynamic: Option<DynamicMode>,
    /// What serves shapes without an engine, where something does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fallback: Option<String>,
    /// Which of the bundle's targets it is and why, where the bundle is for several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<String>,
    /// What the model takes; absent where engines are built as shapes come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory: Option<MemoryNeed>,
    /// Why it is not the GPU, where that was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) no_gpu: Option<String>,
}

impl BackendSummary {
    /// All of it on one line, without the reason.
    pub(crate) fn text(&self) -> String {
        let mut text = self.device.clone();
        for part in self.library.iter().chain([&self.precision]) {
            text += ", ";
            text += part;
        }
        if let Some(engines) = &self.engines {
            text += ", engines from ";
            text += engines;
        }
        if let Some(fallback) = &self.fallback {
            text += ", else ";
            text += fallback;
        }
        if let Some(target) = &self.target {
            text += ", ";
            text += target;
        }
        text
    }
}

/// What a model by shapes did, on a line.
pub(crate) fn counters_text(counters: &CacheCounters) -> String {
    let CacheCounters {
        hits,
        misses,
        loads,
        evictions,
        builds,
        failed_builds,
        build_seconds,
        covered_runs,
        fallback_runs,
        ..
    } = counters;
    format!(
        "{hits} hits, {misses} misses, {loads} loaded, {builds} built and {failed_builds} failed \
         in {build_seconds:.1} s, {evictions} evicted, {covered_runs} runs on a prepared range, \
         {fallback_runs} on the fallback"
    )
}
