use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{PendingBuild, SessionMaker, ShapeKey};

/// How many builds may wait. Those that were asked for longest ago make room; they are asked for
/// again when such a request comes.
pub(super) const MAX_WAITING: usize = 16;

/// How many shapes are known to be absent.
const MAX_ABSENT: usize = 64;

/// One build at a time, and those that wait, the latest request last.
#[derive(Default)]
pub(super) struct Builds {
    running: Option<Running>,
    waiting: Vec<ShapeKey>,
    /// Shapes for which nothing was there to load since the latest build ended.
    absent: Vec<ShapeKey>,
    watch: BuildWatch,
}

struct Running {
    shapes: ShapeKey,
    build: Box<dyn PendingBuild>,
}

/// A build that ended.
pub(super) struct Ended {
    pub(super) shapes: ShapeKey,
    pub(super) result: Result<(), String>,
    pub(super) took: Duration,
}

impl Builds {
    pub(super) fn watch(&self) -> &BuildWatch {
        &self.watch
    }

    /// Number of builds that run or wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + usize::from(self.running.is_some())
    }

    /// Is there a build that will serve these shapes? One that waits becomes the next.
    pub(super) fn serves(&mut self, request: &ShapeKey) -> bool {
        if self
            .running
            .as_ref()
            .is_some_and(|it| it.shapes.serves(request))
        {
            return true;
        }
        let waiting = self.waiting.iter();
        match waiting.clone().position(|shapes| shapes.serves(request)) {
            Some(index) => {
                let shapes = self.waiting.remove(index);
                self.waiting.push(shapes);
                true
            }
            None => false,
        }
    }

    /// Was there nothing to load for these shapes since the latest build ended?
    pub(super) fn is_absent(&self, shapes: &ShapeKey) -> bool {
        self.absent.contains(shapes)
    }

    pub(super) fn note_absent(&mut self, shapes: &ShapeKey) {
        if self.absent.len() >= MAX_ABSENT {
            self.absent.clear();
        }
        self.absent.push(shapes.clone());
    }

    /// Lets a build wait for its turn, as the next.
    pub(super) fn add(&mut self, shapes: ShapeKey) {
        self.waiting.retain(|waiting| !shapes.serves(waiting));
        if self.waiting.len() >= MAX_WAITING {
            self.waiting.remove(0);
        }
        self.waiting.push(shapes);
        self.tell();
    }

    /// Forgets waiting builds that these shapes make needless.
    pub(super) fn forget_served_by(&mut self, shapes: &ShapeKey) {
        self.waiting.retain(|waiting| !shapes.serves(waiting));
        self.tell();
    }

    /// Looks whether the running build has ended, and begins the next where none runs.
    pub(super) fn poll(&mut self, maker: &mut dyn SessionMaker) -> Option<Ended> {
        if self.len() == 0 {
            return None;
        }
        if self.watch.is_stopped() {
            self.running = None;
            self.waiting.clear();
            self.tell();
            return None;
        }
        let ended = match self.running.take() {
            Some(mut running) => match running.build.poll() {
                Some(result) => Some(Ended {
                    took: running.build.elapsed(),
                    shapes: running.shapes,
                    result,
                }),
                None => {
                    self.running = Some(running);
                    None
                }
            },
            None => self.begin(maker),
        };
        if ended.is_some() {
            self.absent.clear();
        }
        self.tell();
        ended
    }

    /// Begins the next build; gives it where it cannot be begun.
    fn begin(&mut self, maker: &mut dyn SessionMaker) -> Option<Ended> {
        let shapes = self.waiting.pop()?;
        match maker.build(&shapes) {
            Ok(build) => {
                tracing::info!(%shapes, "a build begins");
                self.running = Some(Running { shapes, build });
                None
            }
            Err(reason) => Some(Ended {
                shapes,
                result: Err(reason),
                took: Duration::ZERO,
            }),
        }
    }

    /// Tells the watch how things are.
    fn tell(&self) {
        let mut state = self.watch.state();
        state.waiting = self.waiting.len();
        let Some(running) = &self.running else {
            state.building = None;
            return;
        };
        let progress = running.build.progress();
        match &mut state.building {
            Some(building) if building.shapes == running.shapes => building.progress = progress,
            building => {
                let now = Instant::now();
                *building = Some(Building {
                    shapes: running.shapes.clone(),
                    since: now.checked_sub(running.build.elapsed()).unwrap_or(now),
                    progress,
                });
            }
        }
    }
}

/// A build that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Building {
    /// What it is for.
    pub shapes: ShapeKey,
    /// When it began.
    pub since: Instant,
    /// What it is at, for people.
    pub progress: Option<String>,
}

/// Sees and stops the builds of a [`SessionCache`](super::SessionCache) from another thread, also
/// while a run waits for one. What it sees is as of the latest run or
/// [`SessionCache::poll`](super::SessionCache::poll).
#[derive(Debug, Clone, Default)]
pub struct BuildWatch(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    stopped: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    building: Option<Building>,
    waiting: usize,
}

impl BuildWatch {
    /// The build that runs.
    pub fn building(&self) -> Option<Building> {
        self.state().building.clone()
    }

    /// How many wait for their turn.
    pub fn waiting(&self) -> usize {
        self.state().waiting
    }

    /// Ends all builds and begins no more. A run that waits for one goes on without it.
    pub fn stop(&self) {
        self.0.stopped.store(true, Ordering::Relaxed);
    }

    /// Was [`BuildWatch::stop`] called?
    pub fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change leaves the state whole.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
