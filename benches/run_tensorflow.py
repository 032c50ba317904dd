#!/usr/bin/env python3
"""Times a frozen graph in TensorFlow on one thread.

usage: run_tensorflow.py graph.pb in.npz out.npz OUTPUT,.. REPEAT
"""
from timing import measure


def load(path, names):
    import os

    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    tf1 = tf.compat.v1
    definition = tf1.GraphDef()
    with open(path, "rb") as file:
        definition.ParseFromString(file.read())
    graph = tf.Graph()
    with graph.as_default():
        tf1.import_graph_def(definition, name="")
    config = tf1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    session = tf1.Session(graph=graph, config=config)
    fetches = [f"{name}:0" for name in names]
    call = None

    def infer(feeds):
        nonlocal call
        if call is None:
            call = session.make_callable(fetches, [f"{name}:0" for name in feeds])
        return call(*feeds.values())

    return infer


measure(__doc__, load)
