//! The targets: those of `targets/*.toml`, and a user's own by file.

use std::path::{Path, PathBuf};

use tfjet_core::Target;

/// The files of `targets/`, by the names that they must carry.
const FILES: [(&str, &str); 10] = [
    ("nano", include_str!("../../../targets/nano.toml")),
    ("tx2", include_str!("../../../targets/tx2.toml")),
    ("xavier-nx", include_str!("../../../targets/xavier-nx.toml")),
    (
        "agx-xavier",
        include_str!("../../../targets/agx-xavier.toml"),
    ),
    ("orin-nano", include_str!("../../../targets/orin-nano.toml")),
    ("orin-nx", include_str!("../../../targets/orin-nx.toml")),
    ("agx-orin", include_str!("../../../targets/agx-orin.toml")),
    ("x86-cpu", include_str!("../../../targets/x86-cpu.toml")),
    ("x86-gpu", include_str!("../../../targets/x86-gpu.toml")),
    ("x86-rtx", include_str!("../../../targets/x86-rtx.toml")),
];

/// Why a target is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// No target of this name.
    #[error(
        "target `{name}` is not known{}; targets: {known}, or the path of a TOML file",
        nearest.map_or(String::new(), |name| format!(", `{name}` is near"))
    )]
    Unknown {
        /// The name given.
        name: String,
        /// The name that is most like it.
        nearest: Option<&'static str>,
        /// All names.
        known: String,
    },
    /// The file cannot be read.
    #[error("{}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: std::io::Error,
    },
    /// The file is no target.
    #[error("{file}: {message}")]
    Bad {
        /// The file.
        file: String,
        /// What is wrong, on one line.
        message: String,
    },
}

/// All targets of this release, in the order of their boards.
///
/// # Errors
/// None where `targets/` is as it was released.
pub fn targets() -> Result<Vec<Target>, TargetError> {
    FILES
        .into_iter()
        .map(|(name, text)| parse(&format!("targets/{name}.toml"), text))
        .collect()
}

/// A target by name, or by the path of a TOML file: what ends in `.toml` or holds a slash.
///
/// # Errors
/// An unknown name, with the names there are; a file that cannot be read or is no target.
pub fn find_target(name: &str) -> Result<Target, TargetError> {
    if name.ends_with(".toml") || name.contains('/') {
        let file = Path::new(name);
        let text = std::fs::read_to_string(file).map_err(|source| TargetError::Read {
            file: file.into(),
            source,
        })?;
        return parse(name, &text);
    }
    match FILES.into_iter().find(|(known, _)| *known == name) {
        Some((known, text)) => parse(&format!("targets/{known}.toml"), text),
        None => Err(TargetError::Unknown {
            name: name.into(),
            nearest: nearest(name),
            known: FILES.map(|(known, _)| known).join(", "),
        }),
    }
}

fn parse(file: &str, text: &str) -> Result<Target, TargetError> {
    let bad = |message: String| TargetError::Bad {
        file: file.into(),
        message: message.replace('\n', " "),
    };
    let target: Target = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| {
            let before = text.get(..span.start).unwrap_or(text);
            format!("line {}: ", before.matches('\n').count() + 1)
        });
        bad(line.unwrap_or_default() + error.message().trim())
    })?;
    target.check().map_err(bad)?;
    Ok(target)
}

/// The name that takes the fewest edits, where that is less than half of it.
fn nearest(name: &str) -> Option<&'static str> {
    let edits = |known: &'static str| (edits(name, known), known);
    let (count, known) = FILES.map(|(known, _)| edits(known)).into_iter().min()?;
    (2 * count <= known.len()).then_some(known)
}

/// How many characters are put in, left out or changed between two words.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let changed = row[j] + usize::from(from != *to);
            next.push(changed.min(row[j + 1] + 1).min(next[j] + 1));
        }
        row = next;
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use tfjet_core::{EngineKind, Precision};

    use super::*;

    #[test]
    fn every_file_is_a_target_of_its_name() {
        let targets = targets().unwrap();
        for (target, (name, _)) in targets.iter().zip(FILES) {
            assert_eq!(target.name, name);
            assert_eq!(find_target(name).unwrap(), *target);
            assert!(!target.description.is_empty(), "{name}");
        }
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../targets"));
        let tables = files.unwrap().filter(|file| {
            let name = file.as_ref().unwrap().file_name();
            name.to_string_lossy().ends_with(".toml")
        });
        assert_eq!(tables.count(), FILES.len(), "a file is not embedded");
    }

    #[test]
    fn the_default_is_x86_cpu() {
        assert_eq!(find_target("x86-cpu").unwrap(), Target::default());
    }

    #[test]
    fn boards_are_what_they_are() {
        for (name, library, capability, int8, dla_cores, coherent) in [
            ("nano", "TensorRT 8.2.1", "5.3", false, 0, false),
            ("tx2", "TensorRT 8.2.1", "6.2", false, 0, false),
            ("xavier-nx", "TensorRT 8.5.2", "7.2", true, 2, true),
            ("agx-xavier", "TensorRT 8.5.2", "7.2", true, 2, true),
            ("orin-nano", "TensorRT 10.3.0", "8.7", true, 0, true),
            ("orin-nx", "TensorRT 10.3.0", "8.7", true, 2, true),
            ("agx-orin", "TensorRT 10.3.0", "8.7", true, 2, true),
        ] {
            let board = find_target(name).unwrap();
            assert_eq!(board.library(), library, "{name}");
            let found = board.compute_capability.map(String::from);
            assert_eq!(found.as_deref(), Some(capability), "{name}");
            assert_eq!(board.supports(Precision::Int8), int8, "{name}");
            assert!(
                board.supports(Precision::Fp16) && board.integrated,
                "{name}"
            );
            assert_eq!(board.dla_cores, dla_cores, "{name}");
            assert_eq!(board.io_coherent, coherent, "{name}");
            assert!(board.jetpack.is_some() && board.memory_gib.is_some());
            assert!(board.l4t.is_some() && board.cuda.is_some(), "{name}");
            assert!(board.gstreamer.is_some() && board.glibc.is_some(), "{name}");
            assert!(board.soc.is_some() && board.cpu.is_some(), "{name}");
            assert!(!board.power_modes.is_empty(), "{name}");
        }
        let cpu = find_target("x86-cpu").unwrap();
        assert!(cpu.supports(Precision::Fp16) && cpu.supports(Precision::Int8));
        for (name, engine) in [
            ("x86-gpu", EngineKind::TensorRt),
            ("x86-rtx", EngineKind::TensorRtRtx),
        ] {
            let machine = find_target(name).unwrap();
            assert_eq!(machine.engine, engine);
            assert!(!machine.integrated && machine.jetpack.is_none(), "{name}");
        }
    }

    /// A core of CUDA multiplies and adds once in a cycle, half as wide numbers twice; a tensor
    /// core 64 times (Volta) or 256 times (Ampere) in 16 bits, twice as often in 8.
    #[test]
    fn peaks_are_cores_times_clocks() {
        for (name, cores, tensor_cores, products) in [
            ("nano", 128.0, 0.0, 0.0),
            ("tx2", 256.0, 0.0, 0.0),
            ("xavier-nx", 384.0, 48.0, 64.0),
            ("agx-xavier", 512.0, 64.0, 64.0),
            ("orin-nano", 1024.0, 32.0, 256.0),
            ("orin-nx", 1024.0, 32.0, 256.0),
            ("agx-orin", 2048.0, 64.0, 256.0),
        ] {
            let board = find_target(name).unwrap();
            let peak = board.peak_tflops.unwrap();
            let clock = board.power_modes[0].gpu_mhz / 1e6;
            let fp32 = 2.0 * cores * clock;
            let fp16 = match board.has_tensor_cores() {
                true => 2.0 * tensor_cores * products * clock,
                false => 2.0 * fp32,
            };
            let int8 = board.has_tensor_cores().then_some(2.0 * fp16);
            for (precision, expected) in [
                (Precision::Fp32, Some(fp32)),
                (Precision::Fp16, Some(fp16)),
                (Precision::Int8, int8),
            ] {
                match (peak.of(precision), expected) {
                    (Some(found), Some(expected)) => {
                        let off = (found / expected - 1.0).abs();
                        assert!(off < 0.01, "{name} {precision}: {found}, {expected}");
                    }
                    (found, expected) => assert_eq!(found, expected, "{name} {precision}"),
                }
            }
        }
    }

    #[test]
    fn unknown_names_get_the_nearest() {
        for (name, expected) in [
            ("nan", Some("nano")),
            ("orin_nx", Some("orin-nx")),
            ("x86gpu", Some("x86-gpu")),
            ("Nano", Some("nano")),
            ("raspberry-pi", None),
            ("", None),
        ] {
            let error = find_target(name).unwrap_err();
            assert!(
                matches!(&error, TargetError::Unknown { nearest, .. } if *nearest == expected),
                "{error}"
            );
            assert!(error.to_string().contains("agx-orin"), "{error}");
        }
    }

    #[test]
    fn files_are_read_and_errors_have_a_place() {
        let good = FILES[0].1;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("board.toml");
        let read = |text: &str| {
            std::fs::write(&file, text).unwrap();
            find_target(file.to_str().unwrap())
        };
        let mine = read(&good.replace("\"nano\"", "\"mine\"")).unwrap();
        assert_eq!(mine.name, "mine");
        for (from, to, expected) in [
            ("name =", "nickname =", "line 1: unknown field `nickname`"),
            ("\"8.2.1\"", "\"8.2\"", "`8.2` is no release"),
            ("\"8.2.1\"", "\"8.0.1\"", "JetPack 4.6.1"),
            ("\"fp16\"", "\"fp17\"", "unknown variant `fp17`"),
            ("\"tensorrt\"", "\"tpu\"", "unknown variant `tpu`"),
        ] {
            assert!(good.contains(from), "{from}");
            let error = read(&good.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error} lacks {expected}");
            assert!(error.contains("board.toml") && !error.contains('\n'));
        }
        assert!(matches!(
            find_target("./none.toml"),
            Err(TargetError::Read { .. })
        ));
    }
}
