#!/usr/bin/env bash
# What takes the room in tfjet-run: the sections of the program of `make cross`, and its functions
# by crate, from a build with names, which takes as long as the first one.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/cross-env.sh
export LC_ALL=C

CARGO_PROFILE_DIST_STRIP=none cross_cargo zigbuild --profile dist \
  --no-default-features --features run,video --bin tfjet-run
program=$(dirname "$out")/$target/dist/tfjet-run

echo
echo "bytes  section"
size -A -d "$program" | awk '/^\./ && !/^\.(t?bss|debug|comment|symtab|strtab)/ { print $2, $1 }' |
  sort -rn | head -n 12

# A function made from a generic one counts for the crate of the generic one.
echo
echo "bytes  functions of"
nm -S -C -t d --defined-only "$program" | awk '
  $3 ~ /^[tTwW]$/ && !seen[$1]++ {
    name = $4
    gsub(/^[<&*(\[]+/, "", name)
    sub(/(::|<|>|,).*/, "", name)
    bytes[name] += $2
  }
  END { for (name in bytes) printf "%d %s\n", bytes[name], name }
' | sort -rn | head -n 25
