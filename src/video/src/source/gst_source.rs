use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use gstreamer::{self as gst, prelude::*};
use gstreamer_app::AppSink;
use gstreamer_video::{VideoInfo, VideoMeta};

use super::{
    SourceOptions, StopHandle, container,
    gst_pipeline::{self, Streams},
    spec::SourceSpec,
};
use crate::{Frame, VideoError, gst as support};

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
    streams: Arc<Streams>,
    place: String,
    /// The file that is read, where it is one.
    file: Option<PathBuf>,
    device: bool,
    timeout: Duration,
    stop: StopHandle,
    live: bool,
    info: Option<(gst::Caps, VideoInfo)>,
    frames: u64,
    dropped: u64,
    /// An error that came while the first frames were already there.
    pending: Option<VideoError>,
    ended: bool,
}

impl GstSource {
    pub(super) fn open(spec: &SourceSpec, options: &SourceOptions) -> Result<Self, VideoError> {
        let place = options.text.clone();
        let mut file = None;
        let mut device = false;
        let streams = Arc::new(Streams::default());
        let pipeline = match spec {
            SourceSpec::File(path) => {
                fs::File::open(path).map_err(|error| VideoError::read(path, error))?;
                support::init()?;
                file = Some(path.clone());
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
                if let Err(error) = fs::metadata(path) {
                    return Err(VideoError::MissingDevice {
                        device: path.display().to_string(),
                        reason: error.to_string(),
                    });
                }
                support::init()?;
                device = true;
                let source = support::make(&place, "v4l2src")?;
                support::set(&place, &source, "device", &path.to_string_lossy())?;
                gst_pipeline::decoding(&place, source, caps, &streams)?
            }
            SourceSpec::Rtsp(url) => {
                support::init()?;
                gst_pipeline::rtsp(&place, url, &streams)?
            }
            SourceSpec::Pipeline(text) => {
                support::init()?;
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
        let mut source = Self {
            pipeline,
            sink,
            streams,
            place,
            file,
            device,
            timeout: options.timeout,
            stop: options.stop.clone(),
            live: false,
            info: None,
            frames: 0,
            dropped: 0,
            pending: None,
            ended: false,
        };
        source.start()?;
        Ok(source)
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

    pub(super) fn next_frame(&mut self, frame: &mut Frame) -> Result<bool, VideoError> {
        let begin = Instant::now();
        while !self.ended && !self.stop.is_stopped() {
            if let Some(sample) = self.sink.try_pull_sample(POLL) {
                frame.index = self.frames;
                self.fill(frame, &sample)?;
                self.frames += 1;
                return Ok(true);
            }
            if self.sink.is_eos() {
                self.ended = true;
                return self.end();
            }
            if let Some(error) = self.error() {
                self.ended = true;
                return Err(error);
            }
            if begin.elapsed() > self.timeout {
                return Err(self.stalled());
            }
        }
        Ok(false)
    }

    /// Brings the pipeline to PLAYING; an error, where it cannot give frames.
    fn start(&mut self) -> Result<(), VideoError> {
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
        while !self.stop.is_stopped() {
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
                    return Err(self.explain(error));
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
                    if begin.elapsed() > self.timeout {
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

    /// The end of the stream: what should the caller know?
    fn end(&mut self) -> Result<bool, VideoError> {
        if let Some(error) = self.error() {
            return Err(error);
        }
        match self.truncated() {
            Some(error) => Err(error),
            None if self.frames == 0 => Err(VideoError::NoFrames(self.place.clone())),
            None => Ok(false),
        }
    }

    fn error(&mut self) -> Option<VideoError> {
        let error = self
            .pending
            .take()
            .or_else(|| support::pop_error(&self.place, &self.pipeline, gst::ClockTime::ZERO))?;
        Some(self.explain(error))
    }

    /// What lies behind GStreamer's error, where that is known better.
    fn explain(&self, error: VideoError) -> VideoError {
        match error {
            VideoError::Pipeline {
                element, message, ..
            } if self.device => VideoError::MissingDevice {
                device: self.place.clone(),
                reason: format!("{message} ({element})"),
            },
            VideoError::Pipeline { .. } if self.streams.without_video() => {
                VideoError::NoVideoStream(self.place.clone())
            }
            VideoError::Pipeline { .. } => self.truncated().unwrap_or(error),
            _ => error,
        }
    }

    fn truncated(&self) -> Option<VideoError> {
        let reason = container::truncation(self.file.as_deref()?)?;
        Some(VideoError::Truncated {
            file: self.place.clone(),
            frames: self.frames,
            reason,
        })
    }

    fn stalled(&self) -> VideoError {
        if let Some(error) = self.truncated() {
            return error;
        }
        VideoError::Stalled {
            place: self.place.clone(),
            seconds: self.timeout.as_secs(),
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
