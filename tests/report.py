"""What the tests found, as JSON lines, and the summary that ends a run of tests/run.sh.

A record: {"suite", "name", "outcome": "passed" | "failed" | "skipped", "reason", "seconds"}. Only Python's library.

  report.py unittest RECORDS SUITE FOLDER [JOBS]  runs FOLDER's test_*.py, as many files at a time, and appends a record
                                              a test
  report.py gtest RECORDS SUITE JOBS KIND PROGRAM...  runs GoogleTest programs, in parts, as many at a time, and appends a
                                              record a test; its name tells the KIND of build: "asan", "tsan", or "" for none
  report.py add RECORDS SUITE NAME OUTCOME [REASON]
  report.py summary RECORDS                   prints each skipped and each failed test, then the counts; 1 if one failed
"""

import concurrent.futures
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree


class Records:
    """Appends to a file line by line, so that what was found before a crash is kept."""

    def __init__(self, path, suite):
        self.path = path
        self.suite = suite

    def add(self, name, outcome, reason="", seconds=0.0):
        line = {"suite": self.suite, "name": name, "outcome": outcome, "reason": reason, "seconds": round(seconds, 3)}
        with open(self.path, "a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")


def one_line(text, limit=300):
    line = "; ".join(part.strip() for part in str(text).splitlines() if part.strip())
    return line if len(line) <= limit else line[:limit] + " …"


class RecordingResult(unittest.TextTestResult):
    """One record a test. A test whose subtests fail has failed; one that only has skipped subtests has not passed."""

    def __init__(self, *args, records=None, **kwargs):
        super().__init__(*args, **kwargs)
        self._records = records
        self._started = time.monotonic()

    def startTest(self, test):
        super().startTest(test)
        self._started = time.monotonic()
        self._subtests_passed = 0
        self._failure = None
        self._settled = False

    def _record(self, test, outcome, reason=""):
        self._records.add(test.id(), outcome, reason, time.monotonic() - self._started)

    def addSuccess(self, test):
        super().addSuccess(test)
        self._record(test, "passed")
        self._settled = True

    def _fail(self, test, err):
        reason = one_line(f"{err[0].__name__}: {err[1]}")
        if isinstance(test, unittest.TestCase):
            self._failure = self._failure or reason
        else:  # a class's or a module's fixture: no startTest was called, so there is no stopTest
            self._record(test, "failed", reason)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._fail(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self._fail(test, err)

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self._record(test, "passed", "fails, as expected")
        self._settled = True

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self._failure = "passed, though it is marked as an expected failure"

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._record(test, "skipped", reason)
        if not hasattr(test, "test_case"):  # not a subtest, which settles only itself
            self._settled = True

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is None:
            self._subtests_passed += 1
        else:
            self._failure = self._failure or one_line(f"{subtest._subDescription()} {err[0].__name__}: {err[1]}")

    def stopTest(self, test):
        super().stopTest(test)
        if self._failure:
            self._record(test, "failed", self._failure)
        elif not self._settled and self._subtests_passed:
            self._record(test, "passed")


def run_unittest(records, folder, jobs):
    # The longest first: what comes last runs alone.
    files = sorted((name for name in os.listdir(folder) if name.startswith("test_") and name.endswith(".py")),
                   key=lambda name: (-os.path.getsize(os.path.join(folder, name)), name))
    if not files:
        records.add(folder, "skipped", "no tests yet")
        return
    if jobs == 1 or len(files) == 1:
        run_files(records, folder, "test_*.py")
        return

    def run_one(name):
        """In a process of its own: unittest and what tests do to their process know no threads."""
        ended = subprocess.run([sys.executable, __file__, "file", records.path, records.suite, folder, name],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
        print(f"-- {name}\n{ended.stdout}", end="", flush=True)
        if ended.returncode != 0:
            records.add(name, "failed", f"it ended with {ended.returncode}")

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        list(pool.map(run_one, files))


def run_files(records, folder, pattern):
    suite = unittest.TestLoader().discover(folder, pattern=pattern, top_level_dir=folder)

    def result(*args, **kwargs):
        return RecordingResult(*args, records=records, **kwargs)

    unittest.TextTestRunner(stream=sys.stdout, resultclass=result, verbosity=2).run(suite)


class GtestProgram:
    """GoogleTest reports at its end; of a program that crashes, its output says which test it was in."""

    def __init__(self, records, path, kind, shard=0, shards=1):
        self.records = records
        self.path = path
        self.environment = {**os.environ, "GTEST_SHARD_INDEX": str(shard), "GTEST_TOTAL_SHARDS": str(shards)}
        self.suffix = f" ({kind})" if kind else ""
        self.name = os.path.basename(path) + self.suffix
        self.test = "an unknown place"  # that it is in
        self.process = None

    def run(self):
        if not os.path.exists(self.path):
            self.records.add(self.name, "skipped", "no tests yet")
            return
        with tempfile.TemporaryDirectory() as scratch:
            result = os.path.join(scratch, "result.xml")
            with subprocess.Popen([self.path, f"--gtest_output=xml:{result}"], stdout=subprocess.PIPE, text=True,
                                  errors="replace", env=self.environment) as self.process:
                for line in self.process.stdout:
                    if line.startswith("[ RUN      ] "):
                        self.test = line[13:].strip()
                    elif line.startswith("[       OK ] "):
                        self.test = "an unknown place"
                    elif line.strip() and not line.startswith("[-----"):
                        print(f"{self.name}: {line}", end="", flush=True)
            if not os.path.exists(result):
                self.records.add(self.name, "failed", f"it ended with {self.process.returncode} in {self.test}")
                return
            failed = False
            for case in xml.etree.ElementTree.parse(result).iter("testcase"):
                failed = self.add(case) == "failed" or failed
            if self.process.returncode != 0 and not failed:
                self.records.add(self.name, "failed", f"it ended with {self.process.returncode}, though each test passed")

    def add(self, case):
        outcome, reason = "passed", ""
        failure, skipped = case.find("failure"), case.find("skipped")
        if failure is not None:
            outcome, reason = "failed", one_line(failure.get("message", ""))
        elif case.get("status") == "notrun":
            outcome, reason = "skipped", "disabled in the source"
        elif skipped is not None:
            # The message's first line is the place in the source, the second the reason.
            lines = [line for line in skipped.get("message", "").splitlines() if line.strip()]
            outcome, reason = "skipped", lines[-1].strip() if lines else "no reason given"
        name = f"{case.get('classname')}.{case.get('name')}{self.suffix}"
        self.records.add(name, outcome, reason, float(case.get("time", "0")))
        return outcome

    def cut_off(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.records.add(self.name, "failed", f"cut off in {self.test}")


def run_gtest(records, paths, kind, jobs):
    # In as many parts as run at a time, so that none is left alone at the end.
    programs = [GtestProgram(records, path, kind, part, jobs) for path in paths
                for part in range(jobs if os.path.exists(path) else 1)]

    def cut_off(*_):
        for program in programs:
            program.cut_off()
        os._exit(1)

    signal.signal(signal.SIGTERM, cut_off)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        list(pool.map(GtestProgram.run, programs))


def summary(path):
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    listed = {"failed": [], "skipped": []}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            counts[record["outcome"]] += 1
            if record["outcome"] in listed:
                listed[record["outcome"]].append(f"{record['suite']}: {record['name']}: {record['reason']}")
    for outcome in ("failed", "skipped"):
        for line in listed[outcome]:
            print(f"{outcome}  {line}")
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] else 0


def main(arguments):
    command, path, *rest = arguments
    if command == "summary":
        return summary(path)
    records = Records(path, rest[0])
    if command == "unittest":
        run_unittest(records, rest[1], int(rest[2]) if len(rest) > 2 else 1)
    elif command == "file":  # of unittest's FOLDER, by its name
        run_files(records, rest[1], rest[2])
    elif command == "gtest":
        run_gtest(records, rest[3:], kind=rest[2], jobs=int(rest[1]))
    elif command == "add":
        records.add(*rest[1:])
    else:
        raise SystemExit(f"report.py: unknown command {command}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
