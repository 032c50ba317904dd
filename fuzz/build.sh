#!/bin/sh
# Builds the fuzz targets with the stable toolchain: what `cargo fuzz build --sanitizer none` does.
set -eu
cd "$(dirname "$0")"
flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
flags="$flags -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
flags="$flags -Cllvm-args=-sanitizer-coverage-pc-table"
flags="$flags -Cllvm-args=-sanitizer-coverage-trace-compares"
flags="$flags -Ccodegen-units=1 --cfg fuzzing"
# --target keeps the flags from build scripts.
RUSTFLAGS="$flags" exec cargo build --release --target x86_64-unknown-linux-gnu "$@"
