"""Hosts that do not see the run's folder, each with an empty one of the same name: the data and checkpoints come to them
from the launch node, their shards and the result go there, and no bit changes."""

import os
import signal
import unittest
from unittest import mock

from training import DATA, STEPS, Training, program, wait_until

from program import RESUMABLE, USER_MUST_MEND, read_json, read_lines, shards
from test_coordinator import coordinator_of


class UnsharedFolderTest(Training):
    def setUp(self):
        super().setUp()
        # Where the ranks' copies lie for as long as they are read.
        self.copies = self.scratch / f"copies-{self.id().split('.')[-1]}"
        self.copies.mkdir()
        self.enterContext(mock.patch.dict(program.ENVIRONMENT, {"HOSTS_TMPDIR": str(self.copies)}))

    def check_end(self, live, run, *code):
        ended = super().check_end(live, run, *code)
        self.assertEqual([path.name for path in self.copies.iterdir() if path.name.startswith("cadre-")], [])
        self.assertEqual([path.name for path in run.iterdir() if path.name.startswith(".shared")], [])
        return ended

    def test_one_host_is_apart(self):
        config, run = self.config("apart")
        live = self.start(config, {"a": 2, "b": 2}, hides={"b": [run]})
        ended = self.check_end(live, run)
        self.assertEqual(ended.err.count(f"b does not share {run} with this machine"), 1, ended.err)
        self.assertNotIn("a does not share", ended.err)
        self.assertNotIn("prepared here once more", ended.err)
        for checkpoint in (run / "checkpoints").iterdir():
            writers = {path.name.split("rank-")[1][0] for path in shards(checkpoint)}
            self.assertTrue(writers & {"2", "3"}, writers)  # there are fewer chunks than ranks

    def test_all_hosts_are_apart(self):
        """Also the result is sent, and traces; and the data, which they do not have."""
        config, run = self.config("all-apart")
        hidden = [run, self.data]
        live = self.start(config, {"a": 1, "b": 2}, hides={"a": hidden, "b": hidden}, words=["--trace"])
        self.check_end(live, run)
        for rank in range(3):
            spans = read_json(run / "trace" / f"rank-{rank}.json")
            self.assertEqual({span["args"]["step"] for span in spans if span["name"] == "vote"}, set(range(1, STEPS + 1)))

    def test_stopped_and_resumed(self):
        config, run = self.config("apart-stopped")
        live = self.start(config, {"a": 2, "b": 2}, hides={"b": [run]})
        self.wait_for_step(live, 4)
        live.send(signal.SIGTERM)
        self.check_end(live, run, RESUMABLE)
        live = self.start(config, {"a": 1, "b": 2}, hides={"a": [run], "b": [run]})
        self.check_end(live, run)

    def resume_apart(self, name, points, ranks):
        """Goes on from a checkpoint that ranks on b must copy; `points`: where they fail, each once."""
        config, run = self.config(name)
        live = self.start(config, {"a": 1, "b": 2})
        self.wait_for_step(live, 4)
        live.send(signal.SIGTERM)
        self.check_end(live, run, RESUMABLE)
        marks = self.scratch / f"marks-{name}"
        marks.mkdir()
        points = ";".join([f"marks={marks}", *points])
        return self.start(config, ranks, hides={"b": [run]}, environment={"CADRE_FAILPOINTS": points}), run, marks

    def test_a_host_copies_a_checkpoint_once(self):
        live, run, marks = self.resume_apart("once", ["copy@*/1=pause:3000", "copy@*/2=pause:3000"], {"a": 1, "b": 2})
        self.check_end(live, run)
        self.assertEqual(len([mark for mark in marks.iterdir() if mark.name.startswith("copy")]), 1)

    def test_the_coordinator_is_killed_while_a_checkpoint_is_copied(self):
        live, run, marks = self.resume_apart("copied", ["copy@*/0=pause:1000", "copy@*/1=pause:1000"], {"b": 2})
        wait_until(lambda: list(marks.glob("copy*")))
        os.kill(coordinator_of(run), signal.SIGKILL)
        self.check_end(live, run)
        self.assertEqual([line for line in read_lines(run / "journal.jsonl") if line["event"] == "lost"], [])

    def test_the_coordinator_is_killed(self):
        config, run = self.config("apart-coordinator")
        live = self.start(config, {"a": 1, "b": 1}, hides={"a": [run], "b": [run]})
        self.wait_for_step(live, 8)
        os.kill(coordinator_of(run), signal.SIGKILL)
        self.check_end(live, run)
        self.assertEqual([line for line in read_lines(run / "journal.jsonl") if line["event"] == "lost"], [])

    def test_a_rank_apart_is_killed(self):
        config, run = self.config("apart-lost")
        live = self.start(config, {"a": 1, "b": 2}, hides={"b": [run]})
        self.wait_for_step(live, 4)
        os.kill(self.ranks_on(live, "b")[0], signal.SIGKILL)
        self.check_end(live, run)

    def test_a_host_without_the_model(self):
        config, run = self.config("no-model")
        live = self.start(config, {"a": 1, "b": 1}, hides={"b": [DATA / "stories260k_hf"]})
        ended = self.check_end(live, run, USER_MUST_MEND)
        self.assertRegex(ended.err, rf"rank 1 on b: {DATA}/stories260k_hf.*; every host needs base_model")


if __name__ == "__main__":
    unittest.main()
