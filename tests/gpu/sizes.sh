#!/usr/bin/env bash
# Random image sizes through one engine with a range of shapes, against the CPU engine.
#
#   tests/gpu/sizes.sh TFJET_RUN BUNDLE INPUT SIZES LIMIT SCRATCH [ARGUMENT that says how to build...]
#
# INPUT is the name of the image input, [1, height, width, 3]; LIMIT is in shares of the largest
# magnitude of an output.
set -uo pipefail
run=$1 bundle=$2 input=$3 count=$4 limit=$5 scratch=$(mktemp -d "$6/sizes.XXXX")
shift 6
trap 'rm -rf "$scratch"' EXIT
python3 - "$scratch/in" "$input" "$count" <<'PY'
import os, sys, numpy
folder, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
os.makedirs(folder)
random = numpy.random.default_rng(7)
for i in range(count):
    height, width = random.integers(96, 513, 2)
    numpy.savez(f"{folder}/{i:02}.npz", **{name: random.integers(0, 256, (1, height, width, 3)).astype(numpy.float32)})
PY
"$run" prepare "$bundle" "$@" --cache "$scratch/cache" \
  --shape "$input=1x96x96x3:1x368x432x3:1x512x512x3" || exit 1
"$run" run "$bundle" --device gpu --cache "$scratch/cache" --inputs "$scratch/in" --outputs "$scratch/gpu" --json || exit 1
"$run" run "$bundle" --device cpu --inputs "$scratch/in" --outputs "$scratch/cpu" --json || exit 1
python3 - "$scratch" "$limit" <<'PY'
import os, sys, numpy
scratch, limit, worst = sys.argv[1], float(sys.argv[2]), 0.0
files = sorted(os.listdir(f"{scratch}/cpu"))
for file in files:
    cpu, gpu = (numpy.load(f"{scratch}/{side}/{file}") for side in ("cpu", "gpu"))
    for key in cpu:
        assert cpu[key].shape == gpu[key].shape, (file, key, cpu[key].shape, gpu[key].shape)
        worst = max(worst, float(abs(cpu[key] - gpu[key]).max() / max(abs(cpu[key]).max(), 1e-30)))
print(f"{len(files)} sizes, largest difference {worst:.1e} of the largest magnitude, limit {limit:.0e}")
sys.exit(worst > limit)
PY
