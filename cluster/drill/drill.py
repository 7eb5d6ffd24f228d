"""A run undisturbed, then the same while its processes are killed; see ../drill.sh.

    drill.py [CONFIG] [--output_dir DIR] [--KEY VALUE]...
"""

import argparse
import hashlib
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import textwrap
import time

from live_run import LiveRun
from screen import BAD, GOOD, Screen, bar
from story import Fault, Story, counted, members, seconds, tell

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
CADRE = pathlib.Path(os.environ.get("CADRE_BUILD", REPOSITORY / "build")) / "cadre"
QUICKSTART = "configs/quickstart/lora.yaml"
REHEARSAL = 40  # steps, whose speed says how many make a run
SECONDS = 25  # of the undisturbed run: all faults and returns take 12 to 15
SAVES = 16  # in a run: what is lost with all copies of a chunk is done again from one

RANKS = 4  # 0 and 1 in one island, 2 and 3 in another
ISLANDS = f"localhost:2,{socket.gethostname()}:2"
SCHEDULE = (
    Fault(0.05, (1,), "rank 1"),
    Fault(0.20, ("coordinator",), "the coordinator"),
    Fault(0.30, ("island 1",), "island 1: ranks 2, 3, mpirun"),
    Fault(0.50, (0, 2), "ranks 0 and 2 at once"),
    Fault(0.70, (3, "coordinator"), "rank 3 and the coordinator"),
)
RESULTS = ("adapter_model.safetensors", "model*.safetensors")
COLUMNS = "  {:>6}  {:<28}  {:>8}  {:>14}  {:<21}  {:>8}"


class Failed(Exception):
    pass


class Interrupted(Exception):
    pass


def interrupt(number, _):
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)  # what ends the run is not to be interrupted
    raise Interrupted(128 + number)


def time_of(seconds):
    return "" if seconds is None else f"{seconds:.2f} s"


class Drill:
    def __init__(self, config, output, options, screen):
        self.config, self.output, self.options, self.screen = config, output, options, screen

    def start(self, name, more=()):
        folder = self.output / name
        options = ["--hosts", ISLANDS, "--output_dir", str(folder), "--overwrite_output_dir", "true", *more, *self.options]
        return LiveRun(str(CADRE), [self.config, *options], folder)

    def rehearse(self):
        """Options for a run that is neither over before the last fault nor tedious, where they do not say it themselves."""
        if "--max_steps" in self.options:
            return
        run, _ = self.go("rehearsal", more=("--max_steps", str(REHEARSAL)))
        ends = [seconds(line) for line in run.lines if line["event"] == "commit"]
        a_step = statistics.median(after - before for before, after in zip(ends[8:], ends[9:]))
        steps = max(REHEARSAL, round(SECONDS / max(0.001, a_step)))
        self.screen.line(f"  {1000 * a_step:.0f} ms a step: {steps} steps make a run of {SECONDS} s")
        self.options = [*self.options, "--max_steps", str(steps), "--save_steps", str(max(1, steps // SAVES))]

    def go(self, name, schedule=(), more=()):
        """To its end. Returns (run, the stories of all faults)."""
        run, due, told, now = self.start(name, more), list(schedule), [], None
        try:
            while run.launcher.poll() is None:
                if run.read():
                    steps = run.record()["max_steps"]
                    if now and (story := tell(now, run.lines, RANKS)).is_over():
                        self.row(now, story)
                        told.append((now, story))
                        now = None
                    if not now and due and run.step() >= due[0].share * steps and run.is_whole(RANKS):
                        now = run.hit(due.pop(0))
                    self.show(run, steps, now)
                time.sleep(0.01)
            run.read()
            if run.launcher.returncode != 0:
                raise Failed(f"{name}: cadre train ended with {run.launcher.returncode}; see {run.words}:\n"
                             + "\n".join(run.words.read_text(errors="replace").strip().splitlines()[-5:]))
        finally:
            left = len(run.processes())
            run.end()
        if left:
            raise Failed(f"{name}: {counted(left, 'process was', 'processes were')} left after the end")
        if now or due:
            raise Failed(f"the run ended before {counted(len(due) + bool(now), 'fault', 'faults')} of {len(schedule)}: "
                         "give it more steps, with --max_steps")
        return run, told

    def show(self, run, steps, blow):
        there = members(run.lines)
        ranks = " ".join(str(rank) if rank in there else "·" for rank in range(RANKS))
        left = f"{bar(run.step(), steps)}  ranks {ranks}"
        if not blow:
            return self.screen.live(left)
        story = tell(blow, run.lines, RANKS)
        said = [f"{name} {time_of(at)}" for name, at in (("noticed", story.noticed), ("step done", story.committed)) if at is not None]
        return self.screen.live(left, f"  SIGKILL {blow.fault.name}" + "".join(f", {one}" for one in said), BAD)

    def head(self):
        self.screen.line(COLUMNS.format("step", "killed", "noticed", "step committed", "in the new view", "all back").rstrip())

    def row(self, blow, story: Story):
        self.screen.line(COLUMNS.format(blow.step + 1, blow.fault.name, time_of(story.noticed), time_of(story.committed), story.again,
                                        time_of(story.back)))

    def run(self):
        screen = self.screen
        screen.title(f"1/3  {self.config} on {RANKS} ranks in two islands, undisturbed")
        self.rehearse()
        undisturbed, _ = self.go("undisturbed")
        screen.line(f"  sha256 {digest(undisturbed.folder)}")
        screen.title("2/3  the same again, with SIGKILL to ranks, an island and the coordinator")
        self.head()
        disturbed, told = self.go("disturbed", SCHEDULE)

        screen.title("3/3  compared")
        verified = subprocess.run([CADRE, "verify", disturbed.folder], capture_output=True, text=True, check=False)
        for said in verified.stdout.splitlines() or [verified.stderr]:
            if not said.startswith("ok") or "term journals" in said or "ledger" in said:
                for piece in textwrap.wrap(said.removeprefix("ok").strip(), 78):
                    screen.line(f"  cadre verify  {piece}")
        one, other = digest(undisturbed.folder), digest(disturbed.folder)
        screen.line(f"  undisturbed   {one}")
        screen.line(f"  disturbed     {other}")
        is_equal = one == other and losses(undisturbed.folder) == losses(disturbed.folder)
        is_good = is_equal and verified.returncode == 0
        killed = sum(blow.processes for blow, _ in told)
        verdict = ("the same bits" if is_equal else "ANOTHER RESULT") + ("" if verified.returncode == 0 else ", AND VERIFY FAILED")
        screen.line("\n  " + screen.colour(f"{killed} processes killed in {counted(len(told), 'fault', 'faults')}: {verdict}",
                                           GOOD if is_good else BAD))
        return 0 if is_good else 1


def digest(run):
    """Of the result's weights."""
    files = sorted(path for pattern in RESULTS for path in run.glob(pattern))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def losses(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], line.get("loss"), line.get("eval_loss")) for line in lines]


def main():
    parser = argparse.ArgumentParser(prog="./cluster/drill.sh", description="further options are those of `cadre train`",
                                     allow_abbrev=False)
    parser.add_argument("config", nargs="?")
    parser.add_argument("--output_dir", type=pathlib.Path, default=pathlib.Path("outputs/drill"), metavar="DIR")
    known, options = parser.parse_known_args()
    if not CADRE.exists():
        print(f"{CADRE} is missing: run ./launch/quickstart.sh first", file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    if not known.config:
        known.config = QUICKSTART
        if not pathlib.Path("outputs/quickstart/base/model.safetensors").exists():
            subprocess.run(["launch/quickstart/run.sh", "--base-only"], check=True)
    screen = Screen()
    try:
        return Drill(known.config, known.output_dir, options, screen).run()
    except Failed as failure:
        screen.line(screen.colour(f"  {failure}", BAD))
        return 1
    except Interrupted as interrupted:
        screen.line()
        return interrupted.args[0]


if __name__ == "__main__":
    sys.exit(main())
