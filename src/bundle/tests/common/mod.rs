//! A small bundle that uses every section kind and most types of the structured ones.
#![allow(dead_code, reason = "not every test file uses every helper")]

pub(crate) mod engines;
mod network;
pub(crate) mod targets;

use tfjet_bundle::{BundleWriter, ENTRY_LEN, HEADER_LEN, SectionKind};
use tfjet_core::{
    AttrValue, Attrs, BoxColumns, ColorOrder, DType, Decoder, Dim, Function, FunctionId,
    ImageLayout, InputSpec, Manifest, NetworkSpec, OutputSpec, Preprocess, ResizeFilter,
    ResizeMode, Schedule, SegmentSummary, Shape, Step, Summary, Tensor, Value, ValueId,
    ValueSource, WeightsEntry, WeightsId, WeightsTable,
};

/// Everything that the sample bundle holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) manifest: Manifest,
    pub(crate) schedule: Schedule,
    pub(crate) table: WeightsTable,
    pub(crate) weights: Vec<u8>,
    pub(crate) networks: Vec<NetworkSpec>,
    pub(crate) onnx: Vec<Vec<u8>>,
    pub(crate) report: String,
}

impl Sample {
    pub(crate) fn new() -> Self {
        Self {
            manifest: manifest(),
            schedule: schedule(),
            table: table(),
            weights: weights(),
            networks: vec![network::small(), network::every_layer()],
            onnx: vec![b"\x08\x08onnx 0".to_vec(), b"\x08\x08onnx 1".to_vec()],
            report: r#"{"nodes":4,"segments":[],"residual":[],"pruned":[]}"#.into(),
        }
    }

    /// With a loop of each of its two segments' results, and a condition in its body.
    pub(crate) fn with_functions() -> Self {
        let mut sample = Self::new();
        let schedule = &mut sample.schedule;
        let first = u32::try_from(schedule.values.len()).unwrap();
        let [out, asked, holds, carried, one, other] =
            [0, 1, 2, 3, 4, 5].map(|i| ValueId(first + i));
        for (name, dtype, source) in [
            ("loop", DType::F32, ValueSource::Computed),
            ("asked", DType::F32, ValueSource::Argument),
            ("holds", DType::Bool, ValueSource::Computed),
            ("carried", DType::F32, ValueSource::Argument),
            ("one", DType::F32, ValueSource::Computed),
            ("other", DType::F32, ValueSource::Computed),
        ] {
            schedule.values.push(Value {
                name: name.into(),
                dtype,
                shape: None,
                source,
            });
        }
        let engine = |input, output| Step::Engine {
            segment: 1,
            inputs: vec![input],
            outputs: vec![output],
        };
        let function = |name: &str, inputs, outputs, steps| Function {
            name: name.into(),
            inputs,
            outputs,
            steps,
        };
        schedule.steps.push(Step::While {
            node: "while".into(),
            condition: FunctionId(0),
            body: FunctionId(1),
            inputs: vec![ValueId(4), ValueId(3)],
            outputs: vec![out],
        });
        let asks = Step::Residual {
            node: "less".into(),
            op_type: "Less".into(),
            attrs: Attrs::default(),
            inputs: vec![asked, ValueId(2)],
            outputs: vec![holds],
        };
        let chooses = Step::If {
            node: "if".into(),
            then_branch: FunctionId(2),
            else_branch: FunctionId(3),
            inputs: vec![carried, ValueId(3)],
            outputs: vec![one],
        };
        schedule.functions = vec![
            function("condition", vec![asked], vec![holds], vec![asks]),
            function("body", vec![carried], vec![one], vec![chooses]),
            function("then", vec![], vec![other], vec![engine(ValueId(3), other)]),
            function("else", vec![], vec![ValueId(3)], vec![]),
        ];
        schedule.outputs = vec![out];
        sample
    }

    pub(crate) fn writer(&self) -> BundleWriter {
        let mut writer = BundleWriter::new();
        let structured = &mut writer;
        structured
            .add_postcard(SectionKind::Manifest, "", 0, &self.manifest)
            .unwrap();
        structured
            .add_postcard(SectionKind::Schedule, "", 0, &self.schedule)
            .unwrap();
        structured
            .add_postcard(SectionKind::WeightsTable, "", 0, &self.table)
            .unwrap();
        for (index, (network, onnx)) in (0..).zip(self.networks.iter().zip(&self.onnx)) {
            writer
                .add_postcard(SectionKind::Network, "", index, network)
                .unwrap();
            writer
                .add(SectionKind::Onnx, "", index, onnx.clone())
                .unwrap();
        }
        writer
            .add(SectionKind::Report, "", 0, self.report.clone().into_bytes())
            .unwrap();
        writer
            .add(SectionKind::Weights, "", 0, self.weights.clone())
            .unwrap();
        writer
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.writer().to_bytes().unwrap()
    }
}

/// Puts `value` at `offset` and makes the hash of header and table match again.
pub(crate) fn patched(bytes: &[u8], patches: &[(usize, &[u8])]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (offset, value) in patches {
        bytes[*offset..offset + value.len()].copy_from_slice(value);
    }
    let count = u32::from_le_bytes(bytes[16..20].try_into().unwrap()) as usize;
    let table_end = (HEADER_LEN + count * ENTRY_LEN).min(bytes.len());
    bytes[32..64].fill(0);
    let hash = blake3::hash(&bytes[..table_end]);
    bytes[32..64].copy_from_slice(hash.as_bytes());
    bytes
}

/// Offset of field `at` of section table entry `entry`.
pub(crate) fn entry_field(entry: usize, at: usize) -> usize {
    HEADER_LEN + entry * ENTRY_LEN + at
}

fn manifest() -> Manifest {
    Manifest {
        model: "sample".into(),
        tfjet_version: "0.1.0".into(),
        target: "x86-cpu".into(),
        inputs: vec![InputSpec {
            name: "image".into(),
            dtype: DType::F32,
            shape: Some(Shape(vec![
                Dim::Symbolic("batch".into()),
                Dim::Fixed(4),
                Dim::Fixed(4),
                Dim::Fixed(3),
            ])),
        }],
        outputs: vec![OutputSpec {
            name: "rows:1".into(),
            dtype: DType::F32,
            shape: None,
        }],
        preprocess: Some(Preprocess {
            input: 0,
            width: 4,
            height: 4,
            resize: ResizeMode::Letterbox(114),
            filter: ResizeFilter::Bilinear,
            color: ColorOrder::Rgb,
            mean: [127.0, 127.0, 127.0],
            scale: [0.0078125; 3],
            layout: ImageLayout::Nhwc,
        }),
        decoder: Decoder::DetectRows {
            output: 0,
            columns: BoxColumns {
                x1: 0,
                y1: 1,
                x2: 2,
                y2: 3,
                score: 4,
                class: 5,
            },
            normalized: true,
            threshold: 0.5,
        },
        labels: vec!["person".into(), "vélo".into()],
        summary: Summary {
            nodes: 4,
            segments: vec![SegmentSummary {
                name: "segment_0".into(),
                nodes: 3,
                layers: 4,
                flops: 5_000_000_000,
            }],
            residual: 1,
            transposes: 1,
            flops_inside: 0.75,
            notes: vec!["dropped `Assert`".into()],
        },
    }
}

fn schedule() -> Schedule {
    let value = |name: &str, dtype, shape: Option<&[usize]>, source| Value {
        name: name.into(),
        dtype,
        shape: shape.map(Shape::fixed),
        source,
    };
    let f32_type = Some(DType::F32);
    let attrs = [
        AttrValue::Int(-2),
        AttrValue::Float(1e-3),
        AttrValue::Bool(true),
        AttrValue::Str(b"NHWC".to_vec()),
        AttrValue::Type(f32_type),
        AttrValue::Shape(Some(Shape::fixed(&[1, 2]))),
        AttrValue::Tensor(Tensor::scalar(7i64)),
        AttrValue::StringTensor(vec![2], vec![b"a".to_vec(), b"b".to_vec()]),
        AttrValue::Func("body".into()),
        AttrValue::Placeholder("hole".into()),
        AttrValue::Ints(vec![1, 2, 2, 1]),
        AttrValue::Floats(vec![0.5, -1.0]),
        AttrValue::Bools(vec![true, false]),
        AttrValue::Strs(vec![b"x".to_vec()]),
        AttrValue::Types(vec![f32_type, None]),
        AttrValue::Shapes(vec![None, Some(Shape::default())]),
        AttrValue::Tensors(vec![Tensor::from_bools(&[2], &[true, false]).unwrap()]),
        AttrValue::Funcs(vec!["cond".into(), "body".into()]),
    ];
    let attrs = Attrs(
        attrs
            .into_iter()
            .enumerate()
            .map(|(index, attr)| (format!("attr_{index}"), attr))
            .collect(),
    );
    let every_type = [
        DType::F32,
        DType::F64,
        DType::F16,
        DType::BF16,
        DType::I8,
        DType::I16,
        DType::I32,
        DType::I64,
        DType::U8,
        DType::U16,
        DType::U32,
        DType::U64,
        DType::Bool,
    ];
    let mut values = vec![
        value("image", DType::F32, None, ValueSource::Input),
        value("a", DType::F32, Some(&[1, 3]), ValueSource::Computed),
        value(
            "axis",
            DType::I32,
            Some(&[2]),
            ValueSource::Constant(WeightsId(2)),
        ),
        value("b", DType::F32, Some(&[1, 3]), ValueSource::Computed),
        value("rows:1", DType::F32, Some(&[1, 3]), ValueSource::Computed),
    ];
    values.extend(every_type.map(|dtype| value("unused", dtype, None, ValueSource::Input)));
    Schedule {
        values,
        inputs: vec![ValueId(0)],
        outputs: vec![ValueId(4)],
        steps: vec![
            Step::Engine {
                segment: 0,
                inputs: vec![ValueId(0)],
                outputs: vec![ValueId(1)],
            },
            Step::Residual {
                node: "reverse".into(),
                op_type: "ReverseV2".into(),
                attrs,
                inputs: vec![ValueId(1), ValueId(2)],
                outputs: vec![ValueId(3)],
            },
            Step::Engine {
                segment: 1,
                inputs: vec![ValueId(3)],
                outputs: vec![ValueId(4)],
            },
        ],
        functions: Vec::new(),
    }
}

fn table() -> WeightsTable {
    let entry = |dtype, shape: &[usize], offset, len_bytes| WeightsEntry {
        dtype,
        shape: shape.to_vec(),
        offset,
        len_bytes,
    };
    WeightsTable {
        entries: vec![
            entry(DType::F32, &[2, 3, 1, 1], 0, 24),
            entry(DType::F16, &[2], 64, 4),
            entry(DType::I32, &[2], 128, 8),
        ],
    }
}

fn weights() -> Vec<u8> {
    let mut weights = vec![0; 136];
    for (to, value) in weights[..24]
        .chunks_exact_mut(4)
        .zip([1.0f32, -2.0, 0.5, 3.0, 4.0, -0.25])
    {
        to.copy_from_slice(&value.to_le_bytes());
    }
    weights[64..68].copy_from_slice(&[0x00, 0x3c, 0x00, 0xc0]);
    weights[128..136].copy_from_slice(&[0, 0, 0, 0, 1, 0, 0, 0]);
    weights
}
