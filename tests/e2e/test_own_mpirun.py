"""`mpirun -n N cadre train CONFIG`, as a user types it: the processes are the ranks of one island, and the run is what
it is with `--ranks N`."""

import os
import signal
import subprocess
import unittest

from in_folder import InFolder
from many_ranks import Scene, bits
from program import (CADRE, DEADLINE, DONE, ENVIRONMENT, RESUMABLE, USER_MUST_MEND, Live, cadre, marked,
                     read_json, read_lines, wait_until, write_config)

STEPS = 24  # some of them are still to be done when mpirun has waited for its second
MPI = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


def mpirun(ranks, *options):
    return ["mpirun", "--oversubscribe", "--bind-to", "none", *options, "-n", str(ranks), str(CADRE)]


class Started(Live):
    """A live mpirun."""

    def __init__(self, ranks, *words, options=()):
        super().__init__(*words, command=mpirun(ranks, *options), environment=MPI)

    def ranks(self):
        """Oldest first: as mpirun has started them, the first rank first."""
        return self.processes("train")

    def nothing_is_left(self):
        wait_until(lambda: not marked(self.mark))


class OwnMpirunTest(InFolder):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.scene = Scene(cls.folder)
        config, cls.launched = cls.config("launched")
        assert cadre("train", config, "--ranks", 3).code == DONE

    @classmethod
    def config(cls, name, **more):
        run = cls.folder / name
        return write_config(cls.folder / f"{name}.yaml", **cls.scene.lora(run, max_steps=STEPS, eval_steps=8, **more)), run

    def train(self, ranks, *words, options=()):
        """To its end."""
        with Started(ranks, "train", *words, options=options) as live:
            ended = live.end()
            live.nothing_is_left()
        return ended

    def own_lines(self, ended):
        return [line for line in ended.err.splitlines() if line.startswith("cadre: ")]

    def check_run(self, run):
        self.assertEqual(bits(run), bits(self.launched))
        self.assertEqual(read_json(run / "run.json")["status"], "succeeded")
        self.assertEqual(cadre("verify", run).code, DONE)

    def test_same_bits(self):
        config, run = self.config("same")
        ended = self.train(3, config)
        self.assertEqual(ended.code, DONE, ended.err)
        self.check_run(run)
        self.assertEqual(ended.err.count("3 ranks on 1 host\n"), 1, ended.err)
        self.assertEqual(ended.err.count(f"\nstep {STEPS}/{STEPS}  "), 1, ended.err)
        self.assertEqual(ended.err.count(f"\ndone: the result is in {run}\n"), 1, ended.err)
        self.assertEqual({path.name for path in (run / "logs").iterdir()},
                         {"launcher.log", "coordinator.log", *(f"rank-{rank:05d}.log" for rank in range(3))})
        self.assertEqual({line["ranks"] for line in read_lines(run / "metrics.jsonl") if "ranks" in line}, {3})
        self.assertRegex(cadre("status", run).out, rf"^.*: succeeded, step {STEPS} of {STEPS}")

        finished = self.train(3, config)
        self.assertEqual(finished.code, USER_MUST_MEND, finished.err)
        self.assertEqual(len(self.own_lines(finished)), 1, finished.err)
        self.assertIn("--overwrite_output_dir", finished.err)
        self.check_run(run)

    def test_bad_input_is_said_once(self):
        config, run = self.config("bad")
        for words, said in [((config, "--learning_rat", "1"), "learning_rat"),
                            ((config, "--ranks", "2"), "--ranks: expected 3, as many as mpirun has started"),
                            ((config, "--hosts", "a:3"), "--hosts: expected none under mpirun"),
                            ((config, "--base_model", self.folder / "nowhere"), "nowhere"),
                            ((self.folder / "no.yaml",), "no.yaml")]:
            with self.subTest(said):
                ended = self.train(3, *words)
                self.assertEqual(ended.code, USER_MUST_MEND, ended.err)
                line, = self.own_lines(ended)
                self.assertIn(said, line)
                self.assertFalse(run.exists())

    def test_dry_run_is_said_once(self):
        config, run = self.config("dry")
        ended = subprocess.run([*mpirun(3), "train", config, "--dry-run"], stdin=subprocess.DEVNULL, capture_output=True,
                               text=True, timeout=DEADLINE, env={**ENVIRONMENT, **MPI})
        self.assertEqual(ended.returncode, DONE, ended.stderr)
        self.assertEqual(ended.stdout.count("\nlora_r:"), 1, ended.stdout)
        self.assertFalse(run.exists())

    def test_killed_rank(self):
        """The others go on where mpirun lets them."""
        config, run = self.config("killed", save_steps=1)
        for lost in (0, 2):
            with self.subTest(rank=lost), Started(3, "train", config, "--overwrite_output_dir",
                                                  options=["--enable-recovery"]) as live:
                self.assertTrue(live.wait_for_line("step 2/"))
                os.kill(live.ranks()[lost], signal.SIGKILL)
                live.end()
                live.nothing_is_left()
                self.check_run(run)
                self.assertEqual(len([line for line in read_lines(run / "journal.jsonl") if line["event"] == "lost"]), 1)

    def go_on(self, config, run, ended):
        """A run that has ended early goes on with another number of ranks; its few last steps may have been done in the
        second that mpirun gives its ranks."""
        if read_json(run / "run.json")["status"] != "succeeded":
            again = self.train(2, config)
            self.assertEqual(again.code, DONE, (ended.err, again.err))
        self.check_run(run)

    def test_killed_rank_that_ends_mpirun(self):
        config, run = self.config("ended", save_steps=1)
        with Started(3, "train", config) as live:
            self.assertTrue(live.wait_for_line("step 2/"))
            os.kill(live.ranks()[1], signal.SIGKILL)
            ended = live.end()
            live.nothing_is_left()
        self.assertNotEqual(ended.code, DONE, ended.err)
        self.go_on(config, run, ended)

    def test_stop(self):
        config, run = self.config("stopped")
        with Started(3, "train", config) as live:
            self.assertTrue(live.wait_for_line("step 1/"))
            self.assertEqual(cadre("stop", run).code, DONE)
            ended = live.end()
            live.nothing_is_left()
        self.assertEqual(ended.code, RESUMABLE, ended.err)
        self.assertEqual(read_json(run / "run.json")["status"], "stopped")
        self.go_on(config, run, ended)

    def test_signal_to_mpirun(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number.name):
                config, run = self.config(number.name)
                with Started(3, "train", config) as live:
                    self.assertTrue(live.wait_for_line("step 1/"))
                    live.send(number)
                    ended = live.end()
                    live.nothing_is_left()
                self.assertIn(read_json(run / "run.json")["status"], ("stopped", "succeeded"), ended.err)
                self.go_on(config, run, ended)

    def test_killed_mpirun(self):
        """The ranks live on, and so does the run."""
        config, run = self.config("orphaned")
        with Started(3, "train", config) as live:
            self.assertTrue(live.wait_for_line("step 1/"))
            live.process.kill()
            live.end()
            live.nothing_is_left()
        self.check_run(run)

    def test_killed_supervisor(self):
        config, run = self.config("unsupervised")
        with Started(3, "train", config) as live:
            self.assertTrue(live.wait_for_line("step 1/"))
            supervisor, = live.processes("supervise")
            os.kill(supervisor, signal.SIGKILL)
            ended = live.end()
            live.nothing_is_left()
        self.assertEqual(ended.code, RESUMABLE, ended.err)
        self.assertEqual(ended.err.count("the run's supervisor is gone"), 1, ended.err)
        self.go_on(config, run, ended)


if __name__ == "__main__":
    unittest.main()
