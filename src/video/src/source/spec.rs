use std::path::{Path, PathBuf};

use crate::VideoError;

const IMAGE_EXTENSIONS: [&str; 3] = ["png", "jpg", "jpeg"];

/// The text of `--source`, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SourceSpec {
    /// An image file or a folder of them.
    Images(PathBuf),
    /// A video file.
    File(PathBuf),
    /// A V4L2 device and the caps asked of it, as `,name=value` pairs.
    Device { path: PathBuf, caps: String },
    /// An RTSP URL.
    Rtsp(String),
    /// A pipeline in GStreamer's notation.
    Pipeline(String),
}

impl SourceSpec {
    pub(super) fn parse(text: &str) -> Result<Self, VideoError> {
        if text.is_empty() {
            return Err(usage(text, "it is empty"));
        }
        if let Some(pipeline) = text.strip_prefix("gst:") {
            if pipeline.trim().is_empty() {
                return Err(usage(text, "the pipeline is empty"));
            }
            return Ok(Self::Pipeline(pipeline.trim().to_owned()));
        }
        if let Some(rest) = text.strip_prefix("videotestsrc")
            && (rest.is_empty() || rest.starts_with(':'))
        {
            return test_pattern(text, rest.trim_start_matches(':'));
        }
        if text.starts_with("rtsp://") || text.starts_with("rtsps://") {
            return Ok(Self::Rtsp(text.to_owned()));
        }
        if let Some(rest) = text.strip_prefix("v4l2://") {
            return device(text, rest);
        }
        if text.starts_with("/dev/video") {
            return device(text, text);
        }
        if let Some((scheme, _)) = text.split_once("://")
            && scheme != "file"
        {
            return Err(usage(
                text,
                "no such kind of URL; see gst: for other sources",
            ));
        }
        let path = Path::new(text.strip_prefix("file://").unwrap_or(text));
        if path.is_dir() || is_image(path) {
            return Ok(Self::Images(path.to_owned()));
        }
        Ok(Self::File(path.to_owned()))
    }
}

/// Does the name look like that of an image file?
pub(super) fn is_image(path: &Path) -> bool {
    path.extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| {
            IMAGE_EXTENSIONS
                .iter()
                .any(|known| extension.eq_ignore_ascii_case(known))
        })
}

fn usage(text: &str, reason: &str) -> VideoError {
    VideoError::Usage {
        option: "--source",
        text: text.to_owned(),
        reason: reason.to_owned(),
    }
}

/// `NAME=VALUE` pairs that are safe to put into a pipeline's text.
fn pairs<'a>(
    text: &str,
    list: &'a str,
    separator: char,
) -> Result<Vec<(&'a str, &'a str)>, VideoError> {
    let plain = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_./+".contains(c))
    };
    list.split(separator)
        .filter(|pair| !pair.is_empty())
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) if plain(name) && plain(value) => Ok((name, value)),
            _ => Err(usage(text, &format!("`{pair}` is not NAME=VALUE"))),
        })
        .collect()
}

fn test_pattern(text: &str, list: &str) -> Result<SourceSpec, VideoError> {
    let (mut properties, mut caps) = (String::new(), String::new());
    for (name, value) in pairs(text, list, ',')? {
        match name {
            "width" | "height" | "framerate" => caps.push_str(&format!(",{name}={value}")),
            _ => properties.push_str(&format!(" {name}={value}")),
        }
    }
    Ok(SourceSpec::Pipeline(format!(
        "videotestsrc{properties} ! video/x-raw{caps}"
    )))
}

fn device(text: &str, rest: &str) -> Result<SourceSpec, VideoError> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    if path.is_empty() {
        return Err(usage(text, "the device is missing"));
    }
    let mut caps = String::new();
    for (name, value) in pairs(text, query, '&')? {
        if !matches!(name, "width" | "height" | "framerate") {
            return Err(usage(
                text,
                &format!("`{name}` is not width, height or framerate"),
            ));
        }
        caps.push_str(&format!(",{name}={value}"));
    }
    Ok(SourceSpec::Device {
        path: path.into(),
        caps,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_kinds_apart() {
        let device = |path: &str, caps: &str| SourceSpec::Device {
            path: path.into(),
            caps: caps.into(),
        };
        let pipeline = |text: &str| SourceSpec::Pipeline(text.into());
        for (text, expected) in [
            ("clip.avi", SourceSpec::File("clip.avi".into())),
            ("file:///a/clip.avi", SourceSpec::File("/a/clip.avi".into())),
            (
                "videotestsrc.mkv",
                SourceSpec::File("videotestsrc.mkv".into()),
            ),
            ("a.PNG", SourceSpec::Images("a.PNG".into())),
            ("/dev/video3", device("/dev/video3", "")),
            (
                "v4l2:///dev/video0?width=640&framerate=30/1",
                device("/dev/video0", ",width=640,framerate=30/1"),
            ),
            ("rtsp://h/s", SourceSpec::Rtsp("rtsp://h/s".into())),
            ("gst: a ! b ", pipeline("a ! b")),
            ("videotestsrc", pipeline("videotestsrc ! video/x-raw")),
            (
                "videotestsrc:num-buffers=3,width=64,is-live=true",
                pipeline("videotestsrc num-buffers=3 is-live=true ! video/x-raw,width=64"),
            ),
        ] {
            assert_eq!(SourceSpec::parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for text in [
            "",
            "gst: ",
            "videotestsrc:num-buffers",
            "videotestsrc:pattern=a ! filesink",
            "v4l2://",
            "/dev/video0?exposure=1",
            "http://host/clip.mp4",
        ] {
            let error = SourceSpec::parse(text).unwrap_err();
            assert!(error.is_usage(), "{text}: {error}");
        }
    }
}
