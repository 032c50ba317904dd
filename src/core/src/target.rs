mod hardware;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use hardware::{Cpu, Peak, PowerMode};

/// A board or machine that a bundle is for.
///
/// `targets/*.toml` holds one for each board; the fields are described there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Target {
    /// At most 32 characters of `a-z 0-9 . _ -`.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// What runs the segments.
    pub engine: EngineKind,
    /// The oldest release of the engine's library that the bundle is to run with; absent for
    /// [`EngineKind::Cpu`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// NVIDIA's software release that brings it, such as `4.6.6`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jetpack: Option<String>,
    /// Jetson Linux of that JetPack, the release in `/etc/nv_tegra_release`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub l4t: Option<Release>,
    /// CUDA of that JetPack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cuda: Option<Release>,
    /// GStreamer of that JetPack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gstreamer: Option<Release>,
    /// GNU C library of that JetPack, written `2.27`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub glibc: Option<String>,
    /// The chip as the device tree names it, such as `tegra210`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soc: Option<String>,
    /// Of the GPU, where the target means one kind of GPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compute_capability: Option<ComputeCapability>,
    /// What a bundle for it can be in.
    pub precisions: Vec<Precision>,
    /// Deep learning accelerators.
    #[serde(default)]
    pub dla_cores: u32,
    /// CPU and GPU share one memory.
    #[serde(default)]
    pub integrated: bool,
    /// The CPU sees memory that it shares with the GPU through its caches. Where not, reading
    /// such memory is slow.
    pub io_coherent: bool,
    /// Memory of the GPU, GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_gib: Option<u32>,
    /// Of that memory, GB/s, in the first of the power modes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth_gb_s: Option<f32>,
    /// The processor beside the GPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// What the GPU computes at most, in the first of the power modes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_tflops: Option<Peak>,
    /// NVIDIA's power modes (`nvpmodel`), the fastest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub power_modes: Vec<PowerMode>,
}

/// What runs the segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EngineKind {
    /// ONNX Runtime on the CPU.
    #[serde(rename = "cpu")]
    Cpu,
    /// TensorRT.
    #[serde(rename = "tensorrt")]
    TensorRt,
    /// TensorRT for RTX, whose engines are built ahead of time and without a GPU.
    #[serde(rename = "tensorrt-rtx")]
    TensorRtRtx,
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Cpu => "ONNX Runtime",
            Self::TensorRt => "TensorRT",
            Self::TensorRtRtx => "TensorRT-RTX",
        })
    }
}

/// Numeric precision of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    Fp32,
    /// 16-bit floats where that is faster.
    Fp16,
    /// 8-bit integers with scales.
    Int8,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Int8 => "int8",
        })
    }
}

/// Release of a library, written `8.2.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[allow(missing_docs, reason = "each is the part of its name")]
pub struct Release {
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
}

impl Release {
    /// A release by its parts.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for Release {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match numbers(text) {
            Some([major, minor, patch]) => Ok(Self::new(major, minor, patch)),
            None => Err(format!("`{text}` is no release such as 8.2.1")),
        }
    }
}

impl TryFrom<String> for Release {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Release> for String {
    fn from(release: Release) -> Self {
        release.to_string()
    }
}

/// Compute capability of a GPU, written `5.3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[allow(missing_docs, reason = "each is the part of its name")]
pub struct ComputeCapability {
    pub major: u32,
    pub minor: u32,
}

impl fmt::Display for ComputeCapability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl TryFrom<String> for ComputeCapability {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match numbers(&text) {
            Some([major, minor]) => Ok(Self { major, minor }),
            None => Err(format!("`{text}` is no compute capability such as 5.3")),
        }
    }
}

impl From<ComputeCapability> for String {
    fn from(capability: ComputeCapability) -> Self {
        capability.to_string()
    }
}

/// Decimal numbers between dots.
fn numbers<const N: usize>(text: &str) -> Option<[u32; N]> {
    let parts: Vec<u32> = text
        .split('.')
        .map(
            |part| match part.bytes().all(|byte| byte.is_ascii_digit()) {
                true => part.parse().ok(),
                false => None,
            },
        )
        .collect::<Option<_>>()?;
    parts.try_into().ok()
}

impl Default for Target {
    /// `x86-cpu`, the machine that converts.
    fn default() -> Self {
        Self {
            name: "x86-cpu".into(),
            description: "x86-64 without a GPU".into(),
            engine: EngineKind::Cpu,
            release: None,
            jetpack: None,
            l4t: None,
            cuda: None,
            gstreamer: None,
            glibc: None,
            soc: None,
            compute_capability: None,
            precisions: vec![Precision::Fp32, Precision::Fp16, Precision::Int8],
            dla_cores: 0,
            integrated: false,
            io_coherent: true,
            memory_gib: None,
            bandwidth_gb_s: None,
            cpu: None,
            peak_tflops: None,
            power_modes: Vec::new(),
        }
    }
}

impl Target {
    /// What contradicts itself or cannot be served, in one sentence.
    pub fn check(&self) -> Result<(), String> {
        let is_name = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-');
        if self.name.is_empty() || self.name.len() > 32 || !self.name.chars().all(is_name) {
            return Err(format!(
                "`{}` is no name of at most 32 characters of a-z 0-9 . _ -",
                self.name
            ));
        }
        if self.precisions.is_empty() {
            return Err("`precisions` is empty".into());
        }
        self.check_hardware()?;
        match (self.engine, self.release) {
            (EngineKind::Cpu, None) => Ok(()),
            (EngineKind::Cpu, Some(_)) => Err("`release` goes with a GPU's engine only".into()),
            (engine, None) => Err(format!("`release` of {engine} is missing")),
            (engine, Some(release)) => match crate::requirements::unsupported(engine, release) {
                Some(reason) => Err(reason),
                None => Ok(()),
            },
        }
    }

    /// What runs the segments, with its release.
    pub fn library(&self) -> String {
        match self.release {
            Some(release) => format!("{} {release}", self.engine),
            None => self.engine.to_string(),
        }
    }

    /// Can a bundle for the target be in this precision?
    pub fn supports(&self, precision: Precision) -> bool {
        self.precisions.contains(&precision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_and_capabilities_are_numbers_between_dots() {
        assert_eq!("8.2.1".parse(), Ok(Release::new(8, 2, 1)));
        assert!(Release::new(8, 6, 3) < Release::new(10, 0, 0));
        for bad in [
            "",
            "8",
            "8.2",
            "8.2.1.8",
            "8.2.x",
            "8..1",
            "+8.2.1",
            "8.2.99999999999",
        ] {
            assert!(bad.parse::<Release>().is_err(), "{bad}");
        }
        assert_eq!(
            ComputeCapability::try_from("12.0".to_owned()).map(|c| (c.major, c.minor)),
            Ok((12, 0))
        );
        assert!(ComputeCapability::try_from("53".to_owned()).is_err());
    }

    #[test]
    fn contradictions_are_named() {
        let nano = Target {
            name: "nano".into(),
            engine: EngineKind::TensorRt,
            release: Some(Release::new(8, 2, 1)),
            ..Target::default()
        };
        assert_eq!(Target::default().check(), Ok(()));
        assert_eq!(nano.check(), Ok(()));
        assert_eq!(nano.library(), "TensorRT 8.2.1");
        let changed = |change: fn(&mut Target)| {
            let mut target = nano.clone();
            change(&mut target);
            target.check().unwrap_err()
        };
        for (message, expected) in [
            (changed(|t| t.name = "Nano".into()), "`Nano` is no name"),
            (changed(|t| t.name.clear()), "`` is no name"),
            (
                changed(|t| t.release = None),
                "`release` of TensorRT is missing",
            ),
            (
                changed(|t| t.engine = EngineKind::Cpu),
                "`release` goes with",
            ),
            (changed(|t| t.precisions.clear()), "`precisions` is empty"),
            (
                changed(|t| t.release = Some(Release::new(8, 0, 1))),
                "update to JetPack 4.6.1 or later",
            ),
        ] {
            assert!(message.contains(expected), "{message} lacks {expected}");
        }
    }
}
