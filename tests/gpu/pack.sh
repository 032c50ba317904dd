#!/usr/bin/env bash
# Collects what tests/gpu/run.sh needs on a machine with a GPU but without Rust or a network.
#
#   tests/gpu/pack.sh OUT [RESNET50.pb]
#
# OUT/bin: tfjet-run (without GStreamer), the raw enqueue loop, the test programs that use a GPU.
# OUT/models: bundles for x86-gpu and reference outputs of TensorFlow where ../shared has them.
# OUT/models/int8: bundles in INT8 with images to evaluate them on, where TFJET_INT8_IMAGES names the
# folder that scripts/make_evaluation_images.py wrote (and ONNX Runtime was fetched), and where
# TFJET_INT8_TRAINED names the folder that scripts/accuracy.sh wrote: the network trained on shapes.
# ResNet-50 (made by scripts/make_resnet50.py) lies in OUT/resnet50, split into parts of 48 MB.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
out=$(mkdir -p "${1:?folder to fill}" && cd "$1" && pwd)
resnet=${2:-}
[[ -z $resnet ]] || resnet=$(realpath "$resnet")
cd "$root"
shared=${TFJET_SHARED:-../shared}
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$out/bin" "$out/models"

cargo build --release --locked --bin tfjet
cargo build --release --locked --no-default-features --features run,convert \
  --bin tfjet-run --bin tfjet --example raw_enqueue --target-dir "$target/gpu"
cp "$target/gpu/release/"{tfjet-run,tfjet} "$out/bin/"
cp "$target/gpu/release/examples/raw_enqueue" "$out/bin/raw-enqueue"

tests() { # NAME ARGUMENT_OF_CARGO_TEST...
  local name=$1
  shift
  cargo test --locked "$@" --no-run --message-format=json 2>/dev/null |
    python3 -c '
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable") and message["profile"]["test"]:
        print(message["executable"])' | tail -1 | xargs -I{} cp {} "$out/bin/$name"
}
tests cuda-gpu -p tfjet-cuda --test gpu
tests cuda-kernels -p tfjet-cuda --test kernels
tests tensorrt-engine -p tfjet-tensorrt --test engine
tests tensorrt-layers -p tfjet-tensorrt --test layers
tests tensorrt-quantized -p tfjet-tensorrt --test quantized
tests runtime-gpu -p tfjet-runtime --test gpu
tests runtime-unit -p tfjet-runtime --lib
strip --strip-debug "$out"/bin/{tfjet-run,tfjet,raw-enqueue,cuda-gpu,cuda-kernels,tensorrt-engine,tensorrt-layers} \
  "$out"/bin/{tensorrt-quantized,runtime-gpu,runtime-unit}

tfjet=$target/release/tfjet
cache=${TFJET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tfjet}
export TFJET_CACHE=$cache
while read -r name file; do
  "$tfjet" fetch "$name"
  "$tfjet" convert "$cache/$name/$file" --target x86-gpu --out "$out/models/$name.jet"
done <<'MODELS'
centernet centernet.json
efficientnet-lite0 efficientnet_lite0.pb
openpose openpose_mobilenet_thin.pb
MODELS
"$tfjet" convert "$cache/centernet/centernet.json" --target x86-gpu --deny-op TopKV2 \
  --deny-op GatherV2 --deny-op FloorMod --deny-op FloorDiv --out "$out/models/centernet-outside.jet"
# y = 2x for any shape of two axes, in both precisions: the network of TF-TRT's tests of its cache.
for type in f32:DT_FLOAT:'float_val: 2' f16:DT_HALF:'half_val: 16384'; do
  IFS=: read -r name dtype key value <<<"$type"
  cat >"$out/models/double_$name.pbtxt" <<PBTXT
node { name: "x" op: "Placeholder" attr { key: "dtype" value { type: $dtype } }
  attr { key: "shape" value { shape { dim { size: -1 } dim { size: -1 } } } } }
node { name: "two" op: "Const" attr { key: "dtype" value { type: $dtype } }
  attr { key: "value" value { tensor { dtype: $dtype tensor_shape { } $key:$value } } } }
node { name: "y" op: "Mul" input: "x" input: "two" attr { key: "T" value { type: $dtype } } }
PBTXT
  "$tfjet" convert "$out/models/double_$name.pbtxt" --target x86-gpu --min-segment-size 1 \
    --out "$out/models/double_$name.jet"
done
if [[ -d $shared/models ]]; then
  "$tfjet" convert "$shared/models/fer_minixception.pb" --target x86-gpu --out "$out/models/fer.jet"
  "$tfjet" convert "$shared/models/ssd_mobilenet_v1_0.25_coco90.pb" --target x86-gpu \
    --input Preprocessor/map/TensorArrayStack/TensorArrayGatherV3=1x300x300x3 \
    --output raw_detection_boxes --output raw_detection_scores \
    --out "$out/models/ssd.jet"
  "$tfjet" convert "$shared/models/ssd_mobilenet_v1_0.25_coco90.pb" --batch 1 --target x86-gpu \
    --out "$out/models/ssd-full.jet"
  for name in centernet efficientnet_lite0_imagenet openpose_mobilenet_thin fer_minixception \
    ssd_mobilenet_v1_0.25_coco90; do
    cp "$shared/models/ref/$name.npz" "$out/models/"
  done
else
  echo "pack: no $shared/models: no reference outputs of TensorFlow, no fer, no SSD" >&2
fi
images=${TFJET_INT8_IMAGES:-} trained=${TFJET_INT8_TRAINED:-}
int8() { # NAME MODEL CALIBRATION EVALUATION
  local folder=$out/models/int8/$1
  mkdir -p "$folder"
  cp "$out/models/$1.jet" "$folder/fp32.jet"
  "$tfjet" convert "$2" --target x86-gpu --precision int8 --calibrate "$3" --out "$folder/int8.jet"
  rm -rf "$folder/images"
  cp -r "$4" "$folder/images"
}
if [[ -n $images ]]; then
  int8 efficientnet-lite0 "$cache/efficientnet-lite0/efficientnet_lite0.pb" "$images/calibration" "$images/unlabelled"
  int8 centernet "$cache/centernet/centernet.json" "$images/scenes" "$images/frames"
else
  echo "pack: TFJET_INT8_IMAGES names no images: no bundle in INT8" >&2
fi
if [[ -n $trained ]]; then
  folder=$out/models/int8/shapes model=$trained/trained/shapes_fp32.pb
  rm -rf "$folder"
  mkdir -p "$folder/images"
  task=(--target x86-gpu --mean 127.5 --scale 0.007843137255 --decoder classify
    --labels "$trained/shapes/classes.txt")
  "$tfjet" convert "$model" "${task[@]}" --out "$folder/fp32.jet"
  "$tfjet" convert "$model" "${task[@]}" --precision int8 --float-layers fp32 \
    --calibrate "$trained/shapes/calibration" --out "$folder/int8.jet"
  echo "--labels-from-names *_{class}" >"$folder/arguments"
  # Every tenth of the 10,000.
  cp "$trained"/shapes/test/shape_*0_*.png "$folder/images/"
fi
if [[ -n $resnet ]]; then
  mkdir -p "$out/resnet50" "$out/calibration"
  # Its weights are random: any input of its kind will do.
  python3 - "$out/calibration" <<'PY'
import array, random, struct, sys, zipfile
source = random.Random(5)
header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 224, 224, 3), }".ljust(117) + "\n"
for i in range(4):
    values = array.array("f", (source.gauss(0, 1) for _ in range(224 * 224 * 3)))
    head = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
    with zipfile.ZipFile(f"{sys.argv[1]}/{i}.npz", "w") as file:
        file.writestr("input.npy", head + values.tobytes())
PY
  "$tfjet" convert "$resnet" --target x86-gpu --precision int8 --calibrate "$out/calibration" \
    --method min-max --out "$out/resnet50.jet"
  rm -r "$out/calibration"
  for part in a b; do rm -rf "$out/resnet50/$part"; mkdir -p "$out/resnet50/$part"; done
  half=$(($(stat -c %s "$out/resnet50.jet") / 2))
  head -c "$half" "$out/resnet50.jet" >"$out/resnet50/a/resnet50.jet.0"
  tail -c "+$((half + 1))" "$out/resnet50.jet" >"$out/resnet50/b/resnet50.jet.1"
  rm "$out/resnet50.jet"
fi
du -sh "$out"/*
