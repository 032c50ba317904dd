use half::{bf16, f16};
use tempfile::TempDir;
use tfjet_core::Tensor;

use super::super::{Checkpoint, write};
use super::*;
use crate::tensorflow::proto::generated::tensor_slice_proto::Extent;
use crate::tensorflow::proto::generated::{SavedSlice, SavedSliceMeta};
use crate::tensorflow::proto::{DataType, VersionDef};

/// A file in the making.
#[derive(Default)]
struct File {
    meta: SavedTensorSliceMeta,
    records: Vec<(Vec<u8>, Vec<u8>)>,
}

fn shape_of(sizes: &[i64]) -> TensorShapeProto {
    let dim = |&size: &i64| tensor_shape_proto::Dim {
        size,
        name: String::new(),
    };
    TensorShapeProto {
        dim: sizes.iter().map(dim).collect(),
        unknown_rank: false,
    }
}

/// All of a variable of this rank.
fn all(rank: usize) -> TensorSliceProto {
    TensorSliceProto {
        extent: vec![Extent::default(); rank],
    }
}

fn rows(start: i64, length: i64) -> TensorSliceProto {
    let mut slice = all(2);
    slice.extent[0] = Extent {
        start,
        length: Some(length),
    };
    slice
}

fn floats(values: &[f32]) -> TensorProto {
    TensorProto {
        float_val: values.to_vec(),
        ..TensorProto::default()
    }
}

impl File {
    fn list(&mut self, name: &str, dtype: DataType, sizes: &[i64], slices: &[TensorSliceProto]) {
        self.meta.tensor.push(SavedSliceMeta {
            name: name.into(),
            shape: Some(shape_of(sizes)),
            r#type: dtype.into(),
            slice: slices.to_vec(),
        });
    }

    fn record(&mut self, name: &str, slice: &TensorSliceProto, values: TensorProto) {
        let message = SavedTensorSlices {
            meta: None,
            data: Some(SavedSlice {
                name: name.into(),
                slice: Some(slice.clone()),
                data: Some(values),
            }),
        };
        let key = slices::key(name, slice);
        self.records.push((key, message.encode_to_vec()));
    }

    fn put(&mut self, name: &str, dtype: DataType, sizes: &[i64], values: TensorProto) {
        let slice = all(sizes.len());
        self.list(name, dtype, sizes, std::slice::from_ref(&slice));
        self.record(name, &slice, values);
    }

    fn table(&self, is_packed: bool) -> Vec<u8> {
        let meta = SavedTensorSlices {
            meta: Some(self.meta.clone()),
            data: None,
        };
        let mut entries = self.records.clone();
        entries.push((Vec::new(), meta.encode_to_vec()));
        entries.sort();
        write::table(&entries, 2, is_packed)
    }
}

/// The checkpoint `model.ckpt` of these files, by their names.
fn written(files: &[(&str, Vec<u8>)]) -> (TempDir, Result<Checkpoint, CheckpointProblem>) {
    let directory = tempfile::tempdir().unwrap();
    for (name, contents) in files {
        fs::write(directory.path().join(name), contents).unwrap();
    }
    let checkpoint = Checkpoint::open(&directory.path().join("model.ckpt"));
    (directory, checkpoint)
}

fn opened(file: &File) -> Checkpoint {
    written(&[("model.ckpt", file.table(false))]).1.unwrap()
}

fn error(checkpoint: Result<Checkpoint, CheckpointProblem>) -> String {
    checkpoint.unwrap_err().to_string()
}

#[test]
fn values_of_every_type_are_read() {
    let none = TensorProto::default;
    let ints = |values: &[i32]| TensorProto {
        int_val: values.to_vec(),
        ..none()
    };
    let halves = |values: &[i32]| TensorProto {
        half_val: values.to_vec(),
        ..none()
    };
    let doubles = TensorProto {
        double_val: vec![1.5, -2.0],
        ..none()
    };
    let longs = TensorProto {
        int64_val: vec![1 << 40, -1],
        ..none()
    };
    let u32s = TensorProto {
        uint32_val: vec![u32::MAX, 1],
        ..none()
    };
    let u64s = TensorProto {
        uint64_val: vec![u64::MAX, 1],
        ..none()
    };
    let bools = TensorProto {
        bool_val: vec![true, false],
        ..none()
    };
    let contents = TensorProto {
        tensor_content: vec![0, 0, 128, 63, 0, 0, 0, 64].into(),
        ..none()
    };
    let cases = [
        (
            "bf16",
            DataType::DtBfloat16,
            halves(&[0x3f80, 0xc000]),
            Tensor::from_slice(&[2], &[bf16::ONE, bf16::from_f32(-2.0)]),
        ),
        (
            "bool",
            DataType::DtBool,
            bools,
            Tensor::from_bools(&[2], &[true, false]),
        ),
        (
            "contents",
            DataType::DtFloat,
            contents,
            Tensor::from_slice(&[2], &[1.0f32, 2.0]),
        ),
        (
            "f32",
            DataType::DtFloat,
            floats(&[1.0, 2.0]),
            Tensor::from_slice(&[2], &[1.0f32, 2.0]),
        ),
        (
            "f64",
            DataType::DtDouble,
            doubles,
            Tensor::from_slice(&[2], &[1.5f64, -2.0]),
        ),
        (
            "half",
            DataType::DtHalf,
            halves(&[0x3c00, 0]),
            Tensor::from_slice(&[2], &[f16::ONE, f16::ZERO]),
        ),
        (
            "i16",
            DataType::DtInt16,
            ints(&[-300, 2]),
            Tensor::from_slice(&[2], &[-300i16, 2]),
        ),
        (
            "i32",
            DataType::DtInt32,
            ints(&[-1, 2]),
            Tensor::from_slice(&[2], &[-1i32, 2]),
        ),
        (
            "i64",
            DataType::DtInt64,
            longs,
            Tensor::from_slice(&[2], &[1i64 << 40, -1]),
        ),
        (
            "i8",
            DataType::DtInt8,
            ints(&[-128, 2]),
            Tensor::from_slice(&[2], &[-128i8, 2]),
        ),
        // The last value stands for those that follow.
        (
            "repeated",
            DataType::DtFloat,
            floats(&[3.0]),
            Tensor::from_slice(&[2], &[3.0f32, 3.0]),
        ),
        (
            "u16",
            DataType::DtUint16,
            ints(&[65535, 2]),
            Tensor::from_slice(&[2], &[65535u16, 2]),
        ),
        (
            "u32",
            DataType::DtUint32,
            u32s,
            Tensor::from_slice(&[2], &[u32::MAX, 1]),
        ),
        (
            "u64",
            DataType::DtUint64,
            u64s,
            Tensor::from_slice(&[2], &[u64::MAX, 1]),
        ),
        (
            "u8",
            DataType::DtUint8,
            ints(&[255, 2]),
            Tensor::from_slice(&[2], &[255u8, 2]),
        ),
    ];
    let mut file = File::default();
    for (name, dtype, values, _) in &cases {
        file.put(name, *dtype, &[2], values.clone());
    }
    file.put("empty", DataType::DtFloat, &[0, 3], none());
    file.put("scalar", DataType::DtFloat, &[], floats(&[7.0]));
    let strings = TensorProto {
        string_val: vec!["ab".into(), "".into()],
        ..none()
    };
    file.put("strings", DataType::DtString, &[2], strings);
    for is_packed in [false, true] {
        let (_directory, checkpoint) = written(&[("model.ckpt", file.table(is_packed))]);
        let mut checkpoint = checkpoint.unwrap();
        for (name, _, _, expected) in &cases {
            let value = checkpoint.value(name, None).unwrap();
            assert_eq!(
                value,
                AttrValue::Tensor(expected.clone().unwrap()),
                "{name}"
            );
        }
        for (name, expected) in [
            ("empty", Tensor::from_slice::<f32>(&[0, 3], &[])),
            ("scalar", Tensor::from_slice(&[], &[7.0f32])),
        ] {
            let value = checkpoint.value(name, None).unwrap();
            assert_eq!(value, AttrValue::Tensor(expected.unwrap()), "{name}");
        }
        assert_eq!(
            checkpoint.value("strings", None).unwrap(),
            AttrValue::StringTensor(vec![2], vec![b"ab".to_vec(), Vec::new()])
        );
    }
}

/// A variable of two parts in two files.
fn halves() -> [File; 2] {
    let mut files = [File::default(), File::default()];
    let mut put = |place: usize, start, length, values: &[f32]| {
        let slice = rows(start, length);
        files[place].list(
            "w",
            DataType::DtFloat,
            &[3, 2],
            std::slice::from_ref(&slice),
        );
        files[place].record("w", &slice, floats(values));
    };
    put(0, 0, 2, &[1.0, 2.0, 3.0, 4.0]);
    put(1, 2, 1, &[5.0, 6.0]);
    files
}

#[test]
fn parts_in_several_files_are_put_together() {
    let [first, second] = halves().map(|file| file.table(false));
    let names = ["model.ckpt-00000-of-00002", "model.ckpt-00001-of-00002"];
    let (directory, checkpoint) = written(&[(names[0], first.clone()), (names[1], second)]);
    let tensor = |shape: &[usize], values: &[f32]| {
        AttrValue::Tensor(Tensor::from_slice(shape, values).unwrap())
    };
    let whole = tensor(&[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(checkpoint.unwrap().value("w", None).unwrap(), whole);
    for name in ["model.ckpt-?????-of-00002", names[0], names[1]] {
        let mut checkpoint = Checkpoint::open(&directory.path().join(name)).unwrap();
        assert_eq!(checkpoint.value("w", None).unwrap(), whole, "{name}");
        for (text, expected) in [
            ("3 2 2,1:-", tensor(&[1, 2], &[5.0, 6.0])),
            ("3 2 1,2:1,1", tensor(&[2, 1], &[4.0, 6.0])),
        ] {
            let part = Slice::parse(text).unwrap();
            assert_eq!(checkpoint.value("w", part.as_ref()).unwrap(), expected);
        }
    }

    let (_directory, lacking) = written(&[(names[0], first.clone())]);
    let message = error(lacking);
    assert!(
        message.starts_with("checkpoint file `model.ckpt-00001-of-00002` cannot be read"),
        "{message}"
    );
    let (_directory, mixed) = written(&[
        (names[0], first.clone()),
        ("model.ckpt-00000-of-00003", first),
    ]);
    assert_eq!(
        error(mixed),
        "checkpoint file `model.ckpt`: a checkpoint with 2 shards and with 3 is not supported"
    );
}

#[test]
fn names_of_shards_are_told_from_others() {
    for (name, expected) in [
        ("model.ckpt-00000-of-00002", Some(("model.ckpt", 2))),
        ("model.ckpt-7-00001-of-00002", Some(("model.ckpt-7", 2))),
        ("model.ckpt-?????-of-00002", Some(("model.ckpt", 2))),
        ("model.ckpt-00000-of-00000", None),
        ("model.ckpt-0-of-2", None),
        ("model.ckpt-00000-of-+0002", None),
        ("model.ckpt-1000", None),
        ("", None),
    ] {
        assert_eq!(shard_name(name), expected, "{name}");
    }
}

#[test]
fn damaged_variables_are_refused_with_file_and_key() {
    let float = DataType::DtFloat;
    type Change = fn(&mut File);
    let cases: [(Change, &str); 13] = [
        (
            |file| file.put("w", DataType::DtFloat, &[3], TensorProto::default()),
            "no values for shape [3] in `model.ckpt`",
        ),
        (
            |file| file.put("w", DataType::DtFloat, &[1], floats(&[1.0, 2.0])),
            "2 values for 1 elements in `model.ckpt`",
        ),
        (
            |file| {
                file.put(
                    "w",
                    DataType::DtInt8,
                    &[1],
                    TensorProto {
                        int_val: vec![128],
                        ..TensorProto::default()
                    },
                )
            },
            "value 128, which int8 cannot hold in `model.ckpt`",
        ),
        (
            |file| {
                file.put(
                    "w",
                    DataType::DtFloat,
                    &[1],
                    TensorProto {
                        tensor_content: vec![0; 3].into(),
                        ..TensorProto::default()
                    },
                )
            },
            "wrong contents: shape [1] of float32 needs 4 bytes, got 3 in `model.ckpt`",
        ),
        (
            |file| file.put("w", DataType::DtFloat, &[1 << 25], floats(&[1.0])),
            "134217724 bytes of one repeated value, more than this graph may expand to in `model.ckpt`",
        ),
        (
            |file| file.put("w", DataType::DtFloat, &[i64::MAX, 9], floats(&[1.0])),
            "wrong contents: shape [9223372036854775807, 9] of float32 is too large in `model.ckpt`",
        ),
        (
            |file| file.put("w", DataType::DtQint8, &[1], floats(&[1.0])),
            "unsupported element type DT_QINT8",
        ),
        (
            |file| file.put("w", DataType::DtFloat, &[-1], floats(&[1.0])),
            "its shape is not known",
        ),
        (
            |file| file.list("w", DataType::DtFloat, &[3, 2], &[all(2)]),
            "no record of the part of shape [3, 2] from [0, 0] in `model.ckpt`",
        ),
        (
            |file| {
                file.list("w", DataType::DtFloat, &[3, 2], &[rows(0, 2)]);
                file.record("w", &rows(0, 2), floats(&[1.0; 4]));
            },
            "its parts do not cover it, or overlap",
        ),
        (
            |file| file.list("w", DataType::DtFloat, &[3, 2], &[rows(2, 2)]),
            "a part outside its shape [3, 2]",
        ),
        (
            |file| {
                file.list("w", DataType::DtFloat, &[1], &[all(1)]);
                file.record("v", &all(1), floats(&[1.0]));
                file.records[0].0 = slices::key("w", &all(1));
            },
            "a record of `v` instead in `model.ckpt`",
        ),
        (
            |file| {
                file.list("w", DataType::DtFloat, &[1], &[all(1)]);
                file.records
                    .push((slices::key("w", &all(1)), vec![0x12, 9]));
            },
            "a damaged record (",
        ),
    ];
    for (change, expected) in cases {
        let mut file = File::default();
        change(&mut file);
        let message = opened(&file).value("w", None).unwrap_err().to_string();
        let start = format!("checkpoint variable `w`: {expected}");
        assert!(message.starts_with(&start), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }
    let mut file = File::default();
    file.put("layer/kernel", float, &[1], floats(&[1.0]));
    let mut checkpoint = opened(&file);
    assert!(checkpoint.contains("layer/kernel") && !checkpoint.contains("layer"));
    assert_eq!(
        checkpoint
            .value("layer/kernal", None)
            .unwrap_err()
            .to_string(),
        "checkpoint `model.ckpt` has no variable `layer/kernal`; near names: layer/kernel"
    );
    let beyond = Slice::whole(&[2]);
    assert_eq!(
        checkpoint
            .value("layer/kernel", Some(&beyond))
            .unwrap_err()
            .to_string(),
        "checkpoint variable `layer/kernel`: its shape is [1], the graph asks for [2] from [0]"
    );
}

#[test]
fn damaged_files_are_refused() {
    let mut file = File::default();
    file.put("w", DataType::DtFloat, &[2], floats(&[1.0, 2.0]));
    let whole = file.table(false);
    for cut in 0..whole.len() {
        let message = error(written(&[("model.ckpt", whole[..cut].to_vec())]).1);
        assert!(
            message.starts_with("checkpoint file `model.ckpt` is damaged: "),
            "{message}"
        );
    }
    let mut flipped = whole.clone();
    flipped[10] ^= 1;
    assert_eq!(
        error(written(&[("model.ckpt", flipped)]).1),
        "checkpoint file `model.ckpt` is damaged: wrong checksum of the block at offset 0"
    );
    let headless = write::table(&file.records, 2, false);
    assert_eq!(
        error(written(&[("model.ckpt", headless)]).1),
        "checkpoint file `model.ckpt` is damaged: no list of its variables under the key ``"
    );
    let of_version = |versions: VersionDef| {
        let mut file = File::default();
        file.meta.versions = Some(versions);
        error(written(&[("model.ckpt", file.table(false))]).1)
    };
    let newer = VersionDef {
        producer: 9,
        min_consumer: 2,
        ..VersionDef::default()
    };
    let barred = VersionDef {
        producer: 9,
        bad_consumers: vec![1],
        ..VersionDef::default()
    };
    for versions in [newer, barred] {
        assert_eq!(
            of_version(versions),
            "checkpoint file `model.ckpt`: version 9 of the format is not supported"
        );
    }
    let mut other = File::default();
    other.put("w", DataType::DtFloat, &[3], floats(&[1.0; 3]));
    let (_directory, differing) = written(&[
        ("model.ckpt-00000-of-00002", whole),
        ("model.ckpt-00001-of-00002", other.table(false)),
    ]);
    assert_eq!(
        error(differing),
        "checkpoint file `model.ckpt-00001-of-00002` is damaged: variable `w` has another type or shape than before"
    );
}

#[test]
fn records_cannot_be_decoded_over_and_over() {
    let mut file = File::default();
    file.put("w", DataType::DtFloat, &[1000], floats(&[1.0; 1000]));
    let mut checkpoint = opened(&file);
    let results: Vec<bool> = (0..5)
        .map(|_| checkpoint.value("w", None).is_ok())
        .collect();
    assert_eq!(results, [true, true, true, true, false]);
    // What repeated values fill is counted over all variables.
    let mut file = File::default();
    for name in ["a", "b"] {
        file.put(
            name,
            DataType::DtUint8,
            &[40 << 20],
            TensorProto {
                int_val: vec![1],
                ..TensorProto::default()
            },
        );
    }
    let mut checkpoint = opened(&file);
    assert!(checkpoint.value("a", None).is_ok());
    assert!(checkpoint.value("b", None).is_err());
}
