#!/usr/bin/env bash
# Compares tfjet with TensorFlow and ONNX Runtime; writes docs/benchmarks.md and
# bench-out/results.json. Arguments go to benches/compare.py.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${CARGO_TARGET_DIR:-target}/release
cache=${TFJET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tfjet}

scripts/bench-setup.sh
cargo build --release --locked --bins
"$bin/tfjet" fetch --cache "$cache" centernet efficientnet-lite0 openpose vtest onnxruntime

export TFJET_ONNXRUNTIME=$cache/onnxruntime/libonnxruntime.so.1.32.0
export PYTHONDONTWRITEBYTECODE=1
bench-out/venv/bin/python benches/compare.py \
  --bin "$bin" --cache "$cache" --out bench-out --report docs/benchmarks.md \
  --python bench-out/venv/bin/python --python-tf2onnx bench-out/venv-tf2onnx/bin/python "$@"
