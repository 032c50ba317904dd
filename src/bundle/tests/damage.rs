//! No damage to a file goes unnoticed, and none makes the reader panic.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::Sample;
use proptest::prelude::*;
use tfjet_bundle::{Bundle, BundleWriter, FORMAT_VERSION, MAGIC, SectionKind};

fn accepts(bytes: Vec<u8>) -> bool {
    Bundle::from_bytes(bytes)
        .and_then(|bundle| bundle.verify())
        .is_ok()
}

#[test]
fn any_flipped_byte_is_found() {
    let good = Sample::new().bytes();
    assert!(accepts(good.clone()));
    let patterns = [1, 2, 4, 8, 16, 32, 64, 128, 0xff, 0x55];
    for offset in 0..good.len() {
        for pattern in patterns {
            let mut bytes = good.clone();
            bytes[offset] ^= pattern;
            assert!(
                !accepts(bytes),
                "byte {offset} xor {pattern:#x} is not found"
            );
        }
        let mut zeroed = good.clone();
        if std::mem::take(&mut zeroed[offset]) != 0 {
            assert!(!accepts(zeroed), "byte {offset} set to zero is not found");
        }
    }
}

#[test]
fn any_truncation_is_found_when_opened() {
    let good = Sample::new().bytes();
    for len in 0..good.len() {
        assert!(
            Bundle::from_bytes(good[..len].to_vec()).is_err(),
            "{len} bytes"
        );
    }
}

#[test]
fn a_truncated_file_is_found_when_opened() {
    let good = Sample::new().bytes();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.jet");
    for len in [0, 1, 8, 63, 64, 65, 960, 4096, good.len() - 1] {
        std::fs::write(&path, &good[..len]).unwrap();
        let error = Bundle::open(&path).unwrap_err().to_string();
        assert!(error.contains("model.jet"), "{error}");
    }
}

#[test]
fn appended_bytes_are_found_when_opened() {
    let mut bytes = Sample::new().bytes();
    bytes.push(0);
    assert!(Bundle::from_bytes(bytes).is_err());
}

proptest! {
    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        prop_assert!(!accepts(bytes));
    }

    #[test]
    fn random_bytes_after_a_header_are_refused(
        tail in prop::collection::vec(any::<u8>(), 40..512),
        count in 0u32..4,
    ) {
        let mut bytes = MAGIC.to_vec();
        for field in [FORMAT_VERSION, 0, count, 64] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend((24 + 8 + tail.len() as u64).to_le_bytes());
        bytes.extend(tail);
        prop_assert!(!accepts(common::patched(&bytes, &[])));
    }

    #[test]
    fn random_table_fields_never_panic(
        changes in prop::collection::vec((64usize..928, any::<u8>()), 1..8),
    ) {
        let changes: Vec<_> = changes.iter().map(|(at, byte)| (*at, std::slice::from_ref(byte))).collect();
        accepts(common::patched(&Sample::new().bytes(), &changes));
    }

    /// Contents whose hash matches: what the decoder sees is entirely the author's.
    #[test]
    fn random_contents_never_panic(
        kind in 0usize..7,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let whole = Bundle::from_bytes(Sample::new().bytes()).unwrap();
        let mut writer = BundleWriter::new();
        for section in whole.sections() {
            let id = &section.id;
            let mut bytes = whole.section(id.kind, "", id.index).unwrap().to_vec();
            if id.kind == SectionKind::ALL[kind] {
                for (at, byte) in &changes {
                    *at.get_mut(&mut bytes) = *byte;
                }
            }
            writer.add(id.kind, "", id.index, bytes).unwrap();
        }
        accepts(writer.to_bytes().unwrap());
    }
}
