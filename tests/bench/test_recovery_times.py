"""How long a run stands still after a fault, for `./tests/run.sh bench`; recovery_times.py prints the same tables
alone, with more repeats. The medians are held to the goals: micro-batches that are computed again are not taken off."""

import statistics
import unittest

import recovery_times
import speed_cases

REPEATS = 5


@unittest.skipIf(speed_cases.missing(), str(speed_cases.missing()))
@unittest.skipUnless(recovery_times.CADRE.exists(), "cadre is not built")
class RecoveryTimesTest(unittest.TestCase):
    def check(self, ranks, kills=0):
        found = recovery_times.measure(ranks, REPEATS, kills)
        for headings, row_of in ((recovery_times.HEADINGS, recovery_times.row_of),
                                 (recovery_times.LOST_HEADINGS, recovery_times.lost_row_of)):
            print("\n" + recovery_times.table(headings, [row_of(ranks, found)]), flush=True)
        for fault, goal in recovery_times.GOALS.items():
            with self.subTest(fault=fault):
                self.assertLess(statistics.median(one.seconds - one.step for one in found[fault]), goal)

    def test_two_ranks(self):
        self.check(2, REPEATS)

    def test_four_ranks(self):
        self.check(4)

    def test_eight_ranks(self):
        self.check(8)


if __name__ == "__main__":
    unittest.main()
