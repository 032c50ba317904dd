#!/usr/bin/env python3
"""Exports SavedModels with random weights, and what TensorFlow computes with them.

usage: make_keras_models.py applications OUT [NAME...]
       make_keras_models.py fixtures OUT

`applications` writes Keras applications (NAME: see APPLICATIONS; all by default) and YAMNet as
OUT/NAME/ and OUT/NAME.npz, the latter with arrays `in:INPUT` and `out:OUTPUT` as `tfjet compare`
takes them. Weights are drawn anew with a fixed seed, the statistics of batch normalization too, so
that outputs differ from input to input.

`fixtures` writes the toy models of tests/fixtures/saved_model: a few KB each, for tests that run
without TensorFlow. Needs TensorFlow 2 and Keras 3; `keras2` also needs tf_keras.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import function

SEED = 5

# Name of keras.applications, and the size of its image.
APPLICATIONS = {
    "ResNet50": 224,
    "ResNet50V2": 224,
    "MobileNetV2": 224,
    "MobileNetV3Small": 224,
    "InceptionV3": 299,
    "VGG16": 224,
    "NASNetMobile": 224,
    "EfficientNetB0": 224,
    "DenseNet121": 224,
}
YAMNET = "YAMNet"


def redraw(model):
    """Draws weights that keep the magnitude of what passes, and moments that are not 0 and 1."""
    random = np.random.default_rng(SEED)

    def uniform(low, high, shape):
        return random.uniform(low, high, shape).astype(np.float32)

    for layer in model.layers:
        weights = []
        for variable in layer.weights:
            name, shape = variable.path.rsplit("/", 1)[-1], variable.shape
            if "kernel" in name:
                is_depthwise = name.startswith("depthwise") or "Depthwise" in type(layer).__name__
                fan_in = np.prod(shape[:2] if is_depthwise else shape[:-1])
                weights.append(
                    (random.standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32)
                )
            elif name == "gamma":
                weights.append(uniform(0.8, 1.2, shape))
            elif name == "moving_variance":
                weights.append(uniform(0.6, 1.6, shape))
            elif name in ("beta", "bias", "moving_mean"):
                weights.append(uniform(-0.2, 0.2, shape))
            else:
                weights.append(np.asarray(variable))
        if weights:
            layer.set_weights(weights)


def reference(directory, inputs, path, signature="serving_default"):
    """Runs the exported model, not the one in memory, and writes inputs and outputs."""
    loaded = tf.saved_model.load(str(directory))
    outputs = loaded.signatures[signature](**{k: tf.constant(v) for k, v in inputs.items()})
    arrays = {f"in:{name}": value for name, value in inputs.items()}
    arrays.update({f"out:{name}": value.numpy() for name, value in outputs.items()})
    np.savez(path, **arrays)
    return outputs


def applications(out, names):
    import keras

    for name in names or [*APPLICATIONS, YAMNET]:
        if name == YAMNET:
            yamnet_model(out)
            continue
        size = APPLICATIONS[name]
        keras.utils.clear_session()
        keras.utils.set_random_seed(SEED)
        model = getattr(keras.applications, name)(weights=None)
        redraw(model)
        # Scores of all classes near one another would hide an error.
        last = [layer for layer in model.layers if layer.weights][-1]
        kernel, bias = last.get_weights()
        probe = keras.Model(model.inputs, last.input)
        random = np.random.default_rng(SEED)
        image = random.uniform(0, 255, (1, size, size, 3)).astype(np.float32)
        features = probe.predict(image / 127.5 - 1 if not has_rescaling(model) else image, verbose=0)
        scale = 4 / max(float(np.std(features @ kernel.reshape(-1, kernel.shape[-1]))), 1e-6)
        last.set_weights([(kernel * scale).astype(np.float32), bias])
        directory = out / name
        shutil.rmtree(directory, ignore_errors=True)
        model.export(str(directory), verbose=False)
        image = image if has_rescaling(model) else image / 127.5 - 1
        loaded = tf.saved_model.load(str(directory)).signatures["serving_default"]
        (key,) = loaded.structured_input_signature[1]
        outputs = reference(directory, {key: image}, out / f"{name}.npz")
        (scores,) = outputs.values()
        print(f"{name}: input {key}, largest {np.max(scores):.4f}, std {np.std(scores):.2e}")
        sys.stdout.flush()


def yamnet_model(out):
    import keras
    import yamnet

    keras.utils.clear_session()
    keras.utils.set_random_seed(SEED)
    layers = yamnet.body()
    redraw(layers)
    waveform = yamnet.sound(3, SEED)
    features = yamnet.classify(layers, waveform)["embeddings"].numpy()
    last = [layer for layer in layers.layers if layer.weights][-1]
    kernel, bias = last.get_weights()
    scale = 2 / max(float(np.std(features @ kernel)), 1e-6)
    last.set_weights([(kernel * scale).astype(np.float32), bias])
    directory = out / YAMNET
    shutil.rmtree(directory, ignore_errors=True)
    yamnet.export(layers, str(directory))
    outputs = reference(directory, {"waveform": waveform}, out / f"{YAMNET}.npz")
    for name, values in outputs.items():
        print(f"{YAMNET}: {name} {values.shape}, std {np.std(values):.2e}")


def has_rescaling(model):
    return any(type(layer).__name__ == "Rescaling" for layer in model.layers)


class Toy(tf.Module):
    """Functions in functions, loops and branches that read variables, several signatures."""

    def __init__(self):
        super().__init__()
        random = np.random.default_rng(SEED)
        self.kernel = tf.Variable(random.standard_normal((3, 4)).astype(np.float32), name="kernel")
        # Two variables of one name.
        self.bias = tf.Variable(random.standard_normal(4).astype(np.float32), name="bias")
        self.other = tf.Variable(random.standard_normal(4).astype(np.float32), name="bias")
        self.table = tf.Variable(random.standard_normal((5, 2)).astype(np.float32), name="table")
        self.half = tf.Variable(np.float16([0.5, 2.0, -1.0, 4.0]), name="half")
        self.brain = tf.Variable(tf.constant([1.5, -2.0, 3.0, 0.25], tf.bfloat16), name="brain")
        self.small = tf.Variable(np.int8([1, -2, 3, -4]), name="small")
        self.flag = tf.Variable(True, name="flag")
        self.count = tf.Variable(0.0, name="count")
        self.words = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(["a", "b"], [1, 2]), -1
        )

    @tf.function
    def dense(self, x):
        return tf.matmul(x, self.kernel) + self.bias

    @tf.function
    def twice(self, x):
        return self.dense(x), self.dense(-x) + self.other

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
    def calls(self, x):
        a, b = self.twice(x)
        values, indices = tf.math.top_k(a + b, 2)
        types = tf.cast(self.half, tf.float32) + tf.cast(self.brain, tf.float32)
        types += tf.cast(self.small, tf.float32)
        return {"best": values, "where": indices, "types": tf.where(self.flag, a * types, b)}

    @tf.function(input_signature=[tf.TensorSpec([2], tf.int32, name="rows")])
    def lookup(self, rows):
        return {"found": tf.gather(self.table, rows), "size": tf.shape(self.table)}

    @tf.function(
        input_signature=[
            tf.TensorSpec([1, 3], tf.float32, name="x"),
            tf.TensorSpec([], tf.int32, name="times"),
        ]
    )
    def loop(self, x, times):
        total = tf.zeros([1, 4])
        for i in tf.range(times):
            if i % 2 == 0:
                total += self.dense(x)
            else:
                total -= self.other
        return {"total": total}

    @tf.function(
        input_signature=[
            tf.TensorSpec([1, 3], tf.float32, name="x"),
            tf.TensorSpec([], tf.bool, name="pick"),
        ]
    )
    def branch(self, x, pick):
        if pick:
            y = self.dense(x)
        else:
            y = tf.reshape(self.other, [1, 4]) * tf.reduce_sum(x)
        return {"y": y}

    @tf.function(input_signature=[tf.TensorSpec([1], tf.float32, name="x")])
    def counted(self, x):
        self.count.assign_add(1.0)
        return {"y": x * self.count}

    @tf.function(input_signature=[tf.TensorSpec([1, 3], tf.float32, name="x")])
    def noted(self, x):
        self.count.assign_add(1.0)
        tf.debugging.assert_less(x, 100.0)
        return {"y": self.dense(x)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def strings(self, text):
        return {"length": tf.strings.length(text)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def words_of(self, text):
        return {"id": self.words.lookup(text)}

    @tf.function(input_signature=[tf.TensorSpec([1], tf.float32, name="x")])
    def python(self, x):
        y = tf.py_function(lambda v: v + 1, [x], tf.float32)
        return {"y": tf.reshape(y, [1])}


def toy(directory):
    module = Toy()
    signatures = {
        "serving_default": module.calls,
        "lookup": module.lookup,
        "loop": module.loop,
        "branch": module.branch,
        "counted": module.counted,
        "noted": module.noted,
        "strings": module.strings,
        "words": module.words_of,
        "python": module.python,
    }
    tf.saved_model.save(module, str(directory), signatures=signatures)
    x = np.float32([[0.5, -1.0, 2.0]])
    return {
        "serving_default": {"x": np.float32([[0.5, -1.0, 2.0], [1.0, 0.25, -3.0]])},
        "lookup": {"rows": np.int32([4, 1])},
        "loop": {"x": x, "times": np.int32(5)},
        "branch": {"x": x, "pick": np.bool_(False)},
        "noted": {"x": x},
    }


class Gathers(tf.Module):
    """Elements by tuples of indices, within each row of a batch."""

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 4, 3], tf.float32, name="x"),
            tf.TensorSpec([None, None, 2], tf.int32, name="places"),
        ]
    )
    def rows(self, x, places):
        return {"found": tf.gather_nd(x, places, batch_dims=1)}

    @tf.function(
        input_signature=[
            tf.TensorSpec([2, 3, 4, 2], tf.float32, name="x"),
            tf.TensorSpec([2, 3, 2, 1], tf.int32, name="places"),
        ]
    )
    def matrices(self, x, places):
        return {"found": tf.gather_nd(x, places, batch_dims=2)}


def gather_nd(directory):
    module = Gathers()
    signatures = {"rows": module.rows, "matrices": module.matrices}
    tf.saved_model.save(module, str(directory), signatures=signatures)
    random = np.random.default_rng(SEED)

    def normal(*shape):
        return random.standard_normal(shape).astype(np.float32)

    def places(most, *shape):
        return random.integers(0, most, shape).astype(np.int32)

    return {
        "rows": {"x": normal(2, 4, 3), "places": places(3, 2, 5, 2)},
        "matrices": {"x": normal(2, 3, 4, 2), "places": places(4, 2, 3, 2, 1)},
    }


def toy_layers(keras):
    model = keras.Sequential(
        [
            keras.layers.Input((6, 6, 2), name="image"),
            keras.layers.Conv2D(3, 3, padding="same", name="conv"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.ReLU(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4, activation="softmax", name="scores"),
        ]
    )
    random = np.random.default_rng(SEED)
    for layer in model.layers:
        drawn = [random.uniform(0.2, 1.0, w.shape) for w in layer.get_weights()]
        layer.set_weights([w.astype(np.float32) for w in drawn])
    return model


def image_of(directory):
    loaded = tf.saved_model.load(str(directory)).signatures["serving_default"]
    (key,) = loaded.structured_input_signature[1]
    random = np.random.default_rng(SEED)
    return {"serving_default": {key: random.standard_normal((1, 6, 6, 2)).astype(np.float32)}}


def keras3(directory):
    import keras

    toy_layers(keras).export(str(directory), verbose=False)
    return image_of(directory)


def keras2(directory):
    import tf_keras

    toy_layers(tf_keras).save(str(directory), save_format="tf", include_optimizer=False)
    return image_of(directory)


def tf1_graph(use_resource):
    """A graph of TensorFlow 1 with a variable in parts, and a step of training beside."""
    v1 = tf.compat.v1
    v1.set_random_seed(SEED)

    # A call by the function's name.
    @function.Defun(tf.float32, func_name="halve")
    def halve(value):
        return tf.multiply(value, 0.5, name="half")

    x = v1.placeholder(tf.float32, [None, 3], name="x")
    half = halve(x)
    half.set_shape([None, 3])
    scaled = tf.identity(half, name="scaled")
    with v1.variable_scope("layer", use_resource=use_resource):
        kernel = v1.get_variable(
            "kernel",
            [3, 8],
            partitioner=v1.fixed_size_partitioner(3, axis=1),
            initializer=v1.random_normal_initializer(seed=SEED),
        )
        bias = v1.get_variable("bias", [8], initializer=v1.random_normal_initializer(seed=SEED))
    logits = tf.add(tf.matmul(scaled, tf.convert_to_tensor(kernel)), bias, name="logits")
    scores = tf.nn.softmax(logits, name="scores")
    steps = v1.get_variable("steps", [], tf.int64, v1.zeros_initializer(), use_resource=use_resource)
    v1.assign_add(steps, 1, name="train")
    return x, scaled, scores


def tf1(directory, use_resource=True):
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x, scaled, scores = tf1_graph(use_resource)
        session.run(v1.global_variables_initializer())
        info = v1.saved_model.utils.build_tensor_info
        signature = v1.saved_model.signature_def_utils.build_signature_def
        builder = v1.saved_model.builder.SavedModelBuilder(str(directory))
        builder.add_meta_graph_and_variables(
            session,
            ["serve", "small"],
            {
                "predict": signature({"x": info(x)}, {"scores": info(scores)}),
                # An input that is no placeholder.
                "scaled": signature({"half": info(scaled)}, {"scores": info(scores)}),
            },
            strip_default_attrs=True,
        )
        builder.save()
        values = np.float32([[1, -2, 0.5], [0.1, 0.2, 3]])
        scores = session.run(scores, {x: values})
    return {"predict": ({"x": values}, {"scores": scores})}


def tf1_references(directory):
    """Variables that are references."""
    return tf1(directory, use_resource=False)


def tf1_checkpoint(directory):
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x, _, scores = tf1_graph(use_resource=False)
        session.run(v1.global_variables_initializer())
        v1.train.Saver(sharded=True).save(
            session, str(directory / "model.ckpt"), strip_default_attrs=True
        )
        (directory / "checkpoint").write_text('model_checkpoint_path: "model.ckpt"\n')
        values = np.float32([[1, -2, 0.5]])
        scores = session.run(scores, {x: values})
    return {"": ({"x": values}, {"scores": scores})}


def of_types(x):
    """Variables of the types that a checkpoint of the old format can hold."""
    v1 = tf.compat.v1
    rows = []
    for dtype, values in {
        tf.float16: [0.5, -65504],
        tf.float64: [1 / 3, -1e9],
        tf.int8: [-128, 127],
        tf.int16: [-32768, 32767],
        tf.int32: [-(1 << 20), 7],
        tf.int64: [1 << 33, -9],
        tf.uint8: [0, 255],
        tf.uint16: [1, 65535],
        tf.bool: [True, False],
    }.items():
        variable = v1.get_variable(f"types/{dtype.name}", initializer=tf.constant(values, dtype))
        rows.append(tf.cast(variable, tf.float32))
    return tf.add(tf.stack(rows), tf.reduce_sum(x), name="types")


def tf1_checkpoint_v1(directory, sharded=False):
    """The checkpoint's old format."""
    v1 = tf.compat.v1

    def device(op):
        return "/device:CPU:1" if "part_1" in op.name or "bias" in op.name else "/device:CPU:0"

    config = v1.ConfigProto(device_count={"CPU": 2})
    with tf.Graph().as_default(), v1.Session(config=config) as session:
        with v1.device(device if sharded else None):
            x, _, scores = tf1_graph(use_resource=False)
            types = of_types(x)
        session.run(v1.global_variables_initializer())
        saver = v1.train.Saver(sharded=sharded, write_version=v1.train.SaverDef.V1)
        with contextlib.chdir(directory):
            saver.save(session, "model.ckpt", strip_default_attrs=True)
        values = np.float32([[1, -2, 0.5]])
        scores, types = session.run([scores, types], {x: values})
    return {"": ({"x": values}, {"scores": scores, "types": types})}


def tf1_checkpoint_v1_shards(directory):
    """The same in two files."""
    return tf1_checkpoint_v1(directory, sharded=True)


class Sound(tf.Module):
    """Spectrograms, and waveforms made of them again."""

    WINDOW, HOP, POINTS = 20, 8, 32

    def spectrum(self, waveform):
        return tf.signal.stft(waveform, self.WINDOW, self.HOP, self.POINTS)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="waveform")])
    def bands(self, waveform):
        magnitudes = tf.abs(self.spectrum(waveform))
        bands = tf.signal.linear_to_mel_weight_matrix(5, self.POINTS // 2 + 1, 800, 20.0, 380.0)
        bands = tf.math.log(tf.matmul(magnitudes, bands) + 0.001)
        return {"bands": bands, "patches": tf.signal.frame(bands, 4, 2, axis=0)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="waveform")])
    def turned(self, waveform):
        random = np.random.default_rng(SEED)
        turn = np.exp(2j * np.pi * random.random(self.POINTS // 2 + 1)).astype(np.complex64)
        spectrum = self.spectrum(waveform) * turn
        window = tf.signal.inverse_stft_window_fn(self.HOP)
        restored = tf.signal.inverse_stft(spectrum, self.WINDOW, self.HOP, self.POINTS, window)
        return {"restored": restored, "imaginary": tf.math.imag(spectrum)}


def sound(directory):
    module = Sound()
    signatures = {"serving_default": module.bands, "turned": module.turned}
    tf.saved_model.save(module, str(directory), signatures=signatures)
    waveform = np.random.default_rng(SEED).standard_normal(100).astype(np.float32)
    return {name: {"waveform": waveform} for name in signatures}


FIXTURES = {
    "toy": toy,
    "gather_nd": gather_nd,
    "keras3": keras3,
    "keras2": keras2,
    "tf1": tf1,
    "tf1_references": tf1_references,
    "tf1_checkpoint": tf1_checkpoint,
    "tf1_checkpoint_v1": tf1_checkpoint_v1,
    "tf1_checkpoint_v1_shards": tf1_checkpoint_v1_shards,
    "sound": sound,
}


def expected_of(directory, cases):
    """Inputs and outputs of each signature, as JSON."""

    def entry(array):
        array = np.asarray(array)
        return {"dtype": array.dtype.name, "shape": list(array.shape), "values": array.ravel().tolist()}

    loaded = None
    everything = {}
    for signature, case in cases.items():
        if isinstance(case, tuple):
            inputs, outputs = case
        else:
            inputs = case
            loaded = loaded or tf.saved_model.load(str(directory))
            outputs = loaded.signatures[signature](
                **{k: tf.constant(v) for k, v in inputs.items()}
            )
        everything[signature] = {
            "inputs": {k: entry(v) for k, v in inputs.items()},
            "outputs": {k: entry(v) for k, v in outputs.items()},
        }
    return everything


def shrink(directory, as_text):
    """Leaves out what only Python needs: names of source files, shapes, training, other endpoints."""
    path = directory / "saved_model.pb"
    if not path.exists():
        return
    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for graph in model.meta_graphs:
        graph.ClearField("object_graph_def")
        graph.ClearField("collection_def")
        graph.meta_info_def.ClearField("stripped_op_list")
        graph.graph_def.ClearField("debug_info")
        if "serving_default" in graph.signature_def:
            # The same again under another name.
            graph.signature_def.pop("serve", None)
        prune(graph)
    for name in ("fingerprint.pb", "keras_metadata.pb"):
        (directory / name).unlink(missing_ok=True)
    if as_text:
        path.unlink()
        path.with_suffix(".pbtxt").write_text(text_format.MessageToString(model))
    else:
        path.write_bytes(model.SerializeToString(deterministic=True))


def prune(graph):
    """Leaves the nodes and functions that signatures and the restore op need."""
    nodes = {node.name: node for node in graph.graph_def.node}
    open = [graph.saver_def.restore_op_name]
    for signature in graph.signature_def.values():
        open += [info.name for info in signature.outputs.values()]
        open += [info.name for info in signature.inputs.values()]
    found = set()
    while open:
        name = open.pop().lstrip("^").split(":")[0]
        if name in nodes and name not in found:
            found.add(name)
            open += nodes[name].input
    kept = [node for node in graph.graph_def.node if node.name in found]
    functions = {f.signature.name: f for f in graph.graph_def.library.function}
    needed, open = set(), [kept]
    while open:
        for node in open.pop():
            called = [value.func.name for value in node.attr.values()] + [node.op]
            called += [func.name for value in node.attr.values() for func in value.list.func]
            for name in functions.keys() & set(called) - needed:
                needed.add(name)
                open.append(functions[name].node_def)
    pruned = type(graph.graph_def)(versions=graph.graph_def.versions)
    pruned.node.extend(kept)
    pruned.library.function.extend(functions[name] for name in sorted(needed))
    for function in pruned.library.function:
        function.ClearField("arg_attr")
        function.ClearField("attr")
    for nodes in [pruned.node] + [f.node_def for f in pruned.library.function]:
        for node in nodes:
            node.ClearField("experimental_debug_info")
            for attr in list(node.attr):
                if attr.startswith("_") or attr in ("config_proto", "executor_type"):
                    del node.attr[attr]
    graph.graph_def.CopyFrom(pruned)


def fixtures(out, names):
    for name in names or FIXTURES:
        directory = out / name
        shutil.rmtree(directory, ignore_errors=True)
        directory.parent.mkdir(parents=True, exist_ok=True)
        if name.startswith("tf1_checkpoint"):
            directory.mkdir()
        cases = FIXTURES[name](directory)
        expected = {"tensorflow": tf.__version__, "signatures": expected_of(directory, cases)}
        shrink(directory, as_text=name == "tf1_references")
        (directory / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
        print(f"{name}: {sum(f.stat().st_size for f in directory.rglob('*') if f.is_file())} bytes")
        sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["applications", "fixtures"])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    {"applications": applications, "fixtures": fixtures}[args.what](args.out, args.names)


if __name__ == "__main__":
    main()
