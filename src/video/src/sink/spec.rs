use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::VideoError;

/// Extensions of video files that can be written.
const VIDEO_EXTENSIONS: [&str; 4] = ["mkv", "mp4", "avi", "webm"];

/// The text of `--sink`, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SinkSpec {
    /// `PATH.mkv`, `.mp4`, `.avi` or `.webm`: an annotated video file.
    Video(PathBuf),
    /// `PATH.jsonl` or `jsonl:PATH`; `-` or `jsonl:-` for standard output (`None`).
    JsonLines(Option<PathBuf>),
    /// `display`: a window.
    Display,
    /// `fake`: nothing.
    Fake,
    /// `FOLDER/`: a PNG for each frame, `frame_000000.png` and on.
    PngFolder(PathBuf),
    /// `PATH.png`, `PATH.png@N`: one annotated frame, the first or the one of index `frame`.
    Png {
        /// PNG file.
        path: PathBuf,
        /// Index of the frame, from 0.
        frame: u64,
    },
}

impl SinkSpec {
    /// What the sink writes, to find two that write the same.
    pub(super) fn target(&self) -> Option<&Path> {
        match self {
            Self::Video(path) | Self::PngFolder(path) | Self::Png { path, .. } => Some(path),
            Self::JsonLines(path) => Some(path.as_deref().unwrap_or(Path::new("-"))),
            Self::Display => Some(Path::new(":display")),
            Self::Fake => None,
        }
    }
}

impl FromStr for SinkSpec {
    type Err = VideoError;

    fn from_str(text: &str) -> Result<Self, VideoError> {
        match text {
            "" => return Err(usage(text, "it is empty")),
            "-" | "jsonl:-" => return Ok(Self::JsonLines(None)),
            "display" => return Ok(Self::Display),
            "fake" => return Ok(Self::Fake),
            _ => {}
        }
        if let Some(path) = text.strip_prefix("jsonl:").filter(|path| !path.is_empty()) {
            return Ok(Self::JsonLines(Some(path.into())));
        }
        if text.ends_with('/') {
            return Ok(Self::PngFolder(text.into()));
        }
        if let Some((path, index)) = text.rsplit_once('@')
            && extension(path) == "png"
        {
            let frame = index
                .parse()
                .map_err(|_| usage(text, &format!("`{index}` is no index of a frame")))?;
            return Ok(Self::Png {
                path: path.into(),
                frame,
            });
        }
        match extension(text).as_str() {
            "png" => Ok(Self::Png {
                path: text.into(),
                frame: 0,
            }),
            "jsonl" => Ok(Self::JsonLines(Some(text.into()))),
            video if VIDEO_EXTENSIONS.contains(&video) => Ok(Self::Video(text.into())),
            _ => Err(usage(
                text,
                "expected a file .mkv .mp4 .avi .webm .jsonl .png, a folder with a / at its end, \
                 -, display or fake",
            )),
        }
    }
}

impl fmt::Display for SinkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Video(path) | Self::PngFolder(path) => write!(f, "{}", path.display()),
            Self::JsonLines(Some(path)) => write!(f, "jsonl:{}", path.display()),
            Self::JsonLines(None) => f.write_str("-"),
            Self::Display => f.write_str("display"),
            Self::Fake => f.write_str("fake"),
            Self::Png { path, frame } => write!(f, "{}@{frame}", path.display()),
        }
    }
}

/// The lower-case extension; empty where there is none.
pub(super) fn extension(path: impl AsRef<Path>) -> String {
    let extension = path.as_ref().extension().unwrap_or_default();
    extension.to_string_lossy().to_ascii_lowercase()
}

pub(super) fn usage(text: &str, reason: &str) -> VideoError {
    VideoError::Usage {
        option: "--sink",
        text: text.to_owned(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_kinds_apart() {
        for (text, expected) in [
            ("out/a.mkv", SinkSpec::Video("out/a.mkv".into())),
            ("a.MP4", SinkSpec::Video("a.MP4".into())),
            ("-", SinkSpec::JsonLines(None)),
            ("jsonl:-", SinkSpec::JsonLines(None)),
            ("a.jsonl", SinkSpec::JsonLines(Some("a.jsonl".into()))),
            ("jsonl:a.txt", SinkSpec::JsonLines(Some("a.txt".into()))),
            ("display", SinkSpec::Display),
            ("fake", SinkSpec::Fake),
            ("frames/", SinkSpec::PngFolder("frames/".into())),
            (
                "a.png",
                SinkSpec::Png {
                    path: "a.png".into(),
                    frame: 0,
                },
            ),
            (
                "a.png@17",
                SinkSpec::Png {
                    path: "a.png".into(),
                    frame: 17,
                },
            ),
            (
                "me@home.png",
                SinkSpec::Png {
                    path: "me@home.png".into(),
                    frame: 0,
                },
            ),
        ] {
            let spec: SinkSpec = text.parse().unwrap();
            assert_eq!(spec, expected, "{text}");
            assert_eq!(
                spec.to_string().parse::<SinkSpec>().unwrap(),
                spec,
                "{text}"
            );
        }
        for text in ["", "a", "a.gif", "a.png@x", "jsonl:", "a.png@-1"] {
            assert!(text.parse::<SinkSpec>().unwrap_err().is_usage(), "{text}");
        }
    }
}
