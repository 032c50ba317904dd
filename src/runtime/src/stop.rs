use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tells loops to stop before their next pass. Clones are the same signal; the default one is
/// never given.
#[derive(Debug, Clone, Default)]
pub struct StopSignal(Option<Arc<AtomicBool>>);

impl StopSignal {
    /// The signal that is given when `flag` is true.
    pub fn new(flag: Arc<AtomicBool>) -> Self {
        Self(Some(flag))
    }

    /// Has it been given?
    pub fn is_set(&self) -> bool {
        let flag = self.0.as_ref();
        flag.is_some_and(|flag| flag.load(Ordering::Relaxed))
    }
}

impl PartialEq for StopSignal {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }
}

impl Eq for StopSignal {}
