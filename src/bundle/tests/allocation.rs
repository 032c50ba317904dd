//! A length in a structured section does not make the decoder allocate what is not there. One
//! test, since it watches the whole process.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;

use tfjet_bundle::{Bundle, BundleWriter, SectionKind};

/// Largest address space so far, in KiB; `None` where the system does not tell.
fn peak_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmPeak:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

#[test]
fn hostile_lengths_allocate_little() {
    let Some(before) = peak_kib() else {
        eprintln!("skipped: this system has no VmPeak in /proc/self/status");
        return;
    };
    let lengths = [1 << 16, 1 << 24, 1 << 32, 1 << 40, u64::MAX >> 1, u64::MAX];
    for length in lengths {
        // Each prefix leads to another list of the type.
        for (kind, prefixes) in [
            (
                SectionKind::Manifest,
                &[&b""[..], b"\0", b"\0\0\0", b"\0\0\0\0"][..],
            ),
            (
                SectionKind::Schedule,
                &[
                    b"",
                    b"\0",
                    b"\0\0",
                    b"\0\0\0",
                    b"\0\0\0\0",
                    b"\0\0\0\x01\x01",
                ],
            ),
            (SectionKind::WeightsTable, &[b"", b"\x01\0"]),
            (
                SectionKind::Network,
                &[b"", b"\0", b"\0\0", b"\0\0\0", b"\0\0\0\0"],
            ),
        ] {
            for prefix in prefixes {
                let mut bytes = prefix.to_vec();
                bytes.extend(varint(length));
                bytes.resize(bytes.len() + 16, 0);
                let mut writer = BundleWriter::new();
                writer.add(kind, "", 0, bytes).unwrap();
                let bundle = Bundle::from_bytes(writer.to_bytes().unwrap()).unwrap();
                let refused = match kind {
                    SectionKind::Manifest => bundle.manifest().is_err(),
                    SectionKind::Schedule => bundle.schedule().is_err(),
                    SectionKind::WeightsTable => bundle.weights_table().is_err(),
                    _ => bundle.network(0).is_err(),
                };
                assert!(refused, "{kind} with length {length} after {prefix:?}");
            }
        }
    }
    let grown = peak_kib().unwrap() - before;
    assert!(grown < 64 << 10, "the address space grew by {grown} KiB");
}
