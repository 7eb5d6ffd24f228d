"""What it costs that optimizer state and a newcomer's parameters move while a run goes on, for `./tests/run.sh bench`:
two hosts behind a slow cable, full fine-tuning, a rank killed and started again."""

import pathlib
import statistics
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cluster"))

import hosts  # noqa: E402
import ranked_runs  # noqa: E402
from program import CADRE, read_lines  # noqa: E402

RATE, STEPS, HIT = "800mbit", 24, 6


@unittest.skipUnless(CADRE.exists(), "cadre is not built")
class StateMovesTest(unittest.TestCase):
    def setUp(self):
        problem = hosts.why_not()
        if problem:
            raise unittest.SkipTest(problem)
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="cadre-moves-")))
        ranked_runs.write_inputs(self.folder)

    def test_a_loss_and_a_return(self):
        marks = self.folder / "marks"
        marks.mkdir()
        with hosts.Hosts(["a", "b"]) as two:
            for name in two.names:
                two.limit(name, RATE)
            run = ranked_runs.run(
                self.folder, "run", f"{two.address('a')}:1,{two.address('b')}:2",
                environment={"OMPI_MCA_plm_rsh_agent": str(two.remote_shell(self.folder)),
                             "CADRE_FAILPOINTS": f"marks={marks};backward@{HIT}/2=kill"},
                global_batch_size=24, micro_batch_size=8, max_steps=STEPS)
        events = read_lines(self.folder / "run" / "journal.jsonl")
        self.assertEqual([line["event"] for line in events if line["event"] in ("lost", "rollback")], ["lost"])
        views = [line for line in events if line["event"] == "view"]
        self.assertEqual([len(view["members"]) for view in views], [3, 2, 3])
        waited = {}
        for span in run.spans:
            if span["name"] in ("move", "receive") and span["dur"] > 0:
                step = span["args"]["step"] + 1
                waited.setdefault(step, {}).setdefault(span["name"], []).append(span["dur"] / 1e6)
        usual = statistics.median(run.steps)
        print(f"\ntwo hosts, {RATE}, 14 million parameters, three ranks, one killed: a step of {usual:.2f} s")
        for step in sorted(waited):
            spans = ", ".join(f"{name} {max(found):.2f} s" for name, found in waited[step].items())
            print(f"  step {step}: {run.steps[step - 2]:.2f} s; longest waits: {spans}", flush=True)
        longest = max(max(found) for spans in waited.values() for found in spans.values())
        self.assertLess(longest, usual)


if __name__ == "__main__":
    unittest.main()
