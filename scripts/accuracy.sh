#!/usr/bin/env bash
# Measures what FP16 and INT8 cost in accuracy; writes docs/accuracy-report.md.
# Arguments go to scripts/accuracy_report.py, as `--only shapes`. TFJET_ACCURACY_OUT is where images,
# models and results are kept, TFJET_BIN a folder with programs that are built already.
# TFJET_TENSORFLOW_PYTHON and TFJET_TF2ONNX_PYTHON are Pythons that have TensorFlow and tf2onnx, else
# they are made in bench-out/.
set -euo pipefail
cd "$(dirname "$0")/.."

out=${TFJET_ACCURACY_OUT:-bench-out/accuracy}
cache=${TFJET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tfjet}
python=${TFJET_TENSORFLOW_PYTHON:-}
python_tf2onnx=${TFJET_TF2ONNX_PYTHON:-}

mkdir -p "$out"
if [[ -z $python || -z $python_tf2onnx ]]; then
  scripts/bench-setup.sh
  python=${python:-bench-out/venv/bin/python}
  python_tf2onnx=${python_tf2onnx:-bench-out/venv-tf2onnx/bin/python}
fi
images=$out/venv-images
if [[ ! -f $images/complete ]]; then
  echo "accuracy: making $images"
  rm -rf "$images"
  python3 -m venv "$images"
  "$images/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 pillow==13.0.0 opencv-python-headless==4.13.0.92 \
    onnx==1.23.2 onnxruntime==1.32.0
  touch "$images/complete"
fi
bin=${TFJET_BIN:-}
if [[ -z $bin ]]; then
  cargo build --release --locked --bins
  bin=${CARGO_TARGET_DIR:-target}/release
fi
"$bin/tfjet" fetch --cache "$cache" centernet efficientnet-lite0 onnxruntime

export TFJET_ONNXRUNTIME=${TFJET_ONNXRUNTIME:-$cache/onnxruntime/libonnxruntime.so.1.32.0}
export PYTHONDONTWRITEBYTECODE=1
if [[ ! -f $out/images/manifest.json ]]; then
  "$images/bin/python" scripts/make_evaluation_images.py "$out/images" --downloads "$out/downloads"
fi
if [[ ! -f $out/shapes/classes.txt ]]; then
  "$images/bin/python" scripts/make_shapes_dataset.py "$out/shapes"
fi
if [[ ! -f $out/trained/results.json ]]; then
  "$python" examples/qat/train.py "$out/shapes" "$out/trained"
fi
exec "$images/bin/python" scripts/accuracy_report.py \
  --bin "$bin" --cache "$cache" --out "$out" --python-tf2onnx "$python_tf2onnx" \
  --report docs/accuracy-report.md "$@"
