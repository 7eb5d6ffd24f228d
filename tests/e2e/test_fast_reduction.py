"""`reduction: fast`: the same training, added in an order that depends on the number of ranks."""

import unittest

import tiny_base
from in_folder import InFolder
from program import DONE, cadre, losses, sha256, write_config
from tiny_base import full


class FastReductionTest(InFolder):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.base = tiny_base.write_base(cls.folder / "base")
        cls.rows = tiny_base.write_jsonl(cls.folder / "rows.jsonl", tiny_base.rows(200))

    def train(self, name, ranks, **more):
        run = self.folder / name
        keys = full(self.base, run, self.rows, global_batch_size=20, **more)
        config = write_config(self.folder / f"{name}.yaml", **keys)
        ended = cadre("train", config, "--ranks", ranks)
        self.assertEqual(ended.code, DONE, ended.err)
        return sha256(run / "model.safetensors"), [loss for _, _, loss in losses(run)]

    def test_fast_is_another_order_of_the_same_sums(self):
        exact, exact_losses = self.train("exact", 3)
        fast, fast_losses = self.train("fast", 3, reduction="fast")
        self.assertNotEqual(fast, exact)
        for one, other in zip(fast_losses, exact_losses, strict=True):
            self.assertAlmostEqual(one, other, places=4)
        self.assertEqual(self.train("again", 3, reduction="fast"), (fast, fast_losses))
        self.assertNotEqual(self.train("alone", 1, reduction="fast")[0], fast)

    def test_more_ranks_than_micro_batches(self):
        _, alone = self.train("whole", 1, reduction="fast", micro_batch_size=10)
        _, shared = self.train("shared", 4, reduction="fast", micro_batch_size=10)
        self.assertEqual(alone, shared)  # two operands have one order


if __name__ == "__main__":
    unittest.main()
