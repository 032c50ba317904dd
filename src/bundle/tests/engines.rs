//! Engines and timing caches: framed, told apart by machine, refused where they do not fit.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::sync::Arc;

use common::{Sample, engines};
use tfjet_bundle::{AddProblem, Bundle, BundleError, BundleWriter, EngineHeader, SectionKind};

const TARGET: &str = "trt8.5.2-sm90-fp16";

fn header() -> EngineHeader {
    engines::engines().remove(2).1
}

/// The sample with one raw section more; the error of its verification.
fn refusal(kind: SectionKind, target: &str, index: u32, bytes: Vec<u8>) -> String {
    let mut writer = Sample::new().writer();
    writer.add(kind, target, index, bytes).unwrap();
    let bundle = Bundle::from_bytes(writer.to_bytes().unwrap()).unwrap();
    let error = bundle.verify().expect_err("the bundle is accepted");
    error.to_string()
}

fn framed(header: &[u8], stated: usize, engine: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(stated).unwrap().to_le_bytes().to_vec();
    bytes.extend_from_slice(header);
    bytes.resize(bytes.len().next_multiple_of(64), 0);
    bytes.extend_from_slice(engine);
    bytes
}

#[test]
fn targets_name_library_gpu_and_precision() {
    let mut header = header();
    assert_eq!(header.target(), TARGET);
    assert_eq!(header.timing_target(), "trt8.5.2-sm90");
    header.compute_capability = None;
    header.library = "rtx1.7.1".into();
    assert_eq!(header.target(), "rtx1.7.1-any-fp16");
    header.compute_capability = Some((12, 1));
    header.library = "trt10.16.1".into();
    assert_eq!(header.target(), "trt10.16.1-sm121-fp16");
}

#[test]
fn engines_are_lent_in_place_and_aligned() {
    let bundle = Bundle::from_bytes(engines::writer().to_bytes().unwrap()).unwrap();
    let (found, bytes) = bundle.engine(TARGET, 1).unwrap();
    let (_, expected, contents) = engines::engines().remove(3);
    assert_eq!((found, bytes), (expected, &*contents));
    assert_eq!(bytes.as_ptr().addr() % 64, 0);
    assert_eq!(bundle.engines().count(), 4);
    assert_eq!(bundle.engine_ids().count(), 4);
    assert_eq!(bundle.timing_cache("trt8.5.2-sm87").unwrap(), None);
    assert_eq!(
        bundle
            .engine("trt8.5.2-sm87-fp16", 0)
            .unwrap_err()
            .to_string(),
        "the bundle in memory has no Engine section 0 for target \"trt8.5.2-sm87-fp16\""
    );
}

#[test]
fn any_changed_byte_of_the_appendix_is_found() {
    let good = engines::writer().to_bytes().unwrap();
    let bundle = Bundle::from_bytes(good.clone()).unwrap();
    let appendix = bundle.sections().iter().filter(|section| {
        matches!(
            section.id.kind,
            SectionKind::Engine | SectionKind::TimingCache
        )
    });
    let mut changed = 0;
    for section in appendix {
        let start = usize::try_from(section.offset).unwrap();
        for at in start..start + usize::try_from(section.len_bytes).unwrap() {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << (at % 8);
            let verified = Bundle::from_bytes(bytes).unwrap().verify();
            let error = verified.unwrap_err().to_string();
            assert!(
                error.contains("damaged") && error.contains("section"),
                "{error}"
            );
            changed += 1;
        }
    }
    assert!(changed > 400);
}

#[test]
fn refuses_engines_that_are_framed_wrongly() {
    let header = header();
    let text = postcard::to_allocvec(&header).unwrap();
    let engine = |bytes| refusal(SectionKind::Engine, TARGET, 0, bytes);
    let longer = [text.as_slice(), &[0]].concat();
    let mut dirty = framed(&text, text.len(), b"engine");
    let gap = 4 + text.len();
    assert!(!gap.is_multiple_of(64), "the header has no padding");
    dirty[gap] = 1;
    for (bytes, expected) in [
        (vec![], "the engine has no bytes"),
        (vec![1, 0], "the engine has no bytes"),
        (framed(&text, text.len(), b""), "the engine has no bytes"),
        (
            framed(&text, 1 << 30, b"e"),
            "the engine's header takes 1073741824 bytes, at most",
        ),
        (
            framed(&text, longer.len(), b"e"),
            "1 bytes are left over after decoding the engine's",
        ),
        (
            framed(&text, 3, b"engine"),
            "the engine's header cannot be decoded",
        ),
        (
            dirty,
            "padding between the engine's header and the engine is not zero",
        ),
    ] {
        let error = engine(bytes);
        assert!(error.contains(expected), "{error:?} lacks {expected:?}");
        assert!(error.contains(TARGET), "{error}");
    }
}

#[test]
fn refuses_engines_of_another_target_or_segment() {
    let header = header();
    let text = postcard::to_allocvec(&header).unwrap();
    let bytes = framed(&text, text.len(), b"engine");
    for (target, index, expected) in [
        (
            "trt8.5.2-sm87-fp16",
            0,
            "the engine's header is of target \"trt8.5.2-sm90-fp16\"",
        ),
        (TARGET, 2, "the engine refers to segment 2, there are 2"),
    ] {
        let error = refusal(SectionKind::Engine, target, index, bytes.clone());
        assert!(error.ends_with(expected), "{error:?} lacks {expected:?}");
    }
    let error = refusal(SectionKind::TimingCache, "", 0, vec![1]);
    assert!(error.ends_with("its target is empty"), "{error}");
}

#[test]
fn refuses_to_write_what_it_would_not_read() {
    let mut writer = BundleWriter::new();
    let mut long = header();
    long.flags = "f".repeat(1 << 20);
    let mut unnamed = header();
    unnamed.library = "TensorRT 8.5".into();
    for (header, engine, expected) in [
        (header(), &b""[..], "the engine has no bytes"),
        (long, b"e", "the engine's header takes"),
        (unnamed, b"e", "the target name is not"),
    ] {
        let error = writer.set_engine(&header, 0, engine).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let large = vec![0; (256 << 20) + 1];
    let result = writer.add(SectionKind::TimingCache, "trt8.5.2-sm90", 0, large);
    assert!(matches!(
        result,
        Err(BundleError::Add {
            problem: AddProblem::TooLarge { .. },
            ..
        })
    ));
}

#[test]
fn a_bundle_takes_engines_in_place_of_older_ones() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.jet");
    Sample::new().writer().write(&path).unwrap();
    let plain = Arc::new(Bundle::open(&path).unwrap());
    let mut writer = BundleWriter::from_bundle(&plain).unwrap();
    assert_eq!(writer.to_bytes().unwrap(), Sample::new().bytes());
    writer.set_engine(&header(), 0, b"older").unwrap();
    for (segment, header, bytes) in engines::engines() {
        writer.set_engine(&header, segment, &bytes).unwrap();
    }
    let (kind, target) = (SectionKind::TimingCache, "trt8.5.2-sm90");
    writer.set(kind, target, 0, engines::TIMING.into()).unwrap();
    writer.write(&path).unwrap();
    let expected = engines::writer().to_bytes().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), expected);
    plain.verify().unwrap();
    let grown = Arc::new(Bundle::open(&path).unwrap());
    let again = BundleWriter::from_bundle(&grown).unwrap();
    assert_eq!(again.to_bytes().unwrap(), expected);
}

#[test]
fn a_damaged_bundle_is_not_copied() {
    let mut bytes = engines::writer().to_bytes().unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let bundle = Arc::new(Bundle::from_bytes(bytes).unwrap());
    let error = BundleWriter::from_bundle(&bundle).unwrap_err().to_string();
    assert!(error.contains("TimingCache section"), "{error}");
}
