#!/usr/bin/env bash
# One target for some seconds, from the seeds in corpus/TARGET where there are some and what was found before:
# fuzz.sh RECORDS SECONDS TARGET. What it found is recorded.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

records=$1 seconds=$2 target=$3
corpus=.cache/fuzz/$target log=.cache/logs/$target.log
mkdir -p "$corpus/found" "$corpus/crashes"
seeds=()
[ ! -d "tests/fuzz/corpus/$target" ] || seeds=("tests/fuzz/corpus/$target")
code=0
timeout --kill-after=20 $((seconds + 120)) "build-asan/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
  -artifact_prefix="$corpus/crashes/" "$corpus/found" "${seeds[@]}" >"$log" 2>&1 || code=$?
if [ $code = 0 ]; then
  .venv/bin/python tests/report.py add "$records" fuzz "$target" passed
  grep -aE '^Done|DONE +cov' "$log" | paste -sd ' ' | sed "s/^/fuzz: $target: /"
else
  grep -aE 'ERROR|runtime error|SUMMARY|Test unit written' "$log" | head -n 12 >&2
  .venv/bin/python tests/report.py add "$records" fuzz "$target" failed "it ended with $code; see $log"
fi
