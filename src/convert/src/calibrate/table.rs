use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::str::FromStr;

use super::CalibrateError;

/// Ranges of a model's tensors, as a file that moves between machines.
///
/// The file is text: a first line with the version, then a line for each thing. Numbers are written
/// with as few digits as give the same bits again, lines are sorted, so equal tables are equal files.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// [`fingerprint`](super::fingerprint()) of the model; empty where it is not known.
    pub model: String,
    /// Name of the model.
    pub name: String,
    /// How the ranges were chosen: the text of a [`Method`](super::Method), or TensorRT's name.
    pub method: String,
    /// How many samples were run; 0 where it is not known.
    pub samples: usize,
    /// By `SEGMENT/TENSOR`, or by the tensor's name alone.
    pub tensors: BTreeMap<String, TableEntry>,
    /// By `SEGMENT/LAYER`: largest magnitude of the weights of each output channel. To be looked at:
    /// a conversion reads it from the weights.
    pub layers: BTreeMap<String, Vec<f32>>,
}

/// What is known of a tensor.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TableEntry {
    /// The largest magnitude that 8-bit numbers stand for, finite and above 0. None where all values
    /// are 0 or not finite.
    pub range: Option<f32>,
    /// Smallest finite value.
    pub min: f32,
    /// Largest finite value.
    pub max: f32,
    /// Number of finite values; 0 also where it is not known.
    pub count: u64,
    /// Values that are infinite or no number.
    pub not_finite: u64,
}

/// How the first line begins; the version follows.
const HEAD: &str = "tfjet calibration table ";
const VERSION: u32 = 1;
const NONE: &str = "none";

impl Table {
    /// The file's text.
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEAD}{VERSION}\n");
        let model = match self.model.as_str() {
            "" => NONE,
            model => model,
        };
        let mut line = |it: std::fmt::Arguments<'_>| {
            // Writing to a string does not fail.
            let _ = text.write_fmt(it);
            text.push('\n');
        };
        line(format_args!("model {}", escaped(model)));
        line(format_args!("name {}", escaped(&self.name)));
        line(format_args!("method {}", escaped(&self.method)));
        line(format_args!("samples {}", self.samples));
        line(format_args!("tensors {}", self.tensors.len()));
        line(format_args!(
            "# tensor RANGE MIN MAX COUNT NOT-FINITE SEGMENT/TENSOR"
        ));
        for (name, entry) in &self.tensors {
            let range = entry.range.map(|range| format!("{range:?}"));
            let range = range.as_deref().unwrap_or(NONE);
            let TableEntry {
                min,
                max,
                count,
                not_finite,
                ..
            } = entry;
            let name = escaped(name);
            line(format_args!(
                "tensor {range} {min:?} {max:?} {count} {not_finite} {name}"
            ));
        }
        line(format_args!("layers {}", self.layers.len()));
        line(format_args!("# layer CHANNELS MAGNITUDE... SEGMENT/LAYER"));
        for (name, magnitudes) in &self.layers {
            let numbers = magnitudes.iter().map(|number| format!(" {number:?}"));
            let numbers: String = numbers.collect();
            let name = escaped(name);
            line(format_args!("layer {}{numbers} {name}", magnitudes.len()));
        }
        text
    }

    /// Reads a table; `file` names it in errors.
    ///
    /// # Errors
    /// The first line that is not as [`Table::to_text`] writes it, comments and empty lines apart.
    pub fn from_text(text: &str, file: &str) -> Result<Self, CalibrateError> {
        let mut lines = (1..).zip(text.lines());
        let version = lines.next().and_then(|(_, line)| line.strip_prefix(HEAD));
        let Some(version) = version else {
            return Err(CalibrateError::NoTable { file: file.into() });
        };
        if version.parse() != Ok(VERSION) {
            return Err(CalibrateError::Version {
                file: file.into(),
                found: version.into(),
                known: VERSION,
            });
        }
        let mut reader = Reader::default();
        let mut last = 1;
        for (number, line) in lines {
            last = number;
            if !line.is_empty() && !line.starts_with('#') {
                let read = reader.line(line);
                read.map_err(|reason| CalibrateError::damaged(file, number, reason))?;
            }
        }
        let read = reader.finish();
        read.map_err(|reason| CalibrateError::damaged(file, last, reason))
    }
}

/// A table as far as it was read.
#[derive(Default)]
struct Reader {
    table: Table,
    /// The words of lines of which there is one.
    seen: Vec<&'static str>,
    tensors: usize,
    layers: usize,
}

/// Lines of which there is one.
const ONCE: [&str; 6] = ["model", "name", "method", "samples", "tensors", "layers"];

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if let Some(word) = ONCE.into_iter().find(|it| *it == word) {
            if self.seen.contains(&word) {
                return Err(format!("a second line `{word}`"));
            }
            self.seen.push(word);
        }
        match word {
            "model" => {
                let model = plain(rest)?;
                self.table.model = if model == NONE { String::new() } else { model };
            }
            "name" => self.table.name = plain(rest)?,
            "method" => self.table.method = plain(rest)?,
            "samples" => self.table.samples = number("a number of samples", rest)?,
            "tensors" => self.tensors = number("a number of tensors", rest)?,
            "layers" => self.layers = number("a number of layers", rest)?,
            "tensor" => {
                let (name, entry) = tensor(rest)?;
                if self.table.tensors.insert(name.clone(), entry).is_some() {
                    return Err(format!("a second line for tensor `{name}`"));
                }
            }
            "layer" => {
                let (name, magnitudes) = layer(rest)?;
                if self.table.layers.insert(name.clone(), magnitudes).is_some() {
                    return Err(format!("a second line for layer `{name}`"));
                }
            }
            _ => return Err(format!("a line begins with `{word}`")),
        }
        Ok(())
    }

    fn finish(self) -> Result<Table, String> {
        if let Some(word) = ONCE.into_iter().find(|it| !self.seen.contains(it)) {
            return Err(format!("the file ends without a line `{word}`"));
        }
        for (what, found, expected) in [
            ("tensors", self.table.tensors.len(), self.tensors),
            ("layers", self.table.layers.len(), self.layers),
        ] {
            if found != expected {
                return Err(format!("the file ends after {found} of {expected} {what}"));
            }
        }
        Ok(self.table)
    }
}

fn tensor(rest: &str) -> Result<(String, TableEntry), String> {
    let fields: Vec<&str> = rest.splitn(6, ' ').collect();
    let [range, min, max, count, not_finite, name] = fields[..] else {
        return Err("a tensor has a range, min, max, two counts and a name".into());
    };
    let name = named(name)?;
    let range = match range {
        NONE => None,
        range => match range.parse::<f32>() {
            Ok(range) if range.is_finite() && range > 0.0 => Some(range),
            _ => {
                return Err(format!(
                    "tensor `{name}`: the range `{range}` is no positive number"
                ));
            }
        },
    };
    let entry = TableEntry {
        range,
        min: finite(min)?,
        max: finite(max)?,
        count: number("a count", count)?,
        not_finite: number("a count", not_finite)?,
    };
    if entry.min > entry.max {
        return Err(format!(
            "tensor `{name}`: its smallest value {min} is above its largest {max}"
        ));
    }
    Ok((name, entry))
}

fn layer(rest: &str) -> Result<(String, Vec<f32>), String> {
    let Some((count, mut rest)) = rest.split_once(' ') else {
        return Err("a layer has a number of channels, magnitudes and a name".into());
    };
    let count: usize = number("a number of channels", count)?;
    let mut magnitudes = Vec::new();
    for _ in 0..count {
        let (first, others) = rest
            .split_once(' ')
            .ok_or("fewer magnitudes than channels, or no name")?;
        let magnitude = finite(first)?;
        if magnitude < 0.0 {
            return Err(format!("`{first}` is no magnitude"));
        }
        magnitudes.push(magnitude);
        rest = others;
    }
    Ok((named(rest)?, magnitudes))
}

fn number<T: FromStr>(what: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is not {what}"))
}

fn finite(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err(format!("`{text}` is no finite number")),
    }
}

/// A name on one line.
fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('\r', "\\r")
}

/// The name of something, which is not empty.
fn named(text: &str) -> Result<String, String> {
    match plain(text)? {
        name if name.is_empty() => Err("the name is missing".into()),
        name => Ok(name),
    }
}

fn plain(text: &str) -> Result<String, String> {
    let mut name = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        name.push(match char {
            '\\' => match chars.next() {
                Some('\\') => '\\',
                Some('n') => '\n',
                Some('r') => '\r',
                _ => {
                    return Err(format!(
                        "`{text}` has a `\\` with nothing that it stands for"
                    ));
                }
            },
            char => char,
        });
    }
    Ok(name)
}

#[cfg(test)]
mod tests;
