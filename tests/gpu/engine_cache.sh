#!/usr/bin/env bash
# The tests of TF-TRT's engine cache (LRUCacheTest.Basic and TRTEngineOpTestBase's DynamicEngines,
# ExplicitBatch, DynamicShapes, Basic) with real engines, evictions counted against a model of TF-TRT's
# rule that is written here. The bundles compute y = 2x: in float32, and in float16.
#
#   tests/gpu/engine_cache.sh TFJET_RUN DOUBLE_F32.jet DOUBLE_F16.jet SCRATCH [ARGUMENT that says how to build...]
set -uo pipefail
run=$1 f32=$2 f16=$3 scratch=$(mktemp -d "$4/engine-cache.XXXX")
shift 4
build=("$@")
trap 'rm -rf "$scratch"' EXIT
failed=0

requests() { # NAME DTYPE SHAPE...: a folder of inputs, in order
  python3 - "$scratch/$1" "${@:2}" <<'PY'
import os, sys, numpy
folder, dtype, *shapes = sys.argv[1:]
os.makedirs(folder)
for i, shape in enumerate(shapes):
    dims = [int(d) for d in shape.split("x")]
    x = (numpy.arange(numpy.prod(dims)).reshape(dims) % 97).astype(dtype)
    numpy.savez(os.path.join(folder, f"{i:02}.npz"), x=x)
PY
}
doubled() { # NAME FOLDER OUTPUTS
  python3 - "$@" <<'PY' || failed=1
import os, sys, numpy
name, inputs, outputs = sys.argv[1:]
files = sorted(os.listdir(inputs))
wrong = [f for f in files if not numpy.array_equal(
    numpy.load(os.path.join(outputs, f))["out:y"], 2 * numpy.load(os.path.join(inputs, f))["x"])]
print("FAIL" if wrong else "ok  ", name, f"outputs of {len(files)} requests", *wrong)
sys.exit(bool(wrong))
PY
}
# NAME JSON CAPACITY BUILT SHAPE...: the counters are those of TF-TRT's rule; BUILT: shapes on disk before, or -
by_rule() {
  python3 - "$@" <<'PY' || failed=1
import json, sys
name, path, capacity, before, *shapes = sys.argv[1:]
disk = set() if before == "-" else set(before.split(","))
held, want = [], dict(hits=0, misses=0, builds=0, loads=0, evictions=0, fallback_runs=0)
for shape in shapes:
    batch, *rest = shape.split("x")
    fits = [h for h in held if h.split("x")[1:] == rest and int(h.split("x")[0]) >= int(batch)]
    if fits:
        used = min(fits, key=lambda h: int(h.split("x")[0]))
        held.remove(used)
        want["hits"] += 1
    else:
        used = shape
        want["misses"] += 1
        want["loads"] += 1
        want["builds"] += used not in disk
        disk.add(used)
        if len(held) == int(capacity):
            held.pop()
            want["evictions"] += 1
    held.insert(0, used)
want["entries"] = len(held)
found = json.load(open(path))["engine_cache"]
wrong = {key: (found.get(key), value) for key, value in want.items() if found.get(key) != value}
print("FAIL" if wrong else "ok  ", name, f"(found, expected) {wrong}" if wrong else want)
sys.exit(bool(wrong))
PY
}
counted() { # NAME JSON KEY=VALUE...
  python3 - "$@" <<'PY' || failed=1
import json, sys
name, path, *expected = sys.argv[1:]
found = json.load(open(path))["engine_cache"]
wrong = [e for e in expected if str(found[e.split("=")[0]]) != e.split("=")[1]]
print("FAIL" if wrong else "ok  ", name, wrong or "", found)
sys.exit(bool(wrong))
PY
}
ran() { # NAME ARGUMENT...: JSON in $scratch/NAME.json
  local name=$1
  shift
  "$run" run "$@" --json >"$scratch/$name.json" 2>"$scratch/$name.log" && return
  echo "FAIL $name: exit $?"
  tail -3 "$scratch/$name.log"
  failed=1
}

lru=(1x10 1x20 1x10 1x20 1x30 1x20 1x40 1x20 1x40)
requests lru float32 "${lru[@]}"
ran lru "$f32" --device gpu --cache "$scratch/c" "${build[@]}" --dynamic block --dynamic-capacity 2 --inputs "$scratch/lru"
by_rule "LRUCacheTest.Basic" "$scratch/lru.json" 2 - "${lru[@]}"

engines=(2x2 1x2 3x2 10x10 1x10 3x2 1x2 4x3 1x1)
requests engines float32 "${engines[@]}"
ran engines "$f32" --device gpu --cache "$scratch/d" "${build[@]}" --dynamic block --dynamic-capacity 4 --inputs "$scratch/engines"
by_rule "DynamicEngines, an eviction" "$scratch/engines.json" 4 - "${engines[@]}"
ran again "$f32" --device gpu --cache "$scratch/d" "${build[@]}" --dynamic block --dynamic-capacity 1 \
  --inputs "$scratch/engines"
by_rule "room for one, all on disk" "$scratch/again.json" 1 2x2,3x2,10x10,4x3,1x1,1x10,1x2 "${engines[@]}"
ran outputs "$f32" --device gpu --cache "$scratch/d" "${build[@]}" --dynamic block --dynamic-capacity 1 \
  --inputs "$scratch/engines" --outputs "$scratch/engines-out"
doubled "after evictions" "$scratch/engines" "$scratch/engines-out"

requests static float32 1x2
requests other float32 1x3
"$run" prepare "$f32" "${build[@]}" --cache "$scratch/e" --shape x=1x2 >/dev/null 2>"$scratch/prepare.log" ||
  { echo "FAIL prepare"; tail -3 "$scratch/prepare.log"; failed=1; }
ran static "$f32" --device gpu --cache "$scratch/e" --inputs "$scratch/static" --outputs "$scratch/static-out"
doubled "ExplicitBatch, built beforehand" "$scratch/static" "$scratch/static-out"
if "$run" run "$f32" --device gpu --cache "$scratch/e" --inputs "$scratch/other" >/dev/null 2>"$scratch/other.log"; then
  echo "FAIL ExplicitBatch: an engine for 1x2 took 1x3"
  failed=1
else echo "ok   ExplicitBatch, other shapes refused: $(tail -1 "$scratch/other.log")"; fi

requests shapes float32 1x2 1x37 1x37 1x2
ran shapes "$f32" --device gpu --cache "$scratch/e" "${build[@]}" --dynamic never-build --dynamic-capacity 1 --inputs "$scratch/shapes"
if grep -q fallback_runs "$scratch/shapes.json"; then
  counted "DynamicShapes, native segment for 1x37" "$scratch/shapes.json" builds=0 fallback_runs=2
fi

requests basic float16 2x1
for dynamic in block fallback never-build; do
  ran "basic-$dynamic" "$f16" --device gpu --cache "$scratch/f-$dynamic" "${build[@]}" --dynamic "$dynamic" \
    --inputs "$scratch/basic" --outputs "$scratch/basic-out-$dynamic"
  doubled "Basic, float16, $dynamic" "$scratch/basic" "$scratch/basic-out-$dynamic"
done
exit "$failed"
