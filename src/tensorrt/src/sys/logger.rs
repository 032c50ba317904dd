//! `ILogger`: the library's messages go to `tracing`, and its last errors into ours.

use std::collections::VecDeque;
use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ThreadId};

use super::Family;
use super::interface::{InterfaceInfo, Vtable, api_language};
use crate::Version;

/// Errors that are kept.
const KEPT: usize = 32;
/// Bytes of a message that are kept.
const KEPT_BYTES: usize = 2000;

/// The one logger of a loaded library, which lives as long as the process.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Logger {
    vptr: *const c_void,
    vtable: Vtable,
    recent: Mutex<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    /// Number of the next error.
    next: u64,
    errors: VecDeque<(u64, ThreadId, String)>,
}

// SAFETY: `vptr` points to the logger's own `vtable`, which never changes.
unsafe impl Send for Logger {}
// SAFETY: as above; what changes is behind a lock.
unsafe impl Sync for Logger {}

impl Logger {
    /// A logger of the layout that `version` calls.
    pub(crate) fn leak(family: Family, version: Version) -> &'static Self {
        let vtable = Vtable::new(
            family.slots(),
            version,
            &[
                (|s| &s.logger.log, log as *const c_void),
                (
                    |s| &s.logger.get_api_language,
                    api_language as *const c_void,
                ),
                (
                    |s| &s.logger.get_interface_info,
                    interface_info as *const c_void,
                ),
            ],
        );
        let logger = Box::leak(Box::new(Self {
            vptr: std::ptr::null(),
            vtable,
            recent: Mutex::default(),
        }));
        logger.vptr = logger.vtable.as_ptr();
        logger
    }

    /// As the library takes it.
    pub(crate) fn as_ptr(&'static self) -> *mut c_void {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    /// Now, for [`Logger::errors_since`].
    pub(crate) fn mark(&self) -> u64 {
        self.recent().next
    }

    /// The errors logged since `mark`: this thread's, or if it logged none, everybody's. Empty
    /// where there were none.
    pub(crate) fn errors_since(&self, mark: u64) -> String {
        let recent = self.recent();
        let since = || recent.errors.iter().filter(|(number, ..)| *number >= mark);
        let this_thread = thread::current().id();
        let own: Vec<_> = since().filter(|(_, id, _)| *id == this_thread).collect();
        let errors = if own.is_empty() {
            since().collect()
        } else {
            own
        };
        let texts: Vec<&str> = errors.iter().map(|(.., text)| text.as_str()).collect();
        texts.join("; ")
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn receive(&self, severity: i32, message: &CStr) {
        let text = message.to_string_lossy();
        let text = text.trim_end();
        match severity {
            i32::MIN..=1 => {
                self.keep(text);
                tracing::error!(target: "tfjet_tensorrt", "{text}");
            }
            2 => tracing::warn!(target: "tfjet_tensorrt", "{text}"),
            3 => tracing::debug!(target: "tfjet_tensorrt", "{text}"),
            4.. => tracing::trace!(target: "tfjet_tensorrt", "{text}"),
        }
    }

    fn keep(&self, text: &str) {
        let end = text.floor_char_boundary(KEPT_BYTES);
        let text = text.get(..end).unwrap_or_default().replace('\n', " ");
        let mut recent = self.recent();
        let number = recent.next;
        recent.next += 1;
        recent
            .errors
            .push_back((number, thread::current().id(), text));
        if recent.errors.len() > KEPT {
            recent.errors.pop_front();
        }
    }
}

unsafe extern "C" fn log(this: *mut c_void, severity: i32, message: *const c_char) {
    if this.is_null() || message.is_null() {
        return;
    }
    // SAFETY: `this` is the logger that was given to the library, which is never freed.
    let logger = unsafe { &*this.cast::<Logger>() };
    // SAFETY: the library gives a C string that lives during the call.
    let message = unsafe { CStr::from_ptr(message) };
    // A panic of a subscriber must not unwind into the library; there is nowhere to report it.
    let _ = catch_unwind(AssertUnwindSafe(|| logger.receive(severity, message)));
}

unsafe extern "C" fn interface_info(_this: *mut c_void) -> InterfaceInfo {
    InterfaceInfo::new(c"ILogger")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Flavor;

    const VERSIONS: [(Flavor, u32, u32); 3] = [
        (Flavor::TensorRt, 8, 2),
        (Flavor::TensorRt, 10, 3),
        (Flavor::TensorRtRtx, 1, 7),
    ];

    #[test]
    fn the_log_slot_of_every_family_reaches_the_logger() {
        for (slot, (flavor, major, minor)) in [0, 0, 4].into_iter().zip(VERSIONS) {
            let version = Version {
                flavor,
                major,
                minor,
                patch: 0,
            };
            let logger = Logger::leak(Family::of(version).unwrap(), version);
            let mark = logger.mark();
            let entry = logger.vtable.entry(slot);
            type Log = unsafe extern "C" fn(*mut c_void, i32, *const c_char);
            // SAFETY: the entry is `log`.
            let entry: Log = unsafe { std::mem::transmute(entry) };
            for (severity, text) in [(1, c"first\nline"), (3, c"no error"), (0, c"second")] {
                // SAFETY: the logger and a C string.
                unsafe { entry(logger.as_ptr(), severity, text.as_ptr()) };
            }
            assert_eq!(logger.errors_since(mark), "first line; second", "{version}");
            assert_eq!(logger.errors_since(logger.mark()), "");
        }
    }

    #[test]
    fn errors_of_other_threads_count_only_where_this_one_has_none() {
        let version = Version {
            flavor: Flavor::TensorRt,
            major: 10,
            minor: 0,
            patch: 0,
        };
        let logger = Logger::leak(Family::Trt10, version);
        thread::scope(|scope| scope.spawn(|| logger.keep("theirs")).join().unwrap());
        assert_eq!(logger.errors_since(0), "theirs");
        logger.keep("ours");
        assert_eq!(logger.errors_since(0), "ours");
        for number in 0..100 {
            logger.keep(&number.to_string());
        }
        assert_eq!(logger.recent().errors.len(), KEPT);
    }

    /// Keeps the level and target of every event.
    struct Events(Mutex<Vec<(tracing::Level, &'static str)>>);

    impl tracing::Subscriber for Events {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }
        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn event(&self, event: &tracing::Event<'_>) {
            let metadata = event.metadata();
            let mut events = self.0.lock().unwrap();
            events.push((*metadata.level(), metadata.target()));
        }
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }

    #[test]
    fn severities_become_levels() {
        let version = Version {
            flavor: Flavor::TensorRt,
            major: 8,
            minor: 2,
            patch: 1,
        };
        let logger = Logger::leak(Family::Trt8, version);
        let events = std::sync::Arc::new(Events(Mutex::default()));
        tracing::subscriber::with_default(std::sync::Arc::clone(&events), || {
            for severity in 0..=4 {
                logger.receive(severity, c"text");
            }
        });
        let levels = events.0.lock().unwrap();
        let expected = [
            tracing::Level::ERROR,
            tracing::Level::ERROR,
            tracing::Level::WARN,
            tracing::Level::DEBUG,
            tracing::Level::TRACE,
        ];
        assert_eq!(*levels, expected.map(|level| (level, "tfjet_tensorrt")));
        assert_eq!(logger.errors_since(0), "text; text");
    }
}
