//! Bundles made by hand, and engines of closures.
#![allow(dead_code, clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;

use tfjet_bundle::{Bundle, BundleWriter, SectionKind};
use tfjet_core::{
    AttrValue, Attrs, DType, Decoder, Dim, Function, FunctionId, InputSpec, Layer, LayerSpec,
    Manifest, NetworkSpec, NetworkTensor, OutputSpec, Schedule, Shape, Step, Summary, Tensor,
    TensorId, TensorView, Value, ValueId, ValueSource, WeightsEntry, WeightsId, WeightsTable,
};
use tfjet_runtime::{Backend, Engine, EngineError, SessionOptions};

/// A shape in text: numbers are fixed dims, anything else is a symbol.
pub(crate) fn shape(dims: &str) -> Shape {
    let dims = dims.split(',').filter(|dim| !dim.is_empty());
    Shape(
        dims.map(|dim| match dim.parse() {
            Ok(size) => Dim::Fixed(size),
            Err(_) => Dim::Symbolic(dim.into()),
        })
        .collect(),
    )
}

/// Collects values and steps, then makes a bundle of them. Values are named `v0`, `v1`, ...
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) schedule: Schedule,
    pub(crate) table: WeightsTable,
    pub(crate) weights: Vec<u8>,
    pub(crate) onnx: Vec<(u32, Vec<u8>)>,
    pub(crate) networks: Vec<NetworkSpec>,
}

impl Model {
    fn value(&mut self, dtype: DType, shape: Option<Shape>, source: ValueSource) -> u32 {
        let id = u32::try_from(self.schedule.values.len()).unwrap();
        self.schedule.values.push(Value {
            name: format!("v{id}"),
            dtype,
            shape,
            source,
        });
        id
    }

    pub(crate) fn input(&mut self, dtype: DType, dims: &str) -> u32 {
        let id = self.value(dtype, Some(shape(dims)), ValueSource::Input);
        self.schedule.inputs.push(ValueId(id));
        id
    }

    pub(crate) fn computed(&mut self, dtype: DType, dims: &str) -> u32 {
        self.value(dtype, Some(shape(dims)), ValueSource::Computed)
    }

    pub(crate) fn unknown(&mut self, dtype: DType) -> u32 {
        self.value(dtype, None, ValueSource::Computed)
    }

    pub(crate) fn weights(&mut self, tensor: &Tensor) -> WeightsId {
        let offset = self.weights.len().next_multiple_of(64);
        self.weights.resize(offset, 0);
        self.weights.extend(tensor.bytes());
        self.table.entries.push(WeightsEntry {
            dtype: tensor.dtype(),
            shape: tensor.shape().to_vec(),
            offset: offset as u64,
            len_bytes: tensor.bytes().len() as u64,
        });
        WeightsId(u32::try_from(self.table.entries.len() - 1).unwrap())
    }

    pub(crate) fn constant(&mut self, tensor: &Tensor) -> u32 {
        let id = self.weights(tensor);
        let shape = Some(Shape::fixed(tensor.shape()));
        self.value(tensor.dtype(), shape, ValueSource::Constant(id))
    }

    pub(crate) fn engine(&mut self, segment: u32, inputs: &[u32], outputs: &[u32]) {
        let step = Step::Engine {
            segment,
            inputs: ids(inputs),
            outputs: ids(outputs),
        };
        self.schedule.steps.push(step);
        if segment as usize == self.networks.len() {
            self.networks.push(stand_in(inputs.len(), outputs.len()));
        }
    }

    pub(crate) fn argument(&mut self, dtype: DType, dims: &str) -> u32 {
        self.value(dtype, Some(shape(dims)), ValueSource::Argument)
    }

    /// Takes the steps that were added by `build` out of the schedule and makes a function of them,
    /// whose results are those that `build` returns. Functions of an outer one are to be reserved
    /// before those inside it, see [`Model::reserve`].
    pub(crate) fn function(
        &mut self,
        id: u32,
        arguments: &[u32],
        build: impl FnOnce(&mut Self) -> Vec<u32>,
    ) {
        let outer = std::mem::take(&mut self.schedule.steps);
        let outputs = build(self);
        let steps = std::mem::replace(&mut self.schedule.steps, outer);
        self.schedule.functions[id as usize] = Function {
            name: format!("f{id}"),
            inputs: ids(arguments),
            outputs: ids(&outputs),
            steps,
        };
    }

    /// Room for two functions: those of one loop or condition.
    pub(crate) fn reserve(&mut self) -> [u32; 2] {
        let first = u32::try_from(self.schedule.functions.len()).unwrap();
        let functions = &mut self.schedule.functions;
        functions.resize_with(functions.len() + 2, Function::default);
        [first, first + 1]
    }

    /// A loop whose node is `node<index of the step>`.
    pub(crate) fn while_loop(&mut self, functions: [u32; 2], inputs: &[u32], outputs: &[u32]) {
        self.schedule.steps.push(Step::While {
            node: format!("node{}", self.schedule.steps.len()),
            condition: FunctionId(functions[0]),
            body: FunctionId(functions[1]),
            inputs: ids(inputs),
            outputs: ids(outputs),
        });
    }

    /// A condition whose node is `node<index of the step>`.
    pub(crate) fn branch(&mut self, functions: [u32; 2], inputs: &[u32], outputs: &[u32]) {
        self.schedule.steps.push(Step::If {
            node: format!("node{}", self.schedule.steps.len()),
            then_branch: FunctionId(functions[0]),
            else_branch: FunctionId(functions[1]),
            inputs: ids(inputs),
            outputs: ids(outputs),
        });
    }

    /// Counts `i` from 0 below `limit`: a loop that carries `i` and then `first`, with values from
    /// outside that `body` reads. `body` gets the arguments, `i` among them, and gives the next of
    /// all but `i`. Returns the loop's outputs.
    pub(crate) fn count_below(
        &mut self,
        limit: u32,
        first: &[(u32, DType, &str)],
        captured: &[u32],
        body: impl FnOnce(&mut Self, &[u32]) -> Vec<u32>,
    ) -> Vec<u32> {
        let functions = self.reserve();
        let zero = self.constant(&Tensor::scalar(0i32));
        let one = self.constant(&Tensor::scalar(1i32));
        let carried: Vec<(u32, DType, &str)> = std::iter::once((zero, DType::I32, ""))
            .chain(first.iter().copied())
            .collect();
        let mut values = |make: fn(&mut Self, DType, &str) -> u32| -> Vec<u32> {
            let carried = carried.iter();
            carried
                .map(|(_, dtype, dims)| make(self, *dtype, dims))
                .collect()
        };
        let (asked, arguments) = (values(Self::argument), values(Self::argument));
        let outputs = values(Self::computed);
        self.function(functions[0], &asked, |model| {
            let less = model.computed(DType::Bool, "");
            model.op("Less", Attrs::default(), &[asked[0], limit], &[less]);
            vec![less]
        });
        self.function(functions[1], &arguments, |model| {
            let next = model.computed(DType::I32, "");
            model.op("AddV2", Attrs::default(), &[arguments[0], one], &[next]);
            let mut results = vec![next];
            results.extend(body(model, &arguments));
            results
        });
        let inputs = carried.iter().map(|(value, ..)| *value);
        let inputs: Vec<u32> = inputs
            .chain([limit])
            .chain(captured.iter().copied())
            .collect();
        self.while_loop(functions, &inputs, &outputs);
        outputs
    }

    /// A residual step whose node is `node<index of the step>`.
    pub(crate) fn op(&mut self, op_type: &str, attrs: Attrs, inputs: &[u32], outputs: &[u32]) {
        self.schedule.steps.push(Step::Residual {
            node: format!("node{}", self.schedule.steps.len()),
            op_type: op_type.into(),
            attrs,
            inputs: ids(inputs),
            outputs: ids(outputs),
        });
    }

    pub(crate) fn output(&mut self, value: u32) {
        self.schedule.outputs.push(ValueId(value));
    }

    pub(crate) fn manifest(&self) -> Manifest {
        let value = |id: &ValueId| self.schedule.value(*id).unwrap().clone();
        let inputs = self.schedule.inputs.iter().map(value);
        let outputs = self.schedule.outputs.iter().map(value);
        Manifest {
            model: "test".into(),
            tfjet_version: "0".into(),
            target: String::new(),
            inputs: inputs
                .map(|value| InputSpec {
                    name: value.name,
                    dtype: value.dtype,
                    shape: value.shape,
                })
                .collect(),
            outputs: outputs
                .map(|value| OutputSpec {
                    name: value.name,
                    dtype: value.dtype,
                    shape: value.shape,
                })
                .collect(),
            preprocess: None,
            decoder: Decoder::Raw,
            labels: Vec::new(),
            summary: Summary::default(),
        }
    }

    pub(crate) fn bytes(&self, manifest: &Manifest) -> Vec<u8> {
        let mut writer = BundleWriter::new();
        writer
            .add_postcard(SectionKind::Manifest, "", 0, manifest)
            .unwrap();
        writer
            .add_postcard(SectionKind::Schedule, "", 0, &self.schedule)
            .unwrap();
        writer
            .add_postcard(SectionKind::WeightsTable, "", 0, &self.table)
            .unwrap();
        for (segment, network) in (0..).zip(&self.networks) {
            writer
                .add_postcard(SectionKind::Network, "", segment, network)
                .unwrap();
        }
        for (segment, onnx) in &self.onnx {
            writer
                .add(SectionKind::Onnx, "", *segment, onnx.clone())
                .unwrap();
        }
        writer
            .add(SectionKind::Weights, "", 0, self.weights.clone())
            .unwrap();
        writer.to_bytes().unwrap()
    }

    pub(crate) fn bundle(&self) -> Arc<Bundle> {
        let bytes = self.bytes(&self.manifest());
        Arc::new(Bundle::from_bytes(bytes).unwrap())
    }
}

fn ids(values: &[u32]) -> Vec<ValueId> {
    values.iter().copied().map(ValueId).collect()
}

/// A network of one layer, which no engine of a test looks at.
fn stand_in(inputs: usize, outputs: usize) -> NetworkSpec {
    let tensor = |i: usize| NetworkTensor {
        name: i.to_string(),
        dtype: DType::F32,
        shape: Shape::default(),
    };
    let ids = |range: std::ops::Range<usize>| {
        let ids = range.map(|i| TensorId(u32::try_from(i).unwrap()));
        ids.collect::<Vec<_>>()
    };
    NetworkSpec {
        name: "segment".into(),
        tensors: (0..inputs + outputs).map(tensor).collect(),
        inputs: ids(0..inputs),
        outputs: ids(inputs..inputs + outputs),
        layers: vec![LayerSpec {
            name: "layer".into(),
            layer: Layer::Select,
            inputs: ids(0..inputs),
            outputs: ids(inputs..inputs + outputs),
        }],
    }
}

type Run = dyn FnMut(&[TensorView<'_>], &mut [Tensor]) -> Result<(), EngineError> + Send;

/// An engine that runs a closure.
pub(crate) struct FakeEngine(pub(crate) Box<Run>);

impl Engine for FakeEngine {
    fn run(
        &mut self,
        inputs: &[TensorView<'_>],
        outputs: &mut [Tensor],
    ) -> Result<(), EngineError> {
        (self.0)(inputs, outputs)
    }
}

/// Makes the engine of a segment by a closure.
pub(crate) struct FakeBackend<F>(pub(crate) F);

impl<F> Backend for FakeBackend<F>
where
    F: Fn(u32) -> Result<FakeEngine, EngineError>,
{
    fn name(&self) -> &'static str {
        "a fake"
    }

    fn engine(
        &self,
        _: &Arc<Bundle>,
        segment: u32,
        _: &SessionOptions,
    ) -> Result<Box<dyn Engine>, EngineError> {
        Ok(Box::new((self.0)(segment)?))
    }
}

/// An engine of one input and output: `function` on each element.
pub(crate) fn map(function: impl Fn(f32) -> f32 + Send + 'static) -> FakeEngine {
    FakeEngine(Box::new(move |inputs, outputs| {
        let [input] = inputs else {
            return Err(EngineError::Other("one input".into()));
        };
        let other = |e: tfjet_core::TensorError| EngineError::Other(Box::new(e));
        outputs[0].reset(DType::F32, input.shape()).map_err(other)?;
        let from = input.as_slice::<f32>().map_err(other)?;
        let to = outputs[0].as_mut_slice::<f32>().map_err(other)?;
        for (to, from) in to.iter_mut().zip(from) {
            *to = function(*from);
        }
        Ok(())
    }))
}

pub(crate) fn attrs<const N: usize>(named: [(&str, AttrValue); N]) -> Attrs {
    let mut attrs = Attrs::default();
    for (name, value) in named {
        attrs.insert(name, value);
    }
    attrs
}

pub(crate) fn f32s(shape: &[usize], values: &[f32]) -> Tensor {
    Tensor::from_slice(shape, values).unwrap()
}
