"""Gradients that are summed where they are computed (zero_stage 1) or at their owners, in rounds (zero_stage 2): the
same bits on any number of ranks."""

import unittest

import tiny_base
from in_folder import InFolder
from program import DONE, RESUMABLE, cadre, losses, read_lines, sha256, write_config
from ranks_case import stop_in_step
from tiny_base import full, lora

# Several chunks, so that there is something to divide; eleven micro-batches, which no number of ranks here divides.
SHAPE = {**tiny_base.CONFIG, "hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 3, "head_dim": 16}
STEPS, MICRO_BATCHES = 4, 11
# Stage and ranks of what is compared with stage 1 on one rank.
COMPARED = ((0, 3), (1, 3), (2, 1), (2, 2), (2, 3), (2, 4), (2, 7))


class ZeroStagesTest(InFolder):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.base = tiny_base.write_base(cls.folder / "base", SHAPE)
        cls.rows = tiny_base.write_jsonl(cls.folder / "rows.jsonl", tiny_base.rows(200))

    def train(self, name, make, stage, ranks, **more):
        run = self.folder / f"{name}-{stage}-{ranks}"
        keys = make(self.base, run, self.rows, **{"micro_batch_size": 2, "global_batch_size": 2 * MICRO_BATCHES,
                                                  "max_steps": STEPS, "zero_stage": stage, **more})
        ended = cadre("train", write_config(run.with_suffix(".yaml"), **keys), "--ranks", ranks)
        self.assertEqual(ended.code, DONE, ended.err)
        result = "adapter_model.safetensors" if make is lora else "model.safetensors"
        return sha256(run / result), losses(run)

    def computed_by(self, name, stage, ranks):
        first = read_lines(self.folder / f"{name}-{stage}-{ranks}" / "ledger.jsonl")[0]
        return [one["rank"] for one in first["micro_batches"]]

    def compare(self, name, make, **more):
        alone = self.train(name, make, 1, 1, **more)
        for stage, ranks in COMPARED:
            with self.subTest(stage=stage, ranks=ranks):
                self.assertEqual(self.train(name, make, stage, ranks, **more), alone)
                if stage == 2:
                    self.assertEqual(self.computed_by(name, 2, ranks), [place % ranks for place in range(MICRO_BATCHES)])
        self.assertEqual(self.computed_by(name, 1, 3), [0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2])

    def test_full_fine_tuning(self):
        self.compare("full", full)

    def test_adapter(self):
        self.compare("adapter", lora, lora_r=64, lora_alpha=64, lora_dropout=0.1, lora_target_modules="all-linear")

    def test_with_gradient_checkpointing(self):
        more = {"gradient_checkpointing": True, "state_copies": 1}
        alone = self.train("again", full, 1, 1, **more)
        self.assertEqual(self.train("again", full, 2, 3, **more), alone)

    def test_more_ranks_than_micro_batches(self):
        alone = self.train("few", full, 1, 1, global_batch_size=4)
        self.assertEqual(self.train("few", full, 2, 4, global_batch_size=4), alone)

    def test_a_run_goes_on_with_another_stage(self):
        alone = self.train("whole", full, 1, 1)
        run = self.folder / "whole-part"
        keys = full(self.base, run, self.rows, micro_batch_size=2, global_batch_size=2 * MICRO_BATCHES, max_steps=STEPS,
                    heartbeat_limit=60)
        config = write_config(run.with_suffix(".yaml"), **keys)
        self.assertEqual(stop_in_step(1, config, run, "--ranks", 1).code, RESUMABLE)
        ended = cadre("train", config, "--ranks", 2, "--zero_stage", 2, "--state_copies", 1)
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertEqual((sha256(run / "model.safetensors"), losses(run)), alone)
        self.assertEqual([line["ranks"] for line in read_lines(run / "metrics.jsonl")], [1, 1, 2, 2])


if __name__ == "__main__":
    unittest.main()
