use std::fs;

use prost::Message;
use tempfile::TempDir;
use tfjet_core::{AttrValue, Tensor};

use super::super::write;
use super::*;
use crate::tensorflow::proto::generated::tensor_slice_proto::Extent;
use crate::tensorflow::proto::tensor_shape_proto;
use crate::tensorflow::proto::{DataType, TensorShapeProto, TensorSliceProto, VersionDef};

/// A checkpoint in the making.
struct Files {
    directory: TempDir,
    entries: Vec<(Vec<u8>, Vec<u8>)>,
    data: Vec<u8>,
    header: BundleHeaderProto,
}

fn shape_of(sizes: &[i64]) -> Option<TensorShapeProto> {
    let dim = |&size: &i64| tensor_shape_proto::Dim {
        size,
        name: String::new(),
    };
    Some(TensorShapeProto {
        dim: sizes.iter().map(dim).collect(),
        unknown_rank: false,
    })
}

impl Files {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            entries: Vec::new(),
            data: Vec::new(),
            header: BundleHeaderProto {
                num_shards: 1,
                endianness: 0,
                version: Some(VersionDef {
                    producer: 1,
                    ..VersionDef::default()
                }),
            },
        }
    }

    fn put(&mut self, key: &[u8], dtype: DataType, sizes: &[i64], bytes: &[u8]) {
        self.put_entry(
            key,
            BundleEntryProto {
                dtype: dtype.into(),
                shape: shape_of(sizes),
                crc32c: write::checksum(bytes),
                ..BundleEntryProto::default()
            },
            bytes,
        );
    }

    fn put_entry(&mut self, key: &[u8], entry: BundleEntryProto, bytes: &[u8]) {
        let entry = BundleEntryProto {
            offset: i64::try_from(self.data.len()).unwrap(),
            size: i64::try_from(bytes.len()).unwrap(),
            ..entry
        };
        self.data.extend_from_slice(bytes);
        self.entries.push((key.to_vec(), entry.encode_to_vec()));
    }

    fn prefix(&self) -> PathBuf {
        self.directory.path().join("variables")
    }

    fn open(&self) -> Result<Bundle, CheckpointProblem> {
        let mut entries = self.entries.clone();
        entries.push((Vec::new(), self.header.encode_to_vec()));
        entries.sort();
        let index = write::table(&entries, 3, true);
        fs::write(Bundle::index_path(&self.prefix()), index).unwrap();
        let shard = with_suffix(&self.prefix(), ".data-00000-of-00001");
        fs::write(shard, &self.data).unwrap();
        Bundle::open(&self.prefix())
    }
}

fn extent(start: i64, length: Option<i64>) -> Extent {
    Extent { start, length }
}

#[test]
fn numbers_of_every_type_are_read() {
    let mut files = Files::new();
    files.put(b"bf16", DataType::DtBfloat16, &[1], &[0x80, 0x3f]);
    files.put(b"bool", DataType::DtBool, &[2], &[1, 0]);
    files.put(
        b"f",
        DataType::DtFloat,
        &[2, 1],
        &[0, 0, 128, 63, 0, 0, 0, 64],
    );
    files.put(b"half", DataType::DtHalf, &[], &[0, 0x3c]);
    files.put(b"i8", DataType::DtInt8, &[0, 5], &[]);
    let mut checkpoint = files.open().unwrap();
    for (name, expected) in [
        ("bf16", Tensor::from_slice(&[1], &[half::bf16::ONE])),
        ("bool", Tensor::from_bools(&[2], &[true, false])),
        ("f", Tensor::from_slice(&[2, 1], &[1.0f32, 2.0])),
        ("half", Tensor::from_slice(&[], &[half::f16::ONE])),
        ("i8", Tensor::from_slice::<i8>(&[0, 5], &[])),
    ] {
        let value = checkpoint.value(name, None).unwrap();
        assert_eq!(value, AttrValue::Tensor(expected.unwrap()), "{name}");
    }
}

#[test]
fn strings_are_read_with_their_checksums() {
    let mut files = Files::new();
    let lengths = [2u8, 0];
    let of_lengths = write::checksum(&[2, 0, 0, 0, 0, 0, 0, 0]);
    let stored = [&lengths[..], &of_lengths.to_le_bytes(), b"ab"].concat();
    let all = [
        &[2, 0, 0, 0, 0, 0, 0, 0][..],
        &of_lengths.to_le_bytes(),
        b"ab",
    ]
    .concat();
    let entry = BundleEntryProto {
        dtype: DataType::DtString.into(),
        shape: shape_of(&[2]),
        crc32c: write::checksum(&all),
        ..BundleEntryProto::default()
    };
    files.put_entry(b"s", entry, &stored);
    let value = files.open().unwrap().value("s", None).unwrap();
    let expected = vec![b"ab".to_vec(), Vec::new()];
    assert_eq!(value, AttrValue::StringTensor(vec![2], expected));
    files.data[6] = b'c';
    let error = files.open().unwrap().value("s", None).unwrap_err();
    assert!(error.to_string().contains("wrong checksum"), "{error}");
}

#[test]
fn parts_are_put_together_and_taken_out() {
    let mut files = Files::new();
    let slice = |start, length| TensorSliceProto {
        extent: vec![extent(0, None), extent(start, Some(length))],
    };
    let (left, right) = (slice(0, 1), slice(1, 2));
    files.put_entry(
        b"w",
        BundleEntryProto {
            dtype: DataType::DtUint8.into(),
            shape: shape_of(&[2, 3]),
            slices: vec![left.clone(), right.clone()],
            ..BundleEntryProto::default()
        },
        &[],
    );
    files.put(
        &slices::key("w", &left),
        DataType::DtUint8,
        &[2, 1],
        &[1, 4],
    );
    files.put(
        &slices::key("w", &right),
        DataType::DtUint8,
        &[2, 2],
        &[2, 3, 5, 6],
    );
    let mut checkpoint = files.open().unwrap();
    let tensor = |shape: &[usize], values: &[u8]| {
        AttrValue::Tensor(Tensor::from_slice(shape, values).unwrap())
    };
    let whole = checkpoint.value("w", None).unwrap();
    assert_eq!(whole, tensor(&[2, 3], &[1, 2, 3, 4, 5, 6]));
    let part = Slice::parse("2 3 1,1:0,2").unwrap();
    let part = checkpoint.value("w", part.as_ref()).unwrap();
    assert_eq!(part, tensor(&[1, 2], &[4, 5]));
    let beyond = Slice::whole(&[2, 4]);
    let error = checkpoint.value("w", Some(&beyond)).unwrap_err();
    assert!(error.to_string().contains("shape is [2, 3]"), "{error}");
}

#[test]
fn parts_that_leave_a_gap_are_refused() {
    let slice = |start, length| TensorSliceProto {
        extent: vec![extent(start, Some(length))],
    };
    let vast = 1 << 40;
    // As long together as the variable.
    for (size, slices) in [
        (4, vec![slice(0, 2), slice(1, 2)]),
        (
            vast,
            vec![
                slice(0, 1),
                slice(vast / 2, vast / 2),
                slice(vast / 2, vast / 2 - 1),
            ],
        ),
    ] {
        let mut files = Files::new();
        let entry = BundleEntryProto {
            dtype: DataType::DtUint8.into(),
            shape: shape_of(&[size]),
            slices: slices.clone(),
            ..BundleEntryProto::default()
        };
        files.put_entry(b"w", entry, &[]);
        for slice in &slices {
            let length = slice.extent[0].length.unwrap();
            let bytes = vec![1; usize::try_from(length.min(2)).unwrap()];
            files.put(
                &slices::key("w", slice),
                DataType::DtUint8,
                &[length],
                &bytes,
            );
        }
        let half = usize::try_from(size / 2).unwrap();
        let part = Slice {
            start: vec![0],
            shape: vec![half.max(4)],
        };
        let error = files.open().unwrap().value("w", Some(&part)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "checkpoint variable `w`: its parts do not cover it, or overlap"
        );
    }
}

#[test]
fn damaged_variables_are_refused() {
    let float = |sizes: &[i64]| BundleEntryProto {
        dtype: DataType::DtFloat.into(),
        shape: shape_of(sizes),
        ..BundleEntryProto::default()
    };
    let huge = [i64::MAX, 8];
    for (entry, bytes, expected) in [
        (float(&[1]), &[0u8; 4][..], "wrong checksum"),
        (float(&[2]), &[0; 4], "4 bytes are stored for shape [2]"),
        (float(&huge), &[], "0 bytes are stored for shape"),
        (float(&[-1]), &[], "its shape is not known"),
        (float(&[-2]), &[], "has a dimension of size -2"),
        (
            BundleEntryProto {
                shard_id: 7,
                ..float(&[1])
            },
            &[0; 4],
            "shard 7 of 1",
        ),
        (
            BundleEntryProto {
                dtype: DataType::DtComplex128.into(),
                ..float(&[])
            },
            &[0; 8],
            "unsupported element type DT_COMPLEX128",
        ),
        (
            BundleEntryProto {
                slices: vec![TensorSliceProto {
                    extent: vec![extent(0, Some(9))],
                }],
                ..float(&[4])
            },
            &[],
            "a part outside its shape",
        ),
        (
            BundleEntryProto {
                slices: vec![TensorSliceProto {
                    extent: vec![extent(0, Some(2))],
                }],
                ..float(&[4])
            },
            &[],
            "the part [2] is missing",
        ),
    ] {
        let mut files = Files::new();
        files.put_entry(b"w", entry, bytes);
        let error = files.open().unwrap().value("w", None).unwrap_err();
        let message = error.to_string();
        assert!(
            message.starts_with("checkpoint variable `w`: "),
            "{message}"
        );
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn missing_files_and_names_are_reported() {
    let mut files = Files::new();
    files.put(b"layer/kernel", DataType::DtFloat, &[], &[0; 4]);
    let error = Bundle::open(&files.prefix()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("checkpoint file `variables.index` cannot be read")
    );
    let mut checkpoint = files.open().unwrap();
    let error = checkpoint.value("layer/kernal", None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "checkpoint `variables` has no variable `layer/kernal`; near names: layer/kernel"
    );
    let shard = with_suffix(&files.prefix(), ".data-00000-of-00001");
    fs::write(&shard, [0; 2]).unwrap();
    let error = files.reopen().value("layer/kernel", None).unwrap_err();
    assert!(
        error.to_string().contains("which has 2; is it cut off?"),
        "{error}"
    );
    fs::remove_file(&shard).unwrap();
    let error = files.reopen().value("layer/kernel", None).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("`variables.data-00000-of-00001` cannot be read"),
        "{error}"
    );
}

#[test]
fn shards_cannot_be_read_over_and_over() {
    let mut files = Files::new();
    for index in 0..9u8 {
        let entry = BundleEntryProto {
            dtype: DataType::DtUint8.into(),
            shape: shape_of(&[100]),
            crc32c: write::checksum(&[1; 100]),
            size: 100,
            ..BundleEntryProto::default()
        };
        files
            .entries
            .push((vec![b'a' + index], entry.encode_to_vec()));
    }
    files.data = vec![1; 100];
    let mut checkpoint = files.open().unwrap();
    let read = |name: &str| checkpoint.value(name, None).map(|_| ());
    let results: Vec<bool> = ["a", "b", "c", "d", "e"]
        .map(read)
        .map(|it| it.is_ok())
        .into();
    assert_eq!(results, [true, true, true, true, false]);
}

#[test]
fn other_formats_are_refused_by_name() {
    let mut files = Files::new();
    files.header.endianness = 1;
    let error = files.open().unwrap_err().to_string();
    assert!(error.contains("big-endian"), "{error}");
    files.header.endianness = 0;
    files.header.num_shards = i32::MAX;
    let error = files.open().unwrap_err().to_string();
    assert!(error.contains("2147483647 shards"), "{error}");
}

impl Files {
    fn reopen(&self) -> Bundle {
        Bundle::open(&self.prefix()).unwrap()
    }
}
