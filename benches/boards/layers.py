"""What the networks of networks.py are built of: layers in the default TensorFlow graph.

Weights are of no meaning: time and memory do not depend on them. Each array holds one number, a
different one for each array, so that a graph's file stays small and equal arrays are not merged.
Batch normalization is for inference, so that it folds into the convolution.
"""
import itertools
import math
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

NUMBERS = itertools.count(1)


def weights(*shape):
    return tf.constant(1 + next(NUMBERS) / 4096, tf.float32, shape)


def image(height, width=None, channels=3):
    """The input; the batch is open."""
    shape = [None, height, width or height, channels]
    return tf.compat.v1.placeholder(tf.float32, shape, name="input")


def channels(x):
    return int(x.shape[-1])


def batch_norm(x):
    n = channels(x)
    return tf.compat.v1.nn.fused_batch_norm(
        x, weights(n), weights(n), weights(n), weights(n), epsilon=1e-3, is_training=False
    )[0]


def activate(x, relu):
    if relu is True:
        return tf.nn.relu(x)
    if relu == 6:
        return tf.nn.relu6(x)
    if relu == "leaky":
        return tf.nn.leaky_relu(x, 0.1)
    if relu == "mish":
        return x * tf.tanh(tf.math.softplus(x))
    return x


def pad(x, before, after):
    """Zeros around the image; TensorFlow's SAME has them mostly behind, PyTorch's on both sides."""
    return tf.pad(x, [[0, 0], [before, after], [before, after], [0, 0]])


def conv(x, filters, size, stride=1, padding="SAME", relu=True, norm=True, dilation=1):
    height, width = size if isinstance(size, tuple) else (size, size)
    if padding == "BOTH":
        x = pad(x, height // 2, height // 2) if height > 1 else x
        padding = "VALID"
    x = tf.nn.conv2d(x, weights(height, width, channels(x), filters), stride, padding,
                     dilations=dilation)
    x = batch_norm(x) if norm else tf.nn.bias_add(x, weights(filters))
    return activate(x, relu)


def depthwise(x, size=3, stride=1, relu=6, norm=True):
    x = tf.nn.depthwise_conv2d(x, weights(size, size, channels(x), 1), [1, stride, stride, 1], "SAME")
    x = batch_norm(x) if norm else tf.nn.bias_add(x, weights(channels(x)))
    return activate(x, relu)


def max_pool(x, size, stride, padding="SAME"):
    return tf.nn.max_pool2d(x, size, stride, padding)


def average_pool(x, size, stride, padding="SAME"):
    return tf.nn.avg_pool2d(x, size, stride, padding)


def global_pool(x):
    return tf.reduce_mean(x, [1, 2])


def dense(x, units, relu=False):
    return activate(tf.nn.bias_add(tf.matmul(x, weights(channels(x), units)), weights(units)), relu)


def flatten(x):
    return tf.reshape(x, [-1, math.prod(int(size) for size in x.shape[1:])])


def concat(*parts):
    return tf.concat(parts, axis=-1)
