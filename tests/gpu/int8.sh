#!/usr/bin/env bash
# INT8 on a GPU: engines in every form, what they cost in accuracy, and how fast they are.
#
#   tests/gpu/int8.sh BIN MODELS LIBS OUT [PART...]
#
# MODELS/int8/NAME/ holds a model: int8.jet, its bundle in INT8; fp32.jet, the same model in FP32, which
# is the reference; images/, or MODELS/int8/images for all that have none of their own; and, where there
# is one, `arguments`, more words for `tfjet accuracy`. MODELS/resnet50.jet is converted in INT8 too.
# Parts: tests, the names of models, bench; all of them when none is named. TFJET_INT8_FORMS ("fp32 fp16
# int8 pinned explicit"), TFJET_BUILD_SECONDS (300, for one build) and TFJET_INT8_SAMPLES (all) bound it
# further; TFJET_ONNXRUNTIME names ONNX Runtime's library. Engines that TMP holds from before are taken.
#
# A form: fp32 without TF32; fp16; int8, by ranges, TensorRT free to choose; pinned, the same with every
# layer held to the bundle's numbers; explicit, by layers that quantize. Each is compared with fp32.jet on
# the CPU, and pinned and explicit ones with what the CPU makes of int8.jet's own numbers.
set -uo pipefail
bin=$(realpath "$1") models=$(realpath "$2") libs=$(realpath "$3") out=$(mkdir -p "$4" && realpath "$4")
shift 4
parts=("$@")
export LD_LIBRARY_PATH=$libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export TFJET_TENSORRT=${TFJET_TENSORRT:-$libs/libnvinfer.so.8} TFJET_CACHE=${TFJET_CACHE:-/tmp/tfjet-cache}
forms=${TFJET_INT8_FORMS:-fp32 fp16 int8 pinned explicit}
scratch=${TMP:-/tmp}/tfjet-int8
mkdir -p "$scratch"
summary=$out/summary.txt
: >>"$summary"
failed=0
say() { echo "$*" | tee -a "$summary"; }
fail() { say "FAIL $*"; failed=1; }
has() { ((${#parts[@]} == 0)) || [[ " ${parts[*]} " == *" $1 "* ]]; }

# NAME LIMIT_SECONDS COMMAND...: one line in the summary, the output in NAME.log, what it prints in NAME.json
check() {
  local name=$1 limit=$2 start=$SECONDS rc=0
  shift 2
  timeout "$limit" "$@" >"$out/$name.json" 2>"$out/$name.log" || rc=$?
  if ((rc)); then
    fail "$name (exit $rc, $((SECONDS - start)) s)"
    tail -3 "$out/$name.log" | tee -a "$summary"
  else say "ok   $name ($((SECONDS - start)) s)"; fi
  return "$rc"
}

# NAME BUNDLE OUT FORM ARGUMENT...: the bundle with engines of that form
prepare() {
  local name=$1 bundle=$2 target=$3 form=$4 words=()
  shift 4
  [[ -f $target ]] && return
  case $form in
  fp32) words=(--precision fp32 --no-tf32) ;;
  fp16) words=(--precision fp16) ;;
  int8) words=(--precision int8 --quantization implicit) ;;
  pinned) words=(--precision int8 --quantization implicit --pin-precisions) ;;
  explicit) words=(--precision int8 --quantization explicit) ;;
  esac
  # TensorRT 8.5.2 knows no cuBLAS or cuDNN here, hence no tactic sources but its own.
  check "prepare-$name" "${TFJET_BUILD_SECONDS:-300}" "$bin/tfjet-run" prepare "$bundle" "${words[@]}" \
    --tactic-sources none --workspace 4096 --tensorrt "$TFJET_TENSORRT" --cache "$scratch/cache-$form" \
    --detailed --json --write-back "$target.part" "$@" || { explain "$out/prepare-$name.log"; return 1; }
  mv "$target.part" "$target"
  python3 - "$out/prepare-$name.json" <<'PY' | tee -a "$summary"
import json, re, sys
for s in json.load(open(sys.argv[1]))["segments"]:
    print(f"       {s['name']}: {s['status']}, {s['seconds']:.0f} s, {s['len_bytes'] / 2**20:.1f} MiB")
    try:
        log = open(re.sub(r"jet$", "log", s["file"]), errors="replace").read().splitlines()
    except OSError:
        continue
    said = r"have a range|have no range|compute in floats|are told to|Missing scale|precision constraint"
    said = [line for line in log if re.search(said, line, re.I)]
    for line in said[:6]:
        print("         " + line[:300])
    if len(said) > 6:
        print(f"         and {len(said) - 6} more such lines")
PY
}
# What the building process logged about precisions, or its errors.
explain() {
  local log
  while read -r log; do
    grep -hE 'have a range|computes? in|told to|obeys|ERROR|rror' "$log" | tail -8 | cut -c1-300 | tee -a "$summary"
  done < <(grep -o 'log: [^)]*' "$1" | sed 's/log: //')
}

# NAME JSON [TOP1 SQNR]: what `tfjet accuracy` found, against limits where they are given
judge() {
  python3 - "$@" <<'PY' | tee -a "$summary"
import json, sys
name, path, *limits = sys.argv[1:]
report = json.load(open(path))
words, good = [], True
classes, found = report.get("classes"), report.get("detections")
agreement = classes["agreement_percent"] if classes else found["kept_percent"] if found else None
if agreement is not None:
    words.append(f"{'top-1 agreement' if classes else 'detections kept'} {agreement:.2f} %")
truth = (classes or {}).get("truth")
if truth:
    words.append(f"truth {json.dumps(truth)}")
shown = {o["name"]: o["sqnr_db"] for o in report["outputs"]}
text = lambda db: "exact" if db is None else f"{db:.1f} dB"
words += [f"{output} {text(db)}" for output, db in shown.items()]
if limits:
    least, noise = map(float, limits)
    good &= agreement is None or agreement >= least
    # Boxes and classes of detectors change places; what they keep is what counts.
    good &= bool(found) or all(db is None or db >= noise for db in shown.values())
    words.append(f"(limits {least:g} %, {noise:g} dB)")
print(f"{'ok  ' if good else 'FAIL'} {name}, {report['samples']} samples: {', '.join(words)}")
PY
}

accuracy() { # NAME FOLDER BUNDLE PRECISION WORDS...
  local name=$1 folder=$2 bundle=$3 precision=$4 images=$2/images extra=()
  shift 4
  [[ -d $images ]] || images=$models/int8/images
  [[ -f $folder/arguments ]] && read -ra extra <"$folder/arguments"
  [[ -n ${TFJET_INT8_SAMPLES:-} ]] && extra+=(--samples "$TFJET_INT8_SAMPLES")
  check "$name" 500 "$bin/tfjet" accuracy "$@" --bundle "$bundle" --images "$images" --device gpu \
    --precision "$precision" --layer-samples 0 --json ${extra[@]+"${extra[@]}"}
}

model() { # FOLDER
  local folder=$1 name form precision bundle
  name=$(basename "$folder")
  for form in $forms; do
    precision=$form bundle=$scratch/$name-$form.jet
    [[ $form == pinned || $form == explicit ]] && precision=int8
    prepare "$name-$form" "$folder/int8.jet" "$bundle" "$form" || continue
    accuracy "accuracy-$name-$form" "$folder" "$bundle" "$precision" "$folder/fp32.jet" &&
      judge "$name $form against FP32" "$out/accuracy-$name-$form.json"
    [[ $form == pinned || $form == explicit ]] || continue
    accuracy "emulation-$name-$form" "$folder" "$bundle" int8 --reference bundle-cpu &&
      judge "$name $form against the CPU's INT8" "$out/emulation-$name-$form.json" 99 20
  done
}

bench() {
  local batch name bundle
  for batch in 1 8 128; do
    name=resnet50-int8-$batch bundle=$scratch/resnet50-int8-$batch.jet
    prepare "$name" "$models/resnet50.jet" "$bundle" int8 --shape "input=${batch}x224x224x3" || continue
    check "bench-$name" 60 "$bin/tfjet-run" bench "$bundle" --precision int8 --duration 1.5 --warm-up 0.3 \
      --shape "input=${batch}x224x224x3" --json || continue
    check "raw-$name" 60 "$bin/raw-enqueue" "$bundle" "$(target "$bundle")" 1.5 "$TFJET_TENSORRT" \
      "${batch}x224x224x3" || continue
    python3 - "$batch" "$out/bench-$name.json" "$out/raw-$name.json" <<'PY' | tee -a "$summary"
import json, sys
batch, ours, raw = int(sys.argv[1]), json.load(open(sys.argv[2])), {}
for line in open(sys.argv[3]):
    line = json.loads(line)
    if "loop" in line:
        raw[line["loop"]] = line["wall_ms"]
mine = ours["resident"]["streams"][0]["wall_ms"]
least = min(raw["enqueueV3"], raw["CUDA graph"])
good = mine <= least * 1.03
print(f"{'ok  ' if good else 'FAIL'} ResNet-50 INT8 batch {batch}: {mine:.3f} ms, {batch / mine * 1e3:.0f} images/s; "
      f"enqueueV3 {raw['enqueueV3']:.3f} ms, its CUDA graph {raw['CUDA graph']:.3f} ms (limit 3 % over the faster)")
PY
  done
  bundle=$scratch/resnet50-int8-8.jet
  [[ -f $bundle ]] || return
  if check bench-layers-int8 60 "$bin/tfjet-run" bench "$bundle" --precision int8 --shape input=8x224x224x3 \
    --duration 0.5 --layers; then
    grep -E '^ *(INT8|FP16|FP32) +[0-9]+ layers' "$out/bench-layers-int8.json" | tee -a "$summary"
    grep -q '^ *INT8 ' "$out/bench-layers-int8.json" || fail "bench-layers-int8: no layer is in INT8"
  fi
}
# The section of a bundle's INT8 engines.
target() {
  grep -aoE 'trt[0-9.]+-(sm[0-9]+|any)-int8' "$1" | head -1
}

if has tests; then
  check tensorrt-quantized 240 "$bin/tensorrt-quantized" --nocapture --test-threads 1
  grep -hE 'from INT8 as defined|panicked|off"' "$out/tensorrt-quantized.log" "$out/tensorrt-quantized.json" | tee -a "$summary"
fi
for folder in "$models"/int8/*/; do
  [[ -f $folder/int8.jet ]] || continue
  has "$(basename "$folder")" && model "${folder%/}"
done
if has bench; then
  if [[ -f $models/resnet50.jet ]]; then bench; else say "skip int8 bench: no $models/resnet50.jet"; fi
fi
! ((failed)) && ! grep -q '^FAIL' "$summary"
