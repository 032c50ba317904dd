#!/usr/bin/env bash
# Makes the two Python environments of the benchmarks in bench-out/: tf2onnx needs an older
# TensorFlow than the one that is compared.
set -euo pipefail
cd "$(dirname "$0")/.."

environment() { # FOLDER PACKAGE...
  local folder=$1
  shift
  [[ -f $folder/complete ]] && return
  echo "bench: making $folder"
  rm -rf "$folder"
  python3 -m venv "$folder"
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
  touch "$folder/complete"
}

mkdir -p bench-out
environment bench-out/venv tensorflow-cpu==2.21.0 onnxruntime==1.32.0 pillow
environment bench-out/venv-tf2onnx tensorflow-cpu==2.15.1 tf2onnx==1.17.0 onnx==1.16.2 ||
  echo "bench: no environment for tf2onnx (TensorFlow 2.15 needs Python 3.9 to 3.11); ONNX Runtime is left out" >&2
