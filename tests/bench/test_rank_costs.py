"""What several ranks cost, for `./tests/run.sh bench`: ratios of runs that are made in turn, and the benchmarks of the
layers below. The limits leave room for a busy machine; the printed figures are what to look at."""

import pathlib
import statistics
import subprocess
import tempfile
import unittest

import ranked_runs
from program import CADRE, REPOSITORY

ROUNDS = 3


@unittest.skipUnless(CADRE.exists(), "cadre is not built")
class RankCostsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls._scratch = tempfile.TemporaryDirectory(prefix="cadre-ranks-")
        cls.addClassCleanup(cls._scratch.cleanup)
        cls.folder = pathlib.Path(cls._scratch.name)
        ranked_runs.write_inputs(cls.folder)

    def in_turn(self, one, other):
        """Both runs' rounds, made alternately."""
        runs = ([], [])
        for _ in range(ROUNDS):
            for arguments, kept in zip((one, other), runs):
                kept.append(ranked_runs.run(self.folder, "run", **arguments))
        return runs

    def ratio(self, what, one, other):
        """Median over the rounds of the quotient of their steps' times."""
        ones, others = self.in_turn(one, other)
        quotients = [a.seconds() / b.seconds() for a, b in zip(ones, others)]
        print(f"\n{what}: {statistics.median(quotients):.3f} ({min(quotients):.3f} to {max(quotients):.3f})")
        for name, runs in zip(("first", "second"), (ones, others)):
            spans = ", ".join(f"{span} {statistics.median(run.of(span) for run in runs):.1f}"
                              for span in ("compute", "exchange", "digest", "vote", "apply", "gather"))
            print(f"  {name}: {1000 * statistics.median(run.seconds() for run in runs):.0f} ms a step; "
                  f"of a rank's: {spans} ms", flush=True)
        return statistics.median(quotients)

    def test_exact_reduction_against_fast(self):
        ratio = self.ratio("step with reduction exact / fast, 2 ranks", {"ranks": 2}, {"ranks": 2, "reduction": "fast"})
        self.assertLess(ratio, 1.25)

    def test_stage_2_against_stage_1(self):
        ratio = self.ratio("step with zero_stage 2 / 1, 2 ranks", {"ranks": 2, "zero_stage": 2}, {"ranks": 2})
        self.assertLess(ratio, 1.5)

    def test_two_ranks_against_two_threads(self):
        ratio = self.ratio("step of 2 ranks with 1 thread / 1 rank with 2 threads", {"ranks": 2},
                           {"ranks": 1, "threads": 2})
        self.assertLess(ratio, 1.5)

    def test_checkpoint_stall(self):
        """By the spans, which is judged; and by whole runs with and without, where other work counts too."""
        keys = {"ranks": 2, "max_steps": 101, "global_batch_size": 2, "micro_batch_size": 1}
        runs, without = self.in_turn({**keys, "save_steps": 50}, {**keys, "save_steps": 1000})
        snapshots = [[span["dur"] / 1e6 for span in run.spans if span["name"] == "snapshot" and span["args"]["step"] < 101]
                     for run in runs]
        self.assertEqual([len(each) for each in snapshots], [2 * 2] * ROUNDS, "two ranks, two saves before the last")
        stalls = sum(snapshots, [])
        step = statistics.median(run.seconds() for run in runs)
        stall = statistics.median(max(each) / (50 * run.seconds()) for each, run in zip(snapshots, runs))
        quotients = [sum(one.steps) / sum(other.steps) for one, other in zip(runs, without)]
        after = [sum(run.steps[49:52]) - 3 * run.seconds() for run in runs]  # steps 51 to 53
        print(f"\ncheckpoint each 50 steps: stalls of {1000 * statistics.median(stalls):.1f} ms, at most "
              f"{1000 * max(stalls):.1f}; steps of {1000 * step:.1f} ms; {100 * stall:.2f} % of the time\n"
              f"  steps' time with / without: {statistics.median(quotients):.3f} "
              f"({min(quotients):.3f} to {max(quotients):.3f}); the three steps after a save take "
              f"{1000 * statistics.median(after):.0f} ms more", flush=True)
        self.assertLess(stall, 0.01)

    def build(self, target):
        subprocess.run(["cmake", "--build", CADRE.parent, "--target", target], check=True, stdout=subprocess.DEVNULL)
        return CADRE.parent / target

    def bench(self, *command):
        ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=600)
        print(f"\n{ended.stdout}", flush=True)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertTrue(ended.stdout)

    def test_transport_bench(self):
        program = self.build("transport_bench")
        for ranks, arguments in ((2, ()), (2, ("unix",)), (3, ())):
            with self.subTest(ranks=ranks, arguments=arguments):
                self.bench("mpirun", "--allow-run-as-root", "--oversubscribe", "-n", str(ranks), program, *arguments)

    def test_coordinator_bench(self):
        self.bench(self.build("coordinator_bench"), "--check")


if __name__ == "__main__":
    unittest.main()
