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

    def test_killed_rank_returns(self):
        config, undisturbed = self.config("undisturbed")
        ended = cadre("train", config, "--ranks", 1)
        self.assertEqual(ended.code, DONE, ended.err)

        config, run = self.config("killed")
        journal = run / "journal.jsonl"

        def views():
            return [line for line in read_lines(journal) if line["event"] == "view"]

        with Live("train", config, "--ranks", 3) as live:
            self.assertTrue(live.wait_for_line("step 2/"))
            before = {member["rank"]: member["pid"] for member in views()[0]["members"]}
            os.kill(before[1], signal.SIGKILL)
            ended = live.end()
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertEqual([len(view["members"]) for view in views()], [3, 2, 3])
        # Nobody loads but at the start, and nothing is written or done again for it.
        self.assertEqual([view["load"] for view in views()], [True, False, False])
        events = [line["event"] for line in read_lines(journal)]
        self.assertNotIn("rollback", events)
        self.assertEqual(events.count("checkpoint"), 1)
        last = views()[-1]
        back = next(member for member in last["members"] if member["rank"] == 1)
        self.assertNotEqual(back["pid"], before[1])
        self.assertEqual(back["incarnation"], 2)
        late = read_lines(run / "ledger.jsonl")[-1]
        self.assertEqual({part["rank"] for part in late["micro_batches"]}, {0, 1, 2})
        self.assertEqual(bits(run), bits(undisturbed))
        self.assertEqual(cadre("verify", run).code, DONE)
        log = (run / "logs" / "launcher.log").read_text()
        self.assertIn("rank 1 is started again in 1 s", log)


if __name__ == "__main__":
    unittest.main()
