"""Crops, resizing by weights, colours."""

import numpy as np

from .cases import F32, F64, case, i32, integers, normal, rng


def crops():
    images = normal(2, 6, 5, 3)
    boxes = F32([[0, 0, 1, 1], [0.2, 0.1, 0.7, 0.9], [0.8, 0.9, 0.1, 0.2], [-0.3, 0, 1.4, 1],
                 [0.5, 0.5, 0.5, 0.5]])
    of = i32(0, 1, 1, 0, 1)
    for method in ["bilinear", "nearest"]:
        for size in [(3, 4), (1, 1), (7, 2)]:
            case("CropAndResize", f"{method}_{size[0]}x{size[1]}", [images, boxes, of, i32(*size)],
                 tolerance=1e-5, method=method, extrapolation_value=-1.5)
    case("CropAndResize", "uint8", [integers(0, 255, 1, 4, 4, 1, dtype=np.uint8), boxes[:2],
                                    i32(0, 0), i32(2, 2)], tolerance=1e-5)
    case("CropAndResize", "no_boxes", [images, np.zeros((0, 4), F32), i32(), i32(2, 2)])


def resizes():
    for op in ["ResizeBicubic", "ResizeArea"]:
        for size in [(3, 5), (8, 9), (1, 1), (4, 6), (2, 13)]:
            for mode in [{}, {"align_corners": True}, {"half_pixel_centers": True}]:
                if op == "ResizeArea" and "half_pixel_centers" in mode:
                    continue
                name = f"{size[0]}x{size[1]}_{next(iter(mode), 'legacy')}"
                case(op, name, [normal(2, 4, 6, 3), i32(*size)], tolerance=1e-5, **mode)
        case(op, "uint8", [integers(0, 255, 1, 5, 7, 1, dtype=np.uint8), i32(3, 4)],
             tolerance=1e-5)
        case(op, "four_channels", [normal(1, 3, 3, 4), i32(7, 5)], tolerance=1e-5)


def colours():
    x = rng.random((2, 3, 3)).astype(F32)
    x[0, 0] = [0.5, 0.5, 0.5]
    x[0, 1] = 0
    for op in ["RGBToHSV", "HSVToRGB"]:
        case(op, "float", [x], tolerance=1e-5)
        case(op, "double", [x.astype(F64)], tolerance=1e-9)
    for delta in [-0.7, 0.0, 0.3]:
        case("AdjustHue", f"{delta}", [x, F32(delta)], tolerance=1e-5)
    for scale in [0.0, 0.5, 3.0]:
        case("AdjustSaturation", f"{scale}", [x, F32(scale)], tolerance=1e-5)
        case("AdjustContrastv2", f"{scale}", [normal(2, 3, 4, 2), F32(scale)], tolerance=1e-5)


FAMILIES = [crops, resizes, colours]
