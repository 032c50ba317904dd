//! What `prepare` did.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Context as _;
use serde::Serialize;
use tfjet::shapes::ShapeRange;

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
    pub(super) profiles: Vec<Vec<ShapeRange>>,
    pub(super) file: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) bundle: String,
    pub(super) library: String,
    pub(super) machine: String,
    pub(super) precision: &'static str,
    pub(super) flags: String,
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
        for segment in &self.segments {
            let status = match segment.status {
                Status::Built => format!("built in {:.1} s", segment.seconds),
                Status::Cached => "in the cache".into(),
                Status::Bundle => "from the bundle".into(),
            };
            let shapes: Vec<String> = segment.profiles.iter().flatten().map(shapes).collect();
            writeln!(
                text,
                "segment  {} {}: {status}, {:.1} MiB, {}",
                segment.segment,
                segment.name,
                segment.len_bytes as f64 / f64::from(1 << 20),
                shapes.join(", ")
            )?;
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

/// `1x3`, or `1x3:8x3:8x3`.
fn shapes([min, opt, max]: &ShapeRange) -> String {
    let text = |sizes: &[u64]| {
        let sizes: Vec<String> = sizes.iter().map(u64::to_string).collect();
        match sizes.is_empty() {
            true => "scalar".to_owned(),
            false => sizes.join("x"),
        }
    };
    match min == max {
        true => text(opt),
        false => format!("{}:{}:{}", text(min), text(opt), text(max)),
    }
}
