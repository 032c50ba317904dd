//! A maker of CPU sessions of `y = 2x`, whose builds end when a test wants them to, and a log of
//! what it and its sessions did.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use half::f16;
use tfjet_bundle::Bundle;
use tfjet_core::{
    DType, ElementWiseOperation, Layer, LayerSpec, NetworkSpec, NetworkTensor, Tensor, TensorId,
    TensorView,
};
use tfjet_cpu::Library;
use tfjet_onnx::{OnnxOptions, to_onnx};
use tfjet_runtime::{
    Backend, BuildFailure, CpuBackend, Engine, EngineError, OnMiss, PendingBuild, Session,
    SessionCache, SessionCacheOptions, SessionError, SessionMaker, SessionOptions, ShapeKey,
};

use crate::common::{Model, shape};

/// A key from text: `1x2, 4`.
pub(crate) fn key(text: &str) -> ShapeKey {
    let shape = |dims: &str| match dims {
        "scalar" => Vec::new(),
        dims => dims.split('x').map(|dim| dim.parse().unwrap()).collect(),
    };
    let shapes = text.split(", ").filter(|dims| !dims.is_empty());
    ShapeKey(shapes.map(shape).collect())
}

pub(crate) fn keys(texts: &[&str]) -> Vec<ShapeKey> {
    texts.iter().map(|text| key(text)).collect()
}

/// A bundle of `y = 2x` with inputs of these dims.
pub(crate) fn bundle(dtype: DType, dims: &str) -> Arc<Bundle> {
    let mut model = Model::default();
    let x = model.input(dtype, dims);
    let y = model.computed(dtype, dims);
    model.output(y);
    let two = match dtype {
        DType::F16 => Tensor::from_slice(&[1, 1], &[f16::from_f32(2.0)]).unwrap(),
        _ => Tensor::from_slice(&[1, 1], &[2.0f32]).unwrap(),
    };
    let weights = model.weights(&two);
    let tensor = |name: &str, dims: &str| NetworkTensor {
        name: name.into(),
        dtype,
        shape: shape(dims),
    };
    let layer = |name: &str, layer, inputs, output| LayerSpec {
        name: name.into(),
        layer,
        inputs,
        outputs: vec![TensorId(output)],
    };
    let operation = ElementWiseOperation::Prod;
    let network = NetworkSpec {
        name: "double".into(),
        tensors: vec![tensor("x", dims), tensor("two", "1,1"), tensor("y", dims)],
        inputs: vec![TensorId(0)],
        outputs: vec![TensorId(2)],
        layers: vec![
            layer("two", Layer::Constant { weights }, vec![], 1),
            layer(
                "y",
                Layer::ElementWise { operation },
                vec![TensorId(0), TensorId(1)],
                2,
            ),
        ],
    };
    let onnx = to_onnx(&network, &model.table, &OnnxOptions::default()).unwrap();
    model.onnx.push((0, onnx));
    model.engine(0, &[x], &[y]);
    model.networks[0] = network;
    model.bundle()
}

/// What a test and its maker share: what lies on the disk, how builds go, and what happened.
#[derive(Clone)]
pub(crate) struct Shop {
    bundle: Arc<Bundle>,
    library: Option<Library>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
pub(crate) struct State {
    /// Engines that were built.
    pub(crate) disk: BTreeSet<ShapeKey>,
    /// Failed builds that outlive the process.
    pub(crate) failures: HashMap<ShapeKey, BuildFailure>,
    /// Builds of these shapes end so.
    pub(crate) failing: BTreeMap<ShapeKey, String>,
    /// Builds of other shapes than these cannot be begun.
    pub(crate) only: Option<BTreeSet<ShapeKey>>,
    /// What is built of these shapes cannot be loaded.
    pub(crate) unloadable: BTreeSet<ShapeKey>,
    /// Sessions of these names fail to run.
    pub(crate) broken: BTreeSet<String>,
    /// How often a build is looked at before it ends; none while it is to run on.
    pub(crate) looks: Option<u32>,
    /// Widths that the session for a range of shapes takes.
    pub(crate) range: Option<std::ops::RangeInclusive<usize>>,
    /// Does the maker tell what was built?
    pub(crate) lists_built: bool,
    /// What happened, such as `build 1x2`, `run fallback`.
    pub(crate) log: Vec<String>,
    /// Sessions that are alive.
    pub(crate) sessions: usize,
    pub(crate) running: usize,
    pub(crate) most_running: usize,
}

impl Shop {
    /// Sessions of closures.
    pub(crate) fn new() -> Self {
        Self::of(bundle(DType::F32, "n,m"), None)
    }

    /// Sessions of a bundle, of closures or on ONNX Runtime.
    pub(crate) fn of(bundle: Arc<Bundle>, library: Option<Library>) -> Self {
        let looks = Some(0);
        let state = State {
            looks,
            ..State::default()
        };
        Self {
            bundle,
            library,
            state: Arc::new(Mutex::new(state)),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// What happened since the last call, without what sessions ran.
    pub(crate) fn deeds(&self) -> Vec<String> {
        let log = std::mem::take(&mut self.state().log);
        log.into_iter()
            .filter(|it| !it.starts_with("run "))
            .collect()
    }

    /// A session for shapes that `takes` allows.
    pub(crate) fn session(&self, name: &str, takes: Takes) -> Result<Session, SessionError> {
        let backend = Doubles {
            shop: self.clone(),
            name: name.into(),
            takes,
        };
        let options = SessionOptions {
            threads: 1,
            ..SessionOptions::default()
        };
        Session::load_on(self.bundle.clone(), Some(&backend), &options)
    }

    pub(crate) fn fallback(&self) -> Session {
        self.session("fallback", Takes::All).unwrap()
    }

    pub(crate) fn cache(&self, capacity: usize, on_miss: OnMiss) -> SessionCache {
        let options = SessionCacheOptions {
            capacity,
            on_miss,
            ..SessionCacheOptions::default()
        };
        self.cache_with(options, true)
    }

    pub(crate) fn cache_with(
        &self,
        options: SessionCacheOptions,
        has_fallback: bool,
    ) -> SessionCache {
        let manifest = self.bundle.manifest().unwrap();
        let fallback = has_fallback.then(|| self.fallback());
        SessionCache::new(manifest, Box::new(Maker(self.clone())), fallback, options)
    }

    /// Runs shapes, checks that the outputs are twice the inputs, and tells which session served.
    pub(crate) fn run(&self, cache: &mut SessionCache, shapes: &str) -> String {
        self.try_run(cache, shapes).unwrap()
    }

    pub(crate) fn try_run(
        &self,
        cache: &mut SessionCache,
        shapes: &str,
    ) -> Result<String, SessionError> {
        let ShapeKey(shapes) = key(shapes);
        let inputs: Vec<Tensor> = shapes.iter().map(|shape| ramp(shape)).collect();
        let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
        let outputs = cache.run(&views)?;
        for (input, (_, output)) in inputs.iter().zip(outputs.iter()) {
            assert_eq!(output.shape(), input.shape());
            let input = input.as_slice::<f32>().unwrap();
            let doubled: Vec<f32> = input.iter().map(|x| x * 2.0).collect();
            assert_eq!(output.as_slice::<f32>().unwrap(), doubled);
        }
        let state = self.state();
        let last = state.log.iter().rev().find(|it| it.starts_with("run "));
        Ok(last.unwrap()["run ".len()..].to_owned())
    }
}

fn ramp(shape: &[usize]) -> Tensor {
    let len = shape.iter().product::<usize>();
    let values: Vec<f32> = (0..len).map(|i| i as f32 - 1.5).collect();
    Tensor::from_slice(shape, &values).unwrap()
}

/// Which inputs a session takes.
#[derive(Debug, Clone)]
pub(crate) enum Takes {
    All,
    /// Batches from 1 to that of the key, and its other dims.
    Batches(ShapeKey),
    /// Any batch and these widths.
    Widths(std::ops::RangeInclusive<usize>),
}

impl Takes {
    fn admits(&self, shape: &[usize]) -> bool {
        match self {
            Self::All => true,
            Self::Batches(key) => {
                let own = &key.0[0];
                shape.len() == own.len()
                    && (1..=own[0]).contains(&shape[0])
                    && shape[1..] == own[1..]
            }
            Self::Widths(widths) => shape.len() == 2 && widths.contains(&shape[1]),
        }
    }
}

struct Doubles {
    shop: Shop,
    name: String,
    takes: Takes,
}

impl Backend for Doubles {
    fn name(&self) -> &'static str {
        "a doubler"
    }

    fn engine(
        &self,
        bundle: &Arc<Bundle>,
        segment: u32,
        options: &SessionOptions,
    ) -> Result<Box<dyn Engine>, EngineError> {
        let library = self.shop.library.as_ref();
        let inner = library.map(|it| CpuBackend::new(it).engine(bundle, segment, options));
        self.shop.state().sessions += 1;
        Ok(Box::new(Doubler {
            shop: self.shop.clone(),
            name: self.name.clone(),
            takes: self.takes.clone(),
            inner: inner.transpose()?,
        }))
    }
}

/// Refuses shapes that it was not built for, as an engine of TensorRT does.
struct Doubler {
    shop: Shop,
    name: String,
    takes: Takes,
    inner: Option<Box<dyn Engine>>,
}

impl Engine for Doubler {
    fn run(
        &mut self,
        inputs: &[TensorView<'_>],
        outputs: &mut [Tensor],
    ) -> Result<(), EngineError> {
        let name = &self.name;
        let shape = inputs[0].shape();
        assert!(self.takes.admits(shape), "{name} was given {shape:?}");
        if self.shop.state().broken.contains(name) {
            return Err(EngineError::Other(format!("{name} is broken").into()));
        }
        match &mut self.inner {
            Some(inner) => inner.run(inputs, outputs)?,
            None => double(&inputs[0], &mut outputs[0]),
        }
        self.shop.state().log.push(format!("run {name}"));
        Ok(())
    }
}

fn double(input: &TensorView<'_>, output: &mut Tensor) {
    output.reset(input.dtype(), input.shape()).unwrap();
    match input.dtype() {
        DType::F16 => {
            let from = input.as_slice::<f16>().unwrap();
            let to = output.as_mut_slice::<f16>().unwrap();
            for (to, from) in to.iter_mut().zip(from) {
                *to = f16::from_f32(from.to_f32() * 2.0);
            }
        }
        _ => {
            let from = input.as_slice::<f32>().unwrap();
            let to = output.as_mut_slice::<f32>().unwrap();
            for (to, from) in to.iter_mut().zip(from) {
                *to = from * 2.0;
            }
        }
    }
}

impl Drop for Doubler {
    fn drop(&mut self) {
        self.shop.state().sessions -= 1;
    }
}

struct Maker(Shop);

impl SessionMaker for Maker {
    fn load(&mut self, shapes: &ShapeKey) -> Result<Option<Session>, SessionError> {
        self.0.state().log.push(format!("load {shapes}"));
        if self.0.state().unloadable.contains(shapes) {
            return Err(in_pieces());
        }
        if !self.0.state().disk.contains(shapes) {
            return Ok(None);
        }
        let takes = Takes::Batches(shapes.clone());
        self.0.session(&shapes.to_string(), takes).map(Some)
    }

    fn build(&mut self, shapes: &ShapeKey) -> Result<Box<dyn PendingBuild>, String> {
        let mut state = self.0.state();
        state.log.push(format!("build {shapes}"));
        if state
            .only
            .as_ref()
            .is_some_and(|only| !only.contains(shapes))
        {
            return Err(format!("{shapes} is beyond this maker"));
        }
        assert!(!state.disk.contains(shapes), "{shapes} is built twice");
        state.running += 1;
        state.most_running = state.most_running.max(state.running);
        Ok(Box::new(Build {
            shop: self.0.clone(),
            shapes: shapes.clone(),
            looks: 0,
        }))
    }

    fn built(&mut self) -> Vec<ShapeKey> {
        let state = self.0.state();
        let built = state.disk.iter().filter(|_| state.lists_built);
        built.cloned().collect()
    }

    fn covers(&self, shapes: &ShapeKey) -> bool {
        let state = self.0.state();
        let range = state.range.as_ref();
        range.is_some_and(|range| range.contains(&shapes.0[0][1]))
    }

    fn covering(&mut self, shapes: &ShapeKey) -> Result<Option<Session>, SessionError> {
        if !self.covers(shapes) {
            return Ok(None);
        }
        let range = self.0.state().range.clone().unwrap();
        self.0.state().log.push("load range".into());
        if self.0.state().unloadable.contains(&key("1x10")) {
            return Err(in_pieces());
        }
        self.0.session("range", Takes::Widths(range)).map(Some)
    }

    fn failure(&self, shapes: &ShapeKey) -> Option<BuildFailure> {
        self.0.state().failures.get(shapes).cloned()
    }

    fn remember_failure(&mut self, shapes: &ShapeKey, failure: &BuildFailure) {
        let mut state = self.0.state();
        state.log.push(format!("remember {shapes}"));
        state.failures.insert(shapes.clone(), failure.clone());
    }
}

fn in_pieces() -> SessionError {
    SessionError::Engine {
        step: 0,
        segment: 0,
        backend: "a doubler",
        source: Box::new(EngineError::Other("it is in pieces".into())),
    }
}

struct Build {
    shop: Shop,
    shapes: ShapeKey,
    looks: u32,
}

impl PendingBuild for Build {
    fn poll(&mut self) -> Option<Result<(), String>> {
        let mut state = self.shop.state();
        if state.looks.is_none_or(|looks| self.looks < looks) {
            self.looks += 1;
            return None;
        }
        if let Some(reason) = state.failing.get(&self.shapes) {
            return Some(Err(reason.clone()));
        }
        state.disk.insert(self.shapes.clone());
        Some(Ok(()))
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(250)
    }

    fn progress(&self) -> Option<String> {
        Some(format!("look {}", self.looks))
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        let mut state = self.shop.state();
        state.running -= 1;
        state.log.push(format!("end {}", self.shapes));
    }
}
