"""A lost rank is started again, comes back without a reload and takes its share; one that is lost again and again is
left out; with too few the run ends, and goes on where it was when it is started again."""

import contextlib
import os
import re
import signal
import time
import unittest

import tiny_base
from changing_ranks import STEPS, ChangingRanks, slowly
from in_folder import InFolder
from many_ranks import bits
from program import DONE, FAILED, RESUMABLE, Live, cadre, write_config

# Where nothing is waited for.
FEW = {"max_steps": 16, "eval_steps": 8, "save_steps": 4}


class ReturnTest(ChangingRanks):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        config, cls.few_undisturbed = cls.config("few-undisturbed", **FEW)
        ended = cadre("train", config, "--ranks", 1)
        assert ended.code == DONE, ended.err

    def check_bits(self, run, expected=None):
        """Against an undisturbed run of one rank."""
        self.assertEqual(bits(run), bits(expected or self.few_undisturbed))
        verified = cadre("verify", run)
        self.assertEqual(verified.code, DONE, verified.out)

    def check_nothing_was_done_again(self, run, members):
        """Nobody loads but at the start, and for those that come in nothing is written."""
        views = self.events(run, "view")
        self.assertEqual([len(view["members"]) for view in views], members)
        self.assertEqual([view["load"] for view in views], [True] + [False] * (len(members) - 1))
        self.assertEqual(self.events(run, "rollback"), [])
        self.assertEqual([line["step"] for line in self.events(run, "checkpoint")], [STEPS])
        self.check_bits(run, self.undisturbed)

    def test_killed_rank_returns(self):
        config, run = self.config("killed")
        with Live("train", config, "--ranks", 3, environment=slowly(0)) as live:
            self.assertTrue(live.wait_for_line("step 2/"))
            before = {member["rank"]: member["pid"] for member in self.events(run, "view")[0]["members"]}
            os.kill(before[1], signal.SIGKILL)
            ended = live.end()
        self.assertEqual(ended.code, DONE, ended.err)
        self.check_nothing_was_done_again(run, [3, 2, 3])
        back = next(member for member in self.events(run, "view")[-1]["members"] if member["rank"] == 1)
        self.assertNotEqual(back["pid"], before[1])
        self.assertEqual(back["incarnation"], 2)
        self.assertGreaterEqual(self.at_work(run), {1, 2})
        log = (run / "logs" / "launcher.log").read_text()
        self.assertIn("rank 1 is started again in 1 s", log)

    def test_killed_again_while_it_comes_in(self):
        config, run = self.config("again")
        marks = self.folder / "marks"
        marks.mkdir()
        points = slowly(0, f"marks={marks}", "exchange@2/1=kill", "move@*/1=kill")
        ended = cadre("train", config, "--ranks", 3, "--restart_ms", 10, environment=points)
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertEqual(len(list(marks.iterdir())), 2)
        self.check_nothing_was_done_again(run, [3, 2, 3, 2, 3])

    def lose_all(self, name, ranks):
        config, run = self.config(name, **FEW)
        with Live("train", config, "--ranks", ranks, "--restart_ms", 10) as live:
            self.assertTrue(live.wait_for_line("step 7/"))
            for number in (signal.SIGSTOP, signal.SIGKILL):  # none acts on the end of another
                for pid in live.processes("rank"):
                    os.kill(pid, number)
            ended = live.end()
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertIn(f"0 of {ranks} ranks are left and 1 are needed", ended.err)
        views = [{member["pid"] for member in view["members"]} for view in self.events(run, "view")]
        self.assertEqual([len(views[0]), len(views[-1]), views[0] & views[-1]], [ranks, ranks, set()])
        self.check_bits(run)

    def test_the_only_rank_is_killed_and_comes_back(self):
        self.lose_all("only", 1)

    def test_all_ranks_are_killed_and_come_back(self):
        self.lose_all("all", 3)

    def test_rank_whose_mpirun_is_gone_returns(self):
        """Nobody says that it has ended; the run waits for it."""
        config, run = self.config("orphan", **FEW, min_ranks=3)
        with Live("train", config, "--ranks", 3, "--restart_ms", 10) as live:
            self.assertTrue(live.wait_for_line("step 7/"))
            log = (run / "logs" / "launcher.log").read_text()
            victim = next(line["pid"] for line in self.events(run, "joined") if line["rank"] == 1)
            for pid in (int(re.search(r"mpirun of the ranks 0 to 2 is process (\d+)", log)[1]), victim):
                os.kill(pid, signal.SIGKILL)
            ended = live.end()
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertIn("rank 1 has ended unseen", (run / "logs" / "launcher.log").read_text())
        members = self.events(run, "view")[-1]["members"]
        self.assertEqual([member["rank"] for member in members], [0, 1, 2])
        self.assertNotIn(victim, [member["pid"] for member in members])
        self.check_bits(run)

    def test_rank_that_is_lost_again_and_again_is_left_out(self):
        config, run = self.config("left-out", **FEW)
        with Live("train", config, "--ranks", 3, "--restart_ms", 10,
                  environment={"CADRE_FAILPOINTS": "join@*/1=kill"}) as live:
            ended = live.end()
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertIn("rank 1 was lost again after 5 restarts and is left out; see rank-00001.log", ended.err)
        self.assertEqual([line["rank"] for line in self.events(run, "left_out")], [1])
        self.assertEqual({member["rank"] for view in self.events(run, "view") for member in view["members"]}, {0, 2})
        self.assertRegex(cadre("status", run).out, r"\n +1 .* left out +0\n")
        self.check_bits(run)

    def test_too_few_end_the_run_which_goes_on_when_it_is_started_again(self):
        config, run = self.config("too-few", **FEW, min_ranks=2)
        with Live("train", config, "--ranks", 3, "--restart_ms", 10) as live:
            self.assertTrue(live.wait_for_line("step 7/"))
            survivor = next(line["pid"] for line in self.events(run, "joined") if line["rank"] == 2)
            while live.process.poll() is None:  # whoever comes back goes again, until nobody can come any more
                for pid in set(live.processes("rank")) - {survivor}:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                time.sleep(0.01)
            ended = live.end()
        self.assertEqual(ended.code, RESUMABLE, ended.err)
        self.assertRegex(ended.err, "1 of 3 ranks are left, 2 are needed and ranks 0 and 1 were lost too often")
        ended = cadre("train", config, "--ranks", 3)
        self.assertEqual(ended.code, DONE, ended.err)
        self.check_bits(run)

    def test_too_few_end_the_run_at_once_where_nobody_is_waited_for(self):
        config, run = self.config("at-once", **FEW, min_ranks=2, rejoin_wait=0)
        with Live("train", config, "--ranks", 2) as live:
            self.assertTrue(live.wait_for_line("step 7/"))
            os.kill(live.processes("rank")[0], signal.SIGKILL)
            ended = live.end()
        self.assertEqual(ended.code, RESUMABLE, ended.err)
        self.assertRegex(ended.err, "1 of 2 ranks are left and 2 are needed; the last to go was rank [01]: ")
        ended = cadre("train", config, "--ranks", 2)
        self.assertEqual(ended.code, DONE, ended.err)
        self.check_bits(run)


class NobodyLoadsTest(InFolder):
    def test_ranks_that_all_die_while_they_load(self):
        """The third time ends the run; it is not tried as often as for one among others."""
        base = tiny_base.write_base(self.folder / "base")
        rows = tiny_base.write_jsonl(self.folder / "rows.jsonl", tiny_base.rows(50))
        for ranks in (1, 2):
            config = write_config(self.folder / f"{ranks}.yaml", **tiny_base.lora(base, self.folder / f"run-{ranks}", rows))
            points = ";".join(f"load@0/{rank}=kill" for rank in range(ranks))
            ended = cadre("train", config, "--ranks", ranks, "--restart_ms", 10, environment={"CADRE_FAILPOINTS": points})
            self.assertEqual(ended.code, FAILED, ended.err)
            self.assertGreaterEqual(ended.err.count(" is lost: "), 3 * ranks, ended.err)
            self.assertNotIn("left out", ended.err)
            self.assertRegex(ended.err.splitlines()[-1], "^cadre: every rank was lost three times before it was ready")


if __name__ == "__main__":
    unittest.main()
