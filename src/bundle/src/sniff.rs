/// What the first bytes of a file that is no bundle suggest that it is.
pub(crate) fn looks_like(bytes: &[u8]) -> Option<&'static str> {
    let starts = |prefix: &[u8]| bytes.starts_with(prefix);
    Some(match bytes {
        _ if starts(b"\x89TFJET") || starts(b"\tTFJET") => {
            "a bundle that was transferred as text; transfer it as binary"
        }
        _ if starts(b"PK\x03\x04") => "a zip archive (.npz, .keras)",
        _ if starts(b"\x89HDF\r\n\x1a\n") => "an HDF5 file (Keras .h5)",
        _ if starts(b"ftrt") || starts(b"ptrt") => "a serialized TensorRT engine",
        _ if starts(b"\x1f\x8b") => "a gzip archive",
        [_, _, _, _, b'T', b'F', b'L', b'3', ..] => "a TensorFlow Lite model",
        [b'{', ..] => "JSON text (a TensorFlow.js model.json is read by `tfjet convert`)",
        [0x08, 0x01, 0x12, ..] => "a TensorFlow SavedModel (.pb), read by `tfjet convert`",
        [
            0x08,
            0x02..=0x1f,
            0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42,
            ..,
        ] => "an ONNX model",
        [0x0a, _, 0x0a, ..]
        | [0x0a, 0x80..=0xff, _, 0x0a, ..]
        | [0x0a, 0x80..=0xff, 0x80..=0xff, _, 0x0a, ..] => {
            "a TensorFlow graph (.pb), read by `tfjet convert`"
        }
        [0, 0, 0, 0, ..] => "zeros",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_files_that_people_confuse_with_bundles() {
        for (bytes, expected) in [
            (&b"PK\x03\x04rest"[..], Some("zip")),
            (b"\x89TFJET\n\x01", Some("as text")),
            (b"\x08\x01\x12\xff\x01", Some("SavedModel")),
            (b"\x08\x08\x12\x07tf2onnx", Some("ONNX")),
            (b"\x0a\x20\x0a\x05input", Some("TensorFlow graph")),
            (b"\x0a\x9a\x01\x0a\x05input", Some("TensorFlow graph")),
            (b"{\"format\": \"graph-model\"", Some("JSON")),
            (b"\x1c\0\0\0TFL3", Some("Lite")),
            (b"\x89HDF\r\n\x1a\n", Some("HDF5")),
            (b"\0\0\0\0\0\0\0\0", Some("zeros")),
            (b"hello", None),
            (b"", None),
        ] {
            let found = looks_like(bytes);
            match expected {
                Some(word) => assert!(found.is_some_and(|it| it.contains(word)), "{found:?}"),
                None => assert_eq!(found, None, "{bytes:?}"),
            }
        }
    }
}
