//! One bundle for several targets: what is stored, and which target a machine takes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "boards/choice.rs"]
mod choice;
mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{Graph, arrays, cached, convert, engine, folder, npz, tfjet, tfjet_run};
use tfjet::bundle::{Bundle, SectionKind};
use tfjet::core::Tensor;
use tfjet::runtime::{EngineSet, MachineKey};

/// The three largest of each row's whole numbers after a matrix product: before TensorRT 10 there
/// is no top-k of integers, so the boards' networks differ.
fn integer_top_k() -> Graph {
    let weights: Vec<f32> = (0..64 * 64).map(|i| ((i * 7) % 13) as f32 - 6.0).collect();
    Graph::new()
        .placeholder("x", "DT_FLOAT", &[2, 64])
        .floats("w", &[64, 64], &weights)
        .node(
            "product",
            "MatMul",
            &["x", "w"],
            &[
                ("T", "type: DT_FLOAT"),
                ("transpose_a", "b: false"),
                ("transpose_b", "b: false"),
            ],
        )
        .float_op("a", "Relu", &["product"])
        .node(
            "whole",
            "Cast",
            &["a"],
            &[
                ("SrcT", "type: DT_FLOAT"),
                ("DstT", "type: DT_INT32"),
                ("Truncate", "b: false"),
            ],
        )
        .constant("k", "DT_INT32", &[], "int_val: 3")
        .node(
            "top",
            "TopKV2",
            &["whole", "k"],
            &[("T", "type: DT_INT32"), ("sorted", "b: true")],
        )
        .op("y", "Neg", &["top"], "DT_INT32")
}

fn open(path: &Path) -> Arc<Bundle> {
    Arc::new(Bundle::open(path).unwrap())
}

fn len(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

/// Bytes of the sections of a kind.
fn bytes_of(bundle: &Bundle, kind: SectionKind) -> u64 {
    let sections = bundle.sections().iter().filter(|it| it.id.kind == kind);
    sections.map(|section| section.len_bytes).sum()
}

/// Converted for these targets, which must give the same bytes in any order and every time.
fn converted(model: &Path, folder: &Path, targets: &str, flags: &str) -> PathBuf {
    let out = folder.join(format!("{targets}.jet"));
    let mut reversed: Vec<&str> = targets.split(',').collect();
    reversed.reverse();
    convert(model, &out, &format!("{flags} --target {targets}"));
    let bytes = std::fs::read(&out).unwrap();
    for targets in [targets, &reversed.join(",")] {
        let again = folder.join("again.jet");
        convert(model, &again, &format!("{flags} --target {targets}"));
        assert!(std::fs::read(&again).unwrap() == bytes, "{targets} differ");
    }
    tfjet().arg("verify").arg(&out).run().good();
    out
}

/// Each target's part is what a bundle for it alone holds; weights may lie at other places.
fn assert_parts(model: &Path, folder: &Path, bundle: &Bundle, flags: &str) {
    for target in bundle.targets().unwrap() {
        let path = folder.join("alone.jet");
        convert(model, &path, &format!("{flags} --target {target}"));
        let (alone, part) = (open(&path), bundle.select(&target).unwrap());
        assert_eq!(alone.target(), None);
        let (mut expected, found) = (alone.manifest().unwrap(), part.manifest().unwrap());
        expected.target.clone_from(&target);
        assert_eq!(found, expected, "{target}");
        assert_eq!(part.segment_count(), alone.segment_count());
        let steps = |bundle: &Bundle| bundle.schedule().unwrap().steps;
        assert_eq!(steps(&part), steps(&alone), "{target}");
        for segment in 0..u32::try_from(alone.segment_count()).unwrap() {
            let (part_network, alone_network) = (
                part.network(segment).unwrap(),
                alone.network(segment).unwrap(),
            );
            assert_eq!(part_network.tensors, alone_network.tensors);
            let weights = |bundle: &Bundle| -> Vec<Vec<u8>> {
                let (network, table) = (bundle.network(segment).unwrap(), bundle.weights_table());
                let table = table.unwrap();
                let ids = network
                    .layers
                    .iter()
                    .flat_map(|layer| layer.layer.weights());
                ids.map(|id| {
                    bundle
                        .weights_view(table.get(id).unwrap())
                        .unwrap()
                        .bytes()
                        .to_vec()
                })
                .collect()
            };
            assert_eq!(weights(&part), weights(&alone), "{target}");
        }
        let report: serde_json::Value = serde_json::from_str(part.report().unwrap()).unwrap();
        let names = report["target"]["name"].as_str().unwrap().to_owned();
        assert!(names.split(", ").any(|name| name == target), "{names}");
    }
}

#[test]
fn boards_with_the_same_networks_share_all_but_their_names() {
    let folder = folder();
    let rows = Graph::rows_of_three().write(folder.path(), "rows.pbtxt");
    let mut models = vec![(rows, "")];
    models.extend(cached("openpose", "openpose_mobilenet_thin.pb").map(|path| (path, "")));
    for (model, flags) in models {
        let one = folder.path().join("one.jet");
        convert(&model, &one, &format!("{flags} --target nano"));
        let three = converted(&model, folder.path(), "nano,x86-cpu,xavier-nx", flags);
        let (alone, bundle) = (open(&one), open(&three));
        assert_eq!(bundle.targets().unwrap(), ["nano", "x86-cpu", "xavier-nx"]);
        for kind in [
            SectionKind::Schedule,
            SectionKind::Network,
            SectionKind::Onnx,
            SectionKind::WeightsTable,
            SectionKind::Weights,
        ] {
            assert_eq!(bytes_of(&bundle, kind), bytes_of(&alone, kind), "{kind}");
        }
        let more = len(&three) - len(&one);
        assert!(more < 8 << 10, "two targets more take {more} bytes");
        assert_parts(&model, folder.path(), &bundle, flags);
    }
}

#[test]
fn boards_that_differ_have_their_own_networks_and_the_same_weights() {
    let folder = folder();
    let model = integer_top_k().write(folder.path(), "top.pbtxt");
    let flags = "--min-segment-size 1";
    let one = folder.path().join("one.jet");
    convert(&model, &one, &format!("{flags} --target nano"));
    let all = "agx-orin,nano,x86-cpu,xavier-nx";
    let four = converted(&model, folder.path(), all, flags);
    let bundle = open(&four);
    let owner = |target: &str| bundle.target_info(target).unwrap().unwrap().lowering;
    assert_eq!(owner("agx-orin"), "agx-orin");
    assert_eq!(owner("x86-cpu"), "agx-orin");
    assert_eq!(owner("nano"), "nano");
    assert_eq!(owner("xavier-nx"), "nano");
    let residual = |target: &str| {
        let info = bundle.target_info(target).unwrap().unwrap();
        info.summary.residual
    };
    assert!(residual("nano") > residual("agx-orin"));
    let schedules = bundle.sections().iter();
    let schedules = schedules.filter(|section| section.id.kind == SectionKind::Schedule);
    assert_eq!(schedules.count(), 2);
    let weights = bytes_of(&bundle, SectionKind::Weights);
    let alone = bytes_of(&open(&one), SectionKind::Weights);
    assert!(alone >= 64 * 64 * 4);
    assert!(weights - alone < 1 << 10, "{weights} instead of {alone}");
    assert!(len(&four) < len(&one) + (24 << 10));
    assert_parts(&model, folder.path(), &bundle, flags);
}

#[test]
fn flags_that_cannot_be_are_refused() {
    let folder = folder();
    let model = Graph::rows_of_three().write(folder.path(), "rows.pbtxt");
    let bundle = folder.path().join("two.jet");
    convert(&model, &bundle, "--target nano,xavier-nx");
    let refused = |command: &str, path: &Path, flags: &str| {
        let out = folder.path().join("out.jet");
        let mut ran = tfjet().words(command).arg(path).words(flags);
        if command == "convert" {
            ran = ran.arg("-o").arg(&out);
        }
        let line = ran.run().refused(2).to_owned();
        assert!(!out.exists());
        line
    };
    for (command, path, flags, expected) in [
        (
            "convert",
            &model,
            "--target nano,nano",
            "--target names nano twice",
        ),
        (
            "convert",
            &model,
            "--target nano,tx3",
            "target `tx3` is not known, `tx2` is near",
        ),
        (
            "convert",
            &model,
            "--target nano,",
            "target `` is not known",
        ),
        (
            "convert",
            &model,
            "--target nano,tx2 --precision int8",
            "nano, tx2 cannot compute in int8",
        ),
        (
            "plan",
            &model,
            "--target nano,tx2",
            "this command takes one target",
        ),
        (
            "inspect",
            &bundle,
            "--target tx2",
            "is not for target `tx2`; it is for nano, xavier-nx",
        ),
        (
            "inspect",
            &bundle,
            "--layers",
            "choose one of nano, xavier-nx",
        ),
        (
            "inspect",
            &bundle,
            "--onnx none",
            "choose one of nano, xavier-nx",
        ),
    ] {
        let line = refused(command, path, flags);
        assert!(line.contains(expected), "{command} {flags}: {line}");
    }
    assert!(!common::root().join("none").exists());
}

#[test]
fn commands_show_the_targets() {
    let folder = folder();
    let model = integer_top_k().write(folder.path(), "top.pbtxt");
    let path = folder.path().join("three.jet");
    let ran = tfjet().arg("convert").arg(&model).arg("-o").arg(&path);
    let flags = "--min-segment-size 1 --target xavier-nx,nano,x86-cpu";
    let text = ran.words(flags).run().good().stdout;
    assert!(
        text.contains("target     xavier-nx (TensorRT 8.5.2)"),
        "{text}"
    );
    assert!(
        text.contains("target     nano (TensorRT 8.2.1), the same networks as xavier-nx"),
        "{text}"
    );
    let reports = tfjet().arg("convert").arg(&model).arg("-o").arg(&path);
    let reports = reports.words(flags).words("--json").run().good().json();
    let names = reports.as_array().unwrap().iter();
    let names: Vec<_> = names
        .map(|report| report["target"]["name"].clone())
        .collect();
    assert_eq!(names, ["xavier-nx", "nano", "x86-cpu"]);
    let inspect = |flags: &str| {
        let ran = tfjet().arg("inspect").arg(&path).words(flags).run();
        ran.good().stdout
    };
    let text = inspect("");
    assert!(
        text.starts_with("model      top for nano, x86-cpu, xavier-nx, by"),
        "{text}"
    );
    for line in [
        "target     nano TensorRT 8.2.1, compute capability 5.3: ",
        "target     x86-cpu ONNX Runtime: 1 segments, ",
        "; sections of nano\n",
        "section    Target ",
    ] {
        assert!(text.contains(line), "{text} lacks {line}");
    }
    let cpu = inspect("--target x86-cpu --layers");
    assert!(
        cpu.contains("TopK") && !cpu.contains("target     "),
        "{cpu}"
    );
    assert!(!inspect("--target nano --layers").contains(" TopK  "));
    let json =
        |flags: &str| -> serde_json::Value { serde_json::from_str(&inspect(flags)).unwrap() };
    assert_eq!(json("--json")["targets"]["xavier-nx"]["release"], "8.5.2");
    assert!(json("--json")["schedule"].is_null());
    assert!(json("--json --target nano")["schedule"]["steps"].is_array());
    let verified = tfjet()
        .arg("verify")
        .arg(&path)
        .words("--json")
        .run()
        .good();
    assert_eq!(verified.json()["targets"], 3);
}

#[test]
fn every_target_computes_the_same_on_the_cpu() {
    if !engine() {
        return;
    }
    let folder = folder();
    let model = integer_top_k().write(folder.path(), "top.pbtxt");
    let path = folder.path().join("three.jet");
    convert(
        &model,
        &path,
        "--min-segment-size 1 --target nano,xavier-nx,x86-cpu",
    );
    let values: Vec<f32> = (0..128).map(|i| ((i * 5) % 17) as f32 - 8.0).collect();
    let x = Tensor::from_slice(&[2, 64], &values).unwrap();
    let inputs = npz(folder.path(), "x.npz", &[("x", &x)]);
    let run = |flags: &str| {
        let out = folder.path().join("out.npz");
        let ran = tfjet_run()
            .words("run --device cpu")
            .arg(&path)
            .words(flags);
        let ran = ran.arg("--inputs").arg(&inputs).arg("--outputs").arg(&out);
        let ran = ran.run().good();
        (arrays(&out), ran.stdout)
    };
    let (chosen, said) = run("");
    assert!(said.contains("target x86-cpu: it is for the CPU"), "{said}");
    for target in ["nano", "xavier-nx", "x86-cpu"] {
        let (outputs, _) = run(&format!("--target {target}"));
        assert_eq!(outputs, chosen, "{target}");
    }
    let ran = tfjet_run()
        .words("run --device cpu --target tx2")
        .arg(&path);
    let ran = ran.arg("--inputs").arg(&inputs).run();
    assert!(
        ran.refused(2)
            .contains("it is for nano, x86-cpu, xavier-nx")
    );
    let mut reference = chosen;
    reference.push(("x".into(), x));
    let named: Vec<_> = reference
        .iter()
        .map(|(name, it)| (name.as_str(), it))
        .collect();
    let reference = npz(folder.path(), "reference.npz", &named);
    let compared = tfjet().arg("compare").arg(&path);
    compared.arg(&reference).run().good();
}

#[test]
fn a_changed_byte_of_any_target_fails() {
    let folder = folder();
    let model = integer_top_k().write(folder.path(), "top.pbtxt");
    let path = folder.path().join("two.jet");
    convert(&model, &path, "--min-segment-size 1 --target nano,x86-cpu");
    let x = Tensor::zeros(tfjet::core::DType::F32, &[2, 64]).unwrap();
    let inputs = npz(folder.path(), "x.npz", &[("x", &x)]);
    let (good, bundle) = (std::fs::read(&path).unwrap(), open(&path));
    let has_library = engine();
    for section in bundle.sections() {
        let mut bytes = good.clone();
        bytes[usize::try_from(section.offset + section.len_bytes / 2).unwrap()] ^= 4;
        let changed = folder.path().join("changed.jet");
        std::fs::write(&changed, bytes).unwrap();
        let verified = tfjet().arg("verify").arg(&changed).run();
        let name = section.id.kind.name();
        assert!(verified.refused(3).contains(name), "{}", verified.stderr);
        if has_library {
            let ran = tfjet_run().words("run --device cpu").arg(&changed);
            let ran = ran.arg("--inputs").arg(&inputs).run();
            assert!(ran.refused(3).contains("the file is damaged"), "{name}");
        }
    }
}

/// A target whose engines are built at conversion has them in a bundle for several, under the keys
/// of its own networks.
#[test]
fn one_of_several_targets_has_engines() {
    let Some(library) = cached("tensorrt-rtx", "libtensorrt_rtx.so.1") else {
        return;
    };
    let folder = folder();
    let model = integer_top_k().write(folder.path(), "top.pbtxt");
    let path = folder.path().join("two.jet");
    let convert = |targets: &str| {
        let ran = tfjet().env("TFJET_TENSORRT_RTX", &library);
        let ran = ran.arg("convert").arg(&model).arg("-o").arg(&path);
        ran.words("--min-segment-size 1 --target").arg(targets)
    };
    let text = convert("nano,x86-rtx").run().good().stdout;
    assert!(
        text.contains("engine     segment_0 rtx1.7.1-any-fp32"),
        "{text}"
    );
    let rtx = Arc::new(open(&path).select("x86-rtx").unwrap());
    assert_eq!(rtx.verify().unwrap().engines, rtx.segment_count());
    let machine = MachineKey {
        library: "rtx1.7.1".into(),
        compute_capability: Some((9, 0)),
        gpu: String::new(),
    };
    EngineSet::locate(&rtx, &machine, None, None).unwrap();
    let nano = Arc::new(rtx.select("nano").unwrap());
    assert!(EngineSet::locate(&nano, &machine, None, None).is_err());
    let toml = std::fs::read_to_string(common::root().join("targets/x86-rtx.toml")).unwrap();
    let other = folder.path().join("other.toml");
    std::fs::write(&other, toml.replace("\"x86-rtx\"", "\"other\"")).unwrap();
    let both = convert(&format!("x86-rtx,{}", other.display()));
    let line = both.run().refused(2).to_owned();
    assert!(line.contains("for one target at a time"), "{line}");
}
