//! `/healthz` and `/metrics`.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tfjet_service::http::Response;
use tfjet_service::metrics::{self, Kind, Page};
use tfjet_service::sensors::{Readings, Sensors};

use super::state::{Inner, Phase, State};

/// The sensors are read no more often than this.
const FRESH: Duration = Duration::from_secs(1);

/// Answers from the state and the board's sensors.
pub(super) struct Pages {
    state: Arc<State>,
    sensors: Mutex<(Sensors, Option<(Instant, Readings)>)>,
    start: SystemTime,
}

/// `/healthz`.
#[derive(Serialize)]
struct Health<'a> {
    /// `starting`, `ok`, `waiting` (for a source), `stalled` or `stopping`.
    status: &'static str,
    frames: u64,
    fps: f64,
    /// Seconds since the source was lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl Pages {
    pub(super) fn new(state: &Arc<State>) -> Self {
        Self {
            state: state.clone(),
            sensors: Mutex::new((Sensors::new(Path::new("/")), None)),
            start: SystemTime::now(),
        }
    }

    pub(super) fn answer(&self, path: &str) -> Option<Response> {
        match path {
            "/healthz" => Some(self.health()),
            "/metrics" => Some(Response {
                status: 200,
                content_type: metrics::CONTENT_TYPE,
                body: self.metrics(),
            }),
            _ => None,
        }
    }

    /// What the watchdog is told, and why.
    fn health(&self) -> Response {
        let now = self.state.now();
        let lost = now.source.lost_since;
        let (code, status) = match now.phase {
            Phase::Starting => (503, "starting"),
            Phase::Draining | Phase::Done => (503, "stopping"),
            Phase::Serving if self.state.is_stalled(&now) => (503, "stalled"),
            Phase::Serving if lost.is_some() => (200, "waiting"),
            Phase::Serving => (200, "ok"),
        };
        let health = Health {
            status,
            frames: now.frames,
            fps: (now.fps() * 10.0).round() / 10.0,
            lost_seconds: lost.map(|since| since.elapsed().as_secs_f64().round()),
            error: lost.and(now.source.error.as_deref()),
        };
        Response {
            status: code,
            content_type: "application/json",
            body: serde_json::to_string(&health).unwrap_or_default() + "\n",
        }
    }

    fn metrics(&self) -> String {
        let now = self.state.now();
        let mut page = Page::new();
        process(&mut page, self.start);
        service(&mut page, &now, self.state.is_stalled(&now));
        model(&mut page, &now);
        let mut sensors = self.sensors.lock().unwrap_or_else(PoisonError::into_inner);
        let (sensors, read) = &mut *sensors;
        let fresh = read.take().filter(|(at, _)| at.elapsed() < FRESH);
        let (_, readings) = read.insert(fresh.unwrap_or_else(|| (Instant::now(), sensors.read())));
        board(&mut page, readings);
        page.finish()
    }
}

/// Metrics that all programs have under these names.
fn process(page: &mut Page, start: SystemTime) {
    let start = start.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (name, help) = (
        "process_start_time_seconds",
        "Start of the process, since 1970.",
    );
    page.value(Kind::Gauge, name, help, start.as_secs_f64());
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| {
        let kib = line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?;
        kib.trim().parse::<f64>().ok()
    });
    if let Some(kib) = resident {
        let (name, help) = ("process_resident_memory_bytes", "Memory of the process.");
        page.value(Kind::Gauge, name, help, kib * 1024.0);
    }
}

fn service(page: &mut Page, now: &Inner, stalled: bool) {
    let about = &now.about;
    page.info(
        "tfjet_info",
        "What runs.",
        &[
            ("version", env!("CARGO_PKG_VERSION")),
            ("model", &about.model),
            ("device", &about.device),
            ("library", &about.library),
            ("precision", &about.precision),
            ("source", &about.source),
            (
                "source_path",
                now.source.path.as_deref().unwrap_or_default(),
            ),
        ],
    );
    let lost = now
        .source
        .lost_since
        .map_or(0.0, |at| at.elapsed().as_secs_f64());
    let serving = now.phase == Phase::Serving && !stalled;
    use Kind::{Counter, Gauge};
    for (kind, name, help, value) in [
        (
            Gauge,
            "tfjet_serving",
            "1 while frames are served or waited for.",
            f64::from(serving),
        ),
        (
            Counter,
            "tfjet_frames_total",
            "Frames finished.",
            now.frames as f64,
        ),
        (
            Gauge,
            "tfjet_frames_per_second",
            "Frames per second, over 5 s.",
            now.fps(),
        ),
        (
            Counter,
            "tfjet_frames_dropped_total",
            "Frames that came while others were worked on and were never read.",
            now.source.dropped as f64,
        ),
        (
            Counter,
            "tfjet_source_reconnects_total",
            "How often the source came back.",
            now.source.reconnects as f64,
        ),
        (
            Gauge,
            "tfjet_source_lost_seconds",
            "Time since the source was lost, else 0.",
            lost,
        ),
        (
            Counter,
            "tfjet_rows_not_finite_total",
            "Rows of outputs left aside because a number in them is not finite.",
            now.not_finite as f64,
        ),
        (
            Counter,
            "tfjet_results_left_out_total",
            "Results beyond what a frame can hold.",
            now.left_out as f64,
        ),
    ] {
        page.value(kind, name, help, value);
    }
    page.values(
        Counter,
        "tfjet_reloads_total",
        "Configurations read again.",
        "result",
        [
            ("good", now.reloads as f64),
            ("bad", now.bad_reloads as f64),
        ],
    );
    page.histogram(
        "tfjet_frame_latency_seconds",
        "From a frame to its results.",
        &now.latencies,
    );
    if let Some(latency) = now.latency.summary() {
        page.values(
            Gauge,
            "tfjet_frame_latency_quantile_seconds",
            "Latency of the last 4096 frames.",
            "quantile",
            [
                ("0.5", latency.p50),
                ("0.99", latency.p99),
                ("1", latency.max),
            ]
            .map(|(quantile, latency)| (quantile, latency.as_secs_f64())),
        );
    }
}

fn model(page: &mut Page, now: &Inner) {
    use Kind::{Counter, Gauge};
    let bytes = [("device", now.device_bytes), ("buffers", now.buffer_bytes)];
    page.values(
        Gauge,
        "tfjet_model_bytes",
        "Memory of the model's engines on the GPU, and of its buffers.",
        "of",
        bytes.map(|(of, bytes)| (of, bytes as f64)),
    );
    let Some(cache) = &now.cache else { return };
    for (kind, name, help, value) in [
        (
            Counter,
            "hits_total",
            "Runs that found a session for their shapes.",
            cache.hits as f64,
        ),
        (
            Counter,
            "misses_total",
            "Runs that did not.",
            cache.misses as f64,
        ),
        (
            Counter,
            "loads_total",
            "Sessions loaded from what was built.",
            cache.loads as f64,
        ),
        (
            Counter,
            "evictions_total",
            "Sessions that made room.",
            cache.evictions as f64,
        ),
        (
            Counter,
            "builds_total",
            "Builds that ended well.",
            cache.builds as f64,
        ),
        (
            Counter,
            "failed_builds_total",
            "Builds that failed.",
            cache.failed_builds as f64,
        ),
        (
            Counter,
            "build_seconds_total",
            "Time of all builds.",
            cache.build_seconds,
        ),
        (
            Counter,
            "covered_runs_total",
            "Runs by the session for a range of shapes.",
            cache.covered_runs as f64,
        ),
        (
            Counter,
            "fallback_runs_total",
            "Runs by the fallback.",
            cache.fallback_runs as f64,
        ),
        (Gauge, "entries", "Sessions held.", cache.entries as f64),
        (
            Gauge,
            "pending",
            "Builds that run or wait.",
            cache.pending as f64,
        ),
    ] {
        page.value(kind, &format!("tfjet_cache_{name}"), help, value);
    }
}

fn board(page: &mut Page, readings: &Readings) {
    use Kind::Gauge;
    let named = |list: &[(String, f32)]| -> Vec<(String, f64)> {
        list.iter()
            .map(|(name, value)| (name.clone(), f64::from(*value)))
            .collect()
    };
    let help = "Temperature of a zone of the board.";
    let temperatures = named(&readings.temperatures);
    page.values(
        Gauge,
        "tfjet_temperature_celsius",
        help,
        "zone",
        temperatures,
    );
    let clocks = &readings.clocks;
    page.values(
        Gauge,
        "tfjet_clock_hertz",
        "A clock of the board.",
        "clock",
        clocks.iter().map(|clock| (&clock.name, clock.hz as f64)),
    );
    page.values(
        Gauge,
        "tfjet_clock_max_hertz",
        "The most that a clock may be set to.",
        "clock",
        clocks
            .iter()
            .filter_map(|clock| Some((&clock.name, clock.max_hz? as f64))),
    );
    let power = named(&readings.power_watts);
    page.values(
        Gauge,
        "tfjet_power_watts",
        "Power of a rail of the board.",
        "rail",
        power,
    );
    let throttled = readings.throttled.map(|it| f64::from(u8::from(it)));
    for (name, help, value) in [
        (
            "tfjet_gpu_load_ratio",
            "Load of the GPU.",
            readings.gpu_load.map(f64::from),
        ),
        (
            "tfjet_throttled",
            "1 while the board holds its clocks down.",
            throttled,
        ),
        (
            "tfjet_memory_available_bytes",
            "Memory that processes may still take.",
            readings.memory_available.map(|bytes| bytes as f64),
        ),
    ] {
        if let Some(value) = value {
            page.value(Gauge, name, help, value);
        }
    }
    if let Some(mode) = &readings.power_mode {
        page.info(
            "tfjet_power_mode_info",
            "The board's power mode.",
            &[("mode", mode)],
        );
    }
}
