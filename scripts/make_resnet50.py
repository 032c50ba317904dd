#!/usr/bin/env python3
"""Writes ResNet-50 v1.5 as a frozen TensorFlow graph with random weights, for benchmarks.

usage: make_resnet50.py MODEL.pb [--reference REF.npz] [--batch N]

Input `input` [?, 224, 224, 3] float32, NHWC, of mean 0 and deviation 1; outputs `logits` and
`softmax` [?, 1000]. Convolutions without bias, batch normalization for inference with moments of
its own, as the official models write it. The seed is fixed, so the weights are the same everywhere.
Needs TensorFlow 2. --reference runs the graph on random images and writes what `tfjet compare`
takes.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

SEED = 50
# Blocks, width, and stride of the first block's 3x3 convolution (v1.5: there, not in the 1x1).
STAGES = [(3, 64, 1), (4, 128, 2), (6, 256, 2), (3, 512, 2)]
EXPANSION = 4
CLASSES = 1000


class Writer:
    """Adds layers to the default graph."""

    def __init__(self):
        self.random = np.random.default_rng(SEED)

    def normal(self, deviation, *shape):
        return (self.random.standard_normal(shape) * deviation).astype(np.float32)

    def uniform(self, low, high, *shape):
        return self.random.uniform(low, high, shape).astype(np.float32)

    def constant(self, value, name):
        return tf.constant(value, name=name)

    def conv(self, x, filters, size, stride, name, gain=1.0, relu=True):
        """Convolution, batch normalization, and ReLU where wanted. `gain` scales the result."""
        channels = x.shape[-1]
        with tf.name_scope(name):
            # He's deviation keeps the magnitude through a ReLU.
            kernel = self.normal(np.sqrt(2 / (size * size * channels)), size, size, channels, filters)
            padding = "SAME"
            if stride > 1 and size > 1:
                # As PyTorch and Keras pad: alike on both sides.
                edge = [size // 2, size // 2]
                x = tf.pad(x, [[0, 0], edge, edge, [0, 0]], name="pad")
                padding = "VALID"
            x = tf.nn.conv2d(x, self.constant(kernel, "kernel"), stride, padding, name="conv")
            x, _, _ = tf.compat.v1.nn.fused_batch_norm(
                x,
                self.constant(self.uniform(0.8 * gain, 1.2 * gain, filters), "gamma"),
                self.constant(self.normal(0.1 * gain, filters), "beta"),
                self.constant(self.normal(0.1, filters), "moving_mean"),
                self.constant(self.uniform(0.8, 1.2, filters), "moving_variance"),
                epsilon=1e-5,
                is_training=False,
                name="batch_norm",
            )
            return tf.nn.relu(x, name="relu") if relu else x

    def block(self, x, width, stride, name):
        with tf.name_scope(name):
            shortcut = x
            if stride > 1 or x.shape[-1] != width * EXPANSION:
                shortcut = self.conv(x, width * EXPANSION, 1, stride, "shortcut", relu=False)
            x = self.conv(x, width, 1, 1, "conv1")
            x = self.conv(x, width, 3, stride, "conv2")
            # A small gain keeps the sum from growing from block to block.
            x = self.conv(x, width * EXPANSION, 1, 1, "conv3", gain=0.3, relu=False)
            return tf.nn.relu(tf.add(x, shortcut, name="add"), name="relu")


def resnet50():
    graph = tf.Graph()
    with graph.as_default():
        writer = Writer()
        x = tf.compat.v1.placeholder(tf.float32, [None, 224, 224, 3], name="input")
        x = writer.conv(x, 64, 7, 2, "stem")
        x = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], name="stem/pool_pad")
        x = tf.nn.max_pool2d(x, 3, 2, "VALID", name="stem/pool")
        for stage, (blocks, width, stride) in enumerate(STAGES, 1):
            for block in range(blocks):
                first = stride if block == 0 else 1
                x = writer.block(x, width, first, f"stage{stage}/block{block}")
        x = tf.reduce_mean(x, [1, 2], name="pool")
        features = x.shape[-1]
        # Small logits: a softmax that is 1 somewhere would tell little.
        kernel = writer.normal(0.25 * np.sqrt(2 / features), features, CLASSES)
        x = tf.matmul(x, writer.constant(kernel, "dense/kernel"), name="dense/matmul")
        bias = writer.constant(writer.normal(0.1, CLASSES), "dense/bias")
        x = tf.nn.bias_add(x, bias, name="logits")
        tf.nn.softmax(x, name="softmax")
    return graph


def reference(graph, batch, path):
    images = np.random.default_rng(SEED + 1).standard_normal((batch, 224, 224, 3))
    images = images.astype(np.float32)
    # Noise alone looks the same to every filter; large shapes do not.
    rows, columns = np.meshgrid(np.arange(224), np.arange(224), indexing="ij")
    for i, image in enumerate(images):
        image *= 0.5
        image += np.sin((i + 1) * rows / 40 + columns / (20 + 9 * i))[..., None]
    with tf.compat.v1.Session(graph=graph) as session:
        logits, softmax = session.run(["logits:0", "softmax:0"], {"input:0": images})
    assert np.isfinite(logits).all()
    print(f"logits of deviation {logits.std():.3f}, largest softmax {softmax.max():.4f}")
    np.savez(path, **{"in:input": images, "out:logits": logits, "out:softmax": softmax})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--reference", metavar="REF.npz")
    parser.add_argument("--batch", type=int, default=2, help="images in the reference")
    args = parser.parse_args()
    graph = resnet50()
    bytes_ = graph.as_graph_def().SerializeToString(deterministic=True)
    with open(args.model, "wb") as file:
        file.write(bytes_)
    print(f"TensorFlow {tf.__version__}: {args.model}, {len(bytes_) / 2**20:.1f} MiB")
    if args.reference:
        reference(graph, args.batch, args.reference)


if __name__ == "__main__":
    main()
