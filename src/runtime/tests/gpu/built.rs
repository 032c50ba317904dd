//! Models with the engines of their segments.

use tfjet_core::{
    DType, ElementWiseOperation, Layer, LayerSpec, NetworkSpec, NetworkTensor, Tensor, TensorId,
    TensorView, WeightsId,
};
use tfjet_runtime::{Gpu, Session, SessionOptions};
use tfjet_tensorrt::{BuildOptions, Flavor, Profile, ShapeRange, WeightsSource, build_engine};

use crate::common::{FakeBackend, FakeEngine, Model, shape};

struct Weights(Vec<Tensor>);

impl WeightsSource for Weights {
    fn weights(&self, id: WeightsId) -> Option<TensorView<'_>> {
        Some(self.0.get(id.0 as usize)?.view())
    }
}

/// A model with what builds its engines, and what runs its segments on the host.
#[derive(Default)]
pub(crate) struct Built {
    pub(crate) model: Model,
    pub(crate) weights: Vec<Tensor>,
    segments: Vec<Segment>,
}

/// `x operation w`, of the type that the host computes with.
#[derive(Clone)]
struct Segment {
    dtype: DType,
    operation: ElementWiseOperation,
    by: f32,
}

pub(crate) const WIDTH: usize = 40;

impl Built {
    /// Adds a segment: the input [`rows`,40] `operation` a tensor of `by`, cast to float before
    /// where the input is of bytes.
    pub(crate) fn segment(
        &mut self,
        (input, dtype): (u32, DType),
        rows: &str,
        operation: ElementWiseOperation,
        by: f32,
    ) -> u32 {
        let inside = if dtype == DType::U8 {
            DType::F32
        } else {
            dtype
        };
        let values = match inside {
            DType::I64 => Tensor::from_slice(&[1, WIDTH], &[by as i64; WIDTH]).unwrap(),
            _ => Tensor::from_slice(&[1, WIDTH], &[by; WIDTH]).unwrap(),
        };
        let output = self.model.computed(inside, &format!("{rows},{WIDTH}"));
        let weights = self.model.weights(&values);
        self.weights.push(values);
        let tensor = |name: &str, dtype, rows: &str| NetworkTensor {
            name: name.into(),
            dtype,
            shape: shape(&format!("{rows},{WIDTH}")),
        };
        let layer = |name: &str, layer, inputs: &[u32], output| LayerSpec {
            name: name.into(),
            layer,
            inputs: inputs.iter().copied().map(TensorId).collect(),
            outputs: vec![TensorId(output)],
        };
        let mut layers = vec![layer("w", Layer::Constant { weights }, &[], 1)];
        let mut tensors = vec![
            tensor("x", dtype, rows),
            tensor("w", inside, "1"),
            tensor("y", inside, rows),
        ];
        let mut x = 0;
        if dtype == DType::U8 {
            tensors.push(tensor("cast", inside, rows));
            layers.push(layer("cast", Layer::Cast { to: inside }, &[0], 3));
            x = 3;
        }
        layers.push(layer("y", Layer::ElementWise { operation }, &[x, 1], 2));
        let segment = u32::try_from(self.segments.len()).unwrap();
        self.model.engine(segment, &[input], &[output]);
        self.model.networks[segment as usize] = NetworkSpec {
            name: format!("segment{segment}"),
            tensors,
            inputs: vec![TensorId(0)],
            outputs: vec![TensorId(2)],
            layers,
        };
        self.segments.push(Segment {
            dtype,
            operation,
            by,
        });
        output
    }

    /// Engines for up to 64 rows where their number is open.
    pub(crate) fn engines(&self, gpu: &Gpu) -> Vec<Vec<u8>> {
        self.engines_for(gpu, &[[1, 8, 64]])
    }

    /// Engines with these profiles, each the smallest, best and largest number of rows,
    /// where that is open.
    pub(crate) fn engines_for(&self, gpu: &Gpu, profiles: &[[usize; 3]]) -> Vec<Vec<u8>> {
        let weights = Weights(self.weights.clone());
        let build = |network: &NetworkSpec| {
            let rows = network.tensors[0].shape.dims()[0].fixed();
            let range = |rows| vec![rows, WIDTH];
            let profile = |rows: &[usize; 3]| {
                let [min, opt, max] = rows.map(range);
                Profile(vec![ShapeRange { min, opt, max }])
            };
            let profiles = match rows {
                Some(_) => vec![],
                None => profiles.iter().map(profile).collect(),
            };
            // Its own kernels do; TensorRT would look for cuBLAS and cuDNN otherwise.
            let is_full = gpu.library().version().flavor == Flavor::TensorRt;
            let options = BuildOptions {
                profiles,
                tactic_sources: is_full.then_some(0),
                ..BuildOptions::default()
            };
            let library = gpu.library();
            build_engine(library, network, &weights, &options, None, &mut |_| {})
                .unwrap()
                .engine
        };
        self.model.networks.iter().map(build).collect()
    }

    pub(crate) fn on_gpu(&self, gpu: &Gpu, options: &SessionOptions) -> Session {
        let engines = self.engines(gpu);
        Session::load_gpu(self.model.bundle(), gpu, &engines, options).unwrap()
    }

    /// The same on the host.
    pub(crate) fn on_host(&self) -> Session {
        let backend =
            FakeBackend(|segment: u32| Ok(on_host(self.segments[segment as usize].clone())));
        let options = SessionOptions::default();
        Session::load_on(self.model.bundle(), Some(&backend), &options).unwrap()
    }
}

fn on_host(segment: Segment) -> FakeEngine {
    FakeEngine(Box::new(move |inputs, outputs| {
        let (input, output) = (&inputs[0], &mut outputs[0]);
        let by = segment.by;
        if segment.dtype == DType::I64 {
            output.reset(DType::I64, input.shape()).unwrap();
            let to = output.as_mut_slice::<i64>().unwrap();
            for (to, from) in to.iter_mut().zip(input.as_slice::<i64>().unwrap()) {
                *to = match segment.operation {
                    ElementWiseOperation::Prod => from * by as i64,
                    _ => from + by as i64,
                };
            }
            return Ok(());
        }
        output.reset(DType::F32, input.shape()).unwrap();
        let from: Vec<f32> = match segment.dtype {
            DType::U8 => input.bytes().iter().map(|&byte| f32::from(byte)).collect(),
            _ => input.as_slice::<f32>().unwrap().to_vec(),
        };
        let to = output.as_mut_slice::<f32>().unwrap();
        for (to, from) in to.iter_mut().zip(from) {
            *to = match segment.operation {
                ElementWiseOperation::Prod => from * by,
                _ => from + by,
            };
        }
        Ok(())
    }))
}
