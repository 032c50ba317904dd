"""Windows over volumes and images beyond convolution and pooling, and Einstein sums."""

import numpy as np
import tensorflow as tf

from .cases import F16, F32, F64, add, case, cases, i32, integers, nchw, normal, run


def first(array):
    return np.ascontiguousarray(np.moveaxis(array, 4, 1))


def turned(values):
    return [values[0], values[4], *values[1:4]]


def channels_first(name, op, inputs, result):
    """The last case with channels behind the batch, which TensorFlow has on the GPU only."""
    attrs = dict(cases[-1]["attrs"], data_format={"s": "NCDHW"})
    for key in ["strides", "dilations", "ksize"]:
        if key in attrs:
            attrs[key] = {"ints": turned(attrs[key]["ints"])}
    add(f"{name}_ncdhw", op, attrs, inputs, [first(result)], 1e-5)


def volumes():
    for name, size, kernel, strides, padding in [
        ("same", (1, 4, 5, 6, 2), (3, 3, 2, 2, 3), (2, 1, 2), "SAME"),
        ("valid", (2, 3, 4, 5, 1), (2, 3, 2, 1, 4), (1, 1, 2), "VALID"),
    ]:
        x, w, strides = normal(*size), normal(*kernel), [1, *strides, 1]
        y = run(lambda x, w: tf.raw_ops.Conv3D(input=x, filter=w, strides=strides,
                                               padding=padding), x, w)
        case("Conv3D", name, [x, w], tolerance=1e-5, strides=strides, padding=padding)
        channels_first(name, "Conv3D", [first(x), w], y)
        gradient = normal(*y.shape)
        case("Conv3DBackpropInputV2", name, [i32(*size), w, gradient], tolerance=1e-5,
             strides=strides, padding=padding)
        result = run(lambda w, g: tf.raw_ops.Conv3DBackpropInputV2(
            input_sizes=i32(*size), filter=w, out_backprop=g, strides=strides, padding=padding),
            w, gradient)
        channels_first(name, "Conv3DBackpropInputV2", [i32(*turned(size)), w, first(gradient)],
                       result)
        for op in ["MaxPool3D", "AvgPool3D"]:
            window = {"ksize": [1, 2, 3, 2, 1], "strides": strides, "padding": padding}
            y = run(lambda x: getattr(tf.raw_ops, op)(input=x, **window), x)
            case(op, name, [x], **window)
            channels_first(name, op, [first(x)], y)
    case("Conv3D", "half", [normal(1, 2, 2, 3, 1, dtype=F16), normal(1, 2, 2, 1, 2, dtype=F16)],
         tolerance=5e-3, strides=[1] * 5, padding="SAME")


def windows():
    x = normal(2, 5, 6, 3)
    for padding in ["SAME", "VALID"]:
        for rate in [1, 2]:
            name = f"{padding.lower()}_rate_{rate}"
            case("ExtractImagePatches", name, [x], ksizes=[1, 2, 3, 1], strides=[1, 2, 1, 1],
                 rates=[1, rate, rate, 1], padding=padding)
            case("Dilation2D", name, [x, normal(2, 3, 3)], strides=[1, 2, 1, 1],
                 rates=[1, rate, 1, 1], padding=padding)
        case("MaxPoolV2", padding.lower(), [x, i32(1, 2, 3, 1), i32(1, 2, 2, 1)], padding=padding)
        for with_batch in [False, True]:
            case("MaxPoolWithArgmax", f"{padding.lower()}_{with_batch}",
                 [integers(0, 4, 2, 4, 5, 2).astype(F32)], ksize=[1, 2, 2, 1],
                 strides=[1, 2, 1, 1], padding=padding, include_batch_in_index=with_batch)
    case("ExtractImagePatches", "uint8", [integers(0, 255, 1, 3, 3, 1, dtype=np.uint8)],
         ksizes=[1, 3, 3, 1], strides=[1, 1, 1, 1], rates=[1, 1, 1, 1], padding="SAME")
    case("MaxPoolWithArgmax", "int32", [normal(1, 4, 4, 1)], ksize=[1, 2, 2, 1],
         strides=[1, 2, 2, 1], padding="VALID", Targmax=tf.int32)
    y = run(lambda x: tf.raw_ops.MaxPoolV2(input=x, ksize=i32(1, 2, 2, 1),
                                           strides=i32(1, 2, 1, 1), padding="SAME"), x)
    add("same_nchw", "MaxPoolV2",
        {"T": {"type": "float32"}, "padding": {"s": "SAME"}, "data_format": {"s": "NCHW"}},
        [nchw(x), i32(1, 1, 2, 2), i32(1, 1, 2, 1)], [nchw(y)])

    for activation, then in [("None", lambda x: x), ("Relu", tf.nn.relu)]:
        for side_scale in [0.0, 0.5]:
            w, bias, side = normal(3, 3, 3, 4), normal(4), normal(2, 3, 3, 4)
            y = run(lambda x, w, b, s: then(
                1.5 * tf.nn.conv2d(x, w, 2, "SAME") + side_scale * s + b), x, w, bias, side)
            attrs = {"T": {"type": "float32"}, "Tbias": {"type": "float32"},
                     "strides": {"ints": [1, 2, 2, 1]}, "dilations": {"ints": [1, 1, 1, 1]},
                     "padding": {"s": "SAME"}, "data_format": {"s": "NHWC"},
                     "filter_format": {"s": "HWIO"}, "activation_mode": {"s": activation}}
            given = side if side_scale else F32([])
            add(f"{activation.lower()}_{side_scale}", "FusedConv2DBiasActivation", attrs,
                [x, w, bias, given, F32(1.5), F32(side_scale)], [y], 1e-5)

    mean, variance, beta, gamma = normal(3), np.abs(normal(3)), normal(3), normal(3)
    for scale in [True, False]:
        y = run(lambda x, m, v, b, g: tf.nn.batch_normalization(
            x, m, v, b, g if scale else None, 0.01), x, mean, variance, beta, gamma)
        attrs = {"T": {"type": "float32"}, "variance_epsilon": {"f": float(F32(0.01))},
                 "scale_after_normalization": {"b": scale}}
        add(f"scale_{scale}", "BatchNormWithGlobalNormalization", attrs,
            [x, mean, variance, beta, gamma], [y], 1e-5)


def sums():
    for equation, shapes in [
        ("ij,jk->ik", [(2, 3), (3, 4)]),
        ("bij,bjk->bik", [(2, 3, 4), (2, 4, 2)]),
        ("bhqd,bhkd->bhqk", [(1, 2, 3, 4), (1, 2, 5, 4)]),
        ("abc,cde->abde", [(2, 3, 4), (4, 2, 3)]),
        ("i,j->ij", [(3,), (4,)]),
        ("ij->ji", [(2, 3)]),
        ("ij->", [(2, 3)]),
        ("ii->i", [(3, 3)]),
        ("ii->", [(3, 3)]),
        ("...ij,...jk->...ik", [(2, 1, 2, 3), (4, 3, 2)]),
        ("...i->...", [(2, 3, 4)]),
        ("i...,j->j...", [(2, 3), (4,)]),
        ("ij,ij->i", [(2, 3), (2, 3)]),
        ("iij,j->i", [(2, 2, 3), (3,)]),
        ("ij,jk->ik", [(0, 3), (3, 2)]),
        ("ij,jk->ik", [(2, 0), (0, 3)]),
    ]:
        name = f"{equation}_{len(cases)}"
        case("Einsum", name, [[normal(*shape) for shape in shapes]], tolerance=1e-5,
             equation=equation)
    case("Einsum", "double", [[normal(2, 2, dtype=F64), normal(2, 2, dtype=F64)]],
         equation="ab,bc->ac")
    case("BatchMatMulV3", "float", [normal(2, 3, 4), normal(4, 2)], tolerance=1e-5,
         Tout=tf.float32)
    case("BatchMatMulV3", "int32", [integers(-9, 9, 2, 3), integers(-9, 9, 3, 2)], Tout=tf.int32)
    x, y = integers(-128, 128, 2, 3, dtype=np.int8), integers(-128, 128, 2, 3, dtype=np.int8)
    case("BatchMatMulV3", "int8", [x, y], adj_y=True, Tout=tf.int32)


FAMILIES = [volumes, windows, sums]
