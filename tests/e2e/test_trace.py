"""--trace: where each rank's time goes, in the form that Perfetto and chrome://tracing read."""

import json
import os
import pathlib
import signal
import unittest

import tiny_base
from in_folder import InFolder
from program import DONE, Live, cadre, read_lines, sha256, write_config
from tiny_base import lora

STEPS, RANKS, MICRO_BATCHES = 6, 3, 4
OF_A_STEP = {"exchange", "digest", "vote", "apply", "gather"}  # beside "compute", where it has a micro-batch


def read_trace(path):
    """The spans, as viewers read the file: the array's end may be missing."""
    text = path.read_text()
    events = json.loads(text if text.endswith("\n]\n") else text + "]")
    assert events[0]["ph"] == "M" and events[0]["name"] == "process_name", events[0]
    return events[1:]


def end_of(span):
    return span["ts"] + span["dur"]


class TraceTest(InFolder):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.base = tiny_base.write_base(cls.folder / "base")
        cls.rows = tiny_base.write_jsonl(cls.folder / "rows.jsonl", tiny_base.rows(100))

    def config(self, name, **more):
        keys = lora(self.base, self.folder / name, self.rows, **{
            "max_steps": STEPS, "global_batch_size": MICRO_BATCHES * 4, "save_steps": 3, **more})
        return write_config(self.folder / f"{name}.yaml", **keys)

    def test_each_rank_leaves_its_spans(self):
        run = self.folder / "traced"
        ended = cadre("train", self.config("traced"), "--ranks", RANKS, "--trace")
        self.assertEqual(ended.code, DONE, ended.err)
        traces = sorted(path.name for path in (run / "trace").iterdir())
        self.assertEqual(traces, [f"rank-{rank}.json" for rank in range(RANKS)])
        computed = []
        for rank in range(RANKS):
            path = run / "trace" / f"rank-{rank}.json"
            self.assertTrue(path.read_text().endswith("\n]\n"))
            spans = read_trace(path)
            self.assertEqual({(span["pid"], span["ph"]) for span in spans}, {(rank, "X")})
            for step in range(1, STEPS + 1):
                names = {span["name"] for span in spans if span["args"]["step"] == step}
                self.assertLessEqual(OF_A_STEP, names, f"rank {rank}, step {step}")
            self.assertEqual([span["args"]["step"] for span in spans if span["name"] == "snapshot"], [3, 6])
            for before, after in zip(spans, spans[1:]):
                self.assertLessEqual(end_of(before), after["ts"] + 1, "spans of one thread do not overlap")
            computed += [(span["args"]["step"], span["args"]["micro_batch"], rank)
                         for span in spans if span["name"] == "compute"]
        ledger = [(line["step"], one["micro_batch"], one["rank"])
                  for line in read_lines(run / "ledger.jsonl") for one in line["micro_batches"]]
        self.assertEqual(sorted(computed), ledger)
        self.check_shares(run)

    def check_shares(self, run):
        """metrics.jsonl has of each step how much of it was computing: by the traces, of the rank that computed most."""
        for line in read_lines(run / "metrics.jsonl"):
            if "compute_share" not in line:
                continue
            of_ranks = [sum(span["dur"] for span in read_trace(path)
                            if span["name"] == "compute" and span["args"]["step"] == line["step"])
                        for path in (run / "trace").iterdir()]
            self.assertTrue(0 < line["compute_share"] < 1, line)
            # What is counted lies inside the spans, which are in whole microseconds.
            self.assertLessEqual(line["compute_share"] * line["seconds"], max(of_ranks) / 1e6 + 1e-5)

    def test_changes_nothing(self):
        for name, words in (("with", ["--trace"]), ("without", [])):
            self.assertEqual(cadre("train", self.config(name), "--ranks", 2, *words).code, DONE)
        self.assertFalse((self.folder / "without" / "trace").exists())
        with_trace, without = (self.folder / name / "adapter_model.safetensors" for name in ("with", "without"))
        self.assertEqual(sha256(with_trace), sha256(without))

    def test_a_killed_rank_leaves_a_readable_file(self):
        run = self.folder / "killed"
        with Live("train", self.config("killed", max_steps=100000), "--ranks", 1, "--trace") as train:
            self.assertTrue(train.wait_for_line("step 5/"))
            rank, = (int(entry.name) for entry in pathlib.Path("/proc").iterdir() if entry.name.isdigit() and
                     is_rank_below(int(entry.name), train.process.pid))
            os.kill(rank, signal.SIGKILL)
            train.send(signal.SIGTERM)
            train.end()
        self.assertFalse((run / "trace" / "rank-0.json").read_text().endswith("]\n"))
        self.assertGreater(len(read_trace(run / "trace" / "rank-0.json")), 5 * len(OF_A_STEP))


def is_rank_below(pid, launcher):
    """Whether it is a rank that descends from the launcher, and has begun."""
    try:
        if b"\0rank\0" not in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
            return False
        if os.path.basename(os.readlink(f"/proc/{pid}/exe")) != "cadre-compute":
            return False
        while pid > 1:
            pid = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
            if pid == launcher:
                return True
    except OSError:
        pass  # it has ended meanwhile, or is another user's
    return False


if __name__ == "__main__":
    unittest.main()
