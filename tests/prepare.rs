//! `tfjet-run prepare`, `doctor` and `run --device`: what they say where there is no GPU, and what
//! a build leaves. Engines are built where `TFJET_TENSORRT_RTX` names TensorRT-RTX's library, which
//! needs no GPU.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::Path;

use common::{
    Graph, Machine, Program, Ran, convert, engine, folder, listing, npz, rows_bundle, script,
    tfjet, tfjet_run,
};
use tfjet::bundle::Bundle;
use tfjet::core::{DType, Tensor};

/// The runtime on a machine without driver and TensorRT, whatever this one has.
fn bare() -> Program {
    tfjet_run().env("TFJET_TENSORRT", "/none/libnvinfer.so.8")
}

#[test]
fn prepare_without_a_gpu_says_what_is_missing() {
    let folder = folder();
    let bundle = rows_bundle(folder.path());
    let before = listing(folder.path());
    let cache = folder.path().join("cache");
    let ran = bare()
        .arg("prepare")
        .arg(&bundle)
        .arg("--cache")
        .arg(&cache)
        .run();
    let line = ran.refused(4);
    assert!(
        line.contains("no CUDA driver") && line.contains("/none/libcuda.so.1"),
        "{line}"
    );
    let named = bare()
        .arg("prepare")
        .arg(&bundle)
        .arg("--cache")
        .arg(&cache);
    let ran = named.words("--tensorrt /none/libnvinfer.so.10").run();
    assert!(ran.refused(4).contains("/none/libnvinfer.so.10"));
    assert_eq!(listing(folder.path()), before);
}

#[test]
fn prepare_refuses_shapes_that_do_not_fit() {
    let folder = folder();
    let bundle = rows_bundle(folder.path());
    for (flags, expected) in [
        ("--shape z=1x3", "--shape z: the model's inputs are `x`"),
        ("--shape x=1x4", "4 on axis 1"),
        ("--shape x=1", "1 dimensions"),
    ] {
        let ran = bare().arg("prepare").arg(&bundle).words(flags).run();
        let line = ran.refused(2);
        assert!(line.contains(expected), "{line}");
    }
    for flags in [
        "--shape x",
        "--shape x=3:1:2",
        "--precision int8",
        "--workspace 0",
    ] {
        let ran = bare().arg("prepare").arg(&bundle).words(flags).run();
        assert_eq!(ran.code, Some(2), "{ran:#?}");
    }
}

#[test]
fn doctor_tells_what_there_is_and_what_is_not() {
    let folder = folder();
    let cache = folder.path().join("engines");
    let doctor = || bare().arg("doctor").arg("--cache").arg(&cache);
    let json = doctor().words("--json --onnxruntime /none").run();
    assert_eq!(json.code, Some(4), "{json:#?}");
    let report = json.json();
    for part in ["driver", "tensorrt", "tensorrt_rtx", "onnxruntime"] {
        assert_eq!(report[part]["found"], false, "{report}");
        assert!(report[part]["problem"].is_string(), "{report}");
    }
    for part in ["nvrtc", "gstreamer", "board", "cache"] {
        assert!(report[part].is_object(), "{report}");
    }
    assert_eq!(report["gpus"].as_array().unwrap().len(), 0);
    assert_eq!(report["gpu_engine"], false);
    assert_eq!(report["cpu_engine"], false);
    assert_eq!(report["cache"]["writable"], true);
    assert_eq!(json.stderr.lines().count(), 1, "{json:#?}");
    let text = doctor().words("--onnxruntime /none").run();
    assert_eq!(text.code, Some(4), "{text:#?}");
    for word in [
        "driver        missing",
        "segments run  on nothing",
        "engine cache",
    ] {
        assert!(text.stdout.contains(word), "{text:#?}");
    }
    if engine() {
        let text = doctor().run().good();
        assert!(
            text.stdout.contains("segments run  on the CPU"),
            "{text:#?}"
        );
    }
}

#[test]
fn doctor_names_a_cache_that_cannot_be_written() {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let ran = bare()
        .words("doctor --json --cache")
        .arg(file.join("engines"))
        .run();
    let cache = &ran.json()["cache"];
    assert_eq!(cache["writable"], false);
    let problem = cache["problem"].as_str().unwrap();
    assert!(
        problem.contains("file/engines cannot be written"),
        "{problem}"
    );
}

#[test]
fn run_on_a_gpu_needs_one_and_auto_does_not() {
    let folder = folder();
    let bundle = rows_bundle(folder.path());
    let x = Tensor::from_slice(&[1, 3], &[1.0f32, 2.0, 3.0]).unwrap();
    let inputs = npz(folder.path(), "in.npz", &[("x", &x)]);
    let run = |words: &str| {
        let program = bare().arg("run").arg(&bundle).arg("--inputs").arg(&inputs);
        program.words(words).run()
    };
    let refused = run("--device gpu");
    let line = refused.refused(4);
    assert!(line.contains("no CUDA driver"), "{line}");
    assert_eq!(run("--device tpu").code, Some(2));
    if !engine() {
        return;
    }
    let auto = run("--json").good().json();
    assert_eq!(auto["device"], "CPU");
    assert_eq!(auto["precision"], "fp32");
    assert!(
        auto["library"]
            .as_str()
            .unwrap()
            .starts_with("ONNX Runtime")
    );
    assert_eq!(auto["engines"], "the bundle's ONNX models");
    assert!(auto["no_gpu"].as_str().unwrap().contains("no CUDA driver"));
    let cpu = run("--json --device cpu").good().json();
    assert_eq!(
        (&cpu["device"], &cpu["no_gpu"]),
        (&auto["device"], &serde_json::Value::Null)
    );
    let text = run("--device cpu").good();
    assert!(text.stdout.contains("on CPU, ONNX Runtime"), "{text:#?}");
    let logged = bare().env("TFJET_LOG", "info").arg("run").arg(&bundle);
    let logged = logged.arg("--inputs").arg(&inputs).run().good();
    let lines = logged.stderr.lines();
    let said = lines.filter(|line| line.contains("run on the CPU: no CUDA driver"));
    assert_eq!(said.count(), 1, "{logged:#?}");
}

#[test]
fn engines_are_built_once_and_again_when_told() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let ran = machine.prepare("").run().good();
    for word in ["rtx1.7.1-any", "fp32", "segment_0", "built in", "1x3"] {
        assert!(ran.stdout.contains(word), "{ran:#?}");
    }
    for word in [
        "`x` [x_0,3]: batch 1",
        "building segment 0 (`segment_0`), 1 of 1",
    ] {
        assert!(ran.stderr.contains(word), "{ran:#?}");
    }
    assert_eq!(machine.status(""), "cached");
    assert_eq!(machine.status("--force"), "built");
    for flags in ["--precision fp16", "--no-tf32", "--shape x=1x3:4x3:8x3"] {
        assert_eq!(machine.status(flags), "built", "{flags}");
        assert_eq!(machine.status(flags), "cached", "{flags}");
    }
    assert_eq!(machine.files(".jet").len(), 4);
    assert_eq!(machine.files(".prepared").len(), 2);
    let hidden = listing(&machine.cache())
        .into_iter()
        .filter(|name| name.starts_with('.'));
    assert_eq!(hidden.count(), 0);
}

#[test]
fn a_damaged_engine_is_built_again() {
    let Some(machine) = Machine::new() else {
        return;
    };
    machine.prepare("").run().good();
    let [entry] = &machine.files(".jet")[..] else {
        panic!("not one engine");
    };
    let good = fs::read(entry).unwrap();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for damaged in [flipped, good[..good.len() / 2].to_vec(), Vec::new()] {
        fs::write(entry, &damaged).unwrap();
        let ran = machine.prepare("--json").run().good();
        assert_eq!(ran.json()["segments"][0]["status"], "built", "{ran:#?}");
        let name = entry.file_name().unwrap().to_str().unwrap();
        assert!(ran.stderr.contains(name), "{ran:#?}");
        assert_eq!(machine.status(""), "cached");
    }
}

#[test]
fn engines_are_written_back_into_a_bundle() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let plain = fs::read(&machine.bundle).unwrap();
    let out = machine.folder.path().join("out.jet");
    machine.prepare("--write-back").arg(&out).run().good();
    assert_eq!(fs::read(&machine.bundle).unwrap(), plain);
    let verified = tfjet().arg("verify").arg(&out).words("--json").run().good();
    assert_eq!(verified.json()["engines"], 1);
    let inspected = tfjet().arg("inspect").arg(&out).run().good();
    assert!(
        inspected
            .stdout
            .contains("engine     0 for rtx1.7.1-any-fp32:"),
        "{inspected:#?}"
    );
    let json = tfjet()
        .arg("inspect")
        .arg(&out)
        .words("--json")
        .run()
        .good()
        .json();
    let engine = &json["engines"][0];
    assert_eq!(engine["target"], "rtx1.7.1-any-fp32");
    assert_eq!(engine["profiles"][0][0][0], serde_json::json!([1, 3]));
    fs::remove_dir_all(machine.cache()).unwrap();
    let ran = machine.prepare_bundle(&out, "--json").run().good();
    assert_eq!(ran.json()["segments"][0]["status"], "bundle", "{ran:#?}");
    assert_eq!(machine.status(""), "cached");
    // Over itself, with other shapes: the engine is replaced, the second precision added.
    machine
        .prepare_bundle(&out, "--shape x=2x3 --write-back")
        .arg(&out)
        .run()
        .good();
    let both = "--precision fp16 --shape x=2x3 --write-back";
    machine.prepare_bundle(&out, both).arg(&out).run().good();
    let bundle = Bundle::open(&out).unwrap();
    let engines: Vec<_> = bundle.engines().map(Result::unwrap).collect();
    assert_eq!(engines.len(), 2);
    assert!(
        engines
            .iter()
            .all(|it| it.header.profiles[0][0][0] == [2, 3])
    );
    let ran = machine.prepare_bundle(&out, "--shape x=5x3").run();
    let line = ran.refused(2);
    assert!(
        line.contains("other shapes or flags") && line.contains("--write-back"),
        "{line}"
    );
}

#[test]
fn a_build_that_dies_is_named_and_leaves_nothing() {
    let Some(machine) = Machine::new() else {
        return;
    };
    machine.prepare("").run().good();
    let before = machine.files(".jet");
    for (text, expected) in [
        ("kill -9 $$", "killed (SIGKILL)"),
        ("kill -SEGV $$", "crashed inside the library (SIGSEGV)"),
        ("echo no >&2; exit 7", "ended with exit code 7"),
    ] {
        let builder = script(machine.folder.path(), text);
        let ran = machine
            .prepare("--precision fp16 --builder")
            .arg(&builder)
            .run();
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(5), ""), "{ran:#?}");
        let line = ran.stderr.lines().last().unwrap();
        assert!(
            line.contains("segment 0 (`segment_0`)") && line.contains(expected),
            "{line}"
        );
        let log = line.split("(log: ").nth(1).unwrap().trim_end_matches(')');
        assert!(Path::new(log).is_file(), "{log}");
        assert_eq!(machine.files(".jet"), before);
        let hidden = listing(&machine.cache())
            .into_iter()
            .filter(|name| name.starts_with('.'));
        assert_eq!(hidden.count(), 0);
    }
    assert_eq!(machine.status("--precision fp16"), "built");
}

#[test]
fn a_signal_ends_the_build_and_leaves_nothing() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let pid = machine.folder.path().join("pid");
    let text = format!("echo $$ > '{}'; exec sleep 100", pid.display());
    let builder = script(machine.folder.path(), &text);
    let command = format!(
        "'{}' prepare '{}' --cache '{}' --builder '{}' & \
         while ! test -s '{4}'; do sleep 0.05; done; kill -TERM $!; wait $!",
        env!("CARGO_BIN_EXE_tfjet-run"),
        machine.bundle.display(),
        machine.cache().display(),
        builder.display(),
        pid.display(),
    );
    let shell = Program::at("sh").env("TFJET_TENSORRT", &machine.library);
    let shell = shell.env("TFJET_CUDA_DRIVER", "/none/libcuda.so.1");
    let ran = shell.arg("-c").arg(command).run();
    assert_eq!(ran.code, Some(5), "{ran:#?}");
    assert!(ran.stderr.contains("stopped by a signal"), "{ran:#?}");
    let child = fs::read_to_string(&pid).unwrap();
    assert!(
        !Path::new("/proc").join(child.trim()).exists(),
        "the child lives"
    );
    let names = listing(&machine.cache());
    assert!(names.iter().all(|name| name.ends_with(".log")), "{names:?}");
}

#[test]
fn a_child_tells_its_error_and_its_code() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let ran = machine.prepare("--tactic-sources 1").run();
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), ""), "{ran:#?}");
    let line = ran.stderr.lines().last().unwrap();
    assert!(
        line.contains("segment 0 (`segment_0`)") && line.contains("TensorRT-RTX"),
        "{line}"
    );
}

#[test]
fn a_cache_that_cannot_be_written_is_named_before_a_build() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let file = machine.folder.path().join("file");
    fs::write(&file, "").unwrap();
    let ran = tfjet_run()
        .env("TFJET_TENSORRT", &machine.library)
        .arg("prepare")
        .arg(&machine.bundle)
        .arg("--cache")
        .arg(&file)
        .run();
    let line = ran.refused(3);
    assert!(
        line.contains(&format!("the engine cache {}", file.display())),
        "{line}"
    );
    let ran = limited(&machine, 8);
    let line = ran.refused(3);
    assert!(
        line.contains("the engine cache") && line.contains("cannot be written"),
        "{line}"
    );
    assert_eq!(listing(&machine.cache()), [""; 0]);
}

/// `prepare` in a shell that lets files grow to so many blocks of 512 bytes only.
fn limited(machine: &Machine, blocks: u32) -> Ran {
    let command = format!(
        "trap '' XFSZ; ulimit -f {blocks}; exec '{}' prepare '{}' --cache '{}' --shape x=1x3",
        env!("CARGO_BIN_EXE_tfjet-run"),
        machine.bundle.display(),
        machine.cache().display()
    );
    Program::at("sh")
        .env("TFJET_CUDA_DRIVER", "/none/libcuda.so.1")
        .env("TFJET_TENSORRT", &machine.library)
        .arg("-c")
        .arg(command)
        .run()
}

#[test]
fn a_bundle_without_segments_has_nothing_to_build() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let graph = Graph::new()
        .placeholder("x", "DT_FLOAT", &[2])
        .float_op("y", "Relu", &["x"]);
    let model = graph.write(machine.folder.path(), "small.pbtxt");
    let bundle = machine.folder.path().join("small.jet");
    convert(
        &model,
        &bundle,
        "--min-segment-size 99 --allow-residual-only",
    );
    let ran = machine.prepare_bundle(&bundle, "").run().good();
    assert!(ran.stdout.contains("segments none"), "{ran:#?}");
    let x = Tensor::zeros(DType::F32, &[2]).unwrap();
    let inputs = npz(machine.folder.path(), "small.npz", &[("x", &x)]);
    let ran = bare().arg("run").arg(&bundle).arg("--inputs").arg(inputs);
    let summary = ran.words("--json").run().good().json();
    assert_eq!(summary["device"], "CPU");
    assert!(summary["library"].is_null() && summary["no_gpu"].is_null());
}

#[test]
fn the_timing_cache_goes_into_the_bundle_and_comes_from_it() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let out = machine.folder.path().join("out.jet");
    machine.prepare("--write-back").arg(&out).run().good();
    let shipped = Bundle::open(&out).unwrap();
    let shipped = shipped
        .timing_cache("rtx1.7.1-any")
        .unwrap()
        .unwrap()
        .to_vec();
    assert!(!shipped.is_empty());
    // A board that has the bundle only: a build of other shapes starts from the bundle's timings.
    fs::remove_dir_all(machine.cache()).unwrap();
    let seen = machine.folder.path().join("seen");
    let text = format!(
        "for word; do case $before in --timing) cp $word '{}';; esac; before=$word; done\n\
         exec '{}' \"$@\"",
        seen.display(),
        env!("CARGO_BIN_EXE_tfjet-run"),
    );
    let builder = script(machine.folder.path(), &text);
    let words = "--shape x=4x3 --precision fp16 --builder";
    let prepare = machine.prepare_bundle(&out, words).arg(&builder);
    prepare.run().good();
    assert_eq!(fs::read(&seen).unwrap(), shipped);
    // The cache's own come before the bundle's.
    let timings = machine.cache().join("timing-rtx1.7.1-any.jet");
    if timings.exists() {
        let own = Bundle::open(&timings).unwrap();
        let own = own.timing_cache("rtx1.7.1-any").unwrap().unwrap().to_vec();
        let prepare = machine.prepare_bundle(&out, words).arg(&builder);
        prepare.words("--force").run().good();
        assert_eq!(fs::read(&seen).unwrap(), own);
    }
}

#[test]
fn a_bundle_for_several_targets_is_prepared_as_the_one_for_this_machine() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let model = Graph::rows_of_three().write(machine.folder.path(), "two.pbtxt");
    let bundle = machine.folder.path().join("two.jet");
    let convert = tfjet().arg("convert").arg(&model).arg("-o").arg(&bundle);
    let convert = convert.env("TFJET_TENSORRT_RTX", &machine.library);
    convert
        .words("--target x86-cpu,x86-rtx --shape x=1x3")
        .run()
        .good();
    for (words, why) in [
        ("--precision fp16", "x86-rtx: it is for any GPU"),
        (
            "--precision fp16 --force --target x86-rtx",
            "x86-rtx: --target asks for it",
        ),
    ] {
        let prepare = machine.prepare_bundle(&bundle, words).words("--json");
        let report = prepare.run().good().json();
        assert_eq!(report["segments"][0]["status"], "built");
        let target = report["target"].as_str().unwrap();
        assert!(target.starts_with(&format!("target {why}")), "{target}");
    }
    let other = machine.prepare_bundle(&bundle, "--target nano").run();
    let line = other.refused(2);
    assert!(line.contains("it is for x86-cpu, x86-rtx"), "{line}");
}
