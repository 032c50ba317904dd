use std::fmt;
use std::str::FromStr;

use tfjet_cuda::DeviceInfo;

/// Where tensors lie that host and device share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Placement {
    /// Host and device have memories of their own: tensors are copied from pinned host memory to
    /// the device and back.
    Discrete,
    /// An integrated GPU that is I/O-coherent: both work on mapped memory, nothing is copied.
    Mapped,
    /// An integrated GPU that is not (Nano, TX2): the CPU reads mapped memory uncached. The
    /// caller's inputs may lie in mapped memory, which the CPU only writes; what the CPU reads is
    /// copied to ordinary memory.
    MappedInputs,
}

impl Placement {
    /// What fits this device.
    pub fn of(device: &DeviceInfo) -> Self {
        let can_map = device.can_map_host_memory;
        Self::fitting(device.integrated && can_map, device.io_coherent)
    }

    fn fitting(shares_memory: bool, io_coherent: bool) -> Self {
        match (shares_memory, io_coherent) {
            (false, _) => Self::Discrete,
            (true, true) => Self::Mapped,
            (true, false) => Self::MappedInputs,
        }
    }

    /// As the environment variable `TFJET_PLACEMENT` and options spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Discrete => "discrete",
            Self::Mapped => "mapped",
            Self::MappedInputs => "mapped-inputs",
        }
    }

    /// Does the device read inputs in host memory that is mapped?
    pub(crate) fn maps_inputs(self) -> bool {
        matches!(self, Self::Mapped | Self::MappedInputs)
    }

    /// Does the device write outputs to host memory that is mapped?
    pub(crate) fn maps_outputs(self) -> bool {
        self == Self::Mapped
    }

    /// Is pinned memory good to read for the CPU?
    pub(crate) fn caches_pinned(self) -> bool {
        self != Self::MappedInputs
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no [`Placement`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no placement: `discrete`, `mapped` and `mapped-inputs` are")]
pub struct UnknownPlacement(pub(crate) String);

impl FromStr for Placement {
    type Err = UnknownPlacement;

    fn from_str(name: &str) -> Result<Self, UnknownPlacement> {
        let all = [Self::Discrete, Self::Mapped, Self::MappedInputs];
        all.into_iter()
            .find(|placement| placement.name() == name)
            .ok_or_else(|| UnknownPlacement(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_gpu_has_its_placement() {
        for (shares_memory, io_coherent, expected) in [
            (false, true, Placement::Discrete),
            (true, true, Placement::Mapped),
            (true, false, Placement::MappedInputs),
        ] {
            assert_eq!(Placement::fitting(shares_memory, io_coherent), expected);
            assert_eq!(expected.name().parse(), Ok(expected));
        }
        let error = "pinned".parse::<Placement>().unwrap_err().to_string();
        assert_eq!(
            error,
            "`pinned` is no placement: `discrete`, `mapped` and `mapped-inputs` are"
        );
    }
}
