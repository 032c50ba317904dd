use tfjet_core::{ActivationType, DType, NetworkTensor, Shape};

use super::*;

/// A chain of shuffles behind an activation, with another activation at the end: what is left of
/// it, and the tensor that the last activation reads.
fn folded(first: &[usize], chain: &[(Layer, &[usize])]) -> (Vec<Layer>, String) {
    let mut spec = network(first, chain);
    let before: Vec<String> = spec.tensors.iter().map(|it| it.name.clone()).collect();
    let same = fold_shuffles(&mut spec);
    for (gone, other) in same {
        let [gone, other] = [gone, other].map(|id| spec.tensor(id).unwrap().shape.clone());
        assert_eq!(gone, other);
    }
    let after: Vec<String> = spec.tensors.iter().map(|it| it.name.clone()).collect();
    assert_eq!(before, after, "tensors keep their ids");
    let read = spec.layers.last().unwrap().inputs[0];
    let inner = spec.layers[1..spec.layers.len() - 1].iter();
    (
        inner.map(|layer| layer.layer.clone()).collect(),
        spec.tensor(read).unwrap().name.clone(),
    )
}

fn network(first: &[usize], chain: &[(Layer, &[usize])]) -> NetworkSpec {
    let tensor = |name: String, dims: &[usize]| NetworkTensor {
        name,
        dtype: DType::F32,
        shape: Shape::fixed(dims),
    };
    let mut spec = NetworkSpec {
        tensors: vec![tensor("x".into(), first)],
        inputs: vec![TensorId(0)],
        ..NetworkSpec::default()
    };
    let last = chain.last().map_or(first, |(_, dims)| dims);
    let all = [(relu(), first)].into_iter().chain(chain.iter().cloned());
    for (index, (layer, dims)) in all.chain([(relu(), last)]).enumerate() {
        spec.tensors.push(tensor(format!("t{index}"), dims));
        let made = TensorId(u32::try_from(index + 1).unwrap());
        spec.layers.push(LayerSpec {
            name: format!("layer{index}"),
            layer,
            inputs: vec![TensorId(made.0 - 1)],
            outputs: vec![made],
        });
        spec.outputs = vec![made];
    }
    spec
}

fn relu() -> Layer {
    Layer::Activation {
        kind: ActivationType::Relu,
        alpha: 0.0,
        beta: 0.0,
    }
}

fn transpose(order: &[usize]) -> Layer {
    Move::Transpose(order.to_vec()).layer()
}

fn reshape(sizes: &[usize]) -> Layer {
    Move::Reshape(sizes.to_vec()).layer()
}

#[test]
fn what_undoes_itself_is_gone() {
    let to_last = [0, 2, 3, 1];
    let to_first = [0, 3, 1, 2];
    let (left, read) = folded(
        &[1, 3, 5, 7],
        &[
            (transpose(&to_last), &[1, 5, 7, 3]),
            (reshape(&[5, 7, 3]), &[5, 7, 3]),
            (reshape(&[1, 5, 7, 3]), &[1, 5, 7, 3]),
            (transpose(&to_first), &[1, 3, 5, 7]),
        ],
    );
    assert_eq!((left, read.as_str()), (vec![], "t0"));
    let (left, read) = folded(&[2, 3], &[(reshape(&[2, 3]), &[2, 3])]);
    assert_eq!((left, read.as_str()), (vec![], "t0"));
}

#[test]
fn two_of_a_kind_become_one() {
    let (left, read) = folded(
        &[2, 3, 4],
        &[(reshape(&[6, 4]), &[6, 4]), (reshape(&[24]), &[24])],
    );
    assert_eq!((left, read.as_str()), (vec![reshape(&[24])], "t2"));
    let (left, _) = folded(
        &[2, 3, 4],
        &[
            (transpose(&[2, 0, 1]), &[4, 2, 3]),
            (transpose(&[0, 2, 1]), &[4, 3, 2]),
        ],
    );
    assert_eq!(left, [transpose(&[2, 1, 0])]);
}

#[test]
fn what_moves_elements_stays() {
    let chain = [
        (transpose(&[1, 0]), [3usize, 2].as_slice()),
        (reshape(&[2, 3]), &[2, 3]),
        (transpose(&[1, 0]), &[3, 2]),
    ];
    let (left, read) = folded(&[2, 3], &chain);
    assert_eq!(left, chain.clone().map(|(layer, _)| layer));
    assert_eq!(read, "t3");
}

#[test]
fn a_tensor_that_is_read_elsewhere_stays_made() {
    let chain = [
        (reshape(&[6]), [6usize].as_slice()),
        (reshape(&[2, 3]), &[2, 3]),
    ];
    let mut spec = network(&[2, 3], &chain);
    spec.outputs.push(TensorId(2));
    let same = fold_shuffles(&mut spec);
    assert_eq!(same, BTreeMap::from([(TensorId(3), TensorId(1))]));
    let names: Vec<&str> = spec.layers.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["layer0", "layer1", "layer3"]);
    assert_eq!(spec.layers[2].inputs, [TensorId(1)]);
}

#[test]
fn an_output_keeps_the_layer_that_makes_it() {
    let mut spec = network(&[2, 3], &[(reshape(&[2, 3]), &[2, 3])]);
    spec.outputs.push(TensorId(2));
    assert!(fold_shuffles(&mut spec).is_empty());
    assert_eq!(spec.layers.len(), 3);
}

#[test]
fn sizes_that_are_not_known_stay() {
    let mut spec = network(&[2, 3], &[(reshape(&[2, 3]), &[2, 3])]);
    let unknown = tfjet_core::Dim::Symbolic("n".into());
    spec.tensors[2].shape = Shape(vec![unknown, tfjet_core::Dim::Fixed(3)]);
    let before = spec.clone();
    assert!(fold_shuffles(&mut spec).is_empty());
    assert_eq!(spec, before);
}
