#!/usr/bin/env bash
# The set-up, then the tests: ./tests/run.sh [--list] [SUITE...] [OPTION...]. Suites: unit fuzz parity e2e faults cluster gpu bench;
# without a name all that this machine can run, bench excepted, which takes minutes and is only run when it is named.
# The last lines list each failed and each skipped test with its reason, then `N passed, N failed, N skipped`.
# Options are those of the suite faults and follow its name (tests/faults/campaign.py): faults --count 1000 --seed S.
# Exit codes: 0; 1 a test failed, or the set-up; 2 an unknown suite; 130 interrupted.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly suites=(unit fuzz parity e2e faults cluster gpu bench)
readonly default_suites=(unit fuzz parity e2e faults cluster gpu)
readonly jobs=$(($(nproc) < 4 ? $(nproc) : 4))
# Of what waits for limits and for processes that end.
readonly waiting_jobs=$((jobs + 1))
# What a suite is that needs what could not be installed.
lacks=skipped
[ -z "${CADRE_NOTHING_LACKS-}" ] || lacks=failed
readonly fuzz_seconds=${CADRE_FUZZ_SECONDS:-10}

chosen=() fault_options=()
for word in "$@"; do
  if [ "$word" = --list ]; then
    printf '%s\n' "${suites[@]}"
    exit 0
  fi
  # An option, or what it is given.
  if [[ " ${chosen[*]-} " == *" faults "* && ($word == -* || ${fault_options[*]: -1} == -*) ]]; then
    fault_options+=("$word")
    continue
  fi
  if [[ " ${suites[*]} " != *" $word "* ]]; then
    echo "tests/run.sh: unknown suite \"$word\": one of ${suites[*]}" >&2
    exit 2
  fi
  [[ " ${chosen[*]-} " == *" $word "* ]] || chosen+=("$word")
done
by_default=false
if [ ${#chosen[@]} = 0 ]; then
  by_default=true
  chosen=("${default_suites[@]}")
fi

mkdir -p .cache
records=$(mktemp .cache/records.XXXXXX)
running=
clean_up() {
  [ -z "$running" ] || kill -- "-$running" 2>/dev/null || true
  rm -f "$records"
}
trap clean_up EXIT
trap 'exit 130' INT TERM
export CADRE_BUILD="$PWD/build" PYTHONDONTWRITEBYTECODE=1

record() { .venv/bin/python tests/report.py add "$records" "$@"; }

# bounded SECONDS COMMAND...: no test may wait for ever. In a process group of its own, so that an interrupt of this
# script can end the command with all that it started.
bounded() {
  local seconds=$1 code=0
  shift
  set -m
  timeout --kill-after=20 "$seconds" "$@" </dev/null &
  running=$!
  set +m
  wait "$running" || code=$?
  running=
  return $code
}

# limited SECONDS SUITE NAME COMMAND...: one that is cut off or crashes is a failed test.
limited() {
  local seconds=$1 suite=$2 name=$3 code=0
  shift 3
  bounded "$seconds" "$@" || code=$?
  case $code in
    0) ;;
    124 | 137) record "$suite" "$name" failed "cut off after $seconds s" ;;
    *) record "$suite" "$name" failed "it ended with $code" ;;
  esac
}

# python_suite SECONDS SUITE [JOBS]: the test_*.py of tests/SUITE, as many files at a time.
python_suite() {
  if [ -n "$(find "tests/$2" -maxdepth 1 -name 'test_*.py' 2>/dev/null)" ]; then
    limited "$1" "$2" "tests/$2" .venv/bin/python tests/report.py unittest "$records" "$2" "tests/$2" "${3-1}"
  else
    record "$2" "tests/$2" skipped "no tests yet"
  fi
}

clang() { ./launch/setup.sh clang; }

unit() {
  limited 900 unit build .venv/bin/python tests/report.py gtest "$records" unit "$jobs" "" \
    build/runtime_tests build/comm_tests build/unit_tests build/tensor_tests
  # What only a benchmark uses decays unseen; how long it takes is not judged.
  if bounded 120 build/coordinator_bench; then
    record unit build/coordinator_bench passed
  else
    record unit build/coordinator_bench failed "it does not come to its end"
  fi
  local sanitizer
  for sanitizer in asan tsan; do
    if ! clang; then
      record unit "build-$sanitizer" "$lacks" "clang 16 with its sanitizers is not installed here and could not be"
      continue
    fi
    if ! ./launch/setup.sh "build-$sanitizer"; then
      record unit "build-$sanitizer" failed "it does not build"
      continue
    fi
    # A simulation has one thread and asks for no memory that it does not know: a few courses are enough here.
    limited 900 unit "build-$sanitizer" env CADRE_SIMULATION_RUNS=200 .venv/bin/python tests/report.py gtest "$records" unit "$jobs" $sanitizer \
      "build-$sanitizer/runtime_tests" "build-$sanitizer/comm_tests"
  done
  limited 300 unit tests/checks .venv/bin/python tests/report.py unittest "$records" unit tests/checks
}

# Each target for a short while.
fuzz() {
  if ! clang; then
    record fuzz tests/fuzz "$lacks" "clang 16 with its libFuzzer is not installed here and could not be"
    return
  fi
  if ! ./launch/setup.sh build-asan; then
    record fuzz build-asan failed "it does not build"
    return
  fi
  local targets=(tests/fuzz/fuzz_*.cpp)
  targets=("${targets[@]#tests/fuzz/}")
  limited 900 fuzz tests/fuzz \
    xargs -P "$jobs" -n 1 -a <(printf '%s\n' "${targets[@]%.cpp}") tests/fuzz/fuzz.sh "$records" "$fuzz_seconds"
}

parity() {
  if [ ! -f tests/parity/requirements.txt ]; then
    record parity tests/parity skipped "no tests yet"
  elif ! ./launch/setup.sh parity; then
    record parity environment failed "the reference libraries could not be installed"
  else
    python_suite 1500 parity "$jobs"
  fi
}

e2e() { python_suite 1500 e2e "$waiting_jobs"; }

# Each of its runs has a deadline of its own.
faults() {
  limited 86400 faults campaign .venv/bin/python tests/faults/campaign.py --records "$records" \
    --jobs "$waiting_jobs" "${fault_options[@]}"
}
cluster() { python_suite 1500 cluster "$jobs"; }

gpu() {
  if [ ! -e /proc/driver/nvidia/version ] && ! nvidia-smi -L >/dev/null 2>&1; then
    record gpu tests/gpu skipped "this machine has no NVIDIA GPU"
  else
    python_suite 1500 gpu
  fi
}

bench() {
  if ./launch/setup.sh parity; then
    python_suite 3600 bench
  else
    record bench environment failed "the reference libraries could not be installed"
  fi
}

./launch/setup.sh packages python
# The reference libraries come over the network while the compiler works; parity() waits for them, or tries again.
if [[ " ${chosen[*]} " =~ " parity "|" bench " ]]; then
  ./launch/setup.sh parity >/dev/null 2>&1 &
fi
./launch/setup.sh build
for suite in "${chosen[@]}"; do
  echo "== $suite"
  "$suite"
done
! $by_default || record bench tests/bench skipped "only run when it is named: ./tests/run.sh bench"
echo "== results"
code=0
.venv/bin/python tests/report.py summary "$records" || code=$?
exit "$code"
