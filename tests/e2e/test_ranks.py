"""Any number of ranks computes the bits that one rank computes: also when the number changes, and when ranks are lost."""

import os
import pathlib
import re
import signal
import socket
import tempfile
import unittest

from in_folder import InFolder
from many_ranks import Scene, bits
from program import (DATA, DONE, FAILED, RESUMABLE, Live, cadre, checkpoints, needs_data, read_json, read_lines, shards,
                     write_config)

RANKS = (2, 3, 4, 7, 8)


class RanksTest(InFolder):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.scene = Scene(cls.folder)
        cls.references = {}

    def config(self, name, keys, **more):
        run = self.folder / name
        return write_config(self.folder / f"{name}.yaml", **keys(run, **more)), run

    def train(self, name, keys, *options):
        config, run = self.config(name, keys)
        ended = cadre("train", config, *options)
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertEqual(cadre("verify", run).code, DONE)
        return run

    def reference(self, keys):
        """The bits of one rank that nobody disturbs."""
        if keys not in self.references:
            self.references[keys] = bits(self.train(f"{keys.__name__}-1", keys, "--ranks", 1))
        return self.references[keys]

    def assert_equal_bits(self, run, keys):
        result, logged, metrics, made_of = bits(run)
        expected = self.reference(keys)
        self.assertEqual(logged, expected[1])
        self.assertEqual(metrics, expected[2])
        self.assertEqual(made_of, expected[3])
        self.assertEqual(result, expected[0])

    def check_numbers(self, keys):
        for ranks in RANKS:
            with self.subTest(ranks=ranks):
                run = self.train(f"{keys.__name__}-{ranks}", keys, "--ranks", ranks)
                self.assert_equal_bits(run, keys)
                self.assertEqual({line["ranks"] for line in read_lines(run / "metrics.jsonl") if "ranks" in line}, {ranks})
                worked = {part["rank"] for line in read_lines(run / "ledger.jsonl") for part in line["micro_batches"]}
                self.assertEqual(worked, set(range(ranks)))
                if ranks < 4:  # state is written where it is held: by several ranks
                    self.assertEqual(len(shards(run / "checkpoints" / checkpoints(run)[-1])), ranks)

    def test_lora(self):
        self.check_numbers(self.scene.lora)

    def test_dora(self):
        self.check_numbers(self.scene.dora)

    def test_full_fine_tuning(self):
        self.check_numbers(self.scene.full)

    def test_two_islands(self):
        hosts = f"localhost:2,{socket.gethostname()}:1"
        run = self.train("islands", self.scene.lora, "--hosts", hosts)
        self.assert_equal_bits(run, self.scene.lora)
        log = (run / "logs" / "launcher.log").read_text()
        self.assertRegex(log, "started: the ranks 0 to 1")
        self.assertRegex(log, "started: rank 2")

    def change_number(self, name, keys):
        """SIGTERM after the first step of each start but the last, which has another number of ranks each. A later start
        may have done its few last steps before the signal comes."""
        config, run = self.config(name, keys)
        for start, ranks in enumerate((2, 7, 1), 1):
            # The first one has the time for the signal.
            pause = {"CADRE_FAILPOINTS": "forward@2/0=pause:3000"} if start == 1 else {}
            with Live("train", config, "--ranks", ranks, environment=pause) as live:
                self.assertTrue(live.wait_for_line(r"step \d+/"))
                live.send(signal.SIGTERM)
                ended = live.end()
            if start > 1 and ended.code == DONE:
                return self.assert_equal_bits(run, keys)
            self.assertEqual(ended.code, RESUMABLE, ended.err)
            self.assertEqual(ended.err.count("the same command goes on from here"), 1, ended.err)
            self.assertEqual(read_json(run / "run.json")["starts"], start)
        ended = cadre("train", config, "--ranks", 3)
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertEqual(ended.err.count("going on from step "), 1, ended.err)
        self.assert_equal_bits(run, keys)

    def test_lora_resumed_on_other_numbers(self):
        self.change_number("lora-resumed", self.scene.lora)

    def test_full_fine_tuning_resumed_on_other_numbers(self):
        self.change_number("full-resumed", self.scene.full)

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


@needs_data("banking77", "stories260k_hf")
class Banking77OnRanksTest(unittest.TestCase):
    """The same with real weights and rows."""

    def check(self, **more):
        expected = None
        with tempfile.TemporaryDirectory() as scratch:
            for ranks in (1, 3, 8):
                run = pathlib.Path(scratch) / f"run-{ranks}"
                config = write_config(run.with_suffix(".yaml"), **{
                    "base_model": str(DATA / "stories260k_hf"), "output_dir": str(run), "sequence_len": 256,
                    "datasets": [{"path": str(DATA / "banking77" / "train.csv"), "type": "alpaca", "limit": 600,
                                  "field_instruction": "text", "field_output": "category",
                                  "prompt_no_input_format": "Question: {instruction}\nIntent: "}],
                    "val_set_size": 40, "micro_batch_size": 1, "global_batch_size": 10, "sample_packing": True,
                    "max_steps": 5, "eval_steps": 3, "learning_rate": 0.003, "threads": 1, **more})
                ended = cadre("train", config, "--ranks", ranks)
                self.assertEqual(ended.code, DONE, ended.err)
                found = bits(run)
                self.assertEqual(found, expected or found, f"{ranks} ranks")
                expected = found

    def test_lora(self):
        self.check(adapter="lora", lora_r=16, lora_alpha=16, lora_dropout=0.1, lora_target_modules="all-linear")

    def test_full_fine_tuning(self):
        self.check(adapter="none")


if __name__ == "__main__":
    unittest.main()
