"""`cadre status`, `cadre stop` and `cadre verify` of a run of several ranks: alive, after a rank was killed, at its end."""

import json
import os
import pathlib
import signal
import unittest

import tiny_base
from in_folder import InFolder
from program import DONE, FAILED, RESUMABLE, Live, cadre, flip_byte, losses, read_lines, sha256, write_config


def status(run):
    ended = cadre("status", run, "--json")
    assert ended.code == DONE, ended.err
    return json.loads(ended.out)


class StatusTest(InFolder):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.base = tiny_base.write_base(cls.folder / "base")
        cls.rows = tiny_base.write_jsonl(cls.folder / "rows.jsonl", tiny_base.rows(200))

    def config(self, name, **more):
        """176 rows are left to train on: each step of an epoch has eight micro-batches."""
        run = self.folder / name
        keys = {"max_steps": 300, "eval_steps": 30, "save_steps": 40, **more}
        keys = tiny_base.lora(self.base, run, self.rows, micro_batch_size=1, val_set_size=24, logging_steps=2, **keys)
        return write_config(self.folder / f"{name}.yaml", **keys), run

    def check_whole(self, run):
        ended = cadre("verify", run)
        self.assertEqual(ended.code, DONE, ended.out + ended.err)
        return ended.out

    def test_alive_and_after_it(self):
        config, run = self.config("alive", max_steps=100000, eval_steps=50000, save_steps=50000)
        with Live("train", config, "--ranks", "3") as live:
            self.assertTrue(live.wait_for_line(r"step 4/"), live.lines)
            found = status(run)
            self.assertEqual(found["status"], "running")
            self.assertEqual((found["max_steps"], found["view"]), (100000, 1))
            self.assertGreaterEqual(found["step"], 4)
            self.assertEqual([(rank["rank"], rank["state"]) for rank in found["ranks"]],
                             [(0, "live"), (1, "live"), (2, "live")])
            self.assertEqual(sum(rank["micro_batches"] for rank in found["ranks"]), 8)
            processes = [found["coordinator"]["pid"], *(rank["pid"] for rank in found["ranks"])]
            self.assertEqual(len(set(processes)), 4)
            words = [pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in processes]
            self.assertIn(b"coordinator", words[0])
            for word in words[1:]:
                self.assertIn(b"rank", word)
            shown = cadre("status", run).out
            self.assertRegex(shown, rf"\n +2  \S+ +{processes[3]}  live +\d\n")

            ended = cadre("stop", run)
            self.assertEqual(ended.code, DONE, ended.err)
            self.assertIn(f"process {live.process.pid} was asked", ended.out)
            self.assertEqual(live.end().code, RESUMABLE)
        found = status(run)
        self.assertEqual(found["status"], "stopped")
        self.assertEqual({rank["state"] for rank in found["ranks"]}, {"drained"})
        self.assertEqual(found["events"][-1]["event"], "stopped")
        self.check_whole(run)
        stopped = cadre("stop", run)
        self.assertEqual(stopped.code, 2)
        self.assertIn("not alive", stopped.err)

    def kill_rank(self, victim, name, **more):
        config, run = self.config(name, **more)
        with Live("train", config, "--ranks", "3") as live:
            self.assertTrue(live.wait_for_line(r"step 50/"), live.lines)
            # As `cadre status` has it, without the time that a process takes to start.
            view, = (line for line in read_lines(run / "journal.jsonl") if line["event"] == "view")
            os.kill(view["members"][victim]["pid"], signal.SIGKILL)
            ended = live.end()
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertIn(f"rank {victim} is lost", ended.err)
        self.assertEqual([line["rank"] for line in read_lines(run / "journal.jsonl") if line["event"] == "lost"], [victim])
        found = status(run)
        views = {line["view"]: {member["rank"] for member in line["members"]}
                 for line in read_lines(run / "journal.jsonl") if line["event"] == "view"}
        events = [line["event"] for line in read_lines(run / "journal.jsonl") if line.get("rank") == victim]
        came_back = "joined" in events[events.index("lost"):]  # a slow machine has the time for it
        self.assertEqual([rank["state"] for rank in found["ranks"]],
                         ["lost" if rank == victim and not came_back else "drained" for rank in range(3)])
        for line in read_lines(run / "ledger.jsonl"):
            computed = {part["rank"] for part in line["micro_batches"] if part["view"] == line["view"]}
            self.assertLessEqual(computed, views[line["view"]])
        self.check_whole(run)
        return run

    def test_killed_rank_leaves_no_trace_in_the_numbers(self):
        """Whether the survivors hold all state, or go back to a checkpoint and do steps again."""
        config, undisturbed = self.config("undisturbed")
        ended = cadre("train", config, "--ranks", "1")
        self.assertEqual(ended.code, DONE, ended.err)
        # So small a model is one chunk; of three ranks the last one owns it.
        for name, victim, copies, generation in (("kept", 2, 2, 0), ("fell-back", 2, 1, 1)):
            with self.subTest(name):
                run = self.kill_rank(victim, name, state_copies=copies)
                self.assertEqual(losses(run), losses(undisturbed))
                self.assertEqual(sha256(run / "adapter_model.safetensors"),
                                 sha256(undisturbed / "adapter_model.safetensors"))
                self.assertEqual(read_lines(run / "ledger.jsonl")[-1]["generation"], generation)
                rollbacks = [line for line in read_lines(run / "journal.jsonl") if line["event"] == "rollback"]
                self.assertEqual(len(rollbacks), generation)

    def test_resumed_after_a_kill_and_verified(self):
        """What was committed after the checkpoint is committed again, in a generation of its own."""
        config, run = self.config("killed")
        with Live("train", config, "--ranks", "2") as live:
            self.assertTrue(live.wait_for_line(r"step 30/"), live.lines)
        self.assertIn(status(run)["status"], ("interrupted", "running", "stopped"))
        ended = cadre("train", config, "--ranks", "2")
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertIn("2 terms", self.check_whole(run))
        for name in ("journal.term-1.jsonl", "journal.term-2.jsonl", "ledger.jsonl", "journal.jsonl"):
            whole = (run / name).read_bytes()
            flip_byte(run / name, len(whole) // 2)
            damaged = cadre("verify", run)
            self.assertEqual(damaged.code, FAILED, damaged.out)
            self.assertIn("FAILED", damaged.out)
            (run / name).write_bytes(whole)


if __name__ == "__main__":
    unittest.main()
