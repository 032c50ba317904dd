#!/usr/bin/env bash
# Every test of the workspace, with the models that they take fetched first. Without a network the
# tests that lack a model say that they are skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${TFJET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tfjet}
export TFJET_CACHE=$cache

# The same build that the tests take.
cargo test --workspace --all-features --locked --no-run
for name in onnxruntime tensorrt-rtx centernet handtrack efficientnet-lite0 openpose vtest; do
  "${CARGO_TARGET_DIR:-target}/debug/tfjet" fetch "$name" ||
    echo "test: $name could not be fetched; the tests that need it are skipped" >&2
done
library=$cache/onnxruntime/libonnxruntime.so.1.32.0
if [[ -z ${TFJET_ONNXRUNTIME:-} && -f $library ]]; then
  export TFJET_ONNXRUNTIME=$library
fi
library=$cache/tensorrt-rtx/libtensorrt_rtx.so.1
if [[ -z ${TFJET_TENSORRT_RTX:-} && -f $library ]]; then
  export TFJET_TENSORRT_RTX=$library
fi
[[ -n ${TFJET_TENSORRT_RTX:-} ]] ||
  echo "test: no TensorRT-RTX; no engine is built, and the tests that build one are skipped" >&2
cargo test --workspace --all-features --locked
