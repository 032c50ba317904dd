//! `TopK`, non-maximum suppression and `Where`: shapes that follow from values.

use tfjet_core::{DType, Dim, Shape};

use super::{Context, InferError, fact, impossible};
use crate::graph::WireFact;

pub(super) fn infer(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let vector = |dim: Dim| Some(Shape(vec![dim]));
    let float = context.dtype(0);
    match context.node.op.as_str() {
        "TopKV2" | "TopK" => top_k(context),
        "Where" => {
            let rank = context.input(0)?.rank();
            let columns = rank.map_or_else(|| context.symbol(0, 1), Dim::Fixed);
            Ok(vec![fact(
                Some(DType::I64),
                Some(Shape(vec![context.symbol(0, 0), columns])),
            )])
        }
        "NonMaxSuppressionV4" => Ok(vec![
            fact(Some(DType::I32), vector(selected(context)?)),
            fact(Some(DType::I32), Some(Shape::default())),
        ]),
        "NonMaxSuppressionV5" => {
            let dim = selected(context)?;
            Ok(vec![
                fact(Some(DType::I32), vector(dim.clone())),
                fact(float, vector(dim)),
                fact(Some(DType::I32), Some(Shape::default())),
            ])
        }
        "CombinedNonMaxSuppression" => combined(context),
        "TfjetMultiClassNonMaxSuppression" => multi_class(context),
        _ => Ok(vec![fact(Some(DType::I32), vector(context.symbol(0, 0)))]),
    }
}

fn selected(context: &Context<'_>) -> Result<Dim, InferError> {
    let padded = context.attrs.bool_or("pad_to_max_output_size", false)?;
    let size = context
        .scalar(2)?
        .and_then(|size| usize::try_from(size).ok());
    Ok(match (padded, size) {
        (true, Some(size)) => Dim::Fixed(size),
        _ => context.symbol(0, 0),
    })
}

fn top_k(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let dtype = context.dtype(0);
    let indices = context.attrs.dtype_or("index_type", DType::I32)?;
    let k = match context.node.op.as_str() {
        "TopK" => Some(context.attrs.int("k")?),
        _ => context.scalar(1)?,
    };
    let Some(shape) = context.shape(0)? else {
        return Ok(vec![fact(dtype, None), fact(Some(indices), None)]);
    };
    if shape.rank() == 0 {
        return impossible("the input is a scalar");
    }
    let last = shape.rank() - 1;
    let k = match k.map(usize::try_from) {
        Some(Ok(k)) => {
            if shape.dims()[last].fixed().is_some_and(|size| k > size) {
                return impossible(format!("k = {k} exceeds the last axis of {shape}"));
            }
            Dim::Fixed(k)
        }
        Some(Err(_)) => return impossible("k is negative"),
        None => context.symbol(0, last),
    };
    let mut dims = shape.0.clone();
    dims[last] = k;
    Ok(vec![
        fact(dtype, Some(Shape(dims.clone()))),
        fact(Some(indices), Some(Shape(dims))),
    ])
}

fn combined(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let batch = match context.shape(0)? {
        Some(shape) if shape.rank() == 4 => shape.dims()[0].clone(),
        Some(shape) => return impossible(format!("boxes of shape {shape}, expected rank 4")),
        None => context.symbol(0, 0),
    };
    let per_class = context.attrs.bool_or("pad_per_class", false)?;
    let classes = match context.shape(1)?.map(Shape::dims) {
        Some([_, _, classes]) => classes.fixed(),
        _ => None,
    };
    let size = |index: usize| {
        let size = context.scalar(index)?;
        Ok::<_, InferError>(size.and_then(|size| usize::try_from(size).ok()))
    };
    let count = match (size(3)?, per_class) {
        (Some(total), true) => match (size(2)?, classes) {
            (Some(of_class), Some(classes)) => Some(total.min(of_class.saturating_mul(classes))),
            _ => None,
        },
        (total, _) => total,
    };
    let count = count.map_or_else(|| context.symbol(0, 1), Dim::Fixed);
    let rows = |last: Option<usize>| {
        let mut dims = vec![batch.clone(), count.clone()];
        dims.extend(last.map(Dim::Fixed));
        Some(Shape(dims))
    };
    Ok(vec![
        fact(Some(DType::F32), rows(Some(4))),
        fact(Some(DType::F32), rows(None)),
        fact(Some(DType::F32), rows(None)),
        fact(Some(DType::I32), Some(Shape(vec![batch]))),
    ])
}

fn multi_class(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let rows = match context.attrs.bool_or("pad", false)? {
        true => usize::try_from(context.attrs.int("max_total_size")?).ok(),
        false => None,
    };
    let rows = rows.map_or_else(|| context.symbol(0, 0), Dim::Fixed);
    let table = |rest: &[Dim]| {
        let dims = std::iter::once(rows.clone()).chain(rest.iter().cloned());
        Some(Shape(dims.collect()))
    };
    let mut facts = vec![
        fact(Some(DType::F32), table(&[Dim::Fixed(4)])),
        fact(Some(DType::F32), table(&[])),
        fact(Some(DType::F32), table(&[])),
        fact(Some(DType::I32), Some(Shape::default())),
    ];
    let window = context.attrs.str_or("clip", "none")? != "none";
    let first = 2 + usize::from(window);
    if context.attrs.get("fields").is_some() {
        for (index, per_class) in context.attrs.ints("fields")?.iter().enumerate() {
            let field = context.input(first + index)?;
            let skipped = if *per_class == 0 { 1 } else { 2 };
            let rest = field
                .shape
                .as_ref()
                .and_then(|shape| shape.dims().get(skipped..));
            facts.push(fact(field.dtype, rest.and_then(table)));
        }
    }
    Ok(facts)
}
