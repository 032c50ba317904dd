//! Pipelines that end in an appsink of RGB frames.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use gstreamer::{self as gst, glib, prelude::*};

use super::{
    hardware::{Hardware, TO_SYSTEM},
    spec::Csi,
};
use crate::{VideoError, gst as support};

/// Name of the appsink.
pub(super) const SINK: &str = "tfjet_sink";
/// Name of the queue before the conversion.
pub(super) const QUEUE: &str = "tfjet_queue";

/// The end of every pipeline: conversion in a thread of its own, few frames ahead.
pub(super) const TAIL: &str = "queue name=tfjet_queue max-size-buffers=2 max-size-bytes=0 max-size-time=0 \
    ! videoconvert ! video/x-raw,format=RGB \
    ! appsink name=tfjet_sink sync=false drop=false max-buffers=2 enable-last-sample=false";

/// What the demuxer found, and what decodes it.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    found: Arc<Found>,
    pub(super) hardware: Arc<Hardware>,
}

#[derive(Debug, Default)]
struct Found {
    video: AtomicBool,
    other: AtomicBool,
    complete: AtomicBool,
}

impl Streams {
    pub(super) fn new(hardware: Hardware) -> Self {
        Self {
            found: Arc::default(),
            hardware: Arc::new(hardware),
        }
    }

    pub(super) fn any(&self) -> bool {
        self.found.other.load(Ordering::Acquire) || self.found.video.load(Ordering::Acquire)
    }

    /// Are there streams, but no video among them?
    pub(super) fn without_video(&self) -> bool {
        self.found.other.load(Ordering::Acquire) && !self.found.video.load(Ordering::Acquire)
    }

    /// Has the demuxer found all streams, and no video among them?
    pub(super) fn complete_without_video(&self) -> bool {
        self.found.complete.load(Ordering::Acquire) && !self.found.video.load(Ordering::Acquire)
    }
}

/// `source`, a decodebin, the tail; `caps` restrict what the source gives.
pub(super) fn decoding(
    place: &str,
    source: gst::Element,
    caps: &str,
    streams: &Streams,
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

/// A CSI camera of a Jetson: scaled and turned by the hardware, then copied to system memory.
pub(super) fn csi(place: &str, camera: &Csi) -> Result<gst::Pipeline, VideoError> {
    let Csi {
        sensor,
        width,
        height,
        framerate: (numer, denom),
        flip,
    } = camera;
    for element in ["nvarguscamerasrc", "nvvidconv"] {
        if !support::exists(element) {
            return Err(support::missing(place, element));
        }
    }
    let text = format!(
        "nvarguscamerasrc sensor-id={sensor} \
         ! video/x-raw(memory:NVMM),width={width},height={height},framerate={numer}/{denom},format=NV12 \
         ! nvvidconv flip-method={flip} ! video/x-raw,format=BGRx ! {TAIL}"
    );
    support::launch(place, &text)
}

/// A pipeline of a decoding element, whose first video stream goes to the tail.
pub(super) fn assemble(
    place: &str,
    decoder: &gst::Element,
    streams: &Streams,
) -> Result<gst::Pipeline, VideoError> {
    let pipeline = gst::Pipeline::new();
    streams.hardware.watch(&pipeline);
    streams.hardware.guide(decoder);
    let tail = support::bin(place, TAIL)?;
    pipeline
        .add(decoder)
        .and_then(|()| pipeline.add(&tail))
        .map_err(|error| failed(place, &error))?;
    let (weak, state) = (tail.downgrade(), Arc::clone(&streams.found));
    decoder.connect_pad_added(move |_, pad| {
        let Some(tail) = weak.upgrade() else { return };
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let video = (caps.structure(0)).is_some_and(|caps| caps.name().starts_with("video/"));
        state.other.fetch_or(!video, Ordering::AcqRel);
        if video && !state.video.swap(true, Ordering::AcqRel) && link(pad, &caps, &tail).is_none() {
            tracing::warn!("a video stream of {caps} cannot be converted");
            state.video.store(false, Ordering::Release);
        }
    });
    let state = Arc::clone(&streams.found);
    decoder.connect_no_more_pads(move |_| state.complete.store(true, Ordering::Release));
    Ok(pipeline)
}

/// The error for a pipeline that cannot be put together.
pub(super) fn failed(place: &str, error: &glib::BoolError) -> VideoError {
    VideoError::Pipeline {
        place: place.to_owned(),
        element: "pipeline".to_owned(),
        message: error.to_string(),
    }
}

/// Links a decoded stream to the tail, through `nvvidconv` where it lies in the memory of a
/// Jetson's decoder.
fn link(pad: &gst::Pad, caps: &gst::CapsRef, tail: &gst::Bin) -> Option<()> {
    let sink = tail.static_pad("sink")?;
    let nvmm = caps
        .features(0)
        .is_some_and(|features| features.contains("memory:NVMM"));
    if nvmm {
        let convert = gst::parse::bin_from_description(TO_SYSTEM, true).ok()?;
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
pub(super) fn missing_codec(message: &gst::message::Element) -> Option<String> {
    let structure = message.structure()?;
    if structure.name() != "missing-plugin" {
        return None;
    }
    structure.get("name").ok()
}
