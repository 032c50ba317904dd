//! Running an engine on the GPU, where `TFJET_TENSORRT` names libnvinfer and there is a driver.
#![allow(clippy::print_stderr, clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;
use std::sync::{Arc, Mutex};

use tfjet_core::{
    ActivationType, DType, Dim, Layer, LayerSpec, NetworkSpec, NetworkTensor, Shape, TensorId,
    TensorView, WeightsId,
};
use tfjet_cuda::{Context, DeviceBuffer, Driver, Region, Stream};
use tfjet_tensorrt::{
    BuildOptions, DataType, Engine, EntryPoints, ExecutionContext, Flavor, Library, Profile,
    Runtime, ShapeRange, TensorRtError, WeightsSource, build_engine,
};

struct NoWeights;

impl WeightsSource for NoWeights {
    fn weights(&self, _: WeightsId) -> Option<TensorView<'_>> {
        None
    }
}

/// `y = relu(x)` for x of shape \[N, 3\].
fn relu() -> NetworkSpec {
    let tensor = |name: &str| NetworkTensor {
        name: name.to_owned(),
        dtype: DType::F32,
        shape: Shape(vec![Dim::Symbolic("N".to_owned()), Dim::Fixed(3)]),
    };
    NetworkSpec {
        name: "relu".to_owned(),
        tensors: vec![tensor("x"), tensor("y")],
        inputs: vec![TensorId(0)],
        outputs: vec![TensorId(1)],
        layers: vec![LayerSpec {
            name: "y".to_owned(),
            layer: Layer::Activation {
                kind: ActivationType::Relu,
                alpha: 0.0,
                beta: 0.0,
            },
            inputs: vec![TensorId(0)],
            outputs: vec![TensorId(1)],
        }],
    }
}

struct Machine {
    library: Library,
    context: Context,
    bytes: Vec<u8>,
}

impl Machine {
    fn new() -> Option<Self> {
        let Some(path) = std::env::var_os("TFJET_TENSORRT") else {
            eprintln!("SKIPPED: TFJET_TENSORRT does not name libnvinfer");
            return None;
        };
        let context = Context::new(&Driver::load().unwrap(), 0).unwrap();
        context.make_current().unwrap();
        let library = Library::load(Flavor::TensorRt, Some(Path::new(&path)), &[]).unwrap();
        let range = |min, opt, max| {
            Profile(vec![ShapeRange {
                min: vec![min, 3],
                opt: vec![opt, 3],
                max: vec![max, 3],
            }])
        };
        let options = BuildOptions {
            tactic_sources: Some(0),
            profiles: vec![range(1, 2, 4), range(4, 8, 16)],
            detailed: true,
            ..BuildOptions::default()
        };
        let built = build_engine(&library, &relu(), &NoWeights, &options, None, &mut |_| {});
        Some(Self {
            library,
            context,
            bytes: built.unwrap().engine,
        })
    }

    fn engine(&self) -> Engine {
        let runtime = Runtime::new(&self.library).unwrap();
        runtime.deserialize(&self.bytes).unwrap()
    }

    /// The ways to run that the version has.
    fn ways(&self) -> &'static [EntryPoints] {
        match self.library.version().major {
            8 => &[EntryPoints::Newest, EntryPoints::Bindings],
            _ => &[EntryPoints::Newest],
        }
    }
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// Runs `batch` rows and checks every value.
fn run(context: &mut ExecutionContext, stream: &Stream, batch: usize) {
    let values: Vec<f32> = (0u8..)
        .map(|i| f32::from(i) - 5.0)
        .take(batch * 3)
        .collect();
    let input = bytes(&values);
    let expected = bytes(&values.iter().map(|v| v.max(0.0)).collect::<Vec<_>>());
    let mut output = vec![0u8; input.len()];
    let from = DeviceBuffer::new(stream.context(), input.len()).unwrap();
    let to = DeviceBuffer::new(stream.context(), input.len()).unwrap();
    let regions = in_order(context.engine(), from.region(), to.region());
    let x = context.engine().position("input:0").unwrap();
    let y = context.engine().position("output:0").unwrap();
    context.set_input_shape(x, &[batch, 3]).unwrap();
    assert_eq!(context.tensor_shape(y).unwrap(), [batch, 3]);
    stream
        .scope(|scope| {
            scope.upload(&from.region(), &input).unwrap();
            context.enqueue(scope, &regions).unwrap();
            scope.download(&mut output, &to.region()).unwrap();
        })
        .unwrap();
    assert_eq!(output, expected);
}

fn in_order(engine: &Engine, input: Region, output: Region) -> Vec<Region> {
    let regions = engine
        .io()
        .iter()
        .map(|tensor| if tensor.is_input { &input } else { &output }.clone());
    regions.collect()
}

#[test]
fn an_engine_tells_what_it_is() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let engine = machine.engine();
    let mut names: Vec<_> = engine
        .io()
        .iter()
        .map(|t| (t.name.as_str(), t.is_input))
        .collect();
    names.sort_unstable();
    assert_eq!(names, [("input:0", true), ("output:0", false)]);
    for tensor in engine.io() {
        assert_eq!(
            (tensor.dtype, tensor.dims.as_slice()),
            (DataType::Float, [-1, 3].as_slice())
        );
    }
    assert_eq!(engine.name().unwrap(), "relu");
    assert_eq!(engine.profile_count(), 2);
    let dims = engine.profile_dims("input:0", 1).unwrap();
    assert_eq!(dims, [vec![4, 3], vec![8, 3], vec![16, 3]]);
    assert!(engine.profile_dims("output:0", 0).is_err());
    assert!(engine.profile_dims("input:0", 2).is_err());
    assert!(engine.layer_count().unwrap() > 0);
    engine.device_memory_bytes().unwrap();
    let json = engine.inspect_json().unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(
        json["Layers"]
            .as_array()
            .is_some_and(|layers| !layers.is_empty()),
        "{json}"
    );
}

#[test]
fn both_ways_to_run_give_the_values_in_every_profile() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let stream = Stream::new(&machine.context).unwrap();
    for &way in machine.ways() {
        let engine = machine.engine();
        let mut context = engine.context(way).unwrap();
        run(&mut context, &stream, 1);
        run(&mut context, &stream, 3);
        stream
            .scope(|scope| context.set_profile(1, scope).unwrap())
            .unwrap();
        run(&mut context, &stream, 16);
        let x = engine.position("input:0").unwrap();
        assert!(context.set_input_shape(x, &[17, 3]).is_err());
        assert!(context.set_input_shape(2, &[1, 3]).is_err());
    }
}

#[test]
fn a_recorded_run_replays() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let stream = Stream::new(&machine.context).unwrap();
    for &way in machine.ways() {
        let mut context = machine.engine().context(way).unwrap();
        run(&mut context, &stream, 2);
        let from = DeviceBuffer::new(&machine.context, 24).unwrap();
        let to = DeviceBuffer::new(&machine.context, 24).unwrap();
        let regions = in_order(context.engine(), from.region(), to.region());
        let graph = stream
            .capture(|scope| Ok(context.enqueue(scope, &regions)?))
            .unwrap();
        let other = Stream::new(&machine.context).unwrap();
        let busy = other
            .scope(|scope| context.enqueue(scope, &regions))
            .unwrap();
        assert!(matches!(busy, Err(TensorRtError::Busy)), "{busy:?}");
        drop(context);
        for sign in [1.0, -1.0] {
            let input = bytes(&[sign; 6]);
            let mut output = vec![9u8; 24];
            stream
                .scope(|scope| {
                    scope.upload(&from.region(), &input).unwrap();
                    scope.replay(&graph).unwrap();
                    scope.download(&mut output, &to.region()).unwrap();
                })
                .unwrap();
            assert_eq!(output, bytes(&[f32::max(sign, 0.0); 6]));
        }
    }
}

#[test]
fn wrong_regions_are_refused_and_layers_are_timed() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let stream = Stream::new(&machine.context).unwrap();
    for &way in machine.ways() {
        let mut context = machine.engine().context(way).unwrap();
        let small = DeviceBuffer::new(&machine.context, 20).unwrap().region();
        let x = context.engine().position("input:0").unwrap();
        context.set_input_shape(x, &[2, 3]).unwrap();
        let refused = stream
            .scope(|scope| context.enqueue(scope, &[small.clone(), small.clone()]))
            .unwrap();
        assert!(
            matches!(
                refused,
                Err(TensorRtError::Region {
                    needed: 24,
                    given: 20,
                    ..
                })
            ),
            "{refused:?}"
        );
        let refused = stream.scope(|scope| context.enqueue(scope, &[])).unwrap();
        assert!(
            matches!(refused, Err(TensorRtError::RegionCount { .. })),
            "{refused:?}"
        );

        let times = Arc::new(Mutex::new(0));
        let report = {
            let times = Arc::clone(&times);
            move |name: &str, ms: f32| {
                assert!(!name.is_empty() && ms >= 0.0);
                *times.lock().unwrap() += 1;
            }
        };
        context.set_profiler(Some(Box::new(report))).unwrap();
        run(&mut context, &stream, 2);
        let timed = *times.lock().unwrap();
        assert!(timed > 0);
        context.set_profiler(None).unwrap();
        run(&mut context, &stream, 2);
        assert_eq!(*times.lock().unwrap(), timed);
    }
}

#[test]
fn bytes_that_are_no_engine_are_refused_with_the_librarys_words() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let runtime = Runtime::new(&machine.library).unwrap();
    let half = machine.bytes.len() / 2;
    for bytes in [b"no engine".as_slice(), &machine.bytes[..half]] {
        let error = runtime.deserialize(bytes).unwrap_err();
        let TensorRtError::CallFailed { call, log, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(*call, "VRuntime::deserializeCudaEngine");
        assert!(!log.is_empty());
    }
}
