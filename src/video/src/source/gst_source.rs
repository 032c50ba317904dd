use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use gstreamer::{self as gst, prelude::*};
use gstreamer_app::AppSink;
use gstreamer_video::{VideoInfo, VideoMeta};

use super::{SourceOptions, StopHandle, container, spec::SourceSpec};
use crate::{Frame, VideoError, gst as support};

const SINK: &str = "tfjet_sink";
const QUEUE: &str = "tfjet_queue";

/// The end of every pipeline: conversion in a thread of its own, few frames ahead.
const TAIL: &str = "queue name=tfjet_queue max-size-buffers=2 max-size-bytes=0 max-size-time=0 \
    ! videoconvert ! video/x-raw,format=RGB \
    ! appsink name=tfjet_sink sync=false drop=false max-buffers=2 enable-last-sample=false";

/// GStreamer's offset of a buffer that has none.
const NO_OFFSET: u64 = u64::MAX;

/// How often a wait looks at the bus and at the stop handle.
const POLL: gst::ClockTime = gst::ClockTime::from_mseconds(50);

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

/// What the demuxer found.
#[derive(Debug, Default)]
struct Streams {
    video: AtomicBool,
    complete: AtomicBool,
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
                decoding(&place, source, "", &streams)?
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
                decoding(&place, source, caps, &streams)?
            }
            SourceSpec::Rtsp(url) => {
                support::init()?;
                rtsp(&place, url, &streams)?
            }
            SourceSpec::Pipeline(text) => {
                support::init()?;
                support::launch(&place, &format!("{text} ! {TAIL}"))?
            }
            SourceSpec::Images(path) => {
                return Err(VideoError::NoVideoStream(path.display().to_string()));
            }
        };
        let sink = pipeline
            .by_name(SINK)
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
        let Some(queue) = self.pipeline.by_name(QUEUE) else {
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
                    codec = codec.or_else(|| missing_codec(element));
                }
                Some(gst::MessageView::Error(error)) => {
                    let error = match codec {
                        Some(codec) => support::missing(&self.place, &codec),
                        None => self.explain(support::bus_error(&self.place, error)),
                    };
                    if self.sink.try_pull_preroll(gst::ClockTime::ZERO).is_some() {
                        self.pending = Some(error);
                        return Ok(());
                    }
                    return Err(error);
                }
                Some(_) => {}
                None => {
                    let complete = self.streams.complete.load(Ordering::Acquire);
                    if complete && !self.streams.video.load(Ordering::Acquire) {
                        return Err(match codec {
                            Some(codec) => support::missing(&self.place, &codec),
                            None => VideoError::NoVideoStream(self.place.clone()),
                        });
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

/// `source`, a decodebin, the tail; `caps` restrict what the source gives.
fn decoding(
    place: &str,
    source: gst::Element,
    caps: &str,
    streams: &Arc<Streams>,
) -> Result<gst::Pipeline, VideoError> {
    let decoder = support::make(place, "decodebin")?;
    let pipeline = assemble(place, &decoder, streams)?;
    let fail = |_| VideoError::Pipeline {
        place: place.to_owned(),
        element: source.name().to_string(),
        message: "it cannot be linked".to_owned(),
    };
    pipeline.add(&source).map_err(fail)?;
    if caps.is_empty() {
        source.link(&decoder).map_err(fail)?;
    } else {
        let filter = support::make(place, "capsfilter")?;
        let wanted = format!("video/x-raw{caps};image/jpeg{caps}");
        support::set(place, &filter, "caps", &wanted)?;
        pipeline.add(&filter).map_err(fail)?;
        gst::Element::link_many([&source, &filter, &decoder]).map_err(fail)?;
    }
    Ok(pipeline)
}

fn rtsp(place: &str, url: &str, streams: &Arc<Streams>) -> Result<gst::Pipeline, VideoError> {
    if !support::exists("rtspsrc") {
        return Err(support::missing(place, "rtspsrc"));
    }
    let decoder = support::make(place, "uridecodebin")?;
    support::set(place, &decoder, "uri", url)?;
    decoder.connect("source-setup", false, |values| {
        let source = values.get(1)?.get::<gst::Element>().ok()?;
        if source.find_property("latency").is_some() {
            source.set_property_from_str("latency", "100");
        }
        None
    });
    assemble(place, &decoder, streams)
}

/// A pipeline of a decoding element, whose first video stream goes to the tail.
fn assemble(
    place: &str,
    decoder: &gst::Element,
    streams: &Arc<Streams>,
) -> Result<gst::Pipeline, VideoError> {
    let pipeline = gst::Pipeline::new();
    let tail = support::bin(place, TAIL)?;
    pipeline
        .add(decoder)
        .and_then(|()| pipeline.add(&tail))
        .map_err(|error| VideoError::Pipeline {
            place: place.to_owned(),
            element: "pipeline".to_owned(),
            message: error.to_string(),
        })?;
    let (weak, state) = (tail.downgrade(), Arc::clone(streams));
    decoder.connect_pad_added(move |_, pad| {
        let Some(tail) = weak.upgrade() else { return };
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let video = (caps.structure(0)).is_some_and(|caps| caps.name().starts_with("video/"));
        if video && !state.video.swap(true, Ordering::AcqRel) && link(pad, &caps, &tail).is_none() {
            tracing::warn!("a video stream of {caps} cannot be converted");
            state.video.store(false, Ordering::Release);
        }
    });
    let state = Arc::clone(streams);
    decoder.connect_no_more_pads(move |_| state.complete.store(true, Ordering::Release));
    Ok(pipeline)
}

/// Links a decoded stream to the tail, through `nvvidconv` where it lies in the memory of a
/// Jetson's decoder.
fn link(pad: &gst::Pad, caps: &gst::CapsRef, tail: &gst::Bin) -> Option<()> {
    let sink = tail.static_pad("sink")?;
    let nvmm = caps
        .features(0)
        .is_some_and(|features| features.contains("memory:NVMM"));
    if nvmm {
        let text = "nvvidconv ! video/x-raw,format=BGRx";
        let convert = gst::parse::bin_from_description(text, true).ok()?;
        let parent = tail.parent()?.downcast::<gst::Bin>().ok()?;
        parent.add(&convert).ok()?;
        convert.static_pad("src")?.link(&sink).ok()?;
        convert.sync_state_with_parent().ok()?;
        pad.link(&convert.static_pad("sink")?).ok()?;
    } else {
        pad.link(&sink).ok()?;
    }
    Some(())
}

/// The description of a decoder that is not installed, from decodebin's message.
fn missing_codec(message: &gst::message::Element) -> Option<String> {
    let structure = message.structure()?;
    if structure.name() != "missing-plugin" {
        return None;
    }
    structure.get("name").ok()
}
