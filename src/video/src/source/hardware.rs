//! Which decoder a stream gets: a Jetson's own where it is there, else the processor.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use gstreamer::{self as gst, ElementFactoryType, glib, prelude::*};

use crate::gst as support;

/// NVIDIA's elements are all named so.
const NVIDIA: &str = "nv";
const DECODER: &str = "nvv4l2decoder";
const JPEG_DECODER: &str = "nvjpegdec";
const CONVERTER: &str = "nvvidconv";

/// From a Jetson's own memory to memory that the processor reads.
pub(super) const TO_SYSTEM: &str = "nvvidconv ! capsfilter caps=video/x-raw,format=BGRx";

/// May the hardware decode, and what of it is there?
#[derive(Debug)]
pub(super) struct Hardware {
    allowed: bool,
    decoder: Option<gst::ElementFactory>,
    /// Does [`DECODER`] know JPEG?
    mjpeg: bool,
    jpeg_decoder: bool,
    /// Is the stream that is being decoded JPEG?
    jpeg: AtomicBool,
    /// Was a decoder of the hardware put into the pipeline?
    used: AtomicBool,
}

impl Hardware {
    /// Looks for the elements. What they give lies in their own memory, so all need `nvvidconv`.
    pub(super) fn find(allowed: bool) -> Self {
        let usable = allowed && support::exists(CONVERTER);
        let decoder = gst::ElementFactory::find(DECODER).filter(|_| usable);
        let mjpeg = decoder.as_ref().is_some_and(|factory| {
            let element = factory.create().build();
            element.is_ok_and(|element| element.has_property("mjpeg"))
        });
        Self {
            allowed: usable,
            decoder,
            mjpeg,
            jpeg_decoder: usable && support::exists(JPEG_DECODER),
            jpeg: AtomicBool::new(false),
            used: AtomicBool::new(false),
        }
    }

    /// Was a decoder of the hardware tried?
    pub(super) fn used(&self) -> bool {
        self.used.load(Ordering::Acquire)
    }

    /// Tells a decodebin which decoders to leave out.
    pub(super) fn guide(self: &Arc<Self>, decodebin: &gst::Element) {
        let Some(result) = glib::Type::from_name("GstAutoplugSelectResult") else {
            return;
        };
        let answer = move |nick: &str| glib::EnumClass::with_type(result)?.to_value_by_nick(nick);
        if answer("skip").is_none() {
            return;
        }
        let own = Arc::clone(self);
        decodebin.connect("autoplug-select", false, move |values| {
            let candidate = || {
                let caps = values.get(2)?.get::<gst::Caps>().ok()?;
                Some((caps, values.get(3)?.get::<gst::ElementFactory>().ok()?))
            };
            let taken = candidate().is_none_or(|(caps, factory)| own.takes(&caps, &factory));
            answer(if taken { "try" } else { "skip" })
        });
    }

    /// Sets a decoder of the hardware up as it enters the pipeline.
    pub(super) fn watch(self: &Arc<Self>, pipeline: &gst::Pipeline) {
        let own = Arc::clone(self);
        pipeline.connect_deep_element_added(move |_, _, element| {
            let Some(factory) = element.factory() else {
                return;
            };
            if !is_hardware(&factory) || !is_decoder(&factory) {
                return;
            }
            own.used.store(true, Ordering::Release);
            if element.has_property("mjpeg") {
                element.set_property_from_str("mjpeg", text(own.jpeg.load(Ordering::Acquire)));
            }
            if element.has_property("enable-max-performance") {
                element.set_property_from_str("enable-max-performance", text(true));
            }
        });
    }

    /// Is this the element for a stream?
    fn takes(&self, caps: &gst::Caps, factory: &gst::ElementFactory) -> bool {
        if !is_decoder(factory) {
            return true;
        }
        let jpeg = caps
            .structure(0)
            .is_some_and(|caps| caps.name() == "image/jpeg");
        let name = factory.name();
        let taken = match self.best(caps, jpeg) {
            Some(best) => name == best,
            None => self.allowed || !is_hardware(factory),
        };
        if taken {
            self.jpeg.store(jpeg, Ordering::Release);
        }
        taken
    }

    /// The decoder that goes before all others.
    fn best(&self, caps: &gst::Caps, jpeg: bool) -> Option<&'static str> {
        let decoder = self.decoder.as_ref();
        if decoder.is_some_and(|factory| factory.can_sink_any_caps(caps)) && (!jpeg || self.mjpeg) {
            return Some(DECODER);
        }
        (jpeg && self.jpeg_decoder).then_some(JPEG_DECODER)
    }
}

fn text(flag: bool) -> &'static str {
    if flag { "true" } else { "false" }
}

fn is_decoder(factory: &gst::ElementFactory) -> bool {
    factory.has_type(ElementFactoryType::DECODER)
}

fn is_hardware(factory: &gst::ElementFactory) -> bool {
    factory.name().starts_with(NVIDIA)
}

/// What of a running pipeline brings frames into memory, for people.
pub(super) fn path(pipeline: &gst::Pipeline, fell_back: bool) -> String {
    let mut found = Found::default();
    found.add(pipeline.upcast_ref());
    let hardware = !(found.sources.is_empty() && found.converters.is_empty())
        || found.decoders.iter().any(|name| name.starts_with(NVIDIA));
    let all = [found.sources, found.decoders, found.converters].concat();
    match (all.is_empty(), hardware, fell_back) {
        (true, ..) => "raw video in system memory".to_owned(),
        (_, true, _) => all.join(", "),
        (_, false, false) => format!("{} in system memory", all.join(", ")),
        (_, false, true) => format!(
            "{} in system memory, since the hardware decoder failed",
            all.join(", ")
        ),
    }
}

/// The elements of a pipeline that are worth a word, by what they do.
#[derive(Default)]
struct Found {
    sources: Vec<String>,
    decoders: Vec<String>,
    converters: Vec<String>,
}

impl Found {
    fn add(&mut self, bin: &gst::Bin) {
        for element in bin.iterate_elements().into_iter().flatten() {
            let Some(factory) = element.factory() else {
                continue;
            };
            let bin = element.downcast_ref::<gst::Bin>();
            let list = match (is_decoder(&factory), is_hardware(&factory)) {
                (true, _) if bin.is_none() || is_hardware(&factory) => &mut self.decoders,
                (_, true) if factory.has_type(ElementFactoryType::SRC) => &mut self.sources,
                (_, true) => &mut self.converters,
                _ => {
                    if let Some(bin) = bin {
                        self.add(bin);
                    }
                    continue;
                }
            };
            let name = factory.name().to_string();
            if !list.contains(&name) {
                list.push(name);
            }
        }
    }
}
