use std::sync::Arc;

use tfjet_core::{AttrReader, DType, Dim, Layer, Shape, Tensor, TensorId, WeightsId};

use super::builder::NetworkBuilder;
use super::layout::Layout;
use super::{Refusal, refuse};
use crate::graph::infer::Context;
use crate::graph::{Formula, Node, NodeId, SymbolicInt, WireFact, WireId};

/// One node while it is lowered: its attributes, inputs and outputs, and the network it goes to.
pub(super) struct Op<'b, 'a> {
    pub(super) builder: &'b mut NetworkBuilder<'a>,
    pub(super) id: NodeId,
    pub(super) node: &'a Node,
    pub(super) attrs: AttrReader<'a>,
}

impl<'b, 'a> Op<'b, 'a> {
    pub(super) fn new(builder: &'b mut NetworkBuilder<'a>, id: NodeId) -> Self {
        let node = builder.typed.graph.node(id);
        builder.at_hand.node = Some(id);
        Self {
            builder,
            id,
            node,
            attrs: AttrReader::new(&node.attrs),
        }
    }

    /// Checks that every attribute was read.
    pub(super) fn finish(self) -> Result<(), Refusal> {
        Ok(self.attrs.finish()?)
    }

    pub(super) fn wire(&self, index: usize) -> Result<WireId, Refusal> {
        self.node.inputs.get(index).copied().ok_or_else(|| {
            Refusal(format!(
                "input {index} is missing, the node has {}",
                self.node.inputs.len()
            ))
        })
    }

    pub(super) fn fact(&self, index: usize) -> Result<&'a WireFact, Refusal> {
        Ok(self.builder.typed.fact(self.wire(index)?))
    }

    /// Element type and shape of an input, where a network can hold it.
    pub(super) fn input_type(&self, index: usize) -> Result<(DType, Shape), Refusal> {
        self.builder.type_of(self.wire(index)?)
    }

    pub(super) fn shape(&self, index: usize) -> Result<Shape, Refusal> {
        Ok(self.input_type(index)?.1)
    }

    /// Element type of an input, which must be among `allowed`.
    pub(super) fn dtype(&self, index: usize, allowed: &[DType]) -> Result<DType, Refusal> {
        let (dtype, _) = self.input_type(index)?;
        if allowed.contains(&dtype) {
            return Ok(dtype);
        }
        let names: Vec<&str> = allowed.iter().map(|dtype| dtype.name()).collect();
        refuse(format!(
            "data type {dtype} is not supported for {}, must be one of {}",
            self.node.op,
            names.join(", ")
        ))
    }

    pub(super) fn constant(&self, index: usize) -> Result<Option<Arc<Tensor>>, Refusal> {
        Ok(self.fact(index)?.value.clone())
    }

    pub(super) fn require_constant(
        &self,
        index: usize,
        role: &str,
    ) -> Result<Arc<Tensor>, Refusal> {
        match self.constant(index)? {
            Some(value) => Ok(value),
            None => refuse(format!(
                "the input \"{role}\" for {} must be a constant",
                self.node.op
            )),
        }
    }

    /// The integers of a constant input.
    pub(super) fn integers(&self, index: usize, role: &str) -> Result<Vec<i64>, Refusal> {
        let value = self.require_constant(index, role)?;
        match value.dtype() {
            DType::I32 => Ok(value
                .as_slice::<i32>()?
                .iter()
                .map(|&v| i64::from(v))
                .collect()),
            DType::I64 => Ok(value.as_slice::<i64>()?.to_vec()),
            other => refuse(format!(
                "the input \"{role}\" is {other}, not int32 or int64"
            )),
        }
    }

    /// The whole numbers of an input that is constant or follows from sizes.
    pub(super) fn sizes(&self, index: usize, role: &str) -> Result<Vec<Formula>, Refusal> {
        let elements = self.builder.typed.elements(self.wire(index)?);
        let formulas = elements.and_then(|all| all.iter().map(SymbolicInt::formula).collect());
        match formulas {
            Some(formulas) => Ok(formulas),
            None => refuse(format!(
                "the input \"{role}\" for {} must be a constant or follow from shapes",
                self.node.op
            )),
        }
    }

    /// The dim of all elements of `dims` together.
    pub(super) fn product(&self, dims: &[Dim]) -> Result<Dim, Refusal> {
        let sizes = &self.builder.typed.sizes;
        let product = dims.iter().try_fold(Formula::from(1), |product, dim| {
            product.mul(&sizes.formula(dim))
        });
        match product.and_then(|product| sizes.dim(&product)) {
            Some(dim) => Ok(dim),
            None => refuse(format!("{} has too many elements", Shape(dims.to_vec()))),
        }
    }

    /// The formula of each dim.
    pub(super) fn formulas(&self, shape: &Shape) -> Vec<Formula> {
        let sizes = &self.builder.typed.sizes;
        shape.dims().iter().map(|dim| sizes.formula(dim)).collect()
    }

    /// The node with what is known about its inputs.
    pub(super) fn context(&self) -> Result<Context<'a>, Refusal> {
        Ok(Context {
            node: self.node,
            inputs: (0..self.node.inputs.len())
                .map(|i| self.fact(i))
                .collect::<Result<_, _>>()?,
            attrs: AttrReader::new(&self.node.attrs),
            sizes: &self.builder.typed.sizes,
        })
    }

    pub(super) fn integer(&self, index: usize, role: &str) -> Result<i64, Refusal> {
        match self.integers(index, role)?.as_slice() {
            [value] => Ok(*value),
            values => refuse(format!(
                "the input \"{role}\" has {} elements, not 1",
                values.len()
            )),
        }
    }

    /// Element type and TensorFlow shape of an output.
    pub(super) fn output_type(&self, slot: u32) -> Result<(DType, Shape), Refusal> {
        self.builder.type_of(WireId::new(self.id, slot))
    }

    /// The layout in which an input is at hand.
    pub(super) fn layout(&self, index: usize) -> Result<Layout, Refusal> {
        Ok(self.builder.layout(self.wire(index)?))
    }

    pub(super) fn tensor(&mut self, index: usize, layout: Layout) -> Result<TensorId, Refusal> {
        let wire = self.wire(index)?;
        self.builder.tensor(wire, layout)
    }

    pub(super) fn weights(
        &mut self,
        make: impl FnOnce() -> Result<Arc<Tensor>, Refusal>,
    ) -> Result<WeightsId, Refusal> {
        self.builder.weights(make)
    }

    /// Adds a layer of one output with `native` TensorFlow shape, laid out in `layout`.
    pub(super) fn emit(
        &mut self,
        layer: Layer,
        inputs: &[TensorId],
        dtype: DType,
        native: &Shape,
        layout: Layout,
    ) -> TensorId {
        if let ([input], 0, Layer::Unary { .. } | Layer::Activation { .. }) =
            (inputs, native.rank(), &layer)
        {
            return self.emit_of_scalar(layer, *input, dtype);
        }
        self.builder.layer(
            &self.node.name,
            layer,
            inputs,
            &[(dtype, layout.shape(native))],
        )[0]
    }

    /// A layer that TensorRT has of vectors only, of a scalar.
    fn emit_of_scalar(&mut self, layer: Layer, input: TensorId, dtype: DType) -> TensorId {
        let (name, one) = (self.node.name.clone(), Shape::fixed(&[1]));
        let shuffle = |builder: &mut NetworkBuilder<'_>, from, to: &Shape| {
            // Numbers reshape to a vector of one and back.
            builder.reshape(&name, from, to).unwrap_or(from)
        };
        let vector = shuffle(self.builder, input, &one);
        let outputs = [(dtype, one.clone())];
        let made = self.builder.layer(&name, layer, &[vector], &outputs)[0];
        shuffle(self.builder, made, &Shape::default())
    }

    /// A constant layer of `tensor`.
    pub(super) fn constant_layer(
        &mut self,
        suffix: &str,
        dtype: DType,
        shape: &[usize],
        make: impl FnOnce() -> Result<Arc<Tensor>, Refusal>,
    ) -> Result<TensorId, Refusal> {
        let name = format!("{}/{suffix}", self.node.name);
        self.builder
            .constant(&name, dtype, Shape::fixed(shape), make)
    }

    /// A constant number that broadcasts against tensors of `rank`.
    pub(super) fn number(
        &mut self,
        number: f32,
        dtype: DType,
        rank: usize,
    ) -> Result<TensorId, Refusal> {
        let ones = vec![1; rank];
        let value = match dtype {
            DType::F32 => Tensor::from_slice(&ones, &[number])?,
            DType::F16 => Tensor::from_slice(&ones, &[half::f16::from_f32(number)])?,
            DType::I32 => Tensor::from_slice(&ones, &[number as i32])?,
            DType::I64 => Tensor::from_slice(&ones, &[number as i64])?,
            other => return refuse(format!("a constant of {other} has no layer")),
        };
        self.constant_layer("constant", dtype, &ones, || Ok(Arc::new(value)))
    }

    /// Says that `tensor` is output `slot`.
    pub(super) fn output(&mut self, slot: u32, tensor: TensorId, layout: Layout) {
        self.builder
            .place(WireId::new(self.id, slot), tensor, layout);
    }

    /// A layer that maps output 0 from input 0 and keeps its layout.
    pub(super) fn map(&mut self, layer: Layer) -> Result<(), Refusal> {
        let layout = self.layout(0)?;
        let (dtype, shape) = self.output_type(0)?;
        let input = self.tensor(0, layout)?;
        let output = self.emit(layer, &[input], dtype, &shape, layout);
        self.output(0, output, layout);
        Ok(())
    }

    /// Does anything read output `slot`?
    pub(super) fn is_used(&self, slot: u32) -> bool {
        self.readers(WireId::new(self.id, slot)) > 0
    }

    /// How many nodes and outputs of the graph read `wire`.
    pub(super) fn readers(&self, wire: WireId) -> usize {
        let typed = self.builder.typed;
        let outputs = typed.graph.outputs.iter().filter(|it| it.wire == wire);
        let live = typed.order.iter().map(|id| typed.graph.node(*id));
        outputs.count() + live.filter(|node| node.inputs.contains(&wire)).count()
    }

    /// Element type of the first two inputs, which must be one among `allowed`.
    pub(super) fn common_dtype(&self, allowed: &[DType]) -> Result<DType, Refusal> {
        let (left, right) = (self.dtype(0, allowed)?, self.dtype(1, allowed)?);
        if left != right {
            return refuse(format!(
                "the inputs are {left} and {right}, expected one type"
            ));
        }
        Ok(left)
    }

    /// Checks that an input is of type `dtype` and broadcasts to `to`.
    pub(super) fn broadcasts(&self, index: usize, dtype: DType, to: &Shape) -> Result<(), Refusal> {
        let (found, shape) = self.input_type(index)?;
        if found != dtype {
            return refuse(format!("input {index} is {found}, not {dtype}"));
        }
        let fits = |(from, to): (&Dim, &Dim)| match (from, to) {
            (Dim::Fixed(from), Dim::Fixed(to)) => *from == 1 || from == to,
            _ => true,
        };
        let pairs = shape.dims().iter().rev().zip(to.dims().iter().rev());
        if shape.rank() > to.rank() || !pairs.into_iter().all(fits) {
            return refuse(format!(
                "input {index} of shape {shape} does not broadcast to {to}"
            ));
        }
        Ok(())
    }

    /// Input `index` as an operand that broadcasts in `layout` against tensors of `rank`: size-1
    /// axes are put in front where its rank is lower.
    pub(super) fn operand(
        &mut self,
        index: usize,
        rank: usize,
        layout: Layout,
    ) -> Result<TensorId, Refusal> {
        let (dtype, shape) = self.input_type(index)?;
        if shape.rank() == rank {
            return self.tensor(index, layout);
        }
        if shape.rank() > rank {
            return refuse(format!(
                "input {index} of shape {shape} has more than {rank} axes"
            ));
        }
        let mut dims = vec![Dim::Fixed(1); rank.saturating_sub(shape.rank())];
        dims.extend_from_slice(shape.dims());
        let padded = Shape(dims);
        if let Some(value) = self.constant(index)? {
            self.builder.check_constant(&self.node.name, &value)?;
            let sizes = padded.as_fixed().unwrap_or_default();
            let order = layout.order(rank);
            let arranged = layout.arrange(&sizes);
            return self.constant_layer("constant", dtype, &arranged, || {
                let mut value = (*value).clone();
                value.reshape(&sizes)?;
                Ok(Arc::new(super::permute(&value, &order)?))
            });
        }
        let native = self.tensor(index, Layout::Native)?;
        let name = format!("{}/operand", self.node.name);
        let native = self.builder.reshape(&name, native, &padded)?;
        self.builder.transpose(&name, native, &layout.order(rank))
    }
}

/// Floating-point types that layers take.
pub(super) const FLOATS: &[DType] = &[DType::F32, DType::F16];
/// Floats and the integers of indices.
pub(super) const NUMBERS: &[DType] = &[DType::F32, DType::F16, DType::I32, DType::I64];
/// Everything that layers which only move data take.
pub(super) const ANY: &[DType] = &[
    DType::F32,
    DType::F16,
    DType::I32,
    DType::I64,
    DType::I8,
    DType::U8,
    DType::Bool,
];
