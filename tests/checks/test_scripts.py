import os
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def pins(path):
    """name -> (version, hashes) of a requirements file."""
    text = (ROOT / path).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return {words[0].split("==")[0]: (words[0].split("==")[1], words[1:]) for words in lines}


class Scripts(unittest.TestCase):
    def test_shell_scripts_are_executable_and_parse(self):
        scripts = [path for folder in (".ci", "launch", "tests", "cluster") for path in (ROOT / folder).rglob("*")
                   if path.suffix == ".sh" or path.name == "run"]
        self.assertGreaterEqual(len(scripts), 4)
        for script in scripts:
            with self.subTest(script=str(script.relative_to(ROOT))):
                self.assertTrue(os.access(script, os.X_OK))
                self.assertTrue(script.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n"))
                subprocess.run(["bash", "-n", script], check=True)

    def test_an_unknown_step_ends_in_2(self):
        run = subprocess.run([ROOT / "launch/setup.sh", "pacakges"], capture_output=True, text=True, check=False)
        self.assertEqual(2, run.returncode)
        self.assertIn('unknown step "pacakges"', run.stderr)

    def test_requirements_are_pinned_with_hashes_and_agree(self):
        light, parity = pins("launch/requirements.txt"), pins("tests/parity/requirements.txt")
        self.assertEqual({"torch", "nvidia-cuda-runtime", "nvidia-cuda-cupti", "pyarrow"}, set(light))
        for name, pin in light.items():
            self.assertEqual(pin, parity[name])
        for name, (version, hashes) in parity.items():
            with self.subTest(name=name):
                self.assertRegex(version, r"^[0-9][0-9a-z.+]*$")
                self.assertTrue(hashes)
                for one in hashes:
                    self.assertRegex(one, re.compile(r"^--hash=sha256:[0-9a-f]{64}$"))
