"""Writes op_goldens.json: what TensorFlow computes for the ops that tfjet-ops implements.

    python tests/goldens/make_op_goldens.py [output file]

Needs TensorFlow 2.21 on the CPU. The result depends on the seed below and on TensorFlow only.

Each case runs as a graph of one node, from which its attributes are read back, so that they are
the ones that an exported graph has. Ops that TensorFlow lacks (those of TF.js) take their result
from a composition of plain ops.

A tensor is {"dtype", "shape", "data"}, the data being little-endian bytes in hexadecimal. An
attribute is {"<field of AttrValue>": value}, lists under "ints", "floats", "strs" and "types".
"""

import json
import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import op_def_registry

SEED = 20260101
F32, F64, F16 = np.float32, np.float64, np.float16
NAN, INF = np.nan, np.inf

rng = np.random.default_rng(SEED)
cases = []


def dtype_name(enum):
    return tf.dtypes.as_dtype(enum).name


def attr_json(value):
    kind = value.WhichOneof("value")
    if kind == "i":
        return {"i": value.i}
    if kind == "f":
        return {"f": float(np.float32(value.f))}
    if kind == "b":
        return {"b": value.b}
    if kind == "s":
        return {"s": value.s.decode()}
    if kind == "type":
        return {"type": dtype_name(value.type)}
    if kind == "shape":
        return {"shape": [dim.size for dim in value.shape.dim]}
    assert kind == "list", kind
    if value.list.type:
        return {"types": [dtype_name(item) for item in value.list.type]}
    if value.list.s:
        return {"strs": [item.decode() for item in value.list.s]}
    if value.list.f:
        return {"floats": list(value.list.f)}
    return {"ints": list(value.list.i)}


def tensor_json(array):
    array = np.ascontiguousarray(array).reshape(np.shape(array))
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": array.tobytes().hex()}


def add(name, op, attrs, inputs, outputs, tolerance=None, total=None):
    """Adds a case; `total` is the number of the op's outputs where `outputs` are the first ones."""
    case = {
        "name": f"{op}/{name}",
        "op": op,
        "attrs": attrs,
        "inputs": [tensor_json(array) for array in inputs],
        "outputs": [tensor_json(array) for array in outputs],
    }
    if tolerance is not None:
        case["tolerance"] = tolerance
    if total is not None:
        case["output_count"] = total
    cases.append(case)


def case(op, name, inputs, tolerance=None, keep=None, **attrs):
    """Runs `op` in TensorFlow. A list among `inputs` is one argument of many tensors; `keep` is
    the number of outputs that have a meaning."""
    op_def = op_def_registry.get(op)
    graph_def = tf.compat.v1.GraphDef()
    node = tf.compat.v1.NodeDef(name="op", op=op)
    fed = {}
    for arg_def, arg in zip(op_def.input_arg, inputs, strict=True):
        group = [np.asarray(item) for item in (arg if isinstance(arg, list) else [arg])]
        types = [tf.dtypes.as_dtype(array.dtype).as_datatype_enum for array in group]
        if arg_def.type_attr:
            node.attr[arg_def.type_attr].type = types[0]
        if arg_def.type_list_attr:
            node.attr[arg_def.type_list_attr].list.type.extend(types)
        if arg_def.number_attr:
            node.attr[arg_def.number_attr].i = len(group)
        for array, dtype in zip(group, types):
            placeholder = graph_def.node.add(name=f"input_{len(fed)}", op="Placeholder")
            placeholder.attr["dtype"].type = dtype
            placeholder.attr["shape"].shape.CopyFrom(tf.TensorShape(array.shape).as_proto())
            node.input.append(placeholder.name)
            fed[f"{placeholder.name}:0"] = array
    for attr_def in op_def.attr:
        if attr_def.name in attrs:
            set_attr(node.attr[attr_def.name], attr_def.type, attrs.pop(attr_def.name))
        elif attr_def.name not in node.attr and attr_def.HasField("default_value"):
            node.attr[attr_def.name].CopyFrom(attr_def.default_value)
    assert not attrs, (op, name, attrs)
    graph_def.node.add().CopyFrom(node)
    with tf.Graph().as_default() as graph:
        [operation] = tf.graph_util.import_graph_def(graph_def, name="", return_elements=["op"])
        with tf.compat.v1.Session(graph=graph, config=CONFIG) as session:
            outputs = session.run(list(operation.outputs)[:keep], fed)
    attr_values = {key: attr_json(value) for key, value in sorted(node.attr.items())}
    total = len(operation.outputs) if keep is not None else None
    add(name, op, attr_values, fed.values(), outputs, tolerance, total)


def set_attr(attr, kind, value):
    if kind == "bool":
        attr.b = value
    elif kind == "int":
        attr.i = value
    elif kind == "float":
        attr.f = value
    elif kind == "string":
        attr.s = value.encode()
    elif kind == "type":
        attr.type = tf.dtypes.as_dtype(value).as_datatype_enum
    else:
        assert kind == "list(int)", kind
        attr.list.i.extend(value)


CONFIG = tf.compat.v1.ConfigProto(
    intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
CONFIG.graph_options.rewrite_options.disable_meta_optimizer = True
CONFIG.graph_options.optimizer_options.opt_level = -1


def normal(*shape, dtype=F32):
    return rng.standard_normal(shape).astype(dtype)


def integers(low, high, *shape, dtype=np.int32):
    return rng.integers(low, high, shape).astype(dtype)


def run(function, *arrays):
    """The value of a composition of plain ops."""
    with tf.Graph().as_default() as graph:
        fed = [tf.compat.v1.placeholder(array.dtype, array.shape) for array in arrays]
        result = function(*fed)
        with tf.compat.v1.Session(graph=graph, config=CONFIG) as session:
            return session.run(result, dict(zip(fed, arrays)))


def i32(*values):
    return np.array(values, np.int32)


def i64(*values):
    return np.array(values, np.int64)


def activations():
    edge = F32([-100, -20, -8, -1.5, -1, -1e-3, -0.0, 0.0, 1e-3, 0.5, 3, 6, 6.5, 20, 100,
                INF, -INF, NAN])
    for op in ["Relu", "Relu6", "Elu", "Selu", "Sigmoid", "Tanh", "Softplus", "Softsign"]:
        case(op, "edges", [edge])
        case(op, "random", [3 * normal(3, 7)])
        # TensorFlow rounds to half after every step, the kernel once.
        case(op, "half", [normal(9, dtype=F16)], tolerance=5e-3)
        case(op, "double", [normal(9, dtype=F64)])
        case(op, "empty", [F32([]).reshape(0, 3)])
    for dtype in [np.int32, np.int64, np.int8, np.uint8]:
        for op in ["Relu", "Relu6"]:
            case(op, np.dtype(dtype).name, [integers(0, 120, 5, dtype=dtype) - dtype(30)])
    case("LeakyRelu", "default", [edge])
    case("LeakyRelu", "alpha", [normal(2, 5)], alpha=0.05)
    case("LeakyRelu", "alpha_above_one", [edge], alpha=1.5)
    case("LeakyRelu", "half", [normal(8, dtype=F16)], alpha=0.1)
    case("LeakyRelu", "double", [normal(8, dtype=F64)], alpha=0.1)

    for name, x, alpha in [
        ("same_shape", normal(2, 3), normal(2, 3)),
        ("channels", normal(1, 3, 2, 4), normal(1, 1, 4)),
        ("scalar", normal(5), F32(0.25)),
    ]:
        y = run(lambda x, a: tf.where(x < 0, a * x, x), x, alpha)
        add(name, "Prelu", {"T": {"type": "float32"}}, [x, alpha], [y])


def unary():
    wide = F32([-1e30, -3.5, -2.5, -1.5, -1, -0.5, -1e-4, -0.0, 0, 1e-4, 0.5, 1, 1.5, 2.5, 3.5,
                1e30, INF, -INF, NAN])
    small = np.concatenate([np.linspace(-4, 4, 11), [1e-5, -1e-5]]).astype(F32)
    unit = np.concatenate([np.linspace(-1, 1, 9), [1e-5, 1.5]]).astype(F32)
    positive = F32([0, 1e-30, 1e-5, 0.3, 1, 2, 10, 1e20, INF, -1, NAN])
    above = F32([1, 1.0001, 1.5, 2, 100, 1e10, 0.5])
    inputs = {
        "Abs": wide, "Neg": wide, "Sign": wide, "Square": wide, "Ceil": wide, "Floor": wide,
        "Round": wide, "Rint": wide, "Reciprocal": wide, "Inv": wide,
        "IsFinite": wide, "IsInf": wide, "IsNan": wide,
        "Exp": np.concatenate([small, F32([-200, -80, 80, 200, INF, -INF, NAN])]),
        "Expm1": np.concatenate([small, F32([-80, 80, INF, -INF])]),
        "Log": positive, "Log1p": np.concatenate([positive, F32([-0.5, 1e-7])]),
        "Sqrt": positive, "Rsqrt": positive,
        "Sin": small, "Cos": small, "Tan": small, "Asin": unit, "Acos": unit,
        "Atan": wide, "Sinh": small, "Cosh": small, "Asinh": small, "Acosh": above,
        "Atanh": unit, "Erf": np.concatenate([small, F32([INF, -INF, 0.1, 0.84, 2.9])]),
    }
    finite = F64([-3.5, -0.5, 0, 0.5, 0.75, 1, 2])
    for op, x in inputs.items():
        case(op, "float", [x], tolerance=1e-5 if op in ("Tan",) else None)
        case(op, "double", [finite])
        if op != "Rint":
            case(op, "half", [finite.astype(F16)])
        case(op, "scalar", [F32(0.75) if op != "Acosh" else F32(1.75)])
        case(op, "empty", [np.zeros((2, 0), F32)])
    for op in ["Abs", "Neg", "Sign", "Square"]:
        case(op, "int32", [i32(-2**31, -46341, -1, 0, 7, 2**31 - 1)])
        case(op, "int64", [i64(-2**63, -1, 0, 7, 2**63 - 1)])


def binaries():
    pairs = {
        "scalar_right": (normal(2, 3), F32(1.5)),
        "scalar_left": (F32(-2.5), normal(4)),
        "rows": (normal(3, 4), normal(4)),
        "columns": (normal(3, 1), normal(1, 4)),
        "middle": (normal(2, 1, 3), normal(1, 4, 1)),
        "empty": (np.zeros((0, 3), F32), normal(1, 3)),
        "same": (normal(2, 5), normal(2, 5)),
        "edges": (F32([1, -1, 0, 0, INF, NAN, 1, -INF, 5.5, -5.5, 3]),
                  F32([0, 0, 0, 1, INF, 1, NAN, 2, -2, 2, INF])),
    }
    ops = ["Add", "AddV2", "Sub", "Mul", "Div", "RealDiv", "DivNoNan", "FloorDiv", "FloorMod",
           "Mod", "TruncateMod", "Minimum", "Maximum", "SquaredDifference", "Pow"]
    for op in ops:
        for name, (x, y) in pairs.items():
            if op == "Pow" and name != "edges":
                x = np.abs(x)
            case(op, name, [x, y])
        if op not in ("Mod", "TruncateMod"):
            case(op, "half", [np.abs(normal(6, dtype=F16)) + F16(0.25), normal(6, dtype=F16)])
        case(op, "double", [np.abs(normal(6, dtype=F64)), normal(6, dtype=F64)])
    large = i32(2**31 - 1, -2**31, 46341, -7, 7, -7, 7, 0)
    by = i32(1, 3, 46341, 2, -2, -2, 2, 5)
    for op in ["Add", "AddV2", "Sub", "Mul", "Minimum", "Maximum", "SquaredDifference", "Div",
               "FloorDiv", "FloorMod", "Mod", "TruncateMod", "TruncateDiv"]:
        case(op, "int32", [large, by])
        case(op, "int64", [large.astype(np.int64) * 2**31, by.astype(np.int64)])
        case(op, "int32_broadcast", [large, i32(3)])
    for op in ["Add", "AddV2", "Sub", "Mul", "Div", "Maximum", "TruncateDiv"]:
        case(op, "uint8", [np.uint8([250, 7, 0, 255]), np.uint8([10, 2, 3, 255])])
    for op in ["FloorDiv", "FloorMod"]:
        case(op, "int8", [np.int8([-128, -7, 7, 100]), np.int8([3, 2, -2, 7])])
    case("Pow", "int32", [i32(-2, 3, 0, 5, -1), i32(31, 40, 0, 2, 7)])
    case("Pow", "int64", [i64(-2, 3, 7), i64(63, 39, 0)])

    for value, bias in [((2, 3, 2, 4), 4), ((3, 5), 5), ((2, 1, 2, 2, 3), 3)]:
        case("BiasAdd", f"nhwc_{len(value)}d", [normal(*value), normal(bias)])
    case("BiasAdd", "nchw", [normal(2, 3, 2, 4), normal(3)], data_format="NCHW")
    case("BiasAdd", "int32", [integers(-9, 9, 2, 3), i32(1, 2, 3)])
    case("BiasAdd", "half", [normal(2, 3, dtype=F16), normal(3, dtype=F16)])
    case("AddN", "one", [[normal(3)]])
    case("AddN", "three", [[normal(2, 3) for _ in range(3)]])
    case("AddN", "eleven", [[normal(4) for _ in range(11)]])
    case("AddN", "int32", [[integers(-9, 9, 3) for _ in range(2)]])


def comparisons():
    x, y = F32([1, 2, NAN, -0.0, INF, 3]), F32([1, 3, NAN, 0.0, INF, 2])
    for op in ["Greater", "GreaterEqual", "Less", "LessEqual", "Equal", "NotEqual"]:
        case(op, "float", [x, y])
        case(op, "int32", [i32(1, 2, 3), i32(3, 2, 1)])
        case(op, "int64_broadcast", [i64(1, 2, 3).reshape(3, 1), i64(2, 3)])
        case(op, "uint8_scalar", [np.uint8([0, 128, 255]), np.uint8(128)])
        case(op, "half", [F16([1, 2]), F16([2, 1])])
        case(op, "empty", [np.zeros((0,), F32), F32(1)])
    for op in ["Equal", "NotEqual"]:
        case(op, "bool", [np.array([True, False, True]), np.array([[True], [False]])])
        case(op, "incompatible", [normal(2), normal(3)], incompatible_shape_error=False)
    flags = np.array([[True, False], [True, True]])
    for op in ["LogicalAnd", "LogicalOr"]:
        case(op, "same", [flags, ~flags])
        case(op, "broadcast", [flags, np.array([False, True])])
    case("LogicalNot", "flags", [flags])


def casts():
    values = F64([-300.7, -128.5, -1.5, -0.5, 0, 0.49, 1.5, 2.5, 127, 100.99])
    for source in ["float32", "float64", "float16"]:
        for target in ["float32", "float64", "float16", "int32", "int64", "bool"]:
            case("Cast", f"{source}_{target}", [values.astype(source)],
                 DstT=tf.dtypes.as_dtype(target))
        for target in ["int8", "uint8", "int16", "uint16", "uint32", "uint64"]:
            case("Cast", f"{source}_{target}", [np.abs(values[2:]).astype(source)],
                 DstT=tf.dtypes.as_dtype(target))
    whole = np.array([-2**63, -2**31 - 1, -129, -1, 0, 1, 255, 256, 65537, 2**24 + 1, 2**53 + 1,
                      2**63 - 1], np.int64)
    kinds = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool"]
    for source in kinds:
        given = whole.astype(source)
        for target in [*kinds, "float32", "float64"]:
            case("Cast", f"{source}_{target}", [given], DstT=tf.dtypes.as_dtype(target))
    case("Cast", "int32_float16", [i32(0, 1, 2049, 65504, 70000, -3)], DstT=tf.float16)
    case("Cast", "float_int32_outside", [F32([3e9, -3e9, NAN, INF])], DstT=tf.int32)
    case("Cast", "double_float16_twice_rounded", [F64([1 + 2**-11 + 2**-30, 1e-8, 65519.99])],
         DstT=tf.float16)
    case("Cast", "nan_to_bool", [F32([NAN, 0.0, -0.0, 1e-30])], DstT=tf.bool)


def concats():
    a, b, c = normal(2, 3), normal(2, 1), normal(2, 0)
    case("ConcatV2", "last_axis", [[a, b, c], np.int32(-1)])
    case("ConcatV2", "first_axis", [[a, normal(1, 3)], np.int64(0)])
    case("ConcatV2", "middle_axis", [[normal(2, 1, 2), normal(2, 3, 2)], np.int32(1)])
    case("ConcatV2", "bool", [[np.array([True]), np.array([False, True])], np.int32(0)])
    case("ConcatV2", "half", [[normal(2, dtype=F16), normal(3, dtype=F16)], np.int32(0)])
    case("ConcatV2", "empty", [[np.zeros((0, 2), F32), np.zeros((0, 2), F32)], np.int32(0)])
    case("Concat", "axis_first", [np.int32(1), [a, b]])
    for axis in [0, 1, -1]:
        case("Pack", f"axis_{axis}", [[integers(0, 9, 3), integers(0, 9, 3)]], axis=axis)
    case("Pack", "scalars", [[np.int64(4), np.int64(5), np.int64(6)]])
    case("Pack", "middle", [[normal(2, 3), normal(2, 3)]], axis=1)
    case("Unpack", "first", [normal(3, 2)], num=3)
    case("Unpack", "last", [normal(2, 3)], num=3, axis=-1)
    case("Unpack", "scalars", [i64(7, 8)], num=2)
    case("Unpack", "empty_rows", [np.zeros((2, 0), F32)], num=2)
    case("Split", "equal", [np.int32(1), normal(2, 6)], num_split=3)
    case("Split", "negative_axis", [np.int32(-2), normal(4, 2, 3)], num_split=1)
    case("Split", "first", [np.int32(0), integers(0, 255, 4, 3, dtype=np.uint8)], num_split=2)
    case("SplitV", "rest", [normal(2, 7), i32(2, -1, 0), np.int32(1)], num_split=3)
    case("SplitV", "int64_sizes", [normal(5, 2), i64(1, 4), np.int32(0)], num_split=2)


def fills():
    case("Fill", "float", [i32(2, 3), F32(1.5)])
    case("Fill", "int64_dims", [i64(4), np.int64(-7)])
    case("Fill", "scalar", [np.zeros((0,), np.int32), np.array(True)])
    case("Fill", "empty", [i32(2, 0), F16(1)])
    for op in ["ZerosLike", "OnesLike"]:
        case(op, "float", [normal(2, 3)])
        case(op, "bool", [np.array([True, False])])
        case(op, "int64", [i64(3, 4)])
        case(op, "half", [normal(3, dtype=F16)])
    case("Range", "int32", [np.int32(3), np.int32(18), np.int32(4)])
    case("Range", "down", [np.int64(5), np.int64(-6), np.int64(-3)])
    case("Range", "empty", [np.int32(3), np.int32(3), np.int32(1)])
    case("Range", "float", [F32(0.1), F32(3), F32(0.3)])
    case("Range", "float_long", [F32(0), F32(1), F32(0.01)])
    case("Range", "float_down", [F32(1), F32(-1), F32(-0.25)])
    case("Range", "double", [F64(0.1), F64(1), F64(0.1)])
    case("LinSpace", "float", [F32(0.1), F32(1.3), np.int32(7)])
    case("LinSpace", "double", [F64(-1), F64(1), np.int64(4)])
    case("LinSpace", "one", [F32(2), F32(5), np.int32(1)])


def gathers():
    params = normal(4, 3)
    case("Gather", "rows", [params, i32(3, 0, 3)])
    case("Gather", "matrix_of_indices", [params, i64([1, 2], [0, 3])])
    case("GatherV2", "scalar", [params, np.int32(2), np.int32(0)])
    case("GatherV2", "columns", [params, i32(2, 0), np.int32(1)])
    case("GatherV2", "negative_axis", [normal(2, 3, 4), i64(1, 1), np.int32(-2)])
    case("GatherV2", "empty_indices", [params, np.zeros((0,), np.int32), np.int32(0)])
    case("GatherV2", "bool", [np.array([True, False]), i32(1, 1, 0), np.int32(0)])
    case("GatherV2", "batch", [normal(2, 5, 3), i32([4, 0], [1, 1]), np.int32(1)], batch_dims=1)
    case("GatherV2", "batch_inner", [normal(2, 3, 5), i32([4, 0], [1, 1]), np.int32(2)],
         batch_dims=1)
    case("GatherV2", "batch_negative", [normal(2, 3, 5), integers(0, 5, 2, 3, 2), np.int32(2)],
         batch_dims=-1)
    case("GatherNd", "points", [params, i32([0, 1], [3, 2])])
    case("GatherNd", "rows", [params, i64([[2]], [[0]])])
    case("GatherNd", "whole", [params, np.zeros((2, 0), np.int32)])
    case("GatherNd", "deep", [normal(2, 3, 4), i32([[0, 2], [1, 1]])])
    case("ScatterNd", "rows", [i32([1], [3]), normal(2, 3), i32(4, 3)])
    case("ScatterNd", "duplicates", [i32([1], [1], [0]), F32([2, 3, 5]), i32(3)])
    case("ScatterNd", "points", [i64([0, 1], [2, 0]), i64(7, 8), i64(3, 2)])
    case("ScatterNd", "empty", [np.zeros((0, 1), np.int32), np.zeros((0,), F32), i32(3)])
    case("OneHot", "last", [i32(0, 2, -1, 5), np.int32(3), F32(1), F32(0)])
    case("OneHot", "first", [i64([0, 1], [2, 0]), np.int32(3), F32(5), F32(-1)], axis=0)
    case("OneHot", "middle", [i64([0, 1], [2, 0]), np.int32(3), np.int32(1), np.int32(0)], axis=1)
    case("OneHot", "uint8", [np.uint8([1, 0]), np.int32(2), np.array(True), np.array(False)])
    case("OneHot", "zero_depth", [i32(0, 1), np.int32(0), F32(1), F32(0)])


def matrices():
    for name, a, b, attrs in [
        ("plain", (2, 3), (3, 4), {}),
        ("wide", (3, 5), (5, 37), {}),
        ("transposed_a", (3, 2), (3, 4), {"transpose_a": True}),
        ("transposed_b", (2, 3), (18, 3), {"transpose_b": True}),
        ("both", (3, 2), (4, 3), {"transpose_a": True, "transpose_b": True}),
        ("no_inner", (2, 0), (0, 3), {}),
        ("no_rows", (0, 3), (3, 2), {}),
    ]:
        case("MatMul", name, [normal(*a), normal(*b)], tolerance=1e-5, **attrs)
    case("MatMul", "double", [normal(2, 3, dtype=F64), normal(3, 2, dtype=F64)])
    case("MatMul", "half", [normal(2, 3, dtype=F16), normal(3, 2, dtype=F16)])
    case("MatMul", "int32", [integers(-9, 9, 2, 3), integers(-9, 9, 3, 2)])
    case("BatchMatMul", "plain", [normal(2, 3, 4), normal(2, 4, 2)], tolerance=1e-5)
    case("BatchMatMul", "adjoint", [normal(2, 2, 4, 3), normal(2, 2, 5, 4)], tolerance=1e-5,
         adj_x=True, adj_y=True)
    case("BatchMatMulV2", "broadcast", [normal(2, 1, 3, 4), normal(5, 4, 2)], tolerance=1e-5)
    case("BatchMatMulV2", "matrix_right", [normal(3, 2, 4), normal(4, 2)], tolerance=1e-5)
    case("BatchMatMulV2", "adjoint", [normal(3, 4), normal(2, 5, 4)], tolerance=1e-5, adj_y=True)
    case("BatchMatMulV2", "int32", [integers(-5, 5, 2, 2, 3), integers(-5, 5, 2, 3, 2)])
    for fused_ops, then in [
        (["BiasAdd"], lambda x: x),
        (["BiasAdd", "Relu"], tf.nn.relu),
        (["BiasAdd", "Relu6"], tf.nn.relu6),
        (["BiasAdd", "Elu"], tf.nn.elu),
        (["BiasAdd", "Tanh"], tf.nn.tanh),
        (["BiasAdd", "Sigmoid"], tf.nn.sigmoid),
        (["BiasAdd", "LeakyRelu"], lambda x: tf.nn.leaky_relu(x, 0.3)),
    ]:
        a, b, bias = normal(3, 4), normal(5, 4), normal(5)
        y = run(lambda a, b, c: then(tf.nn.bias_add(tf.matmul(a, b, transpose_b=True), c)),
                a, b, bias)
        attrs = fused_attrs(fused_ops, 1, transpose_a={"b": False}, transpose_b={"b": True})
        add("_".join(fused_ops).lower(), "_FusedMatMul", attrs, [a, b, bias], [y], 1e-5)


def fused_attrs(fused_ops, num_args, **attrs):
    return {
        "T": {"type": "float32"},
        "num_args": {"i": num_args},
        "fused_ops": {"strs": fused_ops},
        "epsilon": {"f": float(F32(1e-3))},
        "leakyrelu_alpha": {"f": float(F32(0.3))},
        **attrs,
    }


def nchw(array):
    return np.ascontiguousarray(np.moveaxis(array, 3, 1))


def list_nchw(values):
    return [values[0], values[3], values[1], values[2]]


def window_attrs(strides, padding, dilations, explicit=(), data_format="NHWC"):
    reorder = list_nchw if data_format == "NCHW" else list
    return {
        "T": {"type": "float32"},
        "strides": {"ints": reorder([1, *strides, 1])},
        "dilations": {"ints": reorder([1, *dilations, 1])},
        "padding": {"s": padding},
        "explicit_paddings": {"ints": list(explicit)},
        "data_format": {"s": data_format},
    }


def convolutions():
    shapes = [
        ("same_odd", (1, 5, 7, 3), (3, 3, 3, 4), (2, 2), "SAME", (1, 1)),
        ("same_even", (2, 6, 4, 2), (3, 2, 2, 5), (2, 1), "SAME", (1, 1)),
        ("valid", (1, 7, 6, 2), (3, 2, 2, 3), (2, 3), "VALID", (1, 1)),
        ("dilated_same", (1, 7, 8, 2), (3, 3, 2, 3), (1, 1), "SAME", (2, 3)),
        ("dilated_valid", (1, 9, 7, 1), (3, 2, 1, 2), (1, 1), "VALID", (3, 2)),
        ("pointwise", (1, 2, 2, 5), (1, 1, 5, 19), (1, 1), "VALID", (1, 1)),
        ("kernel_above_image", (1, 2, 2, 1), (5, 5, 1, 2), (1, 1), "SAME", (1, 1)),
        ("groups", (1, 4, 4, 4), (3, 3, 2, 6), (1, 1), "SAME", (1, 1)),
    ]
    for name, x, filter_shape, strides, padding, dilations in shapes:
        x, filter_array = normal(*x), normal(*filter_shape)
        case("Conv2D", name, [x, filter_array], tolerance=1e-5, strides=[1, *strides, 1],
             padding=padding, dilations=[1, *dilations, 1])
        y = cases[-1]
        plain = run(lambda a, b: tf.raw_ops.Conv2D(
            input=a, filter=b, strides=[1, *strides, 1], padding=padding,
            dilations=[1, *dilations, 1]), x, filter_array)
        assert y["outputs"][0] == tensor_json(plain)
        if name in ("same_odd", "valid", "dilated_same", "groups"):
            attrs = window_attrs(strides, padding, dilations, data_format="NCHW")
            add(f"{name}_nchw", "Conv2D", attrs, [nchw(x), filter_array], [nchw(plain)], 1e-5)
    case("Conv2D", "explicit", [normal(1, 4, 5, 2), normal(3, 3, 2, 2)], tolerance=1e-5,
         strides=[1, 2, 1, 1], padding="EXPLICIT", explicit_paddings=[0, 0, 2, 1, 0, 3, 0, 0])
    case("Conv2D", "half", [normal(1, 4, 4, 2, dtype=F16), normal(2, 2, 2, 3, dtype=F16)],
         strides=[1, 1, 1, 1], padding="SAME")
    case("Conv2D", "double", [normal(1, 4, 4, 2, dtype=F64), normal(2, 2, 2, 3, dtype=F64)],
         strides=[1, 1, 1, 1], padding="SAME")
    case("Conv2D", "no_images", [normal(0, 4, 4, 2), normal(2, 2, 2, 3)],
         strides=[1, 1, 1, 1], padding="SAME")

    for name, x, filter_shape, stride, padding in [
        ("same", (1, 5, 6, 3), (3, 3, 3, 1), 2, "SAME"),
        ("multiplier", (2, 4, 5, 3), (2, 3, 3, 2), 1, "SAME"),
        ("valid", (1, 5, 5, 20), (3, 3, 20, 1), 1, "VALID"),
    ]:
        x, filter_array = normal(*x), normal(*filter_shape)
        case("DepthwiseConv2dNative", name, [x, filter_array], tolerance=1e-5,
             strides=[1, stride, stride, 1], padding=padding)
        plain = run(lambda a, b: tf.raw_ops.DepthwiseConv2dNative(
            input=a, filter=b, strides=[1, stride, stride, 1], padding=padding), x, filter_array)
        attrs = window_attrs((stride, stride), padding, (1, 1), data_format="NCHW")
        add(f"{name}_nchw", "DepthwiseConv2dNative", attrs, [nchw(x), filter_array],
            [nchw(plain)], 1e-5)
    case("DepthwiseConv2dNative", "explicit", [normal(1, 4, 5, 2), normal(3, 3, 2, 1)],
         tolerance=1e-5, strides=[1, 1, 1, 1], padding="EXPLICIT",
         explicit_paddings=[0, 0, 2, 1, 0, 1, 0, 0])
    # The CPU kernel has no dilations of its own: Python's wrapper goes through SpaceToBatchND.
    x, filter_array = normal(1, 7, 6, 2), normal(3, 2, 2, 2)
    y = run(lambda a, b: tf.nn.depthwise_conv2d(a, b, [1, 1, 1, 1], "SAME", dilations=[2, 2]),
            x, filter_array)
    add("dilated", "DepthwiseConv2dNative", window_attrs((1, 1), "SAME", (2, 2)),
        [x, filter_array], [y], 1e-5)

    for name, size, filter_shape, strides, padding in [
        ("same", (1, 6, 7, 3), (3, 3, 3, 2), (2, 2), "SAME"),
        ("valid", (2, 7, 5, 2), (3, 2, 2, 4), (2, 3), "VALID"),
        ("stride_above_kernel", (1, 5, 5, 1), (2, 2, 1, 2), (3, 3), "SAME"),
    ]:
        out = [-(-n // s) if padding == "SAME" else (n - k) // s + 1
               for n, s, k in zip(size[1:3], strides, filter_shape[:2])]
        gradient = normal(size[0], *out, filter_shape[3])
        filter_array = normal(*filter_shape)
        case("Conv2DBackpropInput", name, [i32(*size), filter_array, gradient], tolerance=1e-5,
             strides=[1, *strides, 1], padding=padding)
        plain = run(lambda a, b: tf.raw_ops.Conv2DBackpropInput(
            input_sizes=i32(*size), filter=a, out_backprop=b, strides=[1, *strides, 1],
            padding=padding), filter_array, gradient)
        attrs = window_attrs(strides, padding, (1, 1), data_format="NCHW")
        add(f"{name}_nchw", "Conv2DBackpropInput", attrs,
            [i32(*list_nchw(size)), filter_array, nchw(gradient)], [nchw(plain)], 1e-5)
    case("Conv2DBackpropInput", "sizes_of_two",
         [i32(4, 4), normal(2, 2, 3, 2), normal(2, 2, 2, 2)], tolerance=1e-5,
         strides=[1, 2, 2, 1], padding="SAME")
    case("Conv2DBackpropInput", "explicit",
         [i32(1, 4, 4, 1), normal(3, 3, 1, 2), normal(1, 3, 4, 2)], tolerance=1e-5,
         strides=[1, 2, 1, 1], padding="EXPLICIT", explicit_paddings=[0, 0, 2, 1, 1, 1, 0, 0])


def fused_convolutions():
    finish = {
        "": lambda x, a: x,
        "Relu": lambda x, a: tf.nn.relu(x),
        "Relu6": lambda x, a: tf.nn.relu6(x),
        "Elu": lambda x, a: tf.nn.elu(x),
        "Sigmoid": lambda x, a: tf.nn.sigmoid(x),
        "Tanh": lambda x, a: tf.nn.tanh(x),
        "LeakyRelu": lambda x, a: tf.nn.leaky_relu(x, 0.3),
        "Prelu": lambda x, a: tf.where(x < 0, a * x, x),
    }
    for activation, then in finish.items():
        for op in ["_FusedConv2D", "FusedDepthwiseConv2dNative", "_FusedDepthwiseConv2dNative"]:
            depthwise = "Depthwise" in op
            x, bias, alpha = normal(1, 4, 5, 3), normal(6), normal(1, 1, 6)
            filter_array = normal(3, 3, 3, 2) if depthwise else normal(3, 3, 3, 6)
            raw = tf.raw_ops.DepthwiseConv2dNative if depthwise else tf.raw_ops.Conv2D
            y = run(lambda x, f, b, a: then(tf.nn.bias_add(raw(
                input=x, filter=f, strides=[1, 2, 2, 1], padding="SAME"), b), a),
                x, filter_array, bias, alpha)
            args = [bias, alpha] if activation == "Prelu" else [bias]
            fused_ops = ["BiasAdd", activation] if activation else ["BiasAdd"]
            attrs = fused_attrs(fused_ops, len(args), **window_attrs((2, 2), "SAME", (1, 1)))
            add(activation.lower() or "bias", op, attrs, [x, filter_array, *args], [y], 1e-5)
    x, filter_array = normal(1, 3, 3, 2), normal(2, 2, 2, 3)
    scale, offset, mean, variance = normal(3), normal(3), normal(3), np.abs(normal(3))
    y = run(lambda x, f, s, o, m, v: tf.nn.relu(tf.raw_ops.FusedBatchNormV3(
        x=tf.raw_ops.Conv2D(input=x, filter=f, strides=[1, 1, 1, 1], padding="SAME"), scale=s,
        offset=o, mean=m, variance=v, epsilon=1e-3, is_training=False).y),
        x, filter_array, scale, offset, mean, variance)
    attrs = fused_attrs(["FusedBatchNorm", "Relu"], 4, **window_attrs((1, 1), "SAME", (1, 1)))
    add("batch_norm", "_FusedConv2D", attrs,
        [x, filter_array, scale, offset, mean, variance], [y], 1e-5)
    bias = normal(3)
    y = run(lambda x, f, b: tf.nn.relu(tf.nn.bias_add(tf.raw_ops.Conv2D(
        input=x, filter=f, strides=[1, 1, 1, 1], padding="VALID"), b)), x, filter_array, bias)
    attrs = fused_attrs(["BiasAdd", "Relu"], 1,
                        **window_attrs((1, 1), "VALID", (1, 1), data_format="NCHW"))
    add("nchw", "_FusedConv2D", attrs, [nchw(x), filter_array, bias], [nchw(y)], 1e-5)


def batch_norms():
    params = [normal(3), normal(3), normal(3), np.abs(normal(3))]
    for op, count in [("FusedBatchNorm", 5), ("FusedBatchNormV2", 5), ("FusedBatchNormV3", 6)]:
        # The reserve spaces are for gradients: TensorFlow leaves them unset at inference.
        case(op, "nhwc", [normal(2, 2, 3, 3), *params], is_training=False, epsilon=1e-3, keep=3,
             tolerance=2e-6)
        x = normal(1, 2, 2, 3)
        y = run(lambda x, s, o, m, v: tf.raw_ops.FusedBatchNormV3(
            x=x, scale=s, offset=o, mean=m, variance=v, is_training=False).y, x, *params)
        attrs = dict(cases[-1]["attrs"], data_format={"s": "NCHW"}, epsilon={"f": float(F32(1e-4))})
        add("nchw", op, attrs, [nchw(x), *params], [nchw(y), *params[2:]], 2e-6,
            total=count)
    case("FusedBatchNormV3", "half", [normal(1, 2, 2, 3, dtype=F16), *params], is_training=False,
         keep=3)


def pools():
    for op in ["MaxPool", "AvgPool"]:
        value = "input" if op == "MaxPool" else "value"
        for name, x, ksize, strides, padding in [
            ("same_odd", (1, 5, 7, 2), (3, 3), (2, 2), "SAME"),
            ("valid", (2, 6, 5, 3), (2, 3), (2, 1), "VALID"),
            ("same_two", (1, 3, 3, 1), (2, 2), (1, 1), "SAME"),
        ]:
            x = normal(*x)
            case(op, name, [x], ksize=[1, *ksize, 1], strides=[1, *strides, 1], padding=padding)
            plain = run(lambda a: getattr(tf.raw_ops, op)(
                **{value: a}, ksize=[1, *ksize, 1], strides=[1, *strides, 1], padding=padding), x)
            attrs = dict(cases[-1]["attrs"], data_format={"s": "NCHW"},
                         ksize={"ints": list_nchw([1, *ksize, 1])},
                         strides={"ints": list_nchw([1, *strides, 1])})
            add(f"{name}_nchw", op, attrs, [nchw(x)], [nchw(plain)])
        case(op, "half", [normal(1, 4, 4, 2, dtype=F16)], ksize=[1, 2, 2, 1],
             strides=[1, 2, 2, 1], padding="VALID", tolerance=5e-3)
    case("MaxPool", "explicit", [normal(1, 4, 4, 1)], ksize=[1, 3, 3, 1], strides=[1, 2, 2, 1],
         padding="EXPLICIT", explicit_paddings=[0, 0, 1, 0, 2, 1, 0, 0])
    case("MaxPool", "int32", [integers(-9, 9, 1, 4, 4, 1)], ksize=[1, 2, 2, 1],
         strides=[1, 2, 2, 1], padding="SAME")


def suppressions():
    def boxes(count, spread=1.0):
        corner = rng.random((count, 2)) * spread
        return np.concatenate([corner, corner + rng.random((count, 2)) * 0.5], 1).astype(F32)

    crowd = boxes(40)
    crowd_scores = (integers(0, 12, 40) / 12).astype(F32)
    tied = F32([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1.1], [2, 2, 3, 3], [3, 3, 2, 2],
                [0, 0, 0, 0], [1, 1, 0, 0]])
    tied_scores = F32([0.5, 0.5, 0.5, 0.9, 0.9, 0.7, 0.5])
    half_boxes = F32([[0, 0, 2, 2], [0, 1, 2, 2], [0, 0, 2, 1]])
    sets = [("crowd", crowd, crowd_scores, 10, 0.4), ("tied", tied, tied_scores, 5, 0.5),
            ("at_threshold", half_boxes, F32([0.9, 0.8, 0.7]), 3, 0.5),
            ("none_wanted", tied, tied_scores, 0, 0.5),
            ("no_boxes", np.zeros((0, 4), F32), np.zeros((0,), F32), 3, 0.5),
            ("iou_zero", tied, tied_scores, 7, 0.0), ("iou_one", tied, tied_scores, 7, 1.0)]
    for name, box, score, limit, iou in sets:
        limit, iou = np.int32(limit), F32(iou)
        case("NonMaxSuppression", name, [box, score, limit], iou_threshold=float(iou))
        case("NonMaxSuppressionV2", name, [box, score, limit, iou])
        for threshold in [0.0, 0.5]:
            case("NonMaxSuppressionV3", f"{name}_{threshold}",
                 [box, score, limit, iou, F32(threshold)])
        for pad in [False, True]:
            case("NonMaxSuppressionV4", f"{name}_pad_{pad}", [box, score, limit, iou, F32(0.5)],
                 pad_to_max_output_size=pad)
            for sigma in [0.0, 0.5]:
                case("NonMaxSuppressionV5", f"{name}_pad_{pad}_sigma_{sigma}",
                     [box, score, limit, iou, F32(0.2), F32(sigma)], pad_to_max_output_size=pad)
    case("NonMaxSuppressionV5", "soft_negative_threshold",
         [tied, tied_scores, np.int32(7), F32(0.3), F32(-1), F32(0.1)])
    half = [crowd.astype(F16), crowd_scores.astype(F16), np.int32(9)]
    case("NonMaxSuppressionV3", "half", [*half, F16(0.4), F16(0.1)])
    case("NonMaxSuppressionV5", "half_soft", [*half, F16(0.4), F16(0.1), F16(0.5)])
    case("NonMaxSuppressionV2", "infinite_score",
         [tied, F32([-INF, 1, INF, 0, NAN, -1, 2]), np.int32(7), F32(0.5)])

    def combined(name, q, clip, pad, per_class, total, threshold, count=12, levels=None):
        box = np.stack([boxes(count, 1.2) for _ in range(2 * q)])
        box = np.ascontiguousarray(box.reshape(2, q, count, 4).transpose(0, 2, 1, 3)) - F32(0.1)
        # Equal scores, of which each level has many, come in the order of the C++ library.
        score = rng.permutation(2 * count * 3).reshape(2, count, 3)
        score = (score % (levels or score.size)).astype(F32) / F32(levels or score.size)
        case("CombinedNonMaxSuppression", name,
             [box, score, np.int32(per_class), np.int32(total), F32(0.3), F32(threshold)],
             pad_per_class=pad, clip_boxes=clip)

    combined("shared_boxes", 1, True, False, 4, 9, 0.1)
    combined("boxes_of_classes", 3, False, False, 3, 20, 0.4)
    combined("pad_per_class", 1, True, True, 2, 100, 0.2)
    combined("above_threshold_none", 1, True, False, 2, 4, 2.0)
    combined("per_class_above_boxes", 3, True, True, 50, 10, 0.0)
    combined("few_ties", 1, False, False, 4, 12, 0.1, count=5, levels=3)
    combined("ties", 1, False, False, 10, 12, 0.1, levels=4)
    combined("many_ties", 3, True, False, 20, 30, 0.1, count=60, levels=8)
    combined("all_tied", 1, True, False, 20, 30, -1.0, count=60, levels=1)


def pads():
    x = normal(2, 3)
    case("Pad", "both", [x, i32([1, 2], [0, 3])])
    case("Pad", "int64", [x, i64([0, 0], [1, 0])])
    case("Pad", "bool", [np.array([True, True]), i32([1, 1])])
    case("Pad", "scalar", [F32(3), np.zeros((0, 2), np.int32)])
    case("Pad", "from_empty", [np.zeros((0, 2), F32), i32([1, 1], [0, 0])])
    case("Pad", "image", [normal(1, 2, 3, 2), i32([0, 0], [1, 1], [2, 1], [0, 0])])
    case("PadV2", "value", [x, i32([1, 0], [0, 1]), F32(-7)])
    case("PadV2", "int64_type", [i64(1, 2), i32([2, 1]), np.int64(9)])
    for mode, most in [("REFLECT", 2), ("SYMMETRIC", 3)]:
        case("MirrorPad", mode.lower(), [normal(4, 3), i32([1, 3], [most, 1])], mode=mode)
        case("MirrorPad", f"{mode.lower()}_image",
             [normal(1, 3, 2, 2), i64([0, 0], [1, 2], [1, 1], [0, 0])], mode=mode)
        case("MirrorPad", f"{mode.lower()}_vector", [i32(1, 2, 3), i32([0, 2])], mode=mode)


def reductions():
    x = normal(2, 3, 4)
    axes = {"last": i32(-1), "first": i64(0), "two": i32(0, 2), "all": i32(0, 1, 2),
            "none": np.zeros((0,), np.int32), "scalar_axis": np.int32(1)}
    for op in ["Sum", "Mean", "Max", "Min", "Prod"]:
        for name, axis in axes.items():
            case(op, name, [x, axis], keep_dims=name in ("two", "last"), tolerance=1e-5)
        case(op, "double", [normal(3, 4, dtype=F64), i32(1)], tolerance=1e-12)
        case(op, "half", [normal(3, 4, dtype=F16), i32(1)], tolerance=5e-3)
        case(op, "int32", [integers(-9, 9, 3, 4), i32(1)])
        case(op, "int64", [integers(-9, 9, 3, 4, dtype=np.int64), i32(0)], keep_dims=True)
        case(op, "uint8", [integers(0, 20, 3, 4, dtype=np.uint8), i32(0)])
        case(op, "empty_dimension", [np.zeros((2, 0), F32), i32(1)])
        case(op, "empty_result", [np.zeros((0, 2), F32), i32(1)])
        case(op, "scalar", [F32(3), np.zeros((0,), np.int32)])
        case(op, "special", [F32([[1, NAN, 3], [INF, 1, 2], [-INF, -INF, -INF]]), i32(1)])
        case(op, "images", [normal(1, 4, 5, 3), i32(1, 2)], keep_dims=True, tolerance=1e-5)
    case("Mean", "int32_wide", [i32([-3, -4], [2**31 - 1, 2]), i32(1)])
    case("Mean", "int8", [np.int8([[100, 100], [-100, -101]]), i32(1)])
    case("Sum", "int32_wraps", [i32(2**31 - 1, 2), i32(0)])
    case("Max", "int_empty", [np.zeros((2, 0), np.int32), i32(1)])
    flags = np.array([[True, False, True], [True, True, True]])
    for op in ["All", "Any"]:
        case(op, "rows", [flags, i32(1)])
        case(op, "everything", [flags, i32(0, -1)], keep_dims=True)
        case(op, "empty", [np.zeros((2, 0), bool), i32(1)])
        case(op, "none", [flags, np.zeros((0,), np.int32)])
    for op in ["ArgMax", "ArgMin"]:
        case(op, "ties", [F32([[1, 3, 3, 1], [2, 2, 2, 2]]), np.int32(1)])
        case(op, "negative_axis", [x, np.int32(-2)])
        case(op, "first", [x, np.int64(0)], output_type=tf.int32)
        case(op, "nan", [F32([[1, NAN, 3], [NAN, 1, 2], [NAN, NAN, NAN]]), np.int32(1)])
        case(op, "infinite", [F32([[-INF, -INF], [INF, INF]]), np.int32(1)])
        case(op, "uint8", [np.uint8([0, 9, 0, 9]), np.int32(0)])
        case(op, "int32", [integers(-9, 9, 3, 4), np.int32(1)])
        case(op, "bool", [flags, np.int32(1)])


def reshapes():
    x = normal(2, 6)
    case("Reshape", "infer", [x, i32(3, -1)])
    case("Reshape", "flat", [x, i64(12)])
    case("Reshape", "scalar", [normal(1, 1), np.zeros((0,), np.int32)])
    case("Reshape", "empty", [np.zeros((0, 4), F32), i32(2, 0, 3)])
    case("Reshape", "empty_infer", [np.zeros((0, 4), F32), i32(-1, 2)])
    case("Squeeze", "all", [normal(1, 2, 1, 3, 1)])
    case("Squeeze", "some", [normal(1, 2, 1, 3, 1)], squeeze_dims=[0, -1])
    case("ExpandDims", "first", [x, np.int32(0)])
    case("ExpandDims", "last", [x, np.int64(-1)])
    case("ExpandDims", "vector_axis", [x, i32(1)])
    case("Shape", "int32", [x])
    case("Shape", "int64", [normal(2, 0, 3)], out_type=tf.int64)
    case("Shape", "scalar", [F32(1)])
    case("ShapeN", "two", [[x, x[0]]])
    case("Size", "int32", [x])
    case("Size", "int64", [F32(1)], out_type=tf.int64)
    case("Rank", "matrix", [x])
    for op in ["Identity", "Snapshot", "StopGradient", "PreventGradient"]:
        case(op, "float", [x])
        case(op, "int64", [i64(3)])
    case("Identity", "bool", [np.array([True, False])])
    case("IdentityN", "mixed", [[x, i32(1, 2), np.array(True)]])
    case("CheckNumerics", "finite", [x], message="all fine")


def resizes():
    for op in ["ResizeBilinear", "ResizeNearestNeighbor"]:
        for size in [(3, 5), (8, 9), (1, 1), (4, 4), (2, 7)]:
            for mode in [{}, {"align_corners": True}, {"half_pixel_centers": True}]:
                name = f"{size[0]}x{size[1]}_{next(iter(mode), 'legacy')}"
                case(op, name, [normal(1, 4, 4, 2), i32(*size)], tolerance=1e-5, **mode)
        case(op, "uint8", [integers(0, 256, 2, 3, 2, 1, dtype=np.uint8), i32(5, 3)],
             tolerance=1e-5)
        case(op, "double", [normal(1, 3, 2, 1, dtype=F64), i32(5, 3)], tolerance=1e-5)
        case(op, "half", [normal(1, 3, 2, 1, dtype=F16), i32(5, 3)], tolerance=1e-5,
             half_pixel_centers=True)
        case(op, "int32", [integers(-99, 99, 1, 3, 2, 1), i32(2, 5)], tolerance=1e-5)


def selects():
    a, b = normal(3, 2), normal(3, 2)
    case("Select", "same", [np.array([[True, False]] * 3), a, b])
    case("Select", "rows", [np.array([True, False, True]), a, b])
    case("Select", "scalar", [np.array(False), a, b])
    case("Select", "int64", [np.array([True, False]), i64(1, 2), i64(3, 4)])
    case("SelectV2", "broadcast", [np.array([[True], [False], [True]]), a, F32(7)])
    case("SelectV2", "wider_condition", [np.array([[True, False]] * 2), F32(1), F32([2, 3])])
    case("SelectV2", "bool", [np.array(True), np.array([True, False]), np.array(False)])
    case("SelectV2", "empty", [np.zeros((0, 1), bool), F32(1), F32([2, 3])])
    case("Where", "matrix", [np.array([[True, False, True], [False, True, False]])])
    case("Where", "none", [np.zeros((2, 2), bool)])
    case("Where", "cube", [integers(0, 2, 2, 3, 2)])
    case("Where", "float", [F32([0, NAN, -0.0, 2])])


def slices():
    x = normal(3, 4, 5)
    case("Slice", "inner", [x, i32(1, 0, 2), i32(2, 3, 2)])
    case("Slice", "rest", [x, i64(0, 2, 1), i64(-1, 1, -1)])
    case("Slice", "empty", [x, i32(3, 0, 0), i32(0, 4, 5)])
    case("Slice", "scalar", [F32(1), np.zeros((0,), np.int32), np.zeros((0,), np.int32)])
    case("Slice", "uint8", [np.uint8([1, 2, 3]), i32(1), i32(2)])

    def strided(name, x, starts, ends, steps, dtype=np.int32, **masks):
        arrays = [np.array(values, dtype) for values in (starts, ends, steps)]
        case("StridedSlice", name, [x, *arrays], **{f"{key}_mask": m for key, m in masks.items()})

    strided("plain", x, [0, 1, 1], [2, 4, 5], [1, 2, 3])
    strided("negative_bounds", x, [-2, -3, -4], [-1, -1, -1], [1, 1, 1])
    strided("backwards", x, [2, 3, 4], [0, 0, 0], [-1, -2, -3])
    strided("backwards_whole", x, [0, 0, 0], [0, 0, 0], [-1, -1, -1], begin=7, end=7)
    strided("begin_mask", x, [2, 2, 2], [3, 3, 3], [1, 1, 1], begin=5)
    strided("end_mask", x, [1, 1, 1], [2, 2, 2], [1, 1, 1], end=3)
    strided("clamped", x, [-9, 1, 2], [9, 99, -99], [1, 1, -1])
    strided("empty", x, [2, 0, 0], [1, 4, 5], [1, 1, 1])
    strided("fewer", x, [1], [3], [1], dtype=np.int64)
    strided("shrink", x, [1, -1, 0], [2, 0, 5], [1, 1, 1], shrink_axis=3)
    strided("shrink_ignores_begin_mask", x, [1, 0, 0], [2, 4, 5], [1, 1, 1], shrink_axis=1, begin=1)
    strided("shrink_everything", x, [1, 2, 3], [2, 3, 4], [1, 1, 1], shrink_axis=7)
    strided("ellipsis", x, [0, 1], [0, 3], [1, 1], ellipsis=1)
    strided("ellipsis_middle", x, [1, 0, 2], [2, 0, 4], [1, 1, 1], ellipsis=2)
    strided("ellipsis_of_nothing", x, [0, 0, 1, 1], [2, 0, 3, 4], [1, 1, 1, 1], ellipsis=2)
    strided("ellipsis_last", x, [1, 0], [2, 0], [1, 1], ellipsis=2, shrink_axis=1)
    strided("new_axis", x, [0, 0, 1], [0, 2, 3], [1, 1, 1], new_axis=1)
    strided("new_axis_after_ellipsis", x, [0, 0, 1], [0, 0, 3], [1, 1, 1], ellipsis=1, new_axis=2)
    strided("new_axis_wins_over_shrink", x, [0, 1], [0, 2], [1, 1], new_axis=1, shrink_axis=1)
    strided("everything", x, [0, 0, 0, 3], [1, 0, 0, 0], [1, 1, 1, -2], new_axis=2, ellipsis=4,
            shrink_axis=1, end=8)
    strided("scalar", F32(4), [], [], [])
    strided("scalar_new_axis", F32(4), [0], [0], [1], new_axis=1)
    strided("vector_last", i32(5, 6, 7), [-1], [0], [1], shrink_axis=1)
    strided("bool", np.array([True, False, True]), [2], [-9], [-2])
    strided("half_step", normal(6, dtype=F16), [0], [6], [4])


def softmaxes():
    for op in ["Softmax", "LogSoftmax"]:
        case(op, "rows", [3 * normal(3, 7)])
        case(op, "cube", [normal(2, 2, 5)])
        case(op, "vector", [normal(4)])
        case(op, "large", [F32([[1000, 1001, 999], [-1000, 0, 1000]])])
        case(op, "infinite", [F32([[-INF, 0, 1], [INF, 0, 1], [NAN, 0, 1]])])
        case(op, "half", [normal(2, 5, dtype=F16)])
        case(op, "double", [normal(2, 5, dtype=F64)])
        case(op, "empty", [np.zeros((0, 3), F32)])


def space_to_batch():
    case("SpaceToBatchND", "even", [normal(1, 4, 4, 2), i32(2, 2), i32([0, 0], [0, 0])])
    case("SpaceToBatchND", "padded", [normal(2, 3, 4, 1), i32(2, 3), i32([1, 0], [2, 3])])
    case("SpaceToBatchND", "one_dimension", [normal(2, 6, 3), i64(3), i64([1, 2])])
    case("SpaceToBatchND", "more_padding_than_block", [normal(1, 2, 1), i32(2), i32([3, 1])])
    case("BatchToSpaceND", "even", [normal(4, 2, 2, 2), i32(2, 2), i32([0, 0], [0, 0])])
    case("BatchToSpaceND", "cropped", [normal(6, 3, 2, 1), i32(2, 3), i32([1, 0], [1, 2])])
    case("BatchToSpaceND", "one_dimension", [normal(6, 4, 2), i64(3), i64([2, 3])])
    for op, shape, block in [("SpaceToDepth", (1, 4, 6, 2), 2), ("SpaceToDepth", (2, 3, 6, 1), 3),
                             ("DepthToSpace", (1, 2, 3, 8), 2), ("DepthToSpace", (2, 1, 2, 9), 3)]:
        x = normal(*shape)
        case(op, f"block_{block}", [x], block_size=block)
        y = run(lambda a: getattr(tf.raw_ops, op)(input=a, block_size=block), x)
        add(f"block_{block}_nchw", op, dict(cases[-1]["attrs"], data_format={"s": "NCHW"}),
            [nchw(x)], [nchw(y)])


def tiles():
    case("Tile", "matrix", [normal(2, 3), i32(2, 3)])
    case("Tile", "int64", [i32(1, 2, 3), i64(2)])
    case("Tile", "none", [normal(2, 3), i32(1, 0)])
    case("Tile", "cube", [normal(1, 2, 2), i32(3, 1, 2)])
    case("Tile", "scalar", [F32(1), np.zeros((0,), np.int32)])
    case("Tile", "bool", [np.array([[True], [False]]), i32(1, 3)])
    case("BroadcastTo", "rows", [normal(3), i32(2, 3)])
    case("BroadcastTo", "columns", [normal(2, 1), i64(2, 3)])
    case("BroadcastTo", "scalar", [np.int64(4), i32(2, 2)])
    case("BroadcastTo", "empty", [normal(1, 3), i32(0, 3)])


def top_k():
    ties = F32([[1, 3, 3, 2, 3], [5, 5, 5, 5, 5]])
    for k in [0, 1, 2, 4, 5]:
        case("TopKV2", f"ties_{k}", [ties, np.int32(k)])
        # Graphs of today's version cannot hold the first version of the op.
        attrs = {"T": {"type": "float32"}, "k": {"i": k}, "sorted": {"b": True}}
        tops = run(lambda x: list(tf.raw_ops.TopKV2(input=x, k=k)), ties)
        add(f"ties_{k}", "TopK", attrs, [ties], tops)
    case("TopKV2", "long", [(integers(0, 40, 100) / 7).astype(F32), np.int32(30)])
    case("TopKV2", "int32", [integers(-5, 5, 2, 3, 6), np.int32(3)])
    case("TopKV2", "uint8", [np.uint8([0, 255, 128, 255]), np.int32(3)])
    case("TopKV2", "half", [normal(2, 5, dtype=F16), np.int32(2)])
    case("TopKV2", "infinite", [F32([-INF, 1, INF, -INF]), np.int32(4)])
    case("TopKV2", "int64_index", [ties, np.int64(2)], index_type=tf.int64)


def transposes():
    case("Transpose", "matrix", [normal(2, 3), i32(1, 0)])
    case("Transpose", "to_nchw", [normal(2, 3, 4, 2), i64(0, 3, 1, 2)])
    case("Transpose", "to_nhwc", [normal(2, 3, 2, 4), i32(0, 2, 3, 1)])
    case("Transpose", "reversed", [integers(0, 99, 2, 3, 4, dtype=np.uint8), i32(2, 1, 0)])
    case("Transpose", "identity", [normal(2, 3), i32(0, 1)])
    case("Transpose", "negative", [normal(2, 3, 1), i32(-1, 0, 1)])
    case("Transpose", "scalar", [F32(1), np.zeros((0,), np.int32)])
    case("Transpose", "empty", [np.zeros((2, 0, 3), F32), i32(2, 1, 0)])
    case("Transpose", "six", [normal(2, 1, 2, 3, 2, 2), i32(5, 0, 3, 1, 4, 2)])
    case("Transpose", "double", [normal(3, 2, dtype=F64), i32(1, 0)])
    case("DataFormatVecPermute", "four", [i32(7, 4, 9, 3)])
    case("DataFormatVecPermute", "back", [i64(7, 4, 9, 3)], src_format="NCHW", dst_format="NHWC")
    case("DataFormatVecPermute", "spatial", [i32(5, 6)])
    case("DataFormatVecPermute", "spatial_swapped", [i32(5, 6)], src_format="NHWC",
         dst_format="NCWH")
    case("DataFormatVecPermute", "paddings", [i32([1, 2], [3, 4], [5, 6], [7, 8])])
    case("InvertPermutation", "int32", [i32(3, 4, 0, 2, 1)])
    case("InvertPermutation", "int64", [i64(1, 0)])
    case("ReverseV2", "last", [normal(2, 3), i32(-1)])
    case("ReverseV2", "both", [normal(2, 3, 2), i64(0, 1)])
    case("ReverseV2", "none", [normal(2, 3), np.zeros((0,), np.int32)])
    case("ReverseV2", "empty", [np.zeros((2, 0), F32), i32(0, 1)])
    case("Reverse", "flags", [normal(2, 3, 2), np.array([True, False, True])])


def cumulative():
    x = normal(2, 4, 3)
    for exclusive in [False, True]:
        for reverse in [False, True]:
            name = f"exclusive_{exclusive}_reverse_{reverse}"
            case("Cumsum", name, [x, np.int32(1)], exclusive=exclusive, reverse=reverse)
    case("Cumsum", "last", [normal(3, 9), np.int64(-1)])
    case("Cumsum", "int32", [integers(-9, 9, 6), np.int32(0)], reverse=True)
    case("Cumsum", "half", [normal(6, dtype=F16), np.int32(0)])
    case("Cumsum", "empty", [np.zeros((0, 2), F32), np.int32(0)])


def main():
    for family in [activations, unary, binaries, comparisons, casts, concats, fills, gathers,
                   matrices, convolutions, fused_convolutions, batch_norms, pools, suppressions,
                   pads, reductions, reshapes, resizes, selects, slices, softmaxes,
                   space_to_batch, tiles, top_k, transposes, cumulative]:
        family()
    default = Path(__file__).with_name("op_goldens.json")
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    path.write_text(f'{{"tensorflow":"{tf.__version__}","seed":{SEED},"cases":[\n{lines}\n]}}\n')
    print(f"{len(cases)} cases of {len({case['op'] for case in cases})} ops, "
          f"{path.stat().st_size} bytes: {path}")


if __name__ == "__main__":
    main()
