//! Keys of the file: which there are, which are unknown, and on which lines they stand.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::fields::fields_of;
use super::{Config, Engine, Problem, Sink};
use crate::Mask;

/// A key that is less alike than this is not what was meant.
const ALIKE: f64 = 0.6;

/// The keys of the whole file and of each table in it.
fn tables() -> [(&'static str, &'static [&'static str]); 3] {
    [
        ("", fields_of::<Config>()),
        ("engine", fields_of::<Engine>()),
        ("sink", fields_of::<Sink>()),
    ]
}

pub(super) fn all() -> Vec<String> {
    let tables = tables();
    let mut keys = Vec::new();
    for (table, fields) in &tables {
        let single = fields
            .iter()
            .filter(|field| !table.is_empty() || tables.iter().all(|(table, _)| table != *field));
        keys.extend(single.map(|field| path(table, field)));
    }
    keys
}

fn path(table: &str, field: &str) -> String {
    match table {
        "" => field.to_owned(),
        _ => format!("{table}.{field}"),
    }
}

/// A file's text and its keys.
pub(super) struct Table<'a> {
    text: &'a str,
    mask: Mask,
    /// Path and place of each key.
    keys: Vec<(String, Range<usize>)>,
}

impl<'a> Table<'a> {
    pub(super) fn parse(text: &'a str, mask: Mask) -> Result<Self, Vec<Problem>> {
        let mut table = Self {
            text,
            mask,
            keys: Vec::new(),
        };
        let root = DeTable::parse(text).map_err(|error| vec![table.problem(&error)])?;
        table.collect("", root.get_ref());
        table.keys.sort_by_key(|(_, place)| place.start);
        Ok(table)
    }

    fn collect(&mut self, name: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let path = path(name, key.get_ref());
            match value.get_ref() {
                // Its keys are names of classes.
                DeValue::Table(_) if path == "thresholds" => {}
                DeValue::Table(inner) => self.collect(&path, inner),
                DeValue::Array(items) => {
                    for item in items.iter().filter_map(|item| item.get_ref().as_table()) {
                        self.collect(&path, item);
                    }
                }
                _ => {}
            }
            self.keys.push((path, key.span()));
        }
    }

    /// A problem for each key that means nothing.
    pub(super) fn unknown(&self) -> Vec<Problem> {
        let tables = tables();
        let mut problems: Vec<Problem> = Vec::new();
        let mut unknown: Vec<&str> = Vec::new();
        for (path, place) in &self.keys {
            let (table, field) = path.rsplit_once('.').unwrap_or(("", path));
            let known = tables.iter().find(|(name, _)| *name == table);
            if known.is_some_and(|(_, fields)| fields.contains(&field)) {
                continue;
            }
            // One word about a table is enough.
            if unknown.contains(&table) {
                unknown.push(path);
                continue;
            }
            unknown.push(path);
            let text = match nearest_key(path) {
                Some(near) => format!("unknown key `{path}`; did you mean `{near}`?"),
                None => format!("unknown key `{path}`"),
            };
            problems.push(Problem {
                line: Some(self.line(place.start)),
                text: (self.mask)(&text),
            });
        }
        problems
    }

    /// A problem at the first place where a key stands.
    pub(super) fn at(&self, key: &str, text: String) -> Problem {
        let found = self.keys.iter().find(|(path, _)| path == key);
        Problem {
            line: found.map(|(_, place)| self.line(place.start)),
            text: format!("{key}: {text}"),
        }
    }

    /// An error of the TOML reader, whose own text would quote the line.
    pub(super) fn problem(&self, error: &toml::de::Error) -> Problem {
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        let start = error.span().map(|place| place.start);
        let key = start.and_then(|start| {
            let before = self.keys.iter().rev();
            before
                .into_iter()
                .find(|(_, key)| key.start <= start && self.line(key.start) == self.line(start))
        });
        let text = match key {
            Some((key, _)) => format!("{key}: {message}"),
            None => message,
        };
        Problem {
            line: start
                .filter(|_| !text.starts_with("missing field"))
                .map(|start| self.line(start)),
            text: (self.mask)(&text),
        }
    }

    fn line(&self, place: usize) -> usize {
        let before = self.text.as_bytes().get(..place).unwrap_or_default();
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }
}

/// The key most like this one, where one is alike: by its whole path, or by its last part where
/// it only stands in the wrong table.
fn nearest_key(path: &str) -> Option<String> {
    let named = tables().map(|(table, _)| table.to_owned());
    let named = named.into_iter().filter(|table| !table.is_empty());
    let known: Vec<String> = all().into_iter().chain(named).collect();
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let likeness = |known: &str| likeness(path, known).max(likeness(&last(path), &last(known)));
    best(known.iter().map(|key| (likeness(key), key.as_str()))).map(str::to_owned)
}

/// The name most like this one, where one is alike.
pub fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    best(known.into_iter().map(|name| (likeness(text, name), name)))
}

/// 1 for the same, less with each letter that was mistyped, left out or swapped with the next.
fn likeness(a: &str, b: &str) -> f64 {
    strsim::normalized_damerau_levenshtein(a, b)
}

fn best<'a>(known: impl Iterator<Item = (f64, &'a str)>) -> Option<&'a str> {
    let (likeness, name) = known.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (likeness >= ALIKE).then_some(name)
}
