#!/usr/bin/env python3
"""Writes a network of keras.applications, with random weights, as a frozen graph.

usage: keras_to_graphdef.py NAME graph.pb

Speed does not depend on the weights' values, and no download is needed. The input is `x`, the
output, without the last softmax, `Identity`.
"""
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip().splitlines()[2])
    tf.keras.utils.set_random_seed(1)
    model = getattr(tf.keras.applications, sys.argv[1])(weights=None, classifier_activation=None)
    # Statistics of one batch keep the activations from fading layer by layer.
    for layer in model.layers:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(tf.random.uniform([4, 224, 224, 3], -1.0, 1.0), training=True)
    image = tf.TensorSpec([1, 224, 224, 3], tf.float32, name="x")
    call = tf.function(lambda x: model(x, training=False)).get_concrete_function(image)
    graph = convert_variables_to_constants_v2(call).graph.as_graph_def()
    Path(sys.argv[2]).write_bytes(graph.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
