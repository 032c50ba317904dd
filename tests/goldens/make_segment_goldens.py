"""Writes segments.json: what TensorFlow computes, in cases chosen for how segments compute an op.

    python tests/goldens/make_segment_goldens.py

Needs TensorFlow 2.21 on the CPU. The form of a case is that of make_op_goldens.py.
"""

import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True

import numpy as np
import tensorflow as tf

from ops.cases import (
    F32, SEED, add, case, cases, i32, i64, integers, normal, run, start, window_attrs)

HERE = Path(__file__).parent


def volumes():
    for name, x, kernel, strides, padding in [
        ("same", (1, 5, 6, 4, 2), (3, 3, 2, 2, 4), (2, 1, 2), "SAME"),
        ("valid", (2, 4, 5, 6, 3), (2, 3, 3, 3, 2), (1, 2, 1), "VALID"),
        ("pointwise", (1, 2, 3, 2, 4), (1, 1, 1, 4, 3), (1, 1, 1), "SAME"),
    ]:
        case("Conv3D", name, [normal(*x), normal(*kernel)], tolerance=1e-5,
             strides=[1, *strides, 1], padding=padding)
    for name, sizes, kernel, strides, padding in [
        ("same", (1, 6, 6, 4, 2), (3, 3, 2, 2, 3), (2, 2, 2), "SAME"),
        ("valid", (2, 5, 7, 5, 2), (3, 3, 3, 2, 4), (1, 2, 1), "VALID"),
    ]:
        small = [
            -(-size // step) if padding == "SAME" else (size - k) // step + 1
            for size, k, step in zip(sizes[1:4], kernel, strides)
        ]
        case("Conv3DBackpropInputV2", name,
             [i32(*sizes), normal(*kernel), normal(sizes[0], *small, kernel[4])], tolerance=1e-5,
             strides=[1, *strides, 1], padding=padding)
    for op in ("MaxPool3D", "AvgPool3D"):
        for name, x, size, strides, padding in [
            ("same", (1, 5, 6, 4, 2), (3, 2, 2), (2, 2, 1), "SAME"),
            ("valid", (2, 4, 5, 6, 3), (2, 3, 2), (1, 2, 2), "VALID"),
        ]:
            case(op, name, [normal(*x)], tolerance=1e-5, ksize=[1, *size, 1],
                 strides=[1, *strides, 1], padding=padding)


def matrices():
    case("BatchMatMulV3", "broadcast", [normal(2, 1, 3, 4), normal(5, 4, 2)], tolerance=1e-5,
         Tout=tf.float32)
    case("BatchMatMulV3", "adjoint", [normal(3, 4, 2), normal(5, 4)], tolerance=1e-5, adj_x=True,
         adj_y=True, Tout=tf.float32)
    for name, equation, shapes in [
        ("product", "ij,jk->ik", [(2, 3), (3, 4)]),
        ("transposed", "ij,kj->ik", [(2, 3), (4, 3)]),
        ("both_turned", "ji,kj->ki", [(3, 2), (4, 3)]),
        ("batch", "bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]),
        ("dense", "abc,cde->abde", [(2, 3, 4), (4, 5, 6)]),
        ("attention_scores", "aecd,abcd->acbe", [(2, 3, 4, 5), (2, 6, 4, 5)]),
        ("attention_values", "acbe,aecd->abcd", [(2, 4, 3, 5), (2, 5, 4, 6)]),
        ("heads_joined", "abcd,cde->abe", [(2, 3, 4, 5), (4, 5, 6)]),
        ("outer", "i,j->ij", [(3,), (4,)]),
        ("inner", "i,i->", [(5,), (5,)]),
        ("summed_apart", "ijk,kl->il", [(2, 3, 4), (4, 5)]),
        ("elementwise", "ij,ij->ij", [(2, 3), (2, 3)]),
        ("turned_output", "bij,bjk->kib", [(2, 3, 4), (2, 4, 5)]),
        ("ellipsis", "...ij,...jk->...ik", [(2, 3, 4), (2, 4, 5)]),
        ("ellipsis_broadcast", "...ij,...jk->...ik", [(6, 1, 3, 4), (2, 4, 5)]),
        ("ellipsis_in_one", "...i,ij->...j", [(2, 3, 4), (4, 5)]),
        ("transpose", "ijk->kij", [(2, 3, 4)]),
        ("sum", "ijk->ik", [(2, 3, 4)]),
        ("sum_of_all", "ij->", [(2, 3)]),
    ]:
        case("Einsum", name, [[normal(*shape) for shape in shapes]], tolerance=1e-5,
             equation=equation)
    for lower, upper in [(0, -1), (-1, 0), (1, 2), (0, 0)]:
        case("MatrixBandPart", f"{lower}_{upper}", [normal(2, 4, 5), i64(lower)[0], i64(upper)[0]])
    case("MatrixBandPart", "int32", [integers(-9, 9, 3, 3), i32(1)[0], i32(0)[0]])


def images():
    for name, attrs in [
        ("defaults", {}),
        ("inception", {"depth_radius": 2, "bias": 1.0, "alpha": 1e-1, "beta": 0.75}),
    ]:
        case("LRN", name, [normal(1, 3, 4, 17)], tolerance=1e-5, **attrs)
    sizes = [((4, 6), (8, 12)), ((5, 7), (9, 4)), ((6, 6), (3, 2)), ((3, 5), (3, 5)), ((2, 3), (1, 1))]
    for op, variants in [
        ("ResizeBicubic", [(False, False), (True, False), (False, True)]),
        ("ResizeArea", [(False, None), (True, None)]),
    ]:
        for align, half in variants:
            for (height, width), to in sizes:
                attrs = {} if half is None else {"half_pixel_centers": half}
                name = f"{height}x{width}_{to[0]}x{to[1]}" + "_aligned" * align + "_centers" * bool(half)
                case(op, name, [normal(2, height, width, 3), i32(*to)], tolerance=1e-5,
                     align_corners=align, **attrs)
    case("ResizeBicubic", "bytes", [integers(0, 256, 1, 4, 4, 2, dtype=np.uint8), i32(6, 8)],
         tolerance=1e-5)
    x, block = normal(1, 4, 6, 2), 2
    case("SpaceToBatch", "padded", [x, np.array([[0, 2], [1, 1]], np.int32)], block_size=block)
    case("BatchToSpace", "cropped", [normal(8, 2, 3, 2), np.array([[0, 1], [1, 0]], np.int32)],
         block_size=block)
    for name, activation, data_format, filter_format in [
        ("relu", "Relu", "NHWC", "HWIO"),
        ("none_oihw", "None", "NHWC", "OIHW"),
    ]:
        x, kernel, bias = normal(1, 5, 6, 3), normal(3, 3, 3, 4), normal(4)
        then = tf.nn.relu if activation == "Relu" else tf.identity
        y = run(lambda x, k, b: then(tf.nn.bias_add(tf.nn.conv2d(x, k, 2, "SAME"), b)),
                x, kernel, bias)
        stored = kernel if filter_format == "HWIO" else np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        attrs = {
            **window_attrs((2, 2), "SAME", (1, 1), data_format=data_format),
            "Tbias": {"type": "float32"},
            "filter_format": {"s": filter_format},
            "activation_mode": {"s": activation},
        }
        del attrs["explicit_paddings"]
        inputs = [x, stored, bias, np.zeros((0,), F32), F32(1), F32(0)]
        add(name, "FusedConv2DBiasActivation", attrs, inputs, [y], 1e-5)


def elements():
    wide = normal(4, 16)
    wide[1, 2:6] = [np.nan, np.inf, -np.inf, 0]
    for op in ("IsNan", "IsInf", "IsFinite"):
        case(op, "wide", [wide])
    case("TruncateDiv", "wide", [integers(-99, 99, 6, 8), integers(1, 9, 6, 8)])
    case("ScatterNd", "rows", [i32([4], [0], [2]), normal(3, 5), i32(6, 5)])
    case("ScatterNd", "points", [i64([1, 2], [3, 0]), normal(2, 4, 3), i64(4, 3, 4, 3)])
    case("GatherV2", "two_batch_dims",
         [normal(2, 3, 5, 4), integers(0, 5, 2, 3, 2), i32(2)[0]], batch_dims=2)
    case("Pad", "every_axis", [normal(2, 3, 4), np.array([[1, 0], [0, 2], [1, 1]], np.int32)])
    case("ClipByValue", "scalars", [normal(3, 4), F32(-0.5), F32(0.7)])
    case("ClipByValue", "int32", [integers(-9, 9, 3, 4), i32(-3)[0], i32(4)[0]])
    x = np.concatenate([normal(40) * 4, np.array([0, -6, 6, 7, -7], F32)])
    for name, attrs in [
        ("defaults", {}),
        ("narrow", {"narrow_range": True}),
        ("nudged", {"min": -1.0, "max": 3.3, "num_bits": 4}),
        ("positive", {"min": 0.0, "max": 6.0}),
    ]:
        case("FakeQuantWithMinMaxArgs", name, [x], tolerance=1e-5, **attrs)
    case("FakeQuantWithMinMaxVars", "plain", [x, F32(-2.1), F32(3.7)], tolerance=1e-5)
    case("FakeQuantWithMinMaxVarsPerChannel", "plain",
         [normal(5, 3) * 3, np.array([-1, -2.5, 0], F32), np.array([1, 2, 3.1], F32)], tolerance=1e-5)
    for name, attrs in [
        ("signed", {"range_given": True}),
        ("unsigned", {"range_given": True, "signed_input": False}),
        ("half_up", {"range_given": True, "round_mode": "HALF_UP"}),
        ("narrow", {"range_given": True, "narrow_range": True}),
    ]:
        for op in ("QuantizeAndDequantizeV2", "QuantizeAndDequantizeV4"):
            case(op, name, [x, F32(-2.5), F32(4.2)], tolerance=1e-5, **attrs)
        if "round_mode" not in attrs:
            case("QuantizeAndDequantizeV3", name, [x, F32(-2.5), F32(4.2), i32(6)[0]],
                 tolerance=1e-5, **attrs)


def main():
    start()
    for family in (volumes, matrices, images, elements):
        family()
    path = HERE / "segments.json"
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    path.write_text(f'{{"tensorflow":"{tf.__version__}","seed":{SEED},"cases":[\n{lines}\n]}}\n')
    ops = {case["op"] for case in cases}
    print(f"{len(cases)} cases of {len(ops)} ops, {path.stat().st_size} bytes: {path}")


if __name__ == "__main__":
    main()
