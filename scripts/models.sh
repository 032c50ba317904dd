#!/usr/bin/env bash
# Converts and runs every model that can be had, compares with TensorFlow, writes docs/models.md.
# Arguments are names of models; with some, the page is not written. TFJET_TENSORFLOW_PYTHON is a
# Python that has TensorFlow, else one is made in bench-out/. TFJET_MODELS_OUT is where results are
# kept, TFJET_SHARED a folder with more models, TFJET_BIN one with programs that are built already.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${TFJET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tfjet}
out=${TFJET_MODELS_OUT:-bench-out/models}
shared=${TFJET_SHARED:-../shared/models}
keras=${TFJET_KERAS:-$out/keras}
python=${TFJET_TENSORFLOW_PYTHON:-}

if [[ -z $python ]]; then
  scripts/bench-setup.sh
  python=bench-out/venv/bin/python
fi
bin=${TFJET_BIN:-}
if [[ -z $bin ]]; then
  cargo build --release --locked --bins
  bin=${CARGO_TARGET_DIR:-target}/release
fi
mkdir -p "$out"
"$bin/tfjet" fetch --cache "$cache" \
  centernet handtrack openpose efficientnet-lite0 cutkum basic-pitch human onnxruntime
if [[ ! ( -f $keras/complete && -d $keras/YAMNet ) && -f scripts/make_keras_models.py ]]; then
  mkdir -p "$keras"
  if "$python" scripts/make_keras_models.py applications "$keras"; then
    touch "$keras/complete"
  else
    echo "models: no Keras models" >&2
  fi
fi

export TFJET_ONNXRUNTIME=${TFJET_ONNXRUNTIME:-$cache/onnxruntime/libonnxruntime.so.1.32.0}
export PYTHONDONTWRITEBYTECODE=1
flags=(--bin "$bin" --cache "$cache" --out "$out" --keras "$keras")
[[ -d $shared ]] && flags+=(--shared "$shared")
[[ $# -eq 0 ]] && flags+=(--report docs/models.md)
exec "$python" scripts/models_reference.py "${flags[@]}" "$@"
