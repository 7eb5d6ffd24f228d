"""Hosts that leave a run and hosts that come to it while it goes on: real trainings on network namespaces."""

import unittest
from unittest import mock

from hosts import Hosts
from training import Training

import program
from program import DONE, cadre, read_lines, wait_until

# Slow enough for a host to load while the others train.
STEPS = 200
SLOWLY = {"CADRE_FAILPOINTS": "committed@*/0=slow:100"}


class DrainAndJoinTest(Training):
    @classmethod
    def config(cls, name, **more):
        return super().config(name, **{"max_steps": STEPS, "eval_steps": 100, "save_steps": 100, **more})

    def setUp(self):
        self.hosts = self.enterContext(Hosts(["a", "b", "c"]))
        self.enterContext(mock.patch.dict(program.ENVIRONMENT, SLOWLY))

    def ask(self, *words):
        ended = cadre(*words)
        self.assertEqual((ended.code, ended.err), (DONE, ""))
        return ended.out

    def members(self, run):
        return [sorted((member["rank"], member["host"]) for member in line["members"])
                for line in read_lines(run / "journal.jsonl") if line["event"] == "view"]

    def check_nothing_was_lost(self, run):
        events = [line["event"] for line in read_lines(run / "journal.jsonl")]
        self.assertNotIn("lost", events)
        self.assertNotIn("rollback", events)

    def test_a_host_leaves_and_comes_back(self):
        config, run = self.config("back")
        live = self.start(config, {"a": 2, "b": 2})
        self.wait_for_step(live, 2)
        self.assertIn("ranks 2 and 3 left", self.ask("drain", run, "b"))  # the name that it has itself
        self.assertEqual((len(self.ranks_on(live, "a")), self.ranks_on(live, "b")), (2, []))
        self.assertIn("ranks 2 and 3 have come in", self.ask("join", run, self.hosts.address("b")))
        self.assertEqual(len(self.ranks_on(live, "b")), 2)
        self.check_end(live, run)
        self.check_nothing_was_lost(run)
        self.assertEqual(self.members(run)[-1], [(0, "a"), (1, "a"), (2, "b"), (3, "b")])

    def test_a_host_that_was_never_part_of_it_takes_the_place_of_another(self):
        config, run = self.config("another", state_copies=1)
        live = self.start(config, {"a": 1, "b": 1})
        self.wait_for_step(live, 2)
        with open(run / "hosts", "a") as host_file:
            host_file.write(f"{self.hosts.address('c')}:2\n")
        wait_until(lambda: [member[0] for member in self.members(run)[-1]] == [0, 1, 2, 3])
        self.ask("drain", run, self.hosts.address("b"))
        self.assertEqual([len(self.ranks_on(live, name)) for name in "abc"], [1, 0, 2])
        self.check_end(live, run)
        self.check_nothing_was_lost(run)
        self.assertEqual(self.members(run)[-1], [(0, "a"), (2, "c"), (3, "c")])


if __name__ == "__main__":
    unittest.main()
