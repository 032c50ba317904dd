"""Complex numbers and Fourier transforms."""

import numpy as np

from .cases import F32, INF, NAN, case, i32, i64, integers, normal

C64 = np.complex64
# Of the result's largest magnitude.
NEAR = 1e-6


def complex_normal(*shape):
    return (normal(*shape) + 1j * normal(*shape)).astype(C64)


def parts(real, imaginary):
    """Keeps the signs of zeros, which arithmetic would lose."""
    return np.stack([F32(real), F32(imaginary)], -1).view(C64)[..., 0]


# All signs of zero and infinity.
EDGES = [0.0, -0.0, 1.0, -1.0, INF, -INF, NAN]
PLANE = parts(*np.meshgrid(EDGES, EDGES, indexing="ij"))


def lines():
    for length in [1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 31, 37, 64, 90, 101, 128, 134, 160]:
        x = complex_normal(2, length)
        case("FFT", str(length), [x], tolerance=NEAR)
        case("IFFT", str(length), [x], tolerance=NEAR)
        case("RFFT", str(length), [normal(2, length), i32(length)], tolerance=NEAR)
        half = complex_normal(2, length // 2 + 1)
        case("IRFFT", str(length), [half, i32(length)], tolerance=NEAR)
    for op in ["FFT", "IFFT"]:
        case(op, "vector", [complex_normal(5)], tolerance=NEAR)
        case(op, "batches", [complex_normal(2, 1, 3, 4)], tolerance=NEAR)
        case(op, "no_rows", [np.zeros((0, 4), C64)])
        case(op, "no_points", [np.zeros((3, 0), C64)])
        case(op, "constant", [np.full((6,), 2 - 3j, C64)], tolerance=NEAR)
        case(op, "large", [1e30 * complex_normal(9)], tolerance=NEAR)
    case("RFFT", "vector", [normal(5), i32(5)], tolerance=NEAR)
    case("RFFT", "batches", [normal(2, 1, 3, 4), i32(4)], tolerance=NEAR)
    case("RFFT", "no_rows", [np.zeros((0, 4), F32), i32(4)])
    case("RFFT", "no_points", [np.zeros((3, 0), F32), i32(0)])
    for length in [1, 2, 5, 8, 9]:
        case("RFFT", f"cut_to_{length}", [normal(3, 10), i32(length)], tolerance=NEAR)
        case("IRFFT", f"cut_to_{length}", [complex_normal(3, 6), i32(length)], tolerance=NEAR)
    case("RFFT", "alternating", [F32([1, -1, 1, -1]), i32(4)])
    case("RFFT", "negative", [-np.ones(4, F32), i32(4)])
    case("IRFFT", "vector", [complex_normal(4), i32(6)], tolerance=NEAR)
    case("IRFFT", "batches", [complex_normal(2, 1, 3, 4), i32(7)], tolerance=NEAR)
    case("IRFFT", "no_rows", [np.zeros((0, 4), C64), i32(6)])
    # The imaginary parts at both ends take no part.
    case("IRFFT", "imaginary_ends", [parts([1, 2, 3], [9, -1, 5]), i32(4)], tolerance=NEAR)


def planes():
    for shape in [(4, 6), (3, 5), (1, 8), (7, 1), (2, 2)]:
        name = f"{shape[0]}x{shape[1]}"
        x = complex_normal(2, *shape)
        half = complex_normal(2, shape[0], shape[1] // 2 + 1)
        case("FFT2D", name, [x], tolerance=NEAR)
        case("IFFT2D", name, [x], tolerance=NEAR)
        case("RFFT2D", name, [normal(2, *shape), i32(*shape)], tolerance=NEAR)
        case("IRFFT2D", name, [half, i32(*shape)], tolerance=NEAR)
    case("RFFT2D", "cut", [normal(2, 5, 7), i32(3, 6)], tolerance=NEAR)
    case("IRFFT2D", "cut", [complex_normal(2, 5, 7), i32(4, 9)], tolerance=NEAR)
    case("FFT2D", "empty", [np.zeros((2, 0, 3), C64)])
    x = complex_normal(2, 3, 4, 5)
    case("FFT3D", "volume", [x], tolerance=NEAR)
    case("IFFT3D", "volume", [x], tolerance=NEAR)
    case("RFFT3D", "volume", [normal(2, 3, 4, 6), i32(3, 4, 6)], tolerance=NEAR)
    case("RFFT3D", "cut", [normal(4, 5, 7), i32(2, 3, 5)], tolerance=NEAR)
    case("IRFFT3D", "volume", [complex_normal(2, 3, 4, 4), i32(3, 4, 6)], tolerance=NEAR)
    case("IRFFT3D", "cut", [complex_normal(4, 5, 7), i32(3, 2, 8)], tolerance=NEAR)


def numbers():
    for op in ["Real", "Imag", "ComplexAbs", "Angle", "Conj"]:
        case(op, "plane", [PLANE])
        case(op, "normal", [complex_normal(2, 3)])
        case(op, "empty", [np.zeros((0, 2), C64)])
        case(op, "scalar", [C64(3 - 4j)])
    case("ComplexAbs", "extremes", [C64([3e38 + 1e38j, 1e-30 + 1e-30j, 1e-44, -2e20j])])
    case("Complex", "normal", [normal(2, 3), normal(2, 3)])
    case("Complex", "edges", [F32(EDGES), F32(EDGES)[:, None]])
    case("Complex", "scalar", [F32(2), normal(3)])
    case("Complex", "empty", [np.zeros((0, 1), F32), normal(3)])
    x, y = complex_normal(2, 1, 3), complex_normal(4, 3)
    for op in ["Add", "AddV2", "Sub", "Mul", "Div", "RealDiv"]:
        case(op, "complex", [x, y], tolerance=NEAR)
        case(op, "complex_scalar", [C64(1 + 2j), y], tolerance=NEAR)
        case(op, "complex_empty", [np.zeros((0, 3), C64), x[0]])
    case("AddN", "complex", [[complex_normal(2, 3) for _ in range(3)]], tolerance=NEAR)
    for op in ["Neg", "Square"]:
        case(op, "complex", [x], tolerance=NEAR)
    case("Neg", "complex_edges", [PLANE])
    for op in ["OnesLike", "ZerosLike"]:
        case(op, "complex", [x])
    case("Cast", "complex64_to_complex64", [x], DstT="complex64")
    for dtype in ["float32", "float64", "float16", "int32", "int64", "uint8", "bool"]:
        values = np.array([0, 1, 3, 100], dtype)
        case("Cast", f"{dtype}_to_complex64", [values], DstT="complex64")
        case("Cast", f"complex64_to_{dtype}", [C64([0, 1j, 2 - 3j, 7.5])], DstT=dtype)
    case("Bitcast", "of_complex", [x], type="float32")
    case("Bitcast", "to_complex", [normal(3, 2)], type="complex64")


def moved():
    x, y = complex_normal(2, 3, 4), complex_normal(2, 1, 4)
    case("Reshape", "complex", [x, i32(4, -1)])
    case("ExpandDims", "complex", [x, np.int32(1)])
    case("Squeeze", "complex", [y])
    case("Shape", "complex", [x])
    case("Size", "complex", [x])
    case("Identity", "complex", [x])
    case("Transpose", "complex", [x, i32(2, 0, 1)])
    case("ReverseV2", "complex", [x, i32(2)])
    case("Roll", "complex", [x, i32(1), i32(2)])
    case("Slice", "complex", [x, i32(0, 1, 1), i32(2, 2, -1)])
    case("StridedSlice", "complex", [x, i32(0, 0, 3), i32(2, 2, 0), i32(1, 1, -1)])
    case("ConcatV2", "complex", [[x, y], np.int32(1)])
    case("Pack", "complex", [[x, x + 1]], axis=1)
    case("Unpack", "complex", [x], num=3, axis=1)
    case("Split", "complex", [np.int32(2), x], num_split=2)
    case("SplitV", "complex", [x, i64(1, 2), np.int32(1)], num_split=2)
    case("GatherV2", "complex", [x, integers(0, 3, 5), np.int32(1)])
    case("GatherNd", "complex", [x, integers(0, 2, 3, 2)])
    case("Tile", "complex", [x, i32(1, 2, 1)])
    case("BroadcastTo", "complex", [y, i32(2, 3, 4)])
    case("Pad", "complex", [x, i32([1, 0], [0, 2], [1, 1])])
    case("PadV2", "complex", [x, i32([1, 0], [0, 2], [1, 1]), C64(1 - 1j)])
    case("MirrorPad", "complex", [x, i32([0, 0], [1, 1], [2, 0])], mode="REFLECT")
    case("Fill", "complex", [i32(2, 3), C64(1 + 2j)])
    case("SelectV2", "complex", [normal(2, 3, 1) > 0, x, y])


FAMILIES = [lines, planes, numbers, moved]
