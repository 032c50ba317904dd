#!/usr/bin/env bash
# The second start of a prepared model, from the process's start to its first result, beside that of
# a bare program with the same library and engine.
#
#   tests/gpu/start.sh BIN INPUTS.npz PREPARED.jet TARGET DIMS [TIMES]
#
# INPUTS.npz holds inputs of the shape DIMS; TARGET names the engine's section, as in
# trt8.5.2-sm90-fp32; TFJET_TENSORRT names the library.
set -euo pipefail
bin=$1 inputs=$2 bundle=$3 target=$4 dims=$5 times=${6:-7}
python3 - "$bin" "$inputs" "$bundle" "$target" "$dims" "$times" "$TFJET_TENSORRT" <<'PY'
import json, subprocess, sys, time

folder, inputs, bundle, target, dims, times, library = sys.argv[1:]
precision = target.rsplit("-", 1)[-1]
programs = {
    "tfjet-run": [f"{folder}/tfjet-run", "run", bundle, "--device", "gpu", "--precision", precision,
                  "--inputs", inputs, "--tensorrt", library, "--json"],
    "bare": [f"{folder}/raw-enqueue", bundle, target, "0", library, dims],
}
walls = {name: [] for name in programs}
for turn in range(int(times) + 1):
    for name, command in programs.items():
        begin = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        if turn:  # the first turn fills the page cache
            walls[name].append(time.monotonic() - begin)
medians = {name: sorted(wall)[len(wall) // 2] for name, wall in walls.items()}
print(json.dumps({"seconds": medians, "all": walls}))
difference = medians["tfjet-run"] - medians["bare"]
print(f"{'ok  ' if difference <= 0.1 else 'FAIL'} second start: {medians['tfjet-run']:.3f} s, "
      f"bare {medians['bare']:.3f} s, difference {difference:.3f} s (limit 0.1)")
sys.exit(difference > 0.1)
PY
