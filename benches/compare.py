#!/usr/bin/env python3
"""Runs TensorFlow, ONNX Runtime and tfjet over the same graphs, by turns, on one CPU.

`make bench` calls it. Every measurement is a fresh process; this one imports no library, since a
child's peak memory counts from its parent's.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import report

HERE = Path(__file__).parent
RUNTIMES = ["tensorflow", "onnxruntime", "tfjet"]


@dataclass(frozen=True)
class Graph:
    """A TensorFlow graph: `source` is ENTRY/FILE of the cache, or a class of keras.applications."""

    source: str
    input: str
    outputs: tuple[str, ...]
    mean: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True)
class Case:
    """A graph with one input shape; `rows` limits the comparison of results, see agree.py."""

    graph: str
    shape: str
    repeat: int
    rows: int = 0


GRAPHS = {
    "efficientnet_lite0": Graph(
        "efficientnet-lite0/efficientnet_lite0.pb", "images", ("Softmax",), 127.0, 1 / 128
    ),
    "centernet": Graph("centernet/centernet.json", "tower_0/images", ("tower_0/detections",)),
    "openpose": Graph(
        "openpose/openpose_mobilenet_thin.pb", "image", ("Openpose/concat_stage7",)
    ),
    "MobileNetV2": Graph("MobileNetV2", "x", ("Identity",), 127.5, 1 / 127.5),
    "ResNet50": Graph("ResNet50", "x", ("Identity",), 127.5, 1 / 127.5),
}
CASES = [
    Case("efficientnet_lite0", "1x224x224x3", 40),
    Case("efficientnet_lite0", "4x224x224x3", 15),
    Case("centernet", "1x512x512x3", 15, rows=20),
    Case("openpose", "1x184x216x3", 25),
    Case("MobileNetV2", "1x224x224x3", 60),
    Case("ResNet50", "1x224x224x3", 15),
]


class Failed(Exception):
    """A child process failed; the message is its last line."""


@dataclass(frozen=True)
class Done:
    """How a child process went."""

    seconds: float
    peak_mib: float
    stdout: str


def run(*argv):
    """Runs a program to its end."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        begin = time.perf_counter()
        child = subprocess.Popen(
            [str(arg) for arg in argv], stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - begin
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if child.returncode:
            lines = [line.strip() for line in err if line.strip()]
            raise Failed(lines[-1] if lines else f"exit code {child.returncode}")
        return Done(seconds, usage.ru_maxrss / 1024, out.read())


class Bench:
    """Where things lie, and how each runtime is called."""

    def __init__(self, args):
        self.args = args
        self.work = args.out / "work"
        self.work.mkdir(parents=True, exist_ok=True)

    def python(self, script, *argv):
        return run(self.args.python, HERE / script, *argv)

    def prepare(self, name):
        """Makes the plain frozen graph that TensorFlow and tf2onnx read."""
        graph, plain = GRAPHS[name], self.plain(name)
        if graph.source.endswith(".json"):
            self.python("tfjs_to_graphdef.py", self.args.cache / graph.source, plain)
        elif "/" not in graph.source:
            self.python("keras_to_graphdef.py", graph.source, plain)

    def plain(self, name):
        source = GRAPHS[name].source
        return self.args.cache / source if source.endswith(".pb") else self.work / f"{name}.pb"

    def make_inputs(self, case):
        graph, path = GRAPHS[case.graph], self.work / f"{case.graph}-{case.shape}.npz"
        self.python("inputs.py", self.frame(), path, graph.input, case.shape, graph.mean, graph.scale)
        return path

    def frame(self):
        """One frame of the clip."""
        path = self.work / "frame.png"
        if not path.exists():
            clip = f"location={self.args.cache / 'vtest/vtest.avi'}"
            decode = ["decodebin", "!", "videoconvert", "!", "pngenc", "snapshot=true"]
            run("gst-launch-1.0", "filesrc", clip, "!", *decode, "!", "filesink", f"location={path}")
        return path

    def tf2onnx(self, name):
        graph = GRAPHS[name]
        outputs = ",".join(f"{output}:0" for output in graph.outputs)
        return run(
            *[self.args.python_tf2onnx, "-m", "tf2onnx.convert", "--opset", 13],
            *["--graphdef", self.plain(name), "--output", self.work / f"{name}.onnx"],
            *["--inputs", f"{graph.input}:0", "--outputs", outputs],
        )

    def tfjet_convert(self, name):
        graph = GRAPHS[name]
        cached = self.args.cache / graph.source
        source = cached if "/" in graph.source else self.plain(name)
        outputs = [flag for output in graph.outputs for flag in ("--output", output)]
        return run(
            *[self.args.bin / "tfjet", "convert", source, *outputs],
            *["-o", self.work / f"{name}.jet"],
        )

    def infer(self, runtime, case, inputs, repeat):
        """Returns the process and what it printed."""
        name, outputs = case.graph, ",".join(GRAPHS[case.graph].outputs)
        results = self.results(runtime, case)
        if runtime == "tensorflow":
            argv = [self.args.python, HERE / "run_tensorflow.py", self.plain(name)]
            argv += [inputs, results, outputs, repeat]
        elif runtime == "onnxruntime":
            argv = [self.args.python, HERE / "run_onnxruntime.py", self.work / f"{name}.onnx"]
            argv += [inputs, results, outputs, repeat]
        else:
            argv = [self.args.bin / "tfjet-run", "run", self.work / f"{name}.jet"]
            argv += ["--inputs", inputs, "--outputs", results]
            argv += ["--repeat", repeat, "--threads", 1, "--json"]
        done = run(*argv)
        return done, json.loads(done.stdout)

    def results(self, runtime, case):
        return self.work / f"{case.graph}-{case.shape}-{runtime}.npz"


def measure_conversion(bench, name, rounds, failures):
    """Median seconds and peak memory of both converters."""
    converters = {"tf2onnx": bench.tf2onnx, "tfjet": bench.tfjet_convert}
    runs = {key: [] for key in converters}
    for _ in range(rounds):
        for key in list(runs):
            try:
                runs[key].append(converters[key](name))
            except (Failed, OSError) as error:
                failures.append(f"{key} on {name}: {error}")
                del runs[key]
    return {
        key: {
            "seconds": median(done.seconds for done in dones),
            "peak_mib": max(done.peak_mib for done in dones),
        }
        for key, dones in runs.items()
    }


def measure_case(bench, case, rounds, failures):
    """Inference, cold start, memory and agreement of one case."""
    inputs = bench.make_inputs(case)
    runs = {runtime: {"median_ms": [], "cold_s": [], "peak_mib": []} for runtime in RUNTIMES}
    for turn in range(rounds):
        order = list(runs)
        for runtime in order[turn % len(order) :] + order[: turn % len(order)]:
            try:
                cold, _ = bench.infer(runtime, case, inputs, 1)
                _, timed = bench.infer(runtime, case, inputs, case.repeat)
            except (Failed, OSError, ValueError) as error:
                failures.append(f"{runtime} on {case.graph} {case.shape}: {error}")
                del runs[runtime]
                continue
            runs[runtime]["median_ms"].append(timed["median_ms"])
            runs[runtime]["cold_s"].append(cold.seconds)
            runs[runtime]["peak_mib"].append(cold.peak_mib)
    measured = {
        runtime: {
            "median_ms": median(values["median_ms"]),
            "range_ms": [min(values["median_ms"]), max(values["median_ms"])],
            "cold_s": median(values["cold_s"]),
            "peak_mib": max(values["peak_mib"]),
        }
        for runtime, values in runs.items()
    }
    if "tensorflow" in measured:
        for runtime in [runtime for runtime in measured if runtime != "tensorflow"]:
            result = bench.results(runtime, case)
            try:
                done = bench.python("agree.py", bench.results("tensorflow", case), case.rows, result)
                found = json.loads(done.stdout)
                measured[runtime]["max_abs_difference"] = found["differences"][str(result)]
                measured["tensorflow"]["magnitude"] = found["magnitude"]
            except Failed as error:
                failures.append(f"results of {runtime} on {case.graph} {case.shape}: {error}")
    return measured


def versions(args):
    """Name -> version of everything that is compared."""
    script = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"
    found = {}
    for python, package in [
        (args.python, "tensorflow-cpu"),
        (args.python, "onnxruntime"),
        (args.python_tf2onnx, "tf2onnx"),
    ]:
        try:
            found[package] = run(python, "-c", script, package).stdout.strip()
        except (Failed, OSError):
            found[package] = None
    found["tfjet"] = run(args.bin / "tfjet", "--version").stdout.split()[-1]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", type=Path, required=True, help="folder of tfjet and tfjet-run")
    parser.add_argument("--cache", type=Path, required=True, help="cache of tfjet fetch")
    parser.add_argument("--out", type=Path, required=True, help="folder for results.json and work files")
    parser.add_argument("--report", type=Path, required=True, help="Markdown file to write")
    parser.add_argument("--python", default=sys.executable, help="has tensorflow, onnxruntime, pillow")
    parser.add_argument("--python-tf2onnx", required=True, help="has tf2onnx and its TensorFlow")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="comma-separated names of graphs")
    args = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    bench, failures = Bench(args), []
    wanted = args.only.split(",") if args.only else list(GRAPHS)
    results = {"machine": report.machine(), "versions": versions(args), "rounds": args.rounds}
    results |= {"conversion": {}, "cases": [], "failures": failures}
    for name in wanted:
        print(f"bench: converting {name}", file=sys.stderr)
        bench.prepare(name)
        results["conversion"][name] = measure_conversion(bench, name, min(3, args.rounds), failures)
    for case in CASES:
        if case.graph in wanted:
            print(f"bench: running {case.graph} {case.shape}", file=sys.stderr)
            measured = measure_case(bench, case, args.rounds, failures)
            results["cases"].append({"graph": case.graph, "shape": case.shape, "runtimes": measured})
    for place in (args.cache, args.out, args.bin):
        failures[:] = [line.replace(f"{place}/", "") for line in failures]
    (args.out / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    args.report.write_text(report.markdown(results))
    print(args.report.read_text())


if __name__ == "__main__":
    main()
