"""The campaign: every scenario of faults.fixed(), then --count drawn ones. After each run: the bits and losses of an
undisturbed one, a proven ledger, nothing left running, no hang.

  campaign.py [--count N] [--seed S] [--only NUMBER]... [--jobs J] [--records FILE] [--list]

A drawn scenario is a function of seed and number; --only 17 does that one again, --only fixed-3 one of the fixed.
What failed keeps its folder in .cache/faults. Exit codes: 0; 1 one failed; 2 options."""

import argparse
import collections
import concurrent.futures
import os
import pathlib
import shutil
import sys
import threading
import time

import faults
from arena import Arena, Disturbed, Hung, Wrong
from hosts import why_not

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from report import Records, one_line  # noqa: E402

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


class Tally:
    def __init__(self, records):
        self.records = records
        self.lock = threading.Lock()
        self.failed, self.survived, self.not_reached, self.starts = [], 0, [], 0
        self.kinds = collections.Counter()

    def add(self, name, scenario, run, problem, seconds):
        with self.lock:
            self.starts += run.starts
            if problem:
                self.failed.append(name)
            else:
                self.survived += len(run.fired)
                self.kinds.update(fault.what for fault in run.fired)
                self.not_reached += [f"{name}: {fault}" for fault in run.not_reached]
            print(f"{'FAILED' if problem else 'survived':8}  {seconds:5.1f} s  {name}: {scenario}"
                  f"{': ' + problem if problem else ''}", flush=True)
            if self.records:
                self.records.add(f"{name}: {scenario}", "failed" if problem else "passed", one_line(problem), seconds)


def go(arena, name, scenario, tally, seed):
    begin = time.monotonic()
    run, problem = Disturbed(arena, scenario, name), ""
    try:
        run.suffer()
        if name.startswith("fixed-") and run.not_reached:
            problem = "never reached: " + ", ".join(run.not_reached)
    except (Hung, Wrong) as error:
        problem = f"{type(error).__name__}: {error}"
    except Exception as error:  # the tests' own; the others go on
        problem = f"{type(error).__name__}: {error}"
    if problem:
        problem += f"; again: ./tests/run.sh faults --only {name.removeprefix('drawn-')} --seed {seed}"
        run.unmount()
    else:
        run.clean_up()
    tally.add(name, scenario, run, problem, time.monotonic() - begin)


def chosen(options):
    """Name to scenario."""
    every = {f"fixed-{number}": scenario for number, scenario in enumerate(faults.fixed())}
    if options.only:
        return {(name if name in every else f"drawn-{name}"): every.get(name) or faults.drawn(options.seed, int(name))
                for name in options.only}
    if options.drawn_only:
        every = {}
    return {**every, **{f"drawn-{number}": faults.drawn(options.seed, number) for number in range(options.count)}}


def main():
    parser = argparse.ArgumentParser(prog="./tests/run.sh faults", description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=24, help="drawn scenarios after the fixed ones")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--only", action="append", help="a drawn one's number, or fixed-NUMBER")
    parser.add_argument("--drawn-only", action="store_true", help="without the fixed ones")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--records", help="for tests/report.py")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    scenarios = chosen(options)
    if options.list:
        for name, scenario in scenarios.items():
            print(f"{name}: {scenario}")
        return 0
    records = Records(options.records, "faults") if options.records else None

    def skip(what, reason):
        print(f"skipped   {what}: {reason}")
        if records:
            records.add(what, "skipped", reason)

    if os.geteuid() != 0:
        scenarios = {name: one for name, one in scenarios.items() if all(fault.what != "small" for fault in one.faults)}
        skip("small disks", "only root may mount them")
    if reason := why_not():
        scenarios = {name: one for name, one in scenarios.items() if ":" not in one.layout}
        skip("networks of two hosts", reason)
    folder = REPOSITORY / ".cache" / "faults" / str(os.getpid())
    arena = Arena(folder)
    tally = Tally(records)
    print(f"seed {options.seed}, {len(scenarios)} scenarios, {options.jobs} at a time", flush=True)
    for shape in sorted({scenario.shape for scenario in scenarios.values()}):
        arena.reference(shape)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for future in [pool.submit(go, arena, name, scenario, tally, options.seed) for name, scenario in scenarios.items()]:
            future.result()
    kinds = ", ".join(f"{count} {kind}" for kind, count in tally.kinds.most_common())
    print(f"{len(scenarios)} scenarios, {tally.starts} starts, {tally.survived} faults survived ({kinds}), "
          f"{len(tally.not_reached)} of drawn ones never reached, {len(tally.failed)} scenarios failed")
    if not tally.failed:
        shutil.rmtree(folder)
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
