use std::time::{Duration, Instant};

use super::{Next, Source, SourceOptions, attempt::Attempt, clock::Clock, spec::SourceSpec};
use crate::{Frame, VideoError, mask_secrets};

/// How often a wait for a source that is being opened looks at the stop handle.
const POLL: Duration = Duration::from_millis(50);

/// When to open a lost source again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryOptions {
    /// Pause before the first attempt after a loss; it doubles with each attempt.
    pub first: Duration,
    /// Longest pause. A source that ran for less than this has its pauses go on from the last.
    pub most: Duration,
    /// After how long without a frame the source is given up, with an error; `None`: never.
    pub give_up_after: Option<Duration>,
}

impl Default for RetryOptions {
    /// Half a second, ten seconds, never.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            most: Duration::from_secs(10),
            give_up_after: None,
        }
    }
}

/// A source that comes back: cameras, RTSP streams and pipelines are opened again after an error,
/// a stall or the end of a live stream.
///
/// Opening and closing are done in threads of their own, so that a driver that hangs does not hold
/// up the caller. Files and images are not opened again after an error; at their end they begin
/// anew where [`SourceOptions::repeat`] says so.
///
/// Frames are counted on over a loss: [`Frame::index`] goes up by one with each frame, and
/// [`Frame::pts_ns`] never goes back.
#[derive(Debug)]
pub struct SupervisedSource {
    options: SourceOptions,
    retry: RetryOptions,
    name: String,
    /// Is the end of the stream, or an error of it, a loss?
    comes_back: bool,
    state: State,
    pause: Duration,
    clock: Clock,
    live: bool,
    frame_rate: Option<(u32, u32)>,
    path: Option<String>,
    dropped: u64,
    reconnects: u64,
    lost_since: Option<Instant>,
    last_error: Option<String>,
    began: bool,
}

#[derive(Debug)]
enum State {
    /// Closed, opened, or waited for, in a thread.
    Opening(Attempt),
    Running {
        source: Box<Source>,
        since: Instant,
    },
    Ended,
}

impl SupervisedSource {
    /// Begins to open a source; does not wait for it.
    ///
    /// # Errors
    /// [`VideoError::is_usage`] where the text is wrong; else GStreamer, an element, or a file is
    /// missing, or a pipeline cannot be made. A camera or a server that is not there is no error:
    /// it counts as lost.
    pub fn open(options: &SourceOptions, retry: &RetryOptions) -> Result<Self, VideoError> {
        let spec = SourceSpec::parse(&options.text)?;
        Source::check(&spec, options)?;
        let mut own = options.clone();
        own.repeat = false;
        let (live, comes_back) = match spec {
            SourceSpec::Images(_) | SourceSpec::File(_) => (false, false),
            SourceSpec::Pipeline(_) => (false, true),
            _ => (true, true),
        };
        Ok(Self {
            options: options.clone(),
            retry: *retry,
            name: mask_secrets(&options.text),
            comes_back,
            state: State::Opening(Attempt::start(None, Duration::ZERO, &own)),
            pause: retry.first,
            clock: Clock::default(),
            live,
            frame_rate: None,
            path: None,
            dropped: 0,
            reconnects: 0,
            lost_since: Some(Instant::now()),
            last_error: None,
            began: false,
        })
    }

    /// Fills `frame` with the next frame, if one comes within `wait`.
    ///
    /// [`Next::Waiting`]: none came; see [`SupervisedSource::lost_since`] for whether the source
    /// is lost. [`Next::End`]: there will be no further one, since a file is over or the source
    /// was stopped.
    ///
    /// # Errors
    /// What opening again does not mend: a file that is truncated, an element that is missing;
    /// and [`VideoError::Lost`] once [`RetryOptions::give_up_after`] is over. After an error comes
    /// [`Next::End`].
    pub fn next_frame(&mut self, frame: &mut Frame, wait: Duration) -> Result<Next, VideoError> {
        let begin = Instant::now();
        loop {
            if self.options.stop.is_stopped() {
                self.finish();
            }
            let left = wait.saturating_sub(begin.elapsed());
            let step = left.min(POLL);
            match &mut self.state {
                State::Ended => return Ok(Next::End),
                State::Opening(attempt) => match attempt.wait(step) {
                    Some(Ok(source)) => self.opened(source),
                    Some(Err(error)) => self.failed(None, error)?,
                    None => {}
                },
                State::Running { source, .. } => match source.poll_frame(frame, step) {
                    Ok(Next::Frame) => {
                        self.arrived(frame);
                        return Ok(Next::Frame);
                    }
                    Ok(Next::Waiting) => {}
                    Ok(Next::End) => self.over()?,
                    Err(error) => {
                        let source = self.take();
                        self.failed(source, error)?;
                    }
                },
            }
            self.give_up()?;
            if begin.elapsed() >= wait && !matches!(self.state, State::Ended) {
                return Ok(Next::Waiting);
            }
        }
    }

    /// The text that was opened, secrets masked.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Frames that were never read because newer ones had come, over all openings.
    pub fn dropped(&self) -> u64 {
        let running = match &self.state {
            State::Running { source, .. } => source.dropped(),
            _ => 0,
        };
        self.dropped + running
    }

    /// How often frames came again after a loss.
    pub fn reconnects(&self) -> u64 {
        self.reconnects
    }

    /// Since when the source is lost, or is being opened for the first time; `None` from its first
    /// frame on, and after its end.
    pub fn lost_since(&self) -> Option<Instant> {
        self.lost_since
    }

    /// Why the source was lost or could not be opened, the last time that this happened; one line,
    /// secrets masked.
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// Frames per second as a fraction, where the source says and was open once.
    pub fn frame_rate(&self) -> Option<(u32, u32)> {
        match &self.state {
            State::Running { source, .. } => source.frame_rate().or(self.frame_rate),
            _ => self.frame_rate,
        }
    }

    /// Do frames come at their own pace? Of a pipeline this is known once it was open.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Which elements bring the frames into memory, for people: `nvv4l2decoder, nvvidconv`, or
    /// `avdec_h264 in system memory`. Known from the first frame on; `None` for images.
    pub fn path(&self) -> Option<String> {
        self.path.clone()
    }

    fn opened(&mut self, source: Source) {
        self.live = source.is_live();
        self.clock.restart();
        self.state = State::Running {
            source: Box::new(source),
            since: Instant::now(),
        };
    }

    fn arrived(&mut self, frame: &mut Frame) {
        self.clock.stamp(frame, self.live, self.frame_rate());
        let Some(lost) = self.lost_since.take() else {
            return;
        };
        if let State::Running { source, .. } = &self.state {
            self.frame_rate = source.frame_rate();
            self.path = source.path();
        }
        let path = self.path.as_deref();
        if self.began {
            self.reconnects += 1;
            let seconds = lost.elapsed().as_secs_f32();
            tracing::info!(source = self.name, seconds, path, "the source is back");
        } else {
            self.began = true;
            tracing::info!(source = self.name, path, "the source is open");
        }
    }

    /// The end of the stream: the end of all, the beginning of the next round, or a loss.
    fn over(&mut self) -> Result<(), VideoError> {
        if self.options.stop.is_stopped() {
            self.finish();
            return Ok(());
        }
        let source = self.take();
        if self.comes_back && self.live {
            let error = VideoError::Ended(self.name.clone());
            return self.failed(source, error);
        }
        if self.options.repeat {
            self.attempt(source, Duration::ZERO);
        } else {
            drop(source);
            self.lost_since = None;
        }
        Ok(())
    }

    /// A loss, or an error that another attempt does not mend.
    fn failed(&mut self, source: Option<Source>, error: VideoError) -> Result<(), VideoError> {
        if !self.comes_back || error.is_lasting() {
            self.finish();
            return Err(error);
        }
        let now = Instant::now();
        let text = error.to_string();
        self.lost_since.get_or_insert(now);
        let pause = match error {
            VideoError::Unauthorized(_) => self.retry.most,
            _ => self.pause.min(self.retry.most),
        };
        if self.last_error.as_ref() == Some(&text) {
            tracing::debug!(source = self.name, pause = ?pause, "{text}");
        } else {
            tracing::warn!(source = self.name, pause = ?pause, "{text}");
        }
        self.last_error = Some(text);
        self.attempt(source, pause);
        self.pause = (self.pause * 2).min(self.retry.most);
        Ok(())
    }

    fn attempt(&mut self, old: Option<Source>, pause: Duration) {
        let mut own = self.options.clone();
        own.repeat = false;
        self.state = State::Opening(Attempt::start(old, pause, &own));
    }

    /// Takes the running source out, and remembers what it counted.
    fn take(&mut self) -> Option<Source> {
        let State::Running { source, since } = std::mem::replace(&mut self.state, State::Ended)
        else {
            return None;
        };
        self.dropped += source.dropped();
        self.frame_rate = source.frame_rate().or(self.frame_rate);
        if self.lost_since.is_none() && since.elapsed() >= self.retry.most {
            self.pause = self.retry.first;
        }
        Some(*source)
    }

    fn give_up(&mut self) -> Result<(), VideoError> {
        let (Some(since), Some(limit)) = (self.lost_since, self.retry.give_up_after) else {
            return Ok(());
        };
        if since.elapsed() < limit || matches!(self.state, State::Ended) {
            return Ok(());
        }
        self.finish();
        Err(VideoError::Lost {
            place: self.name.clone(),
            seconds: limit.as_secs(),
            reason: (self.last_error.clone()).unwrap_or_else(|| "it does not open".to_owned()),
        })
    }

    fn finish(&mut self) {
        if let Some(source) = self.take() {
            Attempt::close(source);
        }
        self.state = State::Ended;
        self.lost_since = None;
    }
}

impl Drop for SupervisedSource {
    fn drop(&mut self) {
        self.finish();
    }
}
