use prost::encoding::{WireType, decode_key, decode_varint};

use super::error::ImportProblem;

const SIGNATURES: [(usize, &[u8], &str); 19] = [
    (4, b"TFL3", "a TensorFlow Lite model"),
    (0, b"PK\x03\x04", "a zip archive (PyTorch .pt, .npz)"),
    (0, b"\x80\x02", "a Python pickle"),
    (0, b"\x80\x03", "a Python pickle"),
    (0, b"\x80\x04", "a Python pickle"),
    (0, b"\x80\x05", "a Python pickle"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"BZh", "a bzip2 archive"),
    (0, b"\xfd7zXZ\0", "an xz archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"ftrt", "a TensorRT engine"),
    (0, b"ptrt", "a TensorRT engine"),
    (0, b"GGUF", "a GGUF model"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"\x7fELF", "a program or shared library"),
    (
        0,
        b"version https://git-lfs",
        "a Git LFS pointer (run `git lfs pull`)",
    ),
    (0, b"%PDF", "a PDF document"),
];

/// Refuses by name what other programs write.
pub(super) fn foreign(head: &[u8]) -> Option<ImportProblem> {
    if head.starts_with(b"\x89HDF\r\n\x1a\n") {
        return Some(ImportProblem::Keras("an HDF5 file (Keras .h5)"));
    }
    if head.starts_with(b"PK\x03\x04") && is_keras_archive(head) {
        return Some(ImportProblem::Keras("a Keras archive (.keras)"));
    }
    let known = SIGNATURES.iter().find(|(offset, signature, _)| {
        head.get(*offset..)
            .is_some_and(|rest| rest.starts_with(signature))
    });
    if let Some((_, _, what)) = known {
        return Some(ImportProblem::Foreign(what));
    }
    if let [
        0x08,
        0x03..=0x20,
        0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42,
        ..,
    ] = head
    {
        return Some(ImportProblem::Foreign("an ONNX model"));
    }
    let is_markup = text_start(head)?.starts_with('<');
    is_markup.then_some(ImportProblem::Foreign("an HTML or XML document"))
}

/// Is the archive's first file one that Keras puts there?
fn is_keras_archive(head: &[u8]) -> bool {
    const NAME_AT: usize = 30;
    let name = head.get(NAME_AT..).unwrap_or_default();
    let files = ["metadata.json", "config.json", "model.weights.h5"];
    files.iter().any(|file| name.starts_with(file.as_bytes()))
}

/// Does the head start as a SavedModel's, binary or text?
pub(super) fn starts_with_saved_model(head: &[u8]) -> bool {
    let is_text = |start: &str| {
        start.starts_with("saved_model_schema_version") || start.starts_with("meta_graphs")
    };
    head.starts_with(&[0x08, 0x01, 0x12]) || text_start(head).is_some_and(is_text)
}

/// Does the head start as the text of a MetaGraphDef?
pub(super) fn starts_with_meta_graph_text(head: &[u8]) -> bool {
    let fields = [
        "meta_info_def",
        "graph_def",
        "saver_def",
        "collection_def",
        "signature_def",
    ];
    text_start(head).is_some_and(|start| fields.iter().any(|field| start.starts_with(field)))
}

/// The text from its first character that is neither space nor comment, where `head` is text.
pub(super) fn text_start(head: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(head.get(..error.valid_up_to())?).ok()?
        }
        Err(_) => return None,
    };
    if text
        .chars()
        .any(|char| char.is_control() && !char.is_whitespace())
    {
        return None;
    }
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text).trim_start();
    while rest.starts_with('#') {
        rest = rest
            .split_once('\n')
            .map_or("", |(_, after)| after)
            .trim_start();
    }
    Some(rest)
}

/// Does the text start with a field: a name and a value?
pub(super) fn starts_with_text_field(head: &[u8]) -> bool {
    text_start(head).is_some_and(|start| {
        let value =
            start.trim_start_matches(|char: char| char.is_ascii_alphanumeric() || char == '_');
        value.len() < start.len() && value.trim_start().starts_with(['{', '<', ':'])
    })
}

/// Does the head start with a field of `GraphDef`, and where that is a node, with one of
/// `NodeDef` inside?
pub(super) fn starts_with_graph_field(head: &[u8]) -> bool {
    let mut rest = head;
    match decode_key(&mut rest) {
        Ok((1, WireType::LengthDelimited)) => {
            decode_varint(&mut rest).is_ok()
                && (rest.is_empty()
                    || matches!(
                        decode_key(&mut rest),
                        Ok((1..=7, WireType::LengthDelimited))
                    ))
        }
        Ok((2 | 4 | 5, WireType::LengthDelimited)) => decode_varint(&mut rest).is_ok(),
        Ok((3, WireType::Varint)) => decode_varint(&mut rest).is_ok(),
        _ => false,
    }
}

/// The first bytes for an error message: as text where they are text, else in hexadecimal.
pub(super) fn first_bytes(head: &[u8]) -> String {
    match text_start(head) {
        Some(text) => format!("{:?}", text.chars().take(24).collect::<String>()),
        None => {
            let bytes: Vec<String> = head
                .iter()
                .take(8)
                .map(|byte| format!("{byte:02x}"))
                .collect();
            format!("bytes {}", bytes.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_text_from_binary() {
        for (head, text, graph) in [
            (&b"# made by hand\n\nnode {"[..], true, false),
            (b"\xef\xbb\xbfversions: {", true, false),
            (b"library\n<", true, false),
            (b"{\"node\": 1}", false, false),
            (b"lorem ipsum", false, false),
            (b"\x0a\x06\x0a\x01a\x12\x01b", false, true),
            (b"\x22\x03\x08\xb8\x03", false, true),
            (b"\x18\x1b\x0a", false, true),
            (b"\x0a\x06\xff\xff", false, false),
            (b"\0\0\0\0", false, false),
            (b"", false, false),
        ] {
            assert_eq!(starts_with_text_field(head), text, "{head:?}");
            assert_eq!(starts_with_graph_field(head), graph, "{head:?}");
        }
    }

    #[test]
    fn a_head_may_end_inside_a_character() {
        assert!(starts_with_text_field(
            "node { name: 'é".as_bytes().split_last().unwrap().1
        ));
        assert!(text_start(b"node {\xff}").is_none());
    }
}
