//! Sizes that only the run time knows, as shape tensors: vectors of int64.

use std::collections::BTreeMap;

use tfjet_core::{DType, Dim, ElementWiseOperation, Layer, SampleMode, Shape, TensorId};

use super::builder::NetworkBuilder;
use super::{Refusal, refuse};
use crate::graph::{Atom, Formula, NodeId, Sizes, SymbolicInt, WireId};

/// Where the network has sizes at hand.
#[derive(Debug, Default)]
pub(super) struct AtHand {
    /// Axes of network inputs, by the name of their dim.
    inputs: BTreeMap<String, (TensorId, usize)>,
    /// Axes of any tensor.
    made: BTreeMap<String, (TensorId, usize)>,
    /// The shapes of tensors.
    shapes: BTreeMap<TensorId, TensorId>,
    /// Sizes as vectors of one element.
    sizes: BTreeMap<Formula, TensorId>,
    /// Wires that had to be read for their shape.
    pub(super) demanded: Vec<WireId>,
    /// The node that is lowered.
    pub(super) node: Option<NodeId>,
}

impl AtHand {
    /// Notes the dims of a tensor that there is from now on.
    pub(super) fn made(&mut self, id: TensorId, shape: &Shape) {
        note(&mut self.made, id, shape);
    }

    /// Notes the dims of a network input.
    pub(super) fn input(&mut self, id: TensorId, shape: &Shape) {
        note(&mut self.inputs, id, shape);
    }
}

fn note(dims: &mut BTreeMap<String, (TensorId, usize)>, id: TensorId, shape: &Shape) {
    for (axis, dim) in shape.dims().iter().enumerate() {
        if let Dim::Symbolic(name) = dim {
            dims.entry(name.clone()).or_insert((id, axis));
        }
    }
}

fn one() -> Shape {
    Shape::fixed(&[1])
}

impl<'a> NetworkBuilder<'a> {
    fn formulas(&self) -> &'a Sizes {
        &self.typed.sizes
    }

    /// These sizes as one vector.
    pub(super) fn sizes(&mut self, name: &str, sizes: &[Formula]) -> Result<TensorId, Refusal> {
        if let Some(shape) = self.whole_shape(name, sizes) {
            return Ok(shape);
        }
        let mut pieces = Vec::new();
        let mut known: Vec<i64> = Vec::new();
        for size in sizes {
            if let Some(number) = size.known() {
                known.push(number);
                continue;
            }
            if !known.is_empty() {
                pieces.push(self.numbers(name, &std::mem::take(&mut known)));
            }
            pieces.push(self.size(name, size)?);
        }
        if !known.is_empty() {
            pieces.push(self.numbers(name, &known));
        }
        if let [only] = pieces[..] {
            return Ok(only);
        }
        let layer = Layer::Concatenation { axis: 0 };
        let vector = Shape::fixed(&[sizes.len()]);
        Ok(self.layer(
            &format!("{name}/sizes"),
            layer,
            &pieces,
            &[(DType::I64, vector)],
        )[0])
    }

    /// The shape of a tensor at hand that has these sizes and no others.
    fn whole_shape(&mut self, name: &str, sizes: &[Formula]) -> Option<TensorId> {
        let first = sizes.iter().find(|size| size.known().is_none())?;
        let symbol = symbol(self.formulas(), first)?;
        let (tensor, _) = *self.at_hand.inputs.get(&symbol)?;
        let shape = &self.tensor_at(tensor).ok()?.shape;
        let same = |(dim, size): (&Dim, &Formula)| self.formulas().formula(dim) == *size;
        let whole = shape.rank() == sizes.len() && shape.dims().iter().zip(sizes).all(same);
        whole.then(|| self.shape_of(name, tensor))
    }

    /// Numbers as a vector.
    fn numbers(&mut self, name: &str, numbers: &[i64]) -> TensorId {
        let layer = Layer::Numbers {
            values: numbers.to_vec(),
        };
        let shape = Shape::fixed(&[numbers.len()]);
        self.layer(
            &format!("{name}/numbers"),
            layer,
            &[],
            &[(DType::I64, shape)],
        )[0]
    }

    /// A size as a vector of one element.
    fn size(&mut self, name: &str, size: &Formula) -> Result<TensorId, Refusal> {
        if let Some(&made) = self.at_hand.sizes.get(size) {
            return Ok(made);
        }
        let made = self.new_size(name, size)?;
        self.at_hand.sizes.insert(size.clone(), made);
        Ok(made)
    }

    /// Shapes of network inputs come first: looking at the shape of a tensor in the middle may
    /// keep an engine from merging the layers around it.
    fn new_size(&mut self, name: &str, size: &Formula) -> Result<TensorId, Refusal> {
        if let Some(number) = size.known() {
            return Ok(self.numbers(name, &[number]));
        }
        let own = symbol(self.formulas(), size);
        let at = |dims: &BTreeMap<String, _>| own.as_ref().and_then(|own| dims.get(own).copied());
        if let Some((tensor, axis)) = at(&self.at_hand.inputs) {
            return self.axis_of(name, tensor, axis);
        }
        let inputs = &self.at_hand.inputs;
        let from_inputs = size
            .symbols()
            .iter()
            .all(|symbol| inputs.contains_key(*symbol));
        if let Some((tensor, axis)) = at(&self.at_hand.made).filter(|_| !from_inputs) {
            return self.axis_of(name, tensor, axis);
        }
        if let Some(symbol) = size.as_symbol() {
            let (tensor, axis) = self.demand(symbol)?;
            return self.axis_of(name, tensor, axis);
        }
        self.compute(name, size)
    }

    /// A sum of products; what is subtracted comes last.
    fn compute(&mut self, name: &str, size: &Formula) -> Result<TensorId, Refusal> {
        let (terms, constant) = size.parts();
        let (added, subtracted): (Vec<_>, Vec<_>) = terms.partition(|(_, factor)| *factor > 0);
        let mut sum = None;
        for (atoms, factor) in added {
            let product = self.product(name, atoms, factor)?;
            sum = Some(match sum {
                None => product,
                Some(sum) => self.pair(name, ElementWiseOperation::Sum, sum, product),
            });
        }
        let mut sum = match sum {
            Some(sum) if constant == 0 => sum,
            Some(sum) => {
                let operation = if constant < 0 {
                    ElementWiseOperation::Sub
                } else {
                    ElementWiseOperation::Sum
                };
                let number = self.size(name, &magnitude(constant)?)?;
                self.pair(name, operation, sum, number)
            }
            None => self.size(name, &Formula::from(constant))?,
        };
        for (atoms, factor) in subtracted {
            let product = self.product(name, atoms, factor)?;
            sum = self.pair(name, ElementWiseOperation::Sub, sum, product);
        }
        Ok(sum)
    }

    /// The product of atoms and the magnitude of `factor`.
    fn product(&mut self, name: &str, atoms: &[Atom], factor: i64) -> Result<TensorId, Refusal> {
        let mut product = None;
        for atom in atoms {
            let next = self.atom(name, atom)?;
            product = Some(match product {
                None => next,
                Some(product) => self.pair(name, ElementWiseOperation::Prod, product, next),
            });
        }
        let factor = magnitude(factor)?;
        match product {
            Some(product) if factor.known() == Some(1) => Ok(product),
            Some(product) => {
                let factor = self.size(name, &factor)?;
                Ok(self.pair(name, ElementWiseOperation::Prod, product, factor))
            }
            None => self.size(name, &factor),
        }
    }

    fn atom(&mut self, name: &str, atom: &Atom) -> Result<TensorId, Refusal> {
        let (operation, a, b) = match atom {
            Atom::Symbol(symbol) => return self.size(name, &Formula::symbol(symbol)),
            Atom::Max(a, b) => (ElementWiseOperation::Max, a, b),
            Atom::Min(a, b) => (ElementWiseOperation::Min, a, b),
            Atom::Floor(a, b) => {
                let natural = |f: &Formula| f.low().is_some_and(|low| low >= 0);
                let operation = if natural(a) && natural(b) {
                    ElementWiseOperation::Div
                } else {
                    ElementWiseOperation::FloorDiv
                };
                (operation, a, b)
            }
        };
        let (a, b) = (self.size(name, a)?, self.size(name, b)?);
        Ok(self.pair(name, operation, a, b))
    }

    fn pair(
        &mut self,
        name: &str,
        operation: ElementWiseOperation,
        a: TensorId,
        b: TensorId,
    ) -> TensorId {
        let layer = Layer::ElementWise { operation };
        self.layer(
            &format!("{name}/size"),
            layer,
            &[a, b],
            &[(DType::I64, one())],
        )[0]
    }

    fn axis_of(&mut self, name: &str, tensor: TensorId, axis: usize) -> Result<TensorId, Refusal> {
        let rank = self.tensor_at(tensor)?.shape.rank();
        let shape = self.shape_of(name, tensor);
        if rank == 1 {
            return Ok(shape);
        }
        let layer = Layer::Slice {
            start: vec![i64::try_from(axis).unwrap_or(i64::MAX)],
            size: vec![Some(1)],
            stride: vec![1],
            mode: SampleMode::Strict,
        };
        Ok(self.layer(
            &format!("{name}/size"),
            layer,
            &[shape],
            &[(DType::I64, one())],
        )[0])
    }

    /// The sizes of a tensor.
    pub(super) fn shape_of(&mut self, name: &str, tensor: TensorId) -> TensorId {
        if let Some(&shape) = self.at_hand.shapes.get(&tensor) {
            return shape;
        }
        let rank = self
            .tensor_at(tensor)
            .map_or(0, |tensor| tensor.shape.rank());
        let vector = (DType::I64, Shape::fixed(&[rank]));
        let shape = self.layer(&format!("{name}/shape"), Layer::Shape, &[tensor], &[vector])[0];
        self.at_hand.shapes.insert(tensor, shape);
        shape
    }

    /// Reads the wire whose shape tells `symbol`.
    fn demand(&mut self, symbol: &str) -> Result<(TensorId, usize), Refusal> {
        let Some((wire, axis)) = self.formulas().home(symbol) else {
            return refuse(format!("no shape tells the size {symbol}"));
        };
        if self.at_hand.node == Some(wire.node) && !self.typed.graph.is_input(wire) {
            return refuse(format!(
                "the size {symbol} is not known before the node is computed"
            ));
        }
        if !self.is_scratch() {
            let name = self.typed.graph.wire_name(wire);
            return refuse(format!(
                "`{name}`, whose shape tells {symbol}, does not enter the segment"
            ));
        }
        let tensor = self.input(wire)?;
        self.at_hand.demanded.push(wire);
        Ok((tensor, axis))
    }

    /// The tensor of a wire whose elements follow from sizes.
    pub(super) fn derived(
        &mut self,
        wire: WireId,
        dtype: DType,
        shape: &Shape,
    ) -> Result<TensorId, Refusal> {
        let name = self.typed.graph.wire_name(wire);
        let elements = self
            .typed
            .fact(wire)
            .elements
            .as_deref()
            .unwrap_or_default();
        let formulas: Option<Vec<Formula>> = elements.iter().map(SymbolicInt::formula).collect();
        let Some(formulas) = formulas.filter(|formulas| !formulas.is_empty()) else {
            return refuse(format!("the elements of `{name}` do not follow from sizes"));
        };
        let mut tensor = self.sizes(&name, &formulas)?;
        if dtype != DType::I64 {
            let vector = Shape::fixed(&[formulas.len()]);
            let layer = Layer::Cast { to: dtype };
            tensor = self.layer(
                &format!("{name}/cast"),
                layer,
                &[tensor],
                &[(dtype, vector)],
            )[0];
        }
        self.reshape(&name, tensor, shape)
    }
}

/// The name of the dim of that size.
fn symbol(sizes: &Sizes, size: &Formula) -> Option<String> {
    match sizes.dim(size)? {
        Dim::Symbolic(name) => Some(name),
        Dim::Fixed(_) => None,
    }
}

fn magnitude(number: i64) -> Result<Formula, Refusal> {
    match number.checked_abs() {
        Some(number) => Ok(Formula::from(number)),
        None => refuse(format!("the number {number} is too large for a size")),
    }
}
