"""Writes calibration_goldens.json: the ranges that other calibrators choose for given histograms.

    python tests/goldens/make_calibration_goldens.py [--modelopt WHEEL] [output file]

Needs onnxruntime 1.32, NumPy and SciPy. A histogram is of magnitudes, in at most 2,048 bins whose
width is a power of two, and ends with the bin of the largest magnitude, as tfjet's does. Its bins
stand in the file as they are, runs of equal ones as [count, number of bins].

"onnxruntime" is the end of the range, in bins, that HistogramCollector.get_entropy_threshold gives
for the mirrored histogram and 256 levels: ONNX Runtime's histograms are of signed values, so this is
a tensor whose values are as often positive as negative, with 128 levels for either side.
"percentiles" are the bins in which compute_percentile finds each percentage, for the histogram as it
is. "tensorrt" is the range in bins that NVIDIA's own toolkit chooses, `_compute_amax_entropy` of a
wheel of nvidia-modelopt (Apache-2.0, not installed, only this function of it is run), null where a
divergence on its way is no number, which it takes for the least; without --modelopt those of the present file are kept.
"""

import argparse
import ast
import contextlib
import io
import json
import types
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import onnxruntime
import scipy
from onnxruntime.quantization.calibrate import HistogramCollector
from scipy.stats import entropy

HERE = Path(__file__).parent
BINS = 2048
PERCENTAGES = [50.0, 90.0, 99.0, 99.9, 99.99, 99.999]
rng = np.random.default_rng(20261101)


def values():
    """Name and values of each case."""
    normal = rng.standard_normal
    yield "gaussian", normal(200_000)
    yield "gaussian_few", normal(500)
    yield "laplace", rng.laplace(0, 0.3, 200_000)
    yield "uniform", rng.uniform(-3, 3, 100_000)
    yield "relu", np.maximum(normal(200_000), 0)
    yield "relu6", np.clip(normal(100_000) * 4 + 1, 0, 6)
    yield "sparse_relu", np.maximum(normal(100_000) - 2, 0)
    yield "hard_swish", (lambda x: x * np.clip(x + 3, 0, 6) / 6)(normal(100_000) * 3)
    yield "sigmoid", 1 / (1 + np.exp(-4 * normal(100_000)))
    yield "long_tail", rng.standard_t(3, 200_000)
    yield "log_normal", rng.lognormal(0, 1.5, 100_000)
    yield "two_humps", np.concatenate([normal(50_000), normal(20_000) * 0.5 + 12])
    yield "far_hump", np.concatenate([np.abs(normal(80_000)) * 0.1, normal(100) * 0.2 + 30])
    yield "one_outlier", np.append(normal(100_000), 55.0)
    yield "ten_outliers", np.append(normal(100_000), np.linspace(20, 60, 10))
    yield "negative", -rng.exponential(2.0, 60_000)
    yield "constant", np.full(4_000, 3.25)
    yield "constant_with_zeros", np.append(np.zeros(1_000), np.full(50, 0.7))
    yield "three_values", np.array([0.1, -1.5, 7.0])
    yield "tiny_counts", normal(20)
    yield "pixels", rng.integers(0, 256, 150_528).astype(np.float64)
    yield "pixels_scaled", rng.integers(0, 256, 150_528) / 127.5 - 1
    yield "small", normal(50_000) * 1e-30
    yield "large", rng.laplace(0, 1, 50_000) * 1e30


def histogram(values):
    """Bins and their width."""
    magnitudes = np.abs(values.astype(np.float32))
    width = np.ldexp(1.0, int(np.frexp(magnitudes.max())[1]) - 11)
    places = np.floor(magnitudes.astype(np.float64) / width).astype(np.int64)
    assert places.max() < BINS
    return np.bincount(places), width


def cases():
    for name, data in values():
        yield name, *histogram(data)
    steps = np.arange(BINS)
    yield "many", (1e12 * np.exp(-steps / 200.0)).astype(np.int64) + 1, 2.0**-6
    yield "combs", np.where(steps % 16 == 3, 1000 + steps, 0)[: BINS - 12], 1.0


def mirrored_entropy(bins):
    both = np.concatenate([bins[::-1], bins]).astype(np.int64)
    edges = np.arange(-len(bins), len(bins) + 1).astype(np.float32)
    collector = HistogramCollector("entropy", True, len(both), 256, 99.99, "same")
    limit = np.float32(len(bins))
    chosen = collector.get_entropy_threshold((both, edges, -limit, limit), 256)
    return int(chosen[1])


def percentiles(bins):
    edges = np.arange(len(bins) + 1).astype(np.float32)
    limit = np.float32(len(bins))
    found = {}
    for percentage in PERCENTAGES:
        collector = HistogramCollector("percentile", True, len(bins), 128, percentage, "same")
        collector.histogram_dict = {"x": (bins, edges, -limit, limit)}
        with contextlib.redirect_stdout(io.StringIO()):
            found[str(percentage)] = int(collector.compute_percentile()["x"][1])
    return found


def nvidia(wheel):
    """NVIDIA's function and its version."""
    name = "modelopt/torch/quantization/calib/histogram.py"
    with zipfile.ZipFile(wheel) as archive:
        tree = ast.parse(archive.read(name))
    wanted = [
        node for node in tree.body if getattr(node, "name", "") == "_compute_amax_entropy"
    ]
    tensor = types.SimpleNamespace(tensor=lambda value: value)

    def checked(p, q):
        found = entropy(p, q)
        if np.isnan(found):
            raise FloatingPointError
        return found

    scope = {"np": np, "entropy": checked, "Counter": Counter, "torch": tensor}
    exec(compile(ast.Module(wanted, []), name, "exec"), scope)
    version = Path(wheel).name.split("-")[1]
    function = scope["_compute_amax_entropy"]

    def chosen(bins):
        with contextlib.suppress(FloatingPointError):
            return int(function(bins.copy(), np.arange(len(bins) + 1), 8, False))

    return chosen, version


def runs(bins):
    """Equal bins one after the other as [count, number of bins]."""
    changes = np.flatnonzero(np.diff(bins)) + 1
    parts = np.split(bins, changes)
    return [[int(part[0]), len(part)] if len(part) > 1 else int(part[0]) for part in parts]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--modelopt")
    parser.add_argument("output", nargs="?", default=HERE / "calibration_goldens.json")
    arguments = parser.parse_args()
    goldens = {
        "onnxruntime": onnxruntime.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "modelopt": None,
        "cases": [],
    }
    kept = {}
    if arguments.modelopt:
        tensorrt, goldens["modelopt"] = nvidia(arguments.modelopt)
    else:
        present = json.loads(Path(arguments.output).read_text())
        goldens["modelopt"] = present["modelopt"]
        kept = {case["name"]: case["tensorrt"] for case in present["cases"]}
    for name, bins, width in cases():
        case = {"name": name, "width": float(width), "bins": runs(bins)}
        case["onnxruntime"] = mirrored_entropy(bins)
        case["percentiles"] = percentiles(bins)
        case["tensorrt"] = tensorrt(bins) if arguments.modelopt else kept[name]
        print(name, len(bins), case["onnxruntime"], case["tensorrt"], flush=True)
        goldens["cases"].append(case)
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in goldens.pop("cases"))
    head = json.dumps(goldens)[:-1]
    Path(arguments.output).write_text(f'{head}, "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
