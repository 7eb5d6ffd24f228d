"""The same run gives the same bits: again, in another folder, on more threads, with gradient checkpointing, and from the
prepared cache."""

import unittest

import tiny_base
from in_folder import InFolder
from program import DONE, cadre, ledger, losses, sha256, write_config
from tiny_base import full, lora


class SameBitsTest(InFolder):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.base = tiny_base.write_base(cls.folder / "base")
        cls.rows = tiny_base.write_jsonl(cls.folder / "rows.jsonl", tiny_base.rows(200))

    def train(self, name, make=lora, **more):
        run = self.folder / name
        more = {"sample_packing": True, "global_batch_size": 16, **more}
        if make is lora:
            more = {"lora_dropout": 0.1, **more}
        config = write_config(self.folder / f"{name}.yaml", **make(self.base, run, self.rows, **more))
        ended = cadre("train", config)
        self.assertEqual(ended.code, DONE, ended.err)
        result = "adapter_model.safetensors" if make is lora else "model.safetensors"
        return sha256(run / result), losses(run), ledger(run)

    def test_adapter_twice(self):
        self.assertEqual(self.train("one"), self.train("two"))

    def test_full_fine_tuning_twice(self):
        self.assertEqual(self.train("full-one", full), self.train("full-two", full))

    def test_threads(self):
        self.assertEqual(self.train("one-thread", threads=1), self.train("two-threads", threads=2))

    def test_threads_of_full_fine_tuning(self):
        self.assertEqual(self.train("full-one-thread", full), self.train("full-two-threads", full, threads=2))

    def test_gradient_checkpointing(self):
        self.assertEqual(self.train("kept"), self.train("computed-again", gradient_checkpointing=True))

    def test_prepared_cache(self):
        cache = str(self.folder / "cache")
        first = self.train("fills-the-cache", dataset_prepared_path=cache)
        self.assertEqual(first, self.train("from-the-cache", dataset_prepared_path=cache))
        self.assertEqual(first, self.train("without-a-cache"))

    def test_seeds_differ(self):
        self.assertNotEqual(self.train("seed-1", seed=1)[0], self.train("seed-2", seed=2)[0])


if __name__ == "__main__":
    unittest.main()
