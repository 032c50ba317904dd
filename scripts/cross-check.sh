#!/usr/bin/env bash
# Would this program run on every board? Prints its size and what it needs, or every objection.
#   cross-check.sh [--gstreamer] FILE    a program; GStreamer and GLib are allowed with the flag
#   cross-check.sh --versions FILE       only prints the newest version of each library's symbols
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
export LC_ALL=C

GLIBC=2.27             # JetPack 4's
LIMIT=$((6 * 1024 * 1024))
SYSTEM="libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1 libgcc_s.so.1 ld-linux-aarch64.so.1"
symbols=$root/cross/gstreamer-1.14.symbols

versions() { # FILE: the newest version of each family, such as GLIBC 2.27
  readelf -VW "$1" | grep -oE '\b(GLIBC|GLIBCXX|CXXABI)_[0-9.]+' | sort -uV | tr _ ' ' |
    awk '{ newest[$1] = $2 } END { for (name in newest) print name, newest[name] }' | sort
}

if [[ $1 == --versions ]]; then
  versions "$2"
  exit
fi
allowed=$SYSTEM
if [[ $1 == --gstreamer ]]; then
  allowed+=" $(awk '/^lib/ { print $1 }' "$symbols" | tr '\n' ' ')"
  shift
fi
file=$1
name=$(basename "$file")
objections=0
object() {
  echo "$name: $*" >&2
  objections=$((objections + 1))
}

header=$(readelf -hW "$file")
grep -q 'Class: *ELF64' <<<"$header" && grep -q 'Machine: *AArch64' <<<"$header" ||
  object "is for another machine than aarch64:$(sed -n 's/^ *Machine: */ /p' <<<"$header")"

dynamic=$(readelf -dW "$file")
needed=$(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' <<<"$dynamic")
for library in $needed; do
  [[ " $allowed " == *" $library "* ]] || object "needs $library"
done
! grep -qE '\((RPATH|RUNPATH)\)' <<<"$dynamic" || object "has a path to libraries built in"

newest=$(versions "$file" | sed -n 's/^GLIBC //p')
[[ $(printf '%s\n' "$newest" "$GLIBC" | sort -V | tail -n 1) == "$GLIBC" ]] ||
  object "needs GLIBC_$newest, JetPack 4 has $GLIBC"

later=$(readelf --dyn-syms -W "$file" | awk '$7 == "UND" { print $8 }' |
  grep -E '^_?(g|gst)_' | grep -vxFf <(sed -n 's/^ //p' "$symbols") | tr '\n' ' ' || true)
[[ -z $later ]] || object "needs what came after GStreamer 1.14 or GLib 2.56: $later"

size=$(stat -c %s "$file")
((size <= LIMIT)) || object "has $size bytes, more than $LIMIT"
sections=$(readelf -SW "$file")
! grep -qE ' \.(symtab|debug_info) ' <<<"$sections" || object "is not stripped"

((objections == 0)) || exit 1
awk -v name="$name" -v size="$size" -v glibc="$newest" -v needed="$(tr '\n' ' ' <<<"$needed")" \
  'BEGIN { printf "%s: %.2f MiB, GLIBC %s, needs %s\n", name, size / 1048576, glibc, needed }'
