//! Where frames come from.

mod attempt;
mod clock;
#[cfg(feature = "gstreamer")]
mod container;
#[cfg(feature = "gstreamer")]
mod gst_pipeline;
#[cfg(feature = "gstreamer")]
mod gst_source;
#[cfg(feature = "gstreamer")]
mod hardware;
mod images;
#[cfg(feature = "gstreamer")]
mod rtsp;
mod spec;
mod supervised;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

#[cfg(feature = "gstreamer")]
use self::gst_source::GstSource;
pub use self::supervised::{RetryOptions, SupervisedSource};
use self::{clock::Clock, images::Images, spec::SourceSpec};
use crate::{Frame, VideoError, mask::Secrets, mask_secrets};

/// Ends a source from another thread, for example from a signal handler.
#[derive(Debug, Clone, Default)]
pub struct StopHandle(Arc<AtomicBool>);

impl StopHandle {
    /// Asks the source to end: [`Source::next_frame`] soon says that there is no further frame.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Was [`StopHandle::stop`] called?
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What came of a wait for a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The frame was filled.
    Frame,
    /// No frame came yet.
    Waiting,
    /// There is no further frame.
    End,
}

/// What to open.
#[derive(Clone)]
pub struct SourceOptions {
    /// The text of `--source`, one of:
    /// - path of a video file, also as `file:` URL
    /// - path of a PNG or JPEG file, or of a folder of such files (read in order of their names)
    /// - `/dev/videoN` or `v4l2:///dev/videoN`, then optionally
    ///   `?width=W&height=H&framerate=N/D`
    /// - `csi:N`, the CSI camera N of a Jetson, then optionally
    ///   `?width=W&height=H&framerate=N/D&flip=F` (1280x720 and 30 where not given; `flip` is a
    ///   `flip-method` of `nvvidconv`: a number from 0 to 7, or a name such as `rotate-180`)
    /// - `rtsp://` or `rtsps://` URL
    /// - `videotestsrc`, then optionally `:NAME=VALUE,...` (properties of the element, and
    ///   `width`, `height`, `framerate`)
    /// - `gst:PIPELINE`: a pipeline in GStreamer's notation that ends in raw video
    pub text: String,
    /// Longest wait for a frame.
    pub timeout: Duration,
    /// Ends the source.
    pub stop: StopHandle,
    /// Begin a file or images again at their end?
    pub repeat: bool,
}

impl fmt::Debug for SourceOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceOptions")
            .field("text", &mask_secrets(&self.text))
            .field("timeout", &self.timeout)
            .field("stop", &self.stop)
            .field("repeat", &self.repeat)
            .finish()
    }
}

impl SourceOptions {
    /// Looks for what can be said against the source without opening a camera or a connection: its
    /// text, elements that are missing, a file that cannot be read.
    ///
    /// # Errors
    /// As [`Source::open`].
    pub fn check(&self) -> Result<(), VideoError> {
        Source::check(&SourceSpec::parse(&self.text)?, self)
    }

    /// Opens `text`, waiting at most ten seconds for a frame.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            timeout: Duration::from_secs(10),
            stop: StopHandle::default(),
            repeat: false,
        }
    }
}

/// A running source of frames.
///
/// Files are read as fast as they are asked for and lose no frame. Live sources (cameras, RTSP,
/// `is-live` pipelines) hand out the newest frame and count those that came too late to be read.
#[derive(Debug)]
pub struct Source {
    inner: Inner,
    name: String,
    options: SourceOptions,
    secrets: Secrets,
    clock: Clock,
    /// Did a frame come since the source began, or began again?
    began: bool,
}

#[derive(Debug)]
enum Inner {
    Images(Images),
    #[cfg(feature = "gstreamer")]
    Gst(Box<GstSource>),
}

impl Inner {
    fn open(options: &SourceOptions) -> Result<Self, VideoError> {
        match SourceSpec::parse(&options.text)? {
            SourceSpec::Images(path) => Ok(Self::Images(Images::open(&path)?)),
            #[cfg(feature = "gstreamer")]
            spec => Ok(Self::Gst(Box::new(GstSource::open(&spec, options)?))),
            #[cfg(not(feature = "gstreamer"))]
            _ => Err(without_gstreamer(options)),
        }
    }
}

#[cfg(not(feature = "gstreamer"))]
fn without_gstreamer(options: &SourceOptions) -> VideoError {
    VideoError::NoGStreamer(format!(
        "this program was built without it and cannot read {}",
        mask_secrets(&options.text)
    ))
}

impl Source {
    /// Opens a source and waits until it can give frames.
    ///
    /// # Errors
    /// [`VideoError::is_usage`] where the text is wrong, [`VideoError::is_missing`] where a
    /// camera, GStreamer or one of its elements is missing; else the source is bad.
    pub fn open(options: &SourceOptions) -> Result<Self, VideoError> {
        let secrets = Secrets::of(&options.text);
        let inner = Inner::open(options).map_err(|error| error.masked(&secrets))?;
        Ok(Self {
            inner,
            name: mask_secrets(&options.text),
            options: options.clone(),
            secrets,
            clock: Clock::default(),
            began: false,
        })
    }

    /// What can be said against a source without opening a camera or a connection.
    fn check(spec: &SourceSpec, options: &SourceOptions) -> Result<(), VideoError> {
        let checked = match spec {
            SourceSpec::Images(path) => Images::open(path).map(|_| ()),
            #[cfg(feature = "gstreamer")]
            spec => GstSource::check(spec, options),
            #[cfg(not(feature = "gstreamer"))]
            _ => Err(without_gstreamer(options)),
        };
        checked.map_err(|error| error.masked(&Secrets::of(&options.text)))
    }

    /// Fills `frame` with the next frame; `false` at the end of the source or once it is stopped.
    ///
    /// # Errors
    /// A file that ends mid-stream gives its readable frames, then [`VideoError::Truncated`]; a
    /// source without any frame gives [`VideoError::NoFrames`]; a source that gives nothing for
    /// [`SourceOptions::timeout`] is [`VideoError::Stalled`].
    pub fn next_frame(&mut self, frame: &mut Frame) -> Result<bool, VideoError> {
        loop {
            match self.poll_frame(frame, Duration::from_secs(1))? {
                Next::Frame => return Ok(true),
                Next::End => return Ok(false),
                Next::Waiting => {}
            }
        }
    }

    /// Fills `frame` with the next frame, if one comes within `wait`. Beginning again at the end
    /// of a file may take longer.
    fn poll_frame(&mut self, frame: &mut Frame, wait: Duration) -> Result<Next, VideoError> {
        self.poll(frame, wait)
            .map_err(|error| error.masked(&self.secrets))
    }

    #[cfg_attr(
        not(feature = "gstreamer"),
        expect(unused_variables, reason = "images are there at once")
    )]
    fn poll(&mut self, frame: &mut Frame, wait: Duration) -> Result<Next, VideoError> {
        if self.options.stop.is_stopped() {
            return Ok(Next::End);
        }
        let next = match &mut self.inner {
            Inner::Images(images) => match images.next_frame(frame)? {
                true => Next::Frame,
                false => Next::End,
            },
            #[cfg(feature = "gstreamer")]
            Inner::Gst(source) => source.poll_frame(frame, wait)?,
        };
        match next {
            Next::Frame => {
                self.began = true;
                let (live, rate) = (self.is_live(), self.frame_rate());
                self.clock.stamp(frame, live, rate);
            }
            Next::End if self.begins_again() => {
                self.inner = Inner::open(&self.options)?;
                self.clock.restart();
                self.began = false;
                return Ok(Next::Waiting);
            }
            _ => {}
        }
        Ok(next)
    }

    fn begins_again(&self) -> bool {
        self.options.repeat && self.began && !self.is_live() && !self.options.stop.is_stopped()
    }

    /// The text that was opened, secrets masked.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Do frames come at their own pace?
    pub fn is_live(&self) -> bool {
        match &self.inner {
            Inner::Images(_) => false,
            #[cfg(feature = "gstreamer")]
            Inner::Gst(source) => source.is_live(),
        }
    }

    /// Frames older than the last one read that were never read, because newer ones had come.
    /// Always 0 for a source that is not live.
    pub fn dropped(&self) -> u64 {
        match &self.inner {
            Inner::Images(_) => 0,
            #[cfg(feature = "gstreamer")]
            Inner::Gst(source) => source.dropped(),
        }
    }

    /// Frames per second as a fraction, where the source says; a live one may only after its
    /// first frame.
    pub fn frame_rate(&self) -> Option<(u32, u32)> {
        match &self.inner {
            Inner::Images(_) => None,
            #[cfg(feature = "gstreamer")]
            Inner::Gst(source) => source.frame_rate(),
        }
    }

    /// Which elements bring the frames into memory, for people: `nvv4l2decoder, nvvidconv`, or
    /// `avdec_h264 in system memory`. A live source may only know after its first frame; `None`
    /// for images.
    pub fn path(&self) -> Option<String> {
        match &self.inner {
            Inner::Images(_) => None,
            #[cfg(feature = "gstreamer")]
            Inner::Gst(source) => source.path(),
        }
    }

    /// Ends this source from another thread.
    pub fn stop_handle(&self) -> StopHandle {
        self.options.stop.clone()
    }
}
