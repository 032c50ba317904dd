//! The sample with engines for two machines and a timing cache.

use tfjet_bundle::{BundleWriter, EngineHeader, SectionKind};

use super::Sample;

pub(crate) const TIMING: &[u8] = b"timings";

/// For each engine its segment, header and bytes; sorted by library, then segment.
pub(crate) fn engines() -> Vec<(u32, EngineHeader, Vec<u8>)> {
    let mut engines = Vec::new();
    for (library, capability, precision) in [
        ("rtx1.7.1", None, "fp32"),
        ("trt8.5.2", Some((9, 0)), "fp16"),
    ] {
        for segment in 0..2u8 {
            let header = EngineHeader {
                library: library.into(),
                compute_capability: capability,
                precision: precision.into(),
                key: [segment + 1; 32],
                gpu: capability.map_or(String::new(), |_| "NVIDIA H200".into()),
                profiles: vec![vec![[vec![1, 3], vec![8, 3], vec![300, 3]]]],
                build_seconds: 1.5,
                flags: "tf32".into(),
            };
            let bytes = format!("ftrt {library} {segment}").into_bytes();
            engines.push((u32::from(segment), header, bytes));
        }
    }
    engines
}

pub(crate) fn writer() -> BundleWriter {
    let mut writer = Sample::new().writer();
    for (segment, header, bytes) in engines() {
        writer.set_engine(&header, segment, &bytes).unwrap();
    }
    writer
        .add(
            SectionKind::TimingCache,
            "trt8.5.2-sm90",
            0,
            TIMING.to_vec(),
        )
        .unwrap();
    writer
}
