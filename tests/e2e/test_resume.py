"""A run that was stopped, killed or damaged and then continued gives the bits of one that was not."""

import copy
import json
import os
import pathlib
import signal
import unittest

import tiny_base
from in_folder import InFolder
from program import (DONE, RESUMABLE, USER_MUST_MEND, Live, cadre, checkpoints, flip_byte, ledger, losses,
                     marked, read_json, read_lines, sha256, shards, wait_until, write_config)
from tiny_base import full, lora

ADAPTER = "adapter_model.safetensors"
STEPS = 8


def saved(run):
    """The checkpoints that are whole, oldest first."""
    return [name for name in checkpoints(run) if name.startswith("step-")]


def has_lock(run, process):
    return f'"pid":{process.pid},' in (run / ".lock").read_text()


class ResumeTest(InFolder):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.base = tiny_base.write_base(cls.folder / "base")
        # Three steps an epoch, so that the runs cross into a second and a third.
        cls.rows = tiny_base.write_jsonl(cls.folder / "rows.jsonl", tiny_base.rows(260))
        cls.held = tiny_base.write_jsonl(cls.folder / "held.jsonl", tiny_base.rows(24, seed=2))
        cls.adapter_run = cls.undisturbed("adapter", cls.adapter_keys)
        cls.full_run = cls.undisturbed("full", cls.full_keys)

    @classmethod
    def adapter_keys(cls, output, **keys):
        return lora(cls.base, output, cls.rows, **{
            "lora_dropout": 0.2, "sample_packing": True, "global_batch_size": 32, "max_steps": STEPS, "eval_steps": 3,
            "test_datasets": [tiny_base.dataset(cls.held)],
            "warmup_steps": 2, "weight_decay": 0.1, **keys})

    @classmethod
    def full_keys(cls, output, **keys):
        return full(cls.base, output, cls.rows, **{"global_batch_size": 90, "max_steps": STEPS, "shuffle": True, **keys})

    @classmethod
    def undisturbed(cls, name, keys):
        run = cls.folder / f"{name}-undisturbed"
        ended = cadre("train", write_config(cls.folder / f"{name}-undisturbed.yaml", **keys(run)))
        assert ended.code == DONE, ended.err
        return run

    def config(self, name, keys=None, **more):
        """A new configuration file and the folder that it names."""
        run = self.folder / name
        return write_config(self.folder / f"{name}.yaml", **(keys or self.adapter_keys)(run, **more)), run

    def assert_equal_bits(self, run, expected, result=ADAPTER):
        self.assertEqual(sha256(run / result), sha256(expected / result))
        self.assertEqual(losses(run), losses(expected))
        for name in ("learning_rate", "grad_norm", "epoch", "tokens"):
            self.assertEqual([line.get(name) for line in read_lines(run / "metrics.jsonl")],
                             [line.get(name) for line in read_lines(expected / "metrics.jsonl")], name)
        self.assertEqual(ledger(run), ledger(expected))
        self.assertEqual(cadre("verify", run).code, DONE)
        self.assertEqual(read_json(run / "run.json")["status"], "succeeded")

    def stop_again_and_again(self, config, run):
        """SIGTERM after the first step of every start. Returns after how many steps it stopped."""
        stopped = [0]
        for _ in range(2 * STEPS):
            # So short a step may be over before the signal is there: the second one waits for it.
            second = {"CADRE_FAILPOINTS": f"forward@{stopped[-1] + 1}/0=pause:500"}
            with Live("train", config, environment=second) as live:
                live.wait_for_line(r"step \d+/")
                live.send(signal.SIGTERM)
                ended = live.end()
            if ended.code == DONE:
                return stopped[1:]
            self.assertEqual(ended.code, RESUMABLE, ended.err)
            self.assertIn("the same command goes on from here", ended.err)
            record = read_json(run / "run.json")
            self.assertEqual((record["status"], record["reason"]), ("stopped", "SIGTERM"))
            stopped.append(read_lines(run / "ledger.jsonl")[-1]["step"])
            self.assertIn(f"step-{stopped[-1]:08d}", checkpoints(run))
        self.fail(f"not at its end after the stops {stopped}")

    def test_stopped_after_every_step(self):
        config, run = self.config("stopped")
        stopped = self.stop_again_and_again(config, run)
        self.assertGreaterEqual(len(stopped), 3, stopped)
        self.assertEqual(sorted(set(stopped)), stopped)
        self.assert_equal_bits(run, self.adapter_run)
        record = read_json(run / "run.json")
        self.assertEqual(record["starts"], len(stopped) + 1)
        events = [line["event"] for line in read_lines(run / "journal.jsonl")]
        self.assertEqual(events.count("stopped"), len(stopped))
        self.assertEqual(events.count("resumed"), len(stopped))

    def test_full_fine_tuning_stopped(self):
        config, run = self.config("full-stopped", self.full_keys)
        self.assertGreaterEqual(len(self.stop_again_and_again(config, run)), 3)
        self.assert_equal_bits(run, self.full_run, "model.safetensors")

    def test_stopped_before_the_first_step(self):
        """There is nothing to save then; the run begins anew, to the same bits."""
        config, run = self.config("stopped-at-once")
        with Live("train", config) as live:
            live.wait_for_line("LoRA scaling")
            live.send(signal.SIGTERM)
            ended = live.end()
        self.assertEqual(ended.code, RESUMABLE, ended.err)
        self.assertEqual(read_json(run / "run.json")["status"], "stopped")
        self.assertEqual(cadre("train", config).code, DONE)
        self.assert_equal_bits(run, self.adapter_run)

    def test_stopped_while_the_data_is_prepared(self):
        config, run = self.config("stopped-early")
        marks = self.folder / "marks-early"
        marks.mkdir()
        points = {"CADRE_FAILPOINTS": f"marks={marks};data@0/launcher=stop"}
        with Live("train", config, environment=points) as live:
            wait_until(lambda: (marks / "data@0.launcher").exists())
            live.send(signal.SIGTERM)
            live.send(signal.SIGCONT)
            ended = live.end()
        self.assertEqual(ended.code, RESUMABLE, ended.err)
        self.assertIn("cadre: stopped by SIGTERM while the data was prepared; the same command goes on from here", ended.err)
        self.assertEqual(read_json(run / "run.json")["status"], "stopped")
        self.assertFalse((run / "journal.jsonl").exists())
        self.assertEqual(cadre("train", config).code, DONE)
        self.assert_equal_bits(run, self.adapter_run)

    def test_interrupt_of_a_terminal(self):
        config, run = self.config("interrupted")
        with Live("train", config) as live:
            live.wait_for_line("step 1/")
            live.send(signal.SIGINT)
            self.assertEqual(live.end().code, RESUMABLE)
        self.assertEqual(read_json(run / "run.json")["status"], "stopped")

    def test_stopped_by_cadre_stop(self):
        config, run = self.config("asked")
        with Live("train", config) as live:
            live.wait_for_line("step 1/")
            asked = cadre("stop", run)
            ended = live.end()
        # Nothing is sure about the time that the other process takes: a run that has ended is no failure of `stop`.
        if ended.code == DONE:
            self.skipTest("the run ended before cadre stop could ask")
        self.assertEqual((asked.code, ended.code), (DONE, RESUMABLE), asked.err + ended.err)
        self.assertIn(f"process {live.process.pid} was asked", asked.out)
        self.assertEqual(cadre("train", config).code, DONE)
        self.assert_equal_bits(run, self.adapter_run)
        gone = cadre("stop", run)
        self.assertEqual(gone.code, USER_MUST_MEND)
        self.assertIn("the run is not alive; it is succeeded", gone.err)

    def kill_after(self, config, step):
        """As when the machine is lost."""
        with Live("train", config) as live:
            self.assertTrue(live.wait_for_line(f"step {step}/"))
            keys = read_json(config)
            if keys.get("save_steps"):  # a checkpoint is written while the steps go on
                wait_until(lambda: saved(pathlib.Path(keys["output_dir"])))
            live.power_off()
            self.assertEqual(live.end().code, -signal.SIGKILL)

    def test_launcher_killed(self):
        """Coordinator and ranks end by themselves, with a checkpoint where that is possible."""
        config, run = self.config("launcher-killed")
        with Live("train", config) as live:
            self.assertTrue(live.wait_for_line("step 2/"))
            live.send(signal.SIGKILL)
            self.assertEqual(live.end().code, -signal.SIGKILL)
            wait_until(lambda: not marked(live.mark))
        self.assertIn("interrupted", cadre("status", run).out)
        self.assertIn("the launcher is gone", (run / "journal.jsonl").read_text())
        self.assertEqual(cadre("train", config).code, DONE)
        self.assert_equal_bits(run, self.adapter_run)

    def test_started_again_while_the_coordinator_of_a_killed_launcher_ends(self):
        for option in ((), ("--overwrite_output_dir",)):
            config, run = self.config(f"launcher-killed-{len(option)}")
            with Live("train", config) as live:
                self.assertTrue(live.wait_for_line("step 2/"))
                coordinator, = live.processes("coordinator")
                os.kill(coordinator, signal.SIGSTOP)  # it lives for as long as this takes
                live.send(signal.SIGKILL)
                live.process.wait()
                with Live("train", config, *option) as again:
                    again.wait_for_line("LoRA scaling")
                    wait_until(lambda: has_lock(run, again.process))
                    self.assertEqual(again.processes("coordinator"), [])
                    os.kill(coordinator, signal.SIGCONT)
                    self.assertEqual(again.end().code, DONE)
            self.assert_equal_bits(run, self.adapter_run)

    def test_killed(self):
        config, run = self.config("killed", save_steps=2)
        self.kill_after(config, 5)
        self.assertIn("step-00000004", checkpoints(run))
        seen = cadre("status", run)
        self.assertIn("interrupted", seen.out)
        self.assertIn("start the same command again", seen.out)
        ended = cadre("train", config)
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertRegex(ended.err, f"going on from step [4-7] of {STEPS}")
        self.assert_equal_bits(run, self.adapter_run)

    def test_killed_before_the_first_checkpoint(self):
        config, run = self.config("killed-early")
        self.kill_after(config, 1)
        self.assertEqual(checkpoints(run), [])
        self.assertEqual(cadre("train", config).code, DONE)
        self.assert_equal_bits(run, self.adapter_run)

    def test_killed_while_fully_tuning(self):
        config, run = self.config("full-killed", self.full_keys, save_steps=2)
        self.kill_after(config, 3)
        self.assertEqual(cadre("train", config).code, DONE)
        self.assert_equal_bits(run, self.full_run, "model.safetensors")

    def test_torn_records_of_a_killed_run(self):
        config, run = self.config("torn", save_steps=2)
        self.kill_after(config, 5)
        for name in ("metrics.jsonl", "ledger.jsonl", "journal.jsonl"):
            with open(run / name, "ab") as out:
                out.write(b'{"step": 9, "lo')
        (run / "checkpoints" / ".staging-step-00000006.0.1").mkdir(exist_ok=True)
        self.assertEqual(cadre("train", config).code, DONE)
        self.assert_equal_bits(run, self.adapter_run)
        self.assertFalse((run / "checkpoints" / ".staging-step-00000006.0.1").exists())

    def test_damaged_newest_checkpoint(self):
        for name, damage in (
                ("flipped", lambda folder: flip_byte(shards(folder)[0])),
                ("flipped-manifest", lambda folder: flip_byte(folder / "manifest.json", 100)),
                ("cut", lambda folder: shards(folder)[0].write_bytes(b"")),
                ("no-manifest", lambda folder: (folder / "manifest.json").unlink())):
            with self.subTest(name):
                config, run = self.config(f"damaged-{name}", save_steps=2)
                self.kill_after(config, 5)
                newest = run / "checkpoints" / saved(run)[-1]
                damage(newest)
                self.assertEqual(cadre("verify", run).code, 1)
                ended = cadre("train", config)
                self.assertEqual(ended.code, DONE, ended.err)
                self.assertIn(f"warning: {newest} is damaged and left aside: ", ended.err)
                self.assertRegex(ended.err, "going on from step [2-6] of")
                self.assert_equal_bits(run, self.adapter_run)

    def test_every_checkpoint_damaged(self):
        config, run = self.config("all-damaged", save_steps=2)
        self.kill_after(config, 5)
        for name in saved(run):
            flip_byte(shards(run / "checkpoints" / name)[0])
        ended = cadre("train", config)
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertGreaterEqual(ended.err.count("is damaged and left aside"), 2)
        self.assert_equal_bits(run, self.adapter_run)

    def test_logging_window_that_a_stop_cuts(self):
        """A line of metrics.jsonl is a mean over logging_steps: the steps before a stop belong to it too."""
        config, expected = self.config("window-undisturbed", logging_steps=4)
        self.assertEqual(cadre("train", config).code, DONE)
        config, run = self.config("window", logging_steps=4, save_steps=1)
        with Live("train", config) as live:  # every step has a checkpoint, that of the stop too
            live.wait_for_line("step 4/")
            live.send(signal.SIGTERM)
            self.assertEqual(live.end().code, RESUMABLE)
        for name in checkpoints(run):  # back to step 2, in the middle of the window
            if name > "step-00000002":
                flip_byte(shards(run / "checkpoints" / name)[0])
        ended = cadre("train", config)
        self.assertIn("going on from step 2 of", ended.err)
        self.assert_equal_bits(run, expected)

    def test_changed_configuration(self):
        config, run = self.config("changed", save_steps=2)
        self.kill_after(config, 3)
        before = {path.name: sha256(path) for path in run.iterdir() if path.suffix == ".jsonl"}
        for option, value, named in (("--learning_rate", "0.02", "began with learning_rate"),
                                     ("--seed", "43", "began with seed"),
                                     ("--lora_r", "8", "began with lora_r"),
                                     ("--max_steps", "9", "began with max_steps"),
                                     ("--datasets.0.path", str(self.held), "began with datasets.0.path")):
            with self.subTest(option):
                ended = cadre("train", config, option, value, "--quiet")
                self.assertEqual(ended.code, USER_MUST_MEND, ended.err)
                self.assertEqual(ended.err.count("\n"), 1, ended.err)
                self.assertIn(named, ended.err)
                self.assertIn("--overwrite_output_dir", ended.err)
        self.assertEqual({path.name: sha256(path) for path in run.iterdir() if path.suffix == ".jsonl"}, before)
        # What does not change the mathematics may change.
        ended = cadre("train", config, "--save_steps", "3", "--logging_steps", "1")
        self.assertEqual(ended.code, DONE, ended.err)
        self.assert_equal_bits(run, self.adapter_run)

    def test_refused_start_leaves_the_record_alone(self):
        config, run = self.config("refused", save_steps=2)

        def refuse(status):
            before = (run / "run.json").read_bytes()
            for option in (("--learning_rate", "0.02"), ("--resume_from_checkpoint", str(self.folder / "nowhere"))):
                with self.subTest(f"{status} {option[0]}"):
                    ended = cadre("train", config, "--quiet", *option)
                    self.assertEqual(ended.code, USER_MUST_MEND, ended.err)
                    self.assertEqual((run / "run.json").read_bytes(), before)
                    self.assertIn(f"{run}: {status}", cadre("status", run).out)

        self.kill_after(config, 3)
        refuse("interrupted")
        with Live("train", config) as live:
            live.wait_for_line(r"step \d+/")
            live.send(signal.SIGTERM)
            self.assertEqual(live.end().code, RESUMABLE)
        refuse("stopped (SIGTERM)")
        self.assertEqual(cadre("train", config).code, DONE)
        self.assert_equal_bits(run, self.adapter_run)

    def test_changed_instructions_or_build(self):
        config, run = self.config("elsewhere", save_steps=2)
        self.kill_after(config, 3)
        ended = cadre("train", config, "--quiet", environment={"MKL_CBWR": "COMPATIBLE"})
        self.assertEqual(ended.code, USER_MUST_MEND)
        self.assertEqual(ended.err, 'cadre: this run began with MKL_CBWR "AVX2", now it is "COMPATIBLE": other '
                                    "instructions round otherwise; start it with ATEN_CPU_CAPABILITY=avx2 MKL_CBWR=AVX2 "
                                    "ONEDNN_MAX_CPU_ISA=AVX2 to go on\n")
        record = read_json(run / "run.json")
        for name in ("torch", "compiler"):
            with self.subTest(name):
                other = copy.deepcopy(record)
                other["receipt"]["versions"][name] = "0.1"
                (run / "run.json").write_text(json.dumps(other))
                ended = cadre("train", config, "--quiet")
                self.assertEqual(ended.code, USER_MUST_MEND)
                self.assertRegex(ended.err, f'^cadre: this run began with {name} "0.1", now it is ".*": another build may '
                                            "round otherwise; go on with the program that began it, .*\n$")
        record["receipt"]["sha256"]["binary"] = "0" * 64  # the same sources, built elsewhere
        (run / "run.json").write_text(json.dumps(record))
        self.assertEqual(cadre("train", config).code, DONE)
        self.assert_equal_bits(run, self.adapter_run)

    def test_changed_data(self):
        rows = tiny_base.write_jsonl(self.folder / "changing.jsonl", tiny_base.rows(260))
        datasets = [tiny_base.dataset(rows)]
        config, run = self.config("changed-data", save_steps=2, datasets=datasets)
        self.kill_after(config, 3)
        tiny_base.write_jsonl(rows, tiny_base.rows(260, seed=5))
        ended = cadre("train", config, "--quiet")
        self.assertEqual(ended.code, USER_MUST_MEND)
        self.assertIn("this run began with train ", ended.err)
        self.assertIn("its content has changed", ended.err)

    def test_finished_run_is_not_overwritten(self):
        config, run = self.config("finished", max_steps=2, eval_steps=0)
        self.assertEqual(cadre("train", config).code, DONE)
        before = {path.name: sha256(path) for path in run.iterdir() if path.is_file()}
        ended = cadre("train", config, "--quiet")
        self.assertEqual(ended.code, USER_MUST_MEND)
        self.assertIn(f"{run}: holds a finished run", ended.err)
        self.assertEqual({path.name: sha256(path) for path in run.iterdir() if path.is_file()}, before)
        self.assertEqual(cadre("train", config, "--overwrite_output_dir").code, DONE)
        self.assertEqual(sha256(run / ADAPTER), before[ADAPTER])

    def test_second_process_in_one_folder(self):
        config, run = self.config("busy")
        with Live("train", config) as live:
            live.wait_for_line("step 1/")
            live.send(signal.SIGSTOP)  # it holds the folder for as long as this takes
            for option in ((), ("--overwrite_output_dir",)):
                second = cadre("train", config, "--quiet", *option)
                self.assertEqual(second.code, USER_MUST_MEND)
                self.assertIn(str(live.process.pid), second.err)
            status = cadre("status", run)
            self.assertIn("running", status.out)
            live.send(signal.SIGCONT)
            self.assertEqual(live.end().code, DONE)
        self.assert_equal_bits(run, self.adapter_run)

    def test_unfinished_run_without_resuming(self):
        config, run = self.config("not-resumed", save_steps=2)
        self.kill_after(config, 3)
        ended = cadre("train", config, "--resume_from_checkpoint", "none", "--quiet")
        self.assertEqual(ended.code, USER_MUST_MEND)
        self.assertIn("holds an unfinished run", ended.err)
        ended = cadre("train", config, "--overwrite_output_dir")
        self.assertEqual(ended.code, DONE)
        self.assertNotIn("going on from", ended.err)
        self.assert_equal_bits(run, self.adapter_run)

    def test_from_a_named_checkpoint(self):
        source_config, source = self.config("source", save_steps=2)
        self.kill_after(source_config, 5)
        named = source / "checkpoints" / "step-00000002"
        config, run = self.config("branch", resume_from_checkpoint=str(named))
        ended = cadre("train", config)
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertIn(f"going on from step 2 of {STEPS}", ended.err)
        self.assertEqual(sha256(run / ADAPTER), sha256(self.adapter_run / ADAPTER))
        flip_byte(shards(named)[0])
        config, run = self.config("branch-of-damaged", resume_from_checkpoint=str(named))
        ended = cadre("train", config, "--quiet")
        self.assertEqual(ended.code, USER_MUST_MEND, ended.err)
        self.assertIn(f"resume_from_checkpoint: {named}: ", ended.err)


if __name__ == "__main__":
    unittest.main()
