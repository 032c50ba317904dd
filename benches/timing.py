"""What the two Python runtimes' scripts share: arguments, timing, and what they print.

Both print the JSON line that `tfjet-run run BUNDLE --inputs .. --json` prints.
"""
import json
import os
import sys
import time

WARM_UP = 3


def peak_rss_mib():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return None


def measure(usage, load):
    """`load(model, output names)` gives `infer(feeds)`, which gives the list of outputs."""
    started = time.perf_counter()
    if len(sys.argv) != 6:
        sys.exit(usage.strip().splitlines()[2])
    model, inputs, outputs, names, repeat = sys.argv[1:]
    import numpy as np

    names = names.split(",")
    infer = load(model, names)
    loaded = time.perf_counter()
    arrays = np.load(inputs)
    feeds = {key[3:]: arrays[key] for key in arrays if key.startswith("in:")}
    results = infer(feeds)
    first = time.perf_counter()
    times = []
    if int(repeat) > 1:
        for _ in range(WARM_UP):
            infer(feeds)
        for _ in range(int(repeat)):
            begin = time.perf_counter()
            results = infer(feeds)
            times.append(1e3 * (time.perf_counter() - begin))
    np.savez(outputs, **{f"out:{name}": value for name, value in zip(names, results)})
    times.sort()
    line = {
        "load_ms": 1e3 * (loaded - started),
        "first_result_ms": 1e3 * (first - started),
        "median_ms": times[len(times) // 2] if times else None,
        "p99_ms": times[min(len(times) - 1, len(times) * 99 // 100)] if times else None,
        "runs": len(times),
        "peak_rss_mib": peak_rss_mib(),
    }
    print(json.dumps(line), flush=True)
    # Tearing the runtime down is nobody's waiting time.
    os._exit(0)
