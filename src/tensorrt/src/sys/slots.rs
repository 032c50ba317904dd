//! The generated structs of slots.
#![allow(dead_code, reason = "the tables are complete, whatever is called")]

use crate::{TensorRtError, Version};

include!(concat!(env!("OUT_DIR"), "/slots.rs"));

/// Where a class's vtable holds one method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    /// `class::method`, as the library's headers name them.
    pub(crate) name: &'static str,
    position: Option<(u16, u32)>,
    /// One letter for the result and one for each argument.
    pub(crate) signature: &'static [u8],
}

impl Slot {
    /// A method at `index`, there since the family's minor version `since`.
    pub(super) const fn new(
        name: &'static str,
        index: u16,
        since: u32,
        signature: &'static [u8],
    ) -> Self {
        Self {
            name,
            position: Some((index, since)),
            signature,
        }
    }

    /// A method that no version of the family has.
    pub(super) const fn absent(name: &'static str) -> Self {
        Self {
            name,
            position: None,
            signature: b"",
        }
    }

    /// The method's index in the vtable.
    ///
    /// # Errors
    ///
    /// [`TensorRtError::MissingMethod`] where `version` lacks the method.
    pub(crate) fn index(&self, version: Version) -> Result<usize, TensorRtError> {
        match self.position {
            Some((index, since)) if version.minor >= since => Ok(usize::from(index)),
            Some((_, since)) => Err(TensorRtError::MissingMethod {
                method: self.name,
                version,
                since: Some(Version {
                    minor: since,
                    patch: 0,
                    ..version
                }),
            }),
            None => Err(TensorRtError::MissingMethod {
                method: self.name,
                version,
                since: None,
            }),
        }
    }

    /// Is it a method of one layer class, which `mImpl` of a layer has?
    pub(crate) fn is_of_layer(&self) -> bool {
        self.name
            .split_once("::")
            .is_some_and(|(class, _)| class != "VLayer" && class.ends_with("Layer"))
    }

    #[cfg(test)]
    pub(crate) fn position(&self) -> Option<(u16, u32)> {
        self.position
    }
}
