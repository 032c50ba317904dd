//! What sources and sinks need of GStreamer.

use gstreamer::{self as gst, glib, prelude::*};

use crate::{VideoError, error::one_line, mask_secrets};

/// Starts GStreamer, once a process.
pub(crate) fn init() -> Result<(), VideoError> {
    gst::init().map_err(|error| VideoError::NoGStreamer(one_line(error.message())))
}

/// Is an element installed?
pub(crate) fn exists(element: &str) -> bool {
    gst::ElementFactory::find(element).is_some()
}

/// Makes an element.
pub(crate) fn make(place: &str, element: &str) -> Result<gst::Element, VideoError> {
    gst::ElementFactory::make(element)
        .build()
        .map_err(|_| missing(place, element))
}

/// Makes a pipeline from GStreamer's notation.
pub(crate) fn launch(place: &str, text: &str) -> Result<gst::Pipeline, VideoError> {
    let mut context = gst::ParseContext::new();
    let flags = gst::ParseFlags::FATAL_ERRORS;
    let parsed = gst::parse::launch_full(text, Some(&mut context), flags);
    // An element whose property is wrong is listed too.
    let absent = context.missing_elements();
    if let Some(element) = absent.iter().find(|element| !exists(element)) {
        return Err(missing(place, element));
    }
    let element = parsed.map_err(|error| parse_error(place, &error))?;
    element.downcast().map_err(|element| VideoError::Pipeline {
        place: place.to_owned(),
        element: element.name().to_string(),
        message: "it is one element, not a pipeline".to_owned(),
    })
}

/// Makes a bin from GStreamer's notation, with a pad for what is left unlinked.
pub(crate) fn bin(place: &str, text: &str) -> Result<gst::Bin, VideoError> {
    if let Some(element) = (text.split('!'))
        .filter_map(|part| part.split_whitespace().next())
        .find(|word| !word.contains('/') && !exists(word))
    {
        return Err(missing(place, element));
    }
    gst::parse::bin_from_description(text, true).map_err(|error| parse_error(place, &error))
}

fn parse_error(place: &str, error: &glib::Error) -> VideoError {
    VideoError::Pipeline {
        place: place.to_owned(),
        element: "pipeline".to_owned(),
        message: one_line(error.message()),
    }
}

/// The error for an element that is not installed.
pub(crate) fn missing(place: &str, element: &str) -> VideoError {
    VideoError::MissingElement {
        place: place.to_owned(),
        element: element.to_owned(),
        hint: hint(element),
    }
}

/// Where Debian and Ubuntu keep an element.
fn hint(element: &str) -> &'static str {
    match element {
        "appsink" | "appsrc" | "videoconvert" | "videotestsrc" | "decodebin" | "uridecodebin" => {
            "; it comes with gstreamer1.0-plugins-base"
        }
        "v4l2src" | "rtspsrc" | "avimux" | "matroskamux" | "webmmux" | "mp4mux" | "jpegenc"
        | "vp8enc" | "autovideosink" => "; it comes with gstreamer1.0-plugins-good",
        "openh264enc" | "h264parse" => "; it comes with gstreamer1.0-plugins-bad",
        "x264enc" => "; it comes with gstreamer1.0-plugins-ugly",
        name if name.starts_with("avdec") || name.starts_with("avenc") => {
            "; it comes with gstreamer1.0-libav"
        }
        name if name.starts_with("nv") => "; it comes with NVIDIA's JetPack",
        _ => "",
    }
}

/// A property from its text, with an error where the element has none such.
pub(crate) fn set(
    place: &str,
    element: &gst::Element,
    property: &str,
    value: &str,
) -> Result<(), VideoError> {
    let fail = |message: String| VideoError::Pipeline {
        place: place.to_owned(),
        element: element.name().to_string(),
        message,
    };
    let spec = element
        .find_property(property)
        .ok_or_else(|| fail(format!("no property `{property}`")))?;
    if spec.value_type() == glib::Type::STRING {
        element.set_property(property, value);
    } else {
        let value = glib::Value::deserialize(value, spec.value_type())
            .map_err(|_| fail(format!("`{value}` is no value for `{property}`")))?;
        element.set_property_from_value(property, &value);
    }
    Ok(())
}

/// An object's name. GStreamer's own numbers are left out, since they grow with each pipeline, and
/// the element is put before a name that does not tell it.
fn named(object: &gst::Object) -> String {
    let name = object.name();
    let factory = (object.downcast_ref::<gst::Element>()).and_then(|element| element.factory());
    match factory.map(|factory| factory.name()) {
        Some(element) if name.trim_end_matches(|c: char| c.is_ascii_digit()) == element => {
            element.into()
        }
        Some(element) if !name.contains(element.as_str()) => format!("{element} {name}"),
        _ => name.into(),
    }
}

/// An error message of the bus as an error.
pub(crate) fn bus_error(place: &str, message: &gst::message::Error) -> VideoError {
    let element = message.src().map_or_else(|| "pipeline".to_owned(), named);
    let error = message.error();
    if error.matches(gst::StreamError::TypeNotFound) || error.matches(gst::StreamError::WrongType) {
        return VideoError::NoVideoStream(place.to_owned());
    }
    if error.matches(gst::StreamError::CodecNotFound)
        || error.matches(gst::CoreError::MissingPlugin)
    {
        return missing(place, &one_line(error.message()));
    }
    if error.matches(gst::ResourceError::NotAuthorized) {
        return VideoError::Unauthorized(place.to_owned());
    }
    VideoError::Pipeline {
        place: place.to_owned(),
        element,
        message: text(error.message(), message.debug().as_deref()),
    }
}

/// GStreamer's message, and the last line of its debugging text, where the reason stands.
fn text(message: &str, debug: Option<&str>) -> String {
    let message = one_line(message);
    // The first line of the debugging text is a place in GStreamer's sources.
    let reason = debug
        .and_then(|debug| debug.trim().split_once('\n'))
        .map(|(_, reason)| one_line(reason))
        .filter(|reason| !reason.is_empty() && !message.contains(reason.as_str()));
    let message = mask_secrets(&message);
    match reason.as_deref().map(mask_secrets) {
        Some(reason) => format!(
            "{} {reason}",
            message.trim_end_matches('.').to_owned() + ":"
        ),
        None => message,
    }
}

/// The first error on the bus; warnings before it go to the log. Waits up to `timeout`.
pub(crate) fn pop_error(
    place: &str,
    pipeline: &gst::Pipeline,
    timeout: gst::ClockTime,
) -> Option<VideoError> {
    let bus = pipeline.bus()?;
    let kinds = [gst::MessageType::Error, gst::MessageType::Warning];
    // The binding's `timed_pop_filtered` never finds anything where the timeout is zero.
    let next = || match bus.pop_filtered(&kinds) {
        None if timeout > gst::ClockTime::ZERO => bus.timed_pop_filtered(timeout, &kinds),
        message => message,
    };
    while let Some(message) = next() {
        match message.view() {
            gst::MessageView::Error(error) => return Some(bus_error(place, error)),
            gst::MessageView::Warning(warning) => warn(place, warning),
            _ => {}
        }
    }
    None
}

/// A warning of the bus goes to the log.
pub(crate) fn warn(place: &str, warning: &gst::message::Warning) {
    tracing::warn!(
        place,
        element = warning.src().map(|src| src.name().to_string()),
        "{}",
        text(warning.error().message(), warning.debug().as_deref())
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_one_line_with_the_reason() {
        for (message, debug, expected) in [
            (
                "Internal data stream error.",
                Some("a.c(1): f (): /p:\nstreaming stopped, reason not-linked (-1)"),
                "Internal data stream error: streaming stopped, reason not-linked (-1)",
            ),
            ("Gone.", Some("a.c(1): f ()"), "Gone."),
            ("Two\nlines", None, "Two lines"),
        ] {
            assert_eq!(text(message, debug), expected);
        }
    }

    #[test]
    fn an_error_on_the_bus_is_found_without_a_wait() {
        init().unwrap();
        let pipeline = gst::Pipeline::new();
        assert!(pop_error("here", &pipeline, gst::ClockTime::ZERO).is_none());
        let bus = pipeline.bus().unwrap();
        bus.post(gst::message::Eos::new()).unwrap();
        for (name, expected) in [
            (None, "here: Gone. (identity)"),
            (Some("left"), "here: Gone. (identity left)"),
            (Some("identity_left"), "here: Gone. (identity_left)"),
        ] {
            let element = gst::ElementFactory::make("identity");
            let element = element.name_if_some(name).build().unwrap();
            let error = gst::message::Error::builder(gst::ResourceError::Failed, "Gone.");
            bus.post(error.src(&element).build()).unwrap();
            let error = pop_error("here", &pipeline, gst::ClockTime::ZERO).unwrap();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn missing_elements_are_named() {
        init().unwrap();
        let error = launch("here", "videotestsrc ! nosuchelement ! fakesink").unwrap_err();
        assert!(error.is_missing());
        assert_eq!(
            error.to_string(),
            "here: GStreamer element `nosuchelement` is not installed"
        );
        assert!(
            make("here", "nvv4l2h264encx")
                .unwrap_err()
                .to_string()
                .ends_with("NVIDIA's JetPack")
        );
        assert!(
            !launch("here", "videotestsrc foo=1 ! fakesink")
                .unwrap_err()
                .is_missing()
        );
    }
}
