"""Nobody reads what a run says, or the launcher itself is stopped: the run goes on, and only news of steps may be left
out."""

import fcntl
import os
import pty
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
        log = (run / "logs" / "launcher.log").read_text()
        self.assertIn("done: the result is in ", log)
        logged = [int(step) for step in re.findall(r" step (\d+)/", log)]
        self.assertEqual(logged[:2], [1, 2])
        return logged

    def say_to(self, config, write):
        """Trains with this as its stderr."""
        with subprocess.Popen([str(CADRE), "train", str(config), "--ranks", "2"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=write, env=ENVIRONMENT) as process:
            os.close(write)
            try:
                self.assertEqual(process.wait(timeout=DEADLINE), DONE)
            finally:
                process.kill()

    def test_pipe_that_nobody_reads(self):
        config, run = self.config("unread")
        read, write = os.pipe()
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
        self.say_to(config, write)
        self.check(run)
        with open(read, "rb") as said:
            self.assertNotIn(f"step {STEPS}/".encode(), said.read())

    def test_terminal_that_nobody_reads(self):
        """poll() says of it that it takes something, and a write of more would wait."""
        config, run = self.config("terminal")
        read, write = pty.openpty()
        try:
            self.say_to(config, write)
        finally:
            os.close(read)
        self.check(run)

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
