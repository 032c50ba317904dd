#!/usr/bin/env bash
# Shapes that come at run time: TF-TRT's tests of its engine cache (DynamicEngines,
# AllowBuildAtRuntime), a second start, an engine for a range of shapes, and two processes with one
# cache. The bundle is of fer. The CPU is a fallback where ONNX Runtime is there.
#
#   tests/gpu/dynamic.sh TFJET_RUN BUNDLE SCRATCH [ARGUMENT that says how to build...]
set -uo pipefail
run=$1 bundle=$2 scratch=$(mktemp -d "$3/dynamic.XXXX")
shift 3
cache=$scratch/cache
gpu=("$run" run "$bundle" --device gpu --cache "$cache" "$@" --json)
trap 'rm -rf "$scratch"' EXIT
failed=0
python3 - "$scratch" <<'PY'
import os, sys, numpy
random = numpy.random.default_rng(1)
for name, batches in {"table": [2, 1, 3, 3, 1, 2], "new": [5], "newer": [6]}.items():
    folder = os.path.join(sys.argv[1], name)
    os.makedirs(folder)
    for i, batch in enumerate(batches):
        array = random.random((batch, 64, 64, 1), dtype=numpy.float32)
        numpy.savez(os.path.join(folder, f"{i}.npz"), input=array)
PY

expect() { # NAME JSON_FILE KEY=VALUE...: the counters
  python3 - "$@" <<'PY' || failed=1
import json, sys
name, path, *expected = sys.argv[1:]
counters = json.load(open(path))["engine_cache"]
wrong = [e for e in expected if str(counters[e.split("=")[0]]) != e.split("=")[1]]
print("FAIL" if wrong else "ok  ", name, wrong or "", counters)
sys.exit(bool(wrong))
PY
}
same() { # NAME FOLDER FOLDER
  python3 - "$@" <<'PY' || failed=1
import os, sys, numpy
name, one, other = sys.argv[1:]
worst = 0.0
for file in sorted(os.listdir(other)):
    a, b = (numpy.load(os.path.join(it, file)) for it in (one, other))
    for key in b:
        assert a[key].shape == b[key].shape, (file, key)
        worst = max(worst, float(abs(a[key] - b[key]).max()))
print("FAIL" if worst > 2e-3 else "ok  ", name, "largest difference", worst)
sys.exit(worst > 2e-3)
PY
}
ran() { # NAME COMMAND...: its JSON in $scratch/NAME.json
  local name=$1
  shift
  "$@" >"$scratch/$name.json" 2>"$scratch/$name.log" && return
  echo "FAIL $name: exit $?"
  tail -3 "$scratch/$name.log"
  failed=1
}

# The reference: one engine for all batches.
"$run" prepare "$bundle" "$@" --cache "$scratch/range" \
  --shape input=1x64x64x1:4x64x64x1:6x64x64x1 >/dev/null || failed=1
reference=("$run" run "$bundle" --device gpu --cache "$scratch/range" --json)
for name in table new; do
  "${reference[@]}" --inputs "$scratch/$name" --outputs "$scratch/expected-$name" >/dev/null || failed=1
done
cpu=1
"$run" run "$bundle" --device cpu --inputs "$scratch/new" --outputs "$scratch/cpu" >/dev/null 2>&1
case $? in
  0) same "the CPU and the GPU" "$scratch/cpu" "$scratch/expected-new" ;;
  4) cpu=0; echo "SKIPPED: no ONNX Runtime, so no fallback on the CPU" ;;
  *) echo "FAIL the CPU"; failed=1 ;;
esac

# Each file runs twice: once measured, once for its outputs.
ran first "${gpu[@]}" --dynamic block --inputs "$scratch/table" --outputs "$scratch/out"
expect "batches 2, 1, 3 need two engines" "$scratch/first.json" builds=2 misses=2 hits=10 entries=2
same "engines for shapes and for a range" "$scratch/out" "$scratch/expected-table"

ran second "${gpu[@]}" --dynamic block --inputs "$scratch/table"
expect "a second start builds nothing" "$scratch/second.json" builds=0 loads=2 misses=2 hits=4

covered=("$run" run "$bundle" --device gpu --cache "$scratch/range" "$@" --json)
ran covered "${covered[@]}" --dynamic never-build --inputs "$scratch/new" --outputs "$scratch/out-new"
expect "an engine for a range serves" "$scratch/covered.json" covered_runs=2 builds=0 fallback_runs=0
same "an engine for a range, by shapes" "$scratch/out-new" "$scratch/expected-new"
if ((cpu)); then
  ran never "${gpu[@]}" --dynamic never-build --inputs "$scratch/new" --outputs "$scratch/out-never"
  expect "nothing is built where that is not allowed" "$scratch/never.json" builds=0 fallback_runs=2
  same "the fallback" "$scratch/out-never" "$scratch/expected-new"
  ran fallback "${gpu[@]}" --dynamic fallback --inputs "$scratch/new"
  expect "the CPU serves while an engine is built" "$scratch/fallback.json" fallback_runs=1 misses=1
fi

ran one "${gpu[@]}" --dynamic block --inputs "$scratch/newer" &
ran other "${gpu[@]}" --dynamic block --inputs "$scratch/newer"
wait
for name in one other; do
  expect "two processes at once, $name" "$scratch/$name.json" failed_builds=0 fallback_runs=0 entries=1
done
built=$(find "$cache" -maxdepth 1 -name '*.jet' ! -name 'timing-*' | wc -l)
if ((built == 3)); then echo "ok   three engines in the cache"
else
  echo "FAIL $built engines in the cache, expected 3"
  failed=1
fi
exit "$failed"
