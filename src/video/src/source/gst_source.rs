use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use gstreamer::{self as gst, prelude::*};
use gstreamer_app::AppSink;
use gstreamer_video::{VideoInfo, VideoMeta};

use super::{
    Next, SourceOptions, container,
    gst_pipeline::{self, Streams},
    hardware::{self, Hardware},
    rtsp,
    spec::SourceSpec,
};
use crate::{Frame, VideoError, gst as support, mask_secrets};

/// GStreamer's offset of a buffer that has none.
const NO_OFFSET: u64 = u64::MAX;

/// How often a wait looks at the bus and at the stop handle.
const POLL: gst::ClockTime = gst::ClockTime::from_mseconds(50);

/// How long a file may be without any stream before it is looked at more closely.
const SILENCE: Duration = Duration::from_secs(1);

/// A pipeline that ends in an appsink.
#[derive(Debug)]
pub(super) struct GstSource {
    pipeline: gst::Pipeline,
    sink: AppSink,
    streams: Streams,
    spec: SourceSpec,
    options: SourceOptions,
    place: String,
    live: bool,
    info: Option<(gst::Caps, VideoInfo)>,
    frames: u64,
    /// When a wait for a frame first found none, since the last frame.
    waiting_since: Option<Instant>,
    dropped: u64,
    /// An error that came while the first frames were already there.
    pending: Option<VideoError>,
    /// Is this the second try, after the hardware's decoder gave no frame?
    fell_back: bool,
    ended: bool,
}

impl GstSource {
    pub(super) fn open(spec: &SourceSpec, options: &SourceOptions) -> Result<Self, VideoError> {
        let mut source = Self::build(spec, options, true)?;
        if let Err(error) = source.start() {
            source.fall_back(error)?;
        }
        Ok(source)
    }

    /// Makes the pipeline, but opens nothing.
    pub(super) fn check(spec: &SourceSpec, options: &SourceOptions) -> Result<(), VideoError> {
        Self::build(spec, options, true).map(|_| ())
    }

    fn build(
        spec: &SourceSpec,
        options: &SourceOptions,
        hardware: bool,
    ) -> Result<Self, VideoError> {
        let place = mask_secrets(&options.text);
        if let SourceSpec::File(path) = spec {
            fs::File::open(path).map_err(|error| VideoError::read(path, error))?;
        }
        support::init()?;
        let streams = Streams::new(Hardware::find(hardware));
        let pipeline = match spec {
            SourceSpec::File(path) => {
                let text = path.to_str().ok_or_else(|| VideoError::Usage {
                    option: "--source",
                    text: place.clone(),
                    reason: "GStreamer needs a name in UTF-8".to_owned(),
                })?;
                let source = support::make(&place, "filesrc")?;
                support::set(&place, &source, "location", text)?;
                gst_pipeline::decoding(&place, source, "", &streams)?
            }
            SourceSpec::Device { path, caps } => {
                let source = support::make(&place, "v4l2src")?;
                support::set(&place, &source, "device", &path.to_string_lossy())?;
                // Buffers that the driver maps, whatever is behind.
                support::set(&place, &source, "io-mode", "2")?;
                gst_pipeline::decoding(&place, source, caps, &streams)?
            }
            SourceSpec::Csi(camera) => gst_pipeline::csi(&place, camera)?,
            SourceSpec::Rtsp(url) => rtsp::pipeline(&place, url, options.timeout, &streams)?,
            SourceSpec::Pipeline(text) => {
                support::launch(&place, &format!("{text} ! {}", gst_pipeline::TAIL))?
            }
            SourceSpec::Images(path) => {
                return Err(VideoError::NoVideoStream(path.display().to_string()));
            }
        };
        let sink = pipeline
            .by_name(gst_pipeline::SINK)
            .and_then(|sink| sink.downcast::<AppSink>().ok())
            .ok_or_else(|| support::missing(&place, "appsink"))?;
        Ok(Self {
            pipeline,
            sink,
            streams,
            spec: spec.clone(),
            options: options.clone(),
            place,
            live: false,
            info: None,
            frames: 0,
            waiting_since: None,
            dropped: 0,
            pending: None,
            fell_back: !hardware,
            ended: false,
        })
    }

    pub(super) fn is_live(&self) -> bool {
        self.live
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) fn frame_rate(&self) -> Option<(u32, u32)> {
        let known = self.info.as_ref().map(|(_, info)| info.fps());
        let fps = known.or_else(|| {
            let caps = self.sink.static_pad("sink")?.current_caps()?;
            Some(VideoInfo::from_caps(&caps).ok()?.fps())
        })?;
        let (numer, denom) = (
            u32::try_from(fps.numer()).ok()?,
            u32::try_from(fps.denom()).ok()?,
        );
        (numer > 0 && denom > 0).then_some((numer, denom))
    }

    /// Waits at most `wait` for a frame.
    pub(super) fn poll_frame(
        &mut self,
        frame: &mut Frame,
        wait: Duration,
    ) -> Result<Next, VideoError> {
        let begin = Instant::now();
        while !self.ended && !self.options.stop.is_stopped() {
            let left = wait.saturating_sub(begin.elapsed()).as_nanos();
            let left = gst::ClockTime::from_nseconds(u64::try_from(left).unwrap_or(u64::MAX - 1));
            if let Some(sample) = self.sink.try_pull_sample(left.min(POLL)) {
                frame.index = self.frames;
                self.fill(frame, &sample)?;
                self.frames += 1;
                self.waiting_since = None;
                if self.frames == 1 {
                    let path = hardware::path(&self.pipeline, self.fell_back);
                    tracing::info!(source = self.place, path, "first frame");
                }
                return Ok(Next::Frame);
            }
            let error = match self.error() {
                Some(error) => error,
                None if self.sink.is_eos() => match self.end() {
                    None => break,
                    Some(error) => error,
                },
                None => {
                    let since = *self.waiting_since.get_or_insert(begin);
                    if since.elapsed() <= self.options.timeout {
                        if begin.elapsed() >= wait {
                            return Ok(Next::Waiting);
                        }
                        continue;
                    }
                    self.stalled()
                }
            };
            self.fall_back(error)?;
        }
        self.ended = true;
        Ok(Next::End)
    }

    /// Which elements bring the frames into memory.
    pub(super) fn path(&self) -> Option<String> {
        Some(hardware::path(&self.pipeline, self.fell_back))
    }

    /// Brings the pipeline to PLAYING; an error, where it cannot give frames.
    fn start(&mut self) -> Result<(), VideoError> {
        if let SourceSpec::Device { path, .. } = &self.spec {
            fs::metadata(path).map_err(|error| VideoError::MissingDevice {
                device: path.display().to_string(),
                reason: error.to_string(),
            })?;
        }
        match self.pipeline.set_state(gst::State::Paused) {
            Ok(gst::StateChangeSuccess::NoPreroll) => self.live(),
            Ok(_) => self.preroll()?,
            Err(_) => {
                return Err(self
                    .error()
                    .unwrap_or_else(|| self.failed("it does not start")));
            }
        }
        match self.pipeline.set_state(gst::State::Playing) {
            Ok(_) => Ok(()),
            Err(_) => Err(self
                .error()
                .unwrap_or_else(|| self.failed("it does not start"))),
        }
    }

    /// Sets the pipeline up to hand out the newest frame only. Each frame is numbered where it
    /// enters the leaky queue, and carries its number to the appsink.
    fn live(&mut self) {
        self.live = true;
        self.sink.set_max_buffers(1);
        self.sink.set_drop(true);
        self.sink.set_wait_on_eos(false);
        let Some(queue) = self.pipeline.by_name(gst_pipeline::QUEUE) else {
            return;
        };
        queue.set_property("max-size-buffers", 1u32);
        queue.set_property_from_str("leaky", "downstream");
        let entered = AtomicU64::new(0);
        if let Some(pad) = queue.static_pad("sink") {
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
                if let Some(buffer) = info.buffer_mut() {
                    let number = entered.fetch_add(1, Ordering::Relaxed);
                    buffer.make_mut().set_offset(number);
                }
                gst::PadProbeReturn::Ok
            });
        }
    }

    /// Waits for the first frame of a source that is not live.
    fn preroll(&mut self) -> Result<(), VideoError> {
        let bus = self
            .pipeline
            .bus()
            .ok_or_else(|| self.failed("it has no bus"))?;
        let kinds = [
            gst::MessageType::Error,
            gst::MessageType::Warning,
            gst::MessageType::AsyncDone,
            gst::MessageType::Element,
        ];
        let begin = Instant::now();
        let mut codec = None;
        while !self.options.stop.is_stopped() {
            let message = bus.timed_pop_filtered(POLL, &kinds);
            match message.as_ref().map(|message| message.view()) {
                Some(gst::MessageView::AsyncDone(_)) => return Ok(()),
                Some(gst::MessageView::Warning(warning)) => support::warn(&self.place, warning),
                Some(gst::MessageView::Element(element)) => {
                    codec = codec.or_else(|| gst_pipeline::missing_codec(element));
                }
                Some(gst::MessageView::Error(error)) => {
                    let error = match codec {
                        Some(codec) => support::missing(&self.place, &codec),
                        None => support::bus_error(&self.place, error),
                    };
                    if self.sink.try_pull_preroll(gst::ClockTime::ZERO).is_some() {
                        self.pending = Some(error);
                        return Ok(());
                    }
                    return Err(error);
                }
                Some(_) => {}
                None => {
                    if self.streams.complete_without_video() {
                        return Err(match codec {
                            Some(codec) => support::missing(&self.place, &codec),
                            None => VideoError::NoVideoStream(self.place.clone()),
                        });
                    }
                    // decodebin may swallow a demuxer's error that comes while it is plugged.
                    let silent = begin.elapsed() > SILENCE && !self.streams.any();
                    if let Some(error) = silent.then(|| self.truncated()).flatten() {
                        return Err(error);
                    }
                    if begin.elapsed() > self.options.timeout {
                        return Err(self.stalled());
                    }
                }
            }
        }
        Ok(())
    }

    fn fill(&mut self, frame: &mut Frame, sample: &gst::Sample) -> Result<(), VideoError> {
        let caps = sample
            .caps_owned()
            .ok_or_else(|| self.failed("a frame has no caps"))?;
        let info = match &self.info {
            Some((known, info)) if *known == caps => info,
            _ => {
                let info = VideoInfo::from_caps(&caps)
                    .map_err(|_| self.failed("a frame is not raw video"))?;
                &self.info.insert((caps, info)).1
            }
        };
        let (width, height) = (info.width() as usize, info.height() as usize);
        let (mut offset, mut stride) = (info.offset()[0], info.stride()[0]);
        let buffer = sample
            .buffer_owned()
            .ok_or_else(|| self.failed("a frame has no buffer"))?;
        if let Some(meta) = buffer.meta::<VideoMeta>() {
            (offset, stride) = (meta.offset()[0], meta.stride()[0]);
        }
        frame.pts_ns = buffer.pts().map(gst::ClockTime::nseconds);
        if self.live && buffer.offset() != NO_OFFSET {
            self.dropped = buffer.offset().saturating_sub(self.frames);
        }
        let mapped = buffer
            .into_mapped_buffer_readable()
            .map_err(|_| self.failed("a frame cannot be mapped"))?;
        let stride = usize::try_from(stride).map_err(|_| self.failed("a frame is upside down"))?;
        frame.set_name("");
        frame.set_mapped(mapped, width, height, offset, stride)
    }

    /// The error that the end of the stream stands for, if it does.
    fn end(&self) -> Option<VideoError> {
        match self.truncated() {
            None if self.frames == 0 => Some(VideoError::NoFrames(self.place.clone())),
            error => error,
        }
    }

    fn error(&mut self) -> Option<VideoError> {
        self.pending
            .take()
            .or_else(|| support::pop_error(&self.place, &self.pipeline, gst::ClockTime::ZERO))
    }

    /// What lies behind GStreamer's error, where that is known better.
    fn explain(&self, error: VideoError) -> VideoError {
        let VideoError::Pipeline {
            element, message, ..
        } = &error
        else {
            return error;
        };
        match &self.spec {
            SourceSpec::Device { .. } | SourceSpec::Csi(_) => VideoError::MissingDevice {
                device: self.place.clone(),
                reason: format!("{message} ({element})"),
            },
            SourceSpec::Rtsp(url) if self.frames == 0 => match rtsp::unreachable(url) {
                Some(reason) => VideoError::Unreachable {
                    place: self.place.clone(),
                    reason,
                },
                None => error,
            },
            _ if self.streams.without_video() => VideoError::NoVideoStream(self.place.clone()),
            _ => self.truncated().unwrap_or(error),
        }
    }

    /// Might the processor decode what the hardware did not?
    fn blames_hardware(&self, error: &VideoError) -> bool {
        if self.frames > 0 || self.fell_back || !self.streams.hardware.used() {
            return false;
        }
        match error {
            _ if !self.live => true,
            VideoError::Pipeline {
                element, message, ..
            } => element.starts_with("nv") || message.contains("negotiat"),
            VideoError::MissingElement { .. }
            | VideoError::NoVideoStream(_)
            | VideoError::Stalled { .. } => true,
            _ => false,
        }
    }

    /// Begins again without the hardware's decoder, where the error may be its own; else gives
    /// the error, explained.
    fn fall_back(&mut self, error: VideoError) -> Result<(), VideoError> {
        self.ended = true;
        if !self.blames_hardware(&error) {
            return Err(self.explain(error));
        }
        tracing::warn!(source = self.place, "decoding in system memory: {error}");
        // The next pipeline needs the camera.
        let _ = self.pipeline.set_state(gst::State::Null);
        *self = Self::build(&self.spec, &self.options, false)?;
        self.start().map_err(|error| self.explain(error))
    }

    fn truncated(&self) -> Option<VideoError> {
        let SourceSpec::File(path) = &self.spec else {
            return None;
        };
        Some(VideoError::Truncated {
            file: self.place.clone(),
            frames: self.frames,
            reason: container::truncation(path)?,
        })
    }

    fn stalled(&self) -> VideoError {
        if let Some(error) = self.truncated() {
            return error;
        }
        VideoError::Stalled {
            place: self.place.clone(),
            seconds: self.options.timeout.as_secs(),
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

impl Drop for GstSource {
    fn drop(&mut self) {
        // Nothing can be done about a pipeline that does not stop.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
