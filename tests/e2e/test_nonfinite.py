"""A weight of the base is infinite, and a few rows meet it: what becomes of their steps is the same on every rank."""

import array
import os
import signal
import unittest

import tiny_base
from in_folder import InFolder
from many_ranks import bits
from program import DONE, FAILED, Live, cadre, checkpoints, read_json, read_lines, wait_until, write_config

# With a table for the output of its own, since the infinite row would be in every loss.
CONFIG = {**tiny_base.CONFIG, "hidden_size": 64, "num_hidden_layers": 4, "head_dim": 16, "tie_word_embeddings": False}
# The rows that meet it, and the steps that the seed brings them to.
MARK, WITH_MARK, STEPS = "#", (103, 20, 15, 195), [7, 12, 19, 20]


def write_base(folder):
    tiny_base.write_base(folder, CONFIG)
    tensors = tiny_base.random_tensors(CONFIG)
    shape, table = tensors["model.embed_tokens.weight"]
    tensors["lm_head.weight"] = (shape, table)
    values = array.array("f", table)
    values[ord(MARK) * shape[1]] = float("inf")
    tensors["model.embed_tokens.weight"] = (shape, values.tobytes())
    (folder / "model.safetensors").write_bytes(tiny_base.safetensors(tensors))
    return folder


class NonFiniteTest(InFolder):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.base = write_base(cls.folder / "base")
        rows = tiny_base.rows(200)
        for row in WITH_MARK:
            rows[row]["instruction"] += MARK
        cls.rows = tiny_base.write_jsonl(cls.folder / "rows.jsonl", rows)

    def config(self, name, **keys):
        run = self.folder / name
        return write_config(self.folder / f"{name}.yaml", **tiny_base.lora(
            self.base, run, self.rows, **{"lora_r": 64, "lora_alpha": 64, "lora_target_modules": "all-linear",
                                          "micro_batch_size": 1, "global_batch_size": 10, "max_steps": 20,
                                          "save_steps": 2, "logging_steps": 2, **keys})), run

    def train(self, name, ranks, *words, **keys):
        config, run = self.config(name, **keys)
        return cadre("train", config, "--ranks", ranks, *words), run

    def skipped(self, run):
        return [line["step"] for line in read_lines(run / "ledger.jsonl") if line.get("skipped")]

    def test_skip(self):
        """The same steps are skipped on one rank and on three, to the same bits."""
        ended, alone = self.train("alone", 1, on_nonfinite="skip")
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertEqual(self.skipped(alone), STEPS, ended.err)
        self.assertIn("step 7: the loss is ", ended.err)
        events = [line for line in read_lines(alone / "journal.jsonl") if line["event"] == "non_finite"]
        self.assertEqual([event["step"] for event in events], STEPS)
        for event in events:
            self.assertEqual(event["decision"], "skip")
            self.assertEqual(len(event["micro_batches"]), 1)
            self.assertEqual(len(set(event["micro_batches"][0]["samples"]) & set(WITH_MARK)), 1)
        metrics = read_lines(alone / "metrics.jsonl")
        self.assertEqual([(line["step"], line["skipped"]) for line in metrics if "skipped" in line],
                         [(8, 1), (12, 1), (20, 2)])
        self.assertEqual([line["step"] for line in metrics if line["loss"] is None], [20])
        verified = cadre("verify", alone)
        self.assertEqual(verified.code, DONE, verified.out + verified.err)
        self.assertIn("4 of the steps skipped", verified.out)

        ended, three = self.train("three", 3, on_nonfinite="skip")
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertEqual(bits(three), bits(alone))
        self.assertEqual(self.skipped(three), STEPS)

    def test_stop(self):
        """The run ends before the step, with the last checkpoint as it was; it can go on by skipping."""
        config, run = self.config("stopped", heartbeat_limit=600)
        marks = self.folder / "marks"
        marks.mkdir()
        # A rank waits in the step until the checkpoint before it is there.
        points = {"CADRE_FAILPOINTS": f"marks={marks};forward@{STEPS[0] - 1}/0=stop"}
        with Live("train", config, "--ranks", 3, environment=points) as live:
            mark = marks / f"forward@{STEPS[0] - 1}.0"
            wait_until(lambda: mark.exists() and "step-00000006" in checkpoints(run))
            os.kill(int(mark.read_text()), signal.SIGCONT)
            ended = live.end()
        self.assertEqual(ended.code, FAILED, ended.err)
        self.assertIn("the loss is ", ended.err)
        self.assertIn("on_nonfinite: skip", ended.err)
        self.assertEqual(read_json(run / "run.json")["status"], "failed")
        event, = [line for line in read_lines(run / "journal.jsonl") if line["event"] == "non_finite"]
        self.assertEqual((event["step"], event["decision"]), (STEPS[0], "stop"))
        self.assertEqual(checkpoints(run)[-1], "step-00000006")

        ended, run = self.train("stopped", 2, on_nonfinite="skip")
        self.assertEqual(ended.code, DONE, ended.err)
        ended, whole = self.train("whole", 2, on_nonfinite="skip")
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertEqual(bits(run), bits(whole))


if __name__ == "__main__":
    unittest.main()
