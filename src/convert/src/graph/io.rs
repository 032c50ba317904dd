use std::str::FromStr;

use tfjet_core::{Dim, Shape};

/// `--input NAME[:PORT][=1x224x224x3]`: a wire to feed, `?` for an unknown dim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputRequest {
    /// Node name.
    pub node: String,
    /// Output of the node.
    pub port: u32,
    /// Shape, where given. Unknown dims are symbols named `?`.
    pub shape: Option<Shape>,
}

/// `--output NAME[:PORT]`: a wire to return.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputRequest {
    /// Node name.
    pub node: String,
    /// Output of the node.
    pub port: u32,
}

/// A name or shape that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The text before `=` is no `NAME[:PORT]`.
    #[error("`{0}` is not NAME or NAME:PORT")]
    Name(String),
    /// The text after `=` is no shape.
    #[error("`{0}` is not a shape such as 1x224x224x3 or ?x224x224x3")]
    Shape(String),
}

fn name_and_port(text: &str) -> Result<(String, u32), RequestError> {
    let error = || RequestError::Name(text.into());
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) => (name, port.parse().map_err(|_| error())?),
        None => (text, 0),
    };
    if name.is_empty() || name.starts_with('^') {
        return Err(error());
    }
    Ok((name.into(), port))
}

impl FromStr for InputRequest {
    type Err = RequestError;

    fn from_str(text: &str) -> Result<Self, RequestError> {
        let (name, shape) = match text.split_once('=') {
            Some((name, shape)) => (name, Some(shape)),
            None => (text, None),
        };
        let (node, port) = name_and_port(name)?;
        let shape = shape
            .map(|text| {
                if text.is_empty() {
                    return Ok(Shape::default());
                }
                text.split(['x', ','])
                    .map(|dim| match dim {
                        "?" | "-1" => Ok(Dim::Symbolic("?".into())),
                        _ => dim.parse().map(Dim::Fixed),
                    })
                    .collect::<Result<_, _>>()
                    .map(Shape)
                    .map_err(|_| RequestError::Shape(text.into()))
            })
            .transpose()?;
        Ok(Self { node, port, shape })
    }
}

impl FromStr for OutputRequest {
    type Err = RequestError;

    fn from_str(text: &str) -> Result<Self, RequestError> {
        let (node, port) = name_and_port(text)?;
        Ok(Self { node, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_ports_and_shapes() {
        let request: InputRequest = "a/b:2=?x224x3".parse().unwrap();
        assert_eq!(request.node, "a/b");
        assert_eq!(request.port, 2);
        assert_eq!(request.shape.unwrap().to_string(), "[?,224,3]");
        let scalar: InputRequest = "keep_prob=".parse().unwrap();
        assert_eq!(scalar.shape, Some(Shape::default()));
        for bad in ["", ":1", "a:b", "^a"] {
            assert!(bad.parse::<OutputRequest>().is_err(), "{bad}");
        }
        for bad in ["a=1xx3", "a=1x-2", "a=1x2x"] {
            assert!(bad.parse::<InputRequest>().is_err(), "{bad}");
        }
    }
}
