use std::ffi::CString;
use std::rc::Rc;

use crate::TensorRtError;
use crate::sys::{Dims, Handle, Owned};

/// The shapes that an engine is built for: for each input the smallest, the one to be fastest at,
/// and the largest (`IOptimizationProfile`).
#[derive(Debug)]
pub struct OptimizationProfile {
    object: Handle,
    /// It owns the profile.
    _builder: Rc<Owned>,
}

/// `OptProfileSelector`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Selector {
    Min = 0,
    Opt = 1,
    Max = 2,
}

impl Selector {
    pub(crate) const ALL: [Self; 3] = [Self::Min, Self::Opt, Self::Max];
}

impl OptimizationProfile {
    pub(crate) fn new(object: Handle, builder: Rc<Owned>) -> Self {
        Self {
            object,
            _builder: builder,
        }
    }

    /// Gives the shapes of one input.
    ///
    /// # Errors
    ///
    /// [`TensorRtError::CallFailed`] where they contradict each other.
    pub fn set_dimensions(
        &mut self,
        input: &str,
        min: &[usize],
        opt: &[usize],
        max: &[usize],
    ) -> Result<(), TensorRtError> {
        let name = c_name(input)?;
        for (selector, dims) in Selector::ALL.into_iter().zip([min, opt, max]) {
            let dims = Dims::known(dims)?;
            // SAFETY: the builder keeps the profile alive, on its thread; the name is copied.
            unsafe {
                self.object.check(
                    |s| &s.optimization_profile.set_dimensions,
                    (&name, selector as i32, &dims),
                )
            }?;
        }
        Ok(())
    }

    /// Are the shapes given so far complete and in order (`isValid`)?
    pub fn is_valid(&self) -> Result<bool, TensorRtError> {
        // SAFETY: the builder keeps the profile alive, on its thread.
        unsafe { self.object.call(|s| &s.optimization_profile.is_valid, ()) }
    }

    pub(crate) fn handle(&self) -> Handle {
        self.object
    }
}

/// `name` as C takes it.
pub(crate) fn c_name(name: &str) -> Result<CString, TensorRtError> {
    CString::new(name).map_err(|_| TensorRtError::Name {
        name: name.to_owned(),
    })
}
