#!/usr/bin/env python3
"""Measures what FP16 and INT8 cost in accuracy with tfjet, and writes docs/accuracy-report.md.

usage: accuracy_report.py --bin DIR --cache DIR --out DIR --report FILE [--python-tf2onnx PYTHON]
                          [--only NAME]... [--keep]

`make accuracy` calls it, with images and trained networks in --out. NAME is efficientnet, shapes,
centernet or peers; without all of them no page is written. --keep takes results of an earlier run
that are still there. Every number of the page is read out of what `tfjet accuracy --json` printed.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
METHODS = ["entropy", "mse", "percentile:99.99", "min-max"]
# What the mixed precision may lose on the images that it is chosen with, in percent: less than it may
# on those that it is measured with.
EFFICIENTNET_DROP = "1"
SHAPES_DROP = "0.1"
CENTERNET_DROP = "4"
NAMES = ["efficientnet", "shapes", "centernet", "peers"]
SHAPES_TASK = ["--mean", "127.5", "--scale", "0.007843137255", "--decoder", "classify"]
SHAPES_TASK += ["--decode-output", "probabilities", "--resize", "stretch", "--filter", "nearest"]
LABELLED = ["--labels-from-names", "*_{class}"]


class Failed(Exception):
    """A command failed; the message is its last line."""


def percent(part, whole):
    return 100 * part / whole if whole else 0.0


class Runs:
    """Programs, and what they printed."""

    def __init__(self, args):
        self.args = args
        self.results = args.out / "results"
        self.work = args.out / "bundles"
        self.results.mkdir(parents=True, exist_ok=True)
        self.work.mkdir(parents=True, exist_ok=True)

    def kept(self, name, make):
        """The JSON that `make` gives, or gave before."""
        file = self.results / f"{name.replace(':', '-')}.json"
        if not (self.args.keep and file.exists()):
            begin = time.time()
            file.write_text(json.dumps(make(), indent=1) + "\n")
            print(f"accuracy: {name}, {time.time() - begin:.0f} s", flush=True)
        return json.loads(file.read_text())

    def run(self, *argv):
        argv = [str(arg) for arg in argv]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = [line for line in done.stderr.replace("\r", "\n").splitlines() if line.strip()]
            raise Failed(f"{' '.join(argv[:3])}: {lines[-1] if lines else done.returncode}")
        return done.stdout

    def bundle(self, name):
        return self.work / f"{name.replace(':', '-')}.jet"

    def convert(self, name, model, *flags):
        """Writes a bundle; what its report says of precision."""

        def make():
            command = [self.args.bin / "tfjet", "convert", model, "-o", self.bundle(name), "--json"]
            return json.loads(self.run(*command, *flags))["precision"]

        return self.kept(f"convert-{name}", make)

    def calibrate(self, name, model, folder, method, *flags):
        table = self.work / f"{name.replace(':', '-')}.calibration"

        def make():
            command = [self.args.bin / "tfjet", "calibrate", model, "--images", folder, "-o", table]
            return json.loads(self.run(*command, "--method", method, "--json", *flags))

        self.kept(f"calibrate-{name}", make)
        return table

    def accuracy(self, name, model, folder, *flags, of=None):
        def make():
            command = [self.args.bin / "tfjet", "accuracy", model, "--bundle", self.bundle(of or name)]
            command += ["--images", folder, "--json", "--layer-samples", "16", *flags]
            full = json.loads(self.run(*command))
            worst = [
                {key: layer.get(key) for key in ("layer", "tensor", "precision", "sqnr_db")}
                for layer in full.get("layers", [])[:5]
            ]
            outputs = [
                {key: output.get(key) for key in ("name", "min", "max", "mean", "sqnr_db")}
                for output in full["outputs"]
            ]
            short = {key: full.get(key) for key in ("numbers", "samples", "classes", "detections")}
            return {**short, "outputs": outputs, "worst": worst, "warnings": full["warnings"]}

        return self.kept(f"accuracy-{name}", make)


def counts(result):
    """(right of FP32, right of ours, samples) of a labelled run."""
    truth = result["classes"]["truth"]
    rows = truth["rows"]
    return round(truth["reference_top1"] * rows / 100), round(truth["top1"] * rows / 100), rows


def layers_text(precision):
    kept = precision.get("kept", [])
    return f"{precision.get('int8', 0)} INT8, {len(kept)} FP16"


def bundles_of(runs, short, model, folder, chosen, *task):
    """(title, name, flags) of FP16, of INT8 by each method, and of the mixed precision.

    `folder` is calibrated on; `chosen` has the method of the mixed precision and its flags."""
    bundles = [("FP16", f"{short}-fp16", ["--precision", "fp16"])]
    tables = {}
    for method in METHODS:
        name = f"{short}-{method}"
        tables[method] = runs.calibrate(name, model, folder, method, *task)
        flags = ["--precision", "int8", "--calibration", tables[method]]
        bundles.append((f"INT8, {method}", name, flags))
    method, flags = chosen
    flags = ["--precision", "int8", "--calibration", tables[method], *flags]
    bundles.append((f"mixed, chosen by tfjet, {method}", f"{short}-mixed", flags))
    return bundles


def efficientnet(runs):
    model = runs.args.cache / "efficientnet-lite0/efficientnet_lite0.pb"
    images = runs.args.out / "images"
    folder = images / "calibration"
    chosen = ["--max-accuracy-drop", EFFICIENTNET_DROP, "--evaluate", folder]
    rows = []
    for title, name, flags in bundles_of(runs, "effnet", model, folder, ("mse", chosen)):
        precision = runs.convert(name, model, *flags)
        labelled = runs.accuracy(f"{name}-labelled", model, images / "labelled", *LABELLED, of=name)
        unlabelled = runs.accuracy(f"{name}-unlabelled", model, images / "unlabelled", of=name)
        rows.append((title, name, precision, labelled, unlabelled))
    return rows


def shapes(runs):
    data, trained = runs.args.out / "shapes", runs.args.out / "trained"
    model, qat = trained / "shapes_fp32.pb", trained / "shapes_qat.pb"
    task = [*SHAPES_TASK, "--labels", data / "classes.txt"]
    chosen = [*LABELLED, "--max-accuracy-drop", SHAPES_DROP, "--evaluate", data / "validation"]
    bundles = bundles_of(runs, "shapes", model, data / "calibration", ("entropy", chosen), *task)
    bundles.append(("trained for INT8, no images", "shapes-qat", ["--precision", "int8"]))
    rows = []
    for title, name, flags in bundles:
        source = qat if name == "shapes-qat" else model
        precision = runs.convert(name, source, *flags, *task)
        result = runs.accuracy(f"{name}-test", source, data / "test", *LABELLED, of=name)
        rows.append((title, name, precision, result))
    return rows


def centernet(runs):
    model = runs.args.cache / "centernet/centernet.json"
    images = runs.args.out / "images"
    folder = images / "scenes"
    chosen = ["--max-accuracy-drop", CENTERNET_DROP, "--evaluate", folder]
    rows = []
    for title, name, flags in bundles_of(runs, "centernet", model, folder, ("mse", chosen)):
        precision = runs.convert(name, model, *flags)
        result = runs.accuracy(f"{name}-frames", model, images / "frames", of=name)
        rows.append((title, name, precision, result))
    return rows


def peers(runs):
    """ONNX Runtime's own quantization of the same models, by the same images."""
    if not runs.args.python_tf2onnx:
        return []
    data, images = runs.args.out / "shapes", runs.args.out / "images"
    cases = [
        (
            "efficientnet_lite0",
            runs.args.cache / "efficientnet-lite0/efficientnet_lite0.pb",
            "Softmax:0",
            images / "calibration",
            [images / "labelled", images / "unlabelled"],
            ["--size", "224", "--mean", "127", "--scale", str(1 / 128)],
        ),
        (
            "shapes",
            runs.args.out / "trained/shapes_fp32.pb",
            "probabilities:0",
            data / "calibration",
            [data / "test"],
            ["--size", "32", "--mean", "127.5", "--scale", str(1 / 127.5)],
        ),
    ]
    rows = []
    for name, model, output, calibration, folders, flags in cases:

        def make():
            onnx = runs.work / f"{name}.onnx"
            convert = [runs.args.python_tf2onnx, "-m", "tf2onnx.convert", "--opset", "17"]
            convert += ["--graphdef", model, "--inputs", "images:0", "--outputs", output]
            runs.run(*convert, "--output", onnx)
            measure = [sys.executable, HERE / "accuracy_onnxruntime.py", onnx, "--output", output]
            measure += ["--calibration", calibration, "--images", *folders, *flags]
            measure += ["--method", "min-max", "entropy"]
            lines = runs.run(*measure).splitlines()
            return [json.loads(line) for line in lines if line.startswith("{")]

        rows += [(name, row) for row in runs.kept(f"peers-{name}", make)]
    return rows


def db(value):
    return "equal" if value is None else f"{value:.1f}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])


def images_text(out):
    manifest = json.loads((out / "images/manifest.json").read_text())
    packages = manifest["packages"]
    rows = []
    for folder in ("labelled", "unlabelled", "calibration", "scenes", "frames"):
        entries = [it for it in manifest["images"] if it["image"].startswith(folder + "/")]
        files = {(it["source"]["package"], it["source"]["file"]) for it in entries}
        by = Counter(it["source"]["package"] for it in entries)
        origin = ", ".join(f"{count} {package}" for package, count in by.most_common())
        rows.append((f"`{folder}`", len(entries), len(files), origin))
    versions = ", ".join(f"{name} {version}" for name, version in packages.items())
    labels = {it["label"] for it in manifest["images"] if "label" in it}
    head = ["folder", "images", "of pictures and videos", "images by package"]
    return table(head, rows), versions, len(labels)


class Demands:
    """What must hold, and whether it does."""

    def __init__(self):
        self.rows = []

    def add(self, what, found, good):
        self.rows.append((what, found, "yes" if good else "**no**"))


def efficientnet_text(rows, demands):
    lines = []
    for title, _, precision, labelled, unlabelled in rows:
        reference, ours, count = counts(labelled)
        truth, classes = labelled["classes"]["truth"], unlabelled["classes"]
        if not lines:
            top5 = f"{truth['reference_top5']:.1f} %"
            fp32 = f"{reference} of {count} ({percent(reference, count):.1f} %)"
            lines.append(("FP32", "", fp32, top5, "", "", ""))
        lines.append(
            (
                title,
                layers_text(precision) if precision.get("int8") else "",
                f"{ours} of {count} ({percent(ours, count):.1f} %)",
                f"{truth['top5']:.1f} %",
                f"{labelled['classes']['agree']} of {count}",
                f"{classes['agree']} of {classes['rows']} ({classes['agreement_percent']:.2f} %)",
                db(unlabelled["outputs"][0]["sqnr_db"]),
            )
        )
        agreement = percent(classes["agree"], classes["rows"])
        found = f"{reference} and {ours} of {count} right"
        if title == "FP16":
            demands.add("efficientnet_lite0 FP16: top-1 drop 0", found, ours >= reference)
            what = "efficientnet_lite0 FP16: FP32's answer on at least 99 % of the unlabelled"
            demands.add(what, f"{agreement:.2f} %", agreement >= 99)
        elif title.startswith("INT8"):
            what = f"efficientnet_lite0 {title}: within 1 image of FP32"
            demands.add(what, found, abs(ours - reference) <= 1)
        else:
            demands.add("efficientnet_lite0 mixed: within 1 image of FP32", found, ours >= reference - 1)
            what = "efficientnet_lite0 mixed: FP32's answer on at least 97 % of the unlabelled"
            demands.add(what, f"{agreement:.2f} %", agreement >= 97)
    head = ["", "layers", "right, labelled", "top-5", "FP32's answer, labelled"]
    return table(head + ["FP32's answer, unlabelled", "SQNR in dB"], lines)


def shapes_text(rows, trained, demands):
    lines = [
        ("TensorFlow, FP32", "", *_right(trained["fp32"]["right"], trained["test"]), "", ""),
        ("TensorFlow, QAT graph", "", *_right(trained["qat"]["right"], trained["test"]), "", ""),
    ]
    fp32 = None
    for title, name, precision, result in rows:
        reference, ours, count = counts(result)
        if fp32 is None:
            fp32 = reference
            lines.append(("tfjet, FP32", "", *_right(reference, count), "", ""))
            share = percent(reference, count)
            what = "trained model: FP32 between 90 and 99 %, at least 5,000 test images"
            demands.add(what, f"{share:.2f} % of {count:,}", 90 <= share <= 99 and count >= 5000)
        if name == "shapes-qat":
            lines.append(("tfjet, QAT graph in FP32", "", *_right(reference, count), "", ""))
        lines.append(
            (
                title,
                layers_text(precision) if precision.get("int8") else "",
                *_right(ours, count),
                f"{percent(ours - fp32, count):+.2f}",
                f"{result['classes']['agreement_percent']:.2f} %",
            )
        )
        drop = percent(fp32 - ours, count)
        limit = 0.1 if title == "FP16" or name == "shapes-qat" else 0.2
        found = f"{percent(ours - fp32, count):+.2f} percent points"
        demands.add(f"trained model, {title}: within {limit} % of FP32", found, drop <= limit)
    head = ["", "layers", "right", "top-1", "to FP32, percent points"]
    return table(head + ["the answer of its graph in FP32"], lines)


def _right(right, count):
    return f"{right:,} of {count:,}", f"{percent(right, count):.2f} %"


def centernet_text(rows, demands):
    lines = []
    for title, _, precision, result in rows:
        found = result["detections"]
        lines.append(
            (
                title,
                layers_text(precision) if precision.get("int8") else "",
                f"{found['matched']} of {found['reference']} ({found['kept_percent']:.2f} %)",
                found["just_below"],
                found["extra"],
                f"{found['mean_iou']:.3f}",
            )
        )
        what = f"centernet on vtest.avi, {title}: at least 95 % of FP32's detections kept"
        demands.add(what, f"{found['kept_percent']:.2f} %", found["kept_percent"] >= 95)
    head = ["", "layers", "kept of FP32's detections", "lost by the score, by up to 0.1"]
    return table(head + ["detections that FP32 has not", "mean IoU"], lines)


def peers_text(rows, ours):
    lines = []
    for name, row in rows:
        folder = Path(row["images"]).name
        mine = ours.get((name, folder, row["method"]))
        right = f"{row['int8_right']} (FP32 {row['fp32_right']})" if "int8_right" in row else ""
        agree = f"{row['agree']} of {row['count']} ({percent(row['agree'], row['count']):.2f} %)"
        lines.append((name, folder, row["method"], right, agree, *(mine or ("", ""))))
    head = ["model", "images", "method", "ONNX Runtime: right", "ONNX Runtime: FP32's answer"]
    return table(head + ["tfjet: right", "tfjet: FP32's answer"], lines)


def search_text(precision):
    search = precision.get("search")
    if not search:
        return "No search was needed."
    kept = ", ".join(f"`{it['layer']}`" for it in precision["kept"]) or "none"
    return (
        f"Chosen on {search['samples']} images of `{Path(search['evaluated_on']).name}` in"
        f" {len(search['evaluations'])} evaluations: all in INT8 lost {search['int8_percent']:.2f} %,"
        f" the choice {search['percent']:.2f} % ({search['measure']}, limit"
        f" {search['limit_percent']} %). In FP16: {kept}."
    )


PAGE = """# What INT8 and FP16 cost

Measured by `make accuracy`, which fetches the images, renders and trains what it needs, and writes
this page from what `tfjet accuracy --json` printed. How to read the numbers:
[accuracy.md](accuracy.md). INT8 and FP16 were computed on the CPU as the numbers that they are on a
GPU, see there; results on a GPU are in [gpu-report.md](gpu-report.md).

{machine}

## What must hold

{demands}

## Images

{images}

Packages: {versions}. `manifest.json` beside the images names the package, file and SHA-256 of each.
The {classes} classes of `labelled` were taken from the pictures' names and from what the packages say
of them before a model saw them, by [evaluation_labels.py](../scripts/evaluation_labels.py): {labelled}
images are few, and one is {one:.2f} %. `unlabelled` has crops of half a picture and frames of videos,
on which many answers of FP32 are uncertain: agreement is lower there than on photographs of one thing.
`labelled`, `unlabelled` and `calibration` share no picture and no video; `scenes` are whole pictures
and frames of those of `calibration`, `frames` are of `vtest.avi`, which is in no calibration.

## efficientnet_lite0 (ImageNet-1k, trained)

Calibrated on the {calibration} images of `calibration`.

{efficientnet}

{efficientnet_search}

## A network trained on rendered shapes

[make_shapes_dataset.py](../scripts/make_shapes_dataset.py) renders pictures of 16 shapes,
[examples/qat](../examples/qat/README.md) trains a small MobileNetV2 and fine-tunes it for INT8. PTQ is
calibrated on 256 training images; the mixed precision is chosen on a validation set; all is measured
on the test set.

{shapes}

{shapes_search}

## centernet on vtest.avi

{frames} frames; calibrated on `scenes`. A detection is kept if INT8 has one of the same class, with a
score of at least 0.3 and an intersection over union of at least 0.7.

{centernet}

{centernet_search}

## Beside ONNX Runtime's own quantization

tf2onnx's model, quantized by `onnxruntime.quantization` (static, QDQ, INT8, symmetric, per channel;
convolutions and matrix products) with the same calibration images. Its entropy method has another
histogram, and its ranges are per tensor as here.

{peers}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--python-tf2onnx", type=Path)
    parser.add_argument("--only", action="append", choices=NAMES)
    parser.add_argument("--keep", action="store_true")
    args = parser.parse_args()
    runs = Runs(args)
    wanted = args.only or NAMES
    steps = {"efficientnet": efficientnet, "shapes": shapes, "centernet": centernet, "peers": peers}
    try:
        found = {name: steps[name](runs) for name in NAMES if name in wanted}
    except Failed as reason:
        sys.exit(f"accuracy_report.py: {reason}")
    if len(found) < len(NAMES):
        return
    demands = Demands()
    trained = json.loads((args.out / "trained/results.json").read_text())
    images, versions, classes = images_text(args.out)
    ours = {}
    for method in ("entropy", "min-max"):
        for title, _, _, labelled, unlabelled in found["efficientnet"]:
            if title == f"INT8, {method}":
                for folder, result in (("labelled", labelled), ("unlabelled", unlabelled)):
                    ours["efficientnet_lite0", folder, method] = _ours(result)
        for title, _, _, result in found["shapes"]:
            if title == f"INT8, {method}":
                ours["shapes", "test", method] = _ours(result)
    version = runs.run(args.bin / "tfjet", "--version").strip()
    cpu = next(
        (line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if "model name" in line),
        platform.machine(),
    )
    versions_of = f"TensorFlow {trained['tensorflow']}, NumPy {trained['numpy']}"
    if found["peers"]:
        versions_of += f", ONNX Runtime {found['peers'][0][1]['onnxruntime']}"
    labelled = found["efficientnet"][0][3]["samples"]
    text = dict(
        machine=f"{version}; {versions_of}; {cpu}, {os.cpu_count()} cores.",
        images=images,
        versions=versions,
        classes=classes,
        labelled=labelled,
        one=percent(1, labelled),
        calibration=len(list((args.out / "images/calibration").glob("*.png"))),
        frames=found["centernet"][0][3]["samples"],
        efficientnet=efficientnet_text(found["efficientnet"], demands),
        efficientnet_search=search_text(found["efficientnet"][-1][2]),
        shapes=shapes_text(found["shapes"], trained, demands),
        shapes_search=search_text(next(p for _, n, p, _ in found["shapes"] if n == "shapes-mixed")),
        centernet=centernet_text(found["centernet"], demands),
        centernet_search=search_text(found["centernet"][-1][2]),
        peers=peers_text(found["peers"], ours) if found["peers"] else "Not run: no tf2onnx.",
    )
    text["demands"] = table(["", "found", "holds"], demands.rows)
    args.report.write_text(PAGE.format(**text))
    print(f"accuracy: wrote {args.report}")


def _ours(result):
    classes = result["classes"]
    agree = f"{classes['agree']} of {classes['rows']} ({classes['agreement_percent']:.2f} %)"
    if not classes.get("truth"):
        return "", agree
    reference, right, _ = counts(result)
    return f"{right} (FP32 {reference})", agree


def _lines(path):
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


if __name__ == "__main__":
    main()
