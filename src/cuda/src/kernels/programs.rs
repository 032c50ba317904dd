//! Every program that the kernels can ask for, compiled without a GPU.
//!
//! `TFJET_NVRTC` names NVRTC's library.

use std::path::Path;

use super::element::ElementType;
use super::launch::{Index, Program, Source};
use super::{BinaryOp, ReduceOp, UnaryOp, elementwise, movement, reduce, resize};
use crate::Nvrtc;

type Defines = Vec<(&'static str, &'static str)>;

const TYPES: [ElementType; 7] = [
    ElementType::F32,
    ElementType::F16,
    ElementType::I32,
    ElementType::I64,
    ElementType::U8,
    ElementType::I8,
    ElementType::Bool,
];

/// The programs of each source, the more common ones first.
fn programs() -> Vec<(&'static Source, Vec<Defines>)> {
    let mut binary = Vec::new();
    let mut select = Vec::new();
    let mut cast = Vec::new();
    let mut moved = Vec::new();
    for (a, b) in TYPES.iter().flat_map(|&a| TYPES.map(|b| (a, b))) {
        cast.push(vec![("IN", a.name()), ("OUT", b.name())]);
        let Some(common) = a.common(b) else { continue };
        select.push(vec![
            ("A", a.name()),
            ("B", b.name()),
            ("OUT", common.name()),
        ]);
        moved.extend(a.moved(b));
        for op in BinaryOp::ALL {
            let Some(number) = op.computed_in(a, b) else {
                continue;
            };
            let out = if op.is_test() { ElementType::Bool } else { a };
            binary.push(vec![
                ("A", a.name()),
                ("B", b.name()),
                ("OUT", out.name()),
                ("NUMBER", number.name()),
                ("OPERATION", op.function()),
            ]);
        }
    }
    let mut unary = Vec::new();
    let mut reduce = Vec::new();
    let mut resize = Vec::new();
    for x in TYPES {
        for op in UnaryOp::ALL.iter().filter(|op| op.is_defined_for(x)) {
            let out = if op.is_test() { ElementType::Bool } else { x };
            unary.push(vec![
                ("IN", x.name()),
                ("OUT", out.name()),
                ("OPERATION", op.function()),
            ]);
        }
        for op in ReduceOp::ALL.iter().filter(|op| op.is_defined_for(x)) {
            let out = if op.is_arg() { ElementType::I64 } else { x };
            reduce.push(vec![
                ("IN", x.name()),
                ("OUT", out.name()),
                ("REDUCTION", op.name()),
            ]);
        }
        for [centers, align] in [["0", "0"], ["0", "1"], ["1", "0"]] {
            let mut sampled = |from, to, sample| {
                resize.push(vec![
                    ("IN", from),
                    ("OUT", to),
                    ("SAMPLE", sample),
                    ("CENTERS", centers),
                    ("ALIGN", align),
                ]);
            };
            if let Some([from, to]) = x.moved(x) {
                sampled(from, to, "nearest");
            }
            if x != ElementType::Bool {
                sampled(x.name(), ElementType::F32.name(), "bilinear");
            }
        }
    }
    let copy = moved
        .iter()
        .map(|&[from, to]| vec![("FROM", from), ("TO", to)]);
    let gather = moved.iter().flat_map(|&[from, to]| {
        ["i32", "i64"].map(|indices| vec![("FROM", from), ("TO", to), ("INDICES", indices)])
    });
    vec![
        (&elementwise::BINARY, binary),
        (&elementwise::UNARY, unary),
        (&elementwise::CAST, cast),
        (&elementwise::SELECT, select),
        (&movement::COPY, copy.collect()),
        (&movement::GATHER, gather.collect()),
        (&resize::RESIZE, resize),
        (&reduce::REDUCE, reduce),
    ]
}

/// All of the programs for the oldest GPU, some of them, and with wide indices, for the others.
#[test]
fn programs_compile_from_the_nano_to_the_newest() {
    let Some(path) = std::env::var_os("TFJET_NVRTC") else {
        eprintln!("SKIPPED, no kernel was compiled: TFJET_NVRTC does not name NVRTC's library");
        return;
    };
    let nvrtc = Nvrtc::load(Some(Path::new(&path)), &[], (13, 0)).unwrap();
    let mut compiled = 0;
    for (capability, index, every) in [
        ((5, 3), Index::Narrow, 1),
        ((6, 2), Index::Wide, 41),
        ((7, 2), Index::Narrow, 37),
        ((8, 7), Index::Wide, 31),
        ((9, 0), Index::Narrow, 29),
    ] {
        for (source, programs) in programs() {
            for defines in programs.iter().step_by(every) {
                let program = Program {
                    source,
                    index,
                    defines,
                };
                let options = program.options();
                let options: Vec<&str> = options.iter().map(String::as_str).collect();
                let made = nvrtc.compile(source.name, source.text, capability, &options);
                let image = made.unwrap_or_else(|error| panic!("{options:?}: {error}"));
                assert!(!image.is_empty());
                compiled += 1;
            }
        }
    }
    let (major, minor) = nvrtc.version();
    eprintln!("{compiled} programs were compiled by NVRTC {major}.{minor}");
}
