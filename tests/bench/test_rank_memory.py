"""Peak resident memory of a rank (VmHWM) in full fine-tuning of 14 million parameters, by zero_stage, state_copies and
number of ranks. A rank holds values and gradients whole (55 MiB each), its part of the rest."""

import pathlib
import tempfile
import unittest

import ranked_runs
from program import CADRE

RANKS = (1, 2, 4, 8)
COLUMNS = [(stage, copies) for stage in (1, 2) for copies in (1, 2)]


@unittest.skipUnless(CADRE.exists(), "cadre is not built")
class RankMemoryTest(unittest.TestCase):
    def test_peaks(self):
        peaks = {}
        print("\nMiB  " + " ".join(f"{f'stage {stage}, copies {copies}':>18}" for stage, copies in COLUMNS))
        with tempfile.TemporaryDirectory(prefix="cadre-memory-") as scratch:
            folder = pathlib.Path(scratch)
            ranked_runs.write_inputs(folder)
            for ranks in RANKS:
                for stage, copies in COLUMNS:
                    run = ranked_runs.run(folder, "run", ranks, zero_stage=stage, state_copies=copies, max_steps=4,
                                          micro_batch_size=1, save_steps=1000)
                    self.assertEqual(len(run.peaks), ranks)
                    peaks[ranks, stage, copies] = max(run.peaks) / 2**20
                row = " ".join(f"{peaks[ranks, *column]:>18.0f}" for column in COLUMNS)
                print(f"{ranks:>5} {row}", flush=True)
        for stage, copies in COLUMNS:
            with self.subTest(stage=stage, copies=copies):
                self.assertLess(peaks[4, stage, copies], peaks[1, stage, copies])
        for stage in (1, 2):  # of two ranks, each holds half the state or all of it: 55 or 110 MiB
            self.assertLess(peaks[2, stage, 1], peaks[2, stage, 2])
        for copies in (1, 2):
            self.assertLess(peaks[4, 2, copies], peaks[4, 1, copies], "stage 2 divides gradients too")


if __name__ == "__main__":
    unittest.main()
