"""How long a run stands still after a fault, beside torchrun, in one run of this program on this machine.

    .venv/bin/python tests/bench/recovery_times.py [--ranks 2 4 8] [--repeats 50] [--peer-repeats N]

stories260k, full fine-tuning, 16 rows a step. Rank 1 gets the signal in the middle of a step, when it has computed one
of its micro-batches, the coordinator when it has all votes and has written nothing. From the signal to the commit of
that step, by the coordinator's journal; with torchrun (DDP, gloo, a checkpoint at every step) to the end of the step
that was hit. Prints two tables in Markdown.
"""

import argparse
import dataclasses
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

import speed_cases  # noqa: E402
from program import CADRE, Live, read_lines, wait_until, write_config  # noqa: E402

PEER = pathlib.Path(__file__).with_name("recovery_peer.py")
ROWS, MICRO_BATCH, HIT = 16, 1, 12  # rows a step, rows at once, steps before the one that is hit
LIMIT = 3.0  # of silence: the default

FAULTS = {
    "SIGKILL": f"backward@{HIT}/1=kill",
    "SIGSTOP": f"backward@{HIT}/1=stop",
    "coordinator": f"prepared@{HIT}/coordinator=kill",
}
GOALS = {"SIGKILL": 0.5, "SIGSTOP": LIMIT + 0.5, "coordinator": 1.5}  # seconds; the first plus what is computed again
PEER_SECONDS = 300  # for a restart
# Without it a restarted group reads the addresses of the one before from torchrun's store (torch 2.11: no prefix a
# restart), and sometimes waits for them until its time-out.
PEER_ENVIRONMENT = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1", "OMP_NUM_THREADS": "1"}


@dataclasses.dataclass(frozen=True)
class Recovery:
    seconds: float  # to the commit of the step that was hit
    noticed: float
    again: int  # micro-batches of it that were computed in the new view
    step: float  # seconds of one before the fault, the median
    back: float = 0.0  # to the view that has the rank again


def seconds(line):
    return datetime.datetime.fromisoformat(line["time"].replace("Z", "+00:00")).timestamp()


def journal(run):
    """Whole lines of all terms."""
    lines = []
    for path in sorted(run.glob("journal.term-*.jsonl")):
        text = path.read_bytes()
        lines += [json.loads(line) for line in text[:text.rfind(b"\n") + 1].splitlines() if line.startswith(b"{")]
    return lines


def keys(model, rows, run):
    """Of the run that is disturbed: it goes on until it is ended."""
    return {"base_model": str(model), "adapter": "none", "datasets": [{"path": str(rows), "type": "tokenized"}],
            "output_dir": str(run), "micro_batch_size": MICRO_BATCH, "global_batch_size": ROWS, "max_steps": 1000000,
            "learning_rate": 1e-4, "save_steps": 0, "threads": 1}


def recover(folder, model, rows, ranks, fault):
    """One run and its fault; nothing where the run went past it: rank 1 was so slow that it had no micro-batch then."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        scratch = pathlib.Path(scratch)
        run, marks = scratch / "run", scratch / "marks"
        marks.mkdir()
        config = write_config(scratch / "config.yaml", **keys(model, rows, run))
        mark = marks / FAULTS[fault].split("=")[0].replace("/", ".")
        with Live("train", config, "--ranks", ranks, "--quiet",
                  environment={"CADRE_FAILPOINTS": f"marks={marks};{FAULTS[fault]}"}):
            wait_until(lambda: mark.exists() or any(line["step"] > HIT + 2 for line in journal(run)))
            if not mark.exists():
                return None
            hit = mark.stat().st_mtime

            def later(condition):
                return next((line for line in journal(run) if seconds(line) >= hit - 0.001 and condition(line)), None)

            def commit(line):
                return line["event"] == "commit" and line["step"] == HIT + 1

            def back(line):
                return line["event"] == "view" and line["view"] > 1 and len(line["members"]) == ranks

            wait_until(lambda: later(commit) and (fault != "SIGKILL" or later(back)))
            noticed = later(lambda line: line["event"] in ("lost", "term"))
            done, returned = later(commit), later(back)
            before = [seconds(line) for line in journal(run) if line["event"] == "commit" and line["step"] <= HIT][2:]
    again = sum(view > 1 for _, view, _ in done["micro_batches"])
    step = statistics.median(after - one for one, after in zip(before, before[1:]))
    return Recovery(seconds(done) - hit, seconds(noticed) - hit, again, step,
                    seconds(returned) - hit if returned else 0.0)


def recover_peer(folder, model, rows, ranks, kills):
    """Seconds from each kill to the end of the step that it hit."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks),
                   "--max-restarts", str(kills), *map(str, (PEER, model, rows, ROWS, kills, scratch))]
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                               timeout=PEER_SECONDS * (kills + 1), env={**os.environ, **PEER_ENVIRONMENT})
        if ended.returncode != 0:
            raise RuntimeError(ended.stderr[-2000:])
        done = {line["step"]: line["time"] for line in read_lines(pathlib.Path(scratch, "done.jsonl"))}
        return [done[line["step"]] - line["time"] for line in read_lines(pathlib.Path(scratch, "killed.jsonl"))]


def measure(ranks, repeats, kills, note=lambda _: None):
    """Fault to its recoveries; "torchrun" to seconds, of so many kills."""
    case = speed_cases.CASES["stories260k-fp32-16"]
    found = {fault: [] for fault in FAULTS}
    with tempfile.TemporaryDirectory(prefix="cadre-recovery-") as scratch:
        rows, model = pathlib.Path(scratch, "rows.jsonl"), speed_cases.write_model(case, None)
        speed_cases.write_rows(case, rows)
        for repeat in range(repeats):  # in turn, so that all see the same machine
            note(f"{ranks} ranks, {repeat + 1} of {repeats}")
            for fault in FAULTS:
                while not (one := recover(scratch, model, rows, ranks, fault)):
                    pass
                found[fault].append(one)
        if kills:
            note(f"{ranks} ranks, torchrun, {kills} kills")
            found["torchrun"] = recover_peer(scratch, model, rows, ranks, kills)
    return found


def spread(values):
    return f"{statistics.median(values):.2f} / {max(values):.2f}"


HEADINGS = ("ranks", "step, ms", "SIGKILL", "noticed", "computed again", "SIGSTOP", "coordinator SIGKILL",
            "SIGKILL under torchrun", "times longer")


def row_of(ranks, found):
    kills = found["SIGKILL"]
    step = statistics.median(one.step for one in kills)
    ours = statistics.median(one.seconds for one in kills)
    peer = statistics.median(found["torchrun"]) if "torchrun" in found else None
    return (ranks, f"{1000 * step:.0f}", spread([one.seconds for one in kills]), spread([one.noticed for one in kills]),
            f"{statistics.median(one.again for one in kills):.0f} of {ROWS // MICRO_BATCH}",
            *(spread([one.seconds for one in found[fault]]) for fault in ("SIGSTOP", "coordinator")),
            spread(found["torchrun"]) if peer else "-", f"{peer / ours:.0f}" if peer else "-")


LOST_HEADINGS = ("ranks", "stands still, s", "one rank less, s", "lost a failure, s", "at one failure a minute",
                 "torchrun, s", "at one failure a minute")


def lost_row_of(ranks, found):
    """Cost of a failure: the standstill beyond a step, and a rank's share of the time until it is back."""
    still = statistics.median(one.seconds - one.step for one in found["SIGKILL"])
    away = statistics.median(one.back - one.seconds for one in found["SIGKILL"])
    lost = still + away / ranks
    peer = statistics.median(found["torchrun"]) if "torchrun" in found else None
    return (ranks, f"{still:.2f}", f"{away:.2f}", f"{still:.2f} + {away:.2f} / {ranks} = {lost:.2f}",
            f"{lost:.2f} / 60 = {lost / 60:.1%}", f"{peer:.2f}" if peer else "-", f"{peer / 60:.1%}" if peer else "-")


def table(headings, rows):
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", nargs="+", type=int, default=[2, 4, 8])
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--peer-repeats", type=int, help="as --repeats, of torchrun; 0: without")
    options = parser.parse_args()
    if absent := speed_cases.missing():
        raise SystemExit(absent)
    if not CADRE.exists():
        raise SystemExit(f"{CADRE} is not built")
    def note(said):
        print(said, file=sys.stderr)

    kills = options.repeats if options.peer_repeats is None else options.peer_repeats
    found = {}
    for ranks in options.ranks:
        found[ranks] = measure(ranks, options.repeats, kills, note)
        note(table(HEADINGS, [row_of(ranks, found[ranks])]))
    load = os.getloadavg()[0]
    print(f"Seconds, median / worst of {options.repeats} ({kills} under torchrun); {os.cpu_count()} CPUs, load average "
          f"{load:.1f}\n")
    print(table(HEADINGS, [row_of(ranks, one) for ranks, one in found.items()]) + "\n")
    print(table(LOST_HEADINGS, [lost_row_of(ranks, one) for ranks, one in found.items()]))


if __name__ == "__main__":
    main()
