#!/usr/bin/env bash
# From a bare Debian 12 machine to a finished run: installs what is missing, builds, fine-tunes. Run twice, it installs
# nothing the second time. --setup-only stops before the run. Exit codes: 0; 1 failed; 2 an unknown option.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

setup_only=false
for option in "$@"; do
  case $option in
    --setup-only) setup_only=true ;;
    -h | --help)
      echo "usage: ./launch/quickstart.sh [--setup-only]"
      exit 0
      ;;
    *)
      echo "launch/quickstart.sh: unknown option \"$option\"; there is --setup-only" >&2
      exit 2
      ;;
  esac
done

./launch/setup.sh packages python build
if $setup_only; then
  echo "setup: done. The program is build/cadre; ./launch/quickstart.sh runs the demonstration"
  exit 0
fi
exec ./launch/quickstart/run.sh
