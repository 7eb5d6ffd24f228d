"""What it gains that gradients leave while the backward pass goes on, for `./tests/run.sh bench`: two hosts behind a
cable of limited speed, runs made in turn. `reduction: fast` sends the same bytes when all is computed."""

import pathlib
import statistics
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cluster"))

import hosts  # noqa: E402
import ranked_runs  # noqa: E402
from program import CADRE  # noqa: E402

ROUNDS, RATE = 3, "800mbit"


@unittest.skipUnless(CADRE.exists(), "cadre is not built")
class OverlapTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        problem = hosts.why_not()
        if problem:
            raise unittest.SkipTest(problem)
        scratch = tempfile.TemporaryDirectory(prefix="cadre-overlap-")
        cls.addClassCleanup(scratch.cleanup)
        cls.folder = pathlib.Path(scratch.name)
        ranked_runs.write_inputs(cls.folder)

    def test_exchange_between_hosts(self):
        found = {"exact": [], "fast": []}
        with hosts.Hosts(["a", "b"]) as two:
            for name in two.names:
                two.limit(name, RATE)
            for _ in range(ROUNDS):
                for reduction, runs in found.items():
                    # One micro-batch a rank, of long rows: its backward pass is what the exchange may hide behind.
                    runs.append(ranked_runs.run(
                        self.folder, "run", ",".join(f"{two.address(name)}:1" for name in two.names),
                        environment={"OMPI_MCA_plm_rsh_agent": str(two.remote_shell(self.folder))},
                        reduction=reduction, state_copies=1, global_batch_size=32, micro_batch_size=16))
        seconds = {reduction: [run.seconds() for run in runs] for reduction, runs in found.items()}
        print(f"\ntwo hosts, {RATE}: a step of {statistics.median(seconds['exact']):.2f} s with reduction exact, which "
              f"overlaps, {statistics.median(seconds['fast']):.2f} s with fast, which does not")
        for reduction, runs in found.items():
            spans = ", ".join(f"{span} {statistics.median(run.of(span) for run in runs):.0f}"
                              for span in ("compute", "exchange", "gather"))
            print(f"  {reduction}: of a rank's: {spans} ms", flush=True)
        quotient = statistics.median(a / b for a, b in zip(seconds["exact"], seconds["fast"]))
        self.assertLess(quotient, 1)


if __name__ == "__main__":
    unittest.main()
