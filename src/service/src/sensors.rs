//! Temperatures, clocks, load and power of the board, from sysfs.
//!
//! Nothing here needs root. What a board does not tell is absent, never a zero.

mod clocks;
mod files;
mod power;
mod thermal;

use std::path::{Path, PathBuf};

use serde::Serialize;

use self::files::Root;

/// Reads the sensors of the machine whose file system is at a root: `/`, or a copy for tests.
#[derive(Debug, Clone)]
pub struct Sensors {
    root: Root,
    gpu: Option<PathBuf>,
}

/// What the sensors said at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Readings {
    /// Thermal zones by the kernel's name, degrees Celsius. Zones that are powered down are absent.
    pub temperatures: Vec<(String, f32)>,
    /// CPU clusters (`cpu0` names the first CPU of one) and the GPU (`gpu`).
    pub clocks: Vec<Clock>,
    /// How busy the GPU is, 0 to 1.
    pub gpu_load: Option<f32>,
    /// The mode of `nvpmodel`, as in `MAXN`; its number where nothing names it.
    pub power_mode: Option<String>,
    /// Power of each rail, watts.
    pub power_watts: Vec<(String, f32)>,
    /// Is the board slowed down by its temperature or its power supply? Absent where it tells of
    /// neither.
    pub throttled: Option<bool>,
    /// Memory that can be had without swapping, bytes.
    pub memory_available: Option<u64>,
}

/// A clock, in Hz.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Clock {
    /// What it drives.
    pub name: String,
    /// Now.
    pub hz: u64,
    /// The most that the power mode allows.
    pub max_hz: Option<u64>,
}

impl Sensors {
    /// The sensors below `root`.
    pub fn new(root: &Path) -> Self {
        Self {
            root: Root::new(root),
            gpu: None,
        }
    }

    /// Reads all of them. A few dozen small files: some milliseconds.
    pub fn read(&mut self) -> Readings {
        // The node of the GPU appears late after a boot.
        if self.gpu.is_none() {
            self.gpu = clocks::gpu(&self.root);
        }
        let gpu = self.gpu.as_deref();
        let mut clocks = clocks::cpus(&self.root);
        clocks.extend(gpu.and_then(|gpu| clocks::of_gpu(&self.root, gpu)));
        Readings {
            temperatures: thermal::temperatures(&self.root),
            clocks,
            gpu_load: gpu.and_then(|gpu| clocks::gpu_load(&self.root, gpu)),
            power_mode: power::mode(&self.root),
            power_watts: power::rails(&self.root),
            throttled: thermal::throttled(&self.root),
            memory_available: memory_available(&self.root),
        }
    }
}

impl Readings {
    /// For people: a title of at most 13 characters and its text, one line each; nothing for what
    /// the machine does not tell.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = Vec::new();
        let mut add = |title, parts: Vec<String>| {
            if !parts.is_empty() {
                lines.push((title, parts.join(", ")));
            }
        };
        add("power mode", self.power_mode.iter().cloned().collect());
        let clock = |clock: &Clock| {
            let mhz = |hz: u64| hz as f64 / 1e6;
            let most = clock.max_hz.map(|hz| format!(" of {:.0}", mhz(hz)));
            let (name, most) = (&clock.name, most.unwrap_or_default());
            format!("{name} {:.0}{most} MHz", mhz(clock.hz))
        };
        add("clocks", self.clocks.iter().map(clock).collect());
        let load = self.gpu_load.map(|load| format!("{:.0} %", load * 100.0));
        add("GPU load", load.into_iter().collect());
        let heat = self.temperatures.iter();
        add(
            "temperatures",
            heat.map(|(name, it)| format!("{name} {it:.1} °C"))
                .collect(),
        );
        let power = self.power_watts.iter();
        add(
            "power",
            power
                .map(|(name, watts)| format!("{name} {watts:.2} W"))
                .collect(),
        );
        let throttled = self.throttled.map(|is_on| if is_on { "yes" } else { "no" });
        add(
            "throttled",
            throttled.map(str::to_owned).into_iter().collect(),
        );
        let free = self
            .memory_available
            .map(|bytes| bytes as f64 / f64::from(1 << 20));
        add(
            "free memory",
            free.map(|mib| format!("{mib:.0} MiB"))
                .into_iter()
                .collect(),
        );
        lines
    }
}

impl Default for Sensors {
    /// Those of this machine.
    fn default() -> Self {
        Self::new(Path::new("/"))
    }
}

/// `MemAvailable` of `/proc/meminfo`.
fn memory_available(root: &Root) -> Option<u64> {
    let text = root.text("proc/meminfo")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests;
