use std::path::{Path, PathBuf};

use super::{Untouched, good_bundle, says};
use crate::common::{Ran, engine, listing, tfjet, tfjet_run};

fn verify(bundle: &Path) -> Ran {
    tfjet().arg("verify").arg(bundle).run()
}

fn run(bundle: &Path, inputs: &Path) -> Ran {
    let outputs = bundle.with_file_name("out.npz");
    let run = tfjet_run()
        .arg("run")
        .arg(bundle)
        .arg("--inputs")
        .arg(inputs);
    run.arg("--outputs").arg(outputs).run()
}

/// Bytes of header, table and sections: every eighth up to the first section, and 200 over the
/// rest, the last byte among them.
fn positions(len: usize) -> Vec<usize> {
    let table_end = 64 + 7 * 96;
    let mut positions: Vec<usize> = (0..table_end).step_by(8).collect();
    positions.extend((table_end..len).step_by((len - table_end).div_ceil(200)));
    positions.push(len - 1);
    positions
}

/// Flips a bit at each position and asks `refuses` what it makes of the file.
fn flip(refuses: impl Fn(&Path, &Path) -> Option<String>) {
    let folder = Untouched::new();
    let (bundle, inputs) = good_bundle(folder.path());
    let whole = std::fs::read(&bundle).unwrap();
    let damaged = folder.file("damaged.jet", &whole);
    let before = listing(folder.path());
    let mut accepted = Vec::new();
    for (count, at) in positions(whole.len()).into_iter().enumerate() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (count % 8);
        folder.file("damaged.jet", bytes);
        match refuses(&damaged, &inputs) {
            Some(line) => says(&line, &["damaged.jet"]),
            None => accepted.push(at),
        }
        std::fs::remove_file(folder.path().join("out.npz")).ok();
        assert_eq!(listing(folder.path()), before);
    }
    assert!(
        accepted.is_empty(),
        "changed bytes were accepted at {accepted:?}"
    );
}

fn line_unless_good(ran: &Ran) -> Option<String> {
    (ran.code != Some(0)).then(|| ran.refused(3).to_owned())
}

#[test]
fn any_changed_byte_fails_verification() {
    flip(|bundle, _| line_unless_good(&verify(bundle)));
}

#[test]
fn any_changed_byte_fails_the_run() {
    if engine() {
        flip(|bundle, inputs| line_unless_good(&run(bundle, inputs)));
    }
}

#[test]
fn truncated_bundle() {
    let folder = Untouched::new();
    let (bundle, inputs) = good_bundle(folder.path());
    let whole = std::fs::read(&bundle).unwrap();
    let cut = folder.file("cut.jet", "");
    let before = listing(folder.path());
    for length in [
        0,
        4,
        8,
        63,
        64,
        100,
        735,
        736,
        1000,
        whole.len() / 2,
        whole.len() - 1,
    ] {
        folder.file("cut.jet", &whole[..length]);
        says(verify(&cut).refused(3), &["cut.jet"]);
        says(run(&cut, &inputs).refused(3), &["cut.jet"]);
        assert_eq!(listing(folder.path()), before);
    }
    folder.file("cut.jet", [whole.as_slice(), b"\0"].concat());
    says(verify(&cut).refused(3), &["cut.jet"]);
    says(run(&cut, &inputs).refused(3), &["cut.jet"]);
}

#[test]
fn newer_bundle() {
    let folder = Untouched::new();
    let (bundle, inputs) = good_bundle(folder.path());
    let mut bytes = std::fs::read(&bundle).unwrap();
    bytes[8] = 2;
    let newer = folder.file("newer.jet", bytes);
    for ran in [verify(&newer), run(&newer, &inputs)] {
        says(ran.refused(3), &["newer.jet", "version 2", "update"]);
    }
}

#[test]
fn something_else_than_a_bundle() {
    let folder = Untouched::new();
    let (_, inputs) = good_bundle(folder.path());
    let zeros = folder.path().join("zeros.jet");
    std::fs::File::create(&zeros)
        .unwrap()
        .set_len(2 << 30)
        .unwrap();
    let others: [PathBuf; 6] = [
        zeros,
        folder.file("empty.jet", ""),
        folder.file(
            "text.jet",
            "This is no bundle, and never was one; it is only a line of text.\n",
        ),
        folder.path().join("good.pbtxt"),
        folder.path().join("good.npz"),
        folder.path().to_path_buf(),
    ];
    for other in others {
        let name = other.file_name().unwrap().to_str().unwrap();
        says(verify(&other).refused(3), &[name]);
        says(run(&other, &inputs).refused(3), &[name]);
        let inspected = tfjet().arg("inspect").arg(&other).run();
        says(inspected.refused(3), &[name]);
    }
    let missing = folder.path().join("missing.jet");
    says(
        verify(&missing).refused(3),
        &["missing.jet", "No such file"],
    );
    says(
        run(&missing, &inputs).refused(3),
        &["missing.jet", "No such file"],
    );
}

#[test]
fn missing_engine_library() {
    let folder = Untouched::new();
    let (bundle, inputs) = good_bundle(folder.path());
    let text = folder.file("libonnxruntime.so", "This is no library.\n");
    let before = listing(folder.path());
    for library in [folder.path().join("nowhere.so"), text] {
        let by_variable = tfjet_run()
            .arg("run")
            .arg(&bundle)
            .arg("--inputs")
            .arg(&inputs);
        let by_variable = by_variable.env("TFJET_ONNXRUNTIME", &library).run();
        says(by_variable.refused(4), &[library.to_str().unwrap()]);
        let by_flag = tfjet_run()
            .arg("run")
            .arg(&bundle)
            .arg("--inputs")
            .arg(&inputs);
        let by_flag = by_flag.arg("--onnxruntime").arg(&library).run();
        says(by_flag.refused(4), &[library.to_str().unwrap()]);
    }
    let nowhere = folder.path().join("cache");
    let ran = tfjet_run()
        .arg("run")
        .arg(&bundle)
        .arg("--inputs")
        .arg(&inputs);
    let ran = ran
        .env("TFJET_ONNXRUNTIME", "")
        .env("TFJET_CACHE", nowhere)
        .run();
    if ran.code != Some(0) {
        says(ran.refused(4), &["ONNX Runtime", "tfjet fetch onnxruntime"]);
    }
    assert_eq!(listing(folder.path()), before);
}
