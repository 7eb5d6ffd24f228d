#!/usr/bin/env bash
# The compiler, through ccache: launch/ccache.sh c++ ARGUMENTS...
# A precompiled header has a hundred megabytes, which ccache would read again for each file that uses it; so its hash is
# laid beside it. What uses one is only cached with these two "sloppinesses" (ccache's manual, "Precompiled headers").
export CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_PCH_EXTSUM=1
# The compiler tells what a file includes; to preprocess it first, where nothing is cached, took a twentieth of a build.
export CCACHE_DEPEND=1
set -euo pipefail
ccache "$@"
before=
for word in "$@"; do
  if [[ $before == -o && ($word == *.gch || $word == *.pch) ]]; then sha256sum <"$word" >"$word.sum"; fi
  before=$word
done
