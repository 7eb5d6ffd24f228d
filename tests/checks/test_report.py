"""The tests of what counts tests: a wrong count would hide everything else."""

import json
import pathlib
import subprocess
import sys
import tempfile
import textwrap
import unittest

TESTS = pathlib.Path(__file__).resolve().parents[1]
REPORT = TESTS / "report.py"


class Report(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)
        self.records = self.folder / "records"
        self.records.touch()

    def report(self, *arguments):
        return subprocess.run([sys.executable, REPORT, *arguments], capture_output=True, text=True, check=False)

    def outcomes(self):
        lines = [json.loads(line) for line in self.records.read_text().splitlines()]
        return {line["name"].split(".")[-1]: (line["outcome"], line["reason"]) for line in lines}

    def run_tests(self, text):
        tests = self.folder / "suite"
        tests.mkdir()
        (tests / "test_it.py").write_text(textwrap.dedent(text))
        self.report("unittest", self.records, "suite", tests)
        return self.outcomes()

    def test_unittest_outcomes(self):
        outcomes = self.run_tests("""
            import unittest
            class T(unittest.TestCase):
                def test_good(self): pass
                def test_bad(self): self.assertEqual(1, 2)
                def test_error(self): raise KeyError("k")
                def test_skip(self): self.skipTest("no file")
                @unittest.expectedFailure
                def test_surprise(self): pass
                def test_subtests(self):
                    for n in range(3):
                        with self.subTest(n=n): self.assertNotEqual(n, 1)
                def test_good_subtests(self):
                    for n in range(3):
                        with self.subTest(n=n): pass
                def test_half(self):
                    with self.subTest(part="a"): pass
                    with self.subTest(part="b"): self.skipTest("no b")
                def test_none(self):
                    with self.subTest(part="c"): self.skipTest("no c")
                def tearDown(self):
                    if self._testMethodName == "test_teardown": raise ValueError("late")
                def test_teardown(self): pass
            """)
        self.assertEqual("passed", outcomes["test_good"][0])
        self.assertEqual(("failed", "AssertionError: 1 != 2"), outcomes["test_bad"])
        self.assertEqual(("failed", "KeyError: 'k'"), outcomes["test_error"])
        self.assertEqual(("skipped", "no file"), outcomes["test_skip"])
        self.assertEqual("failed", outcomes["test_surprise"][0])
        self.assertEqual(("failed", "(n=1) AssertionError: 1 == 1"), outcomes["test_subtests"])
        self.assertEqual("passed", outcomes["test_good_subtests"][0])
        self.assertEqual("passed", outcomes["test_half"][0])
        self.assertEqual(("skipped", "no b"), outcomes["test_half (part='b')"])
        self.assertEqual(("skipped", "no c"), outcomes["test_none (part='c')"])
        self.assertNotIn("test_none", outcomes)
        self.assertEqual(("failed", "ValueError: late"), outcomes["test_teardown"])

    def test_files_beside_each_other(self):
        tests = self.folder / "suite"
        tests.mkdir()
        body = "import os, unittest\nclass T(unittest.TestCase):\n    def test_{0}(self): {1}\n"
        for name, what in (("good", "pass"), ("bad", "self.fail('it')"), ("crash", "os._exit(3)")):
            (tests / f"test_{name}.py").write_text(body.format(name, what))
        self.report("unittest", self.records, "suite", tests, "2")
        self.assertEqual({"test_good": ("passed", ""), "test_bad": ("failed", "AssertionError: it"),
                          "py": ("failed", "it ended with 3")}, self.outcomes())

    def test_fixture_and_import_failures_are_failures(self):
        outcomes = self.run_tests("""
            import unittest
            class T(unittest.TestCase):
                @classmethod
                def setUpClass(cls): raise OSError("no disk")
                def test_never(self): pass
            class S(unittest.TestCase):
                @classmethod
                def setUpClass(cls): raise unittest.SkipTest("no model")
                def test_never_either(self): pass
            """)
        self.assertEqual([("failed", "OSError: no disk"), ("skipped", "no model")], sorted(outcomes.values()))
        self.records.write_text("")
        (self.folder / "suite" / "test_it.py").write_text("import nothing_of_this_name")
        self.report("unittest", self.records, "suite", self.folder / "suite")
        self.assertEqual(["failed"], [outcome for outcome, _ in self.outcomes().values()])

    def test_a_program_that_crashes_has_failed(self):
        program = self.folder / "program"
        program.write_text("#!/bin/sh\necho '[ RUN      ] A.One'\necho '[       OK ] A.One (0 ms)'\n"
                           "echo '[ RUN      ] A.Two'\nkill -SEGV $$\n")
        program.chmod(0o755)
        self.report("gtest", self.records, "unit", "1", "", program)
        self.assertEqual(("failed", "it ended with -11 in A.Two"), self.outcomes()["program"])
        self.report("gtest", self.records, "unit", "1", "tsan", program)
        self.assertEqual(("failed", "it ended with -11 in A.Two"), self.outcomes()["program (tsan)"])

    def test_a_program_that_is_cut_off_tells_where(self):
        program = self.folder / "program"
        program.write_text("#!/bin/sh\necho '[ RUN      ] A.Two'\necho begun\nexec sleep 1000\n")
        program.chmod(0o755)
        with subprocess.Popen([sys.executable, "-u", REPORT, "gtest", self.records, "unit", "1", "", program, program.with_name("none")],
                              stdout=subprocess.PIPE, text=True) as running:
            self.assertEqual("program: begun\n", running.stdout.readline())
            running.terminate()
            self.assertEqual(1, running.wait())
        self.assertEqual(("failed", "cut off in A.Two"), self.outcomes()["program"])

    def test_gtest_outcomes(self):
        program = self.folder / "program"
        program.write_text("""#!/bin/sh
            cat > "${1#--gtest_output=xml:}" <<'X'
<testsuites><testsuite name="S">
<testcase name="Good" classname="S" status="run" result="completed" time="0.5"/>
<testcase name="Off" classname="S" status="notrun" result="suppressed" time="0"/>
<testcase name="Skip" classname="S" status="run" result="skipped" time="0"><skipped message="a.cpp:3&#x0A;no disk&#x0A;"/></testcase>
<testcase name="Bad" classname="S" status="run" result="completed" time="0"><failure message="a.cpp:9&#x0A;x" type=""/></testcase>
</testsuite></testsuites>
X
            exit 1
""")
        program.chmod(0o755)
        self.report("gtest", self.records, "unit", "1", "", program)
        self.assertEqual({"Good": ("passed", ""), "Off": ("skipped", "disabled in the source"),
                          "Skip": ("skipped", "no disk"), "Bad": ("failed", "a.cpp:9; x")}, self.outcomes())
        self.report("gtest", self.records, "unit", "1", "asan", program)
        self.assertEqual(("failed", "a.cpp:9; x"), self.outcomes()["Bad (asan)"])

    def test_summary(self):
        for name, outcome, reason in (("a", "passed", ""), ("b", "skipped", "no GPU"), ("c", "passed", "")):
            self.report("add", self.records, "s", name, outcome, reason)
        run = self.report("summary", self.records)
        self.assertEqual((0, "skipped  s: b: no GPU\n2 passed, 0 failed, 1 skipped\n"), (run.returncode, run.stdout))
        self.report("add", self.records, "s", "d", "failed", "1 != 2")
        run = self.report("summary", self.records)
        self.assertEqual(1, run.returncode)
        self.assertEqual(["failed  s: d: 1 != 2", "skipped  s: b: no GPU", "2 passed, 1 failed, 1 skipped"],
                         run.stdout.splitlines())

    def test_an_unknown_suite_ends_in_2(self):
        run = subprocess.run([TESTS / "run.sh", "unti"], capture_output=True, text=True, check=False)
        self.assertEqual(2, run.returncode)
        self.assertIn('unknown suite "unti"', run.stderr)

    def test_the_suites_are_listed(self):
        run = subprocess.run([TESTS / "run.sh", "--list"], capture_output=True, text=True, check=False)
        self.assertEqual("unit fuzz parity e2e faults cluster gpu bench".split(), run.stdout.split())
