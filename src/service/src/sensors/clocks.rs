use std::path::{Path, PathBuf};

use super::Clock;
use super::files::Root;

/// Names of the GPU's node in the device tree: any, Xavier, TX2, Orin.
const GPU_NODES: [&str; 4] = ["gpu", "gv11b", "gp10b", "ga10b"];

/// The clusters of CPUs.
pub(super) fn cpus(root: &Root) -> Vec<Clock> {
    root.entries("sys/devices/system/cpu/cpufreq", "policy")
        .into_iter()
        .filter_map(|policy| {
            let first = policy.file_name()?.to_str()?.strip_prefix("policy")?;
            let khz = |file| root.number::<u64>(policy.join(file));
            Some(Clock {
                name: format!("cpu{first}"),
                hz: khz("scaling_cur_freq")?.checked_mul(1000)?,
                max_hz: khz("scaling_max_freq").and_then(|khz| khz.checked_mul(1000)),
            })
        })
        .collect()
}

/// The GPU's folder below `sys/class/devfreq`, on a Jetson.
pub(super) fn gpu(root: &Root) -> Option<PathBuf> {
    let mut entries = root.entries("sys/class/devfreq", "").into_iter();
    entries.find(|entry| {
        let node = root.text(entry.join("device/of_node/name"));
        let folder = entry.file_name().map(|name| name.to_string_lossy());
        let is_gpu = |text: &str| GPU_NODES.iter().any(|name| text.contains(name));
        node.as_deref().is_some_and(is_gpu) || folder.is_some_and(|name| is_gpu(&name))
    })
}

pub(super) fn of_gpu(root: &Root, gpu: &Path) -> Option<Clock> {
    Some(Clock {
        name: "gpu".into(),
        hz: root.number(gpu.join("cur_freq"))?,
        max_hz: root.number(gpu.join("max_freq")),
    })
}

/// Of a thousand.
pub(super) fn gpu_load(root: &Root, gpu: &Path) -> Option<f32> {
    let load: f32 = root.number(gpu.join("device/load"))?;
    (0.0..=1000.0).contains(&load).then_some(load / 1000.0)
}
