#!/usr/bin/env bash
# The promise to watch: a run on four ranks, undisturbed, then again while ranks, an island and the coordinator are
# killed; both must write the same bits. ./cluster/drill.sh [CONFIG] [--KEY VALUE]...: by default the quickstart's LoRA,
# for longer; the options are those of `cadre train`. About a minute on two cores.
# Exit codes: 0 only if every fault was survived, the results are equal and `cadre verify` proves the record; 1; 2 bad
# options; 130 interrupted.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case ${1:-} in
  -h | --help)
    sed -n '2,6s/^# //p' cluster/drill.sh
    exit 0
    ;;
esac
exec /usr/bin/env python3 cluster/drill/drill.py "$@"
