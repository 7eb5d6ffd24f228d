#!/usr/bin/env bash
# The promise to watch: a run on four ranks, undisturbed, then again while ranks, an island and the coordinator are
# killed; both must write the same bits. About a minute on two cores.
#   ./cluster/drill.sh [CONFIG] [OPTION...]
# CONFIG: a run of yours; by default the quickstart's LoRA, for longer.
# --output_dir DIR   where the runs are written (outputs/drill)
# --seconds S        of the undisturbed run (25), unless --max_steps is given
# --faults N         the first N of the schedule alone
# All other options are those of `cadre train`.
# Exit codes: 0 only if every fault was survived, the results are equal and `cadre verify` proves the record; 1; 2 you
# can mend it; 130 interrupted.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case ${1:-} in
  -h | --help)
    sed -n '2,12s/^# //p' cluster/drill.sh
    exit 0
    ;;
esac
exec /usr/bin/env python3 cluster/drill/drill.py "$@"
