"""A rank that is slower than the others gets fewer micro-batches, and the result has the same bits."""

import collections
import json
import pathlib
import tempfile
import unittest

from many_ranks import Scene, bits
from program import DONE, cadre, read_lines, write_config


class SlowRankTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scene = Scene(pathlib.Path(scratch.name))

    def train(self, name, ranks, **more):
        run = self.scene.folder / name
        config = write_config(self.scene.folder / f"{name}.yaml", **self.scene.lora(run, max_steps=16, eval_steps=0))
        ended = cadre("train", config, "--ranks", ranks, **more)
        self.assertEqual(ended.code, DONE, ended.err)
        return run

    def test_shares_follow_the_speed(self):
        # So slow that no load of the machine makes the other look like it.
        slow = self.train("slow", 2, environment={"CADRE_FAILPOINTS": "forward@*/1=slow:300"})
        self.assertEqual(bits(slow), bits(self.train("alone", 1)))
        steps = read_lines(slow / "ledger.jsonl")
        shares = [collections.Counter(part["rank"] for part in line["micro_batches"]) for line in steps]
        self.assertEqual(shares[0], {0: 5, 1: 5})
        self.assertLessEqual(2 * shares[-1][1], shares[-1][0])
        self.assertEqual({line["view"] for line in steps}, {1}, "no new view for it")
        status = json.loads(cadre("status", slow, "--json").out)
        self.assertEqual({rank["rank"]: rank["micro_batches"] for rank in status["ranks"]},
                         {rank: shares[-1][rank] for rank in (0, 1)})


if __name__ == "__main__":
    unittest.main()
