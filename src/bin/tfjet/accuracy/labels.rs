//! True classes of samples: from a list, or from the files' names.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context as _, bail};
use clap::Args;
use tfjet::exit::Usage;

use crate::calibration::Samples;

/// Where the true classes of samples come from, beside a list.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct LabelArgs {
    /// True classes from the files' names without ending: "*_{class}" takes what stands after an
    /// underscore
    #[arg(long, value_name = "PATTERN")]
    pub(crate) labels_from_names: Option<NamePattern>,
    /// Added to a true class given as a number (1 where the model's class 0 is the background)
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        allow_hyphen_values = true
    )]
    pub(crate) label_offset: i64,
}

/// A file's name with the class in it: `*` is any text, `{class}` the class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamePattern(Vec<Token>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Text(String),
    Any,
    Class,
}

impl FromStr for NamePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split("{class}").collect();
        let [before, after] = parts.as_slice() else {
            return Err("expected one {class} in it, as in \"*_{class}\"".into());
        };
        let mut tokens = tokens(before);
        tokens.push(Token::Class);
        tokens.extend(self::tokens(after));
        Ok(Self(tokens))
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (index, piece) in text.split('*').enumerate() {
        if index > 0 {
            tokens.push(Token::Any);
        }
        if !piece.is_empty() {
            tokens.push(Token::Text(piece.into()));
        }
    }
    tokens
}

impl NamePattern {
    /// The class in a name, where the name fits; the longest that `class` knows.
    fn class(&self, name: &str, class: &dyn Fn(&str) -> Option<usize>) -> Option<usize> {
        find(&self.0, name, class).flatten()
    }
}

/// Does `text` fit? With the class, where there is a token for it.
fn find(
    tokens: &[Token],
    text: &str,
    class: &dyn Fn(&str) -> Option<usize>,
) -> Option<Option<usize>> {
    let Some((token, rest)) = tokens.split_first() else {
        return text.is_empty().then_some(None);
    };
    let mut cuts = text
        .char_indices()
        .map(|(at, _)| at)
        .chain([text.len()])
        .map(|at| text.split_at(at));
    match token {
        Token::Text(piece) => find(rest, text.strip_prefix(piece.as_str())?, class),
        Token::Any => cuts.find_map(|(_, after)| find(rest, after, class)),
        Token::Class => {
            let mut cuts: Vec<(&str, &str)> = cuts.collect();
            cuts.reverse();
            cuts.into_iter().find_map(|(inside, after)| {
                let number = class(inside)?;
                find(rest, after, class).map(|_| Some(number))
            })
        }
    }
}

/// True classes by name of file.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    listed: BTreeMap<String, usize>,
    pattern: Option<NamePattern>,
    labels: Vec<String>,
    offset: i64,
}

impl LabelArgs {
    /// The true classes; `None` where the flags name none. `file` has a file's name and its class in
    /// each line, `flag` names it, `labels` are the model's.
    ///
    /// # Errors
    /// A file that cannot be read, a line without a name or a class, a name with two classes.
    pub(crate) fn truth(
        &self,
        (flag, file): (&str, Option<&Path>),
        labels: &[String],
    ) -> anyhow::Result<Option<Truth>> {
        let mut truth = Truth {
            listed: BTreeMap::new(),
            pattern: self.labels_from_names.clone(),
            labels: labels.to_vec(),
            offset: self.label_offset,
        };
        match (file, &truth.pattern) {
            (Some(_), Some(_)) => bail!(Usage(format!(
                "{flag} and --labels-from-names both say what is true: give one of them"
            ))),
            (None, None) if self.label_offset != 0 => bail!(Usage(format!(
                "--label-offset needs true classes: {flag} or --labels-from-names"
            ))),
            (None, None) => return Ok(None),
            (None, Some(_)) => {}
            (Some(file), None) => {
                let text =
                    std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
                truth.read(&text, file)?;
            }
        }
        Ok(Some(truth))
    }
}

impl Truth {
    fn read(&mut self, text: &str, file: &Path) -> anyhow::Result<()> {
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let at = || format!("{}:{number}", file.display());
            let cut = [',', '\t']
                .into_iter()
                .find_map(|between| line.split_once(between))
                .or_else(|| line.split_once(char::is_whitespace));
            let Some((name, class)) = cut else {
                bail!("{}: expected a file's name and its class: {line}", at());
            };
            let class = class.trim();
            let Some(class) = self.number(class) else {
                bail!(
                    "{}: `{class}` is no number and none of the model's labels",
                    at()
                );
            };
            let name = name.trim().rsplit(['/', '\\']).next().unwrap_or_default();
            if self
                .listed
                .insert(name.into(), class)
                .is_some_and(|old| old != class)
            {
                bail!("{}: `{name}` has another class above", at());
            }
        }
        if self.listed.is_empty() {
            bail!(
                "{}: no line with a file's name and its class",
                file.display()
            );
        }
        Ok(())
    }

    /// A class as a number of the model's.
    fn number(&self, text: &str) -> Option<usize> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if is_number {
            let class = text.parse::<i64>().ok()?.checked_add(self.offset)?;
            return usize::try_from(class).ok();
        }
        self.labels.iter().position(|label| label == text)
    }

    /// Does it fit the samples, and a model of so many classes?
    ///
    /// # Errors
    /// Where no file has a true class, and where one has a class that the model does not have.
    pub(crate) fn check(&self, samples: &Samples, classes: Option<usize>) -> anyhow::Result<()> {
        let folder = samples.folder().display();
        let mut any = false;
        for file in (0..samples.len()).map(|index| samples.name(index)) {
            let Some(class) = self.of(&file) else {
                continue;
            };
            any = true;
            if let Some(classes) = classes.filter(|classes| class >= *classes) {
                bail!(
                    "{folder}: {file} has the true class {class}, and the model has {classes}, from 0 \
                     on: see --label-offset"
                );
            }
        }
        match any {
            true => Ok(()),
            false => bail!(
                "{folder}: none of the files has a true class, {} for one",
                samples.name(0)
            ),
        }
    }

    /// The true class of a file; `None` where it is not known.
    pub(crate) fn of(&self, file: &str) -> Option<usize> {
        if let Some(pattern) = &self.pattern {
            let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
            return pattern.class(stem, &|text| self.number(text));
        }
        self.listed.get(file).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_name(pattern: &str, file: &str) -> Option<usize> {
        let truth = Truth {
            pattern: Some(pattern.parse().unwrap()),
            labels: vec!["tench".into(), "great white shark".into()],
            ..Truth::default()
        };
        truth.of(file)
    }

    #[test]
    fn patterns_find_the_class_in_a_name() {
        for (pattern, file, expected) in [
            ("*_{class}", "imagenet_01_559.jpg", Some(559)),
            ("imagenet_*_{class}", "imagenet_01_559.jpg", Some(559)),
            ("{class}_*", "12_34.png", Some(12)),
            ("{class}*", "123.png", Some(123)),
            ("{class}", "7.png", Some(7)),
            ("{class}-*", "tench-4.png", Some(0)),
            ("*-{class}", "4-great white shark.png", Some(1)),
            ("a*b{class}c", "a-b-b5c.png", Some(5)),
            ("*_{class}", "imagenet_cat.jpg", None),
            ("x_{class}", "imagenet_4.jpg", None),
            ("{class}_*", "1234.png", None),
        ] {
            assert_eq!(by_name(pattern, file), expected, "{pattern} {file}");
        }
        for bad in ["", "*", "{class}_{class}", "{klass}"] {
            assert!(bad.parse::<NamePattern>().is_err(), "{bad}");
        }
    }

    fn listed(text: &str, offset: i64) -> anyhow::Result<Truth> {
        let mut truth = Truth {
            labels: vec!["tench".into()],
            offset,
            ..Truth::default()
        };
        truth.read(text, Path::new("labels.txt")).map(|()| truth)
    }

    #[test]
    fn lists_have_a_name_and_a_class_in_each_line() {
        let truth = listed("# all\nval/a.jpg 4\nb c.jpg,5\n\nd.jpg\ttench\n", 1).unwrap();
        let of = |file| truth.of(file);
        assert_eq!([of("a.jpg"), of("b c.jpg")], [Some(5), Some(6)]);
        assert_eq!([of("d.jpg"), of("e.jpg")], [Some(0), None]);
        for (text, expected) in [
            ("a.jpg\n", "labels.txt:1: expected"),
            ("a.jpg 1\nb.jpg carp\n", "labels.txt:2: `carp` is no number"),
            ("a.jpg 1\na.jpg 2\n", "labels.txt:2: `a.jpg` has another"),
            ("# nothing\n", "no line"),
        ] {
            let error = listed(text, 0).unwrap_err().to_string();
            assert!(error.contains(expected), "{error} lacks {expected}");
        }
        assert_eq!(
            listed("a.jpg 0\n", -1)
                .unwrap_err()
                .to_string()
                .lines()
                .count(),
            1
        );
    }
}
