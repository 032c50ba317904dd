//! What a graph does to an image before its first layer, handed to what makes frames into inputs.

use tfjet_core::{AttrValue, DType, Dim, ResizeFilter, Shape};

use super::type_graph::computed;
use crate::graph::{GraphInput, NodeId, TypedGraph, WireId};

/// Casts, resizes and arithmetic that frames go through instead of the graph.
#[derive(Debug, Clone, PartialEq)]
pub struct FoldedImage {
    /// Name of the input that takes the place of the graph's.
    pub input: String,
    /// Width and height.
    pub size: (usize, usize),
    /// How the graph resized; `None` where it did not.
    pub filter: Option<ResizeFilter>,
    /// A pixel's channel times this, plus `shift`.
    pub scale: [f64; 3],
    /// See `scale`.
    pub shift: [f64; 3],
}

impl FoldedImage {
    /// For the report.
    pub(crate) fn note(&self) -> String {
        let (width, height) = self.size;
        let resized = match self.filter {
            Some(_) => ", resized as frames are: results differ a little",
            None => "",
        };
        format!(
            "pre-processing folded: input `{}` takes {width}x{height} floats{resized}",
            self.input
        )
    }
}

/// A step from the image onwards.
enum Step {
    /// The same numbers, in another type or shape.
    Same,
    Resize(ResizeFilter),
    Scale([f64; 3]),
    Shift([f64; 3]),
    /// Subtracted from a number.
    Flip([f64; 3]),
}

/// Makes the wire behind cast, resize and arithmetic the input.
///
/// # Errors
/// Why it cannot be done.
pub(crate) fn fold_pre_processing(typed: &mut TypedGraph) -> Result<FoldedImage, String> {
    let images: Vec<WireId> = typed
        .graph
        .inputs
        .iter()
        .filter(|input| is_image(input.shape.as_ref()))
        .map(|input| input.wire)
        .collect();
    let &[image] = images.as_slice() else {
        return Err(format!("{} inputs take images", images.len()));
    };
    let (mut wire, mut end) = (image, None);
    let mut folded = FoldedImage {
        input: String::new(),
        size: (0, 0),
        filter: None,
        scale: [1.0; 3],
        shift: [0.0; 3],
    };
    while let Some((id, next)) = only_consumer(typed, wire) {
        let Some(step) = step(typed, id, wire) else {
            break;
        };
        match step {
            Step::Same => {}
            Step::Resize(filter) if folded.filter.is_none() => folded.filter = Some(filter),
            Step::Resize(_) => break,
            Step::Scale(by) => {
                multiply(&mut folded.scale, &by);
                multiply(&mut folded.shift, &by);
            }
            Step::Shift(by) => add(&mut folded.shift, &by),
            Step::Flip(from) => {
                multiply(&mut folded.scale, &[-1.0; 3]);
                multiply(&mut folded.shift, &[-1.0; 3]);
                add(&mut folded.shift, &from);
            }
        }
        wire = next;
        let fact = typed.fact(wire);
        if is_image(fact.shape.as_ref())
            && fact.dtype == Some(DType::F32)
            && let Some([_, Dim::Fixed(height), Dim::Fixed(width), _]) =
                fact.shape.as_ref().map(Shape::dims)
        {
            folded.size = (*width, *height);
            end = Some((wire, folded.clone()));
        }
    }
    let Some((end, mut folded)) = end else {
        let node = only_consumer(typed, wire).map(|(id, _)| typed.graph.node(id));
        let stop = node.map_or("several nodes read the image".to_owned(), |node| {
            format!("`{}` ({}) is no part of it", node.name, node.op)
        });
        return Err(format!(
            "no pre-processing to a fixed size is found: {stop}"
        ));
    };
    folded.input = typed.graph.wire_name(end);
    let shape = typed.fact(end).shape.clone();
    for input in &mut typed.graph.inputs {
        if input.wire == image {
            *input = GraphInput {
                name: folded.input.clone(),
                wire: end,
                dtype: DType::F32,
                shape: shape.clone(),
            };
        }
    }
    let order = computed(typed, &|_| false);
    typed.settle(order);
    Ok(folded)
}

fn multiply(values: &mut [f64; 3], by: &[f64; 3]) {
    values
        .iter_mut()
        .zip(by)
        .for_each(|(value, by)| *value *= by);
}

fn add(values: &mut [f64; 3], to: &[f64; 3]) {
    values
        .iter_mut()
        .zip(to)
        .for_each(|(value, to)| *value += to);
}

fn is_image(shape: Option<&Shape>) -> bool {
    matches!(
        shape.map(Shape::dims),
        Some([Dim::Fixed(1), _, _, Dim::Fixed(3)])
    )
}

/// The only node that reads a wire, and its first output.
fn only_consumer(typed: &TypedGraph, wire: WireId) -> Option<(NodeId, WireId)> {
    if typed.graph.outputs.iter().any(|output| output.wire == wire) {
        return None;
    }
    let mut readers = typed
        .order
        .iter()
        .filter(|id| typed.graph.node(**id).inputs.contains(&wire));
    match (readers.next(), readers.next()) {
        (Some(&id), None) => Some((id, WireId::new(id, 0))),
        _ => None,
    }
}

/// What a node does to the image.
fn step(typed: &TypedGraph, id: NodeId, wire: WireId) -> Option<Step> {
    let node = typed.graph.node(id);
    let other = |index: usize| node.inputs.get(index).copied();
    let first = other(0) == Some(wire);
    let flag = |name: &str| node.attrs.get(name) == Some(&AttrValue::Bool(true));
    let one_part = |name: &str| node.attrs.get(name) == Some(&AttrValue::Int(1));
    match node.op.as_str() {
        "Cast" | "Reshape" | "ExpandDims" | "Squeeze" if first => Some(Step::Same),
        "Pack" if one_part("N") => Some(Step::Same),
        "Unpack" if one_part("num") => Some(Step::Same),
        "Slice" | "StridedSlice" | "Gather" | "GatherV2" if first => {
            keeps_all(typed, wire, WireId::new(id, 0)).then_some(Step::Same)
        }
        // Corners on corners cannot be had from a frame's resize.
        "ResizeBilinear" if first && !flag("align_corners") => {
            Some(Step::Resize(ResizeFilter::Bilinear))
        }
        "ResizeNearestNeighbor" if first && !flag("align_corners") => {
            Some(Step::Resize(ResizeFilter::Nearest))
        }
        op @ ("Mul" | "RealDiv" | "Div" | "Add" | "AddV2" | "Sub") => {
            let [a, b] = node.inputs.as_slice().try_into().ok()?;
            let by = channels(typed, if first { b } else { a })?;
            match (op, first) {
                ("Mul", _) => Some(Step::Scale(by)),
                ("RealDiv" | "Div", true) => Some(Step::Scale(by.map(|by| 1.0 / by))),
                ("Add" | "AddV2", _) => Some(Step::Shift(by)),
                ("Sub", true) => Some(Step::Shift(by.map(|by| -by))),
                ("Sub", false) => Some(Step::Flip(by)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Does `to`, a part of `from`, differ from it in nothing but a first axis of one?
fn keeps_all(typed: &TypedGraph, from: WireId, to: WireId) -> bool {
    let (from, to) = (&typed.fact(from).shape, &typed.fact(to).shape);
    let (Some(from), Some(to)) = (from, to) else {
        return false;
    };
    let rest = |shape: &Shape| match shape.dims() {
        [Dim::Fixed(1), rest @ ..] if shape.rank() == 4 => rest.to_vec(),
        dims => dims.to_vec(),
    };
    rest(from) == rest(to)
}

/// A constant of one number, or one for each channel.
fn channels(typed: &TypedGraph, wire: WireId) -> Option<[f64; 3]> {
    let values = typed.fact(wire).value.as_ref()?;
    match *values.as_slice::<f32>().ok()? {
        [all] => Some([all.into(); 3]),
        [r, g, b] if values.shape().last() == Some(&3) => Some([r.into(), g.into(), b.into()]),
        _ => None,
    }
}
