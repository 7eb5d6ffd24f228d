"""Training speed against transformers' Trainer + PEFT, side by side on this machine.

    .venv/bin/python tests/bench/train_speed.py [--cases NAME...] [--steps N] [--runs N] [--threads N] [--peer-only]

LoRA r=8 on all linear layers, the same rows in each optimizer step. Useful (unpadded) tokens a second without the
first step; runs take turns, and the median counts. Peak memory is that of the whole process.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import speed_cases
from speed_cases import CASES, ROOT

CADRE = pathlib.Path(os.environ.get("CADRE_BUILD", ROOT / "build")) / "cadre"
PEER = pathlib.Path(__file__).with_name("speed_peer.py")


@dataclasses.dataclass(frozen=True)
class Run:
    seconds: list  # a step
    losses: list
    peak_bytes: int

    def tokens_per_second(self, tokens):
        """The median step's, so that a moment in which the machine did something else does not count."""
        return statistics.median(count / seconds for count, seconds in list(zip(tokens, self.seconds))[1:])


@dataclasses.dataclass(frozen=True)
class Result:
    case: speed_cases.Case
    ours: list  # tokens a second, one a run
    peers: list
    our_bytes: int
    peer_bytes: int

    def ratio(self):
        return statistics.median(self.ours) / statistics.median(self.peers)


def measured(command, threads):
    """(what the program printed, its peak resident memory in bytes)."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        child = subprocess.Popen([str(word) for word in command], stdout=out, stderr=errors, env=environment)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), errors.seek(0)
        if child.returncode != 0:
            raise SystemExit(f"{command[0]} ended with {child.returncode}: {errors.read().decode()[-800:]}")
        return out.read().decode(), 1024 * usage.ru_maxrss


def run_peer(case, model, rows, threads):
    text, peak = measured([sys.executable, PEER, model, rows, case.dtype, case.rows, case.steps, threads], threads)
    said = json.loads(text.splitlines()[-1])
    return Run(said["seconds"], said["losses"], peak)


def run_ours(case, model, rows, threads):
    with tempfile.TemporaryDirectory(prefix="cadre-speed-") as scratch:
        config = pathlib.Path(scratch, "config.yaml")
        config.write_text(json.dumps({
            "base_model": str(model), "adapter": "lora", "lora_r": 8, "lora_alpha": 16,
            "lora_target_modules": "all-linear", "datasets": [{"path": str(rows), "type": "tokenized"}],
            "output_dir": f"{scratch}/run", "shuffle": False, "micro_batch_size": case.rows, "max_steps": case.steps,
            "learning_rate": 1e-4, "lr_scheduler": "cosine", "max_grad_norm": 1.0, "logging_steps": 1,
            "bf16": case.dtype == "bfloat16", "threads": threads}))
        _, peak = measured([CADRE, "train", config, "--quiet"], threads)
        lines = [json.loads(line) for line in pathlib.Path(scratch, "run", "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "loss" in line]
    return Run([step["seconds"] for step in steps], [step["loss"] for step in steps], peak)


def tokens_of(case, rows):
    """Useful tokens of each step."""
    lengths = [len(json.loads(line)["input_ids"]) for line in open(rows, encoding="utf-8")]
    return [sum(lengths[i:i + case.rows]) for i in range(0, len(lengths), case.rows)]


def compare(case, scratch, runs, threads, peer_only=False):
    rows = pathlib.Path(scratch, f"{case.name}.jsonl")
    speed_cases.write_rows(case, rows)
    model = speed_cases.write_model(case, pathlib.Path(scratch, f"{case.name}-model"))
    tokens = tokens_of(case, rows)
    ours, peers = [], []
    for _ in range(runs):
        if not peer_only:
            ours.append(run_ours(case, model, rows, threads))
        peers.append(run_peer(case, model, rows, threads))
    for run in ours:  # B starts at 0: the first loss shows that both did the same work
        if abs(run.losses[0] - peers[0].losses[0]) > 0.02:
            raise SystemExit(f"{case.name}: first loss {run.losses[0]}, the peer's {peers[0].losses[0]}")
    return Result(case, [run.tokens_per_second(tokens) for run in ours],
                  [run.tokens_per_second(tokens) for run in peers],
                  max((run.peak_bytes for run in ours), default=0), max(run.peak_bytes for run in peers))


HEADINGS = ("case", "ours tok/s", "peer tok/s", "ratio", "goal", "", "ours MB", "peer MB", "runs: ours | peer")
LAYOUT = "{:<21} {:>10} {:>10} {:>7} {:>6} {:<4} {:>8} {:>8}  {}"


def row_of(result):
    runs = " | ".join(" ".join(f"{speed:.0f}" for speed in speeds) for speeds in (result.ours, result.peers))
    ours = ratio = verdict = "-"
    if result.ours:
        ours, ratio = f"{statistics.median(result.ours):.0f}", f"{result.ratio():.2f}x"
        verdict = "met" if result.ratio() >= result.case.goal else "miss"
    return LAYOUT.format(result.case.name, ours, f"{statistics.median(result.peers):.0f}", ratio,
                         f"{result.case.goal:.1f}x", verdict, result.our_bytes // 2**20, result.peer_bytes // 2**20,
                         runs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--steps", type=int, help="optimizer steps a run; each case has its own number")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peer-only", action="store_true")
    options = parser.parse_args()
    if absent := speed_cases.missing():
        raise SystemExit(absent)
    if not options.peer_only and not CADRE.exists():
        raise SystemExit(f"{CADRE} is not built")
    if options.steps is not None and options.steps < 2:
        parser.error("--steps: at least 2, since the first is left out")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs, {options.threads} threads", flush=True)
    print(LAYOUT.format(*HEADINGS), flush=True)
    with tempfile.TemporaryDirectory(prefix="cadre-speed-") as scratch:
        for name in options.cases:
            case = dataclasses.replace(CASES[name], steps=options.steps or CASES[name].steps)
            print(row_of(compare(case, scratch, options.runs, options.threads, options.peer_only)), flush=True)


if __name__ == "__main__":
    main()
