"""Runs of several ranks that are measured: full fine-tuning of a model of 14 million parameters with random weights,
which needs nothing from elsewhere."""

import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

import tiny_base
from program import CADRE, ENVIRONMENT, read_lines, write_config

SHAPE = {**tiny_base.CONFIG, "hidden_size": 384, "intermediate_size": 1024, "num_hidden_layers": 8,
         "num_attention_heads": 6, "num_key_value_heads": 6, "head_dim": 64}
DEADLINE = 600


@dataclasses.dataclass
class Run:
    steps: list  # seconds of each, the first left out
    peaks: list  # bytes, of each rank before the last step: the first rank takes more to write the result
    spans: list  # of all ranks' traces

    def seconds(self):
        return statistics.median(self.steps)

    def of(self, name):
        """Milliseconds of this span in one step of one rank, the mean over all steps but the first."""
        spans = [span["dur"] for span in self.spans if span["name"] == name and span["args"]["step"] > 1]
        return sum(spans) / 1000 / len(self.peaks) / len(self.steps) if spans else 0.0


def write_inputs(folder):
    """A model folder without weights, and rows."""
    base = folder / "base"
    base.mkdir()
    (base / "config.json").write_text(json.dumps(SHAPE))
    (base / "tokenizer.json").write_text(json.dumps(tiny_base.tokenizer()))
    (base / "tokenizer_config.json").write_text(json.dumps({"bos_token": tiny_base.BOS, "eos_token": tiny_base.EOS}))
    tiny_base.write_jsonl(folder / "rows.jsonl", tiny_base.rows(400))


def ranks_below(launcher):
    """Process ids of the ranks that descend from it."""
    parents, ranks = {}, []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended meanwhile
        if words[:2] == [str(CADRE).encode(), b"rank"]:
            ranks.append(int(entry.name))

    def descends(pid):
        while pid in parents and pid != launcher:
            pid = parents[pid]
        return pid == launcher

    return [pid for pid in ranks if descends(pid)]


def peak_of(pid):
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # it has ended meanwhile
    return 0


def steps_done(output):
    metrics = output / "metrics.jsonl"
    return len(metrics.read_text().splitlines()) if metrics.exists() else 0


def run(folder, name, ranks, words=("--trace",), environment=None, **keys):
    """Trains from nothing; `keys` over those of a small step of 8 micro-batches. `ranks`: their number, or their hosts
    as --hosts has them."""
    output = folder / name
    keys = tiny_base.full(folder / "base", output, folder / "rows.jsonl", **{
        "init_from_config": True, "global_batch_size": 32, "micro_batch_size": 4, "max_steps": 6,
        "overwrite_output_dir": True, **keys})
    config = write_config(folder / f"{name}.yaml", **keys)
    log = folder / f"{name}.log"
    peaks, begin = {}, time.monotonic()
    with open(log, "wb") as out:
        option = "--ranks" if isinstance(ranks, int) else "--hosts"
        process = subprocess.Popen([str(CADRE), "train", str(config), option, str(ranks), *words],
                                   stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                   env={**ENVIRONMENT, **(environment or {})})
        while process.poll() is None:
            live = {pid: peak_of(pid) for pid in ranks_below(process.pid)}
            if steps_done(output) < keys["max_steps"] - 1:
                peaks.update({pid: peak for pid, peak in live.items() if peak > 0})
            if time.monotonic() - begin > DEADLINE:
                process.kill()
            time.sleep(0.05)
    if process.returncode != 0:
        raise RuntimeError(log.read_text())
    spans = []
    for trace in (output / "trace").glob("rank-*.json"):
        text = trace.read_text()  # that of a killed rank has no end
        spans += [event for event in json.loads(text if text.endswith("]\n") else text + "]") if event["ph"] == "X"]
    steps = [line["seconds"] for line in read_lines(output / "metrics.jsonl") if "loss" in line]
    return Run(steps[1:], sorted(peaks.values()), spans)
