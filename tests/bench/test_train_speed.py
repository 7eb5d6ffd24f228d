"""The speed goals as tests, for `./tests/run.sh bench`; train_speed.py prints the same table alone."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import speed_cases
import train_speed

RUNS = 3
THREADS = 2


@unittest.skipIf(speed_cases.missing(), str(speed_cases.missing()))
@unittest.skipUnless(train_speed.CADRE.exists(), "cadre is not built")
class TrainSpeedTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory(prefix="cadre-speed-")
        print("\n" + train_speed.LAYOUT.format(*train_speed.HEADINGS), flush=True)

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def check(self, case):
        result = train_speed.compare(case, self.scratch.name, RUNS, THREADS)
        print("\n" + train_speed.row_of(result), flush=True)
        self.assertGreaterEqual(result.ratio(), case.goal, "times the peer's speed")
        self.assertLessEqual(result.our_bytes, result.peer_bytes, "peak memory")


for _case in speed_cases.CASES.values():
    setattr(TrainSpeedTest, "test_" + _case.name.replace("-", "_"), lambda self, case=_case: self.check(case))


if __name__ == "__main__":
    unittest.main()
