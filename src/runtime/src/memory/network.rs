use tfjet_core::{Layer, NetworkSpec, TensorId};

use super::sizes::Sizes;

/// Most bytes that the tensors of a network take at one time, each from the layer that makes it
/// to the last that reads it. Its inputs, outputs and constants lie elsewhere and are not counted;
/// a layer that changes each element for itself does so in place where nobody else reads it.
pub(super) fn peak(network: &NetworkSpec, sizes: &mut Sizes) -> u64 {
    let count = network.tensors.len();
    let index = |id: &TensorId| usize::try_from(id.0).ok().filter(|&at| at < count);
    let mut last_reads = vec![None; count];
    for (layer, spec) in network.layers.iter().enumerate() {
        for tensor in spec.inputs.iter().filter_map(index) {
            last_reads[tensor] = Some(layer);
        }
    }
    let mut held: Vec<u64> = vec![0; count];
    let (mut now, mut peak) = (0u64, 0u64);
    for (layer, spec) in network.layers.iter().enumerate() {
        let dying = |tensor: &usize| last_reads[*tensor] == Some(layer);
        for output in &spec.outputs {
            let elsewhere =
                network.outputs.contains(output) || matches!(spec.layer, Layer::Constant { .. });
            let (Some(made), false) = (index(output), elsewhere) else {
                continue;
            };
            let tensor = &network.tensors[made];
            let bytes = sizes.bytes(Some(&tensor.shape), tensor.dtype);
            let mut read = spec.inputs.iter().filter_map(index);
            let reused = in_place(&spec.layer)
                .then(|| read.find(|at| dying(at) && held[*at] == bytes))
                .flatten();
            if let Some(reused) = reused {
                held[reused] = 0;
            } else {
                now = now.saturating_add(bytes);
            }
            held[made] = bytes;
        }
        peak = peak.max(now);
        let read = spec.inputs.iter().chain(&spec.outputs).filter_map(index);
        for tensor in read.filter(|at| last_reads[*at].is_none_or(|last| last == layer)) {
            now = now.saturating_sub(std::mem::take(&mut held[tensor]));
        }
    }
    peak
}

fn in_place(layer: &Layer) -> bool {
    matches!(
        layer,
        Layer::Activation { .. }
            | Layer::Scale { .. }
            | Layer::Unary { .. }
            | Layer::ElementWise { .. }
            | Layer::ParametricRelu
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use tfjet_core::{ActivationType, DType, Dim, LayerSpec, NetworkTensor, Shape, WeightsId};

    /// Tensors of these elements of one byte; layers from tensors to a tensor, in place or not.
    fn network(sizes: &[usize], layers: &[(&[u32], u32, bool)], outputs: &[u32]) -> NetworkSpec {
        let ids = |ids: &[u32]| ids.iter().copied().map(TensorId).collect::<Vec<_>>();
        let tensor = |(index, size): (usize, &usize)| NetworkTensor {
            name: index.to_string(),
            dtype: DType::U8,
            shape: match size {
                0 => Shape(vec![Dim::Symbolic("n".into()), Dim::Fixed(10)]),
                size => Shape::fixed(&[*size]),
            },
        };
        let layer = |(inputs, output, in_place): &(&[u32], u32, bool)| LayerSpec {
            name: output.to_string(),
            layer: match (inputs.is_empty(), in_place) {
                (true, _) => Layer::Constant {
                    weights: WeightsId(0),
                },
                (false, true) => Layer::Activation {
                    kind: ActivationType::Relu,
                    alpha: 0.0,
                    beta: 0.0,
                },
                (false, false) => Layer::Select,
            },
            inputs: ids(inputs),
            outputs: ids(&[*output]),
        };
        NetworkSpec {
            name: "network".into(),
            tensors: sizes.iter().enumerate().map(tensor).collect(),
            inputs: ids(&[0]),
            outputs: ids(outputs),
            layers: layers.iter().map(layer).collect(),
        }
    }

    #[test]
    fn the_peak_is_where_most_is_needed_at_once() {
        type Layers<'a> = &'a [(&'a [u32], u32, bool)];
        let cases: [(&str, &[usize], Layers<'_>, u64); 7] = [
            (
                "inputs and outputs lie elsewhere",
                &[5, 7],
                &[(&[0], 1, false)],
                0,
            ),
            (
                "a chain holds two",
                &[1, 10, 20, 5, 1],
                &[
                    (&[0], 1, false),
                    (&[1], 2, false),
                    (&[2], 3, false),
                    (&[3], 4, false),
                ],
                30,
            ),
            (
                "an activation takes the place of what it reads",
                &[1, 10, 10, 10, 1],
                &[
                    (&[0], 1, false),
                    (&[1], 2, true),
                    (&[2], 3, true),
                    (&[3], 4, false),
                ],
                10,
            ),
            (
                "but not where another layer reads it later",
                &[1, 10, 10, 1, 1],
                &[(&[0], 1, false), (&[1], 2, true), (&[1, 2], 4, false)],
                20,
            ),
            (
                "a branch is held until the end",
                &[1, 10, 20, 30, 1],
                &[
                    (&[0], 1, false),
                    (&[1], 2, false),
                    (&[2], 3, false),
                    (&[1, 3], 4, false),
                ],
                60,
            ),
            (
                "constants lie elsewhere",
                &[1, 10, 1],
                &[(&[], 1, false), (&[0, 1], 2, false)],
                0,
            ),
            (
                "open sizes are looked up",
                &[1, 0, 1],
                &[(&[0], 1, false), (&[1], 2, false)],
                70,
            ),
        ];
        for (what, tensors, layers, expected) in cases {
            let mut sizes = Sizes::default();
            sizes.bind(&Shape(vec![Dim::Symbolic("n".into())]), &[7]);
            let last = u32::try_from(tensors.len() - 1).expect("few");
            let network = network(tensors, layers, &[last]);
            assert_eq!(peak(&network, &mut sizes), expected, "{what}");
        }
    }

    #[test]
    fn a_wire_to_nowhere_is_passed_over() {
        let broken = network(&[1, 2], &[(&[9], 1, true), (&[1], 8, false)], &[7]);
        assert_eq!(peak(&broken, &mut Sizes::default()), 2);
    }
}
