use std::io::Write as _;
use std::path::Path;

use tfjet::core::{DType, Tensor};

use super::{Untouched, good_bundle, says};
use crate::common::{Ran, engine, listing, npz, tfjet, tfjet_run};

fn run(bundle: &Path, inputs: &Path) -> Ran {
    let outputs = inputs.with_file_name("out.npz");
    let run = tfjet_run()
        .arg("run")
        .arg(bundle)
        .arg("--inputs")
        .arg(inputs);
    run.arg("--outputs").arg(outputs).run()
}

fn zeros(dtype: DType, shape: &[usize]) -> Tensor {
    Tensor::zeros(dtype, shape).unwrap()
}

#[test]
fn arrays_that_do_not_fit() {
    if !engine() {
        return;
    }
    let folder = Untouched::new();
    let (bundle, _) = good_bundle(folder.path());
    let inputs = folder.file("in.npz", "");
    let before = listing(folder.path());
    for (name, array, words) in [
        ("z", zeros(DType::F32, &[1, 3]), ["in.npz", "`x`", "z"]),
        (
            "out:x",
            zeros(DType::F32, &[1, 3]),
            ["in.npz", "`x`", "out:x"],
        ),
        ("x", zeros(DType::F32, &[1, 4]), ["`x`", ",3]", "[1,4]"]),
        ("x", zeros(DType::F32, &[3]), ["`x`", ",3]", "[3]"]),
        ("x", zeros(DType::F32, &[]), ["`x`", ",3]", "[]"]),
        (
            "x",
            zeros(DType::F64, &[1, 3]),
            ["`x`", "float32", "float64"],
        ),
        ("x", zeros(DType::U8, &[1, 3]), ["`x`", "float32", "uint8"]),
    ] {
        npz(folder.path(), "in.npz", &[(name, &array)]);
        says(run(&bundle, &inputs).refused(3), &words);
        assert_eq!(listing(folder.path()), before);
    }
}

#[test]
fn arrays_that_are_none() {
    if !engine() {
        return;
    }
    let folder = Untouched::new();
    let (bundle, good) = good_bundle(folder.path());
    let whole = std::fs::read(good).unwrap();
    let inputs = folder.file("in.npz", "");
    let before = listing(folder.path());
    let mut damaged = vec![
        b"".to_vec(),
        b"no arrays".to_vec(),
        b"\x93NUMPY\x01\0".to_vec(),
    ];
    damaged.push([b"PK\x03\x04".as_slice(), &[0xff; 200]].concat());
    damaged.extend(
        (1..whole.len())
            .step_by(16)
            .map(|length| whole[..length].to_vec()),
    );
    for bytes in damaged {
        folder.file("in.npz", bytes);
        says(run(&bundle, &inputs).refused(3), &["in.npz"]);
        assert_eq!(listing(folder.path()), before);
    }
    std::fs::remove_file(&inputs).unwrap();
    says(
        run(&bundle, &inputs).refused(3),
        &["in.npz", "No such file"],
    );
}

#[test]
fn array_of_text() {
    if !engine() {
        return;
    }
    let folder = Untouched::new();
    let (bundle, _) = good_bundle(folder.path());
    let inputs = folder.path().join("text.npz");
    let header = "{'descr': '<U1', 'fortran_order': False, 'shape': (1, 3), }";
    let mut array = b"\x93NUMPY\x01\0\x76\0".to_vec();
    array.extend(format!("{header:<117}\n").bytes());
    array.extend([b'a', 0, 0, 0].repeat(3));
    let mut archive = zip::ZipWriter::new(std::fs::File::create(&inputs).unwrap());
    let options = zip::write::SimpleFileOptions::default();
    archive.start_file("x.npy", options).unwrap();
    archive.write_all(&array).unwrap();
    archive.finish().unwrap();
    says(run(&bundle, &inputs).refused(3), &["text.npz", "`x`"]);
}

#[test]
fn outputs_that_cannot_be_written() {
    if !engine() {
        return;
    }
    let folder = Untouched::new();
    let (bundle, inputs) = good_bundle(folder.path());
    let before = listing(folder.path());
    for place in ["nowhere/out.npz", "good.jet/out.npz"] {
        let path = folder.path().join(place);
        let run = tfjet_run()
            .arg("run")
            .arg(&bundle)
            .arg("--inputs")
            .arg(&inputs);
        let ran = run.arg("--outputs").arg(&path).run();
        says(ran.refused(3), &[place]);
        let ran = tfjet().arg("convert").arg(folder.path().join("good.pbtxt"));
        let ran = ran.arg("-o").arg(path.with_extension("jet")).run();
        says(ran.refused(3), &[&place.replace(".npz", ".jet")]);
        for flag in ["--json", "--csv", "--svg"] {
            let ran = tfjet().arg("plan").arg(folder.path().join("good.pbtxt"));
            let ran = ran.arg(format!("{flag}={}", path.display())).run();
            says(ran.refused(3), &[place]);
        }
        assert_eq!(listing(folder.path()), before);
    }
}

#[test]
fn nothing_to_compare() {
    if !engine() {
        return;
    }
    let folder = Untouched::new();
    let (bundle, _) = good_bundle(folder.path());
    let model = folder.path().join("good.pbtxt");
    let row = zeros(DType::F32, &[1, 3]);
    let compare = |model: &Path, arrays: &[(&str, &Tensor)]| {
        let reference = npz(folder.path(), "ref.npz", arrays);
        tfjet().arg("compare").arg(model).arg(reference).run()
    };
    for model in [&model, &bundle] {
        let ran = compare(model, &[("in:x", &row)]);
        says(ran.refused(3), &["ref.npz", "nothing to compare"]);
        let ran = compare(model, &[("out:y", &row)]);
        says(ran.refused(3), &["ref.npz", "`x`"]);
    }
    let ran = compare(&bundle, &[("in:x", &row), ("out:nobody", &row)]);
    says(ran.refused(3), &["nothing to compare", "nobody"]);
    let ran = compare(&model, &[("in:x", &row), ("out:nobody", &row)]);
    says(ran.refused(3), &["nobody"]);
    let ran = tfjet().arg("compare").arg(&model).arg(&model).run();
    says(ran.refused(3), &["good.pbtxt"]);
}
