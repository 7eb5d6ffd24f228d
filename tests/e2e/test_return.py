"""A lost rank is started again, comes back without a reload and takes its share; one that is lost again and again is left out."""

import os
import signal
import unittest

from in_folder import InFolder
from many_ranks import Scene, bits
from program import DONE, Live, cadre, read_lines, write_config

# Long enough for a process to start, load and compute while the others train.
STEPS = 400


class ReturnTest(InFolder):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.scene = Scene(cls.folder)

    def config(self, name):
        run = self.folder / name
        keys = self.scene.lora(run, max_steps=STEPS, eval_steps=STEPS, lora_r=8, lora_alpha=8)
        return write_config(self.folder / f"{name}.yaml", **keys), run

    def undisturbed(self):
        config, run = self.config("undisturbed")
        if not run.exists():
            ended = cadre("train", config, "--ranks", 1)
            self.assertEqual(ended.code, DONE, ended.err)
        return run

    def expect_nothing_done_again(self, run, members):
        """Nobody loads but at the start, and for those that come in nothing is written."""
        journal = read_lines(run / "journal.jsonl")
        views = [line for line in journal if line["event"] == "view"]
        self.assertEqual([len(view["members"]) for view in views], members)
        self.assertEqual([view["load"] for view in views], [True] + [False] * (len(members) - 1))
        events = [line["event"] for line in journal]
        self.assertNotIn("rollback", events)
        self.assertEqual(events.count("checkpoint"), 1, "at the end")
        self.assertEqual(bits(run), bits(self.undisturbed()))
        self.assertEqual(cadre("verify", run).code, DONE)
        return views

    def test_killed_rank_returns(self):
        config, run = self.config("killed")
        with Live("train", config, "--ranks", 3) as live:
            self.assertTrue(live.wait_for_line("step 2/"))
            before = {member["rank"]: member["pid"] for line in read_lines(run / "journal.jsonl")
                      if line["event"] == "view" for member in line["members"]}
            os.kill(before[1], signal.SIGKILL)
            ended = live.end()
        self.assertEqual(ended.code, DONE, ended.err)
        last = self.expect_nothing_done_again(run, [3, 2, 3])[-1]
        back = next(member for member in last["members"] if member["rank"] == 1)
        self.assertNotEqual(back["pid"], before[1])
        self.assertEqual(back["incarnation"], 2)
        late = read_lines(run / "ledger.jsonl")[-1]
        self.assertEqual({part["rank"] for part in late["micro_batches"]}, {0, 1, 2})
        log = (run / "logs" / "launcher.log").read_text()
        self.assertIn("rank 1 is started again in 1 s", log)

    def test_killed_again_while_it_comes_in(self):
        config, run = self.config("again")
        marks = self.folder / "marks"
        marks.mkdir()
        points = {"CADRE_FAILPOINTS": f"marks={marks};exchange@2/1=kill;move@*/1=kill"}
        ended = cadre("train", config, "--ranks", 3, environment=points)
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertEqual(len(list(marks.iterdir())), 2)
        self.expect_nothing_done_again(run, [3, 2, 3, 2, 3])


if __name__ == "__main__":
    unittest.main()
