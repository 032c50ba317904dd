use serde::{Deserialize, Serialize};

use super::{Precision, Target};

/// A processor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cpu {
    /// What kind of core, such as `Cortex-A57`.
    pub name: String,
    /// How many of them.
    pub cores: u32,
    /// Their clock, MHz.
    pub mhz: u32,
}

/// Most operations in a second, in 10^12; a multiply-add counts as two, and none is skipped because
/// of a zero (no structured sparsity).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peak {
    /// Of 32-bit floats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fp32: Option<f32>,
    /// Of 16-bit floats, on tensor cores where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fp16: Option<f32>,
    /// Of 8-bit integers, on tensor cores where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub int8: Option<f32>,
}

impl Peak {
    /// Of one precision, where it has one.
    pub fn of(&self, precision: Precision) -> Option<f32> {
        match precision {
            Precision::Fp32 => self.fp32,
            Precision::Fp16 => self.fp16,
            Precision::Int8 => self.int8,
        }
    }
}

/// One of `nvpmodel`'s modes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PowerMode {
    /// As `nvpmodel -q` names it.
    pub name: String,
    /// What `nvpmodel -m` takes.
    pub id: u32,
    /// Power budget, W; absent where the mode has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watts: Option<u32>,
    /// Largest clock of the GPU, MHz.
    pub gpu_mhz: f32,
    /// Parts of the GPU (TPCs) that are on; absent means as many as in the first mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_tpcs: Option<u32>,
    /// Largest clock of the memory, MHz; absent means the first mode's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mhz: Option<f32>,
    /// CPU cores that are on; absent means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// Largest clock of the CPU cores, MHz; absent means the CPU's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_mhz: Option<f32>,
}

impl Target {
    /// The power mode of this name; upper and lower case are the same.
    pub fn power_mode(&self, name: &str) -> Option<&PowerMode> {
        let mut modes = self.power_modes.iter();
        modes.find(|mode| mode.name.eq_ignore_ascii_case(name))
    }

    /// What the GPU computes in this mode, in proportion to the first mode.
    pub fn gpu_share(&self, mode: &PowerMode) -> f64 {
        let Some(first) = self.power_modes.first() else {
            return 1.0;
        };
        let tpcs = match (mode.gpu_tpcs, first.gpu_tpcs) {
            (Some(tpcs), Some(all)) => f64::from(tpcs) / f64::from(all),
            _ => 1.0,
        };
        tpcs * f64::from(mode.gpu_mhz) / f64::from(first.gpu_mhz)
    }

    /// The memory's bandwidth in this mode, in proportion to the first mode.
    pub fn memory_share(&self, mode: &PowerMode) -> f64 {
        let first = self.power_modes.first().and_then(|first| first.memory_mhz);
        match (mode.memory_mhz, first) {
            (Some(mhz), Some(first)) => f64::from(mhz) / f64::from(first),
            _ => 1.0,
        }
    }

    /// Has the GPU tensor cores?
    pub fn has_tensor_cores(&self) -> bool {
        self.compute_capability.is_some_and(|gpu| gpu.major >= 7)
    }

    pub(super) fn check_hardware(&self) -> Result<(), String> {
        let positive = |what: &str, value: Option<f32>| match value {
            Some(value) if !(value.is_finite() && value > 0.0) => {
                Err(format!("{what} is {value}, it must be more than 0"))
            }
            _ => Ok(()),
        };
        positive("`bandwidth-gb-s`", self.bandwidth_gb_s)?;
        for precision in [Precision::Fp32, Precision::Fp16, Precision::Int8] {
            let value = self.peak_tflops.and_then(|peak| peak.of(precision));
            positive(&format!("`{precision}` of `peak-tflops`"), value)?;
        }
        if let Some(peak) = &self.peak_tflops
            && let Some(precision) = self.precisions.iter().find(|p| peak.of(**p).is_none())
        {
            return Err(format!(
                "`precisions` has {precision}, `peak-tflops` has not"
            ));
        }
        if let Some(glibc) = &self.glibc
            && super::numbers::<2>(glibc).is_none()
        {
            return Err(format!("`{glibc}` is no release of glibc such as 2.27"));
        }
        for (index, mode) in self.power_modes.iter().enumerate() {
            let what = |field| format!("`{field}` of power mode `{}`", mode.name);
            positive(&what("gpu-mhz"), Some(mode.gpu_mhz))?;
            positive(&what("memory-mhz"), mode.memory_mhz)?;
            positive(&what("cpu-mhz"), mode.cpu_mhz)?;
            if mode.gpu_tpcs == Some(0) {
                return Err(format!("{} is 0", what("gpu-tpcs")));
            }
            let twice = self.power_mode(&mode.name) != self.power_modes.get(index);
            if twice || self.power_modes[..index].iter().any(|m| m.id == mode.id) {
                return Err(format!(
                    "power mode `{}` ({}) is there twice",
                    mode.name, mode.id
                ));
            }
            if self.gpu_share(mode) > 1.0 || self.memory_share(mode) > 1.0 {
                return Err(format!(
                    "power mode `{}` is faster than the first one",
                    mode.name
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ComputeCapability;

    fn mode(name: &str, id: u32, gpu_mhz: f32) -> PowerMode {
        PowerMode {
            name: name.into(),
            id,
            watts: None,
            gpu_mhz,
            gpu_tpcs: Some(4),
            memory_mhz: Some(2000.0),
            cpus: None,
            cpu_mhz: None,
        }
    }

    fn board() -> Target {
        Target {
            precisions: vec![Precision::Fp32, Precision::Fp16],
            peak_tflops: Some(Peak {
                fp32: Some(1.0),
                fp16: Some(2.0),
                int8: None,
            }),
            bandwidth_gb_s: Some(100.0),
            power_modes: vec![mode("MAXN", 0, 1000.0), mode("10W", 1, 500.0)],
            ..Target::default()
        }
    }

    #[test]
    fn a_mode_scales_with_clocks_and_parts() {
        let mut board = board();
        board.power_modes[1].gpu_tpcs = Some(2);
        board.power_modes[1].memory_mhz = Some(1500.0);
        assert_eq!(board.check(), Ok(()));
        let slow = board.power_mode("10w").unwrap();
        assert_eq!(board.gpu_share(slow), 0.25);
        assert_eq!(board.memory_share(slow), 0.75);
        assert_eq!(board.gpu_share(&board.power_modes[0]), 1.0);
        assert!(board.power_mode("20W").is_none());
    }

    #[test]
    fn tensor_cores_came_with_volta() {
        for (major, expected) in [(5, false), (6, false), (7, true), (8, true)] {
            let gpu = ComputeCapability { major, minor: 2 };
            let board = Target {
                compute_capability: Some(gpu),
                ..board()
            };
            assert_eq!(board.has_tensor_cores(), expected, "{gpu}");
        }
    }

    #[test]
    fn impossible_figures_are_named() {
        type Change = fn(&mut Target);
        let cases: [(Change, &str); 8] = [
            (|t| t.bandwidth_gb_s = Some(0.0), "`bandwidth-gb-s` is 0"),
            (
                |t| t.peak_tflops.as_mut().unwrap().fp16 = Some(f32::NAN),
                "`fp16` of `peak-tflops` is NaN",
            ),
            (
                |t| t.precisions.push(Precision::Int8),
                "has int8, `peak-tflops` has not",
            ),
            (|t| t.glibc = Some("2".into()), "no release of glibc"),
            (
                |t| t.power_modes[1].gpu_mhz = 1001.0,
                "faster than the first",
            ),
            (|t| t.power_modes[1].name = "maxn".into(), "there twice"),
            (|t| t.power_modes[1].id = 0, "there twice"),
            (|t| t.power_modes[1].gpu_tpcs = Some(0), "`gpu-tpcs` of"),
        ];
        for (change, expected) in cases {
            let mut target = board();
            change(&mut target);
            let message = target.check().unwrap_err();
            assert!(message.contains(expected), "{message} lacks {expected}");
        }
    }
}
