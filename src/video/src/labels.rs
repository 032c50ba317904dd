use std::fmt;

use tfjet_core::Decoder;

/// Names of classes, looked up by the class id that a model gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    names: Vec<String>,
    offset: i32,
}

impl Labels {
    /// `names[id - offset]` names class `id`; the offset is the decoder's.
    pub fn new(names: Vec<String>, decoder: &Decoder) -> Self {
        let offset = match decoder {
            Decoder::DetectSsd { class_offset, .. } => *class_offset,
            _ => 0,
        };
        Self { names, offset }
    }

    /// The name of class `id`, where it has one.
    pub fn get(&self, id: i32) -> Option<&str> {
        let index = id.checked_sub(self.offset)?;
        let name = self.names.get(usize::try_from(index).ok()?)?;
        (!name.is_empty()).then_some(name)
    }

    /// The name of class `id`, or the id itself where it has none.
    pub fn display(&self, id: i32) -> impl fmt::Display + '_ {
        fmt::from_fn(move |f| match self.get(id) {
            Some(name) => f.write_str(name),
            None => write!(f, "{id}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unnamed_classes_show_their_id() {
        let names = vec!["person".to_owned(), String::new()];
        let mut labels = Labels::new(names, &Decoder::Raw);
        for (id, expected) in [
            (0, "person"),
            (1, "1"),
            (2, "2"),
            (-1, "-1"),
            (i32::MIN, "-2147483648"),
        ] {
            assert_eq!(labels.display(id).to_string(), expected);
        }
        labels.offset = 1;
        assert_eq!(labels.get(1), Some("person"));
        assert_eq!(labels.get(i32::MIN), None);
    }
}
