#!/usr/bin/env bash
# The checks and measurements that take a GPU, on a machine without Rust.
#
#   tests/gpu/run.sh BIN MODELS LIBS OUT [STEP...]
#
# BIN and MODELS come from tests/gpu/pack.sh, LIBS holds libnvinfer.so.8 and its builder resource,
# OUT takes logs and figures. Steps: tests layers parity sanitizer faults shapes cache sizes kill int8
# bench raw pytorch; all of them when none is named. parity-MODEL is that model's part of parity, and
# int8-PART a part of int8.sh, so that several calls can share the work; TFJET_PRECISIONS ("fp32 fp16") and TFJET_BUILD_SECONDS (300, for one build)
# bound it further. A step that fails does not stop the others; the last lines sum up.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=$(realpath "$1") models=$(realpath "$2") libs=$(realpath "$3") out=$(mkdir -p "$4" && realpath "$4")
shift 4
steps=("$@")
((${#steps[@]})) || steps=(tests layers parity sanitizer faults shapes cache sizes kill int8 bench raw pytorch)
export LD_LIBRARY_PATH=$libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export TFJET_TENSORRT=$libs/libnvinfer.so.8 TFJET_CACHE=${TFJET_CACHE:-/tmp/tfjet-cache}
export PYTHONUNBUFFERED=1
run=$bin/tfjet-run
summary=$out/summary.txt
: >>"$summary"
say() { echo "$*" | tee -a "$summary"; }
# TensorRT 8.5.2 knows no cuBLAS or cuDNN here, hence no tactic sources but its own.
common=(--tactic-sources none --workspace 4096 --tensorrt "$TFJET_TENSORRT")

check() { # NAME LIMIT_SECONDS COMMAND...: one line in the summary, the output in a log
  local name=$1 limit=$2 start=$SECONDS rc=0
  shift 2
  timeout "$limit" "$@" >"$out/$name.log" 2>&1 || rc=$?
  if ((rc)); then say "FAIL $name (exit $rc, $((SECONDS - start)) s)"; tail -15 "$out/$name.log"
  else say "ok   $name ($((SECONDS - start)) s)"; fi
  return "$rc"
}
prepare() { # NAME BUNDLE OUT ARGUMENT...
  local name=$1 bundle=$2 target=$3
  shift 3
  check "prepare-$name" "${TFJET_BUILD_SECONDS:-300}" "$run" prepare "$bundle" "${common[@]}" --write-back "$target" "$@"
}

has() { [[ " ${steps[*]} " == *" $1 "* ]]; }
nvidia-smi --query-gpu=name,driver_version --format=csv,noheader | tee -a "$summary"
check doctor 60 "$run" doctor --tensorrt "$TFJET_TENSORRT"
head -5 "$out/doctor.log"

# One build at a time: TensorRT 8.5.2's builders take turns on the GPU, and ten of them side by side
# take longer than one after the other.
if has tests; then
  for name in cuda-gpu cuda-kernels tensorrt-engine runtime-gpu; do
    check "$name" 240 "$bin/$name" --nocapture --test-threads 1
  done
  check runtime-unit 120 "$bin/runtime-unit" gpu --nocapture
fi
if has layers; then check tensorrt-layers 500 "$bin/tensorrt-layers" tensorrt_computes --nocapture; fi

# BUNDLE REFERENCE LIMIT_FP32 LIMIT_FP16 [parity.py's rows]
parity() {
  local model=$1 reference=$models/$2.npz precision limit
  shift 2
  has parity || has "parity-$model" || return
  local limits=("$1" "$2")
  shift 2
  [[ -f $models/$model.jet && -f $reference ]] || { say "skip parity $model: no bundle or reference"; return; }
  local shapes=() i=0
  while read -r shape; do shapes+=(--shape "$shape"); done < <(python3 - "$reference" <<'PY'
import sys, numpy
for name, array in numpy.load(sys.argv[1]).items():
    if name.startswith("in:"):
        print(f"{name[3:]}={'x'.join(map(str, array.shape))}")
PY
  )
  for precision in fp32 fp16; do
    limit=${limits[i++]}
    [[ " ${TFJET_PRECISIONS:-fp32 fp16} " == *" $precision "* ]] || continue
    local tf32=()
    [[ $precision == fp32 ]] && tf32=(--no-tf32)
    prepare "$model-$precision" "$models/$model.jet" "/tmp/$model-$precision.jet" \
      --precision "$precision" "${tf32[@]}" "${shapes[@]}" || continue
    check "run-$model-$precision" 60 "$run" run "/tmp/$model-$precision.jet" --device gpu \
      --precision "$precision" --inputs "$reference" --outputs "/tmp/$model-$precision.npz" --repeat 20 --json || continue
    grep -h median "$out/run-$model-$precision.log" | tee -a "$summary"
    check "parity-$model-$precision" 60 python3 "$here/parity.py" "$reference" \
      "/tmp/$model-$precision.npz" "$limit" "$@"
    cat "$out/parity-$model-$precision.log" >>"$summary"
  done
}
if [[ " ${steps[*]} " == *" parity"* ]]; then
  parity fer fer_minixception 1e-3 2e-2
  parity ssd ssd_cut 1e-3 2e-2
  parity ssd-full ssd_mobilenet_v1_0.25_coco90 1e-3 5e-2
  parity centernet-outside centernet 1e-3 2e-2 --rows 20
  parity centernet centernet 1e-3 2e-2 --rows 20
  parity openpose openpose_mobilenet_thin 1e-3 2e-2
  parity efficientnet-lite0 efficientnet_lite0_imagenet 1e-3 2e-2
fi
# Without TF32: memcheck objects to a cluster kernel of TensorRT's own, made for it.
if has sanitizer; then
  prepare sanitizer "$models/fer.jet" /tmp/sanitizer.jet --no-tf32 &&
    check sanitizer 200 compute-sanitizer --error-exitcode 9 "$run" run /tmp/sanitizer.jet \
      --device gpu --inputs "$models/fer_minixception.npz" --repeat 3
  grep -h 'ERROR SUMMARY' "$out/sanitizer.log" | tee -a "$summary"
fi
if has tests || has layers; then
  grep -hs 'cases in\|cases ran\|test result' "$out"/{cuda-gpu,cuda-kernels,tensorrt-engine,tensorrt-layers,runtime-unit,runtime-gpu}.log >>"$summary"
fi
if has faults; then
  check faults 300 "$here/faults.sh" "$run" "$models/fer.jet" "$out" "${common[@]}"
  cat "$out/faults.log" >>"$summary"
fi
if has shapes; then
  check shapes 400 "$here/dynamic.sh" "$run" "$models/fer.jet" "$out" "${common[@]}" --no-tf32
  cat "$out/shapes.log" >>"$summary"
fi
if has cache; then
  check cache 500 "$here/engine_cache.sh" "$run" "$models/double_f32.jet" "$models/double_f16.jet" "$out" \
    "${common[@]}"
  cat "$out/cache.log" >>"$summary"
fi
if has sizes; then
  check sizes 500 "$here/sizes.sh" "$run" "$models/openpose.jet" image 20 1e-3 "$out" "${common[@]}" --no-tf32
  tail -1 "$out/sizes.log" >>"$summary"
fi
if has kill; then
  check kill 590 "$here/kill.sh" "$run" "$models/fer.jet" "$out" "${common[@]}"
  cat "$out/kill.log" >>"$summary"
fi
parts=()
for step in "${steps[@]}"; do [[ $step == int8-* ]] && parts+=("${step#int8-}"); done
if has int8 || ((${#parts[@]})); then
  has int8 && parts=()
  "$here/int8.sh" "$bin" "$models" "$libs" "$out" ${parts[@]+"${parts[@]}"}
fi
resnet() { # PRECISION
  local precision=$1 batch name
  for batch in 1 8 128; do
    name=resnet50-$precision-$batch
    prepare "$name" "$models/resnet50.jet" "/tmp/$name.jet" --precision "$precision" --detailed \
      --shape "input=${batch}x224x224x3" || continue
    check "bench-$name" 60 "$run" bench "/tmp/$name.jet" --precision "$precision" --shape "input=${batch}x224x224x3" \
      --duration 1.5 --warm-up 0.3 --json
    cat "$out/bench-$name.log" >>"$summary"
    has raw || continue
    check "raw-$name" 60 "$bin/raw-enqueue" "/tmp/$name.jet" "trt8.5.2-sm90-$precision" 1.5 \
      "$TFJET_TENSORRT" "${batch}x224x224x3"
    cat "$out/raw-$name.log" >>"$summary"
  done
}
if has bench && [[ -f $models/resnet50.jet ]]; then
  resnet fp16
  check bench-layers 60 "$run" bench /tmp/resnet50-fp16-8.jet --shape input=8x224x224x3 \
    --duration 0.5 --layers
  check bench-streams 60 "$run" bench /tmp/resnet50-fp16-1.jet --shape input=1x224x224x3 \
    --duration 1 --streams 4
fi
if has pytorch; then
  check pytorch 200 python3 "$here/pytorch_resnet50.py" 0.7
  cat "$out/pytorch.log" >>"$summary"
fi
if has bench && [[ -f $models/resnet50.jet ]]; then resnet fp32; fi
echo; cat "$summary"
! grep -q '^FAIL' "$summary"
