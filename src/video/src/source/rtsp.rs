//! RTSP streams.

use std::{
    io,
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use gstreamer::{self as gst, prelude::*};

use super::gst_pipeline::{self, Streams};
use crate::{VideoError, error::one_line, gst as support};

/// How far a stream is behind, in milliseconds, so that late packets find their place.
const LATENCY: &str = "100";

/// The port where a URL names none.
const PORT: u16 = 554;

/// Longest wait for a server that GStreamer could not connect to.
const CONNECT: Duration = Duration::from_secs(2);

/// The first video stream of an RTSP server; the others are not asked for.
pub(super) fn pipeline(
    place: &str,
    url: &str,
    timeout: Duration,
    streams: &Streams,
) -> Result<gst::Pipeline, VideoError> {
    let source = support::make(place, "rtspsrc")?;
    let decoder = support::make(place, "decodebin")?;
    support::set(place, &source, "location", url)?;
    let micros = timeout.as_micros().to_string();
    for (property, value) in [
        ("latency", LATENCY),
        ("drop-on-latency", "true"),
        ("tcp-timeout", &micros),
    ] {
        if source.has_property(property) {
            support::set(place, &source, property, value)?;
        }
    }
    let pipeline = gst_pipeline::assemble(place, &decoder, streams)?;
    pipeline
        .add(&source)
        .map_err(|error| gst_pipeline::failed(place, &error))?;
    source.connect("select-stream", false, |values| {
        let caps = values.get(2).and_then(|caps| caps.get::<gst::Caps>().ok());
        Some(caps.is_none_or(|caps| is_video(&caps)).to_value())
    });
    let weak = decoder.downgrade();
    source.connect_pad_added(move |_, pad| {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let sink = weak
            .upgrade()
            .and_then(|decoder| decoder.static_pad("sink"));
        if let Some(sink) = sink
            && is_video(&caps)
            && !sink.is_linked()
            && let Err(error) = pad.link(&sink)
        {
            tracing::warn!("a stream of {caps} cannot be decoded: {error}");
        }
    });
    Ok(pipeline)
}

fn is_video(caps: &gst::Caps) -> bool {
    let media = caps
        .structure(0)
        .and_then(|caps| caps.get::<&str>("media").ok());
    media.is_none_or(|media| media == "video")
}

/// Why there is no connection, where the server cannot be reached: GStreamer does not say.
pub(super) fn unreachable(url: &str) -> Option<String> {
    let (host, port) = address(url)?;
    let connect = || -> io::Result<()> {
        let mut result = Err(io::Error::from(io::ErrorKind::NotFound));
        for address in (host, port).to_socket_addrs()? {
            result = TcpStream::connect_timeout(&address, CONNECT).map(|_| ());
            if result.is_ok() {
                break;
            }
        }
        result
    };
    let error = connect().err()?;
    Some(match error.kind() {
        kind @ (io::ErrorKind::ConnectionRefused
        | io::ErrorKind::TimedOut
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable) => format!("{kind} at port {port}"),
        _ => one_line(&error.to_string()),
    })
}

/// Host and port of a URL.
fn address(url: &str) -> Option<(&str, u16)> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let place = match rest.rfind('@') {
        Some(at) => rest.get(at + 1..)?.split(['/', '?', '#']).next()?,
        None => authority,
    };
    if let Some(inner) = place.strip_prefix('[') {
        let (host, port) = inner.split_once(']')?;
        let port = port
            .strip_prefix(':')
            .map_or(Some(PORT), |port| port.parse().ok());
        return Some((host, port?));
    }
    match place.split_once(':') {
        Some((host, port)) => Some((host, port.parse().ok()?)),
        None => Some((place, PORT)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_host_and_port() {
        for (url, expected) in [
            ("rtsp://host/s", Some(("host", 554))),
            ("rtsp://host:8554", Some(("host", 8554))),
            ("rtsp://u:p@host:1/s?x=1", Some(("host", 1))),
            ("rtsp://u:p/w@host/s", Some(("host", 554))),
            ("rtsp://[::1]:5/s", Some(("::1", 5))),
            ("rtsp://[::1]", Some(("::1", 554))),
            ("rtsp://host:port/", None),
            ("host", None),
        ] {
            assert_eq!(address(url), expected, "{url}");
        }
    }
}
