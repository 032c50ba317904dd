//! Engines of a bundle's segments, checked against its networks.

use std::collections::BTreeMap;

use smallvec::SmallVec;
use tfjet_core::{DType, Dim, NetworkSpec, NetworkTensor, TensorId};
use tfjet_tensorrt::{Engine, IoTensor, Runtime};

use super::convert::is_known;
use super::profiles::{self, Range, profile_for};
use super::{EngineSource, Gpu, GpuError};
use crate::EngineError;

/// The prefix of an engine's inputs, before the index in the network's inputs.
const INPUT: &str = "input:";
/// The same of its outputs.
const OUTPUT: &str = "output:";

/// An engine that fits its network.
#[derive(Clone)]
pub(crate) struct SegmentEngine {
    pub(crate) segment: u32,
    pub(crate) engine: Engine,
    pub(crate) inputs: Vec<EngineTensor>,
    pub(crate) outputs: Vec<EngineTensor>,
    /// Does it wait for the device while it is enqueued?
    pub(crate) waits_for_values: bool,
    /// For its inputs in the order of [`Engine::io`].
    profiles: Vec<Vec<Range>>,
}

impl SegmentEngine {
    /// Does it take inputs of several shapes?
    pub(crate) fn is_dynamic(&self) -> bool {
        let mut inputs = self.engine.io().iter().filter(|tensor| tensor.is_input);
        inputs.any(|tensor| tensor.dims.iter().any(|&size| size < 0))
    }

    /// The profile for inputs of these shapes, which `shape` gives for an index into
    /// [`Engine::io`].
    ///
    /// # Errors
    /// [`GpuError::Shapes`] where the engine was built for none that takes them.
    pub(crate) fn profile_for<'a>(
        &self,
        shape: impl Fn(usize) -> Option<&'a [usize]>,
    ) -> Result<usize, GpuError> {
        let inputs = self.engine.io().iter().enumerate();
        let inputs = inputs.filter(|(_, tensor)| tensor.is_input);
        let shapes: SmallVec<[&[usize]; 8]> = inputs
            .map(|(io, _)| shape(io).unwrap_or_default())
            .collect();
        profile_for(&self.profiles, &shapes).ok_or_else(|| {
            let inputs = self.engine.io().iter().filter(|tensor| tensor.is_input);
            let names: Vec<&str> = inputs.map(|tensor| tensor.name.as_str()).collect();
            GpuError::Shapes {
                given: profiles::shapes_text(&names, &shapes),
                built: profiles::profiles_text(&names, &self.profiles),
            }
        })
    }
}

/// An input or output of a network, in the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EngineTensor {
    /// Index in [`Engine::io`].
    pub(crate) io: usize,
    /// Element type that the engine holds it in.
    pub(crate) held: DType,
}

/// The engines of a schedule's segments.
pub(crate) struct Engines(BTreeMap<u32, SegmentEngine>);

impl Engines {
    /// Loads the engine of each of `segments`.
    ///
    /// # Errors
    /// The segment, and why its engine cannot be had.
    pub(crate) fn load(
        gpu: &Gpu,
        source: &dyn EngineSource,
        segments: impl IntoIterator<Item = u32>,
        network: impl Fn(u32) -> Result<NetworkSpec, EngineError>,
    ) -> Result<Self, (u32, EngineError)> {
        let mut runtime = None;
        let mut engines = BTreeMap::new();
        for segment in segments {
            if engines.contains_key(&segment) {
                continue;
            }
            let mut load = || {
                let network = network(segment)?;
                let bytes = source.engine(segment)?;
                gpu.context().make_current().map_err(GpuError::from)?;
                let runtime = match &mut runtime {
                    Some(runtime) => runtime,
                    empty => empty.insert(Runtime::new(gpu.library()).map_err(GpuError::from)?),
                };
                if let Some(core) = source.dla_core(segment) {
                    runtime.set_dla_core(core).map_err(GpuError::from)?;
                }
                let engine = runtime.deserialize(&bytes).map_err(GpuError::from)?;
                let (inputs, outputs) = fit(&network, engine.io())?;
                Ok(SegmentEngine {
                    segment,
                    waits_for_values: network.waits_for_values(),
                    profiles: profiles::of_engine(&engine).map_err(GpuError::from)?,
                    engine,
                    inputs,
                    outputs,
                })
            };
            engines.insert(segment, load().map_err(|error| (segment, error))?);
        }
        Ok(Self(engines))
    }

    pub(crate) fn get(&self, segment: u32) -> Option<&SegmentEngine> {
        self.0.get(&segment)
    }
}

/// Where the network's inputs and outputs are in the engine.
fn fit(
    network: &NetworkSpec,
    io: &[IoTensor],
) -> Result<(Vec<EngineTensor>, Vec<EngineTensor>), GpuError> {
    let described = io.iter().map(|tensor| {
        let held = tensor
            .dtype
            .dtype()
            .ok_or_else(|| GpuError::EngineMismatch {
                expected: format!("`{}` of a type that tensors have", tensor.name),
                found: format!("{:?}", tensor.dtype),
            })?;
        Ok(Described {
            name: tensor.name.clone(),
            held,
            dims: tensor.dims.clone(),
            is_input: tensor.is_input,
        })
    });
    check(network, described.collect::<Result<Vec<_>, GpuError>>()?)
}

/// An [`IoTensor`] in our own types.
#[derive(Debug)]
struct Described {
    name: String,
    held: DType,
    dims: Vec<i64>,
    is_input: bool,
}

fn check(
    network: &NetworkSpec,
    io: Vec<Described>,
) -> Result<(Vec<EngineTensor>, Vec<EngineTensor>), GpuError> {
    let inputs = io.iter().filter(|tensor| tensor.is_input).count();
    let counts = |inputs: usize, outputs: usize| format!("{inputs} inputs and {outputs} outputs");
    if (inputs, io.len() - inputs) != (network.inputs.len(), network.outputs.len()) {
        return Err(GpuError::EngineMismatch {
            expected: counts(network.inputs.len(), network.outputs.len()),
            found: counts(inputs, io.len() - inputs),
        });
    }
    let mut by_name: BTreeMap<String, (usize, Described)> = io
        .into_iter()
        .enumerate()
        .map(|(index, tensor)| (tensor.name.clone(), (index, tensor)))
        .collect();
    let mut find = |prefix: &str, is_input: bool, ids: &[TensorId]| {
        let tensors = ids.iter().enumerate().map(|(index, &id)| {
            let name = format!("{prefix}{index}");
            let expected = network.tensor(id).ok_or_else(|| GpuError::EngineMismatch {
                expected: format!("a network that has `{name}`"),
                found: format!("none with tensor {}", id.0),
            })?;
            match by_name.remove(&name) {
                Some((io, tensor)) if tensor.is_input == is_input => {
                    fits(&name, expected, tensor.held, &tensor.dims)?;
                    Ok(EngineTensor {
                        io,
                        held: tensor.held,
                    })
                }
                _ => Err(GpuError::EngineMismatch {
                    expected: format!("`{name}`"),
                    found: "an engine without it".into(),
                }),
            }
        });
        tensors.collect::<Result<Vec<_>, GpuError>>()
    };
    Ok((
        find(INPUT, true, &network.inputs)?,
        find(OUTPUT, false, &network.outputs)?,
    ))
}

/// Can the engine's tensor stand for the network's? Sizes that one of them leaves open may be
/// anything in the other.
fn fits(name: &str, expected: &NetworkTensor, held: DType, dims: &[i64]) -> Result<(), GpuError> {
    let mismatch = |expected: String, found: String| {
        Err(GpuError::EngineMismatch {
            expected: format!("`{name}` as {expected}"),
            found,
        })
    };
    if !is_known(expected.dtype, held) {
        return mismatch(expected.dtype.to_string(), held.to_string());
    }
    let same = |(dim, &size): (&Dim, &i64)| match dim {
        Dim::Fixed(fixed) => size < 0 || i64::try_from(*fixed) == Ok(size),
        Dim::Symbolic(_) => true,
    };
    if expected.shape.rank() == dims.len() && expected.shape.dims().iter().zip(dims).all(same) {
        return Ok(());
    }
    mismatch(expected.shape.to_string(), format!("{dims:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tfjet_core::Shape;

    fn network() -> NetworkSpec {
        let tensor = |name: &str, dtype, dims: Vec<Dim>| NetworkTensor {
            name: name.into(),
            dtype,
            shape: Shape(dims),
        };
        let n = || Dim::Symbolic("n".into());
        NetworkSpec {
            name: "segment".into(),
            tensors: vec![
                tensor("image", DType::U8, vec![n(), 4.into()]),
                tensor("ids", DType::I64, vec![2.into()]),
                tensor("scores", DType::F32, vec![n(), 3.into()]),
            ],
            inputs: vec![TensorId(1), TensorId(0)],
            outputs: vec![TensorId(2)],
            layers: Vec::new(),
        }
    }

    fn io(tensors: &[(&str, DType, &[i64])]) -> Vec<Described> {
        let described = tensors.iter().map(|&(name, held, dims)| Described {
            name: name.into(),
            held,
            dims: dims.to_vec(),
            is_input: name.starts_with(INPUT),
        });
        described.collect()
    }

    #[test]
    fn tensors_are_found_by_name_whatever_their_order_and_type_in_the_engine() {
        let engine = io(&[
            ("output:0", DType::F32, &[-1, 3]),
            ("input:1", DType::F32, &[8, 4]),
            ("input:0", DType::I32, &[2]),
        ]);
        let (inputs, outputs) = check(&network(), engine).unwrap();
        let at = |io, held| EngineTensor { io, held };
        assert_eq!(inputs, [at(2, DType::I32), at(1, DType::F32)]);
        assert_eq!(outputs, [at(0, DType::F32)]);
    }

    #[test]
    fn an_engine_of_another_network_is_refused_with_expected_and_found() {
        let ids = ("input:0", DType::I32, &[2][..]);
        let image = ("input:1", DType::U8, &[-1, 4][..]);
        let scores = ("output:0", DType::F32, &[-1, 3][..]);
        for (tensors, expected, found) in [
            (
                vec![ids, image],
                "2 inputs and 1 outputs",
                "2 inputs and 0 outputs",
            ),
            (
                vec![ids, ("input:2", DType::U8, &[-1, 4]), scores],
                "`input:1`",
                "an engine without it",
            ),
            (
                vec![ids, ("input:1", DType::I8, &[-1, 4]), scores],
                "`input:1` as uint8",
                "int8",
            ),
            (
                vec![ids, ("input:1", DType::U8, &[-1, 5]), scores],
                "`input:1` as [n,4]",
                "[-1, 5]",
            ),
            (
                vec![ids, ("input:1", DType::U8, &[4]), scores],
                "`input:1` as [n,4]",
                "[4]",
            ),
            (
                vec![ids, image, ("output:0", DType::F32, &[-1, 30])],
                "`output:0` as [n,3]",
                "[-1, 30]",
            ),
        ] {
            let error = check(&network(), io(&tensors)).unwrap_err().to_string();
            let message =
                format!("the engine does not fit the bundle: expected {expected}, found {found}");
            assert_eq!(error, message);
        }
    }
}
