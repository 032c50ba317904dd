//! Where frames and results go.

#[cfg(feature = "gstreamer")]
mod encoder;
#[cfg(feature = "gstreamer")]
mod gst_sink;
mod json_lines;
mod output;
mod png;
mod spec;

pub use self::spec::SinkSpec;
use crate::{Frame, Labels, Results, VideoError};

/// What all sinks of a run share.
#[derive(Debug, Clone, Default)]
pub struct SinkOptions {
    /// Frames per second of video files, as a fraction; 30 where the source does not say.
    pub frame_rate: Option<(u32, u32)>,
    /// Names of classes.
    pub labels: Labels,
    /// Names of the model's outputs, in the manifest's order.
    pub outputs: Vec<String>,
}

/// Takes frames and results one after the other.
///
/// A sink that is dropped without [`Sink::commit`] removes the files that it began.
pub trait Sink: std::fmt::Debug + Send {
    /// Does this sink show the frame of this index, so that results should be drawn into it?
    fn needs_overlay(&self, index: u64) -> bool;

    /// Takes one frame and its results.
    fn write(&mut self, frame: &Frame, results: &Results) -> Result<(), VideoError>;

    /// Writes what is left; the output is whole after, under a temporary name.
    fn complete(&mut self) -> Result<(), VideoError> {
        Ok(())
    }

    /// Puts a complete output in place under its final name.
    fn commit(self: Box<Self>) -> Result<(), VideoError> {
        Ok(())
    }
}

/// All sinks of a run.
#[derive(Debug, Default)]
pub struct Sinks(Vec<Box<dyn Sink>>);

impl Sinks {
    /// Opens sinks. Video files are begun with their first frame.
    pub fn open(specs: &[SinkSpec], options: &SinkOptions) -> Result<Self, VideoError> {
        let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
        for (position, spec) in specs.iter().enumerate() {
            if specs[..position]
                .iter()
                .any(|earlier| earlier.target() == spec.target())
            {
                return Err(spec::usage(
                    &spec.to_string(),
                    "two sinks write the same output",
                ));
            }
            sinks.push(open(spec, options)?);
        }
        Ok(Self(sinks))
    }

    /// Does any sink show the frame of this index?
    pub fn needs_overlay(&self, index: u64) -> bool {
        self.0.iter().any(|sink| sink.needs_overlay(index))
    }

    /// Gives a frame and its results to all.
    pub fn write(&mut self, frame: &Frame, results: &Results) -> Result<(), VideoError> {
        self.0
            .iter_mut()
            .try_for_each(|sink| sink.write(frame, results))
    }

    /// Completes all outputs, then puts them in place. Where one cannot be completed, none is kept.
    pub fn finish(mut self) -> Result<(), VideoError> {
        self.0.iter_mut().try_for_each(|sink| sink.complete())?;
        self.0.into_iter().try_for_each(|sink| sink.commit())
    }
}

fn open(spec: &SinkSpec, options: &SinkOptions) -> Result<Box<dyn Sink>, VideoError> {
    Ok(match spec {
        SinkSpec::JsonLines(path) => {
            Box::new(json_lines::JsonLines::open(path.as_deref(), options)?)
        }
        SinkSpec::PngFolder(path) => Box::new(png::PngFolder::open(path)?),
        SinkSpec::Png { path, frame } => Box::new(png::Png::open(path, *frame)?),
        SinkSpec::Fake => Box::new(Fake),
        #[cfg(feature = "gstreamer")]
        SinkSpec::Video(path) => Box::new(gst_sink::VideoFile::open(path, options)?),
        #[cfg(feature = "gstreamer")]
        SinkSpec::Display => Box::new(gst_sink::Display::open(options)?),
        #[cfg(not(feature = "gstreamer"))]
        SinkSpec::Video(_) | SinkSpec::Display => {
            return Err(VideoError::NoGStreamer(format!(
                "this program was built without it and cannot write {spec}"
            )));
        }
    })
}

/// Takes everything and does nothing, for measurements.
#[derive(Debug)]
struct Fake;

impl Sink for Fake {
    fn needs_overlay(&self, _: u64) -> bool {
        false
    }

    fn write(&mut self, _: &Frame, _: &Results) -> Result<(), VideoError> {
        Ok(())
    }
}
