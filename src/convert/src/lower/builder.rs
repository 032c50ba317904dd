use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tfjet_core::{
    DType, Dim, Layer, LayerSpec, NetworkSpec, NetworkTensor, ReshapeDim, Shape, Target, Tensor,
    TensorId, WeightsId,
};

use super::graph_ranges::GraphRanges;
use super::layout::{Layout, inverse};
use super::size::AtHand;
use super::space_to_batch::{Dilated, DilatedConvolutions};
use super::{Refusal, WeightsStore, permute, refuse};
use crate::graph::{NodeId, TypedGraph, WireId};

/// The network tensors that hold a wire, by layout.
#[derive(Debug, Clone, Copy, Default)]
struct Placed {
    native: Option<TensorId>,
    channels_first: Option<TensorId>,
}

/// Builds one network.
pub(super) struct NetworkBuilder<'a> {
    pub(super) typed: &'a TypedGraph,
    weights: Option<&'a mut WeightsStore>,
    spec: NetworkSpec,
    wires: BTreeMap<WireId, Placed>,
    layer_names: BTreeSet<String>,
    tensor_names: BTreeSet<String>,
    narrows_int64: bool,
    pub(super) at_hand: AtHand,
    pub(super) dilated: DilatedConvolutions,
    pub(super) ranges: GraphRanges,
}

impl<'a> NetworkBuilder<'a> {
    pub(super) fn new(typed: &'a TypedGraph, weights: &'a mut WeightsStore, name: &str) -> Self {
        Self {
            typed,
            weights: Some(weights),
            spec: NetworkSpec {
                name: name.into(),
                ..NetworkSpec::default()
            },
            wires: BTreeMap::new(),
            layer_names: BTreeSet::new(),
            tensor_names: BTreeSet::new(),
            narrows_int64: false,
            at_hand: AtHand::default(),
            dilated: DilatedConvolutions::default(),
            ranges: GraphRanges::default(),
        }
    }

    /// A builder that checks everything and keeps no weights. With `narrows_int64` an int64
    /// constant must fit into int32.
    pub(super) fn scratch(typed: &'a TypedGraph, narrows_int64: bool) -> Self {
        Self {
            typed,
            weights: None,
            spec: NetworkSpec::default(),
            wires: BTreeMap::new(),
            layer_names: BTreeSet::new(),
            tensor_names: BTreeSet::new(),
            narrows_int64,
            at_hand: AtHand::default(),
            dilated: DilatedConvolutions::default(),
            ranges: GraphRanges::default(),
        }
    }

    /// Does the builder keep no weights, and take every wire that is not there for an input?
    pub(super) fn is_scratch(&self) -> bool {
        self.weights.is_none()
    }

    /// What the convolution is together with the nodes around it, where these are gone.
    pub(super) fn dilated(&self, id: NodeId) -> Option<&Dilated> {
        self.dilated.by_node.get(&id)
    }

    /// Number of layers.
    pub(super) fn layers(&self) -> usize {
        self.spec.layers.len()
    }

    /// The first layer from `first` on that the target does not take.
    pub(super) fn lacking(&self, first: usize, target: &Target) -> Option<(String, Refusal)> {
        super::lacking(&self.spec, first, target)
    }

    /// Refuses a constant that the target cannot hold.
    pub(super) fn check_constant(&self, name: &str, value: &Tensor) -> Result<(), Refusal> {
        if !self.narrows_int64 || value.dtype() != DType::I64 {
            return Ok(());
        }
        match value
            .as_slice::<i64>()?
            .iter()
            .find(|v| i32::try_from(**v).is_err())
        {
            Some(v) => refuse(format!(
                "`{name}` holds {v}, and the target computes int64 as int32"
            )),
            None => Ok(()),
        }
    }

    /// Stores weights; `make` runs only where they are kept.
    pub(super) fn weights(
        &mut self,
        make: impl FnOnce() -> Result<Arc<Tensor>, Refusal>,
    ) -> Result<WeightsId, Refusal> {
        match self.weights.as_deref_mut() {
            Some(store) => Ok(store.add(make()?)),
            None => Ok(WeightsId(0)),
        }
    }

    fn unique(names: &mut BTreeSet<String>, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut count = 1;
        while !names.insert(name.clone()) {
            count += 1;
            name = format!("{wanted}#{count}");
        }
        name
    }

    fn tensor_id(&mut self, name: &str, dtype: DType, shape: Shape) -> TensorId {
        let name = Self::unique(&mut self.tensor_names, name);
        let id = TensorId(u32::try_from(self.spec.tensors.len()).unwrap_or(u32::MAX));
        self.at_hand.made(id, &shape);
        self.spec.tensors.push(NetworkTensor { name, dtype, shape });
        id
    }

    pub(super) fn tensor_at(&self, id: TensorId) -> Result<&NetworkTensor, Refusal> {
        self.spec
            .tensor(id)
            .ok_or_else(|| Refusal("a tensor of the network is missing".into()))
    }

    /// Adds a layer; each output is given by type and by shape in the network's own layout.
    pub(super) fn layer(
        &mut self,
        name: &str,
        layer: Layer,
        inputs: &[TensorId],
        outputs: &[(DType, Shape)],
    ) -> Vec<TensorId> {
        let name = Self::unique(&mut self.layer_names, name);
        let ids: Vec<TensorId> = outputs
            .iter()
            .enumerate()
            .map(|(slot, (dtype, shape))| {
                let tensor = if slot == 0 {
                    name.clone()
                } else {
                    format!("{name}:{slot}")
                };
                self.tensor_id(&tensor, *dtype, shape.clone())
            })
            .collect();
        self.spec.layers.push(LayerSpec {
            name,
            layer,
            inputs: inputs.to_vec(),
            outputs: ids.clone(),
        });
        ids
    }

    /// Declares a network input for a wire, in TensorFlow's layout.
    pub(super) fn input(&mut self, wire: WireId) -> Result<TensorId, Refusal> {
        let name = self.typed.graph.wire_name(wire);
        let (dtype, shape) = self.type_of(wire)?;
        let id = self.tensor_id(&name, dtype, shape.clone());
        self.at_hand.input(id, &shape);
        self.spec.inputs.push(id);
        self.place(wire, id, Layout::Native);
        Ok(id)
    }

    /// Type and shape of a wire, where a network can hold it.
    pub(super) fn type_of(&self, wire: WireId) -> Result<(DType, Shape), Refusal> {
        let fact = self.typed.fact(wire);
        let name = self.typed.graph.wire_name(wire);
        let Some(dtype) = fact.dtype else {
            return refuse(format!("the element type of `{name}` is not known"));
        };
        if matches!(
            dtype,
            DType::F64
                | DType::BF16
                | DType::I16
                | DType::U16
                | DType::U32
                | DType::U64
                | DType::C64
        ) {
            return refuse(format!("`{name}` is {dtype}, which no layer takes"));
        }
        let Some(shape) = fact.shape.clone() else {
            return refuse(format!("the rank of `{name}` is not known"));
        };
        if shape.dims().contains(&Dim::Fixed(0)) {
            return refuse(format!("`{name}` is an empty tensor of shape {shape}"));
        }
        if shape.rank() > 8 {
            return refuse(format!(
                "`{name}` has rank {}, layers take 8 at most",
                shape.rank()
            ));
        }
        Ok((dtype, shape))
    }

    pub(super) fn place(&mut self, wire: WireId, id: TensorId, layout: Layout) {
        let placed = self.wires.entry(wire).or_default();
        match layout {
            Layout::Native => placed.native = Some(id),
            Layout::ChannelsFirst => placed.channels_first = Some(id),
        }
    }

    /// Lets the tensors of `from` be those of `to` as well, and gives them.
    pub(super) fn alias(&mut self, from: WireId, to: WireId) -> Result<Vec<TensorId>, Refusal> {
        self.tensor(from, self.layout(from))?;
        let placed = self.wires.get(&from).copied().unwrap_or_default();
        self.wires.insert(to, placed);
        let tensors = placed.native.into_iter().chain(placed.channels_first);
        Ok(tensors.collect())
    }

    /// The layout in which the wire is at hand.
    pub(super) fn layout(&self, wire: WireId) -> Layout {
        match self.wires.get(&wire) {
            Some(Placed {
                channels_first: Some(_),
                ..
            }) => Layout::ChannelsFirst,
            _ => Layout::Native,
        }
    }

    /// The tensor that holds `wire` in `layout`, transposed where it is at hand in the other one
    /// only. A constant becomes a constant layer.
    pub(super) fn tensor(&mut self, wire: WireId, layout: Layout) -> Result<TensorId, Refusal> {
        let placed = self.wires.get(&wire).copied().unwrap_or_default();
        let (dtype, shape) = self.type_of(wire)?;
        let wanted = match layout {
            Layout::Native => placed.native,
            Layout::ChannelsFirst => placed.channels_first,
        };
        if let Some(id) = wanted {
            return Ok(id);
        }
        let name = self.typed.graph.wire_name(wire);
        if let Some(value) = self.typed.fact(wire).value.clone() {
            self.check_constant(&name, &value)?;
            let order = layout.order(shape.rank());
            let make = || Ok(Arc::new(permute(&value, &order)?));
            let id = self.constant(&name, dtype, layout.shape(&shape), make)?;
            self.place(wire, id, layout);
            return Ok(id);
        }
        if shape.rank() < 3 && layout == Layout::ChannelsFirst {
            return self.tensor(wire, Layout::Native);
        }
        if self.typed.is_derived(wire) && placed.channels_first.is_none() {
            let id = self.derived(wire, dtype, &shape)?;
            self.place(wire, id, Layout::Native);
            return Ok(id);
        }
        let (from, order) = match (layout, placed.native, placed.channels_first) {
            (Layout::ChannelsFirst, Some(native), _) => (native, layout.order(shape.rank())),
            (Layout::Native, _, Some(first)) => {
                (first, inverse(&Layout::ChannelsFirst.order(shape.rank())))
            }
            _ if self.is_scratch() => {
                let native = self.input(wire)?;
                if layout == Layout::Native {
                    return Ok(native);
                }
                (native, layout.order(shape.rank()))
            }
            _ => {
                return refuse(format!(
                    "`{name}` is not made by this segment or its inputs"
                ));
            }
        };
        let suffix = match layout {
            Layout::Native => "nhwc",
            Layout::ChannelsFirst => "nchw",
        };
        let id = self.transpose(&format!("{name}/{suffix}"), from, &order)?;
        self.place(wire, id, layout);
        Ok(id)
    }

    /// A constant layer of what `make` makes. Booleans are stored as numbers, since no release
    /// before TensorRT 10 has a constant of them.
    pub(super) fn constant(
        &mut self,
        name: &str,
        dtype: DType,
        shape: Shape,
        make: impl FnOnce() -> Result<Arc<Tensor>, Refusal>,
    ) -> Result<TensorId, Refusal> {
        if dtype != DType::Bool {
            let weights = self.weights(make)?;
            let layer = Layer::Constant { weights };
            return Ok(self.layer(name, layer, &[], &[(dtype, shape)])[0]);
        }
        let weights = self.weights(|| {
            let value = make()?;
            let numbers: Vec<i32> = value.bytes().iter().map(|&byte| byte.into()).collect();
            Ok(Arc::new(Tensor::from_slice(value.shape(), &numbers)?))
        })?;
        let (layer, cast) = (Layer::Constant { weights }, Layer::Cast { to: dtype });
        let numbers = [(DType::I32, shape.clone())];
        let numbers = self.layer(&format!("{name}/numbers"), layer, &[], &numbers);
        Ok(self.layer(name, cast, &numbers, &[(dtype, shape)])[0])
    }

    /// Axis `i` of the result is axis `order[i]` of `from`. Where only axes of size 1 change
    /// places this is a reshape, which moves no data.
    pub(super) fn transpose(
        &mut self,
        name: &str,
        from: TensorId,
        order: &[usize],
    ) -> Result<TensorId, Refusal> {
        let NetworkTensor { dtype, shape, .. } = self.tensor_at(from)?.clone();
        if order.iter().enumerate().all(|(i, &axis)| i == axis) {
            return Ok(from);
        }
        let result = Shape(
            order
                .iter()
                .map(|&axis| shape.dims()[axis].clone())
                .collect(),
        );
        let moving: Vec<usize> = order
            .iter()
            .copied()
            .filter(|&axis| shape.dims()[axis] != Dim::Fixed(1))
            .collect();
        if moving.is_sorted()
            && let Some(reshape) = reshape_dims(&shape, &result)
        {
            return Ok(self.shuffle(name, from, Vec::new(), Some(reshape), dtype, result));
        }
        Ok(self.shuffle(name, from, order.to_vec(), None, dtype, result))
    }

    /// The same elements under another shape.
    pub(super) fn reshape(
        &mut self,
        name: &str,
        from: TensorId,
        to: &Shape,
    ) -> Result<TensorId, Refusal> {
        let NetworkTensor { dtype, shape, .. } = self.tensor_at(from)?.clone();
        if shape == *to {
            return Ok(from);
        }
        let Some(dims) = reshape_dims(&shape, to) else {
            let sizes: Vec<_> = to
                .dims()
                .iter()
                .map(|dim| self.typed.sizes.formula(dim))
                .collect();
            let sizes = self.sizes(name, &sizes)?;
            return Ok(self.layer(name, Layer::Reshape, &[from, sizes], &[(dtype, to.clone())])[0]);
        };
        Ok(self.shuffle(name, from, Vec::new(), Some(dims), dtype, to.clone()))
    }

    fn shuffle(
        &mut self,
        name: &str,
        from: TensorId,
        first_transpose: Vec<usize>,
        reshape: Option<Vec<ReshapeDim>>,
        dtype: DType,
        shape: Shape,
    ) -> TensorId {
        let layer = Layer::Shuffle {
            first_transpose,
            reshape,
            second_transpose: Vec::new(),
        };
        self.layer(name, layer, &[from], &[(dtype, shape)])[0]
    }

    /// Makes a wire a network output, in TensorFlow's layout.
    pub(super) fn output(&mut self, wire: WireId) -> Result<(), Refusal> {
        let id = self.tensor(wire, Layout::Native)?;
        let name = self.typed.graph.wire_name(wire);
        if self.spec.outputs.contains(&id) || self.spec.inputs.contains(&id) {
            let order: Vec<usize> = Vec::new();
            let NetworkTensor { dtype, shape, .. } = self.tensor_at(id)?.clone();
            let copy = self.shuffle(&name, id, order, None, dtype, shape);
            self.spec.outputs.push(copy);
            return Ok(());
        }
        if !self.tensor_names.contains(&name)
            && let Some(tensor) = usize::try_from(id.0)
                .ok()
                .and_then(|i| self.spec.tensors.get_mut(i))
        {
            self.tensor_names.remove(&tensor.name);
            self.tensor_names.insert(name.clone());
            tensor.name = name;
        }
        self.spec.outputs.push(id);
        Ok(())
    }

    /// The network, and the graph's ranges of its tensors.
    pub(super) fn finish(self) -> Result<(NetworkSpec, GraphRanges), Refusal> {
        if self.spec.layers.is_empty() {
            return refuse("the segment has no layers");
        }
        Ok((self.spec, self.ranges))
    }
}

/// How to reshape `from` to `to`: sizes where they are fixed, symbols copied from the same axis,
/// one symbol at most left to be inferred.
pub(super) fn reshape_dims(from: &Shape, to: &Shape) -> Option<Vec<ReshapeDim>> {
    let mut inferred = false;
    to.dims()
        .iter()
        .enumerate()
        .map(|(axis, dim)| match dim {
            Dim::Fixed(size) => Some(ReshapeDim::Fixed(*size)),
            Dim::Symbolic(_) if from.dims().get(axis) == Some(dim) => Some(ReshapeDim::Copy),
            Dim::Symbolic(_) if !inferred => {
                inferred = true;
                Some(ReshapeDim::Infer)
            }
            Dim::Symbolic(_) => None,
        })
        .collect()
}
