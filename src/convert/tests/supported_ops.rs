//! Which op runs where: `docs/supported-ops.md` is written from what the code decides about the
//! nodes of TensorFlow's goldens, and TF-TRT's list of ops is a part of ours.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "../../../tests/goldens/cases.rs"]
#[allow(dead_code, reason = "not all of it is used here")]
mod cases;
mod golden_nodes;
#[allow(dead_code, reason = "not all of it is used here")]
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use tfjet_convert::find_target;
use tfjet_convert::graph::{NodeId, TypedGraph, WireId};
use tfjet_convert::lower::{is_lowered, lowered_ops, needs, validate};
use tfjet_convert::partition::PartitionOptions;
use tfjet_core::{AttrValue, DType, EngineKind, Release, Target};

use golden_nodes::{feedings, nodes};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/supported-ops.md");
const VARIABLE: &str = "TFJET_REGENERATE_GOLDEN";

/// The engines of the table's columns.
const ENGINES: &[(&str, EngineKind, [u32; 2])] = &[
    ("CPU engine", EngineKind::Cpu, [0, 0]),
    ("8.2", EngineKind::TensorRt, [8, 2]),
    ("8.4", EngineKind::TensorRt, [8, 4]),
    ("8.5", EngineKind::TensorRt, [8, 5]),
    ("8.6", EngineKind::TensorRt, [8, 6]),
    ("10", EngineKind::TensorRt, [10, 0]),
    ("RTX 1.7", EngineKind::TensorRtRtx, [1, 7]),
];

/// Ops that TensorFlow runs in no graph of one node on a CPU, and what they are lowered like.
const LIKE: &[(&str, &str)] = &[("ResourceGather", "GatherV2")];

/// Ops that a pass makes others for `--lower-nms`, with what is left over outside.
const PADDED: &[(&str, &str)] = &[
    ("NonMaxSuppression", "NonMaxSuppressionV4"),
    ("NonMaxSuppressionV2", "NonMaxSuppressionV4"),
    ("NonMaxSuppressionV3", "NonMaxSuppressionV4"),
];

fn engines() -> Vec<Target> {
    let any = find_target("x86-cpu").unwrap();
    let one = |(_, engine, [major, minor]): &(&str, EngineKind, [u32; 2])| Target {
        engine: *engine,
        release: (*engine != EngineKind::Cpu).then_some(Release {
            major: *major,
            minor: *minor,
            patch: 0,
        }),
        ..any.clone()
    };
    ENGINES.iter().map(one).collect()
}

/// What becomes of an op's nodes in the goldens.
#[derive(Default, Clone)]
struct Judged {
    /// It is read past.
    bypassed: bool,
    /// It computes sizes, which segments work out themselves.
    sizes: bool,
    /// How many nodes each engine takes.
    taken: Vec<usize>,
    /// Types of the first input that is fed, in nodes that the CPU engine takes.
    dtypes: BTreeSet<&'static str>,
    /// Why a release does not take what the CPU engine takes.
    lacks: BTreeSet<String>,
    /// Why TensorRT-RTX does not.
    rtx_lacks: BTreeSet<String>,
}

impl Judged {
    fn judge(&mut self, typed: &TypedGraph, id: NodeId, engines: &[Target], fed: DType) {
        let verdicts: Vec<_> = engines.iter().map(|it| validate(typed, id, it)).collect();
        self.taken.resize(engines.len(), 0);
        if verdicts[0].is_err() {
            return;
        }
        self.dtypes.insert(fed.name());
        for ((taken, verdict), engine) in self.taken.iter_mut().zip(verdicts).zip(engines) {
            match verdict {
                Ok(()) => *taken += 1,
                Err(reason) => {
                    let library = format!("{} ", engine.library());
                    let reason = reason.0.strip_prefix(&library).unwrap_or(&reason.0);
                    let lacks = match engine.engine {
                        EngineKind::TensorRtRtx => &mut self.rtx_lacks,
                        _ => &mut self.lacks,
                    };
                    lacks.insert(general(reason));
                }
            }
        }
    }

    fn cell(&self, engine: usize) -> &'static str {
        let most = self.taken.first().copied().unwrap_or(0);
        match self.taken.get(engine).copied().unwrap_or(0) {
            0 if most == 0 && self.bypassed => "bypassed",
            0 if most == 0 && self.sizes => "sizes",
            0 => "–",
            taken if taken == most => "yes",
            _ => "partly",
        }
    }
}

fn judged() -> BTreeMap<String, Judged> {
    let engines = engines();
    let mut all: BTreeMap<String, Judged> = BTreeMap::new();
    for case in cases::cases().into_iter().chain(cases::segment_cases()) {
        let inputs = case.inputs();
        let op = all.entry(case.op.clone()).or_default();
        for fed in feedings(&inputs) {
            let nodes = nodes(&case, &inputs, &fed);
            let Ok(typed) = source::typed(&nodes, &[], &PartitionOptions::default()) else {
                continue;
            };
            let id = NodeId::from_index(nodes.len() - 1);
            if typed.derived[id.index()] {
                op.sizes = true;
            } else if typed.order.contains(&id) {
                let first = fed.iter().position(|fed| *fed).unwrap();
                op.judge(&typed, id, &engines, inputs[first].dtype());
            } else if typed.fact(WireId::new(id, 0)).value.is_none() {
                op.bypassed = true;
            }
        }
    }
    let range = counted();
    let id = NodeId::from_index(range.graph.nodes.len() - 1);
    let entry = all.entry("Range".into()).or_default();
    entry.judge(&range, id, &engines, DType::I32);
    all
}

/// A range over the rows of an input. One between constants is folded.
fn counted() -> TypedGraph {
    let strided = |bounds: [i32; 1], name: &str| source::constant(name, &[1], &bounds);
    let mut slice = source::node("rows", "StridedSlice", &["shape", "zero", "one", "one"]);
    slice.attrs.insert("shrink_axis_mask", AttrValue::Int(1));
    let nodes = [
        source::placeholder("x", &[None, Some(4)]),
        source::node("shape", "Shape", &["x"]),
        strided([0], "zero"),
        strided([1], "one"),
        slice,
        source::constant("start", &[], &[0i32]),
        source::constant("delta", &[], &[1i32]),
        source::node("op", "Range", &["start", "rows", "delta"]),
    ];
    source::typed(&nodes, &[], &PartitionOptions::default()).unwrap()
}

/// A reason without the numbers of one case.
fn general(reason: &str) -> String {
    match reason.contains("computes int64 as int32") {
        true => "before 10.0 takes int64 constants that fit int32".into(),
        false => reason.to_owned(),
    }
}

fn document() -> String {
    let mut judged = judged();
    for (op, like) in LIKE {
        let (taken, dtypes) = (judged[*like].taken.clone(), judged[*like].dtypes.clone());
        let entry = judged.entry((*op).to_owned()).or_default();
        (entry.taken, entry.dtypes) = (taken, dtypes);
    }
    for (op, padded) in PADDED {
        let padded = judged[*padded].clone();
        judged.insert((*op).to_owned(), padded);
    }
    let on_device: BTreeSet<&str> = tfjet_runtime::device_ops().iter().copied().collect();
    let mut ops: BTreeSet<&str> = lowered_ops().chain(tfjet_ops::supported_ops()).collect();
    ops.extend(judged.keys().map(String::as_str));
    ops.extend(&on_device);
    let mut text = String::from(HEAD);
    let names: Vec<&str> = ENGINES.iter().map(|(name, ..)| *name).collect();
    let _ = writeln!(
        text,
        "| op | {} | op on CPU | op on GPU | fed types | in a segment only with |",
        names.join(" | ")
    );
    let _ = writeln!(
        text,
        "|---{}|---|---|---|---|",
        "|---".repeat(ENGINES.len())
    );
    let nothing = Judged::default();
    for op in ops {
        let judged = judged.get(op).unwrap_or(&nothing);
        let cells: Vec<&str> = (0..ENGINES.len())
            .map(|engine| judged.cell(engine))
            .collect();
        let tick = |yes: bool| if yes { "yes" } else { "–" };
        let mut limits = vec![needs(op).to_owned()];
        if let Some((_, padded)) = PADDED.iter().find(|(name, _)| *name == op) {
            limits.push(format!("as {padded}: {}", needs(padded)));
        }
        let rtx = judged.rtx_lacks.difference(&judged.lacks);
        let rtx = rtx.map(|reason| format!("TensorRT-RTX {reason}"));
        let all = judged.lacks.iter();
        limits.extend(all.map(|reason| format!("TensorRT {reason}")).chain(rtx));
        limits.retain(|limit| !limit.is_empty());
        let dtypes: Vec<&str> = judged.dtypes.iter().copied().collect();
        let _ = writeln!(
            text,
            "| {op} | {} | {} | {} | {} | {} |",
            cells.join(" | "),
            tick(tfjet_ops::is_supported(op)),
            tick(on_device.contains(op)),
            dtypes.join(", "),
            limits.join("; ").replace('|', "\\|"),
        );
    }
    text
}

const HEAD: &str = "\
# Supported ops

Written by `make supported-ops` from the code; a test fails where it is stale. Each TensorFlow op
stands here with what becomes of it:

* **in a segment**, by engine: the CPU engine and each release of TensorRT that tfjet knows (8.2 is
  JetPack 4's, 8.4 and 8.5 JetPack 5's, 8.6 and 10 JetPack 6's, 10 JetPack 7's). *yes*: every node
  that the CPU engine takes. *partly*: some of them, for the reasons in the last column. *bypassed*:
  its readers read its input. *sizes*: segments work the numbers out from the shapes of their
  inputs. *–*: no.
* **op on CPU**, **op on GPU**: as a residual op, outside the segments.

An op with *–* everywhere keeps a graph from running where an output depends on it and it is not
dropped, unrolled or folded before. Control flow is not in this table: loops and branches are steps
of the schedule.

The types are those of the first input that is not constant.

";

#[test]
fn document_says_what_the_code_does() {
    let text = document();
    if std::env::var_os(VARIABLE).is_some() {
        std::fs::write(DOCUMENT, &text).unwrap();
    }
    let stored = std::fs::read_to_string(Path::new(DOCUMENT)).unwrap_or_default();
    let differs = text.lines().zip(stored.lines()).find(|(a, b)| a != b);
    assert!(
        text == stored,
        "docs/supported-ops.md is stale, `make supported-ops` writes it anew: {differs:?}"
    );
}

/// TF-TRT's op types by what they need here; those that it lowers for TensorRT 8.2 must be.
const TF_TRT: &[&str] = &[
    "Abs",
    "Acos",
    "Acosh",
    "Add",
    "AddN",
    "AddV2",
    "ArgMax",
    "ArgMin",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "AvgPool",
    "AvgPool3D",
    "BatchMatMul",
    "BatchMatMulV2",
    "BiasAdd",
    "Cast",
    "Ceil",
    "ClipByValue",
    "ConcatV2",
    "Conv2D",
    "Conv2DBackpropInput",
    "Conv3D",
    "Conv3DBackpropInputV2",
    "Cos",
    "Cosh",
    "DataFormatVecPermute",
    "DepthToSpace",
    "DepthwiseConv2dNative",
    "Div",
    "Einsum",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "ExpandDims",
    "FakeQuantWithMinMaxArgs",
    "FakeQuantWithMinMaxVars",
    "Fill",
    "Floor",
    "FloorDiv",
    "FusedBatchNorm",
    "FusedBatchNormV2",
    "FusedBatchNormV3",
    "FusedConv2DBiasActivation",
    "GatherV2",
    "Greater",
    "GreaterEqual",
    "LeakyRelu",
    "Less",
    "LessEqual",
    "Log",
    "LogSoftmax",
    "LogicalAnd",
    "LogicalNot",
    "LogicalOr",
    "MatMul",
    "Max",
    "MaxPool",
    "MaxPool3D",
    "Maximum",
    "Mean",
    "Min",
    "Minimum",
    "Mul",
    "Neg",
    "OnesLike",
    "Pack",
    "Pad",
    "Pow",
    "Prod",
    "QuantizeAndDequantizeV2",
    "QuantizeAndDequantizeV3",
    "Range",
    "RealDiv",
    "Reciprocal",
    "Relu",
    "Relu6",
    "Reshape",
    "ResizeBilinear",
    "ResizeNearestNeighbor",
    "Round",
    "Rsqrt",
    "Select",
    "SelectV2",
    "Selu",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sinh",
    "Slice",
    "Softmax",
    "Softplus",
    "Softsign",
    "SpaceToDepth",
    "Split",
    "Sqrt",
    "Square",
    "SquaredDifference",
    "Squeeze",
    "StridedSlice",
    "Sub",
    "Sum",
    "Tan",
    "Tanh",
    "Tile",
    "TopKV2",
    "Transpose",
    "Unpack",
    "ZerosLike",
];

/// TF-TRT's op types that no segment computes here, and what becomes of them.
const TF_TRT_ELSEWHERE: &[(&str, Elsewhere)] = &[
    ("CombinedNonMaxSuppression", Elsewhere::Kernel),
    ("Const", Elsewhere::Constant),
    ("Identity", Elsewhere::Bypassed),
    ("IdentityN", Elsewhere::Bypassed),
    ("ReadVariableOp", Elsewhere::Constant),
    ("Shape", Elsewhere::Sizes),
    ("Snapshot", Elsewhere::Bypassed),
    ("StopGradient", Elsewhere::Bypassed),
    ("VariableV2", Elsewhere::Constant),
];

#[derive(PartialEq)]
enum Elsewhere {
    /// TF-TRT has a plugin; a residual op here before 8.5, which brings a layer for it.
    Kernel,
    /// The importer's.
    Constant,
    Bypassed,
    Sizes,
}

/// TF-TRT's restrictions that are none here: an op whose golden of this name only we take.
const LIFTED: &[(&str, &str)] = &[
    ("ArgMax", "an int64 output_type"),
    ("Cast", "other types than float32 and float16"),
    ("GatherV2", "several batch_dims"),
    ("ResizeBilinear", "align_corners false"),
    ("Conv2D", "EXPLICIT padding"),
    ("StridedSlice", "new_axis_mask"),
    ("Pad", "more than two padded axes"),
];

#[test]
fn what_tf_trt_lowers_is_lowered_for_tensorrt_8_2() {
    let judged = judged();
    let engine = ENGINES
        .iter()
        .position(|(name, ..)| *name == "8.2")
        .unwrap();
    let missing: Vec<&&str> = TF_TRT
        .iter()
        .filter(|op| {
            judged
                .get(**op)
                .is_none_or(|op| op.taken.get(engine).is_none_or(|n| *n == 0))
        })
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    for (op, place) in TF_TRT_ELSEWHERE {
        let is = match place {
            Elsewhere::Kernel => {
                let taken = &judged[*op].taken;
                tfjet_ops::is_supported(op) && taken[engine] == 0 && taken.iter().any(|n| *n > 0)
            }
            Elsewhere::Constant => !is_lowered(op),
            Elsewhere::Bypassed => judged[*op].bypassed,
            Elsewhere::Sizes => judged[*op].sizes,
        };
        assert!(is, "{op}");
    }
}

#[test]
fn what_tf_trt_restricts_is_taken() {
    let engines = engines();
    let nano = &engines[1];
    let mut lifted: BTreeSet<&str> = BTreeSet::new();
    for case in cases::cases().into_iter().chain(cases::segment_cases()) {
        let attrs = case.attrs();
        let inputs = case.inputs();
        let int = |name: &str| match attrs.get(name) {
            Some(AttrValue::Int(value)) => *value,
            _ => 0,
        };
        let flag = |name: &str| attrs.get(name) == Some(&AttrValue::Bool(true));
        let typed_as = |name: &str, dtype| attrs.get(name) == Some(&AttrValue::Type(Some(dtype)));
        let padded = |index: usize| -> usize {
            let pads = inputs.get(index).and_then(|it| it.as_slice::<i32>().ok());
            let pads = pads.unwrap_or_default().chunks(2);
            pads.filter(|pair| pair.iter().any(|&pad| pad != 0)).count()
        };
        let beyond = match case.op.as_str() {
            "ArgMax" => typed_as("output_type", DType::I64) || !attrs.0.contains_key("output_type"),
            "Cast" => typed_as("SrcT", DType::U8) && typed_as("DstT", DType::F32),
            "GatherV2" => int("batch_dims") > 1,
            "ResizeBilinear" => !flag("align_corners"),
            "Conv2D" => attrs.get("padding") == Some(&AttrValue::Str(b"EXPLICIT".to_vec())),
            "StridedSlice" => int("new_axis_mask") != 0,
            "Pad" => padded(1) > 2,
            _ => false,
        };
        if !beyond {
            continue;
        }
        for fed in feedings(&inputs) {
            let nodes = nodes(&case, &inputs, &fed);
            let Ok(typed) = source::typed(&nodes, &[], &PartitionOptions::default()) else {
                continue;
            };
            let id = NodeId::from_index(nodes.len() - 1);
            let live = typed.order.contains(&id) && !typed.derived[id.index()];
            if live && validate(&typed, id, nano).is_ok() {
                lifted.extend(LIFTED.iter().map(|(op, _)| *op).find(|op| *op == case.op));
            }
        }
    }
    let missing: Vec<_> = LIFTED
        .iter()
        .filter(|(op, _)| !lifted.contains(op))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
