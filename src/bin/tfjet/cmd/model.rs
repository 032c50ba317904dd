//! Arguments that `plan`, `convert` and `compare` share.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use tfjet::convert::graph::{InputRequest, OutputRequest};
use tfjet::convert::partition::PartitionOptions;
use tfjet::convert::tensorflow::{Format, ImportOptions};
use tfjet::convert::{
    ConvertError, ConvertOptions, DecoderOptions, ImageOptions, TargetError, Task, find_target,
};
use tfjet::core::{Decoder, Target};
use tfjet::exit::Usage;

use crate::fetch::{ModelEntry, defaults_for};

/// The model and how to partition it.
#[derive(Debug, Clone, Args)]
pub(crate) struct ModelArgs {
    /// SavedModel (its directory), frozen graph (.pb, .pbtxt), MetaGraph with checkpoint (.meta) or
    /// TensorFlow.js graph model (model.json)
    #[arg(value_name = "MODEL")]
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) graph: GraphArgs,
}

/// How to read and partition a graph.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct GraphArgs {
    /// A wire to feed, with its shape where the graph leaves it open ("?" for an unknown size)
    #[arg(long, value_name = "NAME[:PORT][=1x224x224x3]")]
    pub(crate) input: Vec<InputRequest>,
    /// A wire to return [default: the model's signature, else every wire that feeds no node]
    #[arg(long, value_name = "NAME[:PORT]")]
    pub(crate) output: Vec<OutputRequest>,
    /// Signature of a SavedModel [default: serving_default, or the only one]
    #[arg(long, value_name = "NAME")]
    pub(crate) signature: Option<String>,
    /// Tag of a SavedModel's graph; repeat it where the graph has several [default: serve]
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Vec<String>,
    /// Checkpoint with a graph's variables, as a prefix (model.ckpt for model.ckpt.index; the file
    /// itself in the old format) [default: the one beside the graph]
    #[arg(long, value_name = "PREFIX")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// Leave a detector's post-processing as many ops instead of one
    #[arg(long)]
    pub(crate) keep_post_processing: bool,
    /// Let frames take over the cast, resize and arithmetic before the first layer
    #[arg(long)]
    pub(crate) fold_preprocessing: bool,
    /// Size of the first dimension of every input that leaves it open; 1 removes many loops
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) batch: Option<u32>,
    /// Segments with fewer nodes stay outside (constants count)
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) min_segment_size: u32,
    /// Keep this node outside the segments
    #[arg(long, value_name = "NAME")]
    pub(crate) exclude_node: Vec<String>,
    /// Keep this op type outside the segments
    #[arg(long, value_name = "OP")]
    pub(crate) deny_op: Vec<String>,
    /// Lower NonMaxSuppression and CombinedNonMaxSuppression to TensorRT's NMS layer (8.5 or
    /// later): boxes stay on the GPU, which is waited for, and no CUDA graph is recorded
    #[arg(long)]
    pub(crate) lower_nms: bool,
    /// What the bundle is for: a name of `tfjet targets`, or a TOML file; `convert` takes several
    #[arg(long, value_name = "TARGET[,TARGET]", default_value = "x86-cpu")]
    pub(crate) target: String,
    /// Accept a graph without any segment
    #[arg(long)]
    pub(crate) allow_residual_only: bool,
}

impl GraphArgs {
    /// What `--target` names.
    pub(crate) fn targets(&self) -> anyhow::Result<Vec<Target>> {
        let mut targets: Vec<Target> = Vec::new();
        for name in self.target.split(',') {
            let target = find_target(name).map_err(|error| match error {
                TargetError::Unknown { .. } => Usage(error.to_string()).into(),
                error => anyhow::Error::from(error),
            })?;
            if targets.iter().any(|other| other.name == target.name) {
                bail!(Usage(format!("--target names {} twice", target.name)));
            }
            targets.push(target);
        }
        Ok(targets)
    }

    /// The converter's options for one target; outputs of a model that the manifest knows are its
    /// default.
    pub(crate) fn options(&self, known: Option<&ModelEntry>) -> anyhow::Result<ConvertOptions> {
        match <[Target; 1]>::try_from(self.targets()?) {
            Ok([target]) => self.options_for(known, target),
            Err(_) => bail!(Usage(format!(
                "--target {}: this command takes one target",
                self.target
            ))),
        }
    }

    /// As [`GraphArgs::options`], for `target`.
    pub(crate) fn options_for(
        &self,
        known: Option<&ModelEntry>,
        target: Target,
    ) -> anyhow::Result<ConvertOptions> {
        let mut outputs = self.output.clone();
        if outputs.is_empty()
            && let Some(known) = known
        {
            outputs = known
                .outputs
                .iter()
                .filter_map(|name| name.parse().ok())
                .collect();
        }
        Ok(ConvertOptions {
            inputs: self.input.clone(),
            outputs,
            keep_post_processing: self.keep_post_processing,
            fold_preprocessing: self.fold_preprocessing,
            batch: self.batch.and_then(|batch| usize::try_from(batch).ok()),
            partition: PartitionOptions {
                min_segment_size: usize::try_from(self.min_segment_size).unwrap_or(usize::MAX),
                exclude_nodes: self.exclude_node.iter().cloned().collect(),
                deny_ops: self.deny_op.iter().cloned().collect(),
                lower_nms: self.lower_nms,
                target,
            },
            allow_residual_only: self.allow_residual_only,
            take_ranges: false,
            import: ImportOptions {
                signature: self.signature.clone(),
                tags: self.tag.clone(),
                checkpoint: self.checkpoint.clone(),
                ..ImportOptions::default()
            },
        })
    }

    /// What the model is for: what the manifest says of a model that it knows, unless other outputs
    /// are asked for.
    pub(crate) fn task(&self, known: Option<&ModelEntry>) -> Task {
        match known {
            Some(entry) if self.output.is_empty() => known_task(entry),
            _ => Task::default(),
        }
    }
}

/// The manifest's entry for a model file; a file that cannot be read is left to the importer.
pub(crate) fn known(path: &Path) -> Option<ModelEntry> {
    if !path.is_file() {
        return None;
    }
    match defaults_for(path) {
        Ok(entry) => entry,
        Err(error) => {
            tracing::warn!("the manifest of known models: {error}");
            None
        }
    }
}

/// What the manifest says that a model is for.
pub(crate) fn known_task(entry: &ModelEntry) -> Task {
    let output = |index: usize| entry.outputs.get(index).cloned();
    Task {
        image: entry.preprocess.as_ref().map(|preprocess| ImageOptions {
            input: entry.inputs.get(preprocess.input).cloned(),
            size: Some((preprocess.width, preprocess.height)),
            resize: preprocess.resize,
            filter: preprocess.filter,
            color: preprocess.color,
            mean: preprocess.mean,
            scale: preprocess.scale,
            required: false,
        }),
        decoder: match &entry.decoder {
            Decoder::Raw => DecoderOptions::Raw,
            Decoder::Classify {
                output: index,
                top_k,
            } => DecoderOptions::Classify {
                output: output(*index),
                top_k: *top_k,
            },
            Decoder::DetectSsd {
                boxes,
                scores,
                classes,
                count,
                class_offset,
                threshold,
            } => DecoderOptions::DetectSsd {
                boxes: output(*boxes).unwrap_or_default(),
                scores: output(*scores).unwrap_or_default(),
                classes: output(*classes).unwrap_or_default(),
                count: count.and_then(output),
                class_offset: *class_offset,
                threshold: *threshold,
            },
            Decoder::DetectRows {
                output: index,
                columns,
                normalized,
                threshold,
            } => DecoderOptions::DetectRows {
                output: output(*index),
                columns: *columns,
                normalized: *normalized,
                threshold: *threshold,
            },
        },
        labels: entry.labels.clone(),
    }
}

/// A format for people.
pub(crate) fn format_name(format: Format) -> String {
    format.to_string()
}

/// Puts the model's file before a message that does not name it.
pub(crate) fn at(path: &Path) -> impl Fn(ConvertError) -> anyhow::Error + '_ {
    move |error| match error.names_file() {
        true => error.into(),
        false => anyhow::Error::from(error).context(path.display().to_string()),
    }
}
