use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::{VideoError, mask_secrets};

const IMAGE_EXTENSIONS: [&str; 3] = ["png", "jpg", "jpeg"];

/// What `flip` may be, by its number.
const FLIPS: [&str; 8] = [
    "none",
    "counterclockwise",
    "rotate-180",
    "clockwise",
    "horizontal-flip",
    "upper-right-diagonal",
    "vertical-flip",
    "upper-left-diagonal",
];

/// Longest side that is asked of a camera.
const MAX_SIDE: u32 = 1 << 15;

/// The text of `--source`, understood.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum SourceSpec {
    /// An image file or a folder of them.
    Images(PathBuf),
    /// A video file.
    File(PathBuf),
    /// A V4L2 device and the caps asked of it, as `,name=value` pairs.
    Device { path: PathBuf, caps: String },
    /// A CSI camera of a Jetson.
    Csi(Csi),
    /// An RTSP URL.
    Rtsp(String),
    /// A pipeline in GStreamer's notation.
    Pipeline(String),
}

impl fmt::Debug for SourceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, text) = match self {
            Self::Images(path) => ("Images", path.display().to_string()),
            Self::File(path) => ("File", path.display().to_string()),
            Self::Device { path, caps } => ("Device", format!("{} {caps}", path.display())),
            Self::Csi(camera) => return write!(f, "{camera:?}"),
            Self::Rtsp(url) => ("Rtsp", url.clone()),
            Self::Pipeline(text) => ("Pipeline", text.clone()),
        };
        write!(f, "{kind}({})", mask_secrets(&text))
    }
}

/// What is asked of a CSI camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Csi {
    /// Number of the camera: Argus' `sensor-id`.
    pub(super) sensor: u32,
    /// Pixels.
    pub(super) width: u32,
    /// Pixels.
    pub(super) height: u32,
    /// Frames per second as a fraction.
    pub(super) framerate: (u32, u32),
    /// `flip-method` of `nvvidconv`, from 0 to 7.
    pub(super) flip: usize,
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
        if let Some(rest) = text.strip_prefix("csi:") {
            return csi(text, rest);
        }
        if ["rtsp://", "rtsps://", "rtspt://"]
            .iter()
            .any(|scheme| text.starts_with(scheme))
        {
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
        text: mask_secrets(text),
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
        match name {
            "width" | "height" => caps.push_str(&format!(",{name}={}", side(text, name, value)?)),
            "framerate" => {
                let (numer, denom) = framerate(text, value)?;
                caps.push_str(&format!(",framerate={numer}/{denom}"));
            }
            _ => {
                let reason = format!("`{name}` is not width, height or framerate");
                return Err(usage(text, &reason));
            }
        }
    }
    Ok(SourceSpec::Device {
        path: path.into(),
        caps,
    })
}

fn csi(text: &str, rest: &str) -> Result<SourceSpec, VideoError> {
    let (number, query) = rest.split_once('?').unwrap_or((rest, ""));
    let sensor = number
        .parse()
        .map_err(|_| usage(text, &format!("`{number}` is no number of a camera")))?;
    let mut camera = Csi {
        sensor,
        width: 1280,
        height: 720,
        framerate: (30, 1),
        flip: 0,
    };
    let mut sides = 0;
    for (name, value) in pairs(text, query, '&')? {
        match name {
            "width" => (camera.width, sides) = (side(text, name, value)?, sides | 1),
            "height" => (camera.height, sides) = (side(text, name, value)?, sides | 2),
            "framerate" => camera.framerate = framerate(text, value)?,
            "flip" => camera.flip = flip(text, value)?,
            _ => {
                let reason = format!("`{name}` is not width, height, framerate or flip");
                return Err(usage(text, &reason));
            }
        }
    }
    if !matches!(sides, 0 | 3) {
        return Err(usage(text, "width and height go together"));
    }
    Ok(SourceSpec::Csi(camera))
}

fn side(text: &str, name: &str, value: &str) -> Result<u32, VideoError> {
    match value.parse() {
        Ok(side @ 1..=MAX_SIDE) => Ok(side),
        _ => Err(usage(
            text,
            &format!("{name}={value}: not a number from 1 to {MAX_SIDE}"),
        )),
    }
}

/// `30` or `30000/1001`.
fn framerate(text: &str, value: &str) -> Result<(u32, u32), VideoError> {
    let (numer, denom) = value.split_once('/').unwrap_or((value, "1"));
    let part = |part: &str| {
        part.parse()
            .ok()
            .filter(|&part| matches!(part, 1..=1_000_000))
    };
    (part(numer).zip(part(denom))).ok_or_else(|| {
        let reason = format!("framerate={value}: not frames per second, such as 30 or 30000/1001");
        usage(text, &reason)
    })
}

fn flip(text: &str, value: &str) -> Result<usize, VideoError> {
    let number = value.parse().ok().filter(|&number| number < FLIPS.len());
    let named = FLIPS.iter().position(|name| *name == value);
    number.or(named).ok_or_else(|| {
        let reason = format!("flip={value}: not 0 to 7 or one of {}", FLIPS.join(", "));
        usage(text, &reason)
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
        let csi = |sensor, width, height, framerate, flip| {
            SourceSpec::Csi(Csi {
                sensor,
                width,
                height,
                framerate,
                flip,
            })
        };
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
            (
                "/dev/video1?framerate=30",
                device("/dev/video1", ",framerate=30/1"),
            ),
            ("csi:0", csi(0, 1280, 720, (30, 1), 0)),
            (
                "csi:1?width=1920&height=1080&framerate=60000/1001&flip=rotate-180",
                csi(1, 1920, 1080, (60000, 1001), 2),
            ),
            ("csi:2?flip=7", csi(2, 1280, 720, (30, 1), 7)),
            ("rtspt://h/s", SourceSpec::Rtsp("rtspt://h/s".into())),
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
    fn no_secret_is_shown() {
        for text in [
            "ftp://u:hunter2@host/s",
            "http://host/s?token=hunter2",
            "gst:rtspsrc user-pw=hunter2 ! decodebin",
            "rtsp://u:hunter2@host/s",
        ] {
            let shown = match SourceSpec::parse(text) {
                Ok(spec) => format!("{spec:?}"),
                Err(error) => format!("{error} {error:?}"),
            };
            assert!(
                shown.contains("***") && !shown.contains("hunter2"),
                "{shown}"
            );
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
            "/dev/video0?width=0",
            "/dev/video0?width=99999999999",
            "/dev/video0?framerate=30/0",
            "csi:",
            "csi:-1",
            "csi:front",
            "csi:0?width=640",
            "csi:0?flip=8",
            "csi:0?flip=left",
            "csi:0?framerate=fast",
            "csi:0?exposure=1",
            "http://host/clip.mp4",
        ] {
            let error = SourceSpec::parse(text).unwrap_err();
            assert!(error.is_usage(), "{text}: {error}");
        }
    }
}
