#!/usr/bin/env python3
"""Times tf2onnx's conversion of a graph in ONNX Runtime on one thread.

usage: run_onnxruntime.py model.onnx in.npz out.npz OUTPUT,.. REPEAT
"""
from timing import measure


def load(path, names):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    outputs = [f"{name}:0" for name in names]

    def infer(feeds):
        return session.run(outputs, {f"{name}:0": value for name, value in feeds.items()})

    return infer


measure(__doc__, load)
