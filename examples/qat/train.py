#!/usr/bin/env python3
"""Trains a small network on rendered shapes, then fine-tunes it for INT8, in plain TensorFlow.

usage: train.py DATA OUT [--epochs N] [--fine-tune N] [--threads N]

DATA is the folder that scripts/make_shapes_dataset.py wrote. Writes to OUT
  shapes_fp32.pb   the trained network, with its batch normalizations
  shapes_qat.pb    the same after quantization-aware fine-tuning: normalizations folded, FakeQuant
                   nodes on what each convolution and the last matrix multiplication read
  results.json     top-1 of both graphs as TensorFlow runs them on DATA's test pictures

Both graphs read `images`, float32 [N, 32, 32, 3] RGB as (x - 127.5) / 127.5, and give `logits` and
`probabilities`, [N, 16]. Needs TensorFlow 2. The seeds are fixed and TensorFlow is asked for
deterministic kernels: the same release on the same machine gives the same network.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1

SEED = 6
BATCH = 100
SIDE, CLASSES = 32, 16
STEM, HEAD = 16, 128
# Channels inside, channels out, and stride of each inverted residual block.
BLOCKS = [(32, 16, 1), (64, 24, 2), (96, 24, 1), (96, 40, 2), (160, 40, 1)]
EPSILON = 1e-3
MOMENTUM = 0.95
RATE, FINE_RATE = 4e-3, 2e-4
DECAY = 2e-2
RANGE_IMAGES = 1000
# A channel whose weights are all zero still needs a range.
LEAST = 1e-6


def layers():
    """(name, shape of the weights) of each layer with weights."""
    yield "stem", (3, 3, 3, STEM)
    channels = STEM
    for number, (inner, out, _) in enumerate(BLOCKS):
        yield f"block{number}/expand", (1, 1, channels, inner)
        yield f"block{number}/depthwise", (3, 3, inner, 1)
        yield f"block{number}/project", (1, 1, inner, out)
        channels = out
    yield "head", (1, 1, channels, HEAD)
    yield "classes", (HEAD, CLASSES)


def channels_of(shape):
    return shape[2] if shape[3:] == (1,) else shape[-1]


def initial():
    """name -> array: weights and what normalizes."""
    random = np.random.default_rng(SEED)
    values = {}
    for name, shape in layers():
        inputs = np.prod(shape[:2]) if shape[3:] == (1,) else np.prod(shape[:-1])
        values[f"{name}/weights"] = random.normal(0, np.sqrt(2 / inputs), shape)
        count = channels_of(shape)
        if name == "classes":
            values[f"{name}/bias"] = np.zeros(count)
            continue
        # A residual block begins as the identity.
        residual = name.endswith("project") and shape[-1] == _inputs_of_block(name)
        values[f"{name}/gamma"] = np.full(count, 0.3 if residual else 1.0)
        values[f"{name}/beta"] = np.zeros(count)
        values[f"{name}/mean"] = np.zeros(count)
        values[f"{name}/variance"] = np.ones(count)
    return {name: value.astype(np.float32) for name, value in values.items()}


def _inputs_of_block(name):
    number = int(name.split("/")[0].removeprefix("block"))
    return BLOCKS[number - 1][1] if number else STEM


class Float:
    """Layers as they are trained: convolution and batch normalization."""

    def __init__(self, get, moments=None):
        self.get = get
        # Where a step's moments go; none: the moving ones are used.
        self.moments = moments

    def conv(self, x, name, stride=1):
        weights = self.get(f"{name}/weights")
        if weights.shape[3:] == (1,):
            x = tf1.nn.depthwise_conv2d(x, weights, [1, stride, stride, 1], "SAME", name=name)
        else:
            x = tf.nn.conv2d(x, weights, stride, "SAME", name=name)
        training = self.moments is not None
        y, mean, variance = tf1.nn.fused_batch_norm(
            x,
            self.get(f"{name}/gamma"),
            self.get(f"{name}/beta"),
            None if training else self.get(f"{name}/mean"),
            None if training else self.get(f"{name}/variance"),
            epsilon=EPSILON,
            is_training=training,
            name=f"{name}/norm",
        )
        if training:
            self.moments[f"{name}/mean"] = mean
            self.moments[f"{name}/variance"] = variance
        return y

    def dense(self, x, name):
        x = tf.matmul(x, self.get(f"{name}/weights"), name=name)
        return tf.nn.bias_add(x, self.get(f"{name}/bias"), name="logits")

    def rounded(self, x, name):
        """What layers read; `name` is the first of them."""
        del name
        return x


class Quantized(Float):
    """Layers as INT8 computes them: folded weights rounded per channel, what they read rounded.

    Ranges are symmetric and 255 of the 256 levels are used, so that q = round(x * 127 / range) and
    zero is exact: what TensorRT does.
    """

    def weights(self, name):
        weights = self.get(f"{name}/weights")
        shape = weights.shape
        # FakeQuant's channels are the last dimension.
        if shape[3:] == (1,):
            weights = tf.reshape(weights, shape[:3])
        axes = list(range(len(weights.shape) - 1))
        largest = tf.maximum(tf.reduce_max(tf.abs(weights), axes), LEAST)
        weights = tf.quantization.fake_quant_with_min_max_vars_per_channel(
            weights, -largest, largest, num_bits=8, narrow_range=True, name=f"{name}/fake_quant"
        )
        return tf.reshape(weights, shape)

    def conv(self, x, name, stride=1):
        weights = self.weights(name)
        if weights.shape[3:] == (1,):
            x = tf1.nn.depthwise_conv2d(x, weights, [1, stride, stride, 1], "SAME", name=name)
        else:
            x = tf.nn.conv2d(x, weights, stride, "SAME", name=name)
        return tf.nn.bias_add(x, self.get(f"{name}/bias"), name=f"{name}/add_bias")

    def dense(self, x, name):
        x = tf.matmul(x, self.weights(name), name=name)
        return tf.nn.bias_add(x, self.get(f"{name}/bias"), name="logits")

    def rounded(self, x, name):
        largest = self.get(f"{name}/range")
        return tf.quantization.fake_quant_with_min_max_vars(
            x, -largest, largest, num_bits=8, narrow_range=True, name=f"{name}/input_fake_quant"
        )


class Watched(Float):
    """Keeps what layers read, for the first ranges."""

    def __init__(self, get):
        super().__init__(get)
        self.read = {}

    def rounded(self, x, name):
        self.read[name] = x
        return x


def network(x, kind):
    """The logits. Each tensor that a layer with weights reads passes `rounded` where it is made."""
    x = kind.rounded(x, "stem")
    x = tf.nn.relu6(kind.conv(x, "stem", 2))
    channels = STEM
    for number, (_, out, stride) in enumerate(BLOCKS):
        name = f"block{number}"
        x = kind.rounded(x, f"{name}/expand")
        y = tf.nn.relu6(kind.conv(x, f"{name}/expand"))
        y = tf.nn.relu6(kind.conv(kind.rounded(y, f"{name}/depthwise"), f"{name}/depthwise", stride))
        y = kind.conv(kind.rounded(y, f"{name}/project"), f"{name}/project")
        x = tf.add(x, y, name=f"{name}/add") if stride == 1 and out == channels else y
        channels = out
    x = tf.nn.relu6(kind.conv(kind.rounded(x, "head"), "head"))
    x = tf.reduce_mean(x, [1, 2], name="pool")
    return kind.dense(kind.rounded(x, "classes"), "classes")


def scaled(images):
    return (tf.cast(images, tf.float32) - 127.5) / 127.5


class Training:
    """Adam with decoupled weight decay, a rate that falls along a cosine, and random mirroring."""

    def __init__(self, values, make, images, labels, batch_moments):
        self.variables = {name: tf.Variable(value) for name, value in values.items()}
        self.images, self.labels = images, labels
        self.batch_moments = batch_moments
        moving = ("/mean", "/variance")
        self.trained = [name for name in sorted(values) if not name.endswith(moving)]
        self.first = [tf.Variable(np.zeros_like(values[name])) for name in self.trained]
        self.second = [tf.Variable(np.zeros_like(values[name])) for name in self.trained]
        self.make = make
        self.step = tf.function(self._step)

    def _step(self, images, labels, rate, count):
        moments = {} if self.batch_moments else None
        with tf.GradientTape() as tape:
            logits = network(scaled(images), self.make(self.variables.__getitem__, moments))
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        variables = [self.variables[name] for name in self.trained]
        grads = tape.gradient(loss, variables)
        rate_now = rate * tf.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        for name, variable, grad, first, second in zip(
            self.trained, variables, grads, self.first, self.second
        ):
            first.assign_add(0.1 * (grad - first))
            second.assign_add(0.001 * (grad * grad - second))
            if name.endswith("/weights"):
                variable.assign_sub(rate * DECAY * variable)
            variable.assign_sub(rate_now * first / (tf.sqrt(second) + 1e-7))
        for name, value in (moments or {}).items():
            self.variables[name].assign_add((1 - MOMENTUM) * (value - self.variables[name]))
        right = tf.equal(tf.argmax(logits, 1), tf.cast(labels, tf.int64))
        return loss, tf.reduce_mean(tf.cast(right, tf.float32))

    def run(self, epochs, rate, seed):
        random = np.random.default_rng(seed)
        steps = len(self.images) // BATCH
        total = max(1, epochs * steps)
        done = 0
        for epoch in range(epochs):
            begin, results = time.time(), []
            order = random.permutation(len(self.images))
            for step in range(steps):
                picked = np.sort(order[step * BATCH : (step + 1) * BATCH])
                images = self.images[picked]
                flips = random.random((2, BATCH)) < 0.5
                images[flips[0]] = images[flips[0], ::-1]
                images[flips[1]] = images[flips[1], :, ::-1]
                done += 1
                warm = min(1.0, done / 200)
                now = rate * warm * 0.5 * (1 + np.cos(np.pi * done / total))
                labels = tf.constant(self.labels[picked], tf.int32)
                results.append(
                    self.step(
                        tf.constant(images),
                        labels,
                        tf.constant(now, tf.float32),
                        tf.constant(done, tf.float32),
                    )
                )
            loss, right = np.mean([[float(a), float(b)] for a, b in results], axis=0)
            print(
                f"epoch {epoch + 1}/{epochs}: loss {loss:.4f}, {100 * right:.2f} % of the training"
                f" pictures right, {time.time() - begin:.0f} s",
                flush=True,
            )
        return {name: variable.numpy() for name, variable in self.variables.items()}


def folded(values):
    """Weights and biases with the batch normalizations in them."""
    result = {}
    for name, shape in layers():
        weights = values[f"{name}/weights"].astype(np.float64)
        if name == "classes":
            result[f"{name}/weights"], result[f"{name}/bias"] = weights, values[f"{name}/bias"]
            continue
        scale = values[f"{name}/gamma"] / np.sqrt(values[f"{name}/variance"].astype(np.float64) + EPSILON)
        per_channel = scale[:, None] if shape[3:] == (1,) else scale
        result[f"{name}/weights"] = weights * per_channel
        result[f"{name}/bias"] = values[f"{name}/beta"] - values[f"{name}/mean"] * scale
    return {name: np.asarray(value, np.float32) for name, value in result.items()}


def best_range(values):
    """The range whose rounding errs least, in squares."""
    magnitudes = np.abs(values.reshape(-1)[:: max(1, values.size // 400_000)])
    largest = max(float(magnitudes.max()), LEAST)
    candidates = largest * np.linspace(0.3, 1, 71)
    errors = [
        np.square(np.rint(magnitudes.clip(0, r) * (127 / r)) * (r / 127) - magnitudes).mean()
        for r in candidates
    ]
    return np.float32(candidates[int(np.argmin(errors))])


def first_ranges(values, images):
    """name -> range of what the layer reads."""
    watched = Watched(lambda name: tf.constant(values[name]))
    network(scaled(images), watched)
    return {f"{name}/range": best_range(read.numpy()) for name, read in watched.read.items()}


def write_graph(path, values, kind):
    graph = tf.Graph()
    with graph.as_default():
        images = tf1.placeholder(tf.float32, [None, SIDE, SIDE, 3], name="images")
        constants = {}

        def get(name):
            if name not in constants:
                constants[name] = tf.constant(values[name], name=name)
            return constants[name]

        tf.nn.softmax(network(images, kind(get)), name="probabilities")
    # Ranges of weights are constants of the graph, as exported ones are.
    definition = graph.as_graph_def()
    path.write_bytes(definition.SerializeToString(deterministic=True))


def top1(path, images, labels):
    """How many TensorFlow gets right with a graph in a file."""
    definition = tf1.GraphDef()
    definition.ParseFromString(path.read_bytes())
    graph = tf.Graph()
    with graph.as_default():
        tf1.import_graph_def(definition, name="")
    right = 0
    with tf1.Session(graph=graph) as session:
        for start in range(0, len(images), 500):
            batch = (images[start : start + 500].astype(np.float32) - 127.5) / 127.5
            found = session.run("logits:0", {"images:0": batch}).argmax(1)
            right += int((found == labels[start : start + 500]).sum())
    return right


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=18)
    parser.add_argument("--fine-tune", type=int, default=3, metavar="EPOCHS")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    args.out.mkdir(parents=True, exist_ok=True)
    train, test = np.load(args.data / "train.npz"), np.load(args.data / "test.npz")
    images, labels = train["images"], train["labels"]
    print(f"TensorFlow {tf.__version__}, NumPy {np.__version__}, {args.threads} threads", flush=True)

    values = Training(initial(), Float, images, labels, True).run(args.epochs, RATE, SEED)
    np.savez(args.out / "shapes_fp32.npz", **values)
    fp32 = args.out / "shapes_fp32.pb"
    write_graph(fp32, values, Float)

    start = {**folded(values), **first_ranges(values, images[:RANGE_IMAGES])}
    tuning = Training(start, Quantized, images, labels, False)
    values = tuning.run(args.fine_tune, FINE_RATE, SEED + 1)
    qat = args.out / "shapes_qat.pb"
    write_graph(qat, values, Quantized)

    count = len(test["labels"])
    results = {"tensorflow": tf.__version__, "numpy": np.__version__, "test": count}
    for name, path in (("fp32", fp32), ("qat", qat)):
        right = top1(path, test["images"], test["labels"])
        results[name] = {"right": right, "bytes": path.stat().st_size}
        print(f"{path.name}: top-1 {100 * right / count:.2f} % ({right} of {count})")
    (args.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
