"""The coordinator is killed in the middle of a run: its supervisor starts it again, the ranks come back to it by
themselves, and the run ends as if nothing had happened."""

import contextlib
import os
import re
import signal
import unittest

import tiny_base
from in_folder import InFolder
from program import DONE, Live, checkpoints, losses, read_lines, sha256, write_config


def coordinator_of(run):
    """The process of its newest incarnation."""
    return int(re.findall(r"coordinator of term \d+ is process (\d+)", (run / "logs" / "launcher.log").read_text())[-1])


def samples(run):
    """Which rows each step has trained on, without who computed them when."""
    return [(line["step"], [entry["samples"] for entry in line["micro_batches"]])
            for line in read_lines(run / "ledger.jsonl")]


def windows(run):
    """What a line of metrics.jsonl sums up over several steps."""
    return [(line["step"], line["tokens"]) for line in read_lines(run / "metrics.jsonl") if "tokens" in line]


class CoordinatorTest(InFolder):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.base = tiny_base.write_base(cls.folder / "base")
        cls.rows = tiny_base.write_jsonl(cls.folder / "rows.jsonl", tiny_base.rows(200))
        cls.undisturbed = cls.train("undisturbed", 3, [])

    @classmethod
    def train(cls, name, ranks, kill_after, environment=None, with_rank=None, **more):
        """Kills the coordinator, and a rank with it, when each of these lines has come, in their order."""
        run = cls.folder / name
        config = write_config(cls.folder / f"{name}.yaml", **tiny_base.lora(
            cls.base, run, cls.rows, **{"max_steps": 60, "micro_batch_size": 1, "lora_dropout": 0.1, "val_set_size": 20,
                                        "eval_steps": 12, "save_steps": 10, "save_total_limit": 2, "logging_steps": 2,
                                        **more}))
        with Live("train", config, "--ranks", str(ranks), environment=environment) as live:
            for line in kill_after:
                if not live.wait_for_line(line):
                    break
                with contextlib.suppress(ProcessLookupError):
                    coordinator = coordinator_of(run)
                    os.kill(coordinator, signal.SIGSTOP)  # it notes nothing of what follows
                    if with_rank is not None:
                        views = [event for event in read_lines(run / "journal.jsonl") if event["event"] == "view"]
                        os.kill(views[-1]["members"][with_rank]["pid"], signal.SIGKILL)
                    os.kill(coordinator, signal.SIGKILL)
            ended = live.end()
        return ended, run

    def check(self, ended, run, terms=None):
        self.assertEqual(ended.code, DONE, ended.err)
        undisturbed = self.undisturbed[1]
        self.assertEqual(sha256(run / "adapter_model.safetensors"), sha256(undisturbed / "adapter_model.safetensors"))
        self.assertEqual(losses(run), losses(undisturbed))
        self.assertEqual(windows(run), windows(undisturbed))
        self.assertEqual(samples(run), samples(undisturbed))
        if terms:
            self.assertEqual(checkpoints(run), checkpoints(undisturbed))
            self.assertEqual(len(list(run.glob("journal.term-*"))), terms)
        lost = [line for line in read_lines(run / "journal.jsonl") if line["event"] == "lost"]
        self.assertEqual(lost, [], "the coordinator's death condemns no rank")

    def test_undisturbed(self):
        self.check(*self.undisturbed, terms=1)

    def test_between_two_checkpoints(self):
        self.check(*self.train("between", 3, [r"step 16/"]), terms=2)

    def test_no_step_is_done_again(self):
        """Without a checkpoint to go back to: the ranks go on from what they have."""
        ended, run = self.train("kept", 3, [r"step 16/"], save_steps=0, eval_steps=0)
        self.assertEqual(ended.code, DONE, ended.err)
        undisturbed = self.undisturbed[1]
        self.assertEqual(sha256(run / "adapter_model.safetensors"), sha256(undisturbed / "adapter_model.safetensors"))
        self.assertEqual(samples(run), samples(undisturbed))
        self.assertEqual({line["generation"] for line in read_lines(run / "ledger.jsonl")}, {0})
        self.assertEqual({line["view"] for line in read_lines(run / "ledger.jsonl")}, {1, 2})

    def test_with_a_rank(self):
        """The others hold all that it held: here too they go on from what they have."""
        marks = self.folder / "marks"
        marks.mkdir()
        points = f"marks={marks};exchange@16/1=kill;recovery@*/coordinator=kill"
        ended, run = self.train("both", 3, [], {"CADRE_FAILPOINTS": points}, save_steps=0, eval_steps=0)
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertEqual(len(list(marks.iterdir())), 2)
        undisturbed = self.undisturbed[1]
        self.assertEqual(sha256(run / "adapter_model.safetensors"), sha256(undisturbed / "adapter_model.safetensors"))
        self.assertEqual(samples(run), samples(undisturbed))
        views = [line for line in read_lines(run / "journal.jsonl") if line["event"] == "view"]
        self.assertEqual([view["load"] for view in views], [True] + [False] * (len(views) - 1))
        self.assertEqual({line["generation"] for line in read_lines(run / "ledger.jsonl")}, {0})

    def test_in_the_same_moment_as_a_rank(self):
        """The launcher tells the next one that this process has ended, so that nobody waits for it."""
        ended, run = self.train("together", 3, [r"step 16/"], with_rank=1, save_steps=0, eval_steps=0)
        self.assertEqual(ended.code, DONE, ended.err)
        undisturbed = self.undisturbed[1]
        self.assertEqual(sha256(run / "adapter_model.safetensors"), sha256(undisturbed / "adapter_model.safetensors"))
        self.assertEqual(samples(run), samples(undisturbed))
        lost = [line["reason"] for line in read_lines(run / "journal.jsonl") if line["event"] == "lost"]
        self.assertEqual(lost, ["rank 1: its process has ended: signal 9 (Killed)"])

    def test_before_the_first_step(self):
        self.check(*self.train("before", 3, [r"rank 0: training "]), terms=2)

    def test_twice(self):
        self.check(*self.train("twice", 2, [r"step 4/", r"step 32/"]), terms=3)

    def test_of_a_single_rank(self):
        self.check(*self.train("single", 1, [r"step 8/"]), terms=2)

    def test_at_the_end(self):
        """Before, while or after the result is written."""
        self.check(*self.train("end", 3, [r"step 60/"]))


if __name__ == "__main__":
    unittest.main()
