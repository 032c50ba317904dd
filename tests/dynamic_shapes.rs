//! Graphs whose sizes are not known: one segment that works out every size itself, and at each
//! size what TensorFlow computed.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use common::{cached, convert, engine, folder, root, skip};
use serde::Deserialize;
use tfjet::bundle::Bundle;
use tfjet::core::Tensor;
use tfjet::cpu::Library;
use tfjet::runtime::{
    OnMiss, Outputs, PendingBuild, Session, SessionCache, SessionCacheOptions, SessionError,
    SessionMaker, SessionOptions, ShapeKey,
};

/// What `goldens/make_dynamic_goldens.py` wrote.
#[derive(Deserialize)]
struct Goldens {
    graphs: Vec<Graph>,
    openpose: Vec<Run>,
}

#[derive(Deserialize)]
struct Graph {
    name: String,
    /// A GraphDef in hexadecimal.
    graph: String,
    runs: Vec<Run>,
}

/// One set of input sizes.
#[derive(Deserialize)]
struct Run {
    inputs: Vec<Vec<usize>>,
    outputs: Vec<Output>,
}

#[derive(Deserialize)]
struct Output {
    shape: Vec<usize>,
    mean: f64,
    rms: f64,
    samples: Vec<(usize, f64)>,
}

fn goldens() -> Goldens {
    let path = root().join("tests/goldens/dynamic_goldens.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

impl Graph {
    fn write(&self, folder: &Path) -> std::path::PathBuf {
        let digits = self.graph.as_bytes().chunks_exact(2);
        let byte = |pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        let path = folder.join(format!("{}.pb", self.name));
        std::fs::write(&path, digits.map(byte).collect::<Vec<u8>>()).unwrap();
        path
    }

    fn outputs(&self) -> String {
        let outputs = 0..self.runs[0].outputs.len();
        outputs.map(|i| format!(" --output out_{i}")).collect()
    }
}

/// The numbers that the script feeds: the upper half of a multiplicative hash of the index.
fn noise(shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    let one = |i: usize| {
        let hashed = (i as u32 + 1).wrapping_mul(2_654_435_761) >> 8;
        hashed as f32 / (1u32 << 23) as f32 - 1.0
    };
    let values: Vec<f32> = (0..count).map(one).collect();
    Tensor::from_slice(shape, &values).unwrap()
}

/// What is wrong with a result, if anything is.
fn difference(
    expected: &Output,
    shape: &[usize],
    values: &[f32],
    tolerance: f64,
) -> Option<String> {
    if shape != expected.shape {
        return Some(format!("shape {shape:?}, not {:?}", expected.shape));
    }
    let count = values.len() as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
    let square = values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / count;
    let near = |found: f64, wanted: f64| (found - wanted).abs() <= tolerance * (1.0 + wanted.abs());
    if !near(mean, expected.mean) || !near(square.sqrt(), expected.rms) {
        let found = square.sqrt();
        return Some(format!(
            "mean {mean} and root mean square {found}, not {} and {}",
            expected.mean, expected.rms
        ));
    }
    let off = |&&(place, wanted): &&(usize, f64)| !near(f64::from(values[place]), wanted);
    let (place, wanted) = expected.samples.iter().find(off)?;
    Some(format!(
        "element {place} is {}, not {wanted}",
        values[*place]
    ))
}

/// Feeds the run's sizes and compares.
fn check(session: &mut Session, run: &Run, tolerance: f64) -> Result<(), String> {
    let inputs: Vec<Tensor> = run.inputs.iter().map(|shape| noise(shape)).collect();
    let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
    let outputs = session.run(&views).map_err(|error| error.to_string())?;
    compare(&outputs, run, tolerance)
}

fn compare(outputs: &Outputs<'_>, run: &Run, tolerance: f64) -> Result<(), String> {
    assert_eq!(outputs.len(), run.outputs.len());
    for (index, expected) in run.outputs.iter().enumerate() {
        let output = outputs.get(index).unwrap();
        let values = output.as_slice::<f32>().unwrap();
        if let Some(difference) = difference(expected, output.shape(), values, tolerance) {
            return Err(format!("{:?}: output {index}: {difference}", run.inputs));
        }
    }
    Ok(())
}

fn session(bundle: Arc<Bundle>) -> Session {
    let library = Library::load(None, &tfjet::cache::library_dirs()).unwrap();
    Session::load(bundle, Some(&library), &SessionOptions::default()).unwrap()
}

#[test]
fn graphs_of_unknown_sizes_are_one_segment() {
    let _memory = MEMORY.read().unwrap_or_else(PoisonError::into_inner);
    let folder = folder();
    let mut failures = Vec::new();
    for graph in goldens().graphs {
        let out = folder.path().join(format!("{}.jet", graph.name));
        convert(&graph.write(folder.path()), &out, &graph.outputs());
        let summary = Bundle::open(&out).unwrap().manifest().unwrap().summary;
        let found = (summary.segments.len(), summary.residual);
        if found != (1, 0) {
            failures.push(format!("{}: {found:?}", graph.name));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_size_gives_what_tensorflow_computes() {
    let _memory = MEMORY.read().unwrap_or_else(PoisonError::into_inner);
    if !engine() {
        return;
    }
    let folder = folder();
    let mut failures = Vec::new();
    for graph in goldens().graphs {
        let out = folder.path().join(format!("{}.jet", graph.name));
        convert(&graph.write(folder.path()), &out, &graph.outputs());
        let mut session = session(Arc::new(Bundle::open(&out).unwrap()));
        for run in &graph.runs {
            if let Err(error) = check(&mut session, run, 2e-5) {
                failures.push(format!("{} {error}", graph.name));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Written by the test that measures the process's memory, so that no other runs beside it.
static MEMORY: RwLock<()> = RwLock::new(());

/// Bytes of the process that lie in memory.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

#[test]
fn openpose_takes_frames_of_fifty_sizes_in_bounded_memory() {
    let _memory = MEMORY.write().unwrap_or_else(PoisonError::into_inner);
    let Some(model) = cached("openpose", "openpose_mobilenet_thin.pb") else {
        return;
    };
    if !engine() {
        return;
    }
    let folder = folder();
    let out = folder.path().join("openpose.jet");
    convert(&model, &out, "");
    let mut session = session(Arc::new(Bundle::open(&out).unwrap()));
    let held = SessionOptions::default().max_shapes;
    let runs = goldens().openpose;
    assert_eq!(runs.len(), 50);
    let bytes = |run: &Run| {
        let elements = run
            .outputs
            .iter()
            .map(|output| output.shape.iter().product::<usize>());
        elements.sum::<usize>() * size_of::<f32>()
    };
    let largest = runs.iter().map(bytes).max().unwrap();
    let mut failures = Vec::new();
    let mut round = |step: usize| {
        let mut peak = 0;
        for run in runs.iter().step_by(step) {
            failures.extend(check(&mut session, run, 2e-4).err());
            assert!(session.held_shapes() <= held);
            let (found, limit) = (session.buffer_bytes(), held * largest);
            assert!(found <= limit, "{found} bytes of buffers, {limit} at most");
            peak = peak.max(resident().unwrap_or_default());
        }
        peak
    };
    // The engine's memory grows until every size has found its place.
    let peaks = [1, 5, 5].map(&mut round);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    if peaks[2] == 0 {
        skip("no /proc/self/status: how much memory the engine holds is not seen");
    }
    let [_, second, third] = peaks;
    assert!(third <= second + second / 10, "bytes in memory: {peaks:?}");
}

/// Makes a session on the CPU for each set of shapes; nothing is there before it was built.
struct CpuMaker {
    bundle: Arc<Bundle>,
    built: Vec<ShapeKey>,
}

struct Done;

impl PendingBuild for Done {
    fn poll(&mut self) -> Option<Result<(), String>> {
        Some(Ok(()))
    }

    fn wait(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn elapsed(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}

impl SessionMaker for CpuMaker {
    fn load(&mut self, shapes: &ShapeKey) -> Result<Option<Session>, SessionError> {
        let built = self.built.contains(shapes);
        Ok(built.then(|| session(Arc::clone(&self.bundle))))
    }

    fn build(&mut self, shapes: &ShapeKey) -> Result<Box<dyn PendingBuild>, String> {
        self.built.push(shapes.clone());
        Ok(Box::new(Done))
    }
}

#[test]
fn fifty_sizes_through_a_cache_of_four_sessions_are_built_once_and_evicted() {
    let _memory = MEMORY.read().unwrap_or_else(PoisonError::into_inner);
    let Some(model) = cached("openpose", "openpose_mobilenet_thin.pb") else {
        return;
    };
    if !engine() {
        return;
    }
    let folder = folder();
    let out = folder.path().join("openpose.jet");
    convert(&model, &out, "");
    let bundle = Arc::new(Bundle::open(&out).unwrap());
    let maker = CpuMaker {
        bundle: Arc::clone(&bundle),
        built: Vec::new(),
    };
    let options = SessionCacheOptions {
        capacity: 4,
        on_miss: OnMiss::Block,
        ..SessionCacheOptions::default()
    };
    let manifest = bundle.manifest().unwrap();
    let mut cache = SessionCache::new(manifest, Box::new(maker), None, options);
    let runs = goldens().openpose;
    let distinct: std::collections::BTreeSet<_> = runs.iter().map(|run| &run.inputs).collect();
    assert_eq!((runs.len(), distinct.len()), (50, 50));
    let mut failures = Vec::new();
    for run in &runs {
        let inputs: Vec<Tensor> = run.inputs.iter().map(|shape| noise(shape)).collect();
        let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
        let outputs = cache.run(&views).unwrap();
        failures.extend(compare(&outputs, run, 2e-4).err());
        assert!(cache.keys().len() <= 4);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let counters = cache.counters();
    assert_eq!((counters.misses, counters.hits), (50, 0));
    assert_eq!((counters.builds, counters.loads), (50, 50));
    assert_eq!((counters.evictions, counters.entries), (46, 4));
    assert_eq!((counters.failed_builds, counters.fallback_runs), (0, 0));
}
