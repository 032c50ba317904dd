"""Makes control_flow/*.pb and control_flow/cases.json: small graphs with loops and conditions, and
what TensorFlow computes with them.

Graphs of both versions of TensorFlow's control flow: frames, Switch and Merge (v1) and While, If
and Case with functions (v2).

    python tests/goldens/make_control_flow_goldens.py
"""

import json
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import (
    convert_variables_to_constants_v2_as_graph,
)

FOLDER = pathlib.Path(__file__).parent / "control_flow"
F32 = tf.float32
I32 = tf.int32


def halving(x, n):
    """A loop whose length an input says."""
    return tf.while_loop(
        lambda i, v: i < n, lambda i, v: (i + 1, v * 0.5 + 1.0), (tf.constant(0), x)
    )


def until(x, n):
    """A loop that ends by what it computes."""
    _, v = tf.while_loop(
        lambda i, v: tf.logical_and(tf.reduce_sum(v) < 100.0, i < 50),
        lambda i, v: (i + 1, v * 2.0 + tf.cast(n, F32)),
        (tf.constant(0), x),
    )
    return v


def nested_loops(x, n):
    def outer(i, v):
        def inner(j, w):
            return j + 1, w + tf.cast(i * j, F32) * x

        _, w = tf.while_loop(lambda j, w: j < i, inner, (tf.constant(0), v))
        return i + 1, w

    return tf.while_loop(lambda i, v: i < n, outer, (tf.constant(0), x))[1]


def condition(x, n):
    return tf.cond(n > 2, lambda: x * 2.0, lambda: x - 1.0)


def constant_branches(x, n):
    """Branches that read nothing: only control edges tell where they belong."""
    a, b = tf.cond(
        n > 2,
        lambda: (tf.constant(1.0), x),
        lambda: (tf.constant(2.0), tf.ones_like(x)),
    )
    return a + b


def nested_conditions(x, n):
    def small():
        return tf.cond(n > 0, lambda: x + 1.0, lambda: -x)

    return tf.cond(n > 2, lambda: tf.cond(n > 3, lambda: x * x, lambda: x), small)


def condition_in_loop(x, n):
    def body(i, v):
        v = tf.cond(tf.equal(i % 2, 0), lambda: v + x, lambda: v * 2.0)
        return i + 1, v

    return tf.while_loop(lambda i, v: i < n, body, (tf.constant(0), x))[1]


def loop_in_condition(x, n):
    def loop():
        return tf.while_loop(
            lambda i, v: i < n, lambda i, v: (i + 1, v * 1.5), (tf.constant(0), x)
        )[1]

    return tf.cond(n > 1, loop, lambda: x)


def switch_case(x, n):
    return tf.switch_case(n, [lambda: x, lambda: x * 2.0, lambda: x - 3.0, lambda: -x])


def case(x, n):
    return tf.case(
        [(n < 1, lambda: x), (n < 3, lambda: x * 2.0)], default=lambda: x - 5.0
    )


def mapped(x, n):
    return tf.map_fn(lambda row: row * row + tf.cast(n, F32), x)


def mapped_pairs(x, n):
    return tf.map_fn(
        lambda pair: (pair[0] + pair[1], tf.reduce_max(pair[0])),
        (x, x * 2.0),
        fn_output_signature=(F32, F32),
    )


def scanned(x, n):
    return tf.scan(lambda before, row: before * 0.5 + row, x)


def folded(x, n):
    return tf.foldl(lambda before, row: before + row * row, x, initializer=tf.zeros([3]))


def growing(x, n):
    """A tensor that is longer after each pass."""
    return tf.while_loop(
        lambda i, v: i < n,
        lambda i, v: (i + 1, tf.concat([v, v[-1:] + 1.0], 0)),
        (tf.constant(0), x),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, 3])),
    )[1]


def array_of_parts(x, n):
    array = tf.TensorArray(F32, size=2).unstack(x)
    return tf.concat([array.read(1), array.read(0)], 0) + tf.cast(array.size(), F32)


def array_concatenated(x, n):
    array = tf.TensorArray(F32, size=n, element_shape=[1, 3], infer_shape=True)
    _, array = tf.while_loop(
        lambda i, a: i < n,
        lambda i, a: (i + 1, a.write(i, x[:1] * tf.cast(i, F32))),
        (tf.constant(0), array),
    )
    return array.concat()


def growing_array(x, n):
    array = tf.TensorArray(F32, size=0, dynamic_size=True, element_shape=[3])
    _, array = tf.while_loop(
        lambda i, a: i < n,
        lambda i, a: (i + 1, a.write(i, x[0] + tf.cast(i, F32))),
        (tf.constant(0), array),
    )
    return array.stack()


def short_loop(x, n):
    """A loop whose length is known: it is written out."""
    array = tf.TensorArray(F32, size=3)
    _, v, array = tf.while_loop(
        lambda i, v, a: i < 3,
        lambda i, v, a: (i + 1, v * 2.0, a.write(i, v)),
        (tf.constant(0), x, array),
    )
    return v, array.stack()


def two_results_of_one_predicate(x, n):
    """Two conditions on the same predicate, the second reading the first."""
    p = n > 2
    a = tf.cond(p, lambda: x + 1.0, lambda: x)
    b = tf.cond(p, lambda: a * 3.0, lambda: a - x)
    return a, b


def recurrent(x, n):
    """The loop of `dynamic_rnn`: time first, lengths of their own, state kept where a row ended."""
    steps = tf.shape(x)[0]
    w = tf.constant(np.linspace(-1, 1, 9, dtype=np.float32).reshape(3, 3))
    inputs = tf.TensorArray(F32, size=steps).unstack(x)
    outputs = tf.TensorArray(F32, size=steps)

    def body(t, state, outputs):
        new = tf.tanh(tf.linalg.matvec(w, inputs.read(t)) + state)
        new = tf.cond(t < n, lambda: new, lambda: state)
        return t + 1, new, outputs.write(t, new)

    _, state, outputs = tf.while_loop(
        lambda t, *_: t < steps, body, (tf.constant(0), tf.zeros([3]), outputs)
    )
    return outputs.stack(), state


CASES = [
    halving, until, nested_loops, condition, constant_branches, nested_conditions,
    condition_in_loop, loop_in_condition, switch_case, case, mapped, mapped_pairs, scanned,
    folded, growing, array_of_parts, array_concatenated, growing_array, short_loop,
    two_results_of_one_predicate, recurrent,
]  # fmt: skip


def inputs():
    rng = np.random.default_rng(7)
    for n in (0, 1, 3, 4):
        yield rng.standard_normal((2, 3)).astype(np.float32), np.int32(n)


def flat(result):
    return [tf.identity(part) for part in tf.nest.flatten(result)]


def first_version(build):
    tf.compat.v1.disable_control_flow_v2()
    graph = tf.Graph()
    with graph.as_default():
        x = tf.compat.v1.placeholder(F32, [None, 3], name="x")
        n = tf.compat.v1.placeholder(I32, [], name="n")
        outputs = [tensor.name for tensor in flat(build(x, n))]
    return graph.as_graph_def(), outputs


def second_version(build):
    tf.compat.v1.enable_control_flow_v2()
    function = tf.function(lambda x, n: flat(build(x, n)))
    concrete = function.get_concrete_function(
        tf.TensorSpec([None, 3], F32, name="x"), tf.TensorSpec([], I32, name="n")
    )
    _, graph_def = convert_variables_to_constants_v2_as_graph(
        concrete, lower_control_flow=False
    )
    return graph_def, [tensor.name for tensor in concrete.outputs]


def run(graph_def, outputs, x, n):
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        names = {tensor.name for op in graph.get_operations() for tensor in op.outputs}
        feed = {name: value for name, value in {"x:0": x, "n:0": n}.items() if name in names}
        with tf.compat.v1.Session(graph=graph) as session:
            return session.run(outputs, feed)


def values(array):
    array = np.asarray(array)
    return {
        "shape": list(array.shape),
        "dtype": array.dtype.name,
        "data": [float(value) for value in array.ravel()],
    }


def main():
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.pb"):
        old.unlink()
    cases = []
    for version, freeze in (("v1", first_version), ("v2", second_version)):
        for build in CASES:
            name = f"{build.__name__}_{version}"
            graph_def, outputs = freeze(build)
            # TensorFlow made nothing of these in the first version.
            for node in graph_def.node:
                node.device = ""
            runs = []
            for x, n in inputs():
                if build in (array_concatenated,) and n == 0:
                    continue
                results = run(graph_def, outputs, x, n)
                runs.append(
                    {"x": values(x), "n": int(n), "outputs": [values(r) for r in results]}
                )
            (FOLDER / f"{name}.pb").write_bytes(graph_def.SerializeToString(deterministic=True))
            cases.append({"name": name, "outputs": outputs, "runs": runs})
    text = json.dumps({"tensorflow": tf.__version__, "cases": cases}, separators=(",", ":"))
    (FOLDER / "cases.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
