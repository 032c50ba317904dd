#!/usr/bin/env python3
"""Writes src/convert/src/tensorflow/output_args.txt: the outputs of TensorFlow's ops that have
several, by name. A function's nodes refer to outputs so.

    python3 scripts/make_output_args.py > src/convert/src/tensorflow/output_args.txt
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
from tensorflow.core.framework import op_def_pb2
from tensorflow.python.client import pywrap_tf_session as session


def main():
    ops = op_def_pb2.OpList()
    ops.ParseFromString(session.TF_GetBuffer(session.TF_GetAllOpList()))
    print(f"# TensorFlow {tf.__version__}, scripts/make_output_args.py: op, then its outputs;")
    print("# `name*attr` stands for as many as the attribute says, or has types.")
    for op in sorted(ops.op, key=lambda op: op.name):
        if len(op.output_arg) < 2:
            continue
        args = []
        for arg in op.output_arg:
            count = arg.number_attr or arg.type_list_attr
            args.append(arg.name + (f"*{count}" if count else ""))
        print(op.name, *args)


if __name__ == "__main__":
    main()
