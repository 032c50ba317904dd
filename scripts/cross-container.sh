#!/usr/bin/env bash
# tfjet-run for one JetPack, built in a container with that JetPack's compiler, C library and
# GStreamer: cross-container.sh [4|5|6|7]. Needs Docker, or another engine in CONTAINER_ENGINE. The
# container sees this machine's Rust, read-only; rustup is not called.
set -euo pipefail
cd "$(dirname "$0")/.."

jetpack=${1:-4}
engine=${CONTAINER_ENGINE:-docker}
dockerfile=cross/jetpack$jetpack.Dockerfile
target=aarch64-unknown-linux-gnu
image=tfjet-jetpack$jetpack
if [[ ! -f $dockerfile ]]; then
  echo "cross-container: there is no $dockerfile" >&2
  exit 2
fi
rust=$(rustc --print sysroot)
if [[ ! -d $rust/lib/rustlib/$target ]]; then
  echo "cross-container: run \`rustup target add $target\` first" >&2
  exit 4
fi

out=$(realpath -m "${CARGO_TARGET_DIR:-target}")/cross/$image
home=${CARGO_HOME:-$HOME/.cargo}
mkdir -p "$out" "$home"
"$engine" build --tag "$image" --file "$dockerfile" cross
"$engine" run --rm --user "$(id -u):$(id -g)" --workdir /project \
  --volume "$PWD:/project:ro" --volume "$rust:/rust:ro" \
  --volume "$home:/cargo" --volume "$out:/target" \
  --env CARGO_HOME=/cargo --env CARGO_TARGET_DIR=/target --env PATH=/rust/bin:/usr/bin:/bin \
  "$image" cargo build --locked --profile dist --target "$target" \
  --no-default-features --features run,video --bin tfjet-run
echo "cross-container: $out/$target/dist/tfjet-run"
