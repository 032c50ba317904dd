#!/usr/bin/env bash
# A TensorFlow detector over a video clip: fetch, build, convert, run. Results go to demo-out/.
# FRAMES=N stops after N frames.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${CARGO_TARGET_DIR:-target}/release
out=demo-out
png=${FRAMES:-795}
((png > 100)) && png=100 || png=$((png - 1))

cargo build --release --locked --bins
cache=${TFJET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tfjet}
"$bin/tfjet" fetch --cache "$cache" centernet vtest onnxruntime

mkdir -p "$out"
"$bin/tfjet" convert "$cache/centernet/centernet.json" -o "$out/centernet.jet"
"$bin/tfjet-run" run "$out/centernet.jet" \
  --source "$cache/vtest/vtest.avi" \
  --sink "$out/annotated.mkv" \
  --sink "$out/frame.png@$png" \
  --sink "$out/detections.jsonl" \
  ${FRAMES:+--frames "$FRAMES"} \
  --onnxruntime "$cache/onnxruntime/libonnxruntime.so.1.32.0"

echo
echo "The results:"
ls -lh "$out/centernet.jet" "$out/annotated.mkv" "$out/frame.png" "$out/detections.jsonl"
