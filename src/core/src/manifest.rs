use serde::{Deserialize, Serialize};

use crate::{ComputeCapability, DType, EngineKind, Release, Shape};

/// What a bundle is: its inputs and outputs, how a frame becomes an input, how outputs become
/// results, and how the conversion went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Name of the model, for people.
    pub model: String,
    /// tfjet version that wrote the bundle.
    pub tfjet_version: String,
    /// The target that the bundle was converted for; the names of several, sorted, with commas
    /// between them.
    pub target: String,
    /// In the schedule's order.
    pub inputs: Vec<InputSpec>,
    /// In the schedule's order.
    pub outputs: Vec<OutputSpec>,
    /// How a frame becomes the input; `None` where the model takes no image.
    pub preprocess: Option<Preprocess>,
    /// How outputs become results.
    pub decoder: Decoder,
    /// Names of classes, by class id; may be empty.
    pub labels: Vec<String>,
    /// How the conversion went; empty where the bundle is for several targets, of which each has
    /// its own in its [`TargetInfo`].
    pub summary: Summary,
}

/// One of the several targets that a bundle is for: what it asks of a machine, and how the
/// conversion for it went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetInfo {
    /// One line for people.
    pub description: String,
    /// What runs the segments.
    pub engine: EngineKind,
    /// The oldest release of the engine's library that can build the networks; absent for
    /// [`EngineKind::Cpu`].
    pub release: Option<Release>,
    /// Of the GPU, where the target means one kind of GPU.
    pub compute_capability: Option<ComputeCapability>,
    /// NVIDIA's software release that brings the library.
    pub jetpack: Option<String>,
    /// The target that the sections of its schedule, networks and ONNX models have: its own name,
    /// that of another target with the same, or nothing where all targets have the same.
    pub lowering: String,
    /// How the conversion went.
    pub summary: Summary,
}

impl TargetInfo {
    /// What runs the segments, with its release.
    pub fn library(&self) -> String {
        match self.release {
            Some(release) => format!("{} {release}", self.engine),
            None => self.engine.to_string(),
        }
    }
}

/// One input of the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputSpec {
    /// TensorFlow's name, `node` or `node:port`.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Shape; unknown dims are symbols. `None` for unknown rank.
    pub shape: Option<Shape>,
}

/// One output of the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputSpec {
    /// TensorFlow's name, `node` or `node:port`.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Shape as far as it was inferred.
    pub shape: Option<Shape>,
}

/// How a frame becomes an input tensor: resize, colour order, then `(x - mean) * scale` per
/// channel of the chosen order, then layout and type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocess {
    /// Index into [`Manifest::inputs`].
    pub input: usize,
    /// Width of the model's image in pixels.
    pub width: usize,
    /// Height of the model's image in pixels.
    pub height: usize,
    /// How the frame is fitted.
    pub resize: ResizeMode,
    /// How pixels are interpolated.
    pub filter: ResizeFilter,
    /// Order of the channels that the model expects.
    pub color: ColorOrder,
    /// Subtracted, per channel, on the 0..255 scale.
    pub mean: [f32; 3],
    /// Multiplied after, per channel.
    pub scale: [f32; 3],
    /// Layout that the model expects.
    pub layout: ImageLayout,
}

/// How a frame is fitted into the model's image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum ResizeMode {
    /// Both axes scaled on their own.
    Stretch,
    /// Aspect kept, centred, the rest filled with this value (0..255).
    Letterbox(u8),
    /// The largest centred square times this fraction (0..1] is cut out, then scaled.
    CenterCrop(f32),
}

/// How pixels are interpolated when a frame is scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResizeFilter {
    /// Nearest pixel.
    Nearest,
    /// Linear between neighbours, without anti-aliasing.
    Bilinear,
    /// Cubic (a = -0.5), with anti-aliasing, as the Python imaging library's `BICUBIC`.
    Bicubic,
    /// Mean over the covered area, for scaling down.
    Area,
}

/// Order of colour channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ColorOrder {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// One channel of luma (ITU-R BT.601).
    Gray,
}

/// Layout of an image tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImageLayout {
    /// Batch, height, width, channels.
    Nhwc,
    /// Batch, channels, height, width.
    Nchw,
}

/// How outputs become results. Indices are into [`Manifest::outputs`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Decoder {
    /// Outputs as they are.
    Raw,
    /// The `top_k` best classes of one output.
    Classify {
        /// \[1, classes\].
        output: usize,
        /// How many.
        top_k: usize,
    },
    /// The four outputs of a TensorFlow Object Detection API graph, boxes as
    /// (ymin, xmin, ymax, xmax) in 0..1.
    DetectSsd {
        /// \[1, n, 4\].
        boxes: usize,
        /// \[1, n\].
        scores: usize,
        /// \[1, n\].
        classes: usize,
        /// \[1\]; absent means all n.
        count: Option<usize>,
        /// Subtracted from a class to index the labels.
        class_offset: i32,
        /// Lowest score shown.
        threshold: f32,
    },
    /// One output with a row per detection.
    DetectRows {
        /// \[n, columns\] or \[1, n, columns\].
        output: usize,
        /// Which column means what.
        columns: BoxColumns,
        /// Boxes are in 0..1 rather than in pixels of the model's image.
        normalized: bool,
        /// Lowest score shown.
        threshold: f32,
    },
}

/// Which column of a detection row means what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoxColumns {
    /// Left.
    pub x1: usize,
    /// Top.
    pub y1: usize,
    /// Right.
    pub x2: usize,
    /// Bottom.
    pub y2: usize,
    /// Score.
    pub score: usize,
    /// Class id.
    pub class: usize,
}

impl BoxColumns {
    /// The columns by their names, in order: `x1`, `y1`, `x2`, `y2`, `score`, `class`, and whatever
    /// else.
    ///
    /// # Errors
    /// The name that is missing.
    pub fn named<S: AsRef<str>>(names: &[S]) -> Result<Self, &'static str> {
        let column = |wanted: &'static str| {
            let mut names = names.iter();
            names.position(|name| name.as_ref() == wanted).ok_or(wanted)
        };
        Ok(Self {
            x1: column("x1")?,
            y1: column("y1")?,
            x2: column("x2")?,
            y2: column("y2")?,
            score: column("score")?,
            class: column("class")?,
        })
    }
}

/// How the conversion went.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Nodes of the source graph.
    pub nodes: usize,
    /// One for each segment.
    pub segments: Vec<SegmentSummary>,
    /// Residual steps.
    pub residual: usize,
    /// Transposes that the lowering put in, all segments together.
    pub transposes: usize,
    /// Share of the graph's floating-point operations inside segments, 0..1.
    pub flops_inside: f64,
    /// What was dropped, downgraded or otherwise done that a user should know.
    pub notes: Vec<String>,
}

/// One segment in a [`Summary`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentSummary {
    /// Name of the segment.
    pub name: String,
    /// Nodes of the source graph that it computes.
    pub nodes: usize,
    /// Layers of its network.
    pub layers: usize,
    /// Floating-point operations for one run, where shapes are known.
    pub flops: u64,
}
