use std::borrow::Cow;

use crate::{EngineError, EngineSet};

/// Where a session finds the serialized engines of a bundle's segments.
pub trait EngineSource {
    /// The serialized engine of a segment. Its bytes are read while the session loads.
    ///
    /// # Errors
    /// [`EngineError`] where there is none that can be used.
    fn engine(&self, segment: u32) -> Result<Cow<'_, [u8]>, EngineError>;
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
