//! What a configuration makes of a bundle's decoder and labels, and of a source.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use tfjet::core::{Decoder, Manifest};
use tfjet::exit::Usage;
use tfjet::video::{Found, Labels, Results, RetryOptions, SourceOptions, SupervisedSource};
use tfjet_service::config::Config;

/// Longest file of labels.
const MAX_LABELS: u64 = 4 << 20;

/// What SIGHUP may change.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    pub(crate) decoder: Decoder,
    pub(crate) labels: Labels,
    /// The score that a class needs which has none of its own.
    lowest: f32,
    /// The scores that single classes need, by their ids.
    scores: BTreeMap<i32, f32>,
    /// The only classes that are reported; all where there is none.
    only: Option<Vec<i32>>,
}

impl Settings {
    /// Reads the labels, and finds the classes that the configuration names among them.
    pub(crate) fn new(config: &Config, manifest: &Manifest) -> anyhow::Result<Self> {
        let names = match &config.labels {
            Some(path) => read_labels(path)?,
            None => manifest.labels.clone(),
        };
        let mut decoder = manifest.decoder.clone();
        let named = config.threshold.is_some()
            || !config.thresholds.is_empty()
            || !config.classes.is_empty();
        if named && decoder == Decoder::Raw {
            bail!(Usage(
                "threshold, thresholds and classes mean nothing for a bundle without a decoder: \
                 convert it with --decoder"
                    .into()
            ));
        }
        let labels = Labels::new(names.clone(), &decoder);
        let ids = |key: &str, class: &String| ids(&names, &decoder, key, class);
        let mut scores = BTreeMap::new();
        for (class, score) in &config.thresholds {
            for id in ids("thresholds", class)? {
                scores.insert(id, *score);
            }
        }
        let only = config.classes.iter().map(|class| ids("classes", class));
        let only: Vec<i32> = only
            .collect::<anyhow::Result<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect();
        let own = match &decoder {
            Decoder::DetectSsd { threshold, .. } | Decoder::DetectRows { threshold, .. } => {
                *threshold
            }
            _ => 0.0,
        };
        let lowest = config.threshold.unwrap_or(own);
        // The decoder keeps what any class may need.
        let least = scores.values().copied().fold(lowest, f32::min);
        if let Decoder::DetectSsd { threshold, .. } | Decoder::DetectRows { threshold, .. } =
            &mut decoder
        {
            *threshold = least;
        }
        Ok(Self {
            decoder,
            labels,
            lowest,
            scores,
            only: (!only.is_empty()).then_some(only),
        })
    }

    /// Takes out what is not to be reported.
    pub(super) fn filter(&self, results: &mut Results) {
        match &mut results.found {
            Found::Detections(found) => found.retain(|it| self.keeps(it.class, it.score)),
            Found::Classes(found) => found.retain(|it| self.keeps(it.class, it.score)),
            _ => {}
        }
    }

    fn keeps(&self, class: i32, score: f32) -> bool {
        let needed = self.scores.get(&class).copied().unwrap_or(self.lowest);
        score >= needed && self.only.as_ref().is_none_or(|only| only.contains(&class))
    }
}

fn read_labels(path: &Path) -> anyhow::Result<Vec<String>> {
    let place = || format!("labels: {}", path.display());
    let len = fs::metadata(path).with_context(place)?.len();
    if len > MAX_LABELS {
        bail!("{}: {len} bytes are too many", place());
    }
    let text = fs::read_to_string(path).with_context(place)?;
    Ok(text.lines().map(|line| line.trim().to_owned()).collect())
}

/// The ids of the class of this name, or the id that the text is.
fn ids(names: &[String], decoder: &Decoder, key: &str, class: &str) -> anyhow::Result<Vec<i32>> {
    let offset = match decoder {
        Decoder::DetectSsd { class_offset, .. } => *class_offset,
        _ => 0,
    };
    let same = (0..).zip(names).filter(|(_, name)| *name == class);
    let found: Vec<i32> = same
        .filter_map(|(index, _)| offset.checked_add(index))
        .collect();
    if !found.is_empty() {
        return Ok(found);
    }
    if let Ok(id) = class.parse() {
        return Ok(vec![id]);
    }
    let near = tfjet_service::config::nearest(class, names.iter().map(String::as_str));
    let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    bail!(Usage(format!("{key}: no class is called `{class}`{near}")))
}

/// Begins to open the source of a configuration.
pub(super) fn frame_source(config: &Config) -> anyhow::Result<SupervisedSource> {
    let retry = RetryOptions {
        first: config.retry_first.0,
        most: config.retry_most.0,
        // The frame loop gives up, by the clock that feeds the watchdog.
        give_up_after: None,
    };
    Ok(SupervisedSource::open(&source_options(config), &retry)?)
}

/// Can the source be opened, as far as can be told without opening a camera or a connection?
pub(crate) fn check_source(config: &Config) -> anyhow::Result<()> {
    Ok(source_options(config).check()?)
}

fn source_options(config: &Config) -> SourceOptions {
    SourceOptions {
        timeout: config.frame_timeout.0,
        repeat: config.looped,
        ..SourceOptions::new(config.source.clone())
    }
}

#[cfg(test)]
mod tests {
    use tfjet::core::{BoxColumns, Summary};
    use tfjet::exit::{BAD_INPUT, USAGE};
    use tfjet::video::{Class, Classes, Detection, Detections};

    use super::*;

    fn manifest(decoder: Decoder) -> Manifest {
        Manifest {
            model: "m".into(),
            tfjet_version: String::new(),
            target: String::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            preprocess: None,
            decoder,
            labels: ["cat", "dog", "cat"].map(str::to_owned).to_vec(),
            summary: Summary::default(),
        }
    }

    fn rows() -> Decoder {
        Decoder::DetectRows {
            output: 0,
            columns: BoxColumns {
                x1: 0,
                y1: 1,
                x2: 2,
                y2: 3,
                score: 4,
                class: 5,
            },
            normalized: false,
            threshold: 0.25,
        }
    }

    fn settings(text: &str, decoder: Decoder) -> anyhow::Result<Settings> {
        let text = format!("bundle = \"a\"\nsource = \"b\"\n{text}");
        let config = Config::parse(&text, str::to_owned).unwrap();
        Settings::new(&config, &manifest(decoder))
    }

    fn kept(settings: &Settings, scores: &[(i32, f32)]) -> Vec<(i32, f32)> {
        let detections = scores.iter().map(|(class, score)| Detection {
            class: *class,
            score: *score,
            box_: [0.0; 4],
        });
        let mut results = Results {
            found: Found::Detections(detections.collect::<Detections>()),
            ..Results::default()
        };
        settings.filter(&mut results);
        let kept = results.detections().iter();
        kept.map(|it| (it.class, it.score)).collect()
    }

    #[test]
    fn each_class_has_its_own_lowest_score() {
        let found = [(0, 0.9), (1, 0.6), (0, 0.5), (2, 0.4), (1, 0.3), (7, 0.3)];
        for (text, least, expected) in [
            ("", 0.25, &found[..]),
            ("threshold = 0.5", 0.5, &[(0, 0.9), (1, 0.6), (0, 0.5)]),
            (
                "threshold = 0.5\nthresholds = { dog = 0.3, cat = 0.6 }",
                0.3,
                &[(0, 0.9), (1, 0.6), (1, 0.3)],
            ),
            ("classes = [\"dog\"]", 0.25, &[(1, 0.6), (1, 0.3)]),
            (
                "classes = [\"cat\", \"7\"]",
                0.25,
                &[(0, 0.9), (0, 0.5), (2, 0.4), (7, 0.3)],
            ),
        ] {
            let settings = settings(text, rows()).unwrap();
            assert_eq!(kept(&settings, &found), expected, "{text}");
            let Decoder::DetectRows { threshold, .. } = settings.decoder else {
                panic!("another decoder");
            };
            assert_eq!(threshold, least, "{text}");
        }
    }

    #[test]
    fn classes_of_a_classifier_are_filtered_too() {
        let decoder = Decoder::Classify {
            output: 0,
            top_k: 3,
        };
        let settings = settings("threshold = 0.2", decoder).unwrap();
        let mut results = Results {
            found: Found::Classes(Classes::from_iter(
                [0.7, 0.2, 0.1].map(|score| Class { class: 0, score }),
            )),
            ..Results::default()
        };
        settings.filter(&mut results);
        assert_eq!(results.classes().len(), 2);
    }

    #[test]
    fn an_unknown_class_is_refused_with_the_nearest_name() {
        for (text, decoder, code, expected) in [
            (
                "classes = [\"dgo\"]",
                rows(),
                USAGE,
                "classes: no class is called `dgo`; did you mean `dog`?",
            ),
            (
                "thresholds = { zebra = 0.5 }",
                rows(),
                USAGE,
                "thresholds: no class is called `zebra`",
            ),
            (
                "threshold = 0.5",
                Decoder::Raw,
                USAGE,
                "threshold, thresholds and classes mean nothing",
            ),
            (
                "labels = \"/none/labels.txt\"",
                rows(),
                BAD_INPUT,
                "labels: /none/labels.txt",
            ),
        ] {
            let error = settings(text, decoder).unwrap_err();
            let line = tfjet::exit::one_line(&error);
            assert!(line.starts_with(expected), "{line}");
            assert_eq!(tfjet::exit::code(&error), code);
        }
    }

    #[test]
    fn labels_of_a_file_take_the_place_of_the_bundle_s() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.txt");
        fs::write(&path, "bird\nfish \n").unwrap();
        let text = format!("labels = \"{}\"\nclasses = [\"fish\"]", path.display());
        let settings = settings(&text, rows()).unwrap();
        assert_eq!(settings.labels.get(1), Some("fish"));
        assert_eq!(settings.only, Some(vec![1]));
    }
}
