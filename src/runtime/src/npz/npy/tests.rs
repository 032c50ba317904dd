use super::*;

fn npy(dictionary: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend(u16::try_from(dictionary.len()).unwrap().to_le_bytes());
    bytes.extend(dictionary.as_bytes());
    bytes.extend(data);
    bytes
}

fn tensor(bytes: &[u8]) -> Tensor {
    match read(bytes).unwrap() {
        Array::Tensor(tensor) => tensor,
        foreign => panic!("{foreign:?}"),
    }
}

#[test]
fn headers_read_back_for_every_type_and_rank() {
    for (dtype, descr) in DESCRIPTIONS {
        for shape in [&[][..], &[3], &[2, 3], &[0, 4], &[1, 2, 3, 4]] {
            let zeros = Tensor::zeros(dtype, shape).unwrap();
            let mut bytes = header(&zeros.view()).unwrap();
            assert_eq!(bytes.len() % 64, 0);
            assert_eq!(bytes.last(), Some(&b'\n'));
            let text = String::from_utf8_lossy(&bytes).into_owned();
            assert!(text.contains(&format!("'descr': '{descr}'")), "{text}");
            bytes.extend(zeros.bytes());
            assert_eq!(tensor(&bytes), zeros);
        }
    }
}

#[test]
fn headers_are_written_as_numpy_writes_them() {
    for (shape, text) in [(&[][..], "()"), (&[3], "(3,)"), (&[2, 3], "(2, 3)")] {
        let zeros = Tensor::zeros(DType::F32, shape).unwrap();
        let bytes = header(&zeros.view()).unwrap();
        let expected = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {text}, }} ");
        assert!(bytes[10..].starts_with(expected.as_bytes()));
        assert_eq!(bytes[..10], *b"\x93NUMPY\x01\x00\x76\x00");
    }
}

#[test]
fn reads_versions_2_and_3() {
    let dictionary = "{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }";
    for version in [2, 3] {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([version, 0]);
        bytes.extend(u32::try_from(dictionary.len()).unwrap().to_le_bytes());
        bytes.extend(dictionary.as_bytes());
        bytes.push(7);
        assert_eq!(tensor(&bytes).bytes(), [7]);
    }
}

#[test]
fn rejects_more_dims_than_numpy_knows() {
    for (rank, is_fine) in [(64, true), (65, false)] {
        let zeros = Tensor::zeros(DType::U8, &vec![1; rank]).unwrap();
        assert_eq!(header(&zeros.view()).is_ok(), is_fine);
        let shape = "1,".repeat(rank);
        let dictionary = format!("{{'descr': '|u1', 'fortran_order': True, 'shape': ({shape})}}");
        assert_eq!(read(&npy(&dictionary, &[0])[..]).is_ok(), is_fine);
    }
}

#[test]
fn reads_what_other_writers_write() {
    let data = [1, 0, 2, 0];
    let expected = Tensor::from_slice(&[2], &[1i16, 2]).unwrap();
    for dictionary in [
        "{'descr': '<i2', 'fortran_order': False, 'shape': (2,), }   \n",
        "{\"shape\":(2),\"fortran_order\":True,\"descr\":\"<i2\"}",
        "  { 'shape' : ( 2L , ) , 'descr' : '=i2' , 'fortran_order' : False }",
    ] {
        assert_eq!(tensor(&npy(dictionary, &data)), expected, "{dictionary}");
    }
    let big = npy(
        "{'descr': '>i2', 'fortran_order': False, 'shape': (2,)}",
        &[0, 1, 0, 2],
    );
    assert_eq!(tensor(&big), expected);
}

#[test]
fn complex_numbers_are_real_and_imaginary_parts() {
    let numbers = [[1.5f32, -2.0], [0.0, 3.25]];
    let expected = Tensor::from_slice(&[2], &numbers).unwrap();
    let parts = numbers.as_flattened();
    let little: Vec<u8> = parts.iter().flat_map(|part| part.to_le_bytes()).collect();
    let big: Vec<u8> = parts.iter().flat_map(|part| part.to_be_bytes()).collect();
    for (descr, data) in [("<c8", little), (">c8", big)] {
        let dictionary = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (2,)}}");
        assert_eq!(tensor(&npy(&dictionary, &data)), expected, "{descr}");
    }
}

#[test]
fn fortran_order_becomes_c_order() {
    let data: Vec<u8> = (0..24).collect();
    let bytes = npy(
        "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3, 4)}",
        &data,
    );
    let read = tensor(&bytes);
    for (position, value) in read.bytes().iter().enumerate() {
        let (i, j, k) = (position / 12, position / 4 % 3, position % 4);
        assert_eq!(usize::from(*value), i + 2 * j + 6 * k);
    }
    let pairs = [0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6];
    let bytes = npy(
        "{'descr': '>u2', 'fortran_order': True, 'shape': (3, 2)}",
        &pairs,
    );
    assert_eq!(
        tensor(&bytes).as_slice::<u16>().unwrap(),
        [1, 4, 2, 5, 3, 6]
    );
    let empty = npy(
        "{'descr': '<f4', 'fortran_order': True, 'shape': (3, 0)}",
        &[],
    );
    assert_eq!(tensor(&empty).shape(), [3, 0]);
}

#[test]
fn types_that_no_tensor_holds_are_foreign() {
    for (descr, named) in [
        ("'<U5'", "<U5"),
        ("'|S3'", "|S3"),
        ("'|O'", "|O"),
        ("'<c16'", "<c16"),
        ("'<f16'", "<f16"),
        ("'|V2'", "|V2"),
        ("''", ""),
        (
            "[('a', '<f4'), ('b]', [('c', '|u1')])]",
            "[('a', '<f4'), ('b]', [('c', '|u1')])]",
        ),
    ] {
        let dictionary = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (9,), }}");
        assert_eq!(
            read(&npy(&dictionary, &[])[..]).unwrap(),
            Array::Foreign(named.into())
        );
    }
}

#[test]
fn rejects_malformed_headers() {
    let with = |dictionary: &str| npy(dictionary, &[]);
    let mut long = MAGIC.to_vec();
    long.extend([2, 0, 0xff, 0xff, 0xff, 0xff]);
    for (bytes, expected) in [
        (b"\x93NUMPX\x01\x00".to_vec(), "does not start as"),
        (b"\x93NUM".to_vec(), "cut off"),
        (b"\x93NUMPY\x01\x00\x46\x00{'descr".to_vec(), "cut off"),
        (b"\x93NUMPY\x04\x01\x46\x00".to_vec(), "format version 4.1"),
        (long, "longer than 1 MiB"),
        (with(""), "no dictionary"),
        (with("{}"), "descr is missing"),
        (
            with("{'descr': '<f4', 'shape': (1,)}"),
            "fortran_order is missing",
        ),
        (
            with("{'descr': '<f4', 'fortran_order': False}"),
            "shape is missing",
        ),
        (with("{'descr': 4"), "a string is missing"),
        (with("{'descr': '<f4"), "a string does not end"),
        (with("{'descr': [('a'"), "does not end"),
        (with("{'descr': ['a]'"), "does not end"),
        (with("{'fortran_order': 0"), "neither True nor False"),
        (with("{'shape': (-1,)"), "a dim is no size"),
        (with("{'shape': (1.5,)"), "no dictionary"),
        (
            with("{'shape': (99999999999999999999,)"),
            "a dim is no size",
        ),
        (with("{'shape': (1,), 'shape': (1,)"), "twice"),
        (with("{'size': 3}"), "a key other than"),
        (
            with("{'descr': '<f4', 'fortran_order': False, 'shape': ()} x"),
            "after",
        ),
    ] {
        let error = read(&bytes[..]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} lacks {expected:?}");
    }
}

#[test]
fn rejects_sizes_that_the_data_does_not_have() {
    for (shape, expected) in [
        ("(3,)", "[3] of float32 takes 12 bytes, the file has 8"),
        ("(1,)", "[1] of float32 takes 4 bytes, the file has more"),
        (
            "(1099511627776,)",
            "takes 4398046511104 bytes, the file has 8",
        ),
        ("(4611686018427387904,)", "is too large"),
        ("(4294967296, 4294967296)", "is too large"),
    ] {
        let dictionary = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
        let error = read(&npy(&dictionary, &[0; 8])[..])
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error:?} lacks {expected:?}");
    }
}

#[test]
fn no_header_text_panics() {
    let good = "{'descr': '<f4', 'fortran_order': True, 'shape': (1, 2), }";
    for position in 0..good.len() {
        for byte in 0..=255 {
            let mut bytes = npy(good, &[0; 8]);
            bytes[10 + position] = byte;
            let _ = read(&bytes[..]);
        }
    }
}
