use super::{Untouched, good_bundle, says};
use crate::common::{Graph, Ran, engine, listing, tfjet, tfjet_run};

/// Exit code 2 and words on the standard error only; clap's have more than one line.
#[track_caller]
fn is_usage(ran: &Ran) {
    assert_eq!(ran.code, Some(2), "{ran:#?}");
    assert_eq!(ran.stdout, "", "{ran:#?}");
    assert!(
        ran.stderr.contains("--help") || ran.stderr.lines().count() == 1,
        "{ran:#?}"
    );
    assert!(!ran.stderr.contains("panicked"), "{ran:#?}");
}

#[test]
fn command_lines_that_cannot_be() {
    let folder = Untouched::new();
    let (bundle, inputs) = good_bundle(folder.path());
    let before = listing(folder.path());
    let [bundle, inputs] = [&bundle, &inputs].map(|path| path.to_str().unwrap());
    for words in [
        "".to_owned(),
        "fly".into(),
        "run".into(),
        format!("run {bundle} --sink fake"),
        format!("run {bundle} --outputs out.npz"),
        format!("run {bundle} --source videotestsrc --inputs {inputs}"),
        format!("run {bundle} --inputs {inputs} --repeat many"),
        format!("run {bundle} --inputs {inputs} --speed 9"),
    ] {
        is_usage(&tfjet_run().words(&words).run());
    }
    for words in [
        "",
        "plan",
        "convert good.pbtxt",
        "plan good.pbtxt --min-segment-size few",
        "plan good.pbtxt --csv",
        "convert good.pbtxt -o out.jet --resize squash",
        "convert good.pbtxt -o out.jet --mean 1,2",
        "convert good.pbtxt -o out.jet --scale nan",
        "convert good.pbtxt -o out.jet --image-size 0x3",
        "compare good.pbtxt",
    ] {
        is_usage(&tfjet().words(words).run());
    }
    assert_eq!(listing(folder.path()), before);
}

#[test]
fn flags_for_frames_and_flags_for_arrays_do_not_mix() {
    if !engine() {
        return;
    }
    let folder = Untouched::new();
    let (bundle, inputs) = good_bundle(folder.path());
    let run = |words: &str| tfjet_run().arg("run").arg(&bundle).words(words);
    for flags in ["--sink fake", "--frames 3"] {
        is_usage(&run(flags).arg("--inputs").arg(&inputs).run());
    }
    let outputs = format!("--outputs {}", folder.path().join("out.npz").display());
    for flags in [outputs.as_str(), "--repeat 3"] {
        is_usage(&run("--source videotestsrc --frames 1").words(flags).run());
    }
}

#[test]
fn tolerances_and_thresholds_are_numbers() {
    let folder = Untouched::new();
    let (bundle, inputs) = good_bundle(folder.path());
    let row = tfjet::runtime::read_npz(&inputs).unwrap().remove(0).1;
    let arrays = [("in:x", &row), ("out:y", &row)];
    let reference = crate::common::npz(folder.path(), "ref.npz", &arrays);
    for flag in [
        "--atol",
        "--rtol",
        "--box-tolerance",
        "--score-tolerance",
        "--iou",
    ] {
        let compare = tfjet().arg("compare").arg(&bundle).arg(&reference);
        is_usage(&compare.arg(format!("{flag}=nan")).run());
    }
    let convert = tfjet()
        .arg("convert")
        .arg(folder.path().join("good.pbtxt"))
        .arg("-o");
    let convert = convert.arg(folder.path().join("out.jet"));
    is_usage(&convert.words("--decoder detect-rows --threshold nan").run());
}

#[test]
fn image_flags_for_a_model_without_an_image() {
    let folder = Untouched::new();
    let model = Graph::rows_of_three().write(folder.path(), "rows.pbtxt");
    let bundle = folder.path().join("out.jet");
    let convert = tfjet().arg("convert").arg(&model).arg("-o").arg(&bundle);
    let ran = convert.words("--image-size 10x10").run();
    let code = ran.code.unwrap_or_default();
    assert!(code == 2 || code == 3, "{ran:#?}");
    says(ran.refused(code), &["x"]);
    assert!(!bundle.exists());
}

#[test]
fn no_source_and_no_inputs() {
    let folder = Untouched::new();
    let (bundle, _) = good_bundle(folder.path());
    let ran = tfjet_run().arg("run").arg(&bundle).run();
    says(ran.refused(2), &["--source", "--inputs"]);
}

#[test]
fn bundle_that_takes_no_frames() {
    if !engine() {
        return;
    }
    let folder = Untouched::new();
    let (bundle, _) = good_bundle(folder.path());
    let run = tfjet_run().arg("run").arg(&bundle);
    let ran = run
        .words("--source videotestsrc:num-buffers=1 --sink fake")
        .run();
    says(ran.refused(2), &["good", "--image-size", "--inputs"]);
}

#[test]
fn bundle_and_flags_of_a_model() {
    let folder = Untouched::new();
    let (bundle, inputs) = good_bundle(folder.path());
    let row = tfjet::runtime::read_npz(&inputs).unwrap().remove(0).1;
    let arrays = [("in:x", &row), ("out:y", &row)];
    let reference = crate::common::npz(folder.path(), "ref.npz", &arrays);
    let ran = tfjet()
        .arg("compare")
        .arg(&bundle)
        .arg(&reference)
        .words("--output y")
        .run();
    says(ran.refused(2), &["--output", "bundle"]);
}
