//! `tfjet accuracy`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::Path;

use common::{Graph, Place, Program, convert, engine, folder, npz, tfjet};
use tfjet::core::Tensor;

impl Place {
    fn int8(&self, name: &str, words: &str) {
        let program = tfjet()
            .arg("convert")
            .arg(&self.model)
            .arg("-o")
            .arg(self.path(name));
        let program = program.words("--precision int8").words(words);
        program.arg("--calibrate").arg(&self.images).run().good();
    }

    fn accuracy(&self, bundle: &str) -> Program {
        let program = tfjet().arg("accuracy").arg(&self.model);
        let program = program.arg("--bundle").arg(self.path(bundle));
        program.arg("--images").arg(&self.images)
    }
}

#[test]
fn a_bundle_in_fp32_is_equal() {
    if !engine() {
        return;
    }
    let place = Place::new(&Graph::classifier(), 40);
    convert(&place.model, &place.path("b.jet"), "");
    let ran = place
        .accuracy("b.jet")
        .words("--json --min-agreement 100")
        .run()
        .good();
    let report = ran.json();
    assert_eq!(report["classes"]["agreement_percent"], 100.0, "{report}");
    assert!(report["outputs"][0]["sqnr_db"].is_null(), "{report}");
    assert_eq!(
        report["classes"]["recall"][0]["mean_needed"], 1.0,
        "{report}"
    );
    assert_eq!(report["layers"].as_array().unwrap().len(), 0, "{report}");
    assert_eq!(ran.stderr, "");
}

#[test]
fn int8_costs_a_little_and_the_report_says_what() {
    if !engine() {
        return;
    }
    let place = Place::new(&Graph::classifier(), 40);
    place.int8("b.jet", "");
    let page = place.path("page.html");
    let program = place
        .accuracy("b.jet")
        .words("--json --sensitivity")
        .arg("--html")
        .arg(&page);
    let report = program.run().good().json();
    let sqnr = report["outputs"][0]["sqnr_db"].as_f64().unwrap();
    assert!((15.0..80.0).contains(&sqnr), "{report}");
    assert!(
        report["classes"]["agreement_percent"].as_f64().unwrap() >= 90.0,
        "{report}"
    );
    let layers = report["layers"].as_array().unwrap();
    let ratios: Vec<f64> = layers
        .iter()
        .map(|it| it["sqnr_db"].as_f64().unwrap_or(f64::INFINITY))
        .collect();
    assert!(ratios.is_sorted(), "{ratios:?}");
    let conv = layers.iter().find(|it| it["layer"] == "conv").unwrap();
    assert_eq!(conv["precision"], "int8");
    let rounded = layers.iter().filter(|it| it["range"].is_f64()).count();
    assert_eq!(rounded, 2, "{report}");
    assert_eq!(
        report["sensitivity"].as_array().unwrap().len(),
        2,
        "{report}"
    );
    let html = fs::read_to_string(&page).unwrap();
    assert_eq!(html.matches("class=\"range\"").count(), 2);
    assert!(html.contains("<h2>Sensitivity</h2>") && !html.contains("<script"));
    let folder = fs::read_dir(place.folder.path()).unwrap();
    let left: Vec<_> = folder.map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left.len(), 4, "{left:?}");
}

#[test]
fn integers_on_the_cpu_lie_near_the_exact_numbers() {
    if !engine() {
        return;
    }
    let place = Place::new(&Graph::classifier(), 40);
    place.int8("b.jet", "");
    let report = |words: &str| {
        place
            .accuracy("b.jet")
            .words("--json")
            .words(words)
            .run()
            .good()
    };
    let (exact, fast) = (report("").json(), report("--fast").json());
    let db = |report: &serde_json::Value| report["outputs"][0]["sqnr_db"].as_f64().unwrap();
    assert!((db(&exact) - db(&fast)).abs() < 6.0, "{exact} {fast}");
    let own = report("--reference bundle-fp32").json();
    assert!((db(&exact) - db(&own)).abs() < 1e-3, "{exact} {own}");
}

#[test]
fn labels_come_from_a_list_or_from_names() {
    if !engine() {
        return;
    }
    let place = Place::new(&Graph::classifier(), 40);
    convert(&place.model, &place.path("b.jet"), "");
    let by_name = place
        .accuracy("b.jet")
        .words("--json --labels-from-names *_{class}");
    let by_name = by_name.run().good().json();
    let truth = &by_name["classes"]["truth"];
    assert_eq!(
        (&truth["rows"], &truth["drop"]),
        (&40.into(), &0.0.into()),
        "{by_name}"
    );
    let list = place.path("labels.txt");
    let lines: Vec<String> = (0..40)
        .map(|it| format!("{it:02}_{0}.png {0}\n", it % 4))
        .collect();
    fs::write(&list, lines.concat()).unwrap();
    let listed = place
        .accuracy("b.jet")
        .words("--json")
        .arg("--labels")
        .arg(&list);
    assert_eq!(listed.run().good().json()["classes"]["truth"], *truth);
    fs::write(&list, lines[..10].concat()).unwrap();
    let few = place
        .accuracy("b.jet")
        .words("--json")
        .arg("--labels")
        .arg(&list)
        .run()
        .good();
    assert_eq!(few.json()["classes"]["truth"]["rows"], 10);
    assert!(
        few.stderr.contains("30 files have no true class"),
        "{few:#?}"
    );
    for (text, expected) in [
        ("other.png 1\n", "none of the files has a true class"),
        (
            "07_3.png 4\n",
            "07_3.png has the true class 4, and the model has 4, from 0 on: see --label-offset",
        ),
    ] {
        fs::write(&list, text).unwrap();
        let ran = place.accuracy("b.jet").arg("--labels").arg(&list).run();
        let line = ran.refused(3);
        assert!(line.contains(expected), "{line}");
    }
}

#[test]
fn a_limit_that_is_not_met_gives_exit_code_1() {
    if !engine() {
        return;
    }
    let place = Place::new(&Graph::fragile_classifier(), 40);
    place.int8("b.jet", "--method min-max");
    let ran = place.accuracy("b.jet").words("--min-agreement 97").run();
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert!(ran.stdout.contains("BEYOND"), "{ran:#?}");
    place
        .accuracy("b.jet")
        .words("--min-agreement 0")
        .run()
        .good();
    let truth = "--labels-from-names *_{class} --max-drop 100";
    place.accuracy("b.jet").words(truth).run().good();
}

#[test]
fn fp16_can_be_asked_of_a_bundle_that_leaves_it_open() {
    if !engine() {
        return;
    }
    let place = Place::new(&Graph::classifier(), 40);
    convert(&place.model, &place.path("open.jet"), "");
    convert(&place.model, &place.path("fp16.jet"), "--precision fp16");
    let db = |bundle: &str, words: &str| {
        let report = place
            .accuracy(bundle)
            .words("--json")
            .words(words)
            .run()
            .good()
            .json();
        report["outputs"][0]["sqnr_db"].as_f64()
    };
    let stored = db("fp16.jet", "").unwrap();
    assert!((40.0..90.0).contains(&stored), "{stored}");
    assert_eq!(db("open.jet", "--precision fp16"), Some(stored));
    assert_eq!(db("fp16.jet", "--fast"), None);
}

#[test]
fn mistakes_are_told_in_one_line() {
    if !engine() {
        return;
    }
    let place = Place::new(&Graph::classifier(), 40);
    convert(&place.model, &place.path("b.jet"), "");
    convert(
        &place.model,
        &place.path("two.jet"),
        "--target nano,x86-gpu",
    );
    convert(
        &place.model,
        &place.path("more.jet"),
        "--output relu --output y --decoder classify --decode-output y",
    );
    for (bundle, words, code, expected) in [
        ("b.jet", "--max-drop 1", 2, "needs true classes"),
        (
            "b.jet",
            "--precision int8",
            2,
            "convert the model with --precision int8",
        ),
        ("two.jet", "", 2, "say with --target"),
        ("none.jet", "", 3, "none.jet"),
        ("b.jet", "--device gpu --fast", 2, "--fast"),
    ] {
        let ran = place.accuracy(bundle).words(words).run();
        let line = ran.refused(code);
        assert!(line.contains(expected), "{bundle} {words}: {line}");
    }
    let ran = place
        .accuracy("more.jet")
        .words("--output relu --min-agreement 50")
        .run();
    assert_eq!(ran.code, Some(3), "{ran:#?}");
    assert!(
        ran.stderr.contains("--min-agreement: no answers"),
        "{ran:#?}"
    );
    place
        .accuracy("two.jet")
        .words("--target x86-gpu")
        .run()
        .good();
    let no_gpu = place.accuracy("b.jet").words("--device gpu");
    let no_gpu = no_gpu.env("TFJET_CUDA_DRIVER", "/none/libcuda.so.1").run();
    assert!(no_gpu.refused(4).contains("libcuda"), "{no_gpu:#?}");
    let other = Graph::rows_of_three().write(place.folder.path(), "rows.pbtxt");
    let program = tfjet()
        .arg("accuracy")
        .arg(&other)
        .arg("--bundle")
        .arg(place.path("b.jet"));
    let ran = program.arg("--images").arg(&place.images).run();
    assert_eq!(ran.code, Some(3), "{ran:#?}");
}

#[test]
fn arrays_do_where_there_is_no_image() {
    if !engine() {
        return;
    }
    let folder = folder();
    let model = Graph::rows_of_three().write(folder.path(), "rows.pbtxt");
    let bundle = folder.path().join("b.jet");
    convert(&model, &bundle, "");
    let arrays = folder.path().join("arrays");
    fs::create_dir(&arrays).unwrap();
    let x = Tensor::from_slice(&[2, 3], &[1.0f32, 2.0, 3.0, 9.0, 1.0, 1.0]).unwrap();
    npz(&arrays, "0.npz", &[("x", &x)]);
    let run = |flag: &str, from: &Path| {
        let program = tfjet()
            .arg("accuracy")
            .arg(&model)
            .arg("--bundle")
            .arg(&bundle);
        program.arg(flag).arg(from).words("--json").run()
    };
    let report = run("--inputs", &arrays).good().json();
    assert_eq!(report["outputs"][0]["elements"], 6, "{report}");
    assert_eq!(report["classes"]["rows"], 2, "{report}");
    let refused = run("--images", &arrays);
    assert!(refused.refused(3).contains("use --inputs"), "{refused:#?}");
}
