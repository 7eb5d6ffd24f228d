"""The drill that a user watches, as a pipe: it survives its faults, says so truly, and leaves nothing when it is
interrupted."""

import os
import re
import secrets
import signal
import subprocess
import unittest

import tiny_base
from in_folder import InFolder
from program import CADRE, DEADLINE, DONE, ENVIRONMENT, REPOSITORY, marked, sha256, wait_until, write_config

FAULTS = 3  # of the schedule: a rank, the coordinator, an island


class DrillTest(InFolder):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        base = tiny_base.write_base(cls.folder / "base")
        rows = tiny_base.write_jsonl(cls.folder / "rows.jsonl", tiny_base.rows(200))
        cls.config = write_config(cls.folder / "lora.yaml", **{
            **tiny_base.lora(base, cls.folder / "unused", rows, micro_batch_size=1, lora_dropout=0.1), "max_steps": 0})

    def drill(self, name, *options, **environment):
        words = [REPOSITORY / "cluster" / "drill.sh", self.config, "--output_dir", self.folder / name, *options]
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                                env={**ENVIRONMENT, "CADRE_BUILD": str(CADRE.parent), **environment})

    def test_survives_every_fault_with_the_same_bits(self):
        with self.drill("drill", "--faults", str(FAULTS), "--seconds", "7") as drill:
            said, _ = drill.communicate(timeout=DEADLINE)
        self.assertEqual(drill.returncode, DONE, said)
        self.assertNotIn("\033", said)
        output = self.folder / "drill"
        one, other = (sha256(output / name / "adapter_model.safetensors") for name in ("undisturbed", "disturbed"))
        self.assertEqual(one, other)
        self.assertEqual(re.findall("^  (?:un)?disturbed +([0-9a-f]{64})$", said, re.MULTILINE), [one, one])
        told = re.search(r"^  (\d+) processes killed in (\d+) faults: the same bits$", said, re.MULTILINE)
        self.assertEqual(int(told[2]), FAULTS)
        killed = (output / "disturbed" / "logs" / "launcher.log").read_text().count("signal 9 (Killed)")
        self.assertGreaterEqual(killed, FAULTS)
        self.assertGreaterEqual(len(list((output / "disturbed").glob("journal.term-*"))), 2)

    def test_leaves_nothing_when_it_is_interrupted(self):
        mark = "CADRE_TEST_MARK=" + secrets.token_hex(8)
        self.addCleanup(lambda: [os.kill(pid, signal.SIGKILL) for pid in marked(mark)])
        with self.drill("interrupted", **dict([mark.split("=")])) as drill:
            self.assertTrue(any("ms a step" in line for line in drill.stdout))
            journal = self.folder / "interrupted" / "undisturbed" / "journal.jsonl"
            wait_until(lambda: journal.exists() and '"view"' in journal.read_text())
            drill.send_signal(signal.SIGINT)
            self.assertEqual(drill.wait(DEADLINE), 128 + signal.SIGINT)
        self.assertEqual(marked(mark), {})


if __name__ == "__main__":
    unittest.main()
