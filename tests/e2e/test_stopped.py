"""A process is stopped, as one that is swapped out or hangs in a device: a rank is lost after the limit of silence and
finds itself out when it goes on; a coordinator is replaced. The result has the bits that it must."""

import contextlib
import os
import pathlib
import signal
import unittest

import tiny_base
from in_folder import InFolder
from program import DONE, Live, losses, read_lines, sha256, write_config
from test_coordinator import coordinator_of, samples


def signal_to(pid, number):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


class StoppedTest(InFolder):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.base = tiny_base.write_base(cls.folder / "base")
        cls.rows = tiny_base.write_jsonl(cls.folder / "rows.jsonl", tiny_base.rows(200))
        with cls.live("undisturbed") as live:
            ended = live.end()
        assert ended.code == DONE, ended.err

    @classmethod
    def live(cls, name, failpoints="", **keys):
        config = write_config(cls.folder / f"{name}.yaml", **tiny_base.lora(
            cls.base, cls.folder / name, cls.rows, **{"max_steps": 60, "micro_batch_size": 1, "lora_dropout": 0.1,
                                                      "save_steps": 10, "logging_steps": 2, **keys}))
        return Live("train", config, "--ranks", "3", environment={"CADRE_FAILPOINTS": failpoints} if failpoints else None)

    def check(self, ended, run):
        self.assertEqual(ended.code, DONE, ended.err)
        whole = self.folder / "undisturbed"
        self.assertEqual(sha256(run / "adapter_model.safetensors"), sha256(whole / "adapter_model.safetensors"))
        self.assertEqual(losses(run), losses(whole))
        self.assertEqual(samples(run), samples(whole))

    def test_a_rank(self):
        run = self.folder / "rank"
        with self.live("rank", heartbeat_limit=1) as live:
            self.assertTrue(live.wait_for_line(r"step 16/"))
            members = [line for line in read_lines(run / "journal.jsonl") if line["event"] == "view"][-1]["members"]
            pid = next(member["pid"] for member in members if member["rank"] == 1)
            signal_to(pid, signal.SIGSTOP)
            self.assertTrue(live.wait_for_line(r".*rank 1 is lost: silent for 1 s"), live.lines)
            signal_to(pid, signal.SIGCONT)
            ended = live.end()
            self.assertFalse(pathlib.Path(f"/proc/{pid}").exists())
        self.check(ended, run)

    def test_a_rank_that_never_goes_on(self):
        """The others cannot do without it here: another process takes its place."""
        run, marks = self.folder / "for-good", self.folder / "for-good-marks"
        marks.mkdir()
        with self.live(run.name, f"marks={marks};prepared@16/1=stop", heartbeat_limit=1, min_ranks=3) as live:
            ended = live.end()
        self.check(ended, run)
        stopped = int((marks / "prepared@16.1").read_text())
        views = [line for line in read_lines(run / "journal.jsonl") if line["event"] == "view"]
        self.assertEqual([stopped in [member["pid"] for member in view["members"]] for view in (views[0], views[-1])],
                         [True, False])
        self.assertIn("rank 1 is killed: ", (run / "logs" / "launcher.log").read_text())

    def test_a_rank_that_never_goes_on_before_the_first_view(self):
        """Before it connects, once it is let in, while it loads: it is killed and started again."""
        for phase in ("start", "join", "load"):
            with self.subTest(phase):
                run, marks = self.folder / f"{phase}-for-good", self.folder / f"{phase}-marks"
                marks.mkdir()
                with self.live(run.name, f"marks={marks};{phase}@*/1=stop", heartbeat_limit=1) as live:
                    ended = live.end()
                self.check(ended, run)
                stopped = int((marks / f"{phase}@*.1").read_text())
                members = [line for line in read_lines(run / "journal.jsonl") if line["event"] == "view"][-1]["members"]
                self.assertEqual([member["rank"] for member in members], [0, 1, 2])
                self.assertNotIn(stopped, [member["pid"] for member in members])
                self.assertIn("rank 1 is killed: ", (run / "logs" / "launcher.log").read_text())

    def test_the_coordinator(self):
        run = self.folder / "coordinator"
        with self.live("coordinator") as live:
            self.assertTrue(live.wait_for_line(r"step 16/"))
            signal_to(coordinator_of(run), signal.SIGSTOP)
            ended = live.end()
        self.check(ended, run)
        log = (run / "logs" / "launcher.log").read_text()
        self.assertEqual(log.count("coordinator of term 1 has said nothing for 12 s and is killed"), 1)
        self.assertEqual(len(list(run.glob("journal.term-*"))), 2)
        self.assertEqual([line for line in read_lines(run / "journal.jsonl") if line["event"] == "lost"], [])


if __name__ == "__main__":
    unittest.main()
