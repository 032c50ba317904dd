//! The programs for the boards: what `scripts/cross.sh` may let through, and what they compute on
//! an emulated board. `scripts/test-aarch64.sh` builds them and sets `TFJET_AARCH64`, their folder,
//! and `TFJET_AARCH64_SYSROOT`, arm64 packages; without these the emulation is skipped loudly.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{arrays, cached, convert, engine, folder, npz, picture, root, skip, tfjet_run};
use serde_json::Value;
use tfjet::core::Target;

/// The boards' targets.
fn boards() -> Vec<Target> {
    tfjet::convert::targets()
        .unwrap()
        .into_iter()
        .filter(|target| target.jetpack.is_some())
        .collect()
}

/// What a program said that was run to its end.
fn output(command: &mut Command) -> (bool, String) {
    let output = command.output().expect("the program starts");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

fn check(arguments: &[&str], file: &Path) -> (bool, String) {
    let script = root().join("scripts/cross-check.sh");
    output(Command::new(script).args(arguments).arg(file))
}

/// `2.27` as numbers, so that versions can be compared.
fn version(text: &str) -> Vec<u32> {
    text.split('.').map(|part| part.parse().unwrap()).collect()
}

#[test]
fn every_jetpack_has_a_container_with_its_releases() {
    let config: toml::Table = std::fs::read_to_string(root().join("Cross.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let dockerfile = &config["target"]["aarch64-unknown-linux-gnu"]["dockerfile"];
    let file = dockerfile["file"].as_str().unwrap();
    assert!(root().join(file).is_file(), "{file}");

    assert!(!boards().is_empty());
    for board in boards() {
        let jetpack = board.jetpack.as_deref().unwrap();
        let major = jetpack.split('.').next().unwrap();
        let path = root().join(format!("cross/jetpack{major}.Dockerfile"));
        let text = std::fs::read_to_string(&path).expect("a Dockerfile");
        let glibc = board.glibc.as_deref().unwrap();
        let gstreamer = board.gstreamer.unwrap();
        let releases = format!("glibc {glibc}, GStreamer {gstreamer}.");
        assert!(
            text.lines().next().unwrap().ends_with(&releases),
            "{}: {path:?}",
            board.name
        );
        let ubuntu = match glibc {
            "2.27" => "ubuntu:18.04",
            "2.31" => "ubuntu:20.04",
            "2.35" => "ubuntu:22.04",
            _ => "ubuntu:24.04",
        };
        let images: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("FROM "))
            .collect();
        assert!(!images.is_empty(), "{path:?}");
        assert!(
            images.iter().all(|image| image.contains(ubuntu)),
            "{images:?}"
        );
    }
}

#[test]
fn the_oldest_releases_are_what_is_linked_against() {
    let list = std::fs::read_to_string(root().join("cross/gstreamer-1.14.symbols")).unwrap();
    let has = |name: &str| {
        list.lines()
            .any(|line| line.strip_prefix(' ') == Some(name))
    };
    for name in [
        "gst_init_check",
        "gst_app_sink_try_pull_sample",
        "g_object_set_property",
    ] {
        assert!(has(name), "{name}");
    }
    // From 1.16, 1.20 and GLib 2.68; the second was inline before.
    for name in [
        "gst_clock_is_system_monotonic",
        "gst_buffer_ref",
        "g_memdup2",
    ] {
        assert!(!has(name), "{name}");
    }
    let oldest = |of: fn(&Target) -> Option<String>| {
        let found = boards().iter().filter_map(of).min_by_key(|it| version(it));
        found.unwrap()
    };
    let gstreamer = oldest(|board| board.gstreamer.map(|release| release.to_string()));
    assert!(list.contains(&format!(" gstreamer-1.0 {gstreamer}\n")));
    let script = std::fs::read_to_string(root().join("scripts/cross-check.sh")).unwrap();
    let glibc = oldest(|board| board.glibc.clone());
    assert!(script.contains(&format!("GLIBC={glibc} ")), "{glibc}");
}

#[test]
fn a_program_of_this_machine_is_refused() {
    if !cfg!(target_arch = "x86_64") {
        return;
    }
    let (good, said) = check(&[], Path::new(env!("CARGO_BIN_EXE_tfjet-run")));
    assert!(!good, "{said}");
    for objection in [
        "is for another machine than aarch64",
        "is not stripped",
        "needs libgstreamer-1.0.so.0",
    ] {
        assert!(said.contains(objection), "{objection}: {said}");
    }
    let (_, said) = check(&["--gstreamer"], Path::new(env!("CARGO_BIN_EXE_tfjet-run")));
    assert!(!said.contains("needs libgst"), "{said}");
    let (good, _) = check(&[], &root().join("Cargo.toml"));
    assert!(!good, "a text file");
}

#[test]
fn every_board_has_an_onnx_runtime_that_its_c_library_loads() {
    for board in boards() {
        let old = board.jetpack.as_deref().unwrap().starts_with("4.");
        let (entry, file) = match old {
            true => ("onnxruntime-jetpack4", "libonnxruntime.so.1.24.4"),
            false => ("onnxruntime-aarch64", "libonnxruntime.so.1.32.0"),
        };
        let Some(library) = cached(entry, file) else {
            return;
        };
        let (good, said) = check(&["--versions"], &library);
        assert!(good, "{said}");
        let needs = |name: &str| {
            let line = said.lines().find_map(|line| line.strip_prefix(name));
            version(line.expect("a version").trim())
        };
        let glibc = board.glibc.as_deref().unwrap();
        assert!(needs("GLIBC ") <= version(glibc), "{}: {said}", board.name);
        // The C++ library of Ubuntu 18.04, the oldest.
        assert!(needs("GLIBCXX ") <= version("3.4.25"), "{said}");
        // Why there are two.
        assert_eq!(needs("GLIBC ") > version("2.27"), !old, "{said}");
    }
}

/// A program for the boards, on an emulated Cortex-A57, with one ONNX Runtime.
struct Board {
    programs: PathBuf,
    sysroot: PathBuf,
    library: PathBuf,
}

impl Board {
    fn with(entry: &str, file: &str) -> Option<Self> {
        let path = |name| std::env::var_os(name).map(PathBuf::from);
        let (Some(programs), Some(sysroot)) =
            (path("TFJET_AARCH64"), path("TFJET_AARCH64_SYSROOT"))
        else {
            skip("TFJET_AARCH64 is not set; scripts/test-aarch64.sh does so");
            return None;
        };
        let library = cached(entry, file)?;
        Some(Self {
            programs,
            sysroot,
            library,
        })
    }

    fn run(&self, program: &str, arguments: &[&dyn AsRef<std::ffi::OsStr>], scratch: &Path) {
        let plugins = self.sysroot.join("usr/lib/aarch64-linux-gnu/gstreamer-1.0");
        let mut command = Command::new("qemu-aarch64-static");
        command
            .args(["-cpu", "cortex-a57", "-L"])
            .arg(&self.sysroot);
        command.arg(self.programs.join(program));
        command.args(arguments.iter().map(AsRef::as_ref));
        command.arg("--onnxruntime").arg(&self.library);
        command
            .env("GST_PLUGIN_SYSTEM_PATH_1_0", plugins)
            .env("GST_REGISTRY_1_0", scratch.join("registry.bin"))
            .env("GST_REGISTRY_FORK", "no");
        let (good, said) = output(&mut command);
        assert!(good, "{said}");
    }
}

/// Equal in structure and text, and nearly so in numbers.
fn agree(board: &Value, here: &Value, tolerance: f64) -> bool {
    match (board, here) {
        (Value::Number(a), Value::Number(b)) => {
            (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() <= tolerance
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| agree(a, b, tolerance))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.keys().eq(b.keys()) && a.iter().all(|(key, a)| agree(a, &b[key], tolerance))
        }
        (a, b) => a == b,
    }
}

#[test]
fn results_that_differ_do_not_agree() {
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let here = value(r#"{"label":"car","box":[1.0,2.0]}"#);
    assert!(agree(
        &value(r#"{"label":"car","box":[1.0,2.01]}"#),
        &here,
        0.05
    ));
    for other in [
        r#"{"label":"car","box":[1.0,2.1]}"#,
        r#"{"label":"bus","box":[1.0,2.0]}"#,
        r#"{"label":"car","box":[1.0]}"#,
        r#"{"label":"car"}"#,
        r#"{"label":"car","box":[1.0,2.0],"score":1}"#,
    ] {
        assert!(!agree(&value(other), &here, 0.05), "{other}");
    }
}

#[test]
fn a_board_finds_in_a_clip_what_this_machine_finds() {
    let Some(board) = Board::with("onnxruntime-aarch64", "libonnxruntime.so.1.32.0") else {
        return;
    };
    let model = cached("centernet", "centernet.json");
    let (Some(model), Some(video), true) = (model, cached("vtest", "vtest.avi"), engine()) else {
        return;
    };
    let folder = folder();
    let bundle = folder.path().join("centernet.jet");
    convert(&model, &bundle, "");
    // Theora: its decoder needs no more than the base plugins, and any decoder gives the same
    // pixels.
    let clip = folder.path().join("clip.ogv");
    let (good, said) = output(
        Command::new("gst-launch-1.0")
            .arg("-q")
            .args(["filesrc".into(), format!("location={}", video.display())])
            .args("! decodebin ! identity eos-after=3 ! videoconvert".split(' '))
            .args("! theoraenc ! oggmux ! filesink".split(' '))
            .arg(format!("location={}", clip.display())),
    );
    assert!(good, "{said}");

    let lines = |path: &Path| -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let (here, there) = (
        folder.path().join("here.jsonl"),
        folder.path().join("there.jsonl"),
    );
    let run = tfjet_run().arg("run").arg(&bundle).words("--frames 2");
    run.arg("--source")
        .arg(&clip)
        .arg("--sink")
        .arg(&here)
        .run()
        .good();
    board.run(
        "tfjet-run",
        &[
            &"run",
            &bundle,
            &"--frames",
            &"2",
            &"--source",
            &clip,
            &"--sink",
            &there,
        ],
        folder.path(),
    );
    let (here, there) = (lines(&here), lines(&there));
    assert_eq!(here.len(), 2);
    let found = here[0]["detections"].as_array().unwrap();
    assert!(found.len() >= 5, "{found:?}");
    assert_eq!(there.len(), 2);
    for (there, here) in there.iter().zip(&here) {
        assert!(agree(there, here, 0.05), "{there}\n{here}");
    }
}

#[test]
fn a_board_without_gstreamer_computes_what_this_machine_computes() {
    let Some(board) = Board::with("onnxruntime-jetpack4", "libonnxruntime.so.1.24.4") else {
        return;
    };
    let model = cached("efficientnet-lite0", "efficientnet_lite0.pb");
    let (Some(model), true) = (model, engine()) else {
        return;
    };
    let folder = folder();
    let bundle = folder.path().join("efficientnet.jet");
    convert(&model, &bundle, "");
    let image = picture(&[1, 224, 224, 3]);
    let inputs = npz(folder.path(), "in.npz", &[("images", &image)]);
    let (here, there) = (
        folder.path().join("here.npz"),
        folder.path().join("there.npz"),
    );
    let run = tfjet_run().arg("run").arg(&bundle);
    let run = run.arg("--inputs").arg(&inputs).arg("--outputs").arg(&here);
    run.run().good();
    board.run(
        "tfjet-run-headless",
        &[&"run", &bundle, &"--inputs", &inputs, &"--outputs", &there],
        folder.path(),
    );
    let (here, there) = (arrays(&here), arrays(&there));
    assert_eq!(here.len(), there.len());
    for ((name, here), (other, there)) in here.iter().zip(&there) {
        assert_eq!((name, here.shape()), (other, there.shape()));
        let (here, there) = (
            here.as_slice::<f32>().unwrap(),
            there.as_slice::<f32>().unwrap(),
        );
        let worst = here.iter().zip(there).map(|(a, b)| (a - b).abs());
        let worst = worst.fold(0.0, f32::max);
        assert!(worst <= 1e-5, "{name}: {worst}");
        assert!(here.iter().any(|value| *value > 1e-3), "{name} is empty");
    }
}
