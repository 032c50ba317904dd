"""Matrices, convolutions, batch norm and pooling."""

import numpy as np
import tensorflow as tf

from .cases import (
    F16, F32, F64, add, case, cases, fused_attrs, i32, integers, list_nchw, nchw, normal, run, tensor_json, window_attrs)


def matrices():
    for name, a, b, attrs in [
        ("plain", (2, 3), (3, 4), {}),
        ("wide", (3, 5), (5, 37), {}),
        ("transposed_a", (3, 2), (3, 4), {"transpose_a": True}),
        ("transposed_b", (2, 3), (18, 3), {"transpose_b": True}),
        ("both", (3, 2), (4, 3), {"transpose_a": True, "transpose_b": True}),
        ("no_inner", (2, 0), (0, 3), {}),
        ("no_rows", (0, 3), (3, 2), {}),
    ]:
        case("MatMul", name, [normal(*a), normal(*b)], tolerance=1e-5, **attrs)
    case("MatMul", "double", [normal(2, 3, dtype=F64), normal(3, 2, dtype=F64)])
    case("MatMul", "half", [normal(2, 3, dtype=F16), normal(3, 2, dtype=F16)])
    case("MatMul", "int32", [integers(-9, 9, 2, 3), integers(-9, 9, 3, 2)])
    case("BatchMatMul", "plain", [normal(2, 3, 4), normal(2, 4, 2)], tolerance=1e-5)
    case("BatchMatMul", "adjoint", [normal(2, 2, 4, 3), normal(2, 2, 5, 4)], tolerance=1e-5,
         adj_x=True, adj_y=True)
    case("BatchMatMulV2", "broadcast", [normal(2, 1, 3, 4), normal(5, 4, 2)], tolerance=1e-5)
    case("BatchMatMulV2", "matrix_right", [normal(3, 2, 4), normal(4, 2)], tolerance=1e-5)
    case("BatchMatMulV2", "adjoint", [normal(3, 4), normal(2, 5, 4)], tolerance=1e-5, adj_y=True)
    case("BatchMatMulV2", "int32", [integers(-5, 5, 2, 2, 3), integers(-5, 5, 2, 3, 2)])
    for fused_ops, then in [
        (["BiasAdd"], lambda x: x),
        (["BiasAdd", "Relu"], tf.nn.relu),
        (["BiasAdd", "Relu6"], tf.nn.relu6),
        (["BiasAdd", "Elu"], tf.nn.elu),
        (["BiasAdd", "Tanh"], tf.nn.tanh),
        (["BiasAdd", "Sigmoid"], tf.nn.sigmoid),
        (["BiasAdd", "LeakyRelu"], lambda x: tf.nn.leaky_relu(x, 0.3)),
    ]:
        a, b, bias = normal(3, 4), normal(5, 4), normal(5)
        y = run(lambda a, b, c: then(tf.nn.bias_add(tf.matmul(a, b, transpose_b=True), c)),
                a, b, bias)
        attrs = fused_attrs(fused_ops, 1, transpose_a={"b": False}, transpose_b={"b": True})
        add("_".join(fused_ops).lower(), "_FusedMatMul", attrs, [a, b, bias], [y], 1e-5)


def convolutions():
    shapes = [
        ("same_odd", (1, 5, 7, 3), (3, 3, 3, 4), (2, 2), "SAME", (1, 1)),
        ("same_even", (2, 6, 4, 2), (3, 2, 2, 5), (2, 1), "SAME", (1, 1)),
        ("valid", (1, 7, 6, 2), (3, 2, 2, 3), (2, 3), "VALID", (1, 1)),
        ("dilated_same", (1, 7, 8, 2), (3, 3, 2, 3), (1, 1), "SAME", (2, 3)),
        ("dilated_valid", (1, 9, 7, 1), (3, 2, 1, 2), (1, 1), "VALID", (3, 2)),
        ("pointwise", (1, 2, 2, 5), (1, 1, 5, 19), (1, 1), "VALID", (1, 1)),
        ("kernel_above_image", (1, 2, 2, 1), (5, 5, 1, 2), (1, 1), "SAME", (1, 1)),
        ("groups", (1, 4, 4, 4), (3, 3, 2, 6), (1, 1), "SAME", (1, 1)),
    ]
    for name, x, filter_shape, strides, padding, dilations in shapes:
        x, filter_array = normal(*x), normal(*filter_shape)
        case("Conv2D", name, [x, filter_array], tolerance=1e-5, strides=[1, *strides, 1],
             padding=padding, dilations=[1, *dilations, 1])
        y = cases[-1]
        plain = run(lambda a, b: tf.raw_ops.Conv2D(
            input=a, filter=b, strides=[1, *strides, 1], padding=padding,
            dilations=[1, *dilations, 1]), x, filter_array)
        assert y["outputs"][0] == tensor_json(plain)
        if name in ("same_odd", "valid", "dilated_same", "groups"):
            attrs = window_attrs(strides, padding, dilations, data_format="NCHW")
            add(f"{name}_nchw", "Conv2D", attrs, [nchw(x), filter_array], [nchw(plain)], 1e-5)
    case("Conv2D", "explicit", [normal(1, 4, 5, 2), normal(3, 3, 2, 2)], tolerance=1e-5,
         strides=[1, 2, 1, 1], padding="EXPLICIT", explicit_paddings=[0, 0, 2, 1, 0, 3, 0, 0])
    case("Conv2D", "half", [normal(1, 4, 4, 2, dtype=F16), normal(2, 2, 2, 3, dtype=F16)],
         strides=[1, 1, 1, 1], padding="SAME")
    case("Conv2D", "double", [normal(1, 4, 4, 2, dtype=F64), normal(2, 2, 2, 3, dtype=F64)],
         strides=[1, 1, 1, 1], padding="SAME")
    case("Conv2D", "no_images", [normal(0, 4, 4, 2), normal(2, 2, 2, 3)],
         strides=[1, 1, 1, 1], padding="SAME")

    for name, x, filter_shape, stride, padding in [
        ("same", (1, 5, 6, 3), (3, 3, 3, 1), 2, "SAME"),
        ("multiplier", (2, 4, 5, 3), (2, 3, 3, 2), 1, "SAME"),
        ("valid", (1, 5, 5, 20), (3, 3, 20, 1), 1, "VALID"),
    ]:
        x, filter_array = normal(*x), normal(*filter_shape)
        case("DepthwiseConv2dNative", name, [x, filter_array], tolerance=1e-5,
             strides=[1, stride, stride, 1], padding=padding)
        plain = run(lambda a, b: tf.raw_ops.DepthwiseConv2dNative(
            input=a, filter=b, strides=[1, stride, stride, 1], padding=padding), x, filter_array)
        attrs = window_attrs((stride, stride), padding, (1, 1), data_format="NCHW")
        add(f"{name}_nchw", "DepthwiseConv2dNative", attrs, [nchw(x), filter_array],
            [nchw(plain)], 1e-5)
    case("DepthwiseConv2dNative", "explicit", [normal(1, 4, 5, 2), normal(3, 3, 2, 1)],
         tolerance=1e-5, strides=[1, 1, 1, 1], padding="EXPLICIT",
         explicit_paddings=[0, 0, 2, 1, 0, 1, 0, 0])
    # The CPU kernel has no dilations of its own: Python's wrapper goes through SpaceToBatchND.
    x, filter_array = normal(1, 7, 6, 2), normal(3, 2, 2, 2)
    y = run(lambda a, b: tf.nn.depthwise_conv2d(a, b, [1, 1, 1, 1], "SAME", dilations=[2, 2]),
            x, filter_array)
    add("dilated", "DepthwiseConv2dNative", window_attrs((1, 1), "SAME", (2, 2)),
        [x, filter_array], [y], 1e-5)

    for name, size, filter_shape, strides, padding in [
        ("same", (1, 6, 7, 3), (3, 3, 3, 2), (2, 2), "SAME"),
        ("valid", (2, 7, 5, 2), (3, 2, 2, 4), (2, 3), "VALID"),
        ("stride_above_kernel", (1, 5, 5, 1), (2, 2, 1, 2), (3, 3), "SAME"),
    ]:
        out = [-(-n // s) if padding == "SAME" else (n - k) // s + 1
               for n, s, k in zip(size[1:3], strides, filter_shape[:2])]
        gradient = normal(size[0], *out, filter_shape[3])
        filter_array = normal(*filter_shape)
        case("Conv2DBackpropInput", name, [i32(*size), filter_array, gradient], tolerance=1e-5,
             strides=[1, *strides, 1], padding=padding)
        plain = run(lambda a, b: tf.raw_ops.Conv2DBackpropInput(
            input_sizes=i32(*size), filter=a, out_backprop=b, strides=[1, *strides, 1],
            padding=padding), filter_array, gradient)
        attrs = window_attrs(strides, padding, (1, 1), data_format="NCHW")
        add(f"{name}_nchw", "Conv2DBackpropInput", attrs,
            [i32(*list_nchw(size)), filter_array, nchw(gradient)], [nchw(plain)], 1e-5)
    case("Conv2DBackpropInput", "sizes_of_two",
         [i32(4, 4), normal(2, 2, 3, 2), normal(2, 2, 2, 2)], tolerance=1e-5,
         strides=[1, 2, 2, 1], padding="SAME")
    case("Conv2DBackpropInput", "explicit",
         [i32(1, 4, 4, 1), normal(3, 3, 1, 2), normal(1, 3, 4, 2)], tolerance=1e-5,
         strides=[1, 2, 1, 1], padding="EXPLICIT", explicit_paddings=[0, 0, 2, 1, 1, 1, 0, 0])


def fused_convolutions():
    finish = {
        "": lambda x, a: x,
        "Relu": lambda x, a: tf.nn.relu(x),
        "Relu6": lambda x, a: tf.nn.relu6(x),
        "Elu": lambda x, a: tf.nn.elu(x),
        "Sigmoid": lambda x, a: tf.nn.sigmoid(x),
        "Tanh": lambda x, a: tf.nn.tanh(x),
        "LeakyRelu": lambda x, a: tf.nn.leaky_relu(x, 0.3),
        "Prelu": lambda x, a: tf.where(x < 0, a * x, x),
    }
    for activation, then in finish.items():
        for op in ["_FusedConv2D", "FusedDepthwiseConv2dNative", "_FusedDepthwiseConv2dNative"]:
            depthwise = "Depthwise" in op
            x, bias, alpha = normal(1, 4, 5, 3), normal(6), normal(1, 1, 6)
            filter_array = normal(3, 3, 3, 2) if depthwise else normal(3, 3, 3, 6)
            raw = tf.raw_ops.DepthwiseConv2dNative if depthwise else tf.raw_ops.Conv2D
            y = run(lambda x, f, b, a: then(tf.nn.bias_add(raw(
                input=x, filter=f, strides=[1, 2, 2, 1], padding="SAME"), b), a),
                x, filter_array, bias, alpha)
            args = [bias, alpha] if activation == "Prelu" else [bias]
            fused_ops = ["BiasAdd", activation] if activation else ["BiasAdd"]
            attrs = fused_attrs(fused_ops, len(args), **window_attrs((2, 2), "SAME", (1, 1)))
            add(activation.lower() or "bias", op, attrs, [x, filter_array, *args], [y], 1e-5)
    x, filter_array = normal(1, 3, 3, 2), normal(2, 2, 2, 3)
    scale, offset, mean, variance = normal(3), normal(3), normal(3), np.abs(normal(3))
    y = run(lambda x, f, s, o, m, v: tf.nn.relu(tf.raw_ops.FusedBatchNormV3(
        x=tf.raw_ops.Conv2D(input=x, filter=f, strides=[1, 1, 1, 1], padding="SAME"), scale=s,
        offset=o, mean=m, variance=v, epsilon=1e-3, is_training=False).y),
        x, filter_array, scale, offset, mean, variance)
    attrs = fused_attrs(["FusedBatchNorm", "Relu"], 4, **window_attrs((1, 1), "SAME", (1, 1)))
    add("batch_norm", "_FusedConv2D", attrs,
        [x, filter_array, scale, offset, mean, variance], [y], 1e-5)
    bias = normal(3)
    y = run(lambda x, f, b: tf.nn.relu(tf.nn.bias_add(tf.raw_ops.Conv2D(
        input=x, filter=f, strides=[1, 1, 1, 1], padding="VALID"), b)), x, filter_array, bias)
    attrs = fused_attrs(["BiasAdd", "Relu"], 1,
                        **window_attrs((1, 1), "VALID", (1, 1), data_format="NCHW"))
    add("nchw", "_FusedConv2D", attrs, [nchw(x), filter_array, bias], [nchw(y)], 1e-5)


def batch_norms():
    params = [normal(3), normal(3), normal(3), np.abs(normal(3))]
    for op, count in [("FusedBatchNorm", 5), ("FusedBatchNormV2", 5), ("FusedBatchNormV3", 6)]:
        # The reserve spaces are for gradients: TensorFlow leaves them unset at inference.
        case(op, "nhwc", [normal(2, 2, 3, 3), *params], is_training=False, epsilon=1e-3, keep=3,
             tolerance=2e-6)
        x = normal(1, 2, 2, 3)
        y = run(lambda x, s, o, m, v: tf.raw_ops.FusedBatchNormV3(
            x=x, scale=s, offset=o, mean=m, variance=v, is_training=False).y, x, *params)
        attrs = dict(cases[-1]["attrs"], data_format={"s": "NCHW"}, epsilon={"f": float(F32(1e-4))})
        add("nchw", op, attrs, [nchw(x), *params], [nchw(y), *params[2:]], 2e-6,
            total=count)
    case("FusedBatchNormV3", "half", [normal(1, 2, 2, 3, dtype=F16), *params], is_training=False,
         keep=3)


def pools():
    for op in ["MaxPool", "AvgPool"]:
        value = "input" if op == "MaxPool" else "value"
        for name, x, ksize, strides, padding in [
            ("same_odd", (1, 5, 7, 2), (3, 3), (2, 2), "SAME"),
            ("valid", (2, 6, 5, 3), (2, 3), (2, 1), "VALID"),
            ("same_two", (1, 3, 3, 1), (2, 2), (1, 1), "SAME"),
        ]:
            x = normal(*x)
            case(op, name, [x], ksize=[1, *ksize, 1], strides=[1, *strides, 1], padding=padding)
            plain = run(lambda a: getattr(tf.raw_ops, op)(
                **{value: a}, ksize=[1, *ksize, 1], strides=[1, *strides, 1], padding=padding), x)
            attrs = dict(cases[-1]["attrs"], data_format={"s": "NCHW"},
                         ksize={"ints": list_nchw([1, *ksize, 1])},
                         strides={"ints": list_nchw([1, *strides, 1])})
            add(f"{name}_nchw", op, attrs, [nchw(x)], [nchw(plain)])
        case(op, "half", [normal(1, 4, 4, 2, dtype=F16)], ksize=[1, 2, 2, 1],
             strides=[1, 2, 2, 1], padding="VALID", tolerance=5e-3)
    case("MaxPool", "explicit", [normal(1, 4, 4, 1)], ksize=[1, 3, 3, 1], strides=[1, 2, 2, 1],
         padding="EXPLICIT", explicit_paddings=[0, 0, 1, 0, 2, 1, 0, 0])
    case("MaxPool", "int32", [integers(-9, 9, 1, 4, 4, 1)], ksize=[1, 2, 2, 1],
         strides=[1, 2, 2, 1], padding="SAME")


FAMILIES = [matrices, convolutions, fused_convolutions, batch_norms, pools]
