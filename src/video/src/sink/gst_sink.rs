use std::{
    path::Path,
    time::{Duration, Instant},
};

use gstreamer::{self as gst, prelude::*};
use gstreamer_app::AppSrc;
use gstreamer_video::{VideoFormat, VideoInfo};

use super::{Sink, SinkOptions, encoder, output::Output};
use crate::{Frame, Results, VideoError, frame::CHANNELS, gst as support};

/// Frames that may wait for the encoder.
const AHEAD: u64 = 3;

/// Longest wait for the encoder to take a frame, and for the end of the file.
const TIMEOUT: Duration = Duration::from_secs(60);

const DEFAULT_RATE: (u32, u32) = (30, 1);

/// A pipeline that begins with an appsrc of RGB frames.
#[derive(Debug)]
struct Feed {
    pipeline: gst::Pipeline,
    source: AppSrc,
    place: String,
    rate: (u32, u32),
    shape: Option<Shape>,
    frames: u64,
    last_pts: Option<u64>,
}

/// The size of the frames and the buffers for them.
#[derive(Debug)]
struct Shape {
    frame: (usize, usize),
    info: VideoInfo,
    pool: gst::BufferPool,
}

impl Feed {
    fn start(place: &str, text: &str, rate: (u32, u32)) -> Result<Self, VideoError> {
        let text = format!("appsrc name=tfjet_source format=time block=false ! {text}");
        let pipeline = support::launch(place, &text)?;
        let source = pipeline
            .by_name("tfjet_source")
            .and_then(|source| source.downcast::<AppSrc>().ok())
            .ok_or_else(|| support::missing(place, "appsrc"))?;
        Ok(Self {
            pipeline,
            source,
            place: place.to_owned(),
            rate,
            shape: None,
            frames: 0,
            last_pts: None,
        })
    }

    fn play(&self) -> Result<(), VideoError> {
        self.pipeline.set_state(gst::State::Playing).map_err(|_| {
            support::pop_error(&self.place, &self.pipeline, gst::ClockTime::ZERO)
                .unwrap_or_else(|| self.failed("it does not start"))
        })?;
        Ok(())
    }

    /// Prepares buffers for frames of a size; `even` adds a column and a row where sides are odd.
    fn reshape(&mut self, frame: &Frame, even: bool) -> Result<(), VideoError> {
        let size = (frame.width(), frame.height());
        if self.shape.as_ref().is_some_and(|shape| shape.frame == size) {
            return Ok(());
        }
        let side = |value: usize| if even { value.next_multiple_of(2) } else { value } as u32;
        let fps = gst::Fraction::new(
            i32::try_from(self.rate.0).unwrap_or(i32::MAX).max(1),
            i32::try_from(self.rate.1).unwrap_or(i32::MAX).max(1),
        );
        let failed = |_| self.failed("its caps cannot be made");
        let info = VideoInfo::builder(VideoFormat::Rgb, side(size.0), side(size.1))
            .fps(fps)
            .build()
            .map_err(failed)?;
        let caps = info.to_caps().map_err(failed)?;
        let pool = gst::BufferPool::new();
        let mut config = pool.config();
        config.set_params(Some(&caps), info.size() as u32, AHEAD as u32, 0);
        pool.set_config(config).map_err(failed)?;
        pool.set_active(true).map_err(failed)?;
        self.source.set_caps(Some(&caps));
        if let Some(old) = self.shape.replace(Shape {
            frame: size,
            info,
            pool,
        }) {
            // Buffers in flight are freed as they come back.
            let _ = old.pool.set_active(false);
        }
        Ok(())
    }

    fn push(&mut self, frame: &Frame) -> Result<(), VideoError> {
        let Some(shape) = &self.shape else {
            return Err(self.failed("no caps are set"));
        };
        self.wait(shape.info.size() as u64 * AHEAD)?;
        let mut buffer = shape
            .pool
            .acquire_buffer(None)
            .map_err(|_| self.failed("there is no buffer for a frame"))?;
        let duration = self.duration();
        let pts = self.pts(frame, duration);
        {
            let buffer = buffer.make_mut();
            buffer.set_pts(gst::ClockTime::from_nseconds(pts));
            buffer.set_duration(gst::ClockTime::from_nseconds(duration));
            let mut map = buffer
                .map_writable()
                .map_err(|_| self.failed("a buffer cannot be mapped"))?;
            copy(frame, &shape.info, &mut map);
        }
        self.source.push_buffer(buffer).map_err(|flow| {
            self.error()
                .unwrap_or_else(|| self.failed(&format!("it takes no frame ({flow})")))
        })?;
        self.last_pts = Some(pts);
        self.frames += 1;
        Ok(())
    }

    fn duration(&self) -> u64 {
        let (numer, denom) = (u64::from(self.rate.0.max(1)), u64::from(self.rate.1));
        1_000_000_000 * denom / numer
    }

    /// The frame's time where it has one, else one frame after the last; never backwards.
    fn pts(&self, frame: &Frame, duration: u64) -> u64 {
        let next = self
            .last_pts
            .map_or(0, |last| last.saturating_add(duration));
        match (frame.pts_ns, self.last_pts) {
            (Some(pts), None) => pts,
            (Some(pts), Some(last)) if pts > last => pts,
            _ => next,
        }
    }

    /// Waits until no more than `bytes` wait in the appsrc.
    fn wait(&self, bytes: u64) -> Result<(), VideoError> {
        let begin = Instant::now();
        let mut pause = gst::ClockTime::ZERO;
        loop {
            if let Some(error) = support::pop_error(&self.place, &self.pipeline, pause) {
                return Err(error);
            }
            if self.source.current_level_bytes() < bytes {
                return Ok(());
            }
            if begin.elapsed() > TIMEOUT {
                return Err(self.stalled());
            }
            pause = gst::ClockTime::from_mseconds(1);
        }
    }

    /// Ends the stream and waits until the last element has seen the end.
    fn end(&self) -> Result<(), VideoError> {
        let failed = |_| {
            self.error()
                .unwrap_or_else(|| self.failed("it takes no end"))
        };
        self.source.end_of_stream().map_err(failed)?;
        let bus = self
            .pipeline
            .bus()
            .ok_or_else(|| self.failed("it has no bus"))?;
        let begin = Instant::now();
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        while begin.elapsed() < TIMEOUT {
            let message = bus.timed_pop_filtered(gst::ClockTime::from_mseconds(100), &kinds);
            match message.as_ref().map(|message| message.view()) {
                Some(gst::MessageView::Error(error)) => {
                    return Err(support::bus_error(&self.place, error));
                }
                Some(_) => {
                    let stopped = self.pipeline.set_state(gst::State::Null);
                    return stopped
                        .map(|_| ())
                        .map_err(|_| self.failed("it does not stop"));
                }
                None => {}
            }
        }
        Err(self.stalled())
    }

    fn error(&self) -> Option<VideoError> {
        support::pop_error(
            &self.place,
            &self.pipeline,
            gst::ClockTime::from_mseconds(100),
        )
    }

    fn stalled(&self) -> VideoError {
        VideoError::Stalled {
            place: self.place.clone(),
            seconds: TIMEOUT.as_secs(),
            frames: self.frames,
        }
    }

    fn failed(&self, message: &str) -> VideoError {
        VideoError::Pipeline {
            place: self.place.clone(),
            element: "pipeline".to_owned(),
            message: message.to_owned(),
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        // Nothing can be done about a pipeline that does not stop.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Copies rows; an added column or row repeats its neighbour.
fn copy(frame: &Frame, info: &VideoInfo, to: &mut [u8]) {
    let row = frame.width() * CHANNELS;
    let stride = usize::try_from(info.stride()[0]).unwrap_or(row);
    let width = (info.width() as usize * CHANNELS).min(stride);
    let rows = frame.pixels().chunks_exact(row);
    let last = rows.clone().last();
    for (to, from) in to.chunks_mut(stride).zip(rows.chain(last)) {
        to[..row].copy_from_slice(from);
        if width > row {
            to.copy_within(row - CHANNELS..row, row);
        }
    }
}

/// An annotated video file. Its pipeline is made at the first frame, when the size is known.
#[derive(Debug)]
pub(super) struct VideoFile {
    /// Dropped before the file that it writes.
    feed: Option<Feed>,
    output: Output,
    extension: String,
    rate: (u32, u32),
}

impl VideoFile {
    pub(super) fn open(path: &Path, options: &SinkOptions) -> Result<Self, VideoError> {
        support::init()?;
        let extension = super::spec::extension(path);
        let place = path.display().to_string();
        encoder::candidates(&place, &extension)?;
        Ok(Self {
            feed: None,
            output: Output::create(path)?,
            extension,
            rate: options.frame_rate.unwrap_or(DEFAULT_RATE),
        })
    }

    /// The first encoder that starts.
    fn start(&self, frame: &Frame) -> Result<Feed, VideoError> {
        let place = self.output.path().display().to_string();
        let file = self
            .output
            .temporary()
            .to_str()
            .ok_or_else(|| VideoError::Usage {
                option: "--sink",
                text: place.clone(),
                reason: "GStreamer needs a name in UTF-8".to_owned(),
            })?;
        let pixels = frame.width() * frame.height();
        let mut result = Err(support::missing(&place, "encoder"));
        for encoder in encoder::candidates(&place, &self.extension)? {
            let text = encoder.pipeline(&self.extension, pixels, self.rate);
            let text = format!("{text} ! filesink name=tfjet_file sync=false async=false");
            let feed = Feed::start(&place, &text, self.rate)?;
            if let Some(sink) = feed.pipeline.by_name("tfjet_file") {
                support::set(&place, &sink, "location", file)?;
            }
            result = feed.play().map(|()| feed);
            match &result {
                Ok(_) => {
                    tracing::info!(file = place, encoder = encoder.element, "video file begun");
                    return result;
                }
                Err(error) => tracing::warn!(encoder = encoder.element, "{error}"),
            }
        }
        result
    }
}

impl Sink for VideoFile {
    fn needs_overlay(&self, _: u64) -> bool {
        true
    }

    fn write(&mut self, frame: &Frame, _: &Results) -> Result<(), VideoError> {
        let mut feed = match self.feed.take() {
            Some(feed) => feed,
            None => self.start(frame)?,
        };
        if let Some(shape) = &feed.shape
            && shape.frame != (frame.width(), frame.height())
        {
            return Err(VideoError::FrameSize {
                frame: frame.index,
                width: frame.width(),
                height: frame.height(),
                reason: format!(
                    "{} was begun with {}x{}",
                    feed.place, shape.frame.0, shape.frame.1
                ),
            });
        }
        feed.reshape(frame, true)?;
        feed.push(frame)?;
        self.feed = Some(feed);
        Ok(())
    }

    fn complete(&mut self) -> Result<(), VideoError> {
        let Some(feed) = self.feed.take() else {
            let place = self.output.path().display().to_string();
            return Err(VideoError::NoFrames(format!(
                "{place}: nothing was written"
            )));
        };
        feed.end()
    }

    fn commit(self: Box<Self>) -> Result<(), VideoError> {
        self.output.commit()
    }
}

/// A window on the display.
#[derive(Debug)]
pub(super) struct Display(Feed);

impl Display {
    pub(super) fn open(options: &SinkOptions) -> Result<Self, VideoError> {
        // Without either, some of the sinks that autovideosink tries never return.
        let display = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if !display("DISPLAY") && !display("WAYLAND_DISPLAY") {
            return Err(VideoError::MissingDevice {
                device: "display".to_owned(),
                reason: "neither DISPLAY nor WAYLAND_DISPLAY is set".to_owned(),
            });
        }
        support::init()?;
        let rate = options.frame_rate.unwrap_or(DEFAULT_RATE);
        let feed = Feed::start("display", "videoconvert ! autovideosink sync=false", rate)?;
        feed.play().map_err(display_error)?;
        Ok(Self(feed))
    }
}

impl Sink for Display {
    fn needs_overlay(&self, _: u64) -> bool {
        true
    }

    fn write(&mut self, frame: &Frame, _: &Results) -> Result<(), VideoError> {
        self.0.reshape(frame, false)?;
        self.0.push(frame).map_err(display_error)
    }

    fn complete(&mut self) -> Result<(), VideoError> {
        self.0.end().map_err(display_error)
    }
}

/// A display that does not work is a missing device.
fn display_error(error: VideoError) -> VideoError {
    match error {
        VideoError::Pipeline {
            element, message, ..
        } => VideoError::MissingDevice {
            device: "display".to_owned(),
            reason: format!("{message} ({element})"),
        },
        other => other,
    }
}
