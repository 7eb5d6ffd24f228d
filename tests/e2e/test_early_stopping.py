"""Patience ends a run, its result is the best step's, and the records say which."""

import unittest

import tiny_base
from in_folder import InFolder
from program import DONE, Live, cadre, checkpoints, flip_byte, read_json, read_lines, sha256, shards, wait_until, write_config
from tiny_base import full, lora


class EarlyStoppingTest(InFolder):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.base = tiny_base.write_base(cls.folder / "base")
        # Few rows, learnt by heart: the loss on others falls first and rises then.
        cls.rows = tiny_base.write_jsonl(cls.folder / "rows.jsonl", tiny_base.rows(8, longest=6))
        cls.held = tiny_base.write_jsonl(cls.folder / "held.jsonl", tiny_base.rows(24, seed=2, longest=6))

    def keys(self, name, make=full, **more):
        return make(self.base, self.folder / name, self.rows, **{
            "test_datasets": [tiny_base.dataset(self.held)],
            "learning_rate": 0.02, "lr_scheduler": "constant", "max_steps": 200, "eval_steps": 2,
            "early_stopping_patience": 3, "save_total_limit": 1, **more})

    def train(self, name, make=full, **more):
        config = write_config(self.folder / f"{name}.yaml", **self.keys(name, make, **more))
        ended = cadre("train", config)
        self.assertEqual(ended.code, DONE, ended.err)
        run = self.folder / name
        evaluations = {line["step"]: line["eval_loss"] for line in read_lines(run / "metrics.jsonl") if "eval_loss" in line}
        return run, evaluations, ended

    def check_stopped(self, run, evaluations, result):
        best = min(evaluations, key=evaluations.get)
        last = max(evaluations)
        self.assertEqual(last, best + 2 * 3)  # three evaluations without a better one
        self.assertLess(last, 200)
        self.assertGreater(best, 0)
        record = read_json(run / "run.json")
        self.assertEqual(record["status"], "succeeded")
        self.assertEqual(record["receipt"]["result"]["of"], f"step {best} (the best validation loss)")
        self.assertEqual(checkpoints(run), [f"step-{best:08d}", f"step-{last:08d}"])
        stops = [line for line in read_lines(run / "journal.jsonl") if line["event"] == "early_stopping"]
        self.assertEqual([line["step"] for line in stops], [last])
        self.assertIn(f"no better validation loss than step {best}'s for 3 evaluations", stops[0]["reason"])
        self.assertEqual(read_lines(run / "ledger.jsonl")[-1]["step"], last)
        self.assertEqual(cadre("verify", run).code, DONE)
        # The root holds the bits that a run which ends at the best step writes.
        make = full if result == "model.safetensors" else lora
        shorter, _, _ = self.train(f"{run.name}-until-the-best", make, max_steps=best, early_stopping_patience=0)
        self.assertEqual(sha256(run / result), sha256(shorter / result))
        return best

    def test_full_fine_tuning(self):
        self.check_stopped(*self.train("full")[:2], "model.safetensors")

    def test_adapter(self):
        run, evaluations, _ = self.train("adapter", lora)
        self.check_stopped(run, evaluations, "adapter_model.safetensors")

    def test_without_patience_the_last_step_is_the_result(self):
        run, evaluations, _ = self.train("impatient", max_steps=20, early_stopping_patience=0)
        best = min(evaluations, key=evaluations.get)
        self.assertLess(best, 20)
        self.assertEqual(read_json(run / "run.json")["receipt"]["result"]["of"], "step 20 (the last)")
        self.assertEqual(checkpoints(run), [f"step-{best:08d}", "step-00000020"])

    def test_start_that_nothing_betters(self):
        run, evaluations, _ = self.train("no-better", lora, learning_rate=0)
        self.assertEqual(sorted(evaluations), [0, 2, 4, 6])
        self.assertEqual(read_json(run / "run.json")["receipt"]["result"]["of"], "step 0 (the best validation loss)")
        self.assertEqual(cadre("verify", run).code, DONE)

    def test_resumed_between_the_best_and_the_end(self):
        run, evaluations, _ = self.train("whole", lora)
        best = min(evaluations, key=evaluations.get)
        name = "killed-late"
        config = write_config(self.folder / f"{name}.yaml", **self.keys(name, lora, save_steps=1))
        with Live("train", config) as live:
            self.assertTrue(live.wait_for_line(rf"step {best + 3}/"))
            live.power_off()
        self.assertEqual(cadre("train", config).code, DONE)
        again = self.folder / name
        self.assertEqual(sha256(again / "adapter_model.safetensors"), sha256(run / "adapter_model.safetensors"))
        self.assertEqual(read_json(again / "run.json")["receipt"]["result"]["of"],
                         read_json(run / "run.json")["receipt"]["result"]["of"])

    def test_best_checkpoint_that_was_damaged(self):
        """The last step's result is worth more than none."""
        name = "damaged-best"
        _, evaluations, _ = self.train("for-damage", lora)
        best = min(evaluations, key=evaluations.get)
        config = write_config(self.folder / f"{name}.yaml", **self.keys(
            name, lora, save_steps=1, early_stopping_patience=10))
        folder = self.folder / name / "checkpoints"
        checkpoint, later = (folder / f"step-{step:08d}" for step in (best, best + 2))
        with Live("train", config, environment={"CADRE_FAILPOINTS": "committed@*/0=slow:100"}) as live:
            self.assertTrue(live.wait_for_line(rf"step {best + 1}/"))
            # Many more follow it.
            wait_until(lambda: any(path.name >= later.name and shards(path) for path in folder.glob("step-*")))
            live.power_off()
        shard = shards(checkpoint)[0]
        flip_byte(shard)
        ended = cadre("train", config)
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertIn(f"{shard}: expected sha256 ", ended.err)
        self.assertIn(f"warning: step {best} had the best validation loss, but ", ended.err)
        self.assertIn(f"the best, step {best}, was not kept",
                      read_json(self.folder / name / "run.json")["receipt"]["result"]["of"])


if __name__ == "__main__":
    unittest.main()
