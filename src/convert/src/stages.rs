//! The converter's stages in order: import, resolve, infer and fold, partition, lower.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tfjet_core::{DType, Layer, NetworkSpec, Quantization, Target, TensorId};

use crate::ConvertError;
use crate::calibrate::{propagate, source_fingerprint};
use crate::graph::{InputRequest, OutputRequest, TypedGraph, WireId, build};
use crate::lower::{
    GraphRanges, WeightsStore, is_suppression, lacking, lower_with_ranges, target_narrows,
};
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
    /// The graph's own rounding of activations to 8 bits becomes ranges of tensors, for INT8; else
    /// it is computed.
    pub take_ranges: bool,
}

/// A graph in parts, its segments as networks.
#[derive(Debug, Clone)]
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
    /// The graph's own ranges of the tensors of each network, in the order of the networks: empty
    /// without [`ConvertOptions::take_ranges`].
    pub graph_ranges: Vec<BTreeMap<TensorId, f32>>,
    /// [`fingerprint`](crate::calibrate::fingerprint()) of the source.
    pub fingerprint: String,
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
    let resolved = resolve(source, file, options)?;
    lower_resolved(resolved, options, WeightsStore::default())
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
    let resolved = resolve(
        import_with(path, &import_options(options))?,
        &path.display().to_string(),
        options,
    )?;
    let mut all: Vec<Lowered> = Vec::with_capacity(targets.len());
    for target in targets {
        let mut options = options.clone();
        options.partition.target = target.clone();
        let weights = all.last().map(|lowered| lowered.weights.clone());
        let lowered = lower_resolved(resolved.clone(), &options, weights.unwrap_or_default());
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

/// A model behind the stages that do not depend on the target.
#[derive(Clone)]
struct Resolved {
    format: Format,
    typed: TypedGraph,
    fingerprint: String,
}

/// The stages that do not depend on the target.
fn resolve(
    mut source: SourceGraph,
    file: &str,
    options: &ConvertOptions,
) -> Result<Resolved, ConvertError> {
    check_exclusions(&source, &options.partition)?;
    let fingerprint = source_fingerprint(&source);
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
        lower_nms: options.partition.lower_nms,
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
    if options.take_ranges {
        typed.take_ranges();
    }
    if options.partition.lower_nms {
        let mut ops = typed.order.iter().map(|id| &typed.graph.node(*id).op);
        if !ops.any(|op| is_suppression(op)) {
            typed.notes.push(
                "--lower-nms: there is no NonMaxSuppression or CombinedNonMaxSuppression of its own; \
                 the one of a fused post-processing stays with it"
                    .into(),
            );
        }
    }
    Ok(Resolved {
        format,
        typed,
        fingerprint,
    })
}

/// The stages that depend on the target. New weights join those of `weights`.
fn lower_resolved(
    resolved: Resolved,
    options: &ConvertOptions,
    mut weights: WeightsStore,
) -> Result<Lowered, ConvertError> {
    let Resolved {
        format,
        mut typed,
        fingerprint,
    } = resolved;
    let target = &options.partition.target;
    let partition = partition(&typed, &options.partition);
    partition.settle(&mut typed);
    if partition.segment_count() == 0 && !options.allow_residual_only {
        return Err(ConvertError::NoSegment {
            reason: top_reason(&typed, &partition),
        });
    }
    let mut networks = Vec::with_capacity(partition.segment_count());
    let mut graph_ranges = Vec::with_capacity(partition.segment_count());
    let mut notes = RangeNotes::default();
    for part in parts(&typed, &partition) {
        for segment in &part.partition.segments {
            let (network, ranges) =
                lower_part(part.typed, segment, target, &mut weights, &mut notes)?;
            networks.push(network);
            graph_ranges.push(ranges);
        }
    }
    typed.notes.extend(notes.lines());
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
        graph_ranges,
        fingerprint,
        networks,
        weights,
    })
}

fn lower_part(
    typed: &TypedGraph,
    segment: &Segment,
    target: &Target,
    weights: &mut WeightsStore,
    notes: &mut RangeNotes,
) -> Result<(NetworkSpec, BTreeMap<TensorId, f32>), ConvertError> {
    let (mut network, ranges) = lower_with_ranges(
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
    let mut ranges = notes.take(&network, ranges);
    fold_scales(&mut network, weights)
        .and_then(|()| fuse_hard_sigmoids(&mut network, weights, &mut ranges))
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
        None => {
            let ids = (0..).map(TensorId).zip(&network.tensors);
            let ranges = ids.filter_map(|(id, it)| Some((id, *ranges.get(&it.name)?)));
            let ranges = ranges.collect();
            Ok((network, ranges))
        }
    }
}

/// What to say about the graph's own rounding, all segments together.
#[derive(Default)]
struct RangeNotes {
    lines: Vec<String>,
    computed: Vec<(String, String)>,
}

impl RangeNotes {
    /// The ranges by the names of tensors, which passes over the network keep; known for whatever
    /// the rounded values are moved to.
    fn take(&mut self, network: &NetworkSpec, ranges: GraphRanges) -> BTreeMap<String, f32> {
        let named = ranges.by_name(network, &mut self.lines);
        self.computed.extend(ranges.computed);
        let tensors = network.tensors.iter();
        let mut all: Vec<_> = tensors.map(|it| named.get(&it.name).copied()).collect();
        propagate(network, &mut all);
        let names = network.tensors.iter().map(|tensor| tensor.name.clone());
        names
            .zip(all)
            .filter_map(|(name, range)| Some((name, range?)))
            .collect()
    }

    fn lines(self) -> Vec<String> {
        let mut lines = self.lines;
        if let Some((node, because)) = self.computed.first() {
            lines.push(format!(
                "{} nodes round in floats and give no range for INT8, first `{node}`: {because}",
                self.computed.len()
            ));
        }
        lines
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
