//! From shapes that a user gives to those of every segment input: what engines are built for.

mod flag;
mod symbols;

use std::collections::BTreeMap;

use tfjet_core::{Dim, Manifest, NetworkSpec, Schedule, Shape, Step};

use crate::arrays::plain;
use crate::exit::Usage;
use symbols::Symbols;

pub use flag::ShapeFlag;

/// Smallest, best and largest size.
type Extent = [u64; 3];
/// Smallest, best and largest shape of an input, as an engine's header holds them.
pub type ShapeRange = [Vec<u64>; 3];
/// The ranges of all inputs of a segment: an optimization profile.
pub type Profile = Vec<ShapeRange>;

/// Shapes of tensors that go together, each with who says so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShapeSet(Vec<Given>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Given {
    name: String,
    extents: Vec<Extent>,
    by: String,
}

impl ShapeSet {
    /// Adds what a flag says.
    pub fn add_flag(&mut self, flag: &ShapeFlag) {
        let name = flag.name.clone();
        self.0.push(Given {
            by: format!("--shape {name}"),
            extents: flag.extents.clone(),
            name,
        });
    }

    /// Adds the one shape of a tensor, as `by` says.
    pub fn add_shape(&mut self, name: &str, shape: &[usize], by: &str) {
        self.0.push(Given {
            name: name.into(),
            extents: shape.iter().map(|&size| [size as u64; 3]).collect(),
            by: by.into(),
        });
    }

    /// Has it this tensor?
    pub fn names(&self, name: &str) -> bool {
        self.0.iter().any(|given| plain(&given.name) == plain(name))
    }

    /// The tensors with their best shapes.
    pub fn shapes(&self) -> impl Iterator<Item = (&str, Vec<u64>)> {
        let best = |given: &Given| given.extents.iter().map(|[_, opt, _]| *opt).collect();
        self.0.iter().map(move |it| (it.name.as_str(), best(it)))
    }

    /// Lets the sizes of these axes begin at 1.
    fn open(&mut self, is_open: impl Fn(&str, usize) -> bool) {
        for Given { name, extents, .. } in &mut self.0 {
            let open = extents.iter_mut().enumerate();
            let open = open.filter(|(axis, _)| is_open(name, *axis));
            open.for_each(|(_, [min, ..])| *min = 1);
        }
    }
}

/// The profile of every segment for one set of shapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentProfiles {
    /// In the order of segments.
    pub segments: Vec<Profile>,
    /// What was assumed because nothing said it.
    pub assumed: Vec<String>,
}

/// The tensors of a model that have shapes to give: its inputs, and what goes into segments.
#[derive(Debug)]
pub struct Interface<'a> {
    manifest: &'a Manifest,
    networks: &'a [NetworkSpec],
    /// For each segment the names of its inputs outside of it.
    wires: Vec<Vec<&'a str>>,
    named: BTreeMap<&'a str, &'a Shape>,
}

impl<'a> Interface<'a> {
    /// Of a bundle's parts.
    pub fn new(
        manifest: &'a Manifest,
        schedule: &'a Schedule,
        networks: &'a [NetworkSpec],
    ) -> Self {
        let wires: Vec<Vec<&str>> = (0..networks.len())
            .map(|segment| wire_names(schedule, segment))
            .collect();
        let mut named = BTreeMap::new();
        for (network, wires) in networks.iter().zip(&wires) {
            let tensors = network.inputs.iter().filter_map(|id| network.tensor(*id));
            for (name, tensor) in wires.iter().zip(tensors) {
                named.insert(plain(name), &tensor.shape);
            }
        }
        for input in &manifest.inputs {
            if let Some(shape) = &input.shape {
                named.insert(plain(&input.name), shape);
            }
        }
        Self {
            manifest,
            networks,
            wires,
            named,
        }
    }

    /// The shape of a tensor that has one to give.
    pub fn shape(&self, name: &str) -> Option<&'a Shape> {
        self.named.get(plain(name)).copied()
    }

    /// The model's inputs.
    pub fn manifest(&self) -> &'a Manifest {
        self.manifest
    }

    /// Sizes all segment inputs by a set of shapes. An input's first dim that is its only open one
    /// is taken to be a batch of 1 where nothing sizes it.
    ///
    /// # Errors
    /// [`Usage`] for a shape that fits no tensor, and naming segment, tensor and symbol where a
    /// symbol has no size.
    pub fn profiles(&self, set: &ShapeSet) -> Result<SegmentProfiles, Usage> {
        let mut symbols = Symbols::default();
        for given in &set.0 {
            let shape = self.shape(&given.name).ok_or_else(|| {
                let inputs = self.manifest.inputs.iter();
                let names: Vec<&str> = inputs.map(|it| it.name.as_str()).collect();
                let (by, inputs) = (&given.by, names.join("`, `"));
                Usage(format!("{by}: the model's inputs are `{inputs}`"))
            })?;
            bind(given, shape, &mut symbols)?;
        }
        let assumed = self.assume_batch(&mut symbols)?;
        let segments = (0..self.networks.len()).map(|segment| self.profile(segment, &symbols));
        Ok(SegmentProfiles {
            segments: segments.collect::<Result<_, _>>()?,
            assumed,
        })
    }

    /// The shapes of all segment inputs for a request of these shapes, as profiles of one shape.
    ///
    /// # Errors
    /// [`Usage`] as [`Interface::profiles`].
    pub fn profiles_for_exactly(&self, shapes: &[Vec<usize>]) -> Result<SegmentProfiles, Usage> {
        self.profiles(&self.request(shapes))
    }

    /// The profiles of engines that serve a request and all smaller batches of it: the first dim
    /// of every input from 1 to the request's, every other as in the request.
    ///
    /// # Errors
    /// [`Usage`] as [`Interface::profiles`], and for a size of 0, for which no engine can be built.
    pub fn profiles_for_request(&self, shapes: &[Vec<usize>]) -> Result<SegmentProfiles, Usage> {
        let mut inputs = self.manifest.inputs.iter().zip(shapes);
        if let Some((input, shape)) = inputs.find(|(_, shape)| shape.contains(&0)) {
            let name = &input.name;
            return Err(Usage(format!(
                "`{name}` is {shape:?}: no engine takes a size of 0"
            )));
        }
        let mut set = self.request(shapes);
        let batches: Vec<&str> = self.batches().collect();
        set.open(|name, axis| {
            let dim = self.shape(name).and_then(|shape| shape.dims().get(axis));
            matches!(dim, Some(Dim::Symbolic(symbol)) if batches.contains(&symbol.as_str()))
        });
        self.profiles(&set)
    }

    fn request(&self, shapes: &[Vec<usize>]) -> ShapeSet {
        let mut set = ShapeSet::default();
        for (input, shape) in self.manifest.inputs.iter().zip(shapes) {
            if self.shape(&input.name).is_some() {
                set.add_shape(&input.name, shape, &format!("input {}", input.name));
            }
        }
        set
    }

    /// The symbols of the first dims of inputs.
    fn batches(&self) -> impl Iterator<Item = &'a str> {
        let shapes = self
            .manifest
            .inputs
            .iter()
            .filter_map(|it| it.shape.as_ref());
        shapes.filter_map(|shape| match shape.dims().first() {
            Some(Dim::Symbolic(symbol)) => Some(symbol.as_str()),
            _ => None,
        })
    }

    fn profile(&self, segment: usize, symbols: &Symbols) -> Result<Profile, Usage> {
        let network = &self.networks[segment];
        let mut inputs = Vec::with_capacity(network.inputs.len());
        for (position, id) in network.inputs.iter().enumerate() {
            let Some(tensor) = network.tensor(*id) else {
                continue;
            };
            let name = self.wires[segment].get(position).copied();
            let name = name.unwrap_or(&tensor.name);
            let range = symbols.range(&tensor.shape).map_err(|symbol| {
                Usage(format!(
                    "segment {segment} (`{}`): input `{name}` {}: nothing gives `{symbol}` a \
                     size: give --shape {name}=MIN:OPT:MAX",
                    network.name, tensor.shape
                ))
            })?;
            inputs.push(range);
        }
        Ok(inputs)
    }

    /// Gives dims of model inputs that nothing sizes the size 1 where they can only be the batch:
    /// the one open dim of their input, and its first.
    fn assume_batch(&self, symbols: &mut Symbols) -> Result<Vec<String>, Usage> {
        let mut assumed = Vec::new();
        for input in &self.manifest.inputs {
            let Some(shape) = &input.shape else { continue };
            let open: Vec<(usize, &String)> = shape
                .dims()
                .iter()
                .enumerate()
                .filter_map(|(axis, dim)| match dim {
                    Dim::Symbolic(symbol) if symbols.extent(symbol).is_none() => {
                        Some((axis, symbol))
                    }
                    _ => None,
                })
                .collect();
            match open.as_slice() {
                [] => {}
                [(0, symbol)] => {
                    symbols.bind(symbol, [1; 3], "the assumed batch")?;
                    assumed.push(format!(
                        "`{}` {shape}: batch 1, since no --shape says more",
                        input.name
                    ));
                }
                [(_, symbol), ..] => {
                    return Err(Usage(format!(
                        "input `{0}` {shape}: nothing gives `{symbol}` a size: give --shape \
                         {0}=MIN:OPT:MAX",
                        input.name
                    )));
                }
            }
        }
        Ok(assumed)
    }
}

/// Names of what the schedule binds to a segment's inputs.
fn wire_names(schedule: &Schedule, index: usize) -> Vec<&str> {
    let step = schedule.all_steps().find_map(|step| match step {
        Step::Engine {
            segment, inputs, ..
        } if *segment as usize == index => Some(inputs),
        _ => None,
    });
    let ids = step.into_iter().flatten();
    ids.filter_map(|id| schedule.value(*id))
        .map(|value| value.name.as_str())
        .collect()
}

fn bind(given: &Given, shape: &Shape, symbols: &mut Symbols) -> Result<(), Usage> {
    let Given { name, extents, by } = given;
    let refused = |what: String| Usage(format!("{by}: {what}, `{name}` is {shape}"));
    if extents.len() != shape.rank() {
        return Err(refused(format!("{} dimensions", extents.len())));
    }
    for (axis, (dim, &extent)) in shape.dims().iter().zip(extents).enumerate() {
        match dim {
            Dim::Fixed(size) if extent != [*size as u64; 3] => {
                return Err(refused(format!("{} on axis {axis}", range_text(extent))));
            }
            Dim::Fixed(_) => {}
            Dim::Symbolic(symbol) => symbols.bind(symbol, extent, by)?,
        }
    }
    Ok(())
}

fn range_text([min, opt, max]: Extent) -> String {
    match min == max {
        true => opt.to_string(),
        false => format!("{min}:{opt}:{max}"),
    }
}

#[cfg(test)]
pub(crate) mod tests;
