"""Ops about which elements there are and where: unique ones, segments, scatters, diagonals."""

import numpy as np
import tensorflow as tf

from .cases import F32, F64, INF, NAN, case, i32, i64, integers, normal


def uniques():
    x = i32(4, 1, 4, 7, 1, 9)
    f = F32([0.0, -0.0, NAN, 1, NAN, INF, 1])
    for op in ["Unique", "UniqueWithCounts"]:
        case(op, "int32", [x])
        case(op, "float", [f])
        case(op, "int64_index", [i64(5, 5, -1)], out_idx=tf.int64)
        case(op, "empty", [np.zeros((0,), F32)])
    for op in ["UniqueV2", "UniqueWithCountsV2"]:
        case(op, "vector", [x, i64()])
        case(op, "rows", [i32([1, 2], [3, 4], [1, 2]), i64(0)])
        case(op, "columns", [i32([1, 2, 1], [3, 4, 3]), i64(1)])
        case(op, "cube", [integers(0, 2, 3, 4, 2), i64(1)])
    case("ListDiff", "int32", [i32(1, 2, 3, 4, 5, 2), i32(1, 3, 5)])
    case("ListDiff", "float", [F32([1.5, -0.0, 2]), F32([0.0])], out_idx=tf.int64)


def moves():
    x = normal(3, 4, 2)
    case("Roll", "rows", [x, np.int32(1), np.int32(0)])
    case("Roll", "both", [x, i32(-1, 9), i32(0, 1)])
    case("Roll", "same_axis", [integers(0, 9, 5, dtype=np.uint8), i64(1, 1, 2), i64(0, 0, 0)])
    case("Roll", "empty", [np.zeros((0, 2), F32), np.int32(1), np.int32(0)])
    case("ReverseSequence", "rows", [x, i32(4, 0, 2)], seq_dim=1, batch_dim=0)
    case("ReverseSequence", "columns", [normal(3, 4), i64(3, 1, 2, 0)], seq_dim=0, batch_dim=1)
    case("ReverseSequence", "apart", [normal(2, 3, 4, 2), i32(4, 2)], seq_dim=2, batch_dim=0)
    case("DataFormatDimMap", "back", [i32(-4, -3, -2, -1, 0, 1, 2, 3)])
    case("DataFormatDimMap", "nchw_nhwc", [i32([0, 1], [2, 3])],
         src_format="NCHW", dst_format="NHWC")
    case("SpaceToBatch", "padded", [normal(1, 3, 4, 2), i32([1, 0], [0, 2])], block_size=2)
    case("BatchToSpace", "cropped", [normal(4, 2, 3, 1), i32([1, 0], [0, 2])], block_size=2)
    case("Cross", "float", [normal(2, 3), normal(2, 3)])
    case("Cross", "int32", [integers(-5, 5, 3), integers(-5, 5, 3)])
    case("BroadcastArgs", "shapes", [i32(2, 1, 3), i32(4, 1)])
    case("BroadcastArgs", "scalar", [i64(), i64(4, 0)])
    case("Empty", "zeros", [i32(2, 3)], dtype=tf.int32, init=True)
    case("ConcatOffset", "three", [np.int32(1), [i32(2, 3, 5), i32(2, 7, 5), i32(2, 1, 5)]])
    case("GuaranteeConst", "same", [normal(2)])


def scatters():
    x = normal(4, 3)
    for op in ["TensorScatterUpdate", "TensorScatterAdd", "TensorScatterSub", "TensorScatterMax",
               "TensorScatterMin", "ScatterNdNonAliasingAdd"]:
        case(op, "rows", [x, i32([2], [0]), normal(2, 3)])
        case(op, "points", [x, i64([2, 1], [0, 0], [3, 2]), normal(3)])
        case(op, "twice", [i32(1, 2, 3), i32([1], [1]), i32(5, 7)])
        case(op, "none", [x, np.zeros((0, 1), np.int32), np.zeros((0, 3), F32)])
        case(op, "ignored", [i32(4, 5, 6), i32([1], [3], [-1], [0]), i32(9, 8, 7, -2)],
             bad_indices_policy="IGNORE")
    case("SparseToDense", "vector", [i32(1, 3), i32(5), F32([2, 4]), F32(-1)])
    case("SparseToDense", "matrix", [i64([0, 1], [1, 2]), i64(2, 3), np.int32(7), np.int32(0)])
    x, parts = normal(5, 2), i32(0, 2, 0, 1, 2)
    case("DynamicPartition", "rows", [x, parts], num_partitions=3)
    case("DynamicPartition", "scalars", [integers(0, 9, 2, 2), i32([1, 0], [1, 1])],
         num_partitions=4)
    for op in ["DynamicStitch", "ParallelDynamicStitch"]:
        case(op, "rows", [[i32(0, 3), i32([1, 2])], [normal(2, 2), normal(1, 2, 2)]])
        case(op, "scalar", [[np.int32(1), i32(0, 2)], [normal(), normal(2)]])


def segments():
    x, ids = normal(6, 2), i32(0, 0, 1, 3, 3, 3)
    for op in ["SegmentSum", "SegmentMean", "SegmentProd", "SegmentMax", "SegmentMin"]:
        case(op, "gap", [x, ids])
        case(op, "int32", [integers(-9, 9, 4), i64(0, 1, 1, 2)])
        case(op, "empty", [np.zeros((0, 2), F32), i32()])
    for op in ["UnsortedSegmentSum", "UnsortedSegmentProd", "UnsortedSegmentMax",
               "UnsortedSegmentMin"]:
        case(op, "gap", [x, i32(3, 0, -1, 0, 3, 1), np.int32(5)])
        case(op, "matrix", [normal(2, 2, 3), i64([1, 0], [1, 1]), np.int64(2)])
        case(op, "int32", [integers(-9, 9, 4), i32(1, 1, -2, 0), np.int32(3)])
        case(op, "nan", [F32([1, NAN, 2]), i32(0, 0, 1), np.int32(2)])
    case("Bincount", "counts", [i32(1, 5, 1, 0, 9), np.int32(6), i32()])
    case("Bincount", "weights", [i32(1, 1, 0), np.int32(3), F32([0.5, 2, 3])])
    case("DenseBincount", "rows", [i64([1, 1, 0], [2, 9, 2]), np.int64(3), F32([])])
    case("DenseBincount", "binary", [i32(1, 1, 3), np.int32(5), i32()], binary_output=True)
    case("DenseBincount", "weights", [i32([1, 1], [0, 2]), np.int32(3), F64([[1, 2], [3, 4]])])


def searches():
    table, values = F32([[1, 2, 2, 3], [0, 5, 5, 9]]), F32([[2, 0, 4], [5, 9, 10]])
    for op in ["LowerBound", "UpperBound"]:
        case(op, "float", [table, values])
        case(op, "int64", [i64([1, 3, 3]), i64([3, 4, 0])], out_type=tf.int64)
    case("Bucketize", "float", [F32([-5, 10, 150, 100, 5, 0, NAN])], boundaries=[0, 10, 100])
    case("Bucketize", "int32", [i32(-5, 0, 3)], boundaries=[0.0, 2.5])
    scores = F32([[0.1, 0.5, 0.5, 0.2], [1, 2, 3, 4], [INF, 0, 1, 2], [0, 1, 2, 3]])
    case("InTopK", "ties", [scores, i32(2, 0, 1, 7)], k=1)
    for k in [0, 1, 2, 3]:
        case("InTopKV2", f"{k}", [scores, i64(2, 1, 0, 3), np.int64(k)])


def diagonals():
    case("MatrixDiag", "vectors", [normal(2, 3)])
    case("MatrixDiagPart", "wide", [normal(2, 2, 4)])
    case("MatrixDiagPart", "tall", [integers(0, 9, 4, 3)])
    case("MatrixSetDiag", "wide", [normal(2, 2, 3), normal(2, 2)])
    case("MatrixDiagV2", "upper", [normal(2, 3), np.int32(1), np.int32(-1), np.int32(-1), F32(0)])
    case("MatrixDiagV2", "sized", [normal(3), np.int32(-1), np.int32(4), np.int32(5), F32(9)])
    case("MatrixDiagPartV2", "band", [normal(3, 4), i32(-1, 2), F32(-7)])
    case("MatrixSetDiagV2", "band", [normal(3, 4), normal(2, 3), i32(0, 1)])
    for align in ["LEFT_LEFT", "LEFT_RIGHT", "RIGHT_LEFT", "RIGHT_RIGHT"]:
        case("MatrixDiagV3", align.lower(),
             [normal(2, 3, 3), i32(-1, 1), np.int32(-1), np.int32(-1), F32(0.5)], align=align)
        case("MatrixDiagPartV3", align.lower(), [normal(2, 4, 3), i32(-2, 1), F32(0)], align=align)
        case("MatrixSetDiagV3", align.lower(), [normal(2, 4, 3), normal(2, 3, 3), i32(-1, 1)],
             align=align)
    case("MatrixDiagPartV3", "one", [normal(3, 4), np.int32(2), F32(0)])
    x = normal(2, 4, 5)
    for lower, upper in [(0, 0), (1, 2), (-1, 0), (0, -1), (-1, -1), (2, 4)]:
        case("MatrixBandPart", f"{lower}_{upper}", [x, np.int64(lower), np.int64(upper)])
    case("Diag", "vector", [normal(3)])
    case("Diag", "matrix", [integers(0, 9, 2, 3)])
    case("DiagPart", "matrix", [normal(3, 3)])
    case("DiagPart", "four", [normal(2, 3, 2, 3)])


FAMILIES = [uniques, moves, scatters, segments, searches, diagonals]
