//! Where frames come from.

#[cfg(feature = "gstreamer")]
mod container;
#[cfg(feature = "gstreamer")]
mod gst_pipeline;
#[cfg(feature = "gstreamer")]
mod gst_source;
mod images;
mod spec;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

#[cfg(feature = "gstreamer")]
use self::gst_source::GstSource;
use self::{images::Images, spec::SourceSpec};
use crate::{Frame, VideoError};

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

/// What to open.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    /// The text of `--source`, one of:
    /// - path of a video file, also as `file:` URL
    /// - path of a PNG or JPEG file, or of a folder of such files (read in order of their names)
    /// - `/dev/videoN` or `v4l2:///dev/videoN`, then optionally
    ///   `?width=W&height=H&framerate=N/D`
    /// - `rtsp://` URL
    /// - `videotestsrc`, then optionally `:NAME=VALUE,...` (properties of the element, and
    ///   `width`, `height`, `framerate`)
    /// - `gst:PIPELINE`: a pipeline in GStreamer's notation that ends in raw video
    pub text: String,
    /// Longest wait for a frame.
    pub timeout: Duration,
    /// Ends the source.
    pub stop: StopHandle,
}

impl SourceOptions {
    /// Opens `text`, waiting at most ten seconds for a frame.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            timeout: Duration::from_secs(10),
            stop: StopHandle::default(),
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
    stop: StopHandle,
}

#[derive(Debug)]
enum Inner {
    Images(Images),
    #[cfg(feature = "gstreamer")]
    Gst(Box<GstSource>),
}

impl Source {
    /// Opens a source and waits until it can give frames.
    ///
    /// # Errors
    /// [`VideoError::is_usage`] where the text is wrong, [`VideoError::is_missing`] where a
    /// camera, GStreamer or one of its elements is missing; else the source is bad.
    pub fn open(options: &SourceOptions) -> Result<Self, VideoError> {
        let inner = match SourceSpec::parse(&options.text)? {
            SourceSpec::Images(path) => Inner::Images(Images::open(&path)?),
            #[cfg(feature = "gstreamer")]
            spec => Inner::Gst(Box::new(GstSource::open(&spec, options)?)),
            #[cfg(not(feature = "gstreamer"))]
            _ => {
                return Err(VideoError::NoGStreamer(format!(
                    "this program was built without it and cannot read {}",
                    options.text
                )));
            }
        };
        Ok(Self {
            inner,
            name: options.text.clone(),
            stop: options.stop.clone(),
        })
    }

    /// Fills `frame` with the next frame; `false` at the end of the source or once it is stopped.
    ///
    /// # Errors
    /// A file that ends mid-stream gives its readable frames, then [`VideoError::Truncated`]; a
    /// source without any frame gives [`VideoError::NoFrames`]; a source that gives nothing for
    /// [`SourceOptions::timeout`] is [`VideoError::Stalled`].
    pub fn next_frame(&mut self, frame: &mut Frame) -> Result<bool, VideoError> {
        if self.stop.is_stopped() {
            return Ok(false);
        }
        match &mut self.inner {
            Inner::Images(images) => images.next_frame(frame),
            #[cfg(feature = "gstreamer")]
            Inner::Gst(source) => source.next_frame(frame),
        }
    }

    /// The text that was opened.
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

    /// Ends this source from another thread.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }
}
