#!/usr/bin/env bash
# Sets tfjet's estimates for Jetson boards beside published measurements; writes docs/boards.md.
# Arguments go to benches/boards/compare.py.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/bench-setup.sh
cargo build --release --locked --bin tfjet
export PYTHONDONTWRITEBYTECODE=1
bench-out/venv/bin/python benches/boards/compare.py \
  --tfjet "${CARGO_TARGET_DIR:-target}/release/tfjet" --work bench-out/boards \
  --report docs/boards.md "$@"
