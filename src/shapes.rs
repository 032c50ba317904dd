//! From `--shape` to the smallest, best and largest shape of every segment input: what engines are
//! built for.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::arrays::plain;
use crate::exit::Usage;
use tfjet_core::{Dim, Manifest, NetworkSpec, Schedule, Shape, Step};

/// Smallest, best and largest size.
type Extent = [u64; 3];
/// Smallest, best and largest shape of an input, as an engine's header holds them.
pub type ShapeRange = [Vec<u64>; 3];

/// One `--shape`: a tensor and its sizes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShapeFlag {
    name: String,
    extents: Vec<Extent>,
}

impl ShapeFlag {
    /// The tensor's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The best shape, or the only one.
    pub fn best(&self) -> Vec<usize> {
        let sizes = self.extents.iter().map(|[_, opt, _]| usize::try_from(*opt));
        sizes.map(|size| size.unwrap_or(usize::MAX)).collect()
    }
}

impl FromStr for ShapeFlag {
    type Err = String;

    /// `NAME=MIN:OPT:MAX` or `NAME=SHAPE`, a shape as in `1x224x224x3`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, range) = text.rsplit_once('=').ok_or("expected NAME=SHAPE")?;
        let parts: Vec<Vec<u64>> = range.split(':').map(dims).collect::<Result<_, _>>()?;
        let [min, opt, max] = match parts.as_slice() {
            [one] => [one, one, one],
            [min, opt, max] => [min, opt, max],
            _ => return Err("expected SHAPE or MIN:OPT:MAX".into()),
        };
        if min.len() != opt.len() || opt.len() != max.len() {
            return Err("MIN, OPT and MAX have different ranks".into());
        }
        let extents: Vec<Extent> = min
            .iter()
            .zip(opt)
            .zip(max)
            .map(|((&min, &opt), &max)| [min, opt, max])
            .collect();
        if extents.iter().any(|[min, opt, max]| min > opt || opt > max) {
            return Err("expected MIN <= OPT <= MAX in every dimension".into());
        }
        let name = name.to_owned();
        Ok(Self { name, extents })
    }
}

fn dims(text: &str) -> Result<Vec<u64>, String> {
    text.split('x')
        .map(|size| match size.parse::<u32>() {
            Ok(size) if size > 0 => Ok(u64::from(size)),
            _ => Err(format!("`{size}` in `{text}` is no size of a dimension")),
        })
        .collect()
}

/// What the flags come to.
#[derive(Debug, PartialEq, Eq)]
pub struct Ranges {
    /// For each segment, for each of its inputs.
    pub segments: Vec<Vec<ShapeRange>>,
    /// What was assumed because no flag said it.
    pub assumed: Vec<String>,
}

/// The sizes of symbolic dims.
#[derive(Debug, Default)]
struct Symbols(BTreeMap<String, (Extent, String)>);

impl Symbols {
    fn bind(&mut self, symbol: &str, extent: Extent, by: &str) -> Result<(), Usage> {
        let entry = self.0.entry(symbol.to_owned());
        let (bound, other) = entry.or_insert_with(|| (extent, by.to_owned()));
        if *bound == extent {
            return Ok(());
        }
        Err(Usage(format!(
            "`{by}` makes `{symbol}` {}, and `{other}` makes it {}",
            range_text(extent),
            range_text(*bound)
        )))
    }

    /// The sizes of a symbol, also of one that stands for another one divided, as in
    /// `ceil(height/2)`.
    fn extent(&self, symbol: &str) -> Option<Extent> {
        if let Some((extent, _)) = self.0.get(symbol) {
            return Some(*extent);
        }
        let inside = symbol.strip_prefix("ceil(")?.strip_suffix(')')?;
        let (numerator, divisor) = inside.rsplit_once('/')?;
        let divisor: u64 = divisor.parse().ok().filter(|&divisor| divisor > 0)?;
        let extent = self.extent(numerator)?;
        Some(extent.map(|size| size.div_ceil(divisor)))
    }

    /// The range of a shape, or the first symbol that has no size.
    fn range<'a>(&self, shape: &'a Shape) -> Result<ShapeRange, &'a str> {
        let mut range = ShapeRange::default();
        for dim in shape.dims() {
            let extent = match dim {
                Dim::Fixed(size) => [*size as u64; 3],
                Dim::Symbolic(symbol) => self.extent(symbol).ok_or(symbol.as_str())?,
            };
            for (sizes, size) in range.iter_mut().zip(extent) {
                sizes.push(size);
            }
        }
        Ok(range)
    }
}

fn range_text([min, opt, max]: Extent) -> String {
    match min == max {
        true => opt.to_string(),
        false => format!("{min}:{opt}:{max}"),
    }
}

/// Binds the symbols that `flags` give sizes to, and sizes all segment inputs by them. A flag names
/// an input of the model, or a tensor that goes into a segment. An input's first dim that is its
/// only open one is taken to be a batch of 1 where no flag sizes it.
///
/// # Errors
/// [`Usage`] for a flag that fits no tensor, and naming segment, tensor and symbol where a symbol
/// has no size.
pub fn ranges(
    manifest: &Manifest,
    schedule: &Schedule,
    networks: &[NetworkSpec],
    flags: &[ShapeFlag],
) -> Result<Ranges, Usage> {
    let mut symbols = Symbols::default();
    let named = named_shapes(manifest, schedule, networks);
    for flag in flags {
        let shape = named.get(plain(&flag.name)).ok_or_else(|| {
            let names: Vec<&str> = manifest.inputs.iter().map(|it| it.name.as_str()).collect();
            let (flag, inputs) = (&flag.name, names.join("`, `"));
            Usage(format!("--shape {flag}: the model's inputs are `{inputs}`"))
        })?;
        bind(flag, shape, &mut symbols)?;
    }
    let assumed = assume_batch(manifest, &mut symbols)?;
    let mut segments = Vec::with_capacity(networks.len());
    for (index, network) in networks.iter().enumerate() {
        let names = wire_names(schedule, index);
        let mut inputs = Vec::with_capacity(network.inputs.len());
        for (position, id) in network.inputs.iter().enumerate() {
            let Some(tensor) = network.tensor(*id) else {
                continue;
            };
            let name = names.get(position).copied().unwrap_or(&tensor.name);
            let range = symbols.range(&tensor.shape).map_err(|symbol| {
                Usage(format!(
                    "segment {index} (`{}`): input `{name}` {}: nothing gives `{symbol}` a size: \
                     give --shape {name}=MIN:OPT:MAX",
                    network.name, tensor.shape
                ))
            })?;
            inputs.push(range);
        }
        segments.push(inputs);
    }
    Ok(Ranges { segments, assumed })
}

/// Shapes of all tensors that a flag may name: the model's inputs, and what goes into segments.
fn named_shapes<'a>(
    manifest: &'a Manifest,
    schedule: &'a Schedule,
    networks: &'a [NetworkSpec],
) -> BTreeMap<&'a str, &'a Shape> {
    let mut named = BTreeMap::new();
    for (index, network) in networks.iter().enumerate() {
        let tensors = network.inputs.iter().filter_map(|id| network.tensor(*id));
        for (name, tensor) in wire_names(schedule, index).into_iter().zip(tensors) {
            named.insert(plain(name), &tensor.shape);
        }
    }
    for input in &manifest.inputs {
        if let Some(shape) = &input.shape {
            named.insert(plain(&input.name), shape);
        }
    }
    named
}

/// Names of what the schedule binds to a segment's inputs.
fn wire_names(schedule: &Schedule, index: usize) -> Vec<&str> {
    let step = schedule.steps.iter().find_map(|step| match step {
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

fn bind(flag: &ShapeFlag, shape: &Shape, symbols: &mut Symbols) -> Result<(), Usage> {
    let name = &flag.name;
    let refused = |what: String| Usage(format!("--shape {name}: {what}, `{name}` is {shape}"));
    if flag.extents.len() != shape.rank() {
        return Err(refused(format!("{} dimensions", flag.extents.len())));
    }
    for (axis, (dim, &extent)) in shape.dims().iter().zip(&flag.extents).enumerate() {
        match dim {
            Dim::Fixed(size) if extent != [*size as u64; 3] => {
                return Err(refused(format!("{} on axis {axis}", range_text(extent))));
            }
            Dim::Fixed(_) => {}
            Dim::Symbolic(symbol) => symbols.bind(symbol, extent, &format!("--shape {name}"))?,
        }
    }
    Ok(())
}

/// Gives dims of model inputs that no flag sizes the size 1 where they can only be the batch: the
/// one open dim of their input, and its first.
fn assume_batch(manifest: &Manifest, symbols: &mut Symbols) -> Result<Vec<String>, Usage> {
    let mut assumed = Vec::new();
    for input in &manifest.inputs {
        let Some(shape) = &input.shape else { continue };
        let open: Vec<(usize, &String)> = shape
            .dims()
            .iter()
            .enumerate()
            .filter_map(|(axis, dim)| match dim {
                Dim::Symbolic(symbol) if symbols.extent(symbol).is_none() => Some((axis, symbol)),
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

#[cfg(test)]
mod tests;
