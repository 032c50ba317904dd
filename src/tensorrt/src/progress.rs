/// What a build tells about itself while it runs (`IProgressMonitor`). Phases nest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgressEvent<'a> {
    /// A phase begins.
    Start {
        /// Its name.
        phase: &'a str,
        /// The phase that it is part of.
        parent: Option<&'a str>,
        /// How many steps it has.
        steps: u32,
    },
    /// A step of a phase is done.
    Step {
        /// The phase's name.
        phase: &'a str,
        /// The step's number, from 0.
        step: u32,
    },
    /// A phase is done.
    Finish {
        /// Its name.
        phase: &'a str,
    },
}

/// Takes a build's events; `false` stops the build.
pub type ProgressReport<'p> = Box<dyn FnMut(ProgressEvent<'_>) -> bool + Send + 'p>;

/// Takes a layer's name and the milliseconds that it took.
pub type LayerReport = Box<dyn FnMut(&str, f32) + Send>;
