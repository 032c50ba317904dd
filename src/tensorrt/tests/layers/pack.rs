use tfjet_core::{DType, Dim, Layer, NetworkSpec, TensorId, TensorView, WeightsId, WeightsTable};
use tfjet_tensorrt::{Profile, ShapeRange, WeightsSource};

use crate::case::{self, Case, Dims};
use crate::reference::Array;

/// Several cases side by side in one network.
pub struct Pack {
    pub spec: NetworkSpec,
    pub cases: Vec<Case>,
    table: WeightsTable,
    blob: Vec<u64>,
}

fn shifted(id: &mut WeightsId, by: usize) {
    id.0 += u32::try_from(by).unwrap();
}

impl Pack {
    pub fn new(cases: &[Case], dims: impl Fn(&Case) -> Dims) -> Self {
        let mut spec = NetworkSpec {
            name: "cases".into(),
            ..NetworkSpec::default()
        };
        let mut weights: Vec<(DType, Array)> = Vec::new();
        for (number, case) in cases.iter().enumerate() {
            let mut one = case::spec(case, dims(case));
            let tensors = u32::try_from(spec.tensors.len()).unwrap();
            let moved = |ids: &[TensorId]| ids.iter().map(|id| TensorId(id.0 + tensors)).collect();
            for tensor in &mut one.tensors {
                tensor.name = format!("{number}/{}", tensor.name);
                for dim in &mut tensor.shape.0 {
                    if let Dim::Symbolic(symbol) = dim {
                        *symbol = format!("{number}/{symbol}");
                    }
                }
            }
            for mut layer in one.layers {
                layer.name = format!("{number}/{}/{}", case.name, layer.name);
                layer.inputs = moved(&layer.inputs);
                layer.outputs = moved(&layer.outputs);
                match &mut layer.layer {
                    Layer::Constant { weights: id } => shifted(id, weights.len()),
                    Layer::Convolution { kernel, bias, .. }
                    | Layer::Deconvolution { kernel, bias, .. } => {
                        for id in std::iter::once(kernel).chain(bias) {
                            shifted(id, weights.len());
                        }
                    }
                    Layer::Scale { scale, shift } => {
                        for id in scale.iter_mut().chain(shift) {
                            shifted(id, weights.len());
                        }
                    }
                    _ => {}
                }
                spec.layers.push(layer);
            }
            spec.inputs.extend::<Vec<_>>(moved(&one.inputs));
            spec.outputs.extend::<Vec<_>>(moved(&one.outputs));
            spec.tensors.extend(one.tensors);
            weights.extend(case.stored());
        }
        let (table, bytes) = case::weights(&weights);
        let words = bytes.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_ne_bytes(word)
        });
        Self {
            blob: words.collect(),
            spec,
            cases: cases.to_vec(),
            table,
        }
    }

    /// What goes in, in the order of the network's inputs.
    pub fn inputs(&self) -> impl Iterator<Item = (DType, Array)> {
        self.cases.iter().flat_map(Case::fed)
    }

    /// What comes out, in the order of the network's outputs, with its case and its place there.
    pub fn expected(&self) -> impl Iterator<Item = (&Case, usize, &(DType, Array))> {
        self.cases.iter().flat_map(|case| {
            let outputs = case.expected.iter().enumerate();
            outputs.map(move |(place, expected)| (case, place, expected))
        })
    }

    /// One profile, for the sizes of the cases only.
    pub fn profiles(&self) -> Vec<Profile> {
        let ranges = self
            .inputs()
            .map(|(_, array)| ShapeRange::only(&array.shape));
        vec![Profile(ranges.collect())]
    }
}

impl WeightsSource for Pack {
    fn weights(&self, id: WeightsId) -> Option<TensorView<'_>> {
        let entry = self.table.get(id)?;
        let start = usize::try_from(entry.offset).ok()?;
        let bytes: &[u8] = bytemuck::cast_slice(&self.blob);
        let bytes = bytes.get(start..start + usize::try_from(entry.len_bytes).ok()?)?;
        TensorView::new(entry.dtype, &entry.shape, bytes).ok()
    }
}
