//! What `prepare` did.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Context as _;
use serde::Serialize;
use tfjet::profiles::range_text;
use tfjet::shapes::Profile;

/// Where an engine comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Built,
    Cached,
    Bundle,
}

#[derive(Debug, Serialize)]
pub(super) struct SegmentReport {
    pub(super) segment: u32,
    pub(super) name: String,
    pub(super) status: Status,
    /// How long the build took, also where it was an earlier one.
    pub(super) seconds: f32,
    pub(super) len_bytes: usize,
    pub(super) profiles: Vec<Profile>,
    pub(super) file: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) bundle: String,
    pub(super) library: String,
    pub(super) machine: String,
    pub(super) precision: &'static str,
    pub(super) flags: String,
    /// Which of the bundle's targets it is and why, where the bundle is for several.
    pub(super) target: Option<String>,
    pub(super) cache: String,
    /// Where the bundle with engines was written.
    pub(super) written: Option<String>,
    /// Sizes that no flag gave.
    pub(super) assumed: Vec<String>,
    pub(super) segments: Vec<SegmentReport>,
}

impl Report {
    pub(super) fn print(&self, json: bool) -> anyhow::Result<()> {
        let text = match json {
            true => serde_json::to_string(self)? + "\n",
            false => self.text()?,
        };
        write!(std::io::stdout(), "{text}").context("standard output")
    }

    fn text(&self) -> anyhow::Result<String> {
        let mut text = format!(
            "engines  {} for {}, {}, {}\n",
            self.bundle, self.machine, self.precision, self.flags
        );
        if let Some(target) = &self.target {
            writeln!(text, "bundle   {target}")?;
        }
        for segment in &self.segments {
            let status = match segment.status {
                Status::Built => format!("built in {:.1} s", segment.seconds),
                Status::Cached => "in the cache".into(),
                Status::Bundle => "from the bundle".into(),
            };
            write!(
                text,
                "segment  {} {}: {status}, {:.1} MiB, ",
                segment.segment,
                segment.name,
                segment.len_bytes as f64 / f64::from(1 << 20),
            )?;
            match segment.profiles.as_slice() {
                [only] => writeln!(text, "{}", shapes(only))?,
                several => {
                    writeln!(text, "{} profiles", several.len())?;
                    for (index, profile) in several.iter().enumerate() {
                        writeln!(text, "         profile {index}: {}", shapes(profile))?;
                    }
                }
            }
        }
        if self.segments.is_empty() {
            writeln!(text, "segments none, so there is nothing to build")?;
        }
        writeln!(text, "cache    {}", self.cache)?;
        if let Some(written) = &self.written {
            writeln!(text, "written  {written}")?;
        }
        Ok(text)
    }
}

/// The shapes of all inputs.
fn shapes(profile: &Profile) -> String {
    let ranges: Vec<String> = profile.iter().map(range_text).collect();
    ranges.join(", ")
}
