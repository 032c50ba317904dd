use std::fmt;

/// Which of NVIDIA's two libraries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flavor {
    /// TensorRT, `libnvinfer`.
    TensorRt,
    /// TensorRT-RTX, `libtensorrt_rtx`: for GeForce and workstation GPUs; builds without a GPU.
    TensorRtRtx,
}

impl fmt::Display for Flavor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TensorRt => "TensorRT",
            Self::TensorRtRtx => "TensorRT-RTX",
        })
    }
}

/// A library's version, as `getInferLibVersion` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "a version's numbers")]
pub struct Version {
    pub flavor: Flavor,
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
}

impl Version {
    /// Short and fit for file names: `trt8.5.2`, `rtx1.7.1`.
    pub fn key(&self) -> String {
        let prefix = match self.flavor {
            Flavor::TensorRt => "trt",
            Flavor::TensorRtRtx => "rtx",
        };
        format!("{prefix}{}.{}.{}", self.major, self.minor, self.patch)
    }

    /// Is the version's number that or higher?
    pub(crate) fn at_least(&self, major: u32, minor: u32) -> bool {
        (self.major, self.minor) >= (major, minor)
    }

    /// From `NV_TENSORRT_VERSION`: major * 1000 before TensorRT 10, major * 10000 since and in
    /// TensorRT-RTX.
    pub(crate) fn decode(number: i32) -> Option<Self> {
        let number = u32::try_from(number).ok()?;
        let (flavor, unit) = match number {
            1_000..10_000 => (Flavor::TensorRt, 1_000),
            10_000..100_000 => (Flavor::TensorRtRtx, 10_000),
            100_000.. => (Flavor::TensorRt, 10_000),
            _ => return None,
        };
        Some(Self {
            flavor,
            major: number / unit,
            minor: number % unit / 100,
            patch: number % 100,
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            flavor,
            major,
            minor,
            patch,
        } = self;
        write!(f, "{flavor} {major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_numbers_are_read_as_each_generation_writes_them() {
        for (number, key, text) in [
            (7103, "trt7.1.3", "TensorRT 7.1.3"),
            (8201, "trt8.2.1", "TensorRT 8.2.1"),
            (8502, "trt8.5.2", "TensorRT 8.5.2"),
            (10701, "rtx1.7.1", "TensorRT-RTX 1.7.1"),
            (100_300, "trt10.3.0", "TensorRT 10.3.0"),
            (101_600, "trt10.16.0", "TensorRT 10.16.0"),
            (110_401, "trt11.4.1", "TensorRT 11.4.1"),
        ] {
            let version = Version::decode(number).unwrap();
            assert_eq!(
                (version.key().as_str(), version.to_string().as_str()),
                (key, text)
            );
        }
        for number in [-1, 0, 999] {
            assert_eq!(Version::decode(number), None);
        }
    }
}
