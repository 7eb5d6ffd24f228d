"""What is lost of a run's speed when a rank is killed each minute, measured in one run: commits a second before the
first failure and after the last one has been mended, beside those of the minutes in between.

    .venv/bin/python tests/bench/failure_a_minute.py [--ranks 2] [--failures 5]

stories260k, full fine-tuning, 16 rows a step, by turns another rank. The launcher leaves out a rank that is lost more
than five times in ten minutes: with few ranks, no more failures than that.
"""

import argparse
import itertools
import os
import pathlib
import signal
import tempfile
import time

import recovery_times
import speed_cases
from program import Live, read_lines, wait_until, write_config

QUIET, BETWEEN = 60.0, 60.0  # seconds


def commits(run, begin, end):
    """A second."""
    found = [line for line in recovery_times.journal(run)
             if line["event"] == "commit" and begin <= recovery_times.seconds(line) < end]
    return len(found) / (end - begin)


def members(run):
    """Rank to process, of the last view."""
    view = [line for line in read_lines(run / "journal.jsonl") if line["event"] == "view"][-1]
    return {member["rank"]: member["pid"] for member in view["members"]}


def measure(ranks, failures, note=print):
    """(quiet, disturbed, quiet again), commits a second."""
    case = speed_cases.CASES["stories260k-fp32-16"]
    with tempfile.TemporaryDirectory(prefix="cadre-minute-") as scratch:
        scratch = pathlib.Path(scratch)
        rows, run = scratch / "rows.jsonl", scratch / "run"
        speed_cases.write_rows(case, rows)
        model = speed_cases.write_model(case, None)
        config = write_config(scratch / "config.yaml", **recovery_times.keys(model, rows, run))
        with Live("train", config, "--ranks", ranks, "--quiet") as live:
            wait_until(lambda: len(recovery_times.journal(run)) > 20)
            marks = [time.time()]
            time.sleep(QUIET)
            marks.append(time.time())
            for number, rank in zip(range(failures), itertools.cycle(range(ranks))):
                note(f"failure {number + 1} of {failures}: rank {rank}")
                os.kill(members(run)[rank], signal.SIGKILL)
                time.sleep(BETWEEN)
            marks.append(time.time())
            time.sleep(QUIET)
            marks.append(time.time())
            assert live.process.poll() is None, "the run has ended"
            assert len(members(run)) == ranks, "a rank is not back"
            return [commits(run, begin, end) for begin, end in itertools.pairwise(marks)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--failures", type=int, default=5)
    options = parser.parse_args()
    if absent := speed_cases.missing():
        raise SystemExit(absent)
    before, disturbed, after = measure(options.ranks, options.failures)
    quiet = (before + after) / 2
    print(f"{options.ranks} ranks, steps a second: {before:.2f} before, {disturbed:.2f} with a failure each "
          f"{BETWEEN:.0f} s, {after:.2f} after: {1 - disturbed / quiet:.1%} lost")


if __name__ == "__main__":
    main()
