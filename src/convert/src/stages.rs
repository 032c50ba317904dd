//! The converter's stages in order: import, resolve, infer and fold, partition, lower.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tfjet_core::{DType, Layer, NetworkSpec, Quantization, Target};

use crate::ConvertError;
use crate::graph::{InputRequest, OutputRequest, TypedGraph, WireId, build};
use crate::lower::{WeightsStore, lacking, lower_segment, target_narrows};
use crate::partition::{Partition, PartitionOptions, Segment, partition, parts};
use crate::passes::{
    RewriteOptions, fold_pre_processing, fold_scales, fold_shuffles, fuse_hard_sigmoids, simplify,
};
use crate::tensorflow::{Format, ImportOptions, SourceGraph, import_with};

/// What the user asks of a conversion.
#[derive(Debug, Clone, Default)]
pub struct ConvertOptions {
    /// `--input`.
    pub inputs: Vec<InputRequest>,
    /// `--output`.
    pub outputs: Vec<OutputRequest>,
    /// `--batch`: size of the first dimension of every input that leaves it open.
    pub batch: Option<usize>,
    /// `--keep-post-processing`: the suppression of boxes stays as many ops.
    pub keep_post_processing: bool,
    /// `--fold-preprocessing`: frames are made into what the graph makes of its image.
    pub fold_preprocessing: bool,
    /// `--signature`, `--tag`, `--checkpoint`.
    pub import: ImportOptions,
    /// How to partition.
    pub partition: PartitionOptions,
    /// Accept a graph without any segment.
    pub allow_residual_only: bool,
}

/// A graph in parts, its segments as networks.
#[derive(Debug)]
pub struct Lowered {
    /// What it is for.
    pub target: Target,
    /// Format of the source.
    pub format: Format,
    /// The typed graph.
    pub typed: TypedGraph,
    /// Its parts.
    pub partition: Partition,
    /// One network per segment, in the partition's order.
    pub networks: Vec<NetworkSpec>,
    /// In which numbers each network computes, in the order of the networks; `None` where that is
    /// left to who builds an engine.
    pub quantizations: Vec<Option<Quantization>>,
    /// Weights of all networks; of several targets also those of the targets before.
    pub weights: WeightsStore,
}

impl Lowered {
    /// Transposes that the lowering put in, all networks together.
    pub fn transposes(&self) -> usize {
        self.networks.iter().map(NetworkSpec::transposes).sum()
    }
}

/// Reads a model and takes it through all stages.
pub fn lower_file(path: &Path, options: &ConvertOptions) -> Result<Lowered, ConvertError> {
    let source = import_with(path, &import_options(options))?;
    lower_source(source, &path.display().to_string(), options)
}

/// Takes a source graph through all stages; `file` names it in errors.
pub fn lower_source(
    source: SourceGraph,
    file: &str,
    options: &ConvertOptions,
) -> Result<Lowered, ConvertError> {
    let (format, typed) = resolve(source, file, options)?;
    lower_typed(format, typed, options, WeightsStore::default())
}

/// Reads a model and takes it through all stages for each of `targets`, which stand in place of
/// the one of the options. Weights that the targets have in common have the same ids.
///
/// # Errors
/// As [`lower_file`]; [`ConvertError::Target`] where it is one target that cannot be served.
pub fn lower_targets(
    path: &Path,
    options: &ConvertOptions,
    targets: &[Target],
) -> Result<Vec<Lowered>, ConvertError> {
    let (format, typed) = resolve(
        import_with(path, &import_options(options))?,
        &path.display().to_string(),
        options,
    )?;
    let mut all: Vec<Lowered> = Vec::with_capacity(targets.len());
    for target in targets {
        let mut options = options.clone();
        options.partition.target = target.clone();
        let weights = all.last().map(|lowered| lowered.weights.clone());
        let lowered = lower_typed(format, typed.clone(), &options, weights.unwrap_or_default());
        all.push(lowered.map_err(|error| error.of_target(&target.name, targets.len()))?);
    }
    Ok(all)
}

/// What to read: nothing that the wires asked for do not need.
fn import_options(options: &ConvertOptions) -> ImportOptions {
    let wire = |node: &String, port: u32| format!("{node}:{port}");
    let inputs = options.inputs.iter();
    let outputs = options.outputs.iter();
    ImportOptions {
        inputs: inputs.map(|it| wire(&it.node, it.port)).collect(),
        outputs: outputs.map(|it| wire(&it.node, it.port)).collect(),
        ..options.import.clone()
    }
}

/// The stages that do not depend on the target.
fn resolve(
    mut source: SourceGraph,
    file: &str,
    options: &ConvertOptions,
) -> Result<(Format, TypedGraph), ConvertError> {
    check_exclusions(&source, &options.partition)?;
    let format = source.format;
    let mut notes = std::mem::take(&mut source.notes);
    let mut graph =
        build(source, &options.inputs, &options.outputs).map_err(|source| ConvertError::Build {
            file: file.into(),
            source: Box::new(source),
        })?;
    if let Some(batch) = options.batch {
        graph.set_batch(batch);
    }
    let keep =
        |node: &crate::graph::Node| options.partition.exclusion(&node.name, &node.op).is_some();
    let rewrite = RewriteOptions {
        keep: &keep,
        keep_post_processing: options.keep_post_processing,
    };
    let mut typed = simplify(graph, &rewrite).map_err(|source| ConvertError::Pass {
        file: file.into(),
        source: Box::new(source),
    })?;
    notes.append(&mut typed.notes);
    typed.notes = notes;
    drop_unread_inputs(&mut typed);
    if options.fold_preprocessing {
        let image = fold_pre_processing(&mut typed)
            .map_err(|reason| ConvertError::Task(format!("--fold-preprocessing: {reason}")))?;
        typed.notes.push(image.note());
        typed.image = Some(image);
    }
    Ok((format, typed))
}

/// The stages that depend on the target. New weights join those of `weights`.
fn lower_typed(
    format: Format,
    mut typed: TypedGraph,
    options: &ConvertOptions,
    mut weights: WeightsStore,
) -> Result<Lowered, ConvertError> {
    let target = &options.partition.target;
    let partition = partition(&typed, &options.partition);
    partition.settle(&mut typed);
    if partition.segment_count() == 0 && !options.allow_residual_only {
        return Err(ConvertError::NoSegment {
            reason: top_reason(&typed, &partition),
        });
    }
    let mut networks = Vec::with_capacity(partition.segment_count());
    for part in parts(&typed, &partition) {
        for segment in &part.partition.segments {
            networks.push(lower_part(part.typed, segment, target, &mut weights)?);
        }
    }
    if target_narrows(target) && networks.iter().any(holds_int64) {
        typed.notes.push(format!(
            "int64 tensors are computed as int32: {} has no int64",
            target.library()
        ));
    }
    Ok(Lowered {
        target: target.clone(),
        format,
        typed,
        partition,
        quantizations: vec![None; networks.len()],
        networks,
        weights,
    })
}

fn lower_part(
    typed: &TypedGraph,
    segment: &Segment,
    target: &Target,
    weights: &mut WeightsStore,
) -> Result<NetworkSpec, ConvertError> {
    let mut network = lower_segment(
        typed,
        weights,
        &segment.name,
        &segment.nodes,
        &segment.inputs,
        &segment.outputs,
    )
    .map_err(|(id, source)| {
        let node = typed.graph.node(id);
        ConvertError::Lower {
            node: node.name.clone(),
            op: node.op.clone(),
            source,
        }
    })?;
    fold_shuffles(&mut network);
    fold_scales(&mut network, weights)
        .and_then(|()| fuse_hard_sigmoids(&mut network, weights))
        .map_err(|source| ConvertError::Fold {
            segment: segment.name.clone(),
            source,
        })?;
    match lacking(&network, 0, target) {
        Some((layer, source)) => Err(ConvertError::Lacks {
            segment: segment.name.clone(),
            layer,
            source,
        }),
        None => Ok(network),
    }
}

/// Does the network compute with int64, other than with sizes?
fn holds_int64(network: &NetworkSpec) -> bool {
    let given = network.inputs.iter();
    let made = network.layers.iter().filter_map(|layer| match layer.layer {
        Layer::Constant { .. } | Layer::Cast { .. } => layer.outputs.first(),
        _ => None,
    });
    given.chain(made).any(|id| {
        let tensor = network.tensor(*id);
        tensor.is_some_and(|tensor| tensor.dtype == DType::I64)
    })
}

/// An input that no output depends on need not be fed.
fn drop_unread_inputs(typed: &mut TypedGraph) {
    let mut read: BTreeSet<WireId> = typed
        .graph
        .outputs
        .iter()
        .map(|output| output.wire)
        .collect();
    for &id in &typed.order {
        read.extend(typed.graph.node(id).inputs.iter().copied());
    }
    let notes = &mut typed.notes;
    typed.graph.inputs.retain(|input| {
        let kept = read.contains(&input.wire);
        if !kept {
            notes.push(format!(
                "input `{}` dropped: no output depends on it",
                input.name
            ));
        }
        kept
    });
}

fn check_exclusions(source: &SourceGraph, options: &PartitionOptions) -> Result<(), ConvertError> {
    let unknown = |flag, what, name: &String| ConvertError::UnknownExclusion {
        flag,
        name: name.clone(),
        what,
    };
    for name in &options.exclude_nodes {
        if !source.nodes.iter().any(|node| node.name == *name) {
            return Err(unknown("--exclude-node", "node", name));
        }
    }
    for op in &options.deny_ops {
        if !source.nodes.iter().any(|node| node.op == *op) {
            return Err(unknown("--deny-op", "op", op));
        }
    }
    Ok(())
}

fn top_reason(typed: &TypedGraph, partition: &Partition) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for part in parts(typed, partition) {
        for residual in &part.partition.residual {
            *counts.entry(residual.reason.0.clone()).or_default() += 1;
        }
    }
    match counts.into_iter().max_by_key(|(_, count)| *count) {
        Some((reason, count)) => format!("{count}x {reason}"),
        None => "no output depends on the inputs".into(),
    }
}
