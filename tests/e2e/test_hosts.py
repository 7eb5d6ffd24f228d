"""What the ranks of one host share: its processors, each its part, and a relay that speaks for them to the coordinator.
The relay is killed in the middle of a run: nobody is lost with it, and the run ends as if nothing had happened."""

import os
import pathlib
import signal
import unittest

import tiny_base
from in_folder import InFolder
from program import DONE, Live, losses, read_lines, sha256, wait_until, write_config


def processors(pid):
    """Of each thread of the process, those that it may use; the allocator's own is there before anything is chosen."""
    return [os.sched_getaffinity(int(thread.name)) for thread in pathlib.Path(f"/proc/{pid}/task").iterdir()
            if not (thread / "comm").read_text().startswith("jemalloc")]


class HostsTest(InFolder):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.base = tiny_base.write_base(cls.folder / "base")
        cls.rows = tiny_base.write_jsonl(cls.folder / "rows.jsonl", tiny_base.rows(200))

    def start(self, name, *options):
        run = self.folder / name
        config = write_config(self.folder / f"{name}.yaml", **tiny_base.lora(
            self.base, run, self.rows, max_steps=60, micro_batch_size=1, lora_dropout=0.1, val_set_size=20, eval_steps=12,
            save_steps=10))
        return run, Live("train", config, *options)

    def check_processors(self, name, allowed, ranks, expected):
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, allowed)
        try:
            run, live = self.start(name, "--ranks", ranks)
        finally:
            os.sched_setaffinity(0, before)
        with live:
            self.assertTrue(live.wait_for_line("step 4/"), live.lines)
            members = next(line["members"] for line in read_lines(run / "journal.jsonl") if line["event"] == "view")
            for member in members:
                for threads in processors(member["pid"]):
                    self.assertEqual(threads, expected[member["rank"]])
            self.assertEqual(live.end().code, DONE)

    def test_each_rank_has_its_part_of_the_processors(self):
        allowed = sorted(os.sched_getaffinity(0))
        middle = len(allowed) // 2
        if middle == 0:
            self.skipTest("one processor is not to be parted")
        self.check_processors("parted", allowed, 2, [set(allowed[:middle]), set(allowed[middle:])])

    def test_what_the_launcher_may_not_use_no_rank_uses(self):
        last = max(os.sched_getaffinity(0))
        self.check_processors("narrow", {last}, 2, [{last}, {last}])

    def end(self, live, run):
        ended = live.end()
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertEqual(live.processes("relay"), [])
        return sha256(run / "adapter_model.safetensors"), losses(run)

    def events(self, run, name):
        return [line["reason"] for line in read_lines(run / "journal.jsonl") if line["event"] == name]

    def test_a_relay_that_dies_condemns_nobody(self):
        run, live = self.start("straight", "--ranks", 4)
        with live:
            self.assertTrue(live.wait_for_line("step 4/"), live.lines)
            self.assertEqual(live.processes("relay"), [], "few ranks have none")
            expected = self.end(live, run)
        run, live = self.start("relayed", "--ranks", 4, "--relay_above", 3)
        with live:
            self.assertTrue(live.wait_for_line("step 4/"), live.lines)
            self.assertEqual(len(live.processes("relay")), 1)
            self.assertEqual(self.end(live, run), expected)
        self.assertEqual(self.events(run, "reconnected"), [])
        for step in ("step 4/", "step 12/", "step 30/"):
            with self.subTest(step=step):
                run, live = self.start(f"killed-{step[5:-1]}", "--ranks", 4, "--relay_above", 3)
                with live:
                    self.assertTrue(live.wait_for_line(step), live.lines)
                    os.kill(live.processes("relay")[0], signal.SIGKILL)
                    self.assertEqual(self.end(live, run), expected)
                self.assertEqual(len(self.events(run, "reconnected")), 4)
                self.assertEqual(self.events(run, "lost"), [])
                self.assertEqual(self.events(run, "rollback"), [])
                self.assertEqual({line["generation"] for line in read_lines(run / "ledger.jsonl")}, {0})

    def test_a_rank_behind_a_relay_is_missed_at_once(self):
        run, live = self.start("rank", "--ranks", 3, "--relay_above", 2)
        with live:
            self.assertTrue(live.wait_for_line("step 8/"), live.lines)
            victim = next(member["pid"] for line in read_lines(run / "journal.jsonl") if line["event"] == "view"
                          for member in line["members"] if member["rank"] == 1)
            os.kill(victim, signal.SIGKILL)
            self.end(live, run)
        self.assertRegex(self.events(run, "lost")[0], "rank 1: closed by the other end")

    def test_a_relay_ends_with_its_ranks_when_the_launcher_is_killed(self):
        _, live = self.start("orphans", "--ranks", 3, "--relay_above", 2)
        with live:
            self.assertTrue(live.wait_for_line("step 4/"), live.lines)
            live.send(signal.SIGKILL)
            wait_until(lambda: not live.processes("relay"))


if __name__ == "__main__":
    unittest.main()
