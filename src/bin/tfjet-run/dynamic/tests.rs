use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tempfile::TempDir;
use tfjet::bundle::{BundleWriter, SectionKind};
use tfjet::core::{
    DType, Decoder, Dim, InputSpec, Layer, LayerSpec, NetworkTensor, OutputSpec, Shape, Step,
    Summary, Tensor, TensorId, TensorView, Value, ValueId, ValueSource, WeightsTable,
};
use tfjet::runtime::{
    Backend, CacheCounters, Engine, EngineCache, MachineKey, OnMiss, SessionCache,
    SessionCacheOptions,
};
use tfjet::tensorrt::Precision;

use super::*;
use crate::build::{BuilderOptions, BuiltBy};

/// `y = 2x` for every `x` of two dims, in one segment.
fn write_bundle(path: &Path) -> Arc<Bundle> {
    let shape = || Shape(vec![Dim::Symbolic("n".into()), Dim::Symbolic("k".into())]);
    let value = |name: &str, source| Value {
        name: name.into(),
        dtype: DType::F32,
        shape: Some(shape()),
        source,
    };
    let tensor = |name: &str| NetworkTensor {
        name: name.into(),
        dtype: DType::F32,
        shape: shape(),
    };
    let schedule = Schedule {
        values: vec![
            value("x", ValueSource::Input),
            value("y", ValueSource::Computed),
        ],
        inputs: vec![ValueId(0)],
        outputs: vec![ValueId(1)],
        steps: vec![Step::Engine {
            segment: 0,
            inputs: vec![ValueId(0)],
            outputs: vec![ValueId(1)],
        }],
        ..Schedule::default()
    };
    let network = NetworkSpec {
        name: "double".into(),
        tensors: vec![tensor("x"), tensor("y")],
        inputs: vec![TensorId(0)],
        outputs: vec![TensorId(1)],
        layers: vec![LayerSpec {
            name: "y".into(),
            layer: Layer::Select,
            inputs: vec![TensorId(0)],
            outputs: vec![TensorId(1)],
        }],
    };
    let manifest = Manifest {
        model: "double".into(),
        tfjet_version: String::new(),
        target: String::new(),
        inputs: vec![InputSpec {
            name: "x".into(),
            dtype: DType::F32,
            shape: Some(shape()),
        }],
        outputs: vec![OutputSpec {
            name: "y".into(),
            dtype: DType::F32,
            shape: Some(shape()),
        }],
        preprocess: None,
        decoder: Decoder::Raw,
        labels: Vec::new(),
        summary: Summary::default(),
    };
    let mut writer = BundleWriter::new();
    let mut add = |kind, value: &dyn erased::Encode| value.add(&mut writer, kind);
    add(SectionKind::Manifest, &manifest);
    add(SectionKind::Schedule, &schedule);
    add(SectionKind::WeightsTable, &WeightsTable::default());
    add(SectionKind::Network, &network);
    writer
        .add(SectionKind::Weights, "", 0, Vec::<u8>::new())
        .unwrap();
    writer.write(path).unwrap();
    Arc::new(Bundle::open(path).unwrap())
}

mod erased {
    use super::*;

    pub(super) trait Encode {
        fn add(&self, writer: &mut BundleWriter, kind: SectionKind);
    }

    impl<T: serde::Serialize> Encode for T {
        fn add(&self, writer: &mut BundleWriter, kind: SectionKind) {
            writer.add_postcard(kind, "", 0, self).unwrap();
        }
    }
}

/// Sessions that compute `y = 2x` on the host where the engine is what the script wrote.
struct OnHost(Arc<Bundle>);

impl LoadEngines for OnHost {
    fn load(&self, engines: &dyn EngineSource) -> Result<Session, SessionError> {
        let engine = engines.engine(0).unwrap();
        assert!(engine.starts_with(b"engine"), "{engine:?}");
        Session::load_on(self.0.clone(), Some(&Double), &SessionOptions::default())
    }
}

struct Double;

impl Backend for Double {
    fn name(&self) -> &'static str {
        "the test"
    }

    fn engine(
        &self,
        _: &Arc<Bundle>,
        _: u32,
        _: &SessionOptions,
    ) -> Result<Box<dyn Engine>, EngineError> {
        Ok(Box::new(Self))
    }
}

impl Engine for Double {
    fn run(
        &mut self,
        inputs: &[TensorView<'_>],
        outputs: &mut [Tensor],
    ) -> Result<(), EngineError> {
        outputs[0].reset(DType::F32, inputs[0].shape()).unwrap();
        let doubled = outputs[0].as_mut_slice::<f32>().unwrap().iter_mut();
        for (y, x) in doubled.zip(inputs[0].as_slice::<f32>().unwrap()) {
            *y = 2.0 * x;
        }
        Ok(())
    }
}

/// A folder with a bundle, a cache and a script that builds.
struct Machine {
    folder: TempDir,
    bundle: Arc<Bundle>,
}

impl Machine {
    /// `script` finds in `$ENGINE` where the engine goes, in `$PROFILES` what it is for, and in
    /// `$FOLDER` the folder.
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bundle = write_bundle(&folder.path().join("double.jet"));
        let machine = Self { folder, bundle };
        machine.set_script(script);
        machine
    }

    fn set_script(&self, script: &str) {
        let text = format!(
            "#!/bin/sh\nFOLDER='{}'\nwhile [ $# -gt 1 ]; do case $1 in --engine) ENGINE=$2;; \
             --profiles) PROFILES=$2;; esac; shift; done\necho $PROFILES >> $FOLDER/builds\n\
             {script}\n",
            self.folder.path().display()
        );
        let path = self.path("builder");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// How often the script ran.
    fn builds(&self) -> usize {
        fs::read_to_string(self.path("builds")).map_or(0, |text| text.lines().count())
    }

    fn builder(&self, flags: BuildFlags) -> EngineBuilder {
        let networks = [self.bundle.network(0).unwrap()];
        let library = BuiltBy {
            path: "/none/libnvinfer.so.8".into(),
            version: "TensorRT 8.5.2".into(),
            machine: MachineKey {
                library: "trt8.5.2".into(),
                compute_capability: Some((9, 0)),
                gpu: "any".into(),
            },
        };
        let options = BuilderOptions {
            precision: Precision::Fp32,
            flags,
            device: 0,
            cache: EngineCache::open(&self.path("cache")).unwrap(),
            executable: Some(self.path("builder")),
        };
        EngineBuilder::new(self.bundle.clone(), &networks, library, options).unwrap()
    }

    fn maker(&self, prepared: Option<EngineSet>) -> DynamicMaker {
        DynamicMaker::new(
            &self.bundle,
            vec![self.bundle.network(0).unwrap()],
            Arc::new(self.builder(BuildFlags::default())),
            Box::new(OnHost(self.bundle.clone())),
            prepared,
            Duration::from_secs(3600),
        )
        .unwrap()
    }

    /// What a program has after its start.
    fn start(&self, on_miss: OnMiss, fallback: bool) -> SessionCache {
        self.start_with(on_miss, fallback, None)
    }

    fn start_with(
        &self,
        on_miss: OnMiss,
        fallback: bool,
        prepared: Option<EngineSet>,
    ) -> SessionCache {
        let options = SessionCacheOptions {
            on_miss,
            ..SessionCacheOptions::default()
        };
        let session = || {
            Session::load_on(
                self.bundle.clone(),
                Some(&Double),
                &SessionOptions::default(),
            )
        };
        let fallback = fallback.then(|| session().unwrap());
        let maker = Box::new(self.maker(prepared));
        SessionCache::new(self.bundle.manifest().unwrap(), maker, fallback, options)
    }
}

const GOOD: &str = "printf engine > $ENGINE";

#[track_caller]
fn run(sessions: &mut SessionCache, shape: [usize; 2]) {
    let count = shape[0] * shape[1];
    let values: Vec<f32> = (0..count).map(|value| value as f32).collect();
    let x = Tensor::from_slice(&shape, &values).unwrap();
    let outputs = sessions.run(&[x.view()]).unwrap();
    let (_, y) = outputs.iter().next().unwrap();
    assert_eq!(y.shape(), shape);
    let doubled: Vec<f32> = values.iter().map(|value| 2.0 * value).collect();
    assert_eq!(y.as_slice::<f32>().unwrap(), doubled);
}

fn keys(sessions: &SessionCache) -> Vec<String> {
    let mut keys: Vec<String> = sessions.keys().iter().map(ToString::to_string).collect();
    keys.sort();
    keys
}

/// TF-TRT's `TRTEngineOpTestBase.DynamicEngines`, then a second start.
#[test]
fn shapes_get_engines_of_batches_from_one_and_keep_them_over_a_restart() {
    let machine = Machine::new(GOOD);
    let mut sessions = machine.start(OnMiss::Block, false);
    for (shape, expected) in [
        ([2, 2], &["2x2"][..]),
        ([1, 2], &["2x2"]),
        ([3, 2], &["2x2", "3x2"]),
        ([10, 10], &["10x10", "2x2", "3x2"]),
        ([1, 10], &["10x10", "2x2", "3x2"]),
    ] {
        run(&mut sessions, shape);
        assert_eq!(keys(&sessions), expected, "{shape:?}");
    }
    let counters = sessions.counters();
    assert_eq!((counters.builds, counters.hits, counters.misses), (3, 2, 3));
    let profiles = fs::read_to_string(machine.path("builds")).unwrap();
    let expected =
        "[[[[1,2],[2,2],[2,2]]]]\n[[[[1,2],[3,2],[3,2]]]]\n[[[[1,10],[10,10],[10,10]]]]\n";
    assert_eq!(profiles, expected);
    drop(sessions);
    let mut sessions = machine.start(OnMiss::Block, false);
    for shape in [[2, 2], [1, 10], [3, 2]] {
        run(&mut sessions, shape);
    }
    let counters = sessions.counters();
    assert_eq!(
        (counters.loads, counters.builds, counters.misses),
        (3, 0, 3)
    );
    // The batch of 1 is served by the engine of batch 10.
    assert_eq!(keys(&sessions), ["10x10", "2x2", "3x2"]);
    assert_eq!(machine.builds(), 3);
}

#[test]
fn a_damaged_engine_is_built_again_at_the_next_start() {
    let machine = Machine::new(GOOD);
    run(&mut machine.start(OnMiss::Block, false), [2, 2]);
    let names = fs::read_dir(machine.path("cache")).unwrap();
    let engine = names
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|it| it == "jet"))
        .unwrap();
    let mut bytes = fs::read(&engine).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&engine, bytes).unwrap();
    let mut sessions = machine.start(OnMiss::Block, false);
    run(&mut sessions, [1, 2]);
    // Only the very shapes of the request are built.
    assert_eq!(keys(&sessions), ["1x2"]);
    run(&mut sessions, [2, 2]);
    assert_eq!(sessions.counters().builds, 2);
}

#[test]
fn frames_are_served_while_an_engine_is_built() {
    let machine =
        Machine::new("while ! test -e $FOLDER/go; do sleep 0.02; done; printf engine > $ENGINE");
    let mut sessions = machine.start(OnMiss::Fallback, true);
    for _ in 0..3 {
        run(&mut sessions, [2, 2]);
    }
    let counters = sessions.counters();
    assert_eq!((counters.fallback_runs, counters.pending), (3, 1));
    let begin = Instant::now();
    loop {
        sessions.poll();
        let progress = sessions.watch().building().and_then(|it| it.progress);
        let expected = "building segment 0 (`double`), 1 of 1, for TensorRT 8.5.2 in fp32";
        if progress.as_ref().is_some_and(|it| it.starts_with(expected)) {
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "{progress:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    fs::write(machine.path("go"), "").unwrap();
    sessions.finish_builds();
    run(&mut sessions, [2, 2]);
    let counters = sessions.counters();
    assert_eq!(
        (counters.builds, counters.hits, counters.fallback_runs),
        (1, 1, 3)
    );
}

#[test]
fn two_processes_build_an_engine_once() {
    let machine = Machine::new("sleep 0.3; printf engine > $ENGINE");
    let mut starts = [(); 3].map(|()| machine.start(OnMiss::Block, false));
    std::thread::scope(|threads| {
        for sessions in &mut starts {
            threads.spawn(|| run(sessions, [2, 2]));
        }
    });
    assert_eq!(machine.builds(), 1);
    let left = fs::read_dir(machine.path("cache")).unwrap();
    let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut left: Vec<String> = left.filter(|name| name.starts_with('.')).collect();
    left.retain(|name| !name.ends_with(".lock"));
    assert_eq!(left, [""; 0]);
}

#[test]
fn a_failed_build_is_left_alone_by_later_starts() {
    let machine = Machine::new("exit 9");
    let mut sessions = machine.start(OnMiss::Fallback, true);
    run(&mut sessions, [2, 2]);
    sessions.finish_builds();
    run(&mut sessions, [2, 2]);
    assert_eq!(sessions.counters().failed_builds, 1);
    let refused: Vec<String> = sessions
        .refused()
        .map(|(_, reason)| reason.to_owned())
        .collect();
    assert!(
        refused.len() == 1 && refused[0].contains("ended with exit code 9"),
        "{refused:?}"
    );
    machine.set_script(GOOD);
    let mut sessions = machine.start(OnMiss::Block, true);
    run(&mut sessions, [2, 2]);
    assert_eq!(
        (
            sessions.counters().builds,
            sessions.counters().fallback_runs
        ),
        (0, 1)
    );
    run(&mut sessions, [3, 2]);
    assert_eq!(sessions.counters().builds, 1);
}

#[test]
fn a_build_that_somebody_ended_is_tried_again_at_the_next_start() {
    let machine = Machine::new("kill -TERM $$");
    let mut sessions = machine.start(OnMiss::Fallback, true);
    run(&mut sessions, [2, 2]);
    sessions.finish_builds();
    assert_eq!(sessions.counters().failed_builds, 1);
    machine.set_script(GOOD);
    let mut sessions = machine.start(OnMiss::Block, false);
    run(&mut sessions, [2, 2]);
    assert_eq!(sessions.counters().builds, 1);
}

#[test]
fn the_building_process_ends_with_the_model() {
    let machine = Machine::new("echo $$ > $FOLDER/pid; exec sleep 100");
    let mut sessions = machine.start(OnMiss::Fallback, true);
    run(&mut sessions, [2, 2]);
    sessions.poll();
    let begin = Instant::now();
    let pid = loop {
        assert!(begin.elapsed() < Duration::from_secs(20));
        match fs::read_to_string(machine.path("pid")) {
            Ok(pid) if pid.ends_with('\n') => break pid.trim().to_owned(),
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    assert!(Path::new("/proc").join(&pid).exists());
    drop(sessions);
    assert!(!Path::new("/proc").join(&pid).exists(), "the child lives");
    assert!(begin.elapsed() < Duration::from_secs(50));
    let counters = machine.start(OnMiss::NeverBuild, true).counters();
    assert_eq!(counters, CacheCounters::default());
}

#[test]
fn what_was_prepared_for_a_range_serves_and_nothing_else_is_built_for_it() {
    let machine = Machine::new(GOOD);
    let builder = machine.builder(BuildFlags::default());
    let range = [vec![1, 2], vec![4, 4], vec![8, 4]];
    let wanted = builder.wanted(vec![vec![vec![range]]]);
    let cache = builder.cache();
    cache.put(&wanted[0].header, b"engine of a range").unwrap();
    let target = wanted[0].header.target();
    cache
        .set_prepared(&builder.hashes(), &target, &[wanted[0].key()])
        .unwrap();
    let prepared = || {
        let machine_key = MachineKey {
            library: "trt8.5.2".into(),
            compute_capability: Some((9, 0)),
            gpu: String::new(),
        };
        EngineSet::locate(&machine.bundle, &machine_key, None, Some(cache)).unwrap()
    };
    let mut sessions = machine.start_with(OnMiss::NeverBuild, true, Some(prepared()));
    for shape in [[1, 2], [8, 4], [3, 3]] {
        run(&mut sessions, shape);
    }
    run(&mut sessions, [9, 4]);
    run(&mut sessions, [1, 5]);
    let counters = sessions.counters();
    assert_eq!((counters.covered_runs, counters.fallback_runs), (3, 2));
    let mut sessions = machine.start_with(OnMiss::Block, false, Some(prepared()));
    run(&mut sessions, [2, 3]);
    assert_eq!(machine.builds(), 0);
    run(&mut sessions, [2, 5]);
    assert_eq!(machine.builds(), 1);
}

#[test]
fn shapes_without_elements_run_on_the_fallback() {
    let machine = Machine::new(GOOD);
    let mut sessions = machine.start(OnMiss::Block, true);
    run(&mut sessions, [0, 2]);
    assert_eq!(sessions.counters().fallback_runs, 1);
    assert_eq!(machine.builds(), 0);
}

#[test]
fn engines_of_other_flags_are_others() {
    let machine = Machine::new(GOOD);
    run(&mut machine.start(OnMiss::Block, false), [2, 2]);
    let flags = BuildFlags {
        no_tf32: true,
        ..BuildFlags::default()
    };
    let [plain, other] = [BuildFlags::default(), flags].map(|flags| machine.builder(flags));
    assert_ne!(plain.common_key(), other.common_key());
    assert_eq!(KnownShapes::of(&plain).list().len(), 1);
    assert_eq!(KnownShapes::of(&other).list().len(), 0);
}

#[test]
fn a_list_of_shapes_that_cannot_be_read_is_empty() {
    let machine = Machine::new(GOOD);
    let builder = machine.builder(BuildFlags::default());
    let path = builder
        .cache()
        .path(&builder.common_key())
        .with_extension("shapes");
    for text in ["", "[[[1,2]", "{}", "[[[-1]]]"] {
        fs::write(&path, text).unwrap();
        assert_eq!(KnownShapes::of(&builder).list(), []);
    }
    let mut known = KnownShapes::of(&builder);
    let mut other = KnownShapes::of(&builder);
    known.add(&builder, &ShapeKey(vec![vec![1, 2]]));
    other.add(&builder, &ShapeKey(vec![vec![3, 2]]));
    let expected = [vec![vec![1, 2]], vec![vec![3, 2]]].map(ShapeKey);
    assert_eq!(KnownShapes::of(&builder).list(), expected);
}
