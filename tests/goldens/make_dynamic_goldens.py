"""Writes dynamic_goldens.json: what TensorFlow computes where sizes are not known in the graph.

    python tests/goldens/make_dynamic_goldens.py [--openpose GRAPH.pb] [output file]

Needs TensorFlow 2.21 on the CPU. The result depends on the seed below and on TensorFlow only.

"graphs" are small graphs whose shapes follow from their inputs' sizes, as a hexadecimal GraphDef,
with some sets of sizes. "openpose" is the trained model, which is not in the repository, at 50
sizes; without --openpose those of the present file are kept.

Inputs are not stored: element i of an input is a function of i alone, `noise` below. Of an output
stand here its shape, the mean and the root of the mean square, and some elements: [place, value].
"""

import argparse
import json
import os
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
SEED = 20260201
GRAPHS = []
rng = np.random.default_rng(SEED)


def noise(shape):
    """Numbers from -1 to 1: the upper half of a multiplicative hash of the index."""
    count = int(np.prod(shape, dtype=np.int64))
    hashed = (np.arange(1, count + 1, dtype=np.uint64) * 2654435761) & 0xFFFFFFFF
    return ((hashed >> 8).astype(np.float32) / np.float32(1 << 23) - np.float32(1)).reshape(shape)


def weights(*shape):
    return tf.constant((rng.standard_normal(shape) / np.sqrt(np.prod(shape[:-1]))).astype(np.float32))


def conv(x, channels, stride=1, size=3, padding="SAME"):
    depth = x.shape[-1]
    x = tf.nn.conv2d(x, weights(size, size, depth, channels), stride, padding)
    return tf.nn.relu(tf.nn.bias_add(x, tf.constant(rng.standard_normal(channels).astype(np.float32))))


def graph(sizes, *shapes):
    """A graph whose inputs are x, y, ... and whose outputs are the results of the function."""

    def take(build):
        GRAPHS.append((build.__name__, build, shapes, sizes))
        return build

    return take


IMAGES = [[(1, 32, 48, 3)], [(2, 33, 47, 3)], [(1, 50, 21, 3)]]
IMAGE = (None, None, None, 3)


@graph(IMAGES, IMAGE)
def feature_pyramid(x):
    """Coarse maps are resized to the finer ones' sizes and added."""
    fine = conv(x, 4, 2)
    middle = conv(fine, 4, 2)
    coarse = conv(middle, 4, 2)
    for finer in (middle, fine):
        size = tf.shape(finer)[1:3]
        coarse = v1.image.resize_nearest_neighbor(coarse, size) + finer
    return [coarse, v1.image.resize_bilinear(coarse, tf.shape(x)[1:3], half_pixel_centers=True)]


@graph(IMAGES, IMAGE)
def u_net(x):
    """Doubled maps are cut to the size of those that they are joined with."""
    down = conv(x, 4, 2)
    deep = conv(down, 8, 2)
    size = tf.shape(deep)[1:3] * 2
    up = v1.image.resize_bilinear(deep, size)
    shape = tf.shape(down)
    up = up[:, : shape[1], : shape[2], :]
    return [conv(tf.concat([up, down], 3), 4)]


@graph(IMAGES, IMAGE)
def half_and_back(x):
    """Sizes computed in floats."""
    size = tf.shape(x)[1:3]
    half = tf.cast(tf.cast(size, tf.float32) * 0.5, tf.int32)
    small = v1.image.resize_bilinear(conv(x, 4), half, align_corners=True)
    third = tf.cast(tf.math.ceil(tf.cast(size, tf.float32) / 3.0), tf.int32)
    return [conv(small, 2), v1.image.resize_nearest_neighbor(small, third)]


@graph(IMAGES, IMAGE)
def transposed(x):
    """A transposed convolution as Keras writes it."""
    x = conv(x, 4, 2)
    shape = tf.shape(x)
    same = tf.stack([shape[0], shape[1] * 2, shape[2] * 2, 3])
    y = tf.nn.conv2d_transpose(x, weights(3, 3, 3, 4), same, 2, "SAME")
    valid = tf.stack([shape[0], (shape[1] - 1) * 2 + 3, shape[2] * 2 + 1, 3])
    return [y, tf.nn.conv2d_transpose(x, weights(3, 3, 3, 4), valid, 2, "VALID")]


@graph(IMAGES, IMAGE)
def heads(x):
    """Flattened maps of several sizes, as detectors join them."""
    boxes, scores = [], []
    for _ in range(3):
        x = conv(x, 4, 2)
        shape = tf.shape(x)
        box = conv(x, 12, size=1)
        boxes.append(tf.reshape(box, tf.stack([shape[0], shape[1] * shape[2] * 3, 4])))
        scores.append(tf.reshape(conv(x, 6, size=1), [tf.shape(x)[0], -1, 2]))
    scores = tf.concat(scores, 1)
    return [tf.concat(boxes, 1), tf.nn.softmax(scores), tf.reduce_max(scores, 1)]


@graph(IMAGES, IMAGE)
def anchors(x):
    """A grid of centres and boxes, as anchor generators make it."""
    x = conv(x, 4, 2)
    shape = tf.shape(x)
    height, width = shape[1], shape[2]
    ys = tf.cast(tf.range(height), tf.float32) * 2.0 + 0.5
    xs = tf.range(tf.cast(width, tf.float32), dtype=tf.float32) * 2.0 + 0.5
    ys = tf.tile(tf.reshape(ys, [-1, 1]), tf.stack([1, width]))
    xs = tf.tile(tf.reshape(xs, [1, -1]), tf.stack([height, 1]))
    grid = tf.reshape(tf.stack([ys, xs], 2), [-1, 2])
    grid = tf.tile(tf.expand_dims(grid, 0), tf.stack([shape[0], 1, 1]))
    offsets = tf.reshape(conv(x, 2), tf.stack([shape[0], -1, 2]))
    scale = tf.cast(tf.stack([height, width]), tf.float32)
    return [(grid + offsets) / scale]


@graph(IMAGES, IMAGE)
def padded(x):
    """Borders whose size is known and borders that fill up to a multiple."""
    mirrored = tf.pad(x, [[0, 0], [2, 1], [1, 2], [0, 0]], "REFLECT")
    shape = tf.shape(x)
    rest = tf.math.floormod(8 - tf.math.floormod(shape[1:3], 8), 8)
    pads = tf.stack([[0, 0], tf.stack([0, rest[0]]), tf.stack([0, rest[1]]), [0, 0]])
    whole = tf.pad(x, pads)
    return [conv(mirrored, 2, padding="VALID"), tf.nn.max_pool2d(whole, 8, 8, "VALID")]


@graph(IMAGES, IMAGE)
def crops(x):
    """Slices of sizes that are not known."""
    shape = tf.shape(x)
    centre = tf.slice(x, tf.stack([0, shape[1] // 4, shape[2] // 4, 0]),
                      tf.stack([shape[0], shape[1] // 2, shape[2] // 2, 3]))
    return [x[:, 1:-1, 2:, :], x[:, ::2, ::-1, 1], x[:, -5:, :9], x[:, shape[1] // 2, ..., tf.newaxis], centre,
            tf.slice(x, [0, 3, 0, 1], [-1, -1, 7, 1])]


@graph(IMAGES, IMAGE)
def filled(x):
    """Tensors that are made in the size of another."""
    shape = tf.shape(x)
    ones = tf.fill(tf.stack([shape[0], shape[1], shape[2], 1]), 1.0)
    mask = tf.ones_like(x) * 0.25 + tf.zeros_like(x)
    row = tf.broadcast_to(tf.constant([[1.0, 2.0, 3.0]]), tf.stack([shape[1], 3]))
    return [conv(tf.concat([x, ones, mask], 3), 2), row, tf.zeros(shape[:2]) + 2.0]


@graph([[(1, 32, 48, 4)], [(2, 33, 47, 4)]], (None, None, None, 4))
def blocks(x):
    """Space to depth and back, in a size that is cut to a multiple before."""
    shape = tf.shape(x)
    x = x[:, : shape[1] // 2 * 2, : shape[2] // 2 * 2]
    deep = v1.space_to_depth(x, 2)
    return [deep, v1.depth_to_space(conv(deep, 8), 2)]


@graph([[(1, 7), (1, 5)], [(3, 12), (3, 1)], [(4, 2), (4, 9)]], (None, None), (None, None))
def vectors(x, y):
    """Two inputs whose sizes have to do with each other only in part."""
    both = tf.concat([x, y], 1)
    count = tf.shape(both)[1]
    scaled = both / tf.cast(count, tf.float32)
    halves = tf.split(tf.tile(x, [1, 2]), 2, 1)
    ends = tf.reshape(tf.concat([scaled[:, :1], scaled[:, -1:]], 1), [-1])
    return [both[:, ::-1] + scaled, halves[1], ends, tf.matmul(tf.reshape(both, [-1, 1]),
            tf.reshape(both, tf.stack([1, tf.size(both)])))]


@graph([[(2, 6)], [(3, 4)], [(1, 9)]], (None, None))
def outer(x):
    """Two axes become one and two again."""
    shape = tf.shape(x)
    flat = tf.reshape(x, tf.stack([tf.reduce_prod(shape), 1]))
    wide = tf.reshape(tf.matmul(flat, tf.constant([[1.0, -1.0]])), tf.stack([shape[1], shape[0], 2]))
    return [wide, tf.transpose(wide, [1, 0, 2]), tf.reduce_mean(wide, [0, 1])]


@graph([[(2, 5, 3), (2, 4)], [(1, 9, 3), (1, 1)], [(3, 2, 3), (3, 7)]], (None, None, 3), (None, None))
def gathered(x, y):
    """Elements by tuples of indices, within each row of a batch."""
    count = tf.shape(x)[1]
    rows = tf.cast((y + 1.0) * 0.5 * tf.cast(count, tf.float32), tf.int32)
    rows = tf.expand_dims(tf.minimum(rows, count - 1), 2)
    places = tf.expand_dims(tf.cast(tf.abs(x) * 2.99, tf.int32), 3)
    return [tf.gather_nd(x, rows, batch_dims=1), tf.gather_nd(x, places, batch_dims=2)]


def digits(number):
    return float(f"{number:.7g}")


def stats(array, samples=16):
    flat = array.astype(np.float64).reshape(-1)
    places = np.unique(np.linspace(0, flat.size - 1, min(samples, flat.size)).astype(np.int64))
    return {
        "shape": list(array.shape),
        "mean": digits(np.mean(flat)),
        "rms": digits(np.sqrt(np.mean(flat * flat))),
        "samples": [[int(place), digits(flat[place])] for place in places],
    }


def made(name, build, shapes, sizes):
    names = "xyz"[: len(shapes)]
    with tf.Graph().as_default() as graph:
        inputs = [v1.placeholder(tf.float32, shape, name) for shape, name in zip(shapes, names)]
        outputs = [tf.identity(output, f"out_{i}") for i, output in enumerate(build(*inputs))]
    runs = []
    with v1.Session(graph=graph) as session:
        for shapes in sizes:
            found = session.run(outputs, dict(zip(inputs, (noise(shape) for shape in shapes))))
            runs.append({"inputs": shapes, "outputs": [stats(array) for array in found]})
    definition = graph.as_graph_def(add_shapes=False)
    for node in definition.node:
        node.ClearField("device")
    return {"name": name, "graph": definition.SerializeToString(deterministic=True).hex(), "runs": runs}


def openpose(path):
    definition = v1.GraphDef.FromString(Path(path).read_bytes())
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
    sizes = np.random.default_rng(SEED)
    runs = []
    with v1.Session(graph=graph) as session:
        for _ in range(50):
            shape = (1, int(sizes.integers(64, 400)), int(sizes.integers(64, 400)), 3)
            found = session.run("Openpose/concat_stage7:0", {"image:0": noise(shape)})
            runs.append({"inputs": [shape], "outputs": [stats(found, 8)]})
    return runs


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--openpose")
    parser.add_argument("output", nargs="?", default=Path(__file__).with_name("dynamic_goldens.json"))
    arguments = parser.parse_args()
    output = Path(arguments.output)
    if arguments.openpose:
        trained = openpose(arguments.openpose)
    else:
        trained = json.loads(output.read_text())["openpose"] if output.exists() else []
    graphs = [made(*graph) for graph in GRAPHS]
    lines = [f'{{"tensorflow":{json.dumps(tf.__version__)},"seed":{SEED},"graphs":[']
    lines.append(",\n".join(json.dumps(graph, separators=(",", ":")) for graph in graphs))
    lines.append('],"openpose":[')
    lines.append(",\n".join(json.dumps(run, separators=(",", ":")) for run in trained))
    lines.append("]}")
    output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
