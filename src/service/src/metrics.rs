//! Prometheus' text format, and a histogram to fill it with.

use std::fmt::Write as _;
use std::time::Duration;

/// The type of a page in this format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A page of metrics.
#[derive(Debug, Default)]
pub struct Page(String);

/// What a metric's values do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only ever grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

impl Page {
    /// An empty page.
    pub fn new() -> Self {
        Self::default()
    }

    /// A metric of one value.
    pub fn value(&mut self, kind: Kind, name: &str, help: &str, value: f64) {
        self.values(kind, name, help, "", [("", value)]);
    }

    /// A metric with a value for each value of `label`; an empty `label` has none. Nothing where
    /// there are no values.
    pub fn values<T: AsRef<str>>(
        &mut self,
        kind: Kind,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (T, f64)>,
    ) {
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return;
        }
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        self.head(name, help, kind);
        for (of, value) in values {
            self.sample(name, &[(label, of.as_ref())], value);
        }
    }

    /// A metric of value 1 whose labels say something.
    pub fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str)]) {
        self.head(name, help, "gauge");
        self.sample(name, labels, 1.0);
    }

    /// A histogram in seconds.
    pub fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, help, "histogram");
        let bucket = format!("{name}_bucket");
        let mut below = 0;
        for (bound, count) in histogram.bounds.iter().zip(&histogram.counts) {
            below += count;
            self.sample(&bucket, &[("le", &bound.to_string())], below as f64);
        }
        self.sample(&bucket, &[("le", "+Inf")], histogram.count as f64);
        self.sample(&format!("{name}_sum"), &[], histogram.sum);
        self.sample(&format!("{name}_count"), &[], histogram.count as f64);
    }

    /// The page's text.
    pub fn finish(self) -> String {
        self.0
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        let mut separator = '{';
        for (label, value) in labels.iter().filter(|(label, _)| !label.is_empty()) {
            let _ = write!(self.0, "{separator}{label}=\"");
            for character in value.chars() {
                match character {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    other => self.0.push(other),
                }
            }
            self.0.push('"');
            separator = ',';
        }
        if separator == ',' {
            self.0.push('}');
        }
        let _ = match value {
            f64::INFINITY => writeln!(self.0, " +Inf"),
            f64::NEG_INFINITY => writeln!(self.0, " -Inf"),
            _ => writeln!(self.0, " {value}"),
        };
    }
}

/// Counts durations in buckets.
#[derive(Debug, Clone)]
pub struct Histogram {
    /// Upper bounds in seconds, rising.
    bounds: &'static [f64],
    /// For each bound, durations at most this long and longer than the one before.
    counts: Vec<u64>,
    sum: f64,
    count: u64,
}

impl Histogram {
    /// An empty one with these upper bounds in seconds, which rise.
    pub fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: vec![0; bounds.len()],
            sum: 0.0,
            count: 0,
        }
    }

    /// Adds a duration.
    pub fn push(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.sum += seconds;
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_in_prometheus_format() {
        let mut page = Page::new();
        page.value(Kind::Counter, "frames_total", "Frames.", 3.0);
        page.values(
            Kind::Gauge,
            "temperature_celsius",
            "Of zones.",
            "zone",
            [("CPU", 41.5), ("a\"b\\c\nd", f64::NAN)],
        );
        page.values(
            Kind::Gauge,
            "none",
            "Of nothing.",
            "a",
            [] as [(&str, f64); 0],
        );
        page.info("build_info", "This.", &[("version", "1"), ("model", "m")]);
        let mut histogram = Histogram::new(&[0.01, 0.1]);
        for millis in [5, 10, 50, 500] {
            histogram.push(Duration::from_millis(millis));
        }
        page.histogram("latency_seconds", "Of frames.", &histogram);
        assert_eq!(
            page.finish(),
            "# HELP frames_total Frames.\n# TYPE frames_total counter\nframes_total 3\n\
             # HELP temperature_celsius Of zones.\n# TYPE temperature_celsius gauge\n\
             temperature_celsius{zone=\"CPU\"} 41.5\n\
             temperature_celsius{zone=\"a\\\"b\\\\c\\nd\"} NaN\n\
             # HELP build_info This.\n# TYPE build_info gauge\n\
             build_info{version=\"1\",model=\"m\"} 1\n\
             # HELP latency_seconds Of frames.\n# TYPE latency_seconds histogram\n\
             latency_seconds_bucket{le=\"0.01\"} 2\nlatency_seconds_bucket{le=\"0.1\"} 3\n\
             latency_seconds_bucket{le=\"+Inf\"} 4\nlatency_seconds_sum 0.565\n\
             latency_seconds_count 4\n"
        );
    }
}
