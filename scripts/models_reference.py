#!/usr/bin/env python3
"""Converts and runs models with tfjet and with TensorFlow, and writes docs/models.md.

usage: models_reference.py --bin DIR --cache DIR [--shared DIR] [--keras DIR] [--out DIR]
                           [--report FILE] [--repeat N] [MODEL...]

`make models` calls it, with TensorFlow's Python. TensorFlow runs in a process of its own for each
model, on one thread, and its results are kept in --out for as long as model, inputs and TensorFlow
stay the same. A model that cannot be had is left out; one that fails is a row with its error.
"""
import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
WARM_UP = 3
TIME_LIMIT = 900


@dataclass(frozen=True)
class Model:
    """A model. `place` is cache, shared or keras, `path` what lies there."""

    name: str
    place: str
    path: str
    # Sizes of the dims that a model leaves open, by input, or for all inputs.
    shape: tuple = ()
    shapes: dict = field(default_factory=dict)
    # Range of the numbers that are fed.
    low: float = 0.0
    high: float = 1.0
    # Compared by `tfjet compare --detections`, with these flags.
    detections: tuple = ()
    flags: tuple = ()
    # File with inputs, in `ref` of the shared folder.
    reference: str = ""


HUMAN = "human"
# The manifest's element types.
DTYPES = {
    "F32": "float32",
    "F64": "float64",
    "F16": "float16",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "U8": "uint8",
    "U16": "uint16",
    "U32": "uint32",
    "U64": "uint64",
    "Bool": "bool",
    "C64": "complex64",
}
SSD = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")
SSD_FLAGS = tuple(flag for name in SSD for flag in ("--output", name))
KERAS = [
    ("ResNet50", 224),
    ("ResNet50V2", 224),
    ("MobileNetV2", 224),
    ("MobileNetV3Small", 224),
    ("InceptionV3", 299),
    ("VGG16", 224),
    ("NASNetMobile", 224),
    ("EfficientNetB0", 224),
    ("DenseNet121", 224),
]
MODELS = [
    Model(
        "ssd_mobilenet_v1 class-wise",
        "shared",
        "ssd_mobilenet_v1_0.25_coco90.pb",
        flags=("--batch", "1", *SSD_FLAGS),
        shape=(1, 300, 300, 3),
        high=255,
        detections=("--box-tolerance", "1e-3"),
        reference="ssd_mobilenet_v1_0.25_coco90.npz",
    ),
    Model(
        "ssd_mobilenet_v1 agnostic",
        "shared",
        "ssd_mobilenet_v1_0.25_coco90_agnostic_nms.pb",
        flags=("--batch", "1", *SSD_FLAGS),
        shape=(1, 300, 300, 3),
        high=255,
        detections=("--box-tolerance", "1e-3"),
        reference="ssd_mobilenet_v1_0.25_coco90_agnostic_nms.npz",
    ),
    Model(
        "fer (frozen)",
        "shared",
        "fer_minixception.pb",
        (1,),
        low=-1,
        reference="fer_minixception.npz",
    ),
    Model("fer (SavedModel)", "shared", "fer_minixception_savedmodel", (1,), low=-1),
    Model(
        "centernet",
        "cache",
        "centernet/centernet.json",
        high=255,
        detections=("--top", "20"),
        reference="centernet.npz",
    ),
    Model(
        "handtrack",
        "cache",
        "handtrack/handtrack.json",
        shape=(1, 320, 320, 3),
        high=255,
        detections=("--box-tolerance", "1e-3"),
        reference="handtrack.npz",
    ),
    Model(
        "openpose",
        "cache",
        "openpose/openpose_mobilenet_thin.pb",
        (1, 184, 216, 3),
        high=255,
        reference="openpose_mobilenet_thin.npz",
    ),
    Model(
        "efficientnet_lite0",
        "cache",
        "efficientnet-lite0/efficientnet_lite0.pb",
        (1,),
        low=-1,
    ),
    Model("cutkum", "cache", "cutkum/cutkum.pb", reference="cutkum_lstm.npz"),
    Model("basic-pitch", "cache", "basic-pitch", (1,), low=-0.5, high=0.5),
    Model("antispoof", "cache", f"{HUMAN}/antispoof.json", (1,)),
    Model("blazeface", "cache", f"{HUMAN}/blazeface.json", low=-1),
    Model("emotion", "cache", f"{HUMAN}/emotion.json", (1,)),
    Model("facemesh", "cache", f"{HUMAN}/facemesh.json", (1,)),
    Model("faceres", "cache", f"{HUMAN}/faceres.json", (1,), high=255),
    Model("handlandmark-lite", "cache", f"{HUMAN}/handlandmark-lite.json"),
    Model("iris", "cache", f"{HUMAN}/iris.json", (1,)),
    Model("liveness", "cache", f"{HUMAN}/liveness.json", (1,)),
    Model("movenet-lightning", "cache", f"{HUMAN}/movenet-lightning.json", high=255),
    *(Model(name, "keras", name, (1, size, size, 3), low=-1) for name, size in KERAS),
    Model("YAMNet", "keras", "YAMNet", (48000,), low=-1),
]


class Failed(Exception):
    """A command failed; the message is its last line."""


def run(*argv, allowed=(0,)):
    """What a program prints."""
    argv = [str(arg) for arg in argv]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=TIME_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"{Path(argv[0]).name} took longer than {TIME_LIMIT} s") from None
    if done.returncode not in allowed:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise Failed(lines[-1] if lines else f"exit code {done.returncode}")
    return done.stdout


def image_like(shape, low, high, seed):
    """Smooth numbers with some noise, the same on every machine."""
    random = np.random.default_rng(seed)
    inner = range(1, len(shape) - 1)
    coarse = [max(1, min(dim, 9)) if axis in inner else dim for axis, dim in enumerate(shape)]
    values = random.random(coarse)
    for axis, (dim, few) in enumerate(zip(shape, coarse)):
        if few != dim:
            at = np.linspace(0, few - 1, dim)
            left = np.minimum(at.astype(int), few - 2) if few > 1 else np.zeros(dim, int)
            part = (at - left).reshape([-1 if i == axis else 1 for i in range(len(shape))])
            right = np.minimum(left + 1, few - 1)
            values = np.take(values, left, axis) * (1 - part) + np.take(values, right, axis) * part
    values = 0.9 * values + 0.1 * random.random(shape)
    return low + (high - low) * values


def make_inputs(model, specs, shared):
    """name -> array, for the inputs of a bundle's manifest, and for those that it does not need."""
    given = {}
    reference = shared and model.reference and shared / "ref" / model.reference
    if reference and reference.exists():
        arrays = np.load(reference)
        given = {key[3:].split(":")[0]: arrays[key] for key in arrays if key.startswith("in:")}
    inputs = {}
    for seed, spec in enumerate(specs):
        name = spec["name"]
        if name.split(":")[0] in given:
            inputs[name] = given[name.split(":")[0]]
            continue
        sizes = iter(model.shapes.get(name, model.shape))
        dims = spec["shape"]
        if dims is None:
            dims = [{}] * len(model.shapes.get(name, model.shape))
        shape = []
        for dim in dims:
            size = next(sizes, None)
            shape.append(dim.get("Fixed", size or 1))
        values = image_like(shape, model.low, model.high, seed)
        kind = np.dtype(DTYPES[spec["dtype"]])
        inputs[name] = values.round().astype(kind) if kind.kind in "iub" else values.astype(kind)
    needed = {name.split(":")[0] for name in inputs}
    return inputs, {name: given[name] for name in given if name not in needed}


def tensorflow_child(source, inputs, outputs, names, repeat):
    """Runs in a process of its own; prints JSON."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    tf1 = tf.compat.v1
    graph = tf.Graph()
    config = tf1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    signature = {}
    with graph.as_default():
        session = tf1.Session(graph=graph, config=config)
        if Path(source).is_dir():
            meta = tf1.saved_model.load(session, ["serve"], source)
            default = meta.signature_def.get("serving_default")
            for side in (default.inputs, default.outputs) if default else ():
                signature.update({key: info.name for key, info in side.items()})
        else:
            definition = tf1.GraphDef()
            definition.ParseFromString(Path(source).read_bytes())
            tf1.import_graph_def(definition, name="")

    def tensor(name):
        name = signature.get(name, name)
        return name if ":" in name else f"{name}:0"

    arrays = np.load(inputs)
    feeds = {key[3:]: arrays[key] for key in arrays if key.startswith("in:")}
    call = session.make_callable([tensor(name) for name in names], [tensor(name) for name in feeds])
    values = list(feeds.values())
    results = call(*values)
    times = []
    for turn in range(WARM_UP + repeat):
        begin = time.perf_counter()
        results = call(*values)
        if turn >= WARM_UP:
            times.append(1e3 * (time.perf_counter() - begin))
    np.savez(outputs, **{f"out:{name}": value for name, value in zip(names, results)})
    print(json.dumps({"median_ms": sorted(times)[len(times) // 2]}), flush=True)
    os._exit(0)


class Table:
    """Where things lie, and the rows."""

    def __init__(self, args):
        self.args = args
        self.work = args.out / "work"
        self.kept = args.out / "tensorflow"
        self.work.mkdir(parents=True, exist_ok=True)
        self.kept.mkdir(parents=True, exist_ok=True)
        self.tensorflow = next(
            metadata.version(name)
            for name in ("tensorflow-cpu", "tensorflow", "tensorflow-cpu-aws")
            if _installed(name)
        )

    def source(self, model):
        """The model's file or folder; `None` where it is not to be had."""
        folder = {"cache": self.args.cache, "shared": self.args.shared, "keras": self.args.keras}
        base = folder[model.place]
        path = base / model.path if base else None
        return path if path and path.exists() else None

    def plain(self, source):
        """What TensorFlow itself can read."""
        if source.suffix != ".json":
            return source
        plain = self.work / f"{source.stem}.pb"
        run(sys.executable, HERE.parent / "benches/tfjs_to_graphdef.py", source, plain)
        return plain

    def reference(self, source, inputs, outputs):
        """Outputs and time of TensorFlow."""
        plain = self.plain(source)
        digest = hashlib.sha256()
        files = sorted(plain.rglob("*")) if plain.is_dir() else [plain]
        for file in [*(file for file in files if file.is_file()), inputs]:
            digest.update(file.read_bytes())
        digest.update(json.dumps([self.tensorflow, outputs, self.args.repeat]).encode())
        base = f"{source.stem}-{digest.hexdigest()[:16]}"
        arrays, numbers = self.kept / f"{base}.npz", self.kept / f"{base}.json"
        if not numbers.exists():
            child = [sys.executable, __file__, "--tensorflow-child", plain, inputs, arrays]
            printed = run(*child, ",".join(outputs), self.args.repeat)
            numbers.write_text(printed.splitlines()[-1])
        return arrays, json.loads(numbers.read_text())["median_ms"]

    def stored(self, model, outputs):
        """Results of TensorFlow that came with the model: of two overlaps at a threshold, another
        number of threads may keep another one."""
        file = self.args.shared and model.reference and self.args.shared / "ref" / model.reference
        if not file or not file.exists():
            return None
        arrays = np.load(file)
        names = [f"out:{name}" for name in outputs]
        return {name: arrays[name] for name in names} if all(n in arrays for n in names) else None

    def row(self, model, source):
        name = model.name.replace(" ", "-").replace("(", "").replace(")", "")
        bundle = self.work / f"{name}.jet"
        tfjet, tfjet_run = self.args.bin / "tfjet", self.args.bin / "tfjet-run"
        run(tfjet, "convert", source, "-o", bundle, *model.flags)
        manifest = json.loads(run(tfjet, "inspect", bundle, "--json"))
        manifest = manifest.get("manifest", manifest)
        summary = manifest["summary"]
        row = {
            "nodes": summary["nodes"],
            "segments": len(summary["segments"]),
            "inside": summary["flops_inside"],
            "residual": summary["residual"],
            "fused": any("post-processing fused" in note for note in summary["notes"]),
        }
        inputs, others = make_inputs(model, manifest["inputs"], self.args.shared)
        fed, all_fed = self.work / f"{name}.in.npz", self.work / f"{name}.all.npz"
        np.savez(fed, **{f"in:{key}": value for key, value in inputs.items()})
        np.savez(all_fed, **{f"in:{key}": value for key, value in {**others, **inputs}.items()})
        outputs = [output["name"] for output in manifest["outputs"]]
        arrays, row["tensorflow_ms"] = self.reference(source, all_fed, outputs)
        found = self.work / f"{name}.out.npz"
        command = [tfjet_run, "run", bundle, "--inputs", fed, "--outputs", found]
        command += ["--repeat", self.args.repeat, "--threads", "1", "--device", "cpu", "--json"]
        row["ms"] = json.loads(run(*command).splitlines()[-1])["median_ms"]
        row["error"] = error(np.load(found), np.load(arrays))
        if model.detections:
            both = self.work / f"{name}.ref.npz"
            expected = self.stored(model, outputs) or dict(np.load(arrays))
            np.savez(both, **dict(np.load(fed)), **{key: expected[key] for key in expected})
            compare = [tfjet, "compare", bundle, both, "--detections", "--json", "--threads", "1"]
            good = json.loads(run(*compare, *model.detections, allowed=(0, 1)))
            row["detections"] = good.get("detections")
            row["good"] = good["good"]
        return row


def _installed(name):
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def error(found, expected):
    """The largest difference relative to the largest magnitude, over all outputs."""
    worst = 0.0
    for key in expected:
        a, b = found[key].astype(np.float64), expected[key].astype(np.float64)
        if a.shape != b.shape:
            raise Failed(f"{key[4:]} is {a.shape}, TensorFlow's is {b.shape}")
        if not b.size:
            continue
        if (np.isnan(a) != np.isnan(b)).any():
            raise Failed(f"{key[4:]} has NaN where TensorFlow has none")
        same = (a == b) | np.isnan(b)
        difference = np.where(same, 0.0, np.abs(a - b)).max()
        magnitude = np.abs(b[np.isfinite(b)]).max(initial=0.0)
        worst = max(worst, difference / magnitude if magnitude else difference)
    return worst


HEAD = """# Models

Every model here is converted as it comes, run on the CPU engine and held against TensorFlow
{tensorflow} on the same inputs, one thread each. `make models` writes this page.

- **inside**: share of the floating-point operations in segments
- **residual**: ops that run outside
- **error**: largest difference of an element by the largest magnitude of its output; for detectors
  `tfjet compare --detections` with all of TensorFlow's detections matched
- **ms**: median of {repeat} runs, {cpu}

| model | nodes | segments | inside | residual | error | tfjet ms | TensorFlow ms |
|---|---:|---:|---:|---:|---|---:|---:|
"""


def cpu():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        return names[0] if names else platform.machine()
    except OSError:
        return platform.machine()


def line(name, row):
    if "failed" in row:
        return f"| {name} | | | | | {row['failed'].replace('|', '/')[:160]} | | |"
    fused = " ¹" if row["fused"] else ""
    if row.get("detections"):
        score = row["detections"]["max_score"]
        wrong = f"detections agree, scores {score:.0e}" if row["good"] else "**detections differ**"
    else:
        wrong = f"{row['error']:.0e}" if row["error"] <= 1e-4 else f"**{row['error']:.0e}**"
    return (
        f"| {name} | {row['nodes']} | {row['segments']} | {100 * row['inside']:.1f} % "
        f"| {row['residual']}{fused} | {wrong} | {row['ms']:.2f} | {row['tensorflow_ms']:.2f} |"
    )


def main():
    if sys.argv[1:2] == ["--tensorflow-child"]:
        source, inputs, outputs, names, repeat = sys.argv[2:]
        tensorflow_child(source, inputs, outputs, names.split(","), int(repeat))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--shared", type=Path)
    parser.add_argument("--keras", type=Path)
    parser.add_argument("--out", type=Path, default=Path("bench-out/models"))
    parser.add_argument("--report", type=Path)
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("models", nargs="*")
    args = parser.parse_args()
    known = [model.name for model in MODELS]
    for name in args.models:
        if name not in known:
            sys.exit(f"no model `{name}`; known: {', '.join(known)}")
    table = Table(args)
    text = HEAD.format(tensorflow=table.tensorflow, repeat=args.repeat, cpu=cpu())
    absent, bad, fused = [], [], False
    for model in MODELS:
        if args.models and model.name not in args.models:
            continue
        source = table.source(model)
        if source is None:
            absent.append(model.name)
            continue
        try:
            row = table.row(model, source)
        except Failed as problem:
            row = {"failed": str(problem)}
        except (KeyError, OSError, TypeError, ValueError) as problem:
            row = {"failed": f"{type(problem).__name__}: {problem}"}
        if "failed" in row or not row.get("good", row.get("error", 1) <= 1e-4):
            bad.append(model.name)
        fused |= row.get("fused", False)
        print(line(model.name, row), flush=True)
        text += line(model.name, row) + "\n"
    if fused:
        text += "\n¹ with the post-processing as one op, see [post-processing](post-processing.md)\n"
    if absent:
        text += f"\nNot here: {', '.join(absent)}.\n"
        print(f"models: not here: {', '.join(absent)}", file=sys.stderr)
    if args.report:
        args.report.write_text(text)
    if bad:
        sys.exit(f"models: {len(bad)} failed: {', '.join(bad)}")


if __name__ == "__main__":
    main()
