"""Special functions, bits, bounds, grids of quantisation, checks."""

import numpy as np
import tensorflow as tf

from .cases import F16, F32, F64, INF, NAN, add, case, i32, i64, integers, normal, run


def special():
    wide = F32([-50.5, -3.7, -2, -1, -0.5, -0.0, 0, 1e-6, 0.25, 1, 1.5, 2, 7, 30, 1e4, INF, NAN])
    inside = F32([-1.5, -1, -0.999, -0.3, 0, 1e-5, 0.5, 0.9999, 1, NAN])
    unit = F32([-0.1, 0, 1e-20, 1e-3, 0.2, 0.5, 0.7, 0.999, 1, 1.1])
    for op, x in [("Erfc", wide), ("Lgamma", wide), ("Digamma", wide), ("Erfinv", inside),
                  ("Ndtri", unit)]:
        case(op, "float", [x], tolerance=1e-5 if op in ("Digamma", "Erfinv", "Ndtri") else None)
        case(op, "double", [F64([0.125, 0.25, 0.5, 0.75])], tolerance=1e-9)
        case(op, "empty", [np.zeros((0, 2), F32)])
    for op in ["Erfc", "Lgamma", "Digamma"]:
        case(op, "half", [F16([0.5, 1, 2.5])], tolerance=5e-3)
    x = F32([0, 0, 0, 0, 1, -2, 3, INF, NAN, 0])
    y = F32([0, 1, -1, NAN, 0, 3, -0.5, 2, 1, INF])
    for op in ["Atan2", "Xdivy", "Xlogy", "Xlog1py", "MulNoNan"]:
        case(op, "edges", [x, y])
        case(op, "broadcast", [normal(2, 1), np.abs(normal(3))])
        case(op, "double", [normal(4, dtype=F64), np.abs(normal(4, dtype=F64))])


def bits():
    for dtype in [np.int32, np.int64, np.uint8, np.int8, np.uint16]:
        x, y = integers(0, 127, 3, 4, dtype=dtype), integers(0, 127, 4, dtype=dtype)
        if np.dtype(dtype).kind == "i":
            x = x - dtype(60)
        name = np.dtype(dtype).name
        for op in ["BitwiseAnd", "BitwiseOr", "BitwiseXor"]:
            case(op, name, [x, y])
        case("Invert", name, [x])
        case("PopulationCount", name, [x])
        width = np.dtype(dtype).itemsize * 8
        by = np.array([0, 1, width - 1, width // 2], dtype)
        for op in ["LeftShift", "RightShift"]:
            case(op, name, [x, by])
    for op in ["LeftShift", "RightShift"]:
        case(op, "outside", [i32(-9, -9, 9, 9), i32(-1, 40, 33, -5)])
    case("Bitcast", "same", [normal(2, 3)], type="int32")
    case("Bitcast", "smaller", [i64(1, -2)], type="uint8")
    case("Bitcast", "larger", [np.uint8([[1, 2, 3, 4], [5, 6, 7, 8]])], type="float32")
    case("Bitcast", "half", [F16([1, -2, 3])], type="int16")


def bounds():
    x = F32([-3, -1, -0.5, 0, 0.5, 1, 4, INF, -INF, NAN])
    case("ClipByValue", "scalars", [x, F32(-1), F32(1)])
    case("ClipByValue", "full", [normal(2, 3), normal(2, 3) - 1, normal(2, 3) + 1])
    case("ClipByValue", "lower_full", [normal(2, 3), normal(2, 3), F32(3)])
    case("ClipByValue", "int32", [i32(-5, 0, 9), np.int32(-1), np.int32(4)])
    case("ClipByValue", "crossed", [F32([-3, 0, 3]), F32(1), F32(-1)])
    case("L2Loss", "matrix", [normal(3, 4)])
    case("L2Loss", "double", [normal(5, dtype=F64)])
    case("L2Loss", "empty", [np.zeros((0,), F32)])
    case("ApproximateEqual", "float", [F32([1, 2, NAN, INF]), F32([1.000001, 2.1, NAN, INF])])
    case("EuclideanNorm", "rows", [normal(3, 4), i32(1)], keep_dims=False)
    case("EuclideanNorm", "kept", [normal(3, 4, dtype=F64), i32(0)], keep_dims=True)
    for exclusive in [False, True]:
        for reverse in [False, True]:
            case("Cumprod", f"exclusive_{exclusive}_reverse_{reverse}",
                 [normal(2, 4, 3), np.int32(1)], exclusive=exclusive, reverse=reverse)
    case("Cumprod", "int32", [integers(-3, 4, 5), np.int32(0)])


def grids():
    x = np.concatenate([3 * normal(20), F32([0, 100, -100, 0.5, -0.5])])
    for bits in [2, 8, 16]:
        for narrow in [False, True]:
            name = f"{bits}_bits_{'narrow' if narrow else 'full'}"
            case("FakeQuantWithMinMaxArgs", name, [x], min=-1.5, max=2.0, num_bits=bits,
                 narrow_range=narrow)
            case("FakeQuantWithMinMaxVars", name, [x, F32(-0.7), F32(3.1)], num_bits=bits,
                 narrow_range=narrow)
    for name, low, high in [("above_zero", 0.5, 2.0), ("below_zero", -3.0, -1.0), ("none", 0, 0)]:
        case("FakeQuantWithMinMaxVars", name, [x, F32(low), F32(high)])
    case("FakeQuantWithMinMaxArgs", "default", [x])
    case("FakeQuantWithMinMaxVarsPerChannel", "matrix",
         [2 * normal(5, 3), F32([-1, 0, -2.5]), F32([1, 3, 0.1])])
    case("FakeQuantWithMinMaxVarsPerChannel", "vector", [normal(2), F32([-1, 0]), F32([0, 0])])

    for mode in ["HALF_TO_EVEN", "HALF_UP"]:
        for signed in [True, False]:
            for given in [True, False]:
                name = f"{mode.lower()}_{'signed' if signed else 'plain'}" + given * "_given"
                for op in ["QuantizeAndDequantizeV2", "QuantizeAndDequantizeV4"]:
                    case(op, name, [x, F32(-1.5), F32(2)], signed_input=signed, num_bits=5,
                         range_given=given, round_mode=mode, narrow_range=signed)
    case("QuantizeAndDequantizeV4", "axis_of_values", [normal(2, 3, 4), F32([0] * 3), F32([0] * 3)],
         axis=1)
    case("QuantizeAndDequantizeV2", "double", [normal(9, dtype=F64), F64(0), F64(0)])
    case("QuantizeAndDequantizeV3", "values", [x, F32(0), F32(0), np.int32(6)], range_given=False)
    case("QuantizeAndDequantizeV3", "given", [x, F32(-2), F32(1), np.int32(8)], range_given=True)
    case("QuantizeAndDequantizeV3", "axis", [normal(3, 2), F32([-1, -2]), F32([2, 1]), np.int32(4)],
         range_given=True, axis=1)
    # Graphs of today's version cannot hold the first version of the op.
    attrs = {"T": {"type": "float32"}, "signed_input": {"b": True}, "num_bits": {"i": 5},
             "range_given": {"b": True}, "input_min": {"f": -1.5}, "input_max": {"f": 2.0}}
    y = run(lambda x: tf.raw_ops.QuantizeAndDequantizeV2(
        input=x, input_min=-1.5, input_max=2.0, num_bits=5, range_given=True), x)
    add("given", "QuantizeAndDequantize", attrs, [x], [y])


def neighbours():
    case("LRN", "default", [normal(1, 2, 3, 14)], tolerance=1e-5)
    case("LRN", "alexnet", [normal(2, 2, 2, 8)], depth_radius=2, bias=1.0, alpha=2e-5, beta=0.75)
    case("LRN", "radius_zero", [normal(1, 1, 2, 3)], depth_radius=0)
    case("LRN", "half", [normal(1, 1, 2, 5, dtype=F16)], tolerance=5e-3)


def checks():
    case("Assert", "holds", [np.array(True), [F32([1, 2])]])
    case("EnsureShape", "known", [normal(2, 3)], shape=[2, 3])
    x = normal(3)
    for op in ["_CopyFromHostToGpu", "_CopyFromGpuToHost", "Print"]:
        add("same", op, {"T": {"type": "float32"}}, [x], [x])
    add("nothing", "NoOp", {}, [], [])
    add("nothing", "PrintV2", {}, [], [])


FAMILIES = [special, bits, bounds, grids, neighbours, checks]
