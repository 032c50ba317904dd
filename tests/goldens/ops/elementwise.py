"""Activations, functions of one or two inputs, comparisons, casts."""

import numpy as np
import tensorflow as tf

from .cases import F16, F32, F64, INF, NAN, add, case, i32, i64, integers, nchw, normal, run


def activations():
    edge = F32([-100, -20, -8, -1.5, -1, -1e-3, -0.0, 0.0, 1e-3, 0.5, 3, 6, 6.5, 20, 100,
                INF, -INF, NAN])
    for op in ["Relu", "Relu6", "Elu", "Selu", "Sigmoid", "Tanh", "Softplus", "Softsign"]:
        case(op, "edges", [edge])
        case(op, "random", [3 * normal(3, 7)])
        # TensorFlow rounds to half after every step, the kernel once.
        case(op, "half", [normal(9, dtype=F16)], tolerance=5e-3)
        case(op, "double", [normal(9, dtype=F64)])
        case(op, "empty", [F32([]).reshape(0, 3)])
    for dtype in [np.int32, np.int64, np.int8, np.uint8]:
        for op in ["Relu", "Relu6"]:
            case(op, np.dtype(dtype).name, [integers(0, 120, 5, dtype=dtype) - dtype(30)])
    case("LeakyRelu", "default", [edge])
    case("LeakyRelu", "alpha", [normal(2, 5)], alpha=0.05)
    case("LeakyRelu", "alpha_above_one", [edge], alpha=1.5)
    case("LeakyRelu", "half", [normal(8, dtype=F16)], alpha=0.1)
    case("LeakyRelu", "double", [normal(8, dtype=F64)], alpha=0.1)

    for name, x, alpha in [
        ("same_shape", normal(2, 3), normal(2, 3)),
        ("channels", normal(1, 3, 2, 4), normal(1, 1, 4)),
        ("scalar", normal(5), F32(0.25)),
    ]:
        y = run(lambda x, a: tf.where(x < 0, a * x, x), x, alpha)
        add(name, "Prelu", {"T": {"type": "float32"}}, [x, alpha], [y])


def unary():
    wide = F32([-1e30, -3.5, -2.5, -1.5, -1, -0.5, -1e-4, -0.0, 0, 1e-4, 0.5, 1, 1.5, 2.5, 3.5,
                1e30, INF, -INF, NAN])
    small = np.concatenate([np.linspace(-4, 4, 11), [1e-5, -1e-5]]).astype(F32)
    unit = np.concatenate([np.linspace(-1, 1, 9), [1e-5, 1.5]]).astype(F32)
    positive = F32([0, 1e-30, 1e-5, 0.3, 1, 2, 10, 1e20, INF, -1, NAN])
    above = F32([1, 1.0001, 1.5, 2, 100, 1e10, 0.5])
    inputs = {
        "Abs": wide, "Neg": wide, "Sign": wide, "Square": wide, "Ceil": wide, "Floor": wide,
        "Round": wide, "Rint": wide, "Reciprocal": wide, "Inv": wide,
        "IsFinite": wide, "IsInf": wide, "IsNan": wide,
        "Exp": np.concatenate([small, F32([-200, -80, 80, 200, INF, -INF, NAN])]),
        "Expm1": np.concatenate([small, F32([-80, 80, INF, -INF])]),
        "Log": positive, "Log1p": np.concatenate([positive, F32([-0.5, 1e-7])]),
        "Sqrt": positive, "Rsqrt": positive,
        "Sin": small, "Cos": small, "Tan": small, "Asin": unit, "Acos": unit,
        "Atan": wide, "Sinh": small, "Cosh": small, "Asinh": small, "Acosh": above,
        "Atanh": unit, "Erf": np.concatenate([small, F32([INF, -INF, 0.1, 0.84, 2.9])]),
    }
    finite = F64([-3.5, -0.5, 0, 0.5, 0.75, 1, 2])
    for op, x in inputs.items():
        case(op, "float", [x], tolerance=1e-5 if op in ("Tan",) else None)
        case(op, "double", [finite])
        if op != "Rint":
            case(op, "half", [finite.astype(F16)])
        case(op, "scalar", [F32(0.75) if op != "Acosh" else F32(1.75)])
        case(op, "empty", [np.zeros((2, 0), F32)])
    for op in ["Abs", "Neg", "Sign", "Square"]:
        case(op, "int32", [i32(-2**31, -46341, -1, 0, 7, 2**31 - 1)])
        case(op, "int64", [i64(-2**63, -1, 0, 7, 2**63 - 1)])


def binaries():
    pairs = {
        "scalar_right": (normal(2, 3), F32(1.5)),
        "scalar_left": (F32(-2.5), normal(4)),
        "rows": (normal(3, 4), normal(4)),
        "columns": (normal(3, 1), normal(1, 4)),
        "middle": (normal(2, 1, 3), normal(1, 4, 1)),
        "empty": (np.zeros((0, 3), F32), normal(1, 3)),
        "same": (normal(2, 5), normal(2, 5)),
        "edges": (F32([1, -1, 0, 0, INF, NAN, 1, -INF, 5.5, -5.5, 3]),
                  F32([0, 0, 0, 1, INF, 1, NAN, 2, -2, 2, INF])),
    }
    ops = ["Add", "AddV2", "Sub", "Mul", "Div", "RealDiv", "DivNoNan", "FloorDiv", "FloorMod",
           "Mod", "TruncateMod", "Minimum", "Maximum", "SquaredDifference", "Pow"]
    for op in ops:
        for name, (x, y) in pairs.items():
            if op == "Pow" and name != "edges":
                x = np.abs(x)
            case(op, name, [x, y])
        if op not in ("Mod", "TruncateMod"):
            case(op, "half", [np.abs(normal(6, dtype=F16)) + F16(0.25), normal(6, dtype=F16)])
        case(op, "double", [np.abs(normal(6, dtype=F64)), normal(6, dtype=F64)])
    large = i32(2**31 - 1, -2**31, 46341, -7, 7, -7, 7, 0)
    by = i32(1, 3, 46341, 2, -2, -2, 2, 5)
    for op in ["Add", "AddV2", "Sub", "Mul", "Minimum", "Maximum", "SquaredDifference", "Div",
               "FloorDiv", "FloorMod", "Mod", "TruncateMod", "TruncateDiv"]:
        case(op, "int32", [large, by])
        case(op, "int64", [large.astype(np.int64) * 2**31, by.astype(np.int64)])
        case(op, "int32_broadcast", [large, i32(3)])
    for op in ["Add", "AddV2", "Sub", "Mul", "Div", "Maximum", "TruncateDiv"]:
        case(op, "uint8", [np.uint8([250, 7, 0, 255]), np.uint8([10, 2, 3, 255])])
    for op in ["FloorDiv", "FloorMod"]:
        case(op, "int8", [np.int8([-128, -7, 7, 100]), np.int8([3, 2, -2, 7])])
    case("Pow", "int32", [i32(-2, 3, 0, 5, -1), i32(31, 40, 0, 2, 7)])
    case("Pow", "int64", [i64(-2, 3, 7), i64(63, 39, 0)])

    for value, bias in [((2, 3, 2, 4), 4), ((3, 5), 5), ((2, 1, 2, 2, 3), 3)]:
        case("BiasAdd", f"nhwc_{len(value)}d", [normal(*value), normal(bias)])
    case("BiasAdd", "nchw", [normal(2, 3, 2, 4), normal(3)], data_format="NCHW")
    case("BiasAdd", "int32", [integers(-9, 9, 2, 3), i32(1, 2, 3)])
    case("BiasAdd", "half", [normal(2, 3, dtype=F16), normal(3, dtype=F16)])
    case("AddN", "one", [[normal(3)]])
    case("AddN", "three", [[normal(2, 3) for _ in range(3)]])
    case("AddN", "eleven", [[normal(4) for _ in range(11)]])
    case("AddN", "int32", [[integers(-9, 9, 3) for _ in range(2)]])


def comparisons():
    x, y = F32([1, 2, NAN, -0.0, INF, 3]), F32([1, 3, NAN, 0.0, INF, 2])
    for op in ["Greater", "GreaterEqual", "Less", "LessEqual", "Equal", "NotEqual"]:
        case(op, "float", [x, y])
        case(op, "int32", [i32(1, 2, 3), i32(3, 2, 1)])
        case(op, "int64_broadcast", [i64(1, 2, 3).reshape(3, 1), i64(2, 3)])
        case(op, "uint8_scalar", [np.uint8([0, 128, 255]), np.uint8(128)])
        case(op, "half", [F16([1, 2]), F16([2, 1])])
        case(op, "empty", [np.zeros((0,), F32), F32(1)])
    for op in ["Equal", "NotEqual"]:
        case(op, "bool", [np.array([True, False, True]), np.array([[True], [False]])])
        case(op, "incompatible", [normal(2), normal(3)], incompatible_shape_error=False)
    flags = np.array([[True, False], [True, True]])
    for op in ["LogicalAnd", "LogicalOr"]:
        case(op, "same", [flags, ~flags])
        case(op, "broadcast", [flags, np.array([False, True])])
    case("LogicalNot", "flags", [flags])


def casts():
    values = F64([-300.7, -128.5, -1.5, -0.5, 0, 0.49, 1.5, 2.5, 127, 100.99])
    for source in ["float32", "float64", "float16"]:
        for target in ["float32", "float64", "float16", "int32", "int64", "bool"]:
            case("Cast", f"{source}_{target}", [values.astype(source)],
                 DstT=tf.dtypes.as_dtype(target))
        for target in ["int8", "uint8", "int16", "uint16", "uint32", "uint64"]:
            case("Cast", f"{source}_{target}", [np.abs(values[2:]).astype(source)],
                 DstT=tf.dtypes.as_dtype(target))
    whole = np.array([-2**63, -2**31 - 1, -129, -1, 0, 1, 255, 256, 65537, 2**24 + 1, 2**53 + 1,
                      2**63 - 1], np.int64)
    kinds = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool"]
    for source in kinds:
        given = whole.astype(source)
        for target in [*kinds, "float32", "float64"]:
            case("Cast", f"{source}_{target}", [given], DstT=tf.dtypes.as_dtype(target))
    case("Cast", "int32_float16", [i32(0, 1, 2049, 65504, 70000, -3)], DstT=tf.float16)
    case("Cast", "float_int32_outside", [F32([3e9, -3e9, NAN, INF])], DstT=tf.int32)
    case("Cast", "double_float16_twice_rounded", [F64([1 + 2**-11 + 2**-30, 1e-8, 65519.99])],
         DstT=tf.float16)
    case("Cast", "nan_to_bool", [F32([NAN, 0.0, -0.0, 1e-30])], DstT=tf.bool)


FAMILIES = [activations, unary, binaries, comparisons, casts]
