//! Engines built at conversion, through TensorRT-RTX and without a GPU.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::path::{Path, PathBuf};

use common::{Graph, Program, Ran, cached, folder, shared, skip, tfjet};
use tfjet::bundle::Bundle;

/// TensorRT-RTX's library, or `None` and a loud word.
fn library() -> Option<PathBuf> {
    let variable = std::env::var_os("TFJET_TENSORRT_RTX").map(PathBuf::from);
    let found = variable.or_else(|| tfjet::cache::cached("tensorrt-rtx", "libtensorrt_rtx.so.1"));
    if found.is_none() {
        skip(
            "no TensorRT-RTX, so no engine is built; run `tfjet fetch tensorrt-rtx` or set \
             TFJET_TENSORRT_RTX",
        );
    }
    found
}

fn convert(library: &Path, model: &Path, out: &Path, flags: &str) -> Program {
    let convert = tfjet().env("TFJET_TENSORRT_RTX", library).arg("convert");
    let convert = convert.arg(model).arg("-o").arg(out);
    convert.words("--target x86-rtx").words(flags)
}

/// Converts in both precisions and checks the engines in the bundles.
fn builds(model: Option<PathBuf>, flags: &str, shapes: &str) {
    let (Some(library), Some(model)) = (library(), model) else {
        return;
    };
    let folder = folder();
    let mut sizes = Vec::new();
    for precision in ["fp32", "fp16"] {
        let out = folder.path().join(format!("{precision}.jet"));
        let flags = format!("{flags} {shapes} --precision {precision}");
        let ran = convert(&library, &model, &out, &flags).run().good();
        let line = format!("engine     segment_0 rtx1.7.1-any-{precision}: ");
        assert!(ran.stdout.contains(&line), "{ran:#?}");

        let bundle = Bundle::open(&out).unwrap();
        bundle.verify().unwrap();
        assert_eq!(bundle.manifest().unwrap().target, "x86-rtx");
        let engines: Vec<_> = bundle.engines().map(Result::unwrap).collect();
        assert_eq!(engines.len(), bundle.segment_count());
        for engine in &engines {
            assert_eq!(engine.header.library, "rtx1.7.1");
            assert_eq!(engine.header.compute_capability, None);
            assert_eq!(engine.header.precision, precision);
            let profiles = usize::from(!shapes.is_empty());
            assert_eq!(engine.header.profiles.len(), profiles);
            assert!(engine.header.flags.starts_with("tf32=on "));
            assert_ne!(engine.header.key, [0; 32]);
        }
        sizes.push(
            engines
                .iter()
                .map(|engine| engine.bytes.len())
                .sum::<usize>(),
        );
    }
    // In a small engine the weights are not most of it.
    assert!(
        sizes[1] < sizes[0] || sizes[0] < 2 << 20,
        "halves take less than floats: {sizes:?}"
    );
}

#[test]
fn centernet_builds() {
    builds(cached("centernet", "centernet.json"), "", "");
}

#[test]
fn centernet_with_its_decoding_outside_builds() {
    builds(
        cached("centernet", "centernet.json"),
        "--deny-op TopKV2 --deny-op GatherV2",
        "",
    );
}

#[test]
fn efficientnet_builds_for_several_batches() {
    builds(
        cached("efficientnet-lite0", "efficientnet_lite0.pb"),
        "",
        "--shape images=1x224x224x3:4x224x224x3:8x224x224x3",
    );
}

#[test]
fn openpose_builds_for_any_image() {
    builds(
        cached("openpose", "openpose_mobilenet_thin.pb"),
        "",
        "--shape image=1x184x216x3:1x368x432x3:1x368x656x3",
    );
}

#[test]
fn fer_builds() {
    builds(
        shared("models/fer_minixception.pb"),
        "",
        "--shape input=1x64x64x1",
    );
}

#[test]
fn the_convolutional_part_of_ssd_builds() {
    builds(
        shared("models/ssd_mobilenet_v1_0.25_coco90.pb"),
        "--input Preprocessor/map/TensorArrayStack/TensorArrayGatherV3=1x300x300x3 \
         --output raw_detection_boxes --output raw_detection_scores",
        "",
    );
}

/// What `tfjet convert` says of a graph with an open batch.
fn refused(configure: impl FnOnce(Program) -> Program) -> Ran {
    let folder = folder();
    let model = Graph::rows_of_three().write(folder.path(), "g.pbtxt");
    let out = folder.path().join("g.jet");
    let program = tfjet().words("convert --target x86-rtx").arg(&model);
    let ran = configure(program.arg("-o").arg(&out)).run();
    assert!(!out.exists(), "{ran:#?}");
    ran
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    for (flags, expected) in [
        ("", "input `x` is [x_0,3]: say with --shape x=MIN:OPT:MAX"),
        ("--shape z=1x3", "--shape z: no input of that name"),
        ("--shape x=1x4", "--shape x: the input is [x_0,3]"),
        (
            "--shape x=1x3 --shape x=2x3",
            "another --shape has other sizes for `x_0`",
        ),
        (
            "--precision int4 --shape x=1x3",
            "expected fp32, fp16 or int8",
        ),
        ("--shape x=2x3:1x3:4x3", "MIN <= OPT <= MAX"),
    ] {
        let ran = refused(|program| program.words(flags));
        assert_eq!(ran.code, Some(2), "{flags}: {ran:#?}");
        assert!(ran.stderr.contains(expected), "{flags}: {ran:#?}");
    }
}

#[test]
fn a_missing_or_foreign_library_is_named() {
    let folder = folder();
    let none = folder.path().join("none");
    let foreign = folder.path().join("libtensorrt_rtx.so.1");
    std::fs::write(&foreign, "no library").unwrap();
    let shape = "--shape x=1x3";

    let ran = refused(|program| {
        let program = program
            .env("TFJET_TENSORRT_RTX", "")
            .env("TFJET_CACHE", &none);
        program.env("LD_LIBRARY_PATH", "").words(shape)
    });
    assert!(ran.refused(4).contains("run `tfjet fetch tensorrt-rtx`"));
    let ran = refused(|program| program.words(shape).arg("--tensorrt-rtx").arg(&none));
    let line = ran.refused(4);
    assert!(line.contains(none.to_str().unwrap()), "{line}");
    for with in [
        refused(|program| program.words(shape).env("TFJET_TENSORRT_RTX", &foreign)),
        refused(|program| program.words(shape).arg("--tensorrt-rtx").arg(&foreign)),
    ] {
        let line = with.refused(with.code.unwrap());
        assert!(matches!(with.code, Some(3 | 4)), "{with:#?}");
        assert!(line.contains(foreign.to_str().unwrap()), "{line}");
    }
}
