#!/usr/bin/env python3
"""Turns a TensorFlow.js graph model into a frozen graph that TensorFlow itself can run.

usage: tfjs_to_graphdef.py model.json graph.pb

TensorFlow.js fuses bias and activation into ops that TensorFlow's CPU kernels refuse. Each is
written out as the plain ops that it stands for; its last op keeps the name.
"""
import json
import sys
from pathlib import Path

import numpy as np
from google.protobuf import json_format
from tensorflow import dtypes, make_tensor_proto
from tensorflow.core.framework import attr_value_pb2, graph_pb2

# Fused op -> plain op and the attributes that it takes over.
FUSED = {
    "_FusedConv2D": (
        "Conv2D",
        ["T", "strides", "padding", "data_format", "dilations", "explicit_paddings"],
    ),
    "FusedDepthwiseConv2dNative": (
        "DepthwiseConv2dNative",
        ["T", "strides", "padding", "data_format", "dilations", "explicit_paddings"],
    ),
    "_FusedMatMul": ("MatMul", ["T", "transpose_a", "transpose_b"]),
}


def read_weights(manifest, folder):
    """name -> array, as wide as the graph declares it."""
    weights = {}
    for group in manifest:
        data = b"".join((folder / path).read_bytes() for path in group["paths"])
        offset = 0
        for entry in group["weights"]:
            if entry["dtype"] == "string":
                raise SystemExit(f"weight {entry['name']}: strings are not supported")
            packing = entry.get("quantization", {})
            stored = np.dtype(packing.get("dtype", entry["dtype"]))
            count = int(np.prod(entry["shape"], dtype=np.int64))
            values = np.frombuffer(data, stored.newbyteorder("<"), count, offset)
            offset += values.nbytes
            if "scale" in packing:
                scale, low = np.float32(packing["scale"]), np.float32(packing["min"])
                values = values.astype(np.float32) * scale + low
                if entry["dtype"] == "int32":
                    values = np.rint(values)
            weights[entry["name"]] = values.astype(entry["dtype"]).reshape(entry["shape"])
        if offset != len(data):
            raise SystemExit(f"{group['paths']}: {len(data)} bytes, the weights take {offset}")
    return weights


def kind_of(node):
    """The type of a fused op's numbers; TensorFlow.js leaves it out at times."""
    if "T" in node.attr:
        return node.attr["T"]
    return attr_value_pb2.AttrValue(type=dtypes.float32.as_datatype_enum)


class Writer:
    """Collects the nodes of the plain graph."""

    def __init__(self):
        self.graph = graph_pb2.GraphDef()

    def node(self, name, op, inputs, attrs):
        node = self.graph.node.add(name=name, op=op, input=inputs)
        for key, value in attrs.items():
            node.attr[key].CopyFrom(value)
        return name

    def const(self, source, values):
        node = self.graph.node.add()
        node.CopyFrom(source)
        dtype = dtypes.as_dtype(node.attr["dtype"].type)
        values = values.astype(dtype.as_numpy_dtype)
        node.attr["value"].tensor.CopyFrom(make_tensor_proto(values, dtype, values.shape))

    def prelu(self, name, inputs, controls, kind):
        """max(x, 0) - alpha * max(-x, 0)"""
        x, alpha = inputs
        positive = self.node(f"{name}/positive", "Relu", [x] + controls, kind)
        minus_x = self.node(f"{name}/minus_x", "Neg", [x], kind)
        negative = self.node(f"{name}/negative", "Relu", [minus_x], kind)
        scaled = self.node(f"{name}/scaled", "Mul", [alpha, negative], kind)
        return self.node(name, "Sub", [positive, scaled], kind)

    def unfuse(self, source):
        inputs = [name for name in source.input if not name.startswith("^")]
        controls = [name for name in source.input if name.startswith("^")]
        plain, kept = FUSED[source.op]
        attrs = {key: source.attr[key] for key in kept if key in source.attr}
        kind = {"T": kind_of(source)}
        steps = [step.decode() for step in source.attr["fused_ops"].list.s]
        names = [f"{source.name}/{step}" for step in [plain, *steps]]
        names[-1] = source.name
        x = self.node(names[0], plain, inputs[:2] + controls, attrs)
        extra = iter(inputs[2:])
        for step, name in zip(steps, names[1:]):
            if step == "BiasAdd":
                layout = {key: attrs[key] for key in ["data_format"] if key in attrs}
                x = self.node(name, step, [x, next(extra)], {**kind, **layout})
            elif step == "Prelu":
                x = self.prelu(name, [x, next(extra)], [], kind)
            elif step == "LeakyRelu":
                slope = attr_value_pb2.AttrValue(f=source.attr["leakyrelu_alpha"].f)
                x = self.node(name, step, [x], {**kind, "alpha": slope})
            else:
                x = self.node(name, step, [x], kind)

    def add(self, source, weights):
        if source.op == "Const" and source.name in weights:
            self.const(source, weights[source.name])
        elif source.op == "Prelu":
            inputs = [name for name in source.input if not name.startswith("^")]
            controls = [name for name in source.input if name.startswith("^")]
            self.prelu(source.name, inputs, controls, {"T": kind_of(source)})
        elif source.op in FUSED:
            self.unfuse(source)
        else:
            self.graph.node.add().CopyFrom(source)


def convert(path):
    model = json.loads(path.read_text())
    topology = model["modelTopology"]
    parts = {key: topology[key] for key in ["node", "library"] if key in topology}
    source = json_format.ParseDict(parts, graph_pb2.GraphDef())
    weights = read_weights(model["weightsManifest"], path.parent)
    writer = Writer()
    for node in source.node:
        writer.add(node, weights)
    for function in source.library.function:
        for node in function.node_def:
            if node.op == "Const" and node.name in weights:
                raise SystemExit(f"weight {node.name} inside a function is not supported")
    writer.graph.library.CopyFrom(source.library)
    writer.graph.versions.producer = 440
    return writer.graph


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip().splitlines()[2])
    Path(sys.argv[2]).write_bytes(convert(Path(sys.argv[1])).SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
