use std::fs;
use std::io::Cursor;

use super::*;

fn archive(entries: &[(&str, &[u8])], compression_method: CompressionMethod) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(compression_method);
    for (name, bytes) in entries {
        archive.start_file(*name, options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn npy_of(tensor: &Tensor) -> Vec<u8> {
    let mut bytes = npy::header(&tensor.view()).unwrap();
    bytes.extend(tensor.bytes());
    bytes
}

fn read_bytes(bytes: Vec<u8>) -> Result<Arrays, NpzError> {
    read(Cursor::new(bytes), "x.npz", "x")
}

#[test]
fn round_trips_every_type_and_awkward_names() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.npz");
    let mut tensors: Vec<(String, Tensor)> = [
        DType::F16,
        DType::F32,
        DType::F64,
        DType::I8,
        DType::I16,
        DType::I32,
        DType::I64,
        DType::U8,
        DType::U16,
        DType::U32,
        DType::U64,
        DType::Bool,
    ]
    .into_iter()
    .map(|dtype| {
        let bytes: Vec<u8> = (0..6 * dtype.size_bytes()).map(|i| i as u8 % 2).collect();
        let tensor = Tensor::from_bytes(dtype, &[2, 3], &bytes).unwrap();
        (dtype.name().to_owned(), tensor)
    })
    .collect();
    for name in [
        "in:image:0",
        "out:model/Softmax",
        "/a//b/../c",
        "vélo",
        "x.npy",
        "",
    ] {
        tensors.push((name.into(), Tensor::scalar(1.5f32)));
    }
    tensors.push(("empty".into(), Tensor::zeros(DType::F32, &[0, 4]).unwrap()));
    let views: Vec<_> = tensors
        .iter()
        .map(|(name, tensor)| (name.clone(), tensor.view()))
        .collect();
    write_npz(&path, &views).unwrap();
    assert_eq!(read_npz(&path).unwrap(), tensors);
    let first = fs::read(&path).unwrap();
    write_npz(&path, &views).unwrap();
    assert_eq!(
        fs::read(&path).unwrap(),
        first,
        "the bytes are not reproducible"
    );
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn reads_deflated_archives_and_leaves_out_what_is_no_tensor() {
    let tensor = Tensor::from_slice(&[300], &[7i64; 300]).unwrap();
    let dictionary = "{'descr': '<U5', 'fortran_order': False, 'shape': (), }";
    let mut text = b"\x93NUMPY\x01\x00".to_vec();
    text.extend([dictionary.len() as u8, 0]);
    text.extend(dictionary.as_bytes());
    let bytes = archive(
        &[
            ("a.npy", &npy_of(&tensor)),
            ("words.npy", &text),
            ("notes.txt", b"hello"),
            ("b.npy", &npy_of(&Tensor::scalar(2u8))),
        ],
        CompressionMethod::Deflated,
    );
    let (arrays, skipped) = read_bytes(bytes).unwrap();
    let expected = [("a".into(), tensor), ("b".into(), Tensor::scalar(2u8))];
    assert_eq!(arrays, expected);
    let notes: Vec<_> = skipped
        .iter()
        .map(|Skipped { name, what }| format!("{name}: {what}"))
        .collect();
    assert_eq!(
        notes,
        [
            "words: no tensor holds elements of NumPy's type <U5",
            "notes.txt: not an .npy file",
        ]
    );
}

#[test]
fn reads_a_single_array() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("image.npy");
    let tensor = Tensor::from_slice(&[2], &[1.0f32, 2.0]).unwrap();
    fs::write(&path, npy_of(&tensor)).unwrap();
    assert_eq!(read_npz(&path).unwrap(), [("image".into(), tensor)]);
}

#[test]
fn errors_name_file_and_array() {
    let good = npy_of(&Tensor::from_slice(&[2], &[1.0f32, 2.0]).unwrap());
    let short = archive(
        &[("a.npy", &good), ("b.npy", &good[..good.len() - 1])],
        CompressionMethod::Stored,
    );
    let mut damaged = archive(&[("a.npy", &good)], CompressionMethod::Stored);
    let value = damaged
        .windows(4)
        .position(|bytes| bytes == 2.0f32.to_le_bytes());
    damaged[value.unwrap()] ^= 1;
    for (bytes, expected) in [
        (
            short,
            "x.npz: array `b`: its shape [2] of float32 takes 8 bytes, the file has 7",
        ),
        (damaged, "x.npz: array `a`: cannot read: Invalid checksum"),
        (
            vec![],
            "x.npz is not a NumPy .npz or .npy file: it is empty",
        ),
        (
            b"hello".to_vec(),
            "x.npz is not a NumPy .npz or .npy file: ",
        ),
        (
            good[..20].to_vec(),
            "x.npz: array `x`: its header is malformed: it is cut off",
        ),
    ] {
        let error = read_bytes(bytes).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
    let error = read_npz("/absent/x.npz".as_ref()).unwrap_err().to_string();
    assert_eq!(
        error,
        "cannot open /absent/x.npz: No such file or directory (os error 2)"
    );
    let error = read_npz("/".as_ref()).unwrap_err().to_string();
    assert_eq!(error, "cannot read /: Is a directory (os error 21)");
}

#[test]
fn any_truncation_is_refused() {
    let array = npy_of(&Tensor::from_slice(&[2], &[1.0f32, 2.0]).unwrap());
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let bytes = archive(&[("a.npy", &array), ("b.npy", &array)], method);
        for len in 0..bytes.len() {
            assert!(read_bytes(bytes[..len].to_vec()).is_err(), "{len} bytes");
        }
    }
}

#[test]
fn damaged_archives_never_panic() {
    let array = npy_of(&Tensor::from_slice(&[2], &[1.0f32, 2.0]).unwrap());
    let bytes = archive(&[("a.npy", &array)], CompressionMethod::Deflated);
    for position in 0..bytes.len() {
        for pattern in [1, 0x10, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[position] ^= pattern;
            let _ = read_bytes(damaged);
        }
    }
}

#[test]
fn a_refused_array_leaves_the_old_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.npz");
    fs::write(&path, b"old").unwrap();
    let bf16 = Tensor::zeros(DType::BF16, &[1]).unwrap();
    let one = Tensor::scalar(1u8);
    for (arrays, expected) in [
        (
            vec![("a".to_owned(), one.view()), ("b".to_owned(), bf16.view())],
            "array `b`: NumPy has no bfloat16; cast it to float32",
        ),
        (
            vec![("a".to_owned(), one.view()), ("a".to_owned(), one.view())],
            "array `a`: cannot pack: ",
        ),
    ] {
        let error = write_npz(&path, &arrays).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}
