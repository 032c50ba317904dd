#!/usr/bin/env bash
# A build that is killed at 20 random points: the next start has the old engine or the new one, and
# where there was no engine before perhaps none, but never a broken one.
#
#   tests/gpu/kill.sh TFJET_RUN BUNDLE SCRATCH [ARGUMENT OF prepare...]
set -uo pipefail
run=$1 bundle=$2 scratch=$(mktemp -d "$3/kill.XXXX")
shift 3
cache=$scratch/cache
prepare=("$run" prepare "$bundle" "$@" --cache "$cache")
bench=("$run" bench "$bundle" --device gpu --duration 0.05 --warm-up 0 --json --cache "$cache"
  --shape input=1x64x64x1)
trap 'rm -rf "$scratch"' EXIT
failed=0
fail() {
  echo "FAIL $*"
  failed=1
}
now() { date +%s%3N; }
engines() { # FIND_ACTION...: of all engines and the list of them
  find "$cache" -maxdepth 1 \( -name '*.jet' ! -name 'timing-*' -o -name '*.prepared' \) "$@"
}

"${prepare[@]}" >/dev/null || { echo "FAIL: no engine to begin with"; exit 1; }
# Later builds start from the timings of the first.
begin=$(now)
"${prepare[@]}" --force >/dev/null || fail "the second build"
whole=$(($(now) - begin))
mkdir "$scratch/old"
engines -exec cp {} "$scratch/old/" \;
echo "a build takes $whole ms"

RANDOM=${SEED:-8}
killed=0 without=0
for round in $(seq 20); do
  engines -delete
  had=$((round % 2))
  ((had)) && cp "$scratch"/old/* "$cache/"
  point=$((RANDOM * whole / 32768))
  seconds=$(printf '%d.%03d' $((point / 1000)) $((point % 1000)))
  rc=0
  timeout --foreground -s KILL "$seconds" "${prepare[@]}" --force >/dev/null 2>&1 || rc=$?
  ((rc == 137)) && killed=$((killed + 1))
  rc=0
  text=$("${bench[@]}" 2>&1) || rc=$?
  case $rc in
    0) echo "ok   round $round, killed after $seconds s: an engine runs" ;;
    5)
      without=$((without + 1))
      if ((had)); then fail "round $round, after $seconds s: the old engine is gone: $text"
      else echo "ok   round $round, killed after $seconds s: no engine yet"; fi
      ;;
    *) fail "round $round, after $seconds s: exit $rc: $text" ;;
  esac
done
((killed >= 10)) || fail "only $killed of 20 builds were killed"
((without >= 1)) || fail "no build was killed before it had an engine"
"${prepare[@]}" >/dev/null || fail "the last build"
"${bench[@]}" >/dev/null || fail "the last run"
left=$(pgrep -fc "build-engine .*$cache" || true)
for _ in $(seq 60); do
  ((left)) || break
  sleep 1
  left=$(pgrep -fc "build-engine .*$cache" || true)
done
((left == 0)) || fail "$left processes build for nobody"
echo "$killed of 20 builds were killed, $without left no engine"
exit "$failed"
