"""A bit changes in a rank's memory: the votes tell, the step is done again, and the result has the bits that it must. Who
errs in two steps is put out."""

import unittest

from in_folder import InFolder
from many_ranks import Scene, bits
from program import DONE, USER_MUST_MEND, cadre, read_lines, write_config

RANKS = 3


class WrongBytesTest(InFolder):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.scene = Scene(cls.folder)
        ended, cls.undisturbed = cls.train("undisturbed", "")
        assert ended.code == DONE, ended.err

    @classmethod
    def train(cls, name, failpoints, **keys):
        run = cls.scene.folder / name
        config = write_config(cls.scene.folder / f"{name}.yaml", **cls.scene.lora(
            run, **{"save_steps": 2, "max_steps": 8, **keys}))
        return cadre("train", config, "--ranks", RANKS, environment={"CADRE_FAILPOINTS": failpoints}), run

    def check(self, name, failpoints, errors, rollbacks=0, lost=()):
        """`errors`: (step, rank) that are blamed. Returns the journal's events by name."""
        ended, run = self.train(name, failpoints)
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertEqual(bits(run), bits(self.undisturbed))
        journal = read_lines(run / "journal.jsonl")
        events = {name: [line for line in journal if line["event"] == name] for name in ("erred", "rollback", "lost")}
        self.assertEqual([(line["step"], line["rank"]) for line in events["erred"]], errors)
        self.assertEqual(len(events["rollback"]), rollbacks)
        self.assertEqual([line["rank"] for line in events["lost"]][:1], list(lost))
        self.assertIn("is done again: ", ended.err)
        verified = cadre("verify", run)
        self.assertEqual(verified.code, DONE, verified.out + verified.err)
        return events

    def test_of_a_gradient(self):
        self.check("gradient", "exchange@2/1=flip", [(3, 1)])

    def test_of_a_parameter(self):
        """An evaluation, which follows, meets it first."""
        self.check("parameter", "gather@2/1=flip", [(4, 1)])

    def test_of_the_state(self):
        """After step 6, before its checkpoint is written, which may hold it: all go back to step 4."""
        events = self.check("state", "apply@5/2=flip", [(7, 2)], rollbacks=1)
        self.assertEqual(events["rollback"][0]["step"], 4)

    def test_twice(self):
        events = self.check("twice", "exchange@2/1=flip;exchange@5/1=flip", [(3, 1), (6, 1)], lost=(1,))
        self.assertIn("held wrong bytes in 2 steps", events["lost"][0]["reason"])

    def test_of_a_rank_that_computes_other_ones_from_the_start(self):
        ended, run = self.train("other", "load@0/1=flip")
        self.assertEqual(ended.code, USER_MUST_MEND, ended.err)
        self.assertIn("rank 1 has another result of the same micro-batch", ended.err)
        self.assertEqual([line for line in read_lines(run / "journal.jsonl") if line["event"] == "commit"], [])


if __name__ == "__main__":
    unittest.main()
