"""Nobody reads what a run says, or the launcher itself is stopped: the run goes on, and the log has it all."""

import fcntl
import os
import re
import signal
import subprocess
import unittest

import tiny_base
from in_folder import InFolder
from program import CADRE, DEADLINE, DONE, ENVIRONMENT, Live, cadre, losses, read_lines, sha256, wait_until, write_config

STEPS = 400  # whose news are more than a pipe holds


class HeldOutputTest(InFolder):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.base = tiny_base.write_base(cls.folder / "base")
        cls.rows = tiny_base.write_jsonl(cls.folder / "rows.jsonl", tiny_base.rows(100))
        config, cls.undisturbed = cls.config("undisturbed")
        assert cadre("train", config, "--ranks", 2).code == DONE

    @classmethod
    def config(cls, name):
        run = cls.folder / name
        return write_config(cls.folder / f"{name}.yaml", **tiny_base.lora(
            cls.base, run, cls.rows, max_steps=STEPS, global_batch_size=2, micro_batch_size=1)), run

    def check(self, run):
        self.assertEqual(sha256(run / "adapter_model.safetensors"), sha256(self.undisturbed / "adapter_model.safetensors"))
        self.assertEqual(losses(run), losses(self.undisturbed))
        logged = re.findall(r" step (\d+)/", (run / "logs" / "launcher.log").read_text())
        return [int(step) for step in logged]

    def test_pipe_that_nobody_reads(self):
        config, run = self.config("unread")
        read, write = os.pipe()
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
        with subprocess.Popen([str(CADRE), "train", str(config), "--ranks", "2"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=write, env=ENVIRONMENT) as process:
            os.close(write)
            try:
                self.assertEqual(process.wait(timeout=DEADLINE), DONE)
            finally:
                process.kill()
        self.assertEqual(self.check(run), list(range(1, STEPS + 1)))
        with open(read, "rb") as said:
            self.assertNotIn(f"step {STEPS}/".encode(), said.read())

    def test_launcher_that_is_stopped(self):
        config, run = self.config("stopped")
        with Live("train", config, "--ranks", 2) as live:
            self.assertTrue(live.wait_for_line("step 2/"))
            live.send(signal.SIGSTOP)
            wait_until(lambda: read_lines(run / "journal.jsonl")[-1]["event"] == "succeeded")
            live.send(signal.SIGCONT)
            ended = live.end()
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertLess(len(self.check(run)), STEPS)


if __name__ == "__main__":
    unittest.main()
