//! What a bundle is refused for, and how the refusal reads.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs;

use common::{Sample, entry_field, patched};
use tfjet_bundle::{Bundle, BundleWriter, MAX_SECTIONS, SectionKind};
use tfjet_core::{DType, Decoder, Shape, Step, TensorId, ValueId, ValueSource, WeightsId};

fn u32_bytes(value: u32) -> Vec<u8> {
    value.to_le_bytes().to_vec()
}

fn u64_bytes(value: u64) -> Vec<u8> {
    value.to_le_bytes().to_vec()
}

/// Opens and verifies; the error as one line.
fn refusal(bytes: Vec<u8>) -> String {
    let error = Bundle::from_bytes(bytes)
        .and_then(|bundle| bundle.verify())
        .expect_err("the bundle is accepted")
        .to_string();
    assert!(!error.contains('\n'), "{error}");
    error
        .strip_prefix("the bundle in memory")
        .unwrap_or_else(|| panic!("{error}"))
        .to_owned()
}

#[test]
fn rejects_damaged_headers() {
    let good = Sample::new().bytes();
    let len = good.len() as u64;
    for (offset, value, expected) in [
        (
            0,
            b"\x89TFJET\n\n".to_vec(),
            "transferred as text; transfer it as binary",
        ),
        (
            0,
            b"PK\x03\x04....".to_vec(),
            "looks like a zip archive (.npz, .keras)",
        ),
        (0, b"GIF89a..".to_vec(), " is not a tfjet bundle"),
        (
            8,
            u32_bytes(2),
            "version 2 is newer than this tfjet reads (1): update tfjet",
        ),
        (
            8,
            u32_bytes(0),
            "version 0 is older than this tfjet reads (1): convert the model again",
        ),
        (
            12,
            u32_bytes(4),
            "header at offset 12: flags are 0x4, expected 0",
        ),
        (
            16,
            u32_bytes(MAX_SECTIONS + 1),
            "at offset 16: 65537 sections, at most 65536 are read",
        ),
        (
            16,
            u32_bytes(500),
            "the section table ends at offset 48064, the file at LEN",
        ),
        (
            20,
            u32_bytes(128),
            "at offset 20: section table at offset 128, expected 64",
        ),
        (
            24,
            u64_bytes(len + 1),
            "has LEN bytes, its header says MORE: the file is cut off",
        ),
        (
            24,
            u64_bytes(64),
            "header says 64: the file is longer than what was written",
        ),
    ] {
        let error = refusal(patched(&good, &[(offset, &value)]));
        let expected = expected
            .replace("LEN", &len.to_string())
            .replace("MORE", &(len + 1).to_string());
        assert!(error.ends_with(&expected), "{error:?} lacks {expected:?}");
    }
    let mut unsealed = good.clone();
    unsealed[entry_field(0, 64)] ^= 1;
    assert_eq!(
        refusal(unsealed),
        ": bundle header at offset 32: the hash of header and section table does not match: the \
         file is damaged"
    );
}

#[test]
fn rejects_damaged_section_tables() {
    let mut writer = BundleWriter::new();
    writer.add(SectionKind::Onnx, "", 0, vec![1; 100]).unwrap();
    writer
        .add(SectionKind::Onnx, "nano", 7, vec![2; 100])
        .unwrap();
    writer
        .add(SectionKind::Report, "", 0, vec![b' '; 100])
        .unwrap();
    let good = writer.to_bytes().unwrap();
    let first = 384u64;
    let bundle = Bundle::from_bytes(good.clone()).unwrap();
    assert_eq!(bundle.sections()[0].offset, first);
    for (entry, at, value, expected) in [
        (
            0,
            0,
            u32_bytes(13),
            "section kind 13 is not known to this tfjet: update tfjet",
        ),
        (
            0,
            0,
            u32_bytes(0),
            "section kind 0 is not known to this tfjet: update tfjet",
        ),
        (
            2,
            0,
            u32_bytes(10),
            "section kind Signature is not read by this tfjet: update tfjet",
        ),
        (0, 4, u32_bytes(0), "section version 0"),
        (2, 8, u32_bytes(1), "index 1 on a kind that has no index"),
        (0, 12, u32_bytes(1), "reserved bytes are not zero"),
        (
            1,
            0,
            u32_bytes(4),
            "Network section 7 for target \"nano\" is out of order or there twice",
        ),
        (
            1,
            16,
            u64_bytes(384),
            " starts at 384, inside what ends at 484",
        ),
        (
            0,
            16,
            u64_bytes(0),
            "Onnx section 0 starts at 0, inside what ends at 352",
        ),
        (
            1,
            16,
            u64_bytes(500),
            " starts at 500, which is no multiple of 64",
        ),
        (1, 16, u64_bytes(576), " starts at 576, expected 512"),
        (
            2,
            24,
            u64_bytes(101),
            "Report section ends after the file's end at 740",
        ),
        (
            2,
            24,
            u64_bytes(u64::MAX),
            "Report section ends after the file's end at 740",
        ),
        (
            2,
            16,
            u64_bytes(!63),
            "Report section ends after the file's end at 740",
        ),
        (
            2,
            24,
            u64_bytes(99),
            "the last section ends at 739, the file at 740",
        ),
        (
            1,
            32,
            b"Nano".to_vec(),
            "the target name is not at most 32 of a-z 0-9 . _ - and zeros",
        ),
        (
            1,
            32,
            b"n\0no".to_vec(),
            "the target name is not at most 32 of a-z 0-9 . _ - and zeros",
        ),
        (
            1,
            32,
            b"\xff\xfe".to_vec(),
            "the target name is not at most 32 of a-z 0-9 . _ - and zeros",
        ),
    ] {
        let bytes = patched(&good, &[(entry_field(entry, at), &value)]);
        let error = refusal(bytes);
        let place = format!(
            ": section table entry {entry} at offset {}: ",
            64 + 96 * entry
        );
        assert!(error.starts_with(&place), "{error}");
        assert!(error.ends_with(expected), "{error:?} lacks {expected:?}");
    }
    let twice = patched(
        &good,
        &[(entry_field(1, 8), &[0; 4]), (entry_field(1, 32), &[0; 4])],
    );
    assert!(refusal(twice).ends_with("Onnx section 0 is out of order or there twice"));
    let padding = patched(&good, &[(490, &[1])]);
    assert!(refusal(padding).ends_with("padding byte at 490 is not zero"));
}

#[test]
fn rejects_a_structured_section_that_is_too_large() {
    let mut writer = BundleWriter::new();
    writer
        .add(SectionKind::Onnx, "", 0, vec![0; (64 << 20) + 1])
        .unwrap();
    let bytes = writer.to_bytes().unwrap();
    let manifest = SectionKind::Manifest.code().to_le_bytes();
    assert!(
        refusal(patched(&bytes, &[(entry_field(0, 0), &manifest)]))
            .ends_with("Manifest section has 67108865 bytes, at most 67108864 are read")
    );
}

#[test]
fn rejects_a_newer_section_where_it_is_read() {
    let bytes = patched(&Sample::new().bytes(), &[(entry_field(0, 4), &[2])]);
    let bundle = Bundle::from_bytes(bytes).unwrap();
    bundle.schedule().unwrap();
    for error in [bundle.manifest().unwrap_err(), bundle.verify().unwrap_err()] {
        assert_eq!(
            error.to_string(),
            "the bundle in memory: Manifest section at offset 960: section version 2 is newer \
             than this tfjet reads (1): update tfjet"
        );
    }
}

#[test]
fn rejects_functions_that_cannot_run() {
    type Change = fn(&mut Sample);
    let cases: [(Change, &str); 4] = [
        (
            |it| drop(it.schedule.functions.pop()),
            "step 0 of function `body` refers to function 3, the schedule has 3",
        ),
        (
            |it| it.schedule.functions[3].outputs = vec![ValueId(1)],
            "function `else` reads `a`, which is not captured",
        ),
        (
            |it| {
                it.schedule.functions[2].steps[0] = Step::Engine {
                    segment: 2,
                    inputs: vec![ValueId(3)],
                    outputs: it.schedule.functions[2].outputs.clone(),
                }
            },
            "step 0 of function `then` refers to segment 2, there are 2",
        ),
        (
            |it| it.schedule.functions[2].outputs.clear(),
            "step 0 of function `body`: function `then` has 0 outputs, expected 1",
        ),
    ];
    for (change, expected) in cases {
        let mut sample = Sample::with_functions();
        change(&mut sample);
        let bundle = Bundle::from_bytes(sample.bytes()).unwrap();
        let error = bundle.verify().unwrap_err().to_string();
        assert!(error.ends_with(expected), "{error}");
    }
}

#[test]
fn rejects_sections_that_contradict_each_other() {
    type Change = fn(&mut Sample);
    let cases: [(Change, &str); 21] = [
        (
            |it| drop(it.networks.pop()),
            "step 2 refers to segment 1, there are 1",
        ),
        (
            |it| it.schedule.values[2].source = ValueSource::Constant(WeightsId(3)),
            "value `axis` refers to weights 3, there are 3",
        ),
        (
            |it| it.schedule.values[2].dtype = DType::I64,
            "value `axis` differs in type or shape from weights 2",
        ),
        (
            |it| it.schedule.values[2].shape = Some(Shape::fixed(&[3])),
            "value `axis` differs in type or shape from weights 2",
        ),
        (
            |it| it.schedule.steps.swap(0, 2),
            "step 0 reads `b` before it is made",
        ),
        (
            |it| it.schedule.outputs = vec![ValueId(99)],
            "the list of inputs and outputs refers to value 99",
        ),
        (
            |it| {
                *it.schedule.steps.last_mut().unwrap() = Step::Engine {
                    segment: 1,
                    inputs: vec![ValueId(3), ValueId(1)],
                    outputs: vec![ValueId(4)],
                }
            },
            "step 2 has 2 inputs, the network has 1",
        ),
        (
            |it| it.networks[0].outputs.clear(),
            "step 0 has 1 outputs, the network has 0",
        ),
        (
            |it| it.networks[0].outputs[0] = TensorId(99),
            "the list of outputs refers to tensor 99, there are 3",
        ),
        (
            |it| it.networks[0].inputs = vec![TensorId(0); 2],
            "the list of inputs makes tensor `t0`, which is made already",
        ),
        (
            |it| it.networks[0].layers.swap(0, 1),
            "layer `l1` reads tensor `t1` before it is made",
        ),
        (
            |it| it.networks[0].layers[1].outputs[0] = TensorId(1),
            "layer `l1` makes tensor `t1`, which is made already",
        ),
        (
            |it| it.networks[0].layers.truncate(1),
            "the list of outputs reads tensor `t2` before it is made",
        ),
        (
            |it| it.table.entries.truncate(1),
            "layer `l1` refers to weights 1, there are 1",
        ),
        (
            |it| it.table.entries[2].offset = 192,
            "weights 2 takes 8 bytes from offset 192, the Weights section has 136",
        ),
        (
            |it| it.table.entries[2].offset = u64::MAX - 3,
            "weights 2 takes 8 bytes from offset 18446744073709551612, the Weights section has 136",
        ),
        (
            |it| it.table.entries[1].offset = 8,
            "weights 1 starts at offset 8, which is no multiple of 64",
        ),
        (
            |it| it.table.entries[1].shape = vec![3],
            "weights 1 does not fit: shape [3] of float16 needs 6 bytes, got 4",
        ),
        (
            |it| it.manifest.outputs.clear(),
            "the manifest has 0 outputs, the schedule has 1",
        ),
        (
            |it| it.manifest.preprocess.as_mut().unwrap().input = 1,
            "the pre-processing refers to input 1, there are 1",
        ),
        (
            |it| {
                it.manifest.decoder = Decoder::Classify {
                    output: 4,
                    top_k: 5,
                }
            },
            "the decoder refers to output 4, there are 1",
        ),
    ];
    for (change, expected) in cases {
        let mut sample = Sample::new();
        change(&mut sample);
        let error = refusal(sample.bytes());
        assert!(error.contains(expected), "{error:?} lacks {expected:?}");
        assert!(
            error.contains(" section") && error.contains(" at offset "),
            "{error}"
        );
    }
}

#[test]
fn rejects_missing_and_stray_sections() {
    let whole = Bundle::from_bytes(Sample::new().bytes()).unwrap();
    for (left_out, index, expected) in [
        (SectionKind::Manifest, 0, " has no Manifest section"),
        (SectionKind::Schedule, 0, " has no Schedule section"),
        (SectionKind::WeightsTable, 0, " has no WeightsTable section"),
        (SectionKind::Network, 0, " has no Network section 0"),
        (SectionKind::Weights, 0, "the Weights section has 0"),
    ] {
        let mut writer = BundleWriter::new();
        for section in whole.sections() {
            let id = &section.id;
            if (id.kind, id.index) != (left_out, index) {
                let bytes = whole.section(id.kind, "", id.index).unwrap();
                writer.add(id.kind, "", id.index, bytes.to_vec()).unwrap();
            }
        }
        let error = refusal(writer.to_bytes().unwrap());
        assert!(error.ends_with(expected), "{error}");
    }
    for (target, index, expected) in [
        ("", 2, "the ONNX model refers to segment 2, there are 2"),
        ("nano", 0, ": no target of the bundle uses it"),
    ] {
        let mut writer = Sample::new().writer();
        writer
            .add(SectionKind::Onnx, target, index, vec![])
            .unwrap();
        let error = refusal(writer.to_bytes().unwrap());
        assert!(error.ends_with(expected), "{error}");
    }
}

#[test]
fn rejects_left_over_bytes_and_reports_that_are_no_text() {
    let mut writer = BundleWriter::new();
    let mut bytes = vec![0; 5];
    bytes.push(9);
    writer.add(SectionKind::Schedule, "", 0, bytes).unwrap();
    writer
        .add(SectionKind::Report, "", 0, b"{\"\xff".to_vec())
        .unwrap();
    let bundle = Bundle::from_bytes(writer.to_bytes().unwrap()).unwrap();
    assert_eq!(
        bundle.schedule().unwrap_err().to_string(),
        "the bundle in memory: Schedule section at offset 256: 1 bytes are left over after decoding"
    );
    assert_eq!(
        bundle.report().unwrap_err().to_string(),
        "the bundle in memory: Report section at offset 320: not UTF-8 text, byte 2"
    );
}

#[test]
fn names_the_path_of_what_is_no_bundle() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("empty.jet"), b"").unwrap();
    fs::write(path("graph.pb"), b"\x0a\x20\x0a\x05input").unwrap();
    fs::write(path("short.jet"), &Sample::new().bytes()[..40]).unwrap();
    for (name, expected) in [
        (".", "{} is a directory, not a tfjet bundle"),
        ("empty.jet", "{} is empty, not a tfjet bundle"),
        (
            "absent.jet",
            "cannot open {}: No such file or directory (os error 2)",
        ),
        (
            "graph.pb/x.jet",
            "cannot open {}: Not a directory (os error 20)",
        ),
        (
            "graph.pb",
            "{} is not a tfjet bundle: it looks like a TensorFlow graph (.pb), read by `tfjet \
             convert`",
        ),
        (
            "short.jet",
            "{} has 40 bytes, its header says 64: the file is cut off",
        ),
    ] {
        let path = path(name);
        let expected = expected.replace("{}", &path.display().to_string());
        assert_eq!(Bundle::open(&path).unwrap_err().to_string(), expected);
    }
    let error = Bundle::open("/dev/null".as_ref()).unwrap_err().to_string();
    assert_eq!(error, "/dev/null is no regular file, not a tfjet bundle");
}
