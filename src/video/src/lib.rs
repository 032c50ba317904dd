//! Frames: where they come from, what a model makes of them, and where they go.
//!
//! In: a [`Source`] (video file, camera, RTSP, images, any GStreamer pipeline), or a
//! [`SupervisedSource`] that comes back after it was lost, and the outputs of a model as [`tfjet_core::TensorView`]s. Out: an input tensor ([`Preprocessor`]), [`Results`]
//! ([`decode`]), a drawn frame ([`Overlay`]), and video files, JSON Lines or PNGs ([`Sinks`]).
//!
//! Does not: run models, read bundles, know TensorFlow or TensorRT.
//!
//! GStreamer is behind the feature `gstreamer` (on by default). Without it, sources and sinks are
//! image files and JSON Lines.
//!
//! ```
//! use tfjet_core::{ColorOrder, DType, ImageLayout, Preprocess, ResizeFilter, ResizeMode, Tensor};
//! use tfjet_video::{Frame, Preprocessor};
//!
//! let frame = Frame::filled(640, 480, [255, 0, 0])?;
//! let mut preprocessor = Preprocessor::new(
//!     &Preprocess {
//!         input: 0,
//!         width: 320,
//!         height: 320,
//!         resize: ResizeMode::Letterbox(0),
//!         filter: ResizeFilter::Bilinear,
//!         color: ColorOrder::Rgb,
//!         mean: [0.0; 3],
//!         scale: [1.0 / 255.0; 3],
//!         layout: ImageLayout::Nhwc,
//!     },
//!     DType::F32,
//! )?;
//! let mut input = Tensor::default();
//! let placement = preprocessor.run(&frame, &mut input)?;
//! assert_eq!(input.shape(), [1, 320, 320, 3]);
//! assert_eq!(placement.to_source(160.0, 160.0), (320.0, 240.0));
//! # Ok::<(), tfjet_video::VideoError>(())
//! ```
#![forbid(unsafe_code)]

mod decode;
mod error;
mod frame;
#[cfg(feature = "gstreamer")]
mod gst;
mod labels;
mod mask;
mod overlay;
mod placement;
mod preprocess;
mod scale;
mod sink;
mod source;

pub use decode::{
    Class, Classes, Detection, Detections, Found, MAX_CLASSES, MAX_DETECTIONS, Output, Results,
    decode,
};
pub use error::VideoError;
pub use frame::Frame;
pub use labels::Labels;
pub use mask::mask_secrets;
pub use overlay::{Overlay, Status};
pub use placement::Placement;
pub use preprocess::Preprocessor;
pub use sink::{Sink, SinkOptions, SinkSpec, Sinks};
pub use source::{Next, RetryOptions, Source, SourceOptions, StopHandle, SupervisedSource};
