#!/usr/bin/env bash
# The AArch64 calling convention: the tests of tfjet-tensorrt, cross-compiled and emulated, with
# TensorRT-RTX's library for aarch64, which builds engines without a GPU. Where something for that
# is not to be had, it says so and succeeds.
set -euo pipefail
cd "$(dirname "$0")/.."

skip() {
  echo "test-aarch64: SKIPPED, nothing was tested for aarch64: $*" >&2
  exit 0
}

target=aarch64-unknown-linux-gnu
cache=${TFJET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tfjet}
bin=${CARGO_TARGET_DIR:-target}/debug/tfjet

[[ $(uname -m) == x86_64 ]] || skip "this machine is no x86-64 one"
scripts/setup.sh aarch64 || skip "the packages for cross-compiling and emulation are missing"
if [[ ! -d $(rustc --print sysroot)/lib/rustlib/$target ]]; then
  command -v rustup >/dev/null || skip "Rust has no $target and there is no rustup to add it"
  rustup target add "$target" || skip "rustup could not add $target"
fi
library=$cache/tensorrt-rtx-aarch64/libtensorrt_rtx.so.1
if [[ ! -f $library ]]; then
  [[ -x $bin ]] || cargo build --locked --bin tfjet
  "$bin" fetch --cache "$cache" tensorrt-rtx-aarch64 ||
    skip "TensorRT-RTX for aarch64 could not be fetched"
fi

export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -L /usr/aarch64-linux-gnu"
export TFJET_TENSORRT_RTX=$library
cargo test --locked --target "$target" -p tfjet-tensorrt --lib --test library
