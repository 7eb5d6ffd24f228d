import pathlib
import re
import shutil
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Format(unittest.TestCase):
    def test_clang_format_changes_nothing(self):
        program = shutil.which("clang-format-14") or shutil.which("clang-format")
        if program is None:
            self.skipTest("clang-format 14 is not installed (apt-get install clang-format)")
        version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        if not re.search(r"version 14\.", version):
            self.skipTest(f"needs clang-format 14, whose output is the rule here; found {version.strip()}")
        sources = [path for folder in ("runtime", "comm", "trainer", "launch", "tests")
                   for path in sorted((ROOT / folder).rglob("*")) if path.suffix in (".h", ".cpp")]
        self.assertTrue(sources)
        run = subprocess.run([program, "--dry-run", "--Werror", *map(str, sources)], capture_output=True, text=True,
                             check=False)
        wrong = sorted({line.split(":")[0].removeprefix(f"{ROOT}/") for line in run.stderr.splitlines()
                        if "-Wclang-format-violations" in line})
        if run.returncode != 0:
            self.fail("mend with: clang-format -i " + " ".join(wrong) if wrong else run.stderr)
