use std::borrow::Cow;

use crate::{EngineError, EngineSet};

/// Where a session finds the serialized engines of a bundle's segments.
pub trait EngineSource {
    /// The serialized engine of a segment. Its bytes are read while the session loads.
    ///
    /// # Errors
    /// [`EngineError`] where there is none that can be used.
    fn engine(&self, segment: u32) -> Result<Cow<'_, [u8]>, EngineError>;

    /// The DLA core that the segment's engine was built for; `None` for the GPU.
    fn dla_core(&self, _segment: u32) -> Option<u32> {
        None
    }
}

impl EngineSource for EngineSet {
    fn engine(&self, segment: u32) -> Result<Cow<'_, [u8]>, EngineError> {
        match EngineSet::engine(self, segment) {
            Some((_, bytes)) => Ok(Cow::Borrowed(bytes)),
            None => Err(EngineError::Other(
                format!("there is no engine of segment {segment}").into(),
            )),
        }
    }

    fn dla_core(&self, segment: u32) -> Option<u32> {
        let (header, _) = EngineSet::engine(self, segment)?;
        dla_core(&header.flags)
    }
}

/// Serialized engines in the order of their segments.
impl EngineSource for Vec<Vec<u8>> {
    fn engine(&self, segment: u32) -> Result<Cow<'_, [u8]>, EngineError> {
        let bytes = usize::try_from(segment)
            .ok()
            .and_then(|index| self.get(index));
        let bytes = bytes.ok_or_else(|| {
            let count = self.len();
            EngineError::Other(
                format!("there are {count} engines, none of segment {segment}").into(),
            )
        })?;
        Ok(Cow::Borrowed(bytes))
    }
}

/// What `dla=` says among the builder's flags in an engine's header.
fn dla_core(flags: &str) -> Option<u32> {
    let core = flags.split(' ').find_map(|flag| flag.strip_prefix("dla="));
    core?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dla_core_stands_in_the_flags() {
        for (flags, expected) in [
            (
                "tf32=on workspace=default tactics=default dla=1 layers=names",
                Some(1),
            ),
            (
                "tf32=on workspace=default tactics=default dla=none layers=names",
                None,
            ),
            ("", None),
        ] {
            assert_eq!(dla_core(flags), expected, "{flags}");
        }
    }
}
