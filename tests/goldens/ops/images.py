"""Resizing and non-maximum suppression."""

import numpy as np

from .cases import F16, F32, F64, INF, NAN, case, i32, integers, normal, rng


def resizes():
    for op in ["ResizeBilinear", "ResizeNearestNeighbor"]:
        for size in [(3, 5), (8, 9), (1, 1), (4, 4), (2, 7)]:
            for mode in [{}, {"align_corners": True}, {"half_pixel_centers": True}]:
                name = f"{size[0]}x{size[1]}_{next(iter(mode), 'legacy')}"
                case(op, name, [normal(1, 4, 4, 2), i32(*size)], tolerance=1e-5, **mode)
        case(op, "uint8", [integers(0, 256, 2, 3, 2, 1, dtype=np.uint8), i32(5, 3)],
             tolerance=1e-5)
        case(op, "double", [normal(1, 3, 2, 1, dtype=F64), i32(5, 3)], tolerance=1e-5)
        case(op, "half", [normal(1, 3, 2, 1, dtype=F16), i32(5, 3)], tolerance=1e-5,
             half_pixel_centers=True)
        case(op, "int32", [integers(-99, 99, 1, 3, 2, 1), i32(2, 5)], tolerance=1e-5)


def suppressions():
    def boxes(count, spread=1.0):
        corner = rng.random((count, 2)) * spread
        return np.concatenate([corner, corner + rng.random((count, 2)) * 0.5], 1).astype(F32)

    crowd = boxes(40)
    crowd_scores = (integers(0, 12, 40) / 12).astype(F32)
    tied = F32([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1.1], [2, 2, 3, 3], [3, 3, 2, 2],
                [0, 0, 0, 0], [1, 1, 0, 0]])
    tied_scores = F32([0.5, 0.5, 0.5, 0.9, 0.9, 0.7, 0.5])
    half_boxes = F32([[0, 0, 2, 2], [0, 1, 2, 2], [0, 0, 2, 1]])
    sets = [("crowd", crowd, crowd_scores, 10, 0.4), ("tied", tied, tied_scores, 5, 0.5),
            ("at_threshold", half_boxes, F32([0.9, 0.8, 0.7]), 3, 0.5),
            ("none_wanted", tied, tied_scores, 0, 0.5),
            ("no_boxes", np.zeros((0, 4), F32), np.zeros((0,), F32), 3, 0.5),
            ("iou_zero", tied, tied_scores, 7, 0.0), ("iou_one", tied, tied_scores, 7, 1.0)]
    for name, box, score, limit, iou in sets:
        limit, iou = np.int32(limit), F32(iou)
        case("NonMaxSuppression", name, [box, score, limit], iou_threshold=float(iou))
        case("NonMaxSuppressionV2", name, [box, score, limit, iou])
        for threshold in [0.0, 0.5]:
            case("NonMaxSuppressionV3", f"{name}_{threshold}",
                 [box, score, limit, iou, F32(threshold)])
        for pad in [False, True]:
            case("NonMaxSuppressionV4", f"{name}_pad_{pad}", [box, score, limit, iou, F32(0.5)],
                 pad_to_max_output_size=pad)
            for sigma in [0.0, 0.5]:
                case("NonMaxSuppressionV5", f"{name}_pad_{pad}_sigma_{sigma}",
                     [box, score, limit, iou, F32(0.2), F32(sigma)], pad_to_max_output_size=pad)
    case("NonMaxSuppressionV5", "soft_negative_threshold",
         [tied, tied_scores, np.int32(7), F32(0.3), F32(-1), F32(0.1)])
    half = [crowd.astype(F16), crowd_scores.astype(F16), np.int32(9)]
    case("NonMaxSuppressionV3", "half", [*half, F16(0.4), F16(0.1)])
    case("NonMaxSuppressionV5", "half_soft", [*half, F16(0.4), F16(0.1), F16(0.5)])
    case("NonMaxSuppressionV2", "infinite_score",
         [tied, F32([-INF, 1, INF, 0, NAN, -1, 2]), np.int32(7), F32(0.5)])

    def combined(name, q, clip, pad, per_class, total, threshold, count=12, levels=None):
        box = np.stack([boxes(count, 1.2) for _ in range(2 * q)])
        box = np.ascontiguousarray(box.reshape(2, q, count, 4).transpose(0, 2, 1, 3)) - F32(0.1)
        # Equal scores, of which each level has many, come in the order of the C++ library.
        score = rng.permutation(2 * count * 3).reshape(2, count, 3)
        score = (score % (levels or score.size)).astype(F32) / F32(levels or score.size)
        case("CombinedNonMaxSuppression", name,
             [box, score, np.int32(per_class), np.int32(total), F32(0.3), F32(threshold)],
             pad_per_class=pad, clip_boxes=clip)

    combined("shared_boxes", 1, True, False, 4, 9, 0.1)
    combined("boxes_of_classes", 3, False, False, 3, 20, 0.4)
    combined("pad_per_class", 1, True, True, 2, 100, 0.2)
    combined("above_threshold_none", 1, True, False, 2, 4, 2.0)
    combined("per_class_above_boxes", 3, True, True, 50, 10, 0.0)
    combined("few_ties", 1, False, False, 4, 12, 0.1, count=5, levels=3)
    combined("ties", 1, False, False, 10, 12, 0.1, levels=4)
    combined("many_ties", 3, True, False, 20, 30, 0.1, count=60, levels=8)
    combined("all_tied", 1, True, False, 20, 30, -1.0, count=60, levels=1)


FAMILIES = [resizes, suppressions]
