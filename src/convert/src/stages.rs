//! The converter's stages in order: import, resolve, infer and fold, partition, lower.

use std::collections::BTreeSet;
use std::path::Path;

use tfjet_core::{DType, Layer, NetworkSpec, Target};

use crate::ConvertError;
use crate::graph::{InputRequest, OutputRequest, TypedGraph, WireId, build};
use crate::lower::{WeightsStore, lacking, lower_segment, target_narrows};
use crate::partition::{Partition, PartitionOptions, partition};
use crate::passes::{fold_scales, fuse_hard_sigmoids, type_graph};
use crate::tensorflow::{Format, SourceGraph, import};

/// What the user asks of a conversion.
#[derive(Debug, Clone, Default)]
pub struct ConvertOptions {
    /// `--input`.
    pub inputs: Vec<InputRequest>,
    /// `--output`.
    pub outputs: Vec<OutputRequest>,
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
    let source = import(path)?;
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
    let (format, typed) = resolve(import(path)?, &path.display().to_string(), options)?;
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

/// The stages that do not depend on the target.
fn resolve(
    source: SourceGraph,
    file: &str,
    options: &ConvertOptions,
) -> Result<(Format, TypedGraph), ConvertError> {
    check_exclusions(&source, &options.partition)?;
    let format = source.format;
    let graph =
        build(source, &options.inputs, &options.outputs).map_err(|source| ConvertError::Build {
            file: file.into(),
            source: Box::new(source),
        })?;
    let keep =
        |node: &crate::graph::Node| options.partition.exclusion(&node.name, &node.op).is_some();
    let mut typed = type_graph(graph, &keep).map_err(|source| ConvertError::Type {
        file: file.into(),
        source: Box::new(source),
    })?;
    drop_unread_inputs(&mut typed);
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
    typed.settle(partition.computed.clone());
    if partition.segments.is_empty() && !options.allow_residual_only {
        return Err(ConvertError::NoSegment {
            reason: top_reason(&partition),
        });
    }
    let mut networks = Vec::with_capacity(partition.segments.len());
    for segment in &partition.segments {
        let mut network = lower_segment(
            &typed,
            &mut weights,
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
        fold_scales(&mut network, &mut weights)
            .and_then(|()| fuse_hard_sigmoids(&mut network, &mut weights))
            .map_err(|source| ConvertError::Fold {
                segment: segment.name.clone(),
                source,
            })?;
        if let Some((layer, source)) = lacking(&network, 0, target) {
            return Err(ConvertError::Lacks {
                segment: segment.name.clone(),
                layer,
                source,
            });
        }
        networks.push(network);
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
        networks,
        weights,
    })
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

fn top_reason(partition: &Partition) -> String {
    let mut counts: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    for residual in &partition.residual {
        *counts.entry(residual.reason.0.as_str()).or_default() += 1;
    }
    match counts.into_iter().max_by_key(|(_, count)| *count) {
        Some((reason, count)) => format!("{count}x {reason}"),
        None => "no output depends on the inputs".into(),
    }
}
