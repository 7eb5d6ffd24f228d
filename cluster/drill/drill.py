"""A run undisturbed, then the same while its processes are killed; ../drill.sh starts it and says what for."""

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
from screen import BAD, FAINT, GOOD, Screen, bar
from story import Fault, counted, members, seconds, tell

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
CADRE = pathlib.Path(os.environ.get("CADRE_BUILD", REPOSITORY / "build")) / "cadre"
QUICKSTART, QUICKSTART_BASE = "configs/quickstart/lora.yaml", pathlib.Path("outputs/quickstart/base/model.safetensors")

RANKS = 4  # 0 and 1 in one island, 2 and 3 in another
ISLANDS = f"localhost:2,{socket.gethostname()}:2"
SCHEDULE = (
    Fault(0.04, (1,), "rank 1"),
    Fault(0.16, ("coordinator",), "the coordinator"),
    Fault(0.22, ("island 1",), "island 1, ranks 2 and 3"),
    Fault(0.40, (0, 2), "ranks 0 and 2 at once"),
    Fault(0.60, (3, "coordinator"), "rank 3 and the coordinator"),
)
REHEARSAL = 40  # steps, whose speed says how many make a run
SECONDS = 25  # of the undisturbed run: all faults and returns take about 12
TRIES = 3  # each with twice the steps, where the machine was busier later than in the rehearsal
SAVES = 16  # in a run: what is lost with all copies of a chunk is done again from one

COLUMNS = "  {:>6}  {:<28}  {:>8}  {:>14}  {:<21}  {:>8}"
HEADINGS = COLUMNS.format("step", "killed", "noticed", "step committed", "in the new view", "all back")


class Failed(Exception):
    def __init__(self, what, code=1):
        super().__init__(what)
        self.code = code


class TooShort(Failed):
    pass


class Interrupted(Exception):
    pass


class Drill:
    def __init__(self, known, options, screen):
        self.config, self.output, self.span, self.options = known.config, known.output_dir, known.seconds, options
        self.schedule, self.screen = SCHEDULE[:known.faults], screen

    def go(self, name, schedule=(), more=()):
        """A run to its end. Returns (it, the blows that it has survived)."""
        folder = self.output / name
        run = LiveRun(CADRE, [self.config, "--hosts", ISLANDS, "--output_dir", folder, "--overwrite_output_dir", "true",
                              *more, *self.options], folder)
        due, blows, survived = list(schedule), [], []

        def follow():
            if blows and len(survived) < len(blows):
                story = tell(blows[-1], run.lines, RANKS)
                if not story.is_over():
                    return self.show(run, blows[-1], story)
                survived.append(blows[-1])
                self.row(blows[-1], story)
            return self.show(run)

        try:
            while run.launcher.poll() is None:
                if run.read():
                    follow()
                    if (due and len(survived) == len(blows) and run.step() >= due[0].share * run.steps()
                            and len(members(run.lines)) == RANKS):
                        blows.append(run.hit(due.pop(0)))
                time.sleep(0.01)
            if run.read():
                follow()
        finally:
            left = len(run.processes())
            run.end()
        if run.launcher.returncode != 0:
            said = run.words.read_text(errors="replace").strip().splitlines()[-1:]
            raise Failed(f"{name}: cadre train ended with {run.launcher.returncode}: {''.join(said)} ({run.words})",
                         2 if run.launcher.returncode == 2 else 1)  # 2: the user can mend it
        if left:
            raise Failed(f"{name}: {counted(left, 'process was', 'processes were')} left after the end")
        if len(survived) < len(schedule):
            raise TooShort(f"{name}: it was over before {len(schedule) - len(survived)} of {len(schedule)} faults were")
        return run, survived

    def rehearse(self):
        """The steps of a run that is neither over before the last fault nor tedious."""
        run, _ = self.go("rehearsal", more=("--max_steps", REHEARSAL))
        times = [seconds(line) for line in run.lines if line["event"] == "commit"][8:]
        step = max(0.001, statistics.median(after - before for before, after in zip(times, times[1:])))
        steps = max(REHEARSAL, round(self.span / step))
        self.screen.line(f"  {1000 * step:.0f} ms a step: {steps} steps make a run of {self.span:g} s")
        return steps

    def show(self, run, blow=None, story=None):
        there = members(run.lines)
        ranks = " ".join(str(rank) if rank in there else "·" for rank in range(RANKS))
        said = f"  {blow.fault.name}: SIGKILL" if blow else ""
        if story and story.committed is not None:
            said = f"  {blow.fault.name}: committed {time_of(story.committed)}"
        elif story and story.noticed is not None:
            said = f"  {blow.fault.name}: noticed {time_of(story.noticed)}"
        self.screen.live(f"{bar(run.step(), run.steps())}  ranks {ranks}", said, BAD)

    def row(self, blow, story):
        noticed, committed, back = map(time_of, (story.noticed, story.committed, story.back))
        self.screen.line(COLUMNS.format(blow.step + 1, blow.fault.name, noticed, committed, story.again, back))

    def run(self):
        screen = self.screen
        screen.title(f"1/3  {self.config} on {RANKS} ranks in two islands, undisturbed")
        steps = None if "--max_steps" in self.options else self.rehearse()
        for again in reversed(range(TRIES)):
            more = () if steps is None else ("--max_steps", steps, "--save_steps", max(1, steps // SAVES))
            undisturbed, _ = self.go("undisturbed", more=more)
            screen.line(f"  sha256 {digest(undisturbed.folder)}")
            screen.title("2/3  the same again, with SIGKILL to ranks, an island and the coordinator")
            screen.line(screen.colour(HEADINGS, FAINT))
            try:
                disturbed, survived = self.go("disturbed", self.schedule, more)
                break
            except TooShort as short:
                if not again or steps is None:
                    raise Failed(f"{short}: give it more steps with --seconds or --max_steps") from None
                steps *= 2
                screen.line(screen.colour(f"  {short}", FAINT))
                screen.title(f"1/3  undisturbed, with {steps} steps")
        screen.title("3/3  compared")
        return 0 if self.compare(undisturbed.folder, disturbed.folder, survived) else 1

    def compare(self, undisturbed, disturbed, survived):
        verified = subprocess.run([CADRE, "verify", disturbed], capture_output=True, text=True, check=False)
        for said in verified.stdout.splitlines() or [verified.stderr]:
            if not said.startswith("ok") or "term journals" in said or "ledger" in said:
                text = textwrap.fill(said.removeprefix("ok").strip(), 98, initial_indent="  cadre verify  ",
                                     subsequent_indent=16 * " ")
                self.screen.line(text)
        one, other = digest(undisturbed), digest(disturbed)
        self.screen.line(f"  undisturbed   {one}")
        self.screen.line(f"  disturbed     {other}")
        faults = []
        if one != other or losses(undisturbed) != losses(disturbed):
            faults.append("ANOTHER RESULT")
        if verified.returncode != 0:
            faults.append("THE RECORD IS WRONG")
        killed = counted(sum(blow.processes for blow in survived), "process", "processes")
        survived = counted(len(survived), "fault", "faults")
        verdict = f"{killed} killed in {survived}: {', '.join(faults) or 'the same bits'}"
        self.screen.line("\n  " + self.screen.colour(verdict, BAD if faults else GOOD))
        return not faults


def time_of(span):
    return f"{span:.2f} s"


def digest(run):
    """Of the result's weights."""
    files = sorted([*run.glob("adapter_model.safetensors"), *run.glob("model*.safetensors")])
    if not files:
        raise Failed(f"{run} has no result")
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def losses(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], line.get("loss"), line.get("eval_loss")) for line in lines]


def interrupt(number, _):
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)  # what ends the run is not to be interrupted
    raise Interrupted(128 + number)


def main():
    parser = argparse.ArgumentParser(prog="./cluster/drill.sh", allow_abbrev=False, add_help=False)
    parser.add_argument("--config", default=QUICKSTART)
    parser.add_argument("--output_dir", type=pathlib.Path, default=pathlib.Path("outputs/drill"))
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--faults", type=int, default=len(SCHEDULE))
    # A configuration comes first: later, a word may be what an unknown option is given.
    words = sys.argv[1:]
    known, options = parser.parse_known_args(["--config", *words] if words and not words[0].startswith("-") else words)
    if not CADRE.exists():
        print(f"{CADRE} is missing: run ./launch/quickstart.sh first", file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    screen = Screen()
    try:
        if known.config == QUICKSTART and not QUICKSTART_BASE.exists():
            subprocess.run(["launch/quickstart/run.sh", "--base-only"], check=True)
        return Drill(known, options, screen).run()
    except Failed as failure:
        screen.line(screen.colour(f"  {failure}", BAD))
        return failure.code
    except Interrupted as interrupted:
        screen.line()
        return interrupted.args[0]


if __name__ == "__main__":
    sys.exit(main())
