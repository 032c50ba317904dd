use std::{io, path::PathBuf};

use tfjet_core::TensorError;

use crate::mask::Secrets;

/// What went wrong with a source, a sink, or a frame's way through pre- and post-processing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VideoError {
    /// The text of a source or sink cannot be understood.
    #[error("{option} `{text}`: {reason}")]
    Usage {
        /// `--source` or `--sink`.
        option: &'static str,
        /// Text that was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file or folder cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// File or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file or folder cannot be written.
    #[error("{}: cannot write: {source}", path.display())]
    Write {
        /// File or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// An image file cannot be decoded or encoded.
    #[error("{}: {reason}", path.display())]
    Image {
        /// Image file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The source holds no video stream.
    #[error("no video stream in {0}")]
    NoVideoStream(String),
    /// The source ended before its first frame.
    #[error("no video frame in {0}")]
    NoFrames(String),
    /// The file is shorter than its own headers say.
    #[error("{file} ends mid-stream after {frames} frames: {reason}")]
    Truncated {
        /// Video file.
        file: String,
        /// Frames that could be read.
        frames: u64,
        /// What the headers say and the file lacks.
        reason: String,
    },
    /// GStreamer reported an error.
    #[error("{place}: {message} ({element})")]
    Pipeline {
        /// Source or sink.
        place: String,
        /// Element that failed.
        element: String,
        /// GStreamer's text.
        message: String,
    },
    /// No frame came or went for too long.
    #[error("{place}: stalled, nothing for {seconds} s after {frames} frames")]
    Stalled {
        /// Source or sink.
        place: String,
        /// Seconds waited.
        seconds: u64,
        /// Frames before.
        frames: u64,
    },
    /// A live source ended.
    #[error("{0}: the stream ended")]
    Ended(String),
    /// The server wants a user and a password, or other ones.
    #[error("{0}: the server refuses the user or the password")]
    Unauthorized(String),
    /// The server cannot be reached.
    #[error("{place}: {reason}")]
    Unreachable {
        /// URL, secrets masked.
        place: String,
        /// Why, such as `connection refused`.
        reason: String,
    },
    /// A source did not come back in time.
    #[error("{place}: given up after {seconds} s: {reason}")]
    Lost {
        /// Source.
        place: String,
        /// Seconds without a frame.
        seconds: u64,
        /// The last error of it.
        reason: String,
    },
    /// GStreamer itself is missing or does not start.
    #[error("GStreamer is not available: {0}")]
    NoGStreamer(String),
    /// A GStreamer element is not installed.
    #[error("{place}: GStreamer element `{element}` is not installed{hint}")]
    MissingElement {
        /// Source or sink.
        place: String,
        /// Element, or GStreamer's description of it.
        element: String,
        /// Where to get it, as a continuation of the sentence; may be empty.
        hint: &'static str,
    },
    /// A camera or display is absent or cannot be opened.
    #[error("{device}: {reason}")]
    MissingDevice {
        /// Camera or display.
        device: String,
        /// Why.
        reason: String,
    },
    /// A frame's size is zero, too large, or not the one that a sink was begun with.
    #[error("frame {frame} is {width}x{height}: {reason}")]
    FrameSize {
        /// Index of the frame.
        frame: u64,
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The pre-processing cannot be done.
    #[error("pre-processing: {0}")]
    Preprocess(String),
    /// A model's output does not fit the decoder.
    #[error("decoder `{decoder}`, output {output}: {reason}")]
    Decode {
        /// Kind of decoder.
        decoder: &'static str,
        /// Index of the output.
        output: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A tensor cannot be made or read.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

impl VideoError {
    /// Is a library, an element or a device missing, rather than the input bad?
    pub fn is_missing(&self) -> bool {
        matches!(
            self,
            Self::NoGStreamer(_)
                | Self::MissingElement { .. }
                | Self::MissingDevice { .. }
                | Self::Unreachable { .. }
        )
    }

    /// Would opening the source again fail in the same way?
    pub(crate) fn is_lasting(&self) -> bool {
        matches!(
            self,
            Self::Usage { .. } | Self::NoGStreamer(_) | Self::MissingElement { .. }
        )
    }

    /// Is the text of an option wrong?
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Usage { .. })
    }

    /// The error with the secrets of a source taken out of every text.
    pub(crate) fn masked(mut self, secrets: &Secrets) -> Self {
        let texts: [Option<&mut String>; 3] = match &mut self {
            Self::Usage { text, reason, .. } => [Some(text), Some(reason), None],
            Self::NoVideoStream(text)
            | Self::NoFrames(text)
            | Self::NoGStreamer(text)
            | Self::Ended(text)
            | Self::Unauthorized(text) => [Some(text), None, None],
            Self::Truncated { file, reason, .. } => [Some(file), Some(reason), None],
            Self::Pipeline {
                place,
                element,
                message,
            } => [Some(place), Some(element), Some(message)],
            Self::Stalled { place, .. } => [Some(place), None, None],
            Self::Unreachable { place, reason } | Self::Lost { place, reason, .. } => {
                [Some(place), Some(reason), None]
            }
            Self::MissingElement { place, element, .. } => [Some(place), Some(element), None],
            Self::MissingDevice { device, reason } => [Some(device), Some(reason), None],
            Self::Read { .. }
            | Self::Write { .. }
            | Self::Image { .. }
            | Self::FrameSize { .. }
            | Self::Preprocess(_)
            | Self::Decode { .. }
            | Self::Tensor(_) => [None, None, None],
        };
        for text in texts.into_iter().flatten() {
            *text = secrets.mask(text);
        }
        self
    }

    pub(crate) fn read(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Read {
            path: path.into(),
            source,
        }
    }

    pub(crate) fn write(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Write {
            path: path.into(),
            source,
        }
    }

    pub(crate) fn image(path: impl Into<PathBuf>, reason: impl ToString) -> Self {
        Self::Image {
            path: path.into(),
            reason: one_line(&reason.to_string()),
        }
    }
}

/// Line breaks become spaces: foreign texts must not break a one-line message.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
