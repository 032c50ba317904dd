"""Reductions, sums along an axis, softmax, the largest elements."""

import numpy as np
import tensorflow as tf

from .cases import F16, F32, F64, INF, NAN, add, case, i32, i64, integers, normal, run


def reductions():
    x = normal(2, 3, 4)
    axes = {"last": i32(-1), "first": i64(0), "two": i32(0, 2), "all": i32(0, 1, 2),
            "none": np.zeros((0,), np.int32), "scalar_axis": np.int32(1)}
    for op in ["Sum", "Mean", "Max", "Min", "Prod"]:
        for name, axis in axes.items():
            case(op, name, [x, axis], keep_dims=name in ("two", "last"), tolerance=1e-5)
        case(op, "double", [normal(3, 4, dtype=F64), i32(1)], tolerance=1e-12)
        case(op, "half", [normal(3, 4, dtype=F16), i32(1)], tolerance=5e-3)
        case(op, "int32", [integers(-9, 9, 3, 4), i32(1)])
        case(op, "int64", [integers(-9, 9, 3, 4, dtype=np.int64), i32(0)], keep_dims=True)
        case(op, "uint8", [integers(0, 20, 3, 4, dtype=np.uint8), i32(0)])
        case(op, "empty_dimension", [np.zeros((2, 0), F32), i32(1)])
        case(op, "empty_result", [np.zeros((0, 2), F32), i32(1)])
        case(op, "scalar", [F32(3), np.zeros((0,), np.int32)])
        case(op, "special", [F32([[1, NAN, 3], [INF, 1, 2], [-INF, -INF, -INF]]), i32(1)])
        case(op, "images", [normal(1, 4, 5, 3), i32(1, 2)], keep_dims=True, tolerance=1e-5)
    case("Mean", "int32_wide", [i32([-3, -4], [2**31 - 1, 2]), i32(1)])
    case("Mean", "int8", [np.int8([[100, 100], [-100, -101]]), i32(1)])
    case("Sum", "int32_wraps", [i32(2**31 - 1, 2), i32(0)])
    case("Max", "int_empty", [np.zeros((2, 0), np.int32), i32(1)])
    flags = np.array([[True, False, True], [True, True, True]])
    for op in ["All", "Any"]:
        case(op, "rows", [flags, i32(1)])
        case(op, "everything", [flags, i32(0, -1)], keep_dims=True)
        case(op, "empty", [np.zeros((2, 0), bool), i32(1)])
        case(op, "none", [flags, np.zeros((0,), np.int32)])
    for op in ["ArgMax", "ArgMin"]:
        case(op, "ties", [F32([[1, 3, 3, 1], [2, 2, 2, 2]]), np.int32(1)])
        case(op, "negative_axis", [x, np.int32(-2)])
        case(op, "first", [x, np.int64(0)], output_type=tf.int32)
        case(op, "nan", [F32([[1, NAN, 3], [NAN, 1, 2], [NAN, NAN, NAN]]), np.int32(1)])
        case(op, "infinite", [F32([[-INF, -INF], [INF, INF]]), np.int32(1)])
        case(op, "uint8", [np.uint8([0, 9, 0, 9]), np.int32(0)])
        case(op, "int32", [integers(-9, 9, 3, 4), np.int32(1)])
        case(op, "bool", [flags, np.int32(1)])


def softmaxes():
    for op in ["Softmax", "LogSoftmax"]:
        case(op, "rows", [3 * normal(3, 7)])
        case(op, "cube", [normal(2, 2, 5)])
        case(op, "vector", [normal(4)])
        case(op, "large", [F32([[1000, 1001, 999], [-1000, 0, 1000]])])
        case(op, "infinite", [F32([[-INF, 0, 1], [INF, 0, 1], [NAN, 0, 1]])])
        case(op, "half", [normal(2, 5, dtype=F16)])
        case(op, "double", [normal(2, 5, dtype=F64)])
        case(op, "empty", [np.zeros((0, 3), F32)])


def top_k():
    ties = F32([[1, 3, 3, 2, 3], [5, 5, 5, 5, 5]])
    for k in [0, 1, 2, 4, 5]:
        case("TopKV2", f"ties_{k}", [ties, np.int32(k)])
        # Graphs of today's version cannot hold the first version of the op.
        attrs = {"T": {"type": "float32"}, "k": {"i": k}, "sorted": {"b": True}}
        tops = run(lambda x: list(tf.raw_ops.TopKV2(input=x, k=k)), ties)
        add(f"ties_{k}", "TopK", attrs, [ties], tops)
    case("TopKV2", "long", [(integers(0, 40, 100) / 7).astype(F32), np.int32(30)])
    case("TopKV2", "int32", [integers(-5, 5, 2, 3, 6), np.int32(3)])
    case("TopKV2", "uint8", [np.uint8([0, 255, 128, 255]), np.int32(3)])
    case("TopKV2", "half", [normal(2, 5, dtype=F16), np.int32(2)])
    case("TopKV2", "infinite", [F32([-INF, 1, INF, -INF]), np.int32(4)])
    case("TopKV2", "int64_index", [ties, np.int64(2)], index_type=tf.int64)


def cumulative():
    x = normal(2, 4, 3)
    for exclusive in [False, True]:
        for reverse in [False, True]:
            name = f"exclusive_{exclusive}_reverse_{reverse}"
            case("Cumsum", name, [x, np.int32(1)], exclusive=exclusive, reverse=reverse)
    case("Cumsum", "last", [normal(3, 9), np.int64(-1)])
    case("Cumsum", "int32", [integers(-9, 9, 6), np.int32(0)], reverse=True)
    case("Cumsum", "half", [normal(6, dtype=F16), np.int32(0)])
    case("Cumsum", "empty", [np.zeros((0, 2), F32), np.int32(0)])


FAMILIES = [reductions, softmaxes, top_k, cumulative]
