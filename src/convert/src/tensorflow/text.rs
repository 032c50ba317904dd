use std::path::Path;

use prost::Name;
use prost_reflect::DynamicMessage;
use prost_reflect::text_format::ParseError;

use super::error::{ImportError, ImportProblem};
use super::frozen::import_graph;
use super::proto::{GraphDef, descriptor_of};
use super::{Format, ImportOptions, Importer, SourceGraph, read_file, sniff};

/// Reads a `GraphDef` in protobuf's text format.
#[derive(Debug, Clone, Copy, Default)]
pub struct TextGraphImporter;

impl Importer for TextGraphImporter {
    fn format(&self) -> Format {
        Format::TextGraph
    }

    fn matches(&self, _path: &Path, head: &[u8]) -> bool {
        sniff::starts_with_text_field(head)
    }

    fn import(&self, path: &Path, options: &ImportOptions) -> Result<SourceGraph, ImportError> {
        read_file(path)
            .and_then(|bytes| graph_def(&bytes))
            .and_then(|graph| import_graph(graph, Format::TextGraph, options))
            .map_err(|problem| problem.at(path))
    }
}

/// The `GraphDef` that the text is.
pub(super) fn graph_def(bytes: &[u8]) -> Result<GraphDef, ImportProblem> {
    let message = message(bytes, &GraphDef::full_name())?;
    message
        .transcode_to()
        .map_err(|error| at(bytes, 0, error.to_string()))
}

/// The message of type `name` that the text is.
pub(super) fn message(bytes: &[u8], name: &str) -> Result<DynamicMessage, ImportProblem> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| at(bytes, error.valid_up_to(), "not UTF-8 text".into()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    check_nesting(text.as_bytes())?;
    let descriptor = descriptor_of(name).map_err(|cause| at(text.as_bytes(), 0, cause))?;
    DynamicMessage::parse_text_format(descriptor, text)
        .map_err(|error| at(text.as_bytes(), offset(&error, text), error.to_string()))
}

/// Where the parser stopped; an error without a place is the unexpected end of the text.
fn offset(error: &ParseError, text: &str) -> usize {
    miette::Diagnostic::labels(error)
        .and_then(|mut labels| labels.next())
        .map_or(text.len(), |label| label.offset())
}

fn at(text: &[u8], offset: usize, cause: String) -> ImportProblem {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.split(|&byte| byte == b'\n').count();
    let start = before
        .rsplit(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default();
    ImportProblem::Text {
        line,
        column: String::from_utf8_lossy(start).chars().count() + 1,
        cause,
    }
}

/// Refuses what would exhaust the parser's stack.
fn check_nesting(text: &[u8]) -> Result<(), ImportProblem> {
    const MAX_DEPTH: usize = 100;
    let mut depth = 0usize;
    let mut bytes = text.iter().enumerate();
    while let Some((offset, byte)) = bytes.next() {
        match byte {
            b'{' | b'<' => depth += 1,
            b'}' | b'>' => depth = depth.saturating_sub(1),
            b'#' => {
                bytes.find(|(_, byte)| **byte == b'\n');
            }
            quote @ (b'"' | b'\'') => {
                while let Some((_, byte)) = bytes.next() {
                    match byte {
                        b'\\' => {
                            bytes.next();
                        }
                        byte if byte == quote => break,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        if depth > MAX_DEPTH {
            let cause = format!("nested deeper than {MAX_DEPTH} levels");
            return Err(at(text, offset, cause));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tfjet_core::{AttrValue, DType, Tensor};

    use super::*;

    fn parse(text: &[u8]) -> Result<SourceGraph, ImportProblem> {
        import_graph(
            graph_def(text)?,
            Format::TextGraph,
            &ImportOptions::default(),
        )
    }

    const GRAPH: &str = r#"# A comment { with " marks
node {
  name: "x" op: 'Placeholder'
  attr { key: "dtype" value { type: DT_FLOAT } }
  attr { key: "shape" value { shape { dim { size: -1 } dim { size: 3 } } } }
  experimental_type { type_id: TFT_PRODUCT args { type_id: TFT_TENSOR } }
}
node < name: "c" op: "Const" device: "/cpu:0"
  attr { key: "value" value { tensor { dtype: DT_FLOAT tensor_shape { dim { size: 2 } }
    tensor_content: "\000\000\200?\000" "\000\000@" } } }
>
node { name: "y" op: "Add" input: ["x", "c:0", "^c"] }
library { function { signature { name: "f" } } }
versions { producer: 987 }
"#;

    #[test]
    fn reads_nodes_attributes_and_versions() {
        let graph = parse(GRAPH.as_bytes()).unwrap();
        assert_eq!((graph.producer, graph.format), (987, Format::TextGraph));
        let [x, c, y] = &graph.nodes[..] else {
            panic!("{:?}", graph.nodes);
        };
        assert_eq!(
            x.attrs.get("dtype"),
            Some(&AttrValue::Type(Some(DType::F32)))
        );
        let value = Tensor::from_slice(&[2], &[1.0f32, 2.0]).unwrap();
        assert_eq!(c.attrs.get("value"), Some(&AttrValue::Tensor(value)));
        assert_eq!(c.device, "/cpu:0");
        assert_eq!(y.inputs, ["x", "c:0", "^c"]);
    }

    #[test]
    fn errors_give_line_and_column() {
        for (text, expected) in [
            (
                "node {\n  nam: \"x\"\n}",
                "line 2, column 3: field 'nam' not found for message 'tensorflow.NodeDef'",
            ),
            (
                "node {\n  name: 7\n}",
                "line 2, column 9: expected a string, but found '7'",
            ),
            (
                "node {\n  name: \"x\"\n",
                "line 3, column 1: expected '}' or a field name, but reached end of input",
            ),
            ("node { name: \"é\" @", "line 1, column 18: invalid token"),
            (
                "node { attr { value { type: DT_NEW } } }",
                "line 1, column 29: value 'DT_NEW' was not found for enum 'tensorflow.DataType'",
            ),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap_err().to_string(), expected);
        }
        let error = parse(b"node {\n name: \"\xff\" }").unwrap_err();
        assert_eq!(error.to_string(), "line 2, column 9: not UTF-8 text");
    }

    #[test]
    fn deep_nesting_is_refused() {
        let nested = |levels: usize| {
            let types = "args { ".repeat(levels) + &"} ".repeat(levels);
            format!("node {{ name: 'a' op: 'b' experimental_type {{ {types} }} }}")
        };
        assert!(parse(nested(90).as_bytes()).is_ok());
        assert!(parse(nested(99).as_bytes()).is_err());
        for open in [
            "node { experimental_type { args {",
            "node<experimental_type<args<",
        ] {
            let text = open.to_owned() + &" args {".repeat(1_000_000);
            let error = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.ends_with("nested deeper than 100 levels"), "{error}");
        }
    }
}
