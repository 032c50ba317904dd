//! TensorFlow.js models: `model.json` as it comes, and made of parts with a weight shard beside.
#![no_main]

use arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use tfjet_convert::tensorflow::ImportOptions;
use tfjet_fuzz::{import, write_file};

const NAMES: [&str; 6] = ["a", "b", "c", "x", "inner", "w"];

fn name(from: &mut Unstructured<'_>) -> Result<String> {
    match from.ratio(1, 12)? {
        true => String::arbitrary(from),
        false => Ok((*from.choose(&NAMES)?).to_owned()),
    }
}

fn many<'a>(
    from: &mut Unstructured<'a>,
    most: usize,
    make: impl Fn(&mut Unstructured<'a>) -> Result<Value>,
) -> Result<Value> {
    let count = from.int_in_range(0..=most)?;
    (0..count).map(|_| make(from)).collect()
}

fn size(from: &mut Unstructured<'_>) -> Result<Value> {
    Ok(match from.int_in_range(0..=9)? {
        0 => json!(i64::arbitrary(from)?),
        1 => json!(i64::arbitrary(from)?.to_string()),
        2 => json!(f64::arbitrary(from)?),
        _ => json!(from.int_in_range(-1..=4)?),
    })
}

fn attribute(from: &mut Unstructured<'_>) -> Result<Value> {
    Ok(match from.int_in_range(0..=7)? {
        0 => json!({ "type": *from.choose(&["DT_FLOAT", "DT_INT32", "DT_BOOL", "DT_NEW"])? }),
        1 => json!({ "type": i32::arbitrary(from)? }),
        2 => {
            let dim = many(from, 4, |from| Ok(json!({ "size": size(from)? })))?;
            json!({ "shape": { "dim": dim } })
        }
        3 => json!({ "s": String::arbitrary(from)? }),
        4 => json!({ "list": { "i": many(from, 3, size)? } }),
        5 => json!({ "f": f64::arbitrary(from)? }),
        6 => json!({ "func": { "name": name(from)? } }),
        _ => json!({ "tensor": { "dtype": "DT_FLOAT", "floatVal": [1.5] } }),
    })
}

fn node(from: &mut Unstructured<'_>) -> Result<Value> {
    let ops = [
        "Const",
        "Const",
        "Placeholder",
        "Add",
        "PartitionedCall",
        "While",
        "f",
    ];
    let mut attr = serde_json::Map::new();
    for _ in 0..from.int_in_range(0..=3)? {
        let key = *from.choose(&["dtype", "value", "shape", "f", "body", "cond", "T"])?;
        attr.insert(key.into(), attribute(from)?);
    }
    Ok(json!({
        "name": name(from)?,
        "op": *from.choose(&ops)?,
        "input": many(from, 3, |from| Ok(Value::String(name(from)?)))?,
        "attr": attr,
    }))
}

fn weight(from: &mut Unstructured<'_>) -> Result<Value> {
    let dtypes = [
        "float32",
        "int32",
        "bool",
        "uint8",
        "string",
        "float16",
        "complex64",
    ];
    let mut weight = json!({
        "name": name(from)?,
        "shape": many(from, 3, size)?,
        "dtype": *from.choose(&dtypes)?,
    });
    if from.ratio(1, 3)? {
        weight["quantization"] = json!({
            "dtype": *from.choose(&["uint8", "uint16", "float16"])?,
            "scale": f32::arbitrary(from)?,
            "min": f32::arbitrary(from)?,
        });
    }
    Ok(weight)
}

fn model(from: &mut Unstructured<'_>) -> Result<Value> {
    let function = |from: &mut Unstructured<'_>| {
        Ok(json!({
            "signature": { "name": "f", "inputArg": [{ "name": name(from)?, "type": "DT_FLOAT" }],
                "outputArg": [{ "name": "r", "type": "DT_FLOAT" }] },
            "nodeDef": many(from, 3, node)?,
            "ret": { "r": name(from)? },
        }))
    };
    let group = |from: &mut Unstructured<'_>| {
        Ok(json!({ "paths": ["shard.bin"], "weights": many(from, 4, weight)? }))
    };
    Ok(json!({
        "modelTopology": {
            "node": many(from, 6, node)?,
            "library": { "function": many(from, 2, function)? },
        },
        "weightsManifest": many(from, 2, group)?,
        "signature": { "outputs": { "y": { "name": name(from)? } } },
    }))
}

fuzz_target!(|data: &[u8]| {
    let Some((&kind, rest)) = data.split_first() else {
        return;
    };
    let options = ImportOptions::default();
    if kind < 96 {
        write_file("shard.bin", &[1; 24]);
        import(&write_file("model.json", rest), &options);
        return;
    }
    let mut from = Unstructured::new(rest);
    let Ok(model) = model(&mut from) else {
        return;
    };
    let length = from.int_in_range(0..=64).unwrap_or(24);
    write_file("shard.bin", &vec![1; length]);
    import(
        &write_file("model.json", model.to_string().as_bytes()),
        &options,
    );
});
