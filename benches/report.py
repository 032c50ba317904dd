"""Turns the results of compare.py into docs/benchmarks.md."""
import os
import platform

TITLES = {"tensorflow": "TensorFlow", "onnxruntime": "ONNX Runtime", "tfjet": "tfjet"}
METRICS = {
    "median_ms": ("inference", "ms", ".1f"),
    "cold_s": ("start to first result", "s", ".2f"),
    "peak_mib": ("peak memory", "MiB", ".0f"),
}
# Less than this is noise.
BEHIND = 1.02

INTRO = """# Benchmarks

`make bench` writes this page: TensorFlow, ONNX Runtime on tf2onnx's conversion, and tfjet, on the
same graphs, in one run, by turns.

- One thread each, all processes pinned to the same CPU. Rounds: {rounds}. In each round every
  runtime runs as fresh processes, and the order turns from round to round. A figure is the median
  over the rounds, for memory the largest.
- *Inference* is the median of the repeated runs of one process, after warm-up.
- *Start to first result* is a whole process, from its start to its end, that loads the model and
  runs it once; *peak memory* is that process's. TensorFlow and ONNX Runtime run from Python, as
  their users do, so their figures hold the interpreter.
- *Conversion* is a whole process too. The input is a frame of `vtest.avi`.
- MobileNetV2 and ResNet50 come from `keras.applications`, with random weights; the other graphs
  come from `tfjet fetch`.
"""


def machine():
    """What the run was made on."""
    cpu = memory = system = "unknown"
    with open("/proc/cpuinfo") as lines:
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        cpu = names[0] if names else platform.machine()
    with open("/proc/meminfo") as lines:
        memory = f"{int(next(lines).split()[1]) / (1 << 20):.0f} GiB"
    if hasattr(platform, "freedesktop_os_release"):
        system = platform.freedesktop_os_release().get("PRETTY_NAME", system)
    return {"cpu": cpu, "cpus": os.cpu_count(), "memory": memory, "system": system}


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|---" + "|---:" * (len(header) - 1) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def number(value, form):
    return "–" if value is None else format(value, form)


def ratio(over, under):
    return "–" if over is None or not under else f"{over / under:.2f}"


def title(case):
    return f"{case['graph']} {case['shape'].replace('x', '×')}"


def value(case, runtime, metric):
    return case["runtimes"].get(runtime, {}).get(metric)


def inference(cases):
    rows = []
    for case in cases:
        tensorflow, onnxruntime, tfjet = (value(case, key, "median_ms") for key in TITLES)
        cells = [number(each, ".1f") for each in (tensorflow, onnxruntime, tfjet)]
        rows.append([title(case), *cells, ratio(tensorflow, tfjet), ratio(onnxruntime, tfjet)])
    header = ["ms", *TITLES.values(), "TensorFlow ÷ tfjet", "ONNX Runtime ÷ tfjet"]
    return table(header, rows)


def cold(cases):
    rows = []
    for case in cases:
        seconds = [number(value(case, key, "cold_s"), ".2f") for key in TITLES]
        memory = [number(value(case, key, "peak_mib"), ".0f") for key in TITLES]
        rows.append([title(case), *seconds, *memory])
    header = ["", *(f"{name}, s" for name in TITLES.values())]
    return table([*header, *(f"{name}, MiB" for name in TITLES.values())], rows)


def conversion(graphs):
    rows = []
    for name, converters in graphs.items():
        cells = []
        for metric, form in (("seconds", ".2f"), ("peak_mib", ".0f")):
            for key in ("tf2onnx", "tfjet"):
                cells.append(number(converters.get(key, {}).get(metric), form))
        rows.append([name, *cells])
    return table(["", "tf2onnx, s", "tfjet, s", "tf2onnx, MiB", "tfjet, MiB"], rows)


def agreement(cases):
    rows = []
    for case in cases:
        cells = [
            number(value(case, key, "max_abs_difference"), ".1e") for key in ("onnxruntime", "tfjet")
        ]
        rows.append([title(case), *cells, number(value(case, "tensorflow", "magnitude"), ".3g")])
    header = ["largest absolute difference", "ONNX Runtime", "tfjet", "largest value"]
    return table(header, rows)


def behind(cases):
    """Where another runtime is better than tfjet."""
    lines = []
    if not any("tfjet" in case["runtimes"] for case in cases):
        return "tfjet did not run."
    for case in cases:
        for metric, (what, unit, form) in METRICS.items():
            ours = value(case, "tfjet", metric)
            for runtime in ("tensorflow", "onnxruntime"):
                theirs = value(case, runtime, metric)
                if ours and theirs and ours > BEHIND * theirs:
                    lines.append(
                        f"- {title(case)}, {what}: {ours:{form}} {unit}, "
                        f"{TITLES[runtime]} {theirs:{form}} {unit}."
                    )
    return "\n".join(lines) or "Nowhere by more than 2 % in this run."


def markdown(results):
    """The whole page."""
    cases, where = results["cases"], results["machine"]
    versions = ", ".join(
        f"{name} {version or '(not installed)'}" for name, version in results["versions"].items()
    )
    parts = [
        INTRO.format(rounds=results["rounds"]),
        f"Machine: {where['cpu']}, {where['cpus']} CPUs, {where['memory']}, {where['system']}. "
        f"Versions: {versions}.\n",
        "## Inference, one thread\n\n" + inference(cases) + "\n",
        "## Start to first result and peak memory\n\n" + cold(cases) + "\n",
        "## Conversion\n\n" + conversion(results["conversion"]) + "\n",
        "## Agreement with TensorFlow\n\n"
        "centernet: the 20 best rows (pixels, score, class).\n\n" + agreement(cases) + "\n",
        "## Where tfjet is behind\n\n" + behind(cases) + "\n",
    ]
    if results["failures"]:
        lines = "\n".join(f"- {line.replace('|', '/')}" for line in results["failures"])
        parts.append("## What did not run\n\n" + lines + "\n")
    return "\n".join(parts)
