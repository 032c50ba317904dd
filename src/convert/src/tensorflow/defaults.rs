//! What attributes are that a file leaves out: a SavedModel is mostly written without those that
//! have their default.

use std::collections::HashMap;
use std::sync::LazyLock;

use tfjet_core::{AttrValue, Attrs};

use super::attr::dtype;
use super::proto::DataType;

/// Adds the attributes of `op` that are not there.
pub(super) fn fill(op: &str, attrs: &mut Attrs) {
    for (name, value) in DEFAULTS.get(op).into_iter().flatten() {
        if attrs.get(name).is_none() {
            attrs.insert(*name, value.clone());
        }
    }
}

static DEFAULTS: LazyLock<HashMap<&'static str, Vec<(&'static str, AttrValue)>>> =
    LazyLock::new(|| {
        include_str!("attr_defaults.txt")
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| {
                let mut words = line.split_ascii_whitespace();
                let op = words.next()?;
                Some((op, words.filter_map(attribute).collect()))
            })
            .collect()
    });

/// `name=kind:value`.
fn attribute(text: &'static str) -> Option<(&'static str, AttrValue)> {
    let (name, value) = text.split_once('=')?;
    let (kind, value) = value.split_once(':')?;
    let value = match kind {
        "s" => AttrValue::Str(value.as_bytes().to_vec()),
        "b" => AttrValue::Bool(value == "1"),
        "i" => AttrValue::Int(value.parse().ok()?),
        "f" => AttrValue::Float(value.parse().ok()?),
        "t" => AttrValue::Type(dtype(DataType::from_str_name(value)?.into())),
        "l" => {
            let numbers = value.split(',').filter(|number| !number.is_empty());
            AttrValue::Ints(
                numbers
                    .map(|number| number.parse().ok())
                    .collect::<Option<_>>()?,
            )
        }
        _ => return None,
    };
    Some((name, value))
}

#[cfg(test)]
mod tests {
    use tfjet_core::DType;

    use super::*;

    #[test]
    fn every_line_is_understood() {
        for line in include_str!("attr_defaults.txt").lines() {
            if line.starts_with('#') {
                continue;
            }
            let op = line.split(' ').next().unwrap();
            assert_eq!(DEFAULTS[op].len(), line.split(' ').count() - 1, "{line}");
        }
    }

    #[test]
    fn attributes_that_are_left_out_have_their_defaults() {
        let mut attrs = Attrs::default().with("data_format", AttrValue::Str("NCHW".into()));
        fill("FusedBatchNormV3", &mut attrs);
        for (name, expected) in [
            ("data_format", AttrValue::Str("NCHW".into())),
            ("epsilon", AttrValue::Float(1e-4)),
            ("is_training", AttrValue::Bool(true)),
        ] {
            assert_eq!(attrs.get(name), Some(&expected), "{name}");
        }
        for (op, name, expected) in [
            ("ArgMax", "output_type", AttrValue::Type(Some(DType::I64))),
            ("LeakyRelu", "alpha", AttrValue::Float(0.2)),
            ("Conv2D", "dilations", AttrValue::Ints(vec![1; 4])),
            ("Squeeze", "squeeze_dims", AttrValue::Ints(vec![])),
        ] {
            let mut attrs = Attrs::default();
            fill(op, &mut attrs);
            assert_eq!(attrs.get(name), Some(&expected), "{op}");
        }
        let mut attrs = Attrs::default();
        fill("Unheard", &mut attrs);
        assert_eq!(attrs, Attrs::default());
    }
}
