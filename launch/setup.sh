#!/usr/bin/env bash
# Makes this machine ready, one step a word, each doing nothing when there is nothing to do:
#
#   packages      what a build needs, from Debian's archive
#   python        .venv with LibTorch and Arrow (launch/requirements.txt)
#   build         build/, by the CMake preset "cpu"
#   clang         clang 16 with its sanitizers and libFuzzer
#   build-asan    build-asan/: the tests of runtime/ and comm/ with the address and undefined-behaviour sanitizers, and
#                 what is fuzzed
#   build-tsan    build-tsan/: these tests with the thread sanitizer
#   parity        completes .venv with the reference that the parity tests compare with
#
# Without a word: packages python build. Asks nothing. Works as root, or with a sudo that needs no password.
# Prints one line a step; the long output is in .cache/logs/. Exit codes: 0; 1 failed; 2 an unknown word.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly build_packages=(
  ca-certificates g++ cmake ninja-build ccache pkg-config git python3-venv
  libyaml-cpp-dev libboost1.81-dev libboost-json1.81-dev libssl-dev libpcre2-dev
  libgtest-dev libgmock-dev
  openmpi-bin libopenmpi-dev openssh-client iproute2)
readonly clang_packages=(clang-16 libclang-rt-16-dev)
# One compile that sees LibTorch takes up to this much memory.
readonly kib_per_job=$((2 * 1024 * 1024))

mkdir -p .cache/logs

step() { printf 'setup: %-9s %s\n' "$1" "$2"; }

fail() {
  printf 'setup: %s\n' "$@" >&2
  exit 1
}

# Holds a lock for as long as this process lives: two clones' commands may meet in one folder.
lock() {
  exec 9>".cache/$1.lock"
  flock -n 9 || { step "$1" "another set-up is at work here; waiting for it"; flock 9; }
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  else
    sudo -n "$@"
  fi
}

missing_packages() {
  local package
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s ' "$package"
  done
}

# install_packages NAME TOOL PACKAGE...: TOOL is what must be there in the end on a system that is not Debian's kin.
install_packages() {
  local name=$1 tool=$2
  shift 2
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    command -v "$tool" >/dev/null ||
      fail "this is not Debian: install what these packages hold with your own package manager, then run this again:" "  $*"
    step "$name" "not a Debian system: taking the tools that are here (needed: $*)"
    return
  fi
  local missing log=.cache/logs/$name.log
  missing=$(missing_packages "$@")
  if [ -z "$missing" ]; then
    step "$name" "present"
    return
  fi
  if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
    fail "packages are missing, and this is neither root nor a user whose sudo needs no password. Run this, then start again:" \
      "  sudo apt-get update && sudo apt-get install -y --no-install-recommends $missing"
  fi
  step "$name" "installing $missing"
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300)
  as_root "${apt[@]}" update >"$log" 2>&1 </dev/null || true # an archive that we do not need may be out of reach
  # shellcheck disable=SC2086  # a list of names
  if ! as_root "${apt[@]}" install -y --no-install-recommends $missing >>"$log" 2>&1 </dev/null; then
    grep -E '^(E|Err|W):?' "$log" | cut -c1-300 | tail -n 5 >&2 || tail -n 5 "$log" >&2
    fail "apt-get could not install: $missing" "no network, or a mirror that does not have them? The whole output: $log"
  fi
}

# Debian's own Python, whatever another one in PATH says: the hashes are those of wheels for CPython 3.11.
find_python() {
  local candidate
  for candidate in /usr/bin/python3 /usr/bin/python3.11 "$(command -v python3.11 || true)"; do
    if [ -x "$candidate" ] && is_right_python "$candidate"; then
      printf '%s' "$candidate"
      return
    fi
  done
  fail "CPython 3.11 on x86-64 is needed (Debian 12: apt-get install python3-venv); found none"
}

is_right_python() {
  "$1" -c 'import platform, sys
sys.exit(sys.version_info[:2] != (3, 11) or platform.machine() != "x86_64" or sys.implementation.name != "cpython")' 2>/dev/null
}

# install_requirements NAME FILE: into .venv what FILE pins. A stamp holds the hash of the FILE that was installed last.
install_requirements() {
  local name=$1 requirements=$2
  local log=.cache/logs/$name.log stamp=.venv/.installed-$name wanted
  wanted=$(sha256sum <"$requirements")
  if [ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    step "$name" "present"
    return
  fi
  if ! is_right_python .venv/bin/python || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    local python
    python=$(find_python)
    step "$name" "making .venv with $python"
    "$python" -m venv --clear .venv >"$log" 2>&1 || { tail -n 8 "$log" >&2; fail "no virtual environment could be made with $python"; }
  fi
  step "$name" "installing $requirements"
  # No cache and no byte code: each would cost gigabytes or a minute, for files that are mostly never imported.
  if ! PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 .venv/bin/python -m pip install --no-input --progress-bar off \
    --no-cache-dir --no-compile --retries 5 --require-hashes --no-deps -r "$requirements" >"$log" 2>&1 </dev/null; then
    grep -E '^(ERROR|WARNING)' "$log" | cut -c1-300 | tail -n 3 >&2 || tail -n 3 "$log" >&2
    fail "pip could not install $requirements" "no network, or no space? The whole output: $log"
  fi
  printf '%s\n' "$wanted" >"$stamp"
}

jobs() {
  local cores available limit
  cores=$(nproc)
  available=$(awk '/^MemAvailable:/ {print $2}' /proc/meminfo)  # KiB
  limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null || echo max)  # bytes
  if [ "$limit" != max ] && [ $((limit / 1024)) -lt "$available" ]; then available=$((limit / 1024)); fi
  local by_memory=$((available / kib_per_job))
  if [ "$by_memory" -lt "$cores" ]; then cores=$by_memory; fi
  echo $((cores > 1 ? cores : 1))
}

# follow PID LOG: shows ninja's [n/m]: in place on a terminal, else a line a minute.
follow() {
  local pid=$1 log=$2 shown='' now ticks=0
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.5
    ticks=$((ticks + 1))
    now=$(grep -aoE '^\[[0-9]+/[0-9]+\]' "$log" 2>/dev/null | tail -n 1 || true)
    if [ -t 1 ]; then
      [ "$now" = "$shown" ] || printf '\rsetup: %-9s %s ' build "$now"
      shown=$now
    elif [ $((ticks % 120)) = 0 ]; then
      step build "$now"
    fi
  done
  if [ -t 1 ] && [ -n "$shown" ]; then printf '\r\033[K'; fi
}

# build PRESET [TARGET...]
build() {
  local preset=$1 folder=build targets=("${@:2}")
  [ ${#targets[@]} -gt 0 ] || targets=(all)
  [ "$preset" = cpu ] || folder=build-$preset
  local log=.cache/logs/build-$preset.log
  # Again for a folder that was configured elsewhere and moved here, or before .venv or the presets got what they hold now.
  if [ ! -f "$folder/build.ninja" ] || [ .venv/.installed-python -nt "$folder/build.ninja" ] ||
    [ CMakePresets.json -nt "$folder/build.ninja" ] ||
    ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD" "$folder/CMakeCache.txt"; then
    step build "configuring $folder"
    if ! cmake --fresh --preset "$preset" >"$log" 2>&1; then
      tail -n 20 "$log" >&2
      fail "CMake could not configure $folder. The whole output: $log"
    fi
    touch "$folder/build.ninja"
  fi
  local count started=$SECONDS
  count=$(jobs)
  # In a process group of its own, so that an interrupt can end cmake with all that it started.
  set -m
  cmake --build --preset "$preset" --target "${targets[@]}" -j "$count" >"$log" 2>&1 9>&- </dev/null &
  local pid=$!
  set +m
  # shellcheck disable=SC2064  # the number of now
  trap "kill -- -$pid 2>/dev/null || true" EXIT
  follow "$pid" "$log"
  if ! wait "$pid"; then
    # From ninja's first FAILED on; without one the end says why.
    if grep -aq '^FAILED' "$log"; then
      sed -n '/^FAILED/,$p' "$log" | cut -c1-400 | head -n 60 >&2
    else
      tail -n 20 "$log" >&2
    fi
    fail "$folder could not be built. The whole output: $log"
  fi
  trap - EXIT
  if grep -aq 'no work to do' "$log"; then
    step build "$folder is up to date"
  else
    step build "$folder built in $((SECONDS - started)) s with $count jobs"
  fi
}

run_step() {
  case $1 in
    packages) lock packages; install_packages packages cmake "${build_packages[@]}" ;;
    clang) lock packages; install_packages clang clang++-16 "${clang_packages[@]}" ;;
    python) lock python; install_requirements python launch/requirements.txt ;;
    parity) lock python; install_requirements parity tests/parity/requirements.txt ;;
    build) lock build; build cpu ;;
    build-asan) lock build-asan; build asan ;;
    build-tsan) lock build-tsan; build tsan runtime_tests comm_tests ;;
    *) printf 'setup: unknown step "%s": one of packages python build clang build-asan build-tsan parity\n' "$1" >&2; exit 2 ;;
  esac
}

if [ $# = 0 ]; then set -- packages python build; fi
for word in "$@"; do run_step "$word"; done
