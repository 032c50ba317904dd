#!/usr/bin/env bash
# tfjet-run for the boards, one program for all of them: target/cross/tfjet-run, and
# target/cross/tfjet-run-headless, which takes no GStreamer. docs/cross-compiling.md has the rest.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/cross-env.sh

build() { # NAME FEATURES [CHECK]
  cross_cargo zigbuild --profile dist --no-default-features --features "$2" --bin tfjet-run
  install "$(dirname "$out")/$target/dist/tfjet-run" "$out/$1"
  scripts/cross-check.sh "${@:3}" "$out/$1"
}

build tfjet-run-headless run
build tfjet-run run,video --gstreamer
