#!/usr/bin/env bash
# The boards' side on an emulated Cortex-A57, the processor of Nano and TX2: the tests of the
# crates that run there, with ONNX Runtime's and TensorRT-RTX's libraries for aarch64, and the
# programs of scripts/cross.sh over a clip, with Debian's GStreamer for arm64, against this
# machine's results. Where something for that is not to be had, it says so and succeeds.
set -euo pipefail
cd "$(dirname "$0")/.."

skip() {
  echo "test-aarch64: SKIPPED, nothing was tested for aarch64: $*" >&2
  exit 0
}

[[ $(uname -m) == x86_64 ]] || skip "this machine is no x86-64 one"
scripts/setup.sh aarch64 || skip "the packages for emulation are missing"
status=0
scripts/cross.sh || status=$?
((status != 4)) || skip "the programs cannot be built"
((status == 0)) || exit "$status"
. scripts/cross-env.sh

sysroot=$cache/sysroot-arm64
cross/sysroot.sh "$sysroot" gstreamer1.0-plugins-base libstdc++6 ||
  skip "apt could not get the packages for arm64"
# Without it programs would see this machine's, and ONNX Runtime crashes at an aarch64 processor
# without its numbers.
mkdir -p "$sysroot/proc"
for ((processor = 0; processor < $(nproc); processor++)); do
  printf '%s\t: %s\n' processor "$processor" "CPU implementer" 0x41 "CPU architecture" 8 \
    "CPU variant" 0x1 "CPU part" 0xd07 "CPU revision" 1 \
    Features "fp asimd evtstrm aes pmull sha1 sha2 crc32"
  echo
done >"$sysroot/proc/cpuinfo"

bin=${CARGO_TARGET_DIR:-target}/debug/tfjet
[[ -x $bin ]] || cargo build --locked --all-features --bin tfjet
for name in onnxruntime-aarch64 onnxruntime-jetpack4 tensorrt-rtx-aarch64 \
  onnxruntime centernet efficientnet-lite0 vtest; do
  "$bin" fetch --cache "$cache" "$name" ||
    echo "test-aarch64: $name could not be fetched; the tests that need it are skipped" >&2
done
# Programs that an emulated program starts run where the kernel hands them to QEMU.
export QEMU_LD_PREFIX=$sysroot
children=()
if ! "$out/tfjet-run-headless" --version >/dev/null 2>&1; then
  echo "test-aarch64: SKIPPED, the kernel does not start arm64 programs: tests of several processes" >&2
  children=(-- --skip processes --skip a_process)
fi

board() { # PROCESSOR ONNXRUNTIME-ENTRY ARGUMENT...: cargo test, emulated
  local libraries=() rtx=$cache/tensorrt-rtx-aarch64/libtensorrt_rtx.so.1
  [[ ! -d $cache/$2 ]] || libraries+=(TFJET_ONNXRUNTIME="$(ls "$cache/$2"/libonnxruntime.so.*)")
  [[ ! -f $rtx ]] || libraries+=(TFJET_TENSORRT_RTX="$rtx")
  (
    export "${libraries[@]}" \
      CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=qemu-aarch64-static QEMU_CPU=$1
    cross_cargo test "${@:3}" "${children[@]}"
  )
}

unset TFJET_ONNXRUNTIME TFJET_TENSORRT_RTX
export TFJET_CACHE=$cache
crates=(-p tfjet-core -p tfjet-bundle -p tfjet-ops -p tfjet-cpu -p tfjet-runtime)
board cortex-a57 onnxruntime-aarch64 "${crates[@]}" --lib --tests
board cortex-a57 onnxruntime-aarch64 -p tfjet-tensorrt --lib --test library
# What runs elsewhere on newer processors, and JetPack 4's ONNX Runtime.
board max onnxruntime-jetpack4 -p tfjet-ops -p tfjet-cpu -p tfjet-runtime \
  --test goldens --test engine --test onnxruntime

export TFJET_AARCH64=$out TFJET_AARCH64_SYSROOT=$sysroot
cargo test --workspace --all-features --locked --test cross
