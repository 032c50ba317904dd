use tfjet_core::{AttrValue, DType, Dim, Shape};

use super::error::{AttrProblem, ShapeProblem, TensorProblem};
use super::proto::attr_value::{ListValue, Value};
use super::proto::{self, DataType, TensorShapeProto, tensor_shape_proto};
use super::tensor::{Constant, RepeatBudget, constant};

/// Name of a dimension that the file leaves open.
const UNKNOWN_DIM: &str = "?";

pub(super) fn attr_value(
    value: proto::AttrValue,
    budget: &mut RepeatBudget,
) -> Result<AttrValue, AttrProblem> {
    Ok(match value.value.ok_or(AttrProblem::NoValue)? {
        Value::List(values) => list(values, budget)?,
        Value::S(text) => AttrValue::Str(text.to_vec()),
        Value::I(value) => AttrValue::Int(value),
        Value::F(value) => AttrValue::Float(value),
        Value::B(value) => AttrValue::Bool(value),
        Value::Type(number) => AttrValue::Type(dtype(number)),
        Value::Shape(value) => AttrValue::Shape(shape(value)?),
        Value::Tensor(tensor) => match constant(*tensor, budget)? {
            Constant::Numeric(tensor) => AttrValue::Tensor(tensor),
            Constant::Strings(shape, values) => AttrValue::StringTensor(shape, values),
        },
        Value::Placeholder(name) => AttrValue::Placeholder(name),
        Value::Func(function) => AttrValue::Func(function.name),
    })
}

fn list(values: ListValue, budget: &mut RepeatBudget) -> Result<AttrValue, AttrProblem> {
    let ListValue {
        s,
        i,
        f,
        b,
        r#type,
        shape: shapes,
        tensor,
        func,
    } = values;
    let mut kinds = Vec::with_capacity(1);
    if !s.is_empty() {
        kinds.push(AttrValue::Strs(
            s.iter().map(|text| text.to_vec()).collect(),
        ));
    }
    if !i.is_empty() {
        kinds.push(AttrValue::Ints(i));
    }
    if !f.is_empty() {
        kinds.push(AttrValue::Floats(f));
    }
    if !b.is_empty() {
        kinds.push(AttrValue::Bools(b));
    }
    if !r#type.is_empty() {
        kinds.push(AttrValue::Types(r#type.into_iter().map(dtype).collect()));
    }
    if !shapes.is_empty() {
        let shapes: Result<_, _> = shapes.into_iter().map(shape).collect();
        kinds.push(AttrValue::Shapes(shapes?));
    }
    if !tensor.is_empty() {
        let tensors: Result<_, TensorProblem> = tensor
            .into_iter()
            .map(|tensor| match constant(tensor, budget)? {
                Constant::Numeric(tensor) => Ok(tensor),
                Constant::Strings(..) => Err(TensorProblem::StringInList),
            })
            .collect();
        kinds.push(AttrValue::Tensors(tensors?));
    }
    if !func.is_empty() {
        let names = func.into_iter().map(|function| function.name);
        kinds.push(AttrValue::Funcs(names.collect()));
    }
    match (kinds.pop(), kinds.is_empty()) {
        (None, _) => Ok(AttrValue::Ints(Vec::new())),
        (Some(values), true) => Ok(values),
        (Some(_), false) => Err(AttrProblem::MixedList),
    }
}

/// A shape; `None` for unknown rank.
pub(super) fn shape(shape: TensorShapeProto) -> Result<Option<Shape>, ShapeProblem> {
    if shape.unknown_rank {
        return Ok(None);
    }
    let dims: Result<_, _> = shape.dim.into_iter().map(dim).collect();
    Ok(Some(Shape(dims?)))
}

fn dim(dim: tensor_shape_proto::Dim) -> Result<Dim, ShapeProblem> {
    match dim.size {
        -1 => Ok(Dim::Symbolic(UNKNOWN_DIM.into())),
        size => usize::try_from(size)
            .map(Dim::Fixed)
            .map_err(|_| ShapeProblem::Size(size)),
    }
}

/// The element type of a `DataType`'s number; a reference type counts as its base type.
pub(super) fn dtype(number: i32) -> Option<DType> {
    Some(match base_type(number)? {
        DataType::DtFloat => DType::F32,
        DataType::DtDouble => DType::F64,
        DataType::DtHalf => DType::F16,
        DataType::DtBfloat16 => DType::BF16,
        DataType::DtInt8 => DType::I8,
        DataType::DtInt16 => DType::I16,
        DataType::DtInt32 => DType::I32,
        DataType::DtInt64 => DType::I64,
        DataType::DtUint8 => DType::U8,
        DataType::DtUint16 => DType::U16,
        DataType::DtUint32 => DType::U32,
        DataType::DtUint64 => DType::U64,
        DataType::DtBool => DType::Bool,
        DataType::DtComplex64 => DType::C64,
        _ => return None,
    })
}

/// A `DataType` that is no reference type.
pub(super) fn base_type(number: i32) -> Option<DataType> {
    const REF_OFFSET: i32 = 100;
    let base = if number > REF_OFFSET {
        number - REF_OFFSET
    } else {
        number
    };
    DataType::try_from(base).ok()
}

/// TensorFlow's name of a `DataType`'s number.
pub(super) fn type_name(number: i32) -> String {
    DataType::try_from(number).map_or_else(
        |_| format!("number {number}"),
        |data_type| data_type.as_str_name().to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(value: Value) -> Result<AttrValue, AttrProblem> {
        attr_value(
            proto::AttrValue { value: Some(value) },
            &mut RepeatBudget::default(),
        )
    }

    fn sizes(sizes: &[i64]) -> TensorShapeProto {
        TensorShapeProto {
            dim: sizes
                .iter()
                .map(|&size| tensor_shape_proto::Dim {
                    size,
                    name: String::new(),
                })
                .collect(),
            unknown_rank: false,
        }
    }

    #[test]
    fn every_kind_is_converted() {
        let function = |name: &str| proto::generated::NameAttrList {
            name: name.into(),
            ..Default::default()
        };
        let open = Shape(vec![Dim::Symbolic("?".into()), Dim::Fixed(3)]);
        let unknown_rank = TensorShapeProto {
            unknown_rank: true,
            ..Default::default()
        };
        for (value, expected) in [
            (Value::S("SAME".into()), AttrValue::Str(b"SAME".to_vec())),
            (Value::I(-7), AttrValue::Int(-7)),
            (Value::F(0.5), AttrValue::Float(0.5)),
            (Value::B(true), AttrValue::Bool(true)),
            (Value::Type(1), AttrValue::Type(Some(DType::F32))),
            (Value::Type(109), AttrValue::Type(Some(DType::I64))),
            (Value::Type(7), AttrValue::Type(None)),
            (Value::Type(8), AttrValue::Type(Some(DType::C64))),
            (Value::Type(11), AttrValue::Type(None)),
            (Value::Type(18), AttrValue::Type(None)),
            (Value::Type(9999), AttrValue::Type(None)),
            (Value::Shape(sizes(&[-1, 3])), AttrValue::Shape(Some(open))),
            (Value::Shape(unknown_rank), AttrValue::Shape(None)),
            (
                Value::Placeholder("N".into()),
                AttrValue::Placeholder("N".into()),
            ),
            (
                Value::Func(function("body")),
                AttrValue::Func("body".into()),
            ),
            (Value::List(ListValue::default()), AttrValue::Ints(vec![])),
            (
                Value::List(ListValue {
                    r#type: vec![1, 20],
                    ..Default::default()
                }),
                AttrValue::Types(vec![Some(DType::F32), None]),
            ),
            (
                Value::List(ListValue {
                    s: vec!["a".into(), "".into()],
                    ..Default::default()
                }),
                AttrValue::Strs(vec![b"a".to_vec(), vec![]]),
            ),
            (
                Value::List(ListValue {
                    f: vec![1.5],
                    ..Default::default()
                }),
                AttrValue::Floats(vec![1.5]),
            ),
            (
                Value::List(ListValue {
                    b: vec![false],
                    ..Default::default()
                }),
                AttrValue::Bools(vec![false]),
            ),
            (
                Value::List(ListValue {
                    shape: vec![sizes(&[2])],
                    ..Default::default()
                }),
                AttrValue::Shapes(vec![Some(Shape::fixed(&[2]))]),
            ),
            (
                Value::List(ListValue {
                    func: vec![function("f")],
                    ..Default::default()
                }),
                AttrValue::Funcs(vec!["f".into()]),
            ),
        ] {
            assert_eq!(convert(value.clone()).unwrap(), expected, "{value:?}");
        }
    }

    #[test]
    fn impossible_attributes_are_refused() {
        let mixed = ListValue {
            i: vec![1],
            f: vec![1.0],
            ..Default::default()
        };
        assert!(matches!(
            convert(Value::List(mixed)),
            Err(AttrProblem::MixedList)
        ));
        assert!(matches!(
            convert(Value::Shape(sizes(&[-2]))),
            Err(AttrProblem::Shape(ShapeProblem::Size(-2)))
        ));
        let empty = proto::AttrValue { value: None };
        assert!(matches!(
            attr_value(empty, &mut RepeatBudget::default()),
            Err(AttrProblem::NoValue)
        ));
    }
}
