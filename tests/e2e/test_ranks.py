"""Any number of ranks computes the bits that one rank computes: also when the number changes, and when ranks are lost."""

import os
import re
import signal
import unittest

from program import DONE, FAILED, Live, cadre, read_lines
from ranks_case import RanksCase


class RanksTest(RanksCase):
    def test_lora(self):
        self.check_numbers(self.scene.lora)

    def test_dora(self):
        self.check_numbers(self.scene.dora)

    def test_full_fine_tuning(self):
        self.check_numbers(self.scene.full)

    def test_two_islands(self):
        for keys in (self.scene.lora, self.scene.dora, self.scene.full):
            with self.subTest(keys.__name__):
                self.check_two_islands(keys)

    def test_lora_resumed_on_other_numbers(self):
        self.check_resumed(self.scene.lora, [2, 7, 1, 3])

    def test_dora_resumed_on_other_numbers(self):
        self.check_resumed(self.scene.dora, [2, 7, 1, 3])

    def test_full_fine_tuning_resumed_on_other_numbers(self):
        self.check_resumed(self.scene.full, [2, 7, 1, 3])

    def test_what_is_whole_of_an_unfinished_share_is_kept(self):
        """Rank 1 is killed when rank 0 has done some of its five micro-batches: they are not computed again."""
        config, run = self.config("unfinished", self.scene.lora)
        points = "forward@2/0=slow:1000;forward@2/1=pause:2200;backward@2/1=kill"
        ended = cadre("train", config, "--ranks", 2, environment={"CADRE_FAILPOINTS": points})
        self.assertEqual(ended.code, DONE, ended.err)
        self.assert_equal_bits(run, self.scene.lora)
        hit = next(line for line in read_lines(run / "ledger.jsonl") if line["step"] == 3)
        kept = [part["rank"] for part in hit["micro_batches"] if part["view"] < hit["view"]]
        self.assertEqual(set(kept), {0}, hit)

    def lose(self, name, keys, ranks, lost, **more):
        """SIGKILL to some in the middle of a run; the others end it."""
        config, run = self.config(name, keys, **more)
        with Live("train", config, "--ranks", ranks) as live:
            self.assertTrue(live.wait_for_line("step 2/"))
            processes = live.processes("rank")
            self.assertEqual(len(processes), ranks)
            for index in lost:
                os.kill(processes[index], signal.SIGKILL)
            ended = live.end()
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertEqual(ended.err.count(" is lost: "), len(lost), ended.err)
        self.assert_equal_bits(run, keys)
        self.assertEqual([line["event"] for line in read_lines(run / "journal.jsonl")].count("lost"), len(lost))
        self.assertEqual(read_lines(run / "metrics.jsonl")[-2]["ranks"], ranks - len(lost))
        self.assertEqual(cadre("verify", run).code, DONE)

    def test_rank_that_fails_in_the_middle_of_a_step(self):
        """Its last backward pass throws when parts of the gradient have left: it is lost, and comes back."""
        for keys in (self.scene.lora, self.scene.full):
            config, run = self.config(f"fails-{keys.__name__}", keys)
            ended = cadre("train", config, "--ranks", 3, environment={"CADRE_FAILPOINTS": "backward@2/1=error"})
            self.assertEqual(ended.code, DONE, ended.err)
            self.assert_equal_bits(run, keys)
            lost = [line["reason"] for line in read_lines(run / "journal.jsonl") if line["event"] == "lost"]
            self.assertEqual([reason.split(": ")[1] for reason in lost], ["it failed"], lost)

    def test_rank_killed(self):
        self.lose("killed-last", self.scene.lora, 3, [2], save_steps=1)

    def test_first_rank_killed(self):
        self.lose("killed-first", self.scene.full, 3, [0], save_steps=2)

    def test_all_ranks_but_one_killed(self):
        self.lose("killed-most", self.scene.full, 4, [0, 1, 3])

    def test_only_rank_killed(self):
        config, run = self.config("killed-only", self.scene.lora, save_steps=1)
        with Live("train", config, "--ranks", 1) as live:
            self.assertTrue(live.wait_for_line("step 2/"))
            os.kill(live.processes("rank")[0], signal.SIGKILL)
            ended = live.end()
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertIn("0 of 1 ranks are left and 1 are needed; the last to go was rank 0; waiting", ended.err)
        self.assert_equal_bits(run, self.scene.lora)

    def test_second_signal_ends_the_run_at_once(self):
        config, run = self.config("twice", self.scene.lora)
        with Live("train", config, "--ranks", 2) as live:
            self.assertTrue(live.wait_for_line("step 1/"))
            coordinator, = live.processes("coordinator")
            os.kill(coordinator, signal.SIGSTOP)  # the first signal cannot be obeyed
            live.send(signal.SIGTERM)
            # Two of one number would be one while none is taken.
            live.send(signal.SIGINT)
            ended = live.end()
            self.assertEqual(live.processes("rank") + live.processes("coordinator"), [])
        self.assertEqual(ended.code, FAILED, ended.err)
        self.assertRegex(ended.err.splitlines()[-1], r"^cadre: a second signal \(SIG(INT|TERM)\) ended the run at once$")
        self.assertEqual(cadre("train", config, "--ranks", 2).code, DONE)
        self.assert_equal_bits(run, self.scene.lora)

    def test_quiet(self):
        config, _ = self.config("quiet", self.scene.lora)
        ended = cadre("train", config, "--ranks", 3, "--quiet")
        self.assertEqual((ended.code, ended.out, ended.err), (DONE, "", ""))

    def test_logs_hold_no_noise(self):
        run = self.train("noise", self.scene.lora, "--ranks", 3)
        logs = {path.name: path.read_text() for path in (run / "logs").iterdir()}
        launcher = logs.pop("launcher.log")
        marks = r"(|cadre-rank-booted \d+|cadre-rank-ended 0)"  # by which the launcher follows a rank's process
        self.assertEqual([line for text in logs.values() for line in text.splitlines() if not re.fullmatch(marks, line)], [])
        self.assertNotIn("warning", launcher)


if __name__ == "__main__":
    unittest.main()
