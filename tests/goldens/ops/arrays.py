"""Ops that make, join, cut and move tensors."""

import numpy as np
import tensorflow as tf

from .cases import F16, F32, F64, NAN, add, case, cases, i32, i64, integers, nchw, normal, run


def concats():
    a, b, c = normal(2, 3), normal(2, 1), normal(2, 0)
    case("ConcatV2", "last_axis", [[a, b, c], np.int32(-1)])
    case("ConcatV2", "first_axis", [[a, normal(1, 3)], np.int64(0)])
    case("ConcatV2", "middle_axis", [[normal(2, 1, 2), normal(2, 3, 2)], np.int32(1)])
    case("ConcatV2", "bool", [[np.array([True]), np.array([False, True])], np.int32(0)])
    case("ConcatV2", "half", [[normal(2, dtype=F16), normal(3, dtype=F16)], np.int32(0)])
    case("ConcatV2", "empty", [[np.zeros((0, 2), F32), np.zeros((0, 2), F32)], np.int32(0)])
    case("Concat", "axis_first", [np.int32(1), [a, b]])
    for axis in [0, 1, -1]:
        case("Pack", f"axis_{axis}", [[integers(0, 9, 3), integers(0, 9, 3)]], axis=axis)
    case("Pack", "scalars", [[np.int64(4), np.int64(5), np.int64(6)]])
    case("Pack", "middle", [[normal(2, 3), normal(2, 3)]], axis=1)
    case("Unpack", "first", [normal(3, 2)], num=3)
    case("Unpack", "last", [normal(2, 3)], num=3, axis=-1)
    case("Unpack", "scalars", [i64(7, 8)], num=2)
    case("Unpack", "empty_rows", [np.zeros((2, 0), F32)], num=2)
    case("Split", "equal", [np.int32(1), normal(2, 6)], num_split=3)
    case("Split", "negative_axis", [np.int32(-2), normal(4, 2, 3)], num_split=1)
    case("Split", "first", [np.int32(0), integers(0, 255, 4, 3, dtype=np.uint8)], num_split=2)
    case("SplitV", "rest", [normal(2, 7), i32(2, -1, 0), np.int32(1)], num_split=3)
    case("SplitV", "int64_sizes", [normal(5, 2), i64(1, 4), np.int32(0)], num_split=2)


def fills():
    case("Fill", "float", [i32(2, 3), F32(1.5)])
    case("Fill", "int64_dims", [i64(4), np.int64(-7)])
    case("Fill", "scalar", [np.zeros((0,), np.int32), np.array(True)])
    case("Fill", "empty", [i32(2, 0), F16(1)])
    for op in ["ZerosLike", "OnesLike"]:
        case(op, "float", [normal(2, 3)])
        case(op, "bool", [np.array([True, False])])
        case(op, "int64", [i64(3, 4)])
        case(op, "half", [normal(3, dtype=F16)])
    case("Range", "int32", [np.int32(3), np.int32(18), np.int32(4)])
    case("Range", "down", [np.int64(5), np.int64(-6), np.int64(-3)])
    case("Range", "empty", [np.int32(3), np.int32(3), np.int32(1)])
    case("Range", "float", [F32(0.1), F32(3), F32(0.3)])
    case("Range", "float_long", [F32(0), F32(1), F32(0.01)])
    case("Range", "float_down", [F32(1), F32(-1), F32(-0.25)])
    case("Range", "double", [F64(0.1), F64(1), F64(0.1)])
    case("LinSpace", "float", [F32(0.1), F32(1.3), np.int32(7)])
    case("LinSpace", "double", [F64(-1), F64(1), np.int64(4)])
    case("LinSpace", "one", [F32(2), F32(5), np.int32(1)])


def gathers():
    params = normal(4, 3)
    case("Gather", "rows", [params, i32(3, 0, 3)])
    case("Gather", "matrix_of_indices", [params, i64([1, 2], [0, 3])])
    case("GatherV2", "scalar", [params, np.int32(2), np.int32(0)])
    case("GatherV2", "columns", [params, i32(2, 0), np.int32(1)])
    case("GatherV2", "negative_axis", [normal(2, 3, 4), i64(1, 1), np.int32(-2)])
    case("GatherV2", "empty_indices", [params, np.zeros((0,), np.int32), np.int32(0)])
    case("GatherV2", "bool", [np.array([True, False]), i32(1, 1, 0), np.int32(0)])
    case("GatherV2", "batch", [normal(2, 5, 3), i32([4, 0], [1, 1]), np.int32(1)], batch_dims=1)
    case("GatherV2", "batch_inner", [normal(2, 3, 5), i32([4, 0], [1, 1]), np.int32(2)],
         batch_dims=1)
    case("GatherV2", "batch_negative", [normal(2, 3, 5), integers(0, 5, 2, 3, 2), np.int32(2)],
         batch_dims=-1)
    case("GatherNd", "points", [params, i32([0, 1], [3, 2])])
    case("GatherNd", "rows", [params, i64([[2]], [[0]])])
    case("GatherNd", "whole", [params, np.zeros((2, 0), np.int32)])
    case("GatherNd", "deep", [normal(2, 3, 4), i32([[0, 2], [1, 1]])])
    case("GatherNd", "ignored", [i32([1, 2, 3], [4, 5, 6]), i32([[1, 2]], [[2, 0]], [[0, -1]])],
         bad_indices_policy="IGNORE")
    case("GatherNd", "ignored_rows", [i64([7, 8], [9, 10]), i64([5], [1])],
         bad_indices_policy="IGNORE")
    case("ScatterNd", "rows", [i32([1], [3]), normal(2, 3), i32(4, 3)])
    case("ScatterNd", "duplicates", [i32([1], [1], [0]), F32([2, 3, 5]), i32(3)])
    case("ScatterNd", "points", [i64([0, 1], [2, 0]), i64(7, 8), i64(3, 2)])
    case("ScatterNd", "empty", [np.zeros((0, 1), np.int32), np.zeros((0,), F32), i32(3)])
    case("ScatterNd", "ignored", [i32([1], [4], [-1], [1]), i32([1, 2], [3, 4], [5, 6], [7, 8]),
                                  i32(3, 2)], bad_indices_policy="IGNORE")
    case("OneHot", "last", [i32(0, 2, -1, 5), np.int32(3), F32(1), F32(0)])
    case("OneHot", "first", [i64([0, 1], [2, 0]), np.int32(3), F32(5), F32(-1)], axis=0)
    case("OneHot", "middle", [i64([0, 1], [2, 0]), np.int32(3), np.int32(1), np.int32(0)], axis=1)
    case("OneHot", "uint8", [np.uint8([1, 0]), np.int32(2), np.array(True), np.array(False)])
    case("OneHot", "zero_depth", [i32(0, 1), np.int32(0), F32(1), F32(0)])


def pads():
    x = normal(2, 3)
    case("Pad", "both", [x, i32([1, 2], [0, 3])])
    case("Pad", "int64", [x, i64([0, 0], [1, 0])])
    case("Pad", "bool", [np.array([True, True]), i32([1, 1])])
    case("Pad", "scalar", [F32(3), np.zeros((0, 2), np.int32)])
    case("Pad", "from_empty", [np.zeros((0, 2), F32), i32([1, 1], [0, 0])])
    case("Pad", "image", [normal(1, 2, 3, 2), i32([0, 0], [1, 1], [2, 1], [0, 0])])
    case("PadV2", "value", [x, i32([1, 0], [0, 1]), F32(-7)])
    case("PadV2", "int64_type", [i64(1, 2), i32([2, 1]), np.int64(9)])
    for mode, most in [("REFLECT", 2), ("SYMMETRIC", 3)]:
        case("MirrorPad", mode.lower(), [normal(4, 3), i32([1, 3], [most, 1])], mode=mode)
        case("MirrorPad", f"{mode.lower()}_image",
             [normal(1, 3, 2, 2), i64([0, 0], [1, 2], [1, 1], [0, 0])], mode=mode)
        case("MirrorPad", f"{mode.lower()}_vector", [i32(1, 2, 3), i32([0, 2])], mode=mode)


def reshapes():
    x = normal(2, 6)
    case("Reshape", "infer", [x, i32(3, -1)])
    case("Reshape", "flat", [x, i64(12)])
    case("Reshape", "scalar", [normal(1, 1), np.zeros((0,), np.int32)])
    case("Reshape", "empty", [np.zeros((0, 4), F32), i32(2, 0, 3)])
    case("Reshape", "empty_infer", [np.zeros((0, 4), F32), i32(-1, 2)])
    case("Squeeze", "all", [normal(1, 2, 1, 3, 1)])
    case("Squeeze", "some", [normal(1, 2, 1, 3, 1)], squeeze_dims=[0, -1])
    case("ExpandDims", "first", [x, np.int32(0)])
    case("ExpandDims", "last", [x, np.int64(-1)])
    case("ExpandDims", "vector_axis", [x, i32(1)])
    case("Shape", "int32", [x])
    case("Shape", "int64", [normal(2, 0, 3)], out_type=tf.int64)
    case("Shape", "scalar", [F32(1)])
    case("ShapeN", "two", [[x, x[0]]])
    case("Size", "int32", [x])
    case("Size", "int64", [F32(1)], out_type=tf.int64)
    case("Rank", "matrix", [x])
    for op in ["Identity", "Snapshot", "StopGradient", "PreventGradient"]:
        case(op, "float", [x])
        case(op, "int64", [i64(3)])
    case("Identity", "bool", [np.array([True, False])])
    case("IdentityN", "mixed", [[x, i32(1, 2), np.array(True)]])
    case("CheckNumerics", "finite", [x], message="all fine")


def selects():
    a, b = normal(3, 2), normal(3, 2)
    case("Select", "same", [np.array([[True, False]] * 3), a, b])
    case("Select", "rows", [np.array([True, False, True]), a, b])
    case("Select", "scalar", [np.array(False), a, b])
    case("Select", "int64", [np.array([True, False]), i64(1, 2), i64(3, 4)])
    case("SelectV2", "broadcast", [np.array([[True], [False], [True]]), a, F32(7)])
    case("SelectV2", "wider_condition", [np.array([[True, False]] * 2), F32(1), F32([2, 3])])
    case("SelectV2", "bool", [np.array(True), np.array([True, False]), np.array(False)])
    case("SelectV2", "empty", [np.zeros((0, 1), bool), F32(1), F32([2, 3])])
    case("Where", "matrix", [np.array([[True, False, True], [False, True, False]])])
    case("Where", "none", [np.zeros((2, 2), bool)])
    case("Where", "cube", [integers(0, 2, 2, 3, 2)])
    case("Where", "float", [F32([0, NAN, -0.0, 2])])


def slices():
    x = normal(3, 4, 5)
    case("Slice", "inner", [x, i32(1, 0, 2), i32(2, 3, 2)])
    case("Slice", "rest", [x, i64(0, 2, 1), i64(-1, 1, -1)])
    case("Slice", "empty", [x, i32(3, 0, 0), i32(0, 4, 5)])
    case("Slice", "scalar", [F32(1), np.zeros((0,), np.int32), np.zeros((0,), np.int32)])
    case("Slice", "uint8", [np.uint8([1, 2, 3]), i32(1), i32(2)])

    def strided(name, x, starts, ends, steps, dtype=np.int32, **masks):
        arrays = [np.array(values, dtype) for values in (starts, ends, steps)]
        case("StridedSlice", name, [x, *arrays], **{f"{key}_mask": m for key, m in masks.items()})

    strided("plain", x, [0, 1, 1], [2, 4, 5], [1, 2, 3])
    strided("negative_bounds", x, [-2, -3, -4], [-1, -1, -1], [1, 1, 1])
    strided("backwards", x, [2, 3, 4], [0, 0, 0], [-1, -2, -3])
    strided("backwards_whole", x, [0, 0, 0], [0, 0, 0], [-1, -1, -1], begin=7, end=7)
    strided("begin_mask", x, [2, 2, 2], [3, 3, 3], [1, 1, 1], begin=5)
    strided("end_mask", x, [1, 1, 1], [2, 2, 2], [1, 1, 1], end=3)
    strided("clamped", x, [-9, 1, 2], [9, 99, -99], [1, 1, -1])
    strided("empty", x, [2, 0, 0], [1, 4, 5], [1, 1, 1])
    strided("fewer", x, [1], [3], [1], dtype=np.int64)
    strided("shrink", x, [1, -1, 0], [2, 0, 5], [1, 1, 1], shrink_axis=3)
    strided("shrink_ignores_begin_mask", x, [1, 0, 0], [2, 4, 5], [1, 1, 1], shrink_axis=1, begin=1)
    strided("shrink_everything", x, [1, 2, 3], [2, 3, 4], [1, 1, 1], shrink_axis=7)
    strided("ellipsis", x, [0, 1], [0, 3], [1, 1], ellipsis=1)
    strided("ellipsis_middle", x, [1, 0, 2], [2, 0, 4], [1, 1, 1], ellipsis=2)
    strided("ellipsis_of_nothing", x, [0, 0, 1, 1], [2, 0, 3, 4], [1, 1, 1, 1], ellipsis=2)
    strided("ellipsis_last", x, [1, 0], [2, 0], [1, 1], ellipsis=2, shrink_axis=1)
    strided("new_axis", x, [0, 0, 1], [0, 2, 3], [1, 1, 1], new_axis=1)
    strided("new_axis_after_ellipsis", x, [0, 0, 1], [0, 0, 3], [1, 1, 1], ellipsis=1, new_axis=2)
    strided("new_axis_wins_over_shrink", x, [0, 1], [0, 2], [1, 1], new_axis=1, shrink_axis=1)
    strided("everything", x, [0, 0, 0, 3], [1, 0, 0, 0], [1, 1, 1, -2], new_axis=2, ellipsis=4,
            shrink_axis=1, end=8)
    strided("scalar", F32(4), [], [], [])
    strided("scalar_new_axis", F32(4), [0], [0], [1], new_axis=1)
    strided("vector_last", i32(5, 6, 7), [-1], [0], [1], shrink_axis=1)
    strided("bool", np.array([True, False, True]), [2], [-9], [-2])
    strided("half_step", normal(6, dtype=F16), [0], [6], [4])


def tiles():
    case("Tile", "matrix", [normal(2, 3), i32(2, 3)])
    case("Tile", "int64", [i32(1, 2, 3), i64(2)])
    case("Tile", "none", [normal(2, 3), i32(1, 0)])
    case("Tile", "cube", [normal(1, 2, 2), i32(3, 1, 2)])
    case("Tile", "scalar", [F32(1), np.zeros((0,), np.int32)])
    case("Tile", "bool", [np.array([[True], [False]]), i32(1, 3)])
    case("BroadcastTo", "rows", [normal(3), i32(2, 3)])
    case("BroadcastTo", "columns", [normal(2, 1), i64(2, 3)])
    case("BroadcastTo", "scalar", [np.int64(4), i32(2, 2)])
    case("BroadcastTo", "empty", [normal(1, 3), i32(0, 3)])


def transposes():
    case("Transpose", "matrix", [normal(2, 3), i32(1, 0)])
    case("Transpose", "to_nchw", [normal(2, 3, 4, 2), i64(0, 3, 1, 2)])
    case("Transpose", "to_nhwc", [normal(2, 3, 2, 4), i32(0, 2, 3, 1)])
    case("Transpose", "reversed", [integers(0, 99, 2, 3, 4, dtype=np.uint8), i32(2, 1, 0)])
    case("Transpose", "identity", [normal(2, 3), i32(0, 1)])
    case("Transpose", "negative", [normal(2, 3, 1), i32(-1, 0, 1)])
    case("Transpose", "scalar", [F32(1), np.zeros((0,), np.int32)])
    case("Transpose", "empty", [np.zeros((2, 0, 3), F32), i32(2, 1, 0)])
    case("Transpose", "six", [normal(2, 1, 2, 3, 2, 2), i32(5, 0, 3, 1, 4, 2)])
    case("Transpose", "double", [normal(3, 2, dtype=F64), i32(1, 0)])
    case("DataFormatVecPermute", "four", [i32(7, 4, 9, 3)])
    case("DataFormatVecPermute", "back", [i64(7, 4, 9, 3)], src_format="NCHW", dst_format="NHWC")
    case("DataFormatVecPermute", "spatial", [i32(5, 6)])
    case("DataFormatVecPermute", "spatial_swapped", [i32(5, 6)], src_format="NHWC",
         dst_format="NCWH")
    case("DataFormatVecPermute", "paddings", [i32([1, 2], [3, 4], [5, 6], [7, 8])])
    case("InvertPermutation", "int32", [i32(3, 4, 0, 2, 1)])
    case("InvertPermutation", "int64", [i64(1, 0)])
    case("ReverseV2", "last", [normal(2, 3), i32(-1)])
    case("ReverseV2", "both", [normal(2, 3, 2), i64(0, 1)])
    case("ReverseV2", "none", [normal(2, 3), np.zeros((0,), np.int32)])
    case("ReverseV2", "empty", [np.zeros((2, 0), F32), i32(0, 1)])
    case("Reverse", "flags", [normal(2, 3, 2), np.array([True, False, True])])


def space_to_batch():
    case("SpaceToBatchND", "even", [normal(1, 4, 4, 2), i32(2, 2), i32([0, 0], [0, 0])])
    case("SpaceToBatchND", "padded", [normal(2, 3, 4, 1), i32(2, 3), i32([1, 0], [2, 3])])
    case("SpaceToBatchND", "one_dimension", [normal(2, 6, 3), i64(3), i64([1, 2])])
    case("SpaceToBatchND", "more_padding_than_block", [normal(1, 2, 1), i32(2), i32([3, 1])])
    case("BatchToSpaceND", "even", [normal(4, 2, 2, 2), i32(2, 2), i32([0, 0], [0, 0])])
    case("BatchToSpaceND", "cropped", [normal(6, 3, 2, 1), i32(2, 3), i32([1, 0], [1, 2])])
    case("BatchToSpaceND", "one_dimension", [normal(6, 4, 2), i64(3), i64([2, 3])])
    for op, shape, block in [("SpaceToDepth", (1, 4, 6, 2), 2), ("SpaceToDepth", (2, 3, 6, 1), 3),
                             ("DepthToSpace", (1, 2, 3, 8), 2), ("DepthToSpace", (2, 1, 2, 9), 3)]:
        x = normal(*shape)
        case(op, f"block_{block}", [x], block_size=block)
        y = run(lambda a: getattr(tf.raw_ops, op)(input=a, block_size=block), x)
        add(f"block_{block}_nchw", op, dict(cases[-1]["attrs"], data_format={"s": "NCHW"}),
            [nchw(x)], [nchw(y)])


FAMILIES = [concats, fills, gathers, pads, reshapes, selects, slices, tiles, transposes, space_to_batch]
