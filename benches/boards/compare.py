#!/usr/bin/env python3
"""Sets tfjet's estimates for Jetson boards beside what others measured there.

usage: compare.py --tfjet TFJET --work DIR --report docs/boards.md

Makes the networks of networks.py in DIR (TensorFlow 2), runs `tfjet plan --target BOARD --json` on
each, and writes the page. The factors of the estimate are tfjet's; the page also has what a new fit on
the rows that are marked `fitted` in published.toml would give.
"""
import argparse
import functools
import json
import math
import random
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
BYTES = {"fp32": 4, "fp16": 2, "int8": 1}
# Rows that are off by more than this factor are explained by EXPLANATIONS.
FAR = 1.5
EXPLANATIONS = [
    (("tf_to_trt_image_classification", "tf_trt_models"), "mobilenet",
     "Most likely the depthwise convolutions of the TensorRT of 2018: on the TX2 MobileNet v1 takes "
     "as long in 16 as in 32 bits, so it waits neither for arithmetic nor for memory, while a "
     "MobileNet v2 of a later TensorRT on AGX Xavier is near its estimate. Copies or a TensorFlow "
     "session add to the smallest networks most."),
    (("torch2trt",), "densenet",
     "These DenseNets are hardly faster on an AGX Xavier than on a Nano (DenseNet-201: 33.1 against "
     "39.4 ms), where the other networks are five to twelve times as fast. Something other "
     "than arithmetic and memory holds them up there; what, is not known."),
    (("tf_to_trt_image_classification",), "inception",
     "All rows of this source are above their estimate, by a fifth to a quarter in the middle: they "
     "have TensorRT 3 and copies in them. Small networks of many kernels stand out; more is not "
     "known."),
]
# Other ways to make the estimate, to be compared with the one in use.
VARIANTS = {
    "as in use, before rounding": {},
    "DenseNets of torch2trt fitted as well": {"densenets": True},
    "no Winograd": {"winograd": "nowhere"},
    "Winograd on CUDA cores only": {"winograd": "cuda"},
}


class Row:
    def __init__(self, source, network, ms):
        self.source = source
        self.network = network
        self.ms = ms
        self.fitted = source.get("fitted", False)
        self.unlike = source.get("unlike", False)

    def error(self):
        return self.estimate / self.ms - 1

    def distance(self):
        return abs(math.log(self.estimate / self.ms))


def published():
    rows = []
    for source in tomllib.loads((HERE / "published.toml").read_text())["source"]:
        rows += [Row(source, name, ms) for name, ms in source.get("times", {}).items()]
        rows += [Row(source, name, 1000 / rate) for name, rate in source.get("rates", {}).items()]
    return rows


def make_networks(work, rows):
    names = sorted({row.network for row in rows if not (work / f"{row.network}.pb").exists()})
    if names:
        print(f"boards: making {len(names)} networks", flush=True)
        command = [sys.executable, HERE / "networks.py", work, *names]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


@functools.cache
def plan(tfjet, model, target, mode, batch):
    """tfjet's estimate."""
    command = [tfjet, "plan", model, "--json", "--target", target, "--power-mode", mode]
    if batch > 1:
        # Square images, their size at the end of the name.
        size = model.stem.rsplit("_", 1)[1]
        command += ["--input", f"input={batch}x{size}x{size}x3"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(text)["board"]["estimate"]


def estimate(row, factors, winograd="everywhere"):
    """The roofline again, for other factors than tfjet's own."""
    board, precision = row.board, row.source["precision"]
    peak, tensor = board["peak"], board["tensor"] and precision != "fp32"
    total = 0.0
    for kernel in row.plan["kernels"]:
        product = "product" in kernel
        if tensor and product:
            flops = peak[precision] * factors["tensor_cores"]
        elif tensor:
            flops = peak["fp32"] * 4 / BYTES[precision] * factors["cuda_cores"]
        else:
            flops = peak[precision] * factors["cuda_cores"]
        uses = winograd == "everywhere" or winograd == "cuda" and not (tensor and product)
        saves = uses and kernel["winograd"] and precision != "int8"
        less = factors["winograd"] if saves else 1
        moved = (kernel["weights"] + kernel["elements"]) * BYTES[precision] + kernel["other_bytes"]
        arithmetic = kernel["flops"] / less / (flops * 1e9)
        memory = moved / (board["bandwidth"] * factors["bandwidth"] * 1e6)
        total += max(arithmetic, memory) + factors["launch_us"] / 1e3
    return total / row.plan["batch"]


@functools.cache
def board(tfjet, name, mode_name):
    """Peaks and bandwidth of a board in one of its modes."""
    command = [tfjet, "targets", name, "--json"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    target = json.loads(text)
    modes = target["power-modes"]
    mode = next(mode for mode in modes if mode["name"] == mode_name)
    share = lambda key: mode.get(key, 1) / modes[0].get(key, 1)
    return {
        "peak": {name: peak * share("gpu-mhz") * share("gpu-tpcs")
                 for name, peak in target["peak-tflops"].items()},
        "bandwidth": target["bandwidth-gb-s"] * share("memory-mhz"),
        "tensor": int(target["compute-capability"].split(".")[0]) >= 7,
    }


def fit(rows, start, winograd):
    """The four factors with the least mean distance, by random steps; Winograd's is arithmetic."""
    steps = random.Random(1)
    names = ["cuda_cores", "tensor_cores", "bandwidth", "launch_us"]

    def distance(factors):
        return statistics.fmean(abs(math.log(estimate(row, factors, winograd) / row.ms))
                                for row in rows)

    best, least, size = dict(start), distance(start), 0.3
    for step in range(800):
        moved = {name: best[name] * math.exp(steps.gauss(0, size)) for name in names
                 if steps.random() < 0.6}
        found = distance(best | moved)
        if found < least:
            best, least = best | moved, found
        elif step % 50 == 49:
            size *= 0.8
    return best


def variants(rows, start):
    """Each of VARIANTS, fitted: its factors and its median errors."""
    lines = ["| variant | CUDA cores | tensor cores | bandwidth | launch, µs "
             "| median error, fitted rows | median error, other rows |",
             "|---|---:|---:|---:|---:|---:|---:|"]
    for name, options in VARIANTS.items():
        winograd = options.get("winograd", "everywhere")

        def is_fitted(row):
            torch = row.source["name"] == "torch2trt"
            return row.fitted or torch and options.get("densenets", False)

        found = fit([row for row in rows if is_fitted(row)], start, winograd)
        errors = {True: [], False: []}
        for row in rows:
            error = abs(estimate(row, found, winograd) / row.ms - 1)
            errors[is_fitted(row)].append(100 * error)
        lines.append(f"| {name} | {found['cuda_cores']:.2f} | {found['tensor_cores']:.2f} "
                     f"| {found['bandwidth']:.2f} | {found['launch_us']:.0f} "
                     f"| {statistics.median(errors[True]):.0f} % "
                     f"| {statistics.median(errors[False]):.0f} % |")
    return "\n".join(lines)


def median(rows):
    return 100 * statistics.median(abs(row.error()) for row in rows)


def table(rows):
    lines = ["| board | network | precision | measured, ms | estimated, ms | off by | source |",
             "|---|---|---|---:|---:|---:|---|"]
    for row in rows:
        batch = row.source.get("batch", 1)
        name = row.network + (f", batch {batch}" if batch > 1 else "")
        lines.append(f"| {row.source['target']} | {name} | {row.source['precision']} | {row.ms:.2f} "
                     f"| {row.estimate:.2f} | {100 * row.error():+.0f} % | {row.source['name']} |")
    return "\n".join(lines)


def by_source(rows):
    lines = ["| board | precision | rows | median of the error's size | median error | source |",
             "|---|---|---:|---:|---:|---|"]
    groups = {}
    for row in rows:
        source = row.source
        key = (source["target"], source["precision"], source["name"], row.fitted)
        groups.setdefault(key, []).append(row)
    for (target, precision, name, fitted), group in groups.items():
        signed = 100 * statistics.median(row.error() for row in group)
        note = " (fitted)" if fitted else ""
        lines.append(f"| {target} | {precision} | {len(group)} | {median(group):.0f} % "
                     f"| {signed:+.0f} % | {name}{note} |")
    return "\n".join(lines)


def explanation(row):
    for sources, network, text in EXPLANATIONS:
        if row.source["name"] in sources and network in row.network:
            return text
    return None


def worst(rows):
    """The rows that are far off, under what explains them."""
    reasons = {}
    far = [row for row in rows if row.distance() > math.log(FAR)]
    for row in sorted(far, key=lambda row: -row.distance()):
        reasons.setdefault(explanation(row), []).append(row)
    lines = []
    for reason, group in reasons.items():
        names = ", ".join(f"{row.network} ({row.source['target']} {row.source['precision']}, "
                          f"{100 * row.error():+.0f} %)" for row in group)
        lines.append(f"- {names}. {reason or 'Not explained.'}")
    return "\n".join(lines), len(far)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tfjet", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    rows = published()
    make_networks(args.work, rows)
    for row in rows:
        source = row.source
        where = (source["target"], source["power-mode"])
        model = args.work / f"{row.network}.pb"
        row.plan = plan(args.tfjet, model, *where, source.get("batch", 1))
        row.board = board(args.tfjet, *where)
        frames = {frame["precision"]: frame["ms"] for frame in row.plan["frames"]}
        row.estimate = frames[row.source["precision"]] / row.plan["batch"]
        again = estimate(row, row.plan["factors"])
        if abs(again / row.estimate - 1) > 1e-3:
            sys.exit(f"boards: {row.network}: {again} ms here, {row.estimate} ms by tfjet")
    alike = [row for row in rows if not row.unlike]
    fitted = [row for row in alike if row.fitted]
    others = [row for row in alike if not row.fitted]
    reasons, far = worst(alike)
    page = (HERE / "page.md").read_text()
    factors = rows[0].plan["factors"]
    page = page.format(
        cuda_cores=f"{100 * factors['cuda_cores']:.0f} %",
        tensor_cores=f"{100 * factors['tensor_cores']:.0f} %",
        bandwidth=f"{100 * factors['bandwidth']:.0f} %",
        winograd=factors["winograd"],
        launch=f"{factors['launch_us']:.0f}",
        fitted=len(fitted), fitted_median=f"{median(fitted):.0f} %",
        others=len(others), others_median=f"{median(others):.0f} %",
        all=len(alike), all_median=f"{median(alike):.0f} %",
        within=sum(abs(row.error()) <= 0.25 for row in others),
        far=far, far_factor=FAR, reasons=reasons,
        by_source=by_source(alike), variants=variants(alike, factors),
        fitted_table=table(fitted), others_table=table(others),
        unlike_table=table([row for row in rows if row.unlike]),
        sources="\n".join(sources(rows)),
    )
    args.report.write_text(page)
    print(f"boards: {len(others)} rows that were not fitted, median error {median(others):.1f} %; "
          f"{len(fitted)} fitted, {median(fitted):.1f} %")


def sources(rows):
    seen = {}
    for row in rows:
        source = row.source
        line = f"- {source['name']}: {source['what']}; {source['from']}."
        seen.setdefault(line, None)
    return list(seen)


if __name__ == "__main__":
    main()
