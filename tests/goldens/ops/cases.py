"""What the tables in this folder share: cases of ops, run in TensorFlow.

Each case runs as a graph of one node, from which its attributes are read back, so that they are
the ones that an exported graph has. Ops that TensorFlow lacks (those of TF.js) take their result
from a composition of plain ops.
"""

import os

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


def start():
    """Forgets the cases and begins with the first of the random numbers."""
    rng.bit_generator.state = np.random.default_rng(SEED).bit_generator.state
    cases.clear()


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
    elif kind == "shape":
        attr.shape.CopyFrom(tf.TensorShape(value).as_proto())
    elif kind == "list(float)":
        attr.list.f.extend(value)
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
