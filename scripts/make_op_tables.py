#!/usr/bin/env python3
"""Writes what the importer knows of TensorFlow's ops, into src/convert/src/tensorflow/:

output_args.txt    outputs of the ops that have several, by name; functions refer to them so
attr_defaults.txt  attributes that a file may leave out, and what they are then

    python3 scripts/make_op_tables.py
"""

import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
from tensorflow.core.framework import op_def_pb2, types_pb2
from tensorflow.python.client import pywrap_tf_session as session

OUT = pathlib.Path(__file__).parent.parent / "src/convert/src/tensorflow"

# Parts of names of ops that no graph for inference has.
TRAINING = (
    "Dataset,TPU,Grad,Apply,Summary,Collective,Boosted,Iterator,Cudnn,Barrier,Accumulator,Sdca,"
    "Record,Rpc,Nccl,Debug,Dummy,Save,Sampler,Checkpoint,LoadAndRemap,Multi,Embedding,Shuffle,"
    "TfRecord,Decode,Encode,Audio,Cache,Worker,Experimental,Stub,Test,Xla,Sparse,Ragged,Random,"
    "Queue,Reader,Stage,Stack,Mutable,Hash,Lookup,Eager,Quantize,Requantize"
).split(",")


def op_list():
    ops = op_def_pb2.OpList()
    ops.ParseFromString(session.TF_GetBuffer(session.TF_GetAllOpList()))
    return sorted(ops.op, key=lambda op: op.name)


def output_args(ops, out):
    for op in ops:
        if len(op.output_arg) < 2:
            continue
        args = []
        for arg in op.output_arg:
            count = arg.number_attr or arg.type_list_attr
            args.append(arg.name + (f"*{count}" if count else ""))
        print(op.name, *args, file=out)


def default(attr):
    """`kind:value`, or None for what is not of interest."""
    value = attr.default_value
    kind = value.WhichOneof("value")
    if attr.name in ("container", "shared_name"):
        return None
    if kind == "s":
        text = value.s.decode()
        return f"s:{text}" if not set(text) & set(" \t\n") else None
    if kind == "b":
        return f"b:{int(value.b)}"
    if kind == "i":
        return f"i:{value.i}"
    if kind == "f":
        return f"f:{value.f!r}"
    if kind == "type":
        return f"t:{types_pb2.DataType.Name(value.type)}"
    if kind == "list" and attr.type == "list(int)":
        return "l:" + ",".join(str(i) for i in value.list.i)
    return None


def attr_defaults(ops, out):
    for op in ops:
        if any(part in op.name for part in TRAINING) or op.name.startswith("_"):
            continue
        attrs = []
        # A type of an input is that of what comes in.
        of_inputs = {arg.type_attr for arg in op.input_arg}
        for attr in op.attr:
            text = default(attr) if attr.HasField("default_value") else None
            # What only says how to run, or what is of no type.
            if text and attr.name not in of_inputs | {"use_cudnn_on_gpu", "validate_indices"}:
                attrs.append(f"{attr.name}={text}")
        if attrs:
            print(op.name, *attrs, file=out)


def main():
    ops = op_list()
    made_by = f"# TensorFlow {tf.__version__}, scripts/make_op_tables.py: op, then its"
    with open(OUT / "output_args.txt", "w") as out:
        print(f"{made_by} outputs;", file=out)
        print("# `name*attr` stands for as many as the attribute says, or has types.", file=out)
        output_args(ops, out)
    with open(OUT / "attr_defaults.txt", "w") as out:
        print(f"{made_by} attributes with their defaults:", file=out)
        print("# s string, b bool, i int, f float, t type, l list of ints.", file=out)
        attr_defaults(ops, out)


if __name__ == "__main__":
    main()
