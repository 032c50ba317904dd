//! The configuration of `tfjet-run serve`: a TOML file with a key for all that can be set.

mod fields;
mod keys;
mod problem;
mod tactic_sources;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

pub use self::keys::nearest;
pub use self::problem::{ConfigError, Problem};
pub use self::tactic_sources::TacticSources;
use crate::Mask;

/// The longest time that a key can give: some three years.
const MAX_SECONDS: f64 = 1e8;

/// The file, key by key. `docs/service.md` says what each is for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The bundle that runs.
    pub bundle: PathBuf,
    /// Where frames come from, as `run --source` has it.
    pub source: String,
    /// Begin a source that ends anew?
    #[serde(default, rename = "loop")]
    pub looped: bool,
    /// After this long without a frame the source counts as lost.
    #[serde(default = "defaults::frame_timeout")]
    pub frame_timeout: Seconds,
    /// After this long without a frame the process gives up.
    #[serde(default = "defaults::source_timeout")]
    pub source_timeout: Seconds,
    /// The wait before a lost source is first opened again; it doubles from then on.
    #[serde(default = "defaults::retry_first")]
    pub retry_first: Seconds,
    /// The longest such wait.
    #[serde(default = "defaults::retry_most")]
    pub retry_most: Seconds,
    /// Build the engines first where there are none for this machine?
    #[serde(default)]
    pub prepare: bool,
    /// After this long a build is given up.
    #[serde(default = "defaults::prepare_timeout")]
    pub prepare_timeout: Seconds,
    /// A file with a class's name a line, in place of the bundle's names.
    pub labels: Option<PathBuf>,
    /// Lowest score of what is reported, in place of the bundle's.
    pub threshold: Option<f32>,
    /// Lowest scores of single classes.
    #[serde(default)]
    pub thresholds: std::collections::BTreeMap<String, f32>,
    /// The classes that are reported; all where it is empty.
    #[serde(default)]
    pub classes: Vec<String>,
    /// Where `/metrics` and `/healthz` are.
    pub metrics: Option<SocketAddr>,
    /// What is logged.
    #[serde(default = "defaults::log")]
    pub log: String,
    /// What segments run on.
    #[serde(default)]
    pub engine: Engine,
    /// Where results go.
    #[serde(default, rename = "sink")]
    pub sinks: Vec<Sink>,
}

/// `[engine]`: flags of `run` that choose where segments run, and those of `prepare` that say how
/// their engines are built.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engine {
    /// `--device`.
    pub device: Option<Device>,
    /// `--gpu`.
    #[serde(default)]
    pub gpu: u32,
    /// `--precision`.
    pub precision: Option<Precision>,
    /// `--tensorrt`.
    pub tensorrt: Option<PathBuf>,
    /// `--onnxruntime`.
    pub onnxruntime: Option<PathBuf>,
    /// `--cache`.
    pub cache: Option<PathBuf>,
    /// `--threads`.
    #[serde(default)]
    pub threads: u16,
    /// `--dynamic`.
    pub dynamic: Option<Dynamic>,
    /// `--dynamic-capacity`.
    pub dynamic_capacity: Option<u32>,
    /// `--max-memory`, in MiB.
    pub max_memory: Option<u32>,
    /// `--workspace`, in MiB.
    pub workspace: Option<u32>,
    /// `--tactic-sources`.
    pub tactic_sources: Option<TacticSources>,
    /// `--dla-core`.
    pub dla_core: Option<u32>,
}

impl Engine {
    /// The keys that say how engines are built, as far as they are there.
    pub fn of_builds(&self) -> impl Iterator<Item = &'static str> {
        [
            ("engine.workspace", self.workspace.is_some()),
            ("engine.tactic_sources", self.tactic_sources.is_some()),
            ("engine.dla_core", self.dla_core.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, given)| given.then_some(key))
    }
}

/// Makes an enumeration whose values are spelt as flags of `run` spell them.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// As the flag spells it.
            pub fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

choice! {
    /// `engine.device`.
    Device {
        /// The GPU where it can be used, else the CPU.
        Auto = "auto",
        /// The GPU or an error.
        Gpu = "gpu",
        /// ONNX Runtime.
        Cpu = "cpu",
    }
}

choice! {
    /// `engine.precision`.
    Precision {
        /// 32 bits.
        Fp32 = "fp32",
        /// 16 bits.
        Fp16 = "fp16",
        /// 8 bits, where the bundle has ranges.
        Int8 = "int8",
    }
}

choice! {
    /// `engine.dynamic`.
    Dynamic {
        /// Only shapes that engines were prepared for.
        Off = "off",
        /// A new shape waits for its engine.
        Block = "block",
        /// A new shape runs on the CPU until its engine is there.
        Fallback = "fallback",
        /// A new shape runs on the CPU.
        NeverBuild = "never-build",
    }
}

/// `[[sink]]`: a place that results go to.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sink {
    /// As `run --sink` has it; `{time}` in it becomes the time at which the file is begun.
    pub to: String,
    /// A new file is begun this often.
    pub every: Option<Seconds>,
}

/// What stands for the time in [`Sink::to`].
pub const TIME: &str = "{time}";

/// A time, in the file a number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub Duration);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        if !(seconds > 0.0 && seconds <= MAX_SECONDS) {
            let text = format!("{seconds} is not a number of seconds above 0 and up to 1e8");
            return Err(de::Error::custom(text));
        }
        Ok(Self(Duration::from_secs_f64(seconds)))
    }
}

mod defaults {
    use std::time::Duration;

    use super::Seconds;

    pub(super) fn frame_timeout() -> Seconds {
        Seconds(Duration::from_secs(5))
    }

    pub(super) fn source_timeout() -> Seconds {
        Seconds(Duration::from_secs(300))
    }

    pub(super) fn retry_first() -> Seconds {
        Seconds(Duration::from_millis(500))
    }

    pub(super) fn retry_most() -> Seconds {
        Seconds(Duration::from_secs(10))
    }

    pub(super) fn prepare_timeout() -> Seconds {
        Seconds(Duration::from_secs(3600))
    }

    pub(super) fn log() -> String {
        "info".into()
    }
}

impl Config {
    /// Reads and checks a file. Values are masked in what errors say.
    ///
    /// # Errors
    /// All that is wrong with it: it cannot be read, is no TOML, has an unknown key, lacks one, or
    /// has a value that cannot be.
    pub fn read(path: &Path, mask: Mask) -> Result<Self, ConfigError> {
        let fail = |problems| ConfigError {
            file: path.to_owned(),
            problems,
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| fail(vec![Problem::of_file(error.to_string())]))?;
        Self::parse(&text, mask).map_err(fail)
    }

    /// Reads and checks a file's text.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(text: &str, mask: Mask) -> Result<Self, Vec<Problem>> {
        let table = keys::Table::parse(text, mask)?;
        let unknown = table.unknown();
        if !unknown.is_empty() {
            return Err(unknown);
        }
        let config: Self = toml::from_str(text).map_err(|error| vec![table.problem(&error)])?;
        let mut problems: Vec<Problem> = config
            .wrong()
            .into_iter()
            .map(|(key, text)| table.at(key, mask(&text)))
            .collect();
        problems.sort_by_key(|problem| problem.line);
        match problems.is_empty() {
            true => Ok(config),
            false => Err(problems),
        }
    }

    /// Every key, as `engine.device`; those of a list of tables as `sink.to`.
    pub fn keys() -> Vec<String> {
        keys::all()
    }

    /// Keys whose values differ from those of `new` and that take effect only at the next start.
    pub fn needs_restart(&self, new: &Self) -> Vec<&'static str> {
        // All fields, so that none is forgotten.
        let Self {
            bundle,
            source,
            looped,
            frame_timeout,
            source_timeout,
            retry_first,
            retry_most,
            prepare,
            prepare_timeout,
            labels: _,
            threshold: _,
            thresholds: _,
            classes: _,
            metrics,
            log: _,
            engine,
            sinks,
        } = new;
        let changed = [
            ("bundle", *bundle != self.bundle),
            ("source", *source != self.source),
            ("loop", *looped != self.looped),
            ("frame_timeout", *frame_timeout != self.frame_timeout),
            ("source_timeout", *source_timeout != self.source_timeout),
            ("retry_first", *retry_first != self.retry_first),
            ("retry_most", *retry_most != self.retry_most),
            ("prepare", *prepare != self.prepare),
            ("prepare_timeout", *prepare_timeout != self.prepare_timeout),
            ("metrics", *metrics != self.metrics),
            ("engine", *engine != self.engine),
            ("sink", *sinks != self.sinks),
        ];
        let changed = changed.into_iter().filter(|(_, changed)| *changed);
        changed.map(|(key, _)| key).collect()
    }

    /// Takes from `new` what a running service can change.
    pub fn take_reloadable(&mut self, new: &Self) {
        self.labels.clone_from(&new.labels);
        self.threshold = new.threshold;
        self.thresholds.clone_from(&new.thresholds);
        self.classes.clone_from(&new.classes);
        self.log.clone_from(&new.log);
    }

    /// What the types let pass and yet cannot be, with the key that it is about.
    fn wrong(&self) -> Vec<(&'static str, String)> {
        let mut wrong = Vec::new();
        let mut check = |good: bool, key, text: String| {
            if !good {
                wrong.push((key, text));
            }
        };
        if let Some(address) = self.metrics {
            let text = format!(
                "{address} can be reached from outside; give a loopback address, as \
                 127.0.0.1:9464"
            );
            check(address.ip().is_loopback(), "metrics", text);
        }
        let scores = self
            .thresholds
            .iter()
            .map(|(class, score)| (Some(class), *score));
        for (class, score) in self
            .threshold
            .map(|score| (None, score))
            .into_iter()
            .chain(scores)
        {
            let key = if class.is_some() {
                "thresholds"
            } else {
                "threshold"
            };
            let of = class.map_or_else(String::new, |class| format!(" of `{class}`"));
            let text = format!("the score{of} is {score}, expected 0 to 1");
            check((0.0..=1.0).contains(&score), key, text);
        }
        check(
            self.retry_first <= self.retry_most,
            "retry_most",
            "it is shorter than retry_first".into(),
        );
        check(
            self.frame_timeout < self.source_timeout,
            "source_timeout",
            "it is not longer than frame_timeout".into(),
        );
        if let Err(error) = crate::log::check_filter(&self.log) {
            check(false, "log", format!("`{}`: {error}", self.log));
        }
        check(
            self.engine.threads <= 256,
            "engine.threads",
            "it is above 256".into(),
        );
        check(
            (self.engine.dynamic_capacity).is_none_or(|capacity| (1..=64).contains(&capacity)),
            "engine.dynamic_capacity",
            "it is not from 1 to 64".into(),
        );
        check(
            self.engine.dynamic_capacity.is_none()
                || !matches!(self.engine.dynamic, None | Some(Dynamic::Off)),
            "engine.dynamic_capacity",
            "it means nothing without engine.dynamic".into(),
        );
        check(
            self.engine.max_memory != Some(0),
            "engine.max_memory",
            "it is 0".into(),
        );
        check(
            self.engine.workspace != Some(0),
            "engine.workspace",
            "it is 0".into(),
        );
        for key in self.engine.of_builds() {
            check(
                self.prepare || !matches!(self.engine.dynamic, None | Some(Dynamic::Off)),
                key,
                "it means nothing without prepare = true or engine.dynamic".into(),
            );
        }
        for sink in &self.sinks {
            let text = format!(
                "`{}` has no {TIME}, so every file would replace the last",
                sink.to
            );
            check(
                sink.every.is_none() || sink.to.contains(TIME),
                "sink.every",
                text,
            );
        }
        wrong
    }
}

#[cfg(test)]
mod tests;
