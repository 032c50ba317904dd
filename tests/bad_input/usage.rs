use super::{Untouched, good_bundle, says};
use crate::common::{engine, listing, tfjet, tfjet_run};

/// Command lines that clap refuses: its message has more than one line.
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
        format!("run {bundle} --inputs {inputs} --sink fake"),
        format!("run {bundle} --inputs {inputs} --frames 3"),
        format!("run {bundle} --source videotestsrc --frames 1 --outputs out.npz"),
        format!("run {bundle} --source videotestsrc --frames 1 --repeat 3"),
        format!("run {bundle} --speed 9"),
    ] {
        let ran = tfjet_run().words(&words).run();
        assert_eq!(ran.code, Some(2), "{ran:#?}");
        assert_eq!(ran.stdout, "", "{ran:#?}");
        assert!(!ran.stderr.contains("panicked"), "{ran:#?}");
    }
    for words in [
        "",
        "plan",
        "convert good.pbtxt",
        "plan good.pbtxt --min-segment-size few",
        "plan good.pbtxt --csv",
        "convert good.pbtxt -o out.jet --resize squash",
        "convert good.pbtxt -o out.jet --mean 1,2",
        "convert good.pbtxt -o out.jet --image-size 0x3",
        "compare good.pbtxt",
    ] {
        let ran = tfjet().words(words).run();
        assert_eq!(ran.code, Some(2), "{words}: {ran:#?}");
        assert_eq!(ran.stdout, "", "{words}: {ran:#?}");
        assert!(!ran.stderr.contains("panicked"), "{words}: {ran:#?}");
    }
    assert_eq!(listing(folder.path()), before);
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
