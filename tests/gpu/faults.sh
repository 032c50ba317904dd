#!/usr/bin/env bash
# What must be refused on a machine with a GPU, and that `prepare` recovers.
#
#   tests/gpu/faults.sh TFJET_RUN BUNDLE SCRATCH [ARGUMENT OF prepare...]
set -uo pipefail
run=$1 bundle=$2 scratch=$(mktemp -d "$3/faults.XXXX")
shift 3
prepare=("$@")
cache=$scratch/cache
trap 'rm -rf "$scratch"; [[ -z ${hog:-} ]] || kill "$hog" 2>/dev/null' EXIT
failed=0
verdict() { # EXPECTED_CODE PATTERN NAME COMMAND...: the command ends so, with a line that matches
  local expected=$1 pattern=$2 name=$3 rc=0 text
  shift 3
  text=$("$@" 2>&1) || rc=$?
  text=$(tail -1 <<<"$text")
  if ((rc == expected)) && grep -qiE "$pattern" <<<"$text"; then
    echo "ok   $name: $text"
  else
    echo "FAIL $name: exit $rc, expected $expected with /$pattern/: $text"
    failed=1
  fi
}
bench=("$run" bench "$bundle" --device gpu --duration 0.1 --warm-up 0 --json --cache "$cache"
  --shape input=1x64x64x1)
build=("$run" prepare "$bundle" "${prepare[@]}" --cache "$cache")

verdict 5 'prepare' 'not prepared' "${bench[@]}"
verdict 0 '' 'prepare' "${build[@]}"
verdict 0 'resident' 'prepared' "${bench[@]}"
entry=$(find "$cache" -name '*.jet' ! -name 'timing-*' | head -1)
size=$(stat -c %s "$entry")
cp "$entry" "$scratch/whole"

truncate -s $((size / 2)) "$entry"
verdict 5 "damaged.*$(basename "$entry")" 'truncated engine' "${bench[@]}"
verdict 0 '' 'prepare after truncation' "${build[@]}"
verdict 0 'resident' 'recovered' "${bench[@]}"

printf '\xff\xfe' | dd of="$entry" bs=1 seek=$((size - 1000)) conv=notrunc status=none
verdict 5 'damaged.*hash' 'flipped byte' "${bench[@]}"
verdict 0 '' 'prepare after a flipped byte' "${build[@]}"
verdict 0 'resident' 'recovered' "${bench[@]}"

verdict 4 'driver' 'no driver' env TFJET_CUDA_DRIVER="$scratch/none.so" "${bench[@]}"
verdict 4 'TensorRT' 'no TensorRT' "${bench[@]}" --tensorrt "$scratch/none.so"
verdict 3 'TensorRT' 'a library that is no TensorRT' "${bench[@]}" --tensorrt "$(ldconfig -p | awk '/libm.so.6/ {print $NF; exit}')"
mkdir "$scratch/read-only"
if ((EUID)); then
  chmod a-w "$scratch/read-only"
  verdict 3 'read-only' 'unwritable cache' "$run" prepare "$bundle" "${prepare[@]}" --cache "$scratch/read-only"
fi
touch "$scratch/file"
verdict 3 'file' 'a file for a cache' "$run" prepare "$bundle" "${prepare[@]}" --cache "$scratch/file"

python3 - "$scratch/full" <<'PY' &
import sys, time, torch
free, _ = torch.cuda.mem_get_info()
held = []
for size in (1 << 30, 1 << 26, 1 << 22):
    while True:
        try:
            held.append(torch.empty(size, dtype=torch.uint8, device="cuda"))
        except torch.cuda.OutOfMemoryError:
            break
open(sys.argv[1], "w").close()
time.sleep(60)
PY
hog=$!
for _ in $(seq 60); do [[ -e $scratch/full ]] && break; sleep 0.5; done
verdict 3 'memory' 'GPU out of memory' "${bench[@]}"
kill "$hog"
wait "$hog" 2>/dev/null
hog=
verdict 0 'resident' 'memory is back' "${bench[@]}"
exit "$failed"
