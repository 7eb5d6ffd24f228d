"""Output folders that cannot be written, and disks that fill up or refuse: what was there stays, and what happened is
said. Small file systems need root to be mounted."""

import contextlib
import os
import pathlib
import signal
import subprocess
import tempfile
import unittest

import tiny_base
from bad_input import Table, install
from in_folder import InFolder
from program import (DONE, FAILED, USER_MUST_MEND, Live, cadre, checkpoints, losses, read_json, read_lines, sha256,
                     wait_until, write_config)
from tiny_base import full, lora

table = Table()
case, add = table.case, table.add


def output(path, **keys):
    return lambda scene: scene.keys.update(output_dir=path, **keys)


add("output_is_a_file", output("rows.jsonl"), "rows.jsonl: expected a folder, found a file")
add("output_below_a_file", output("rows.jsonl/run"),
    "rows.jsonl/run: output_dir cannot be made: Not a directory; choose another output_dir")
add("output_is_the_base", output("base"), "output_dir: base is the base_model of this run; name another folder")
add("output_is_the_base_spelled_otherwise", output("./base/../base/"),
    "output_dir: ./base/../base/ is the base_model of this run; name another folder")
add("output_is_the_base_and_anew", output("base", overwrite_output_dir=True),
    "output_dir: base is the base_model of this run; name another folder")
add("output_where_nothing_can_be_made", output("/proc/run"),
    "/proc/run: output_dir cannot be made: No such file or directory; choose another output_dir")
add("output_of_an_endless_name", output("x" * 300),
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")


@case("other: expected an empty folder or a run's, found \"thesis.tex\" and no run.json; choose another")
def output_holds_something_else(scene):
    (scene.folder / "other").mkdir()
    (scene.folder / "other" / "thesis.tex").write_text("years of work")
    scene.keys.update(output_dir="other", overwrite_output_dir=True)


@case("other/run.json: not JSON: incomplete JSON")
def output_with_a_damaged_record(scene):
    (scene.folder / "other").mkdir()
    (scene.folder / "other" / "run.json").write_text('{"status": "succ')
    scene.keys.update(output_dir="other")


@case("other/run.json: expected a \"status\" of running, succeeded, failed or stopped, found \"jogging\"")
def output_with_a_foreign_record(scene):
    (scene.folder / "other").mkdir()
    (scene.folder / "other" / "run.json").write_text('{"status": "jogging"}')
    scene.keys.update(output_dir="other")


@contextlib.contextmanager
def mounted(folder, options):
    """A tmpfs for the time of a block."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def can_mount():
    if os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory() as scratch:
        try:
            with mounted(pathlib.Path(scratch) / "tmpfs", "size=64k"):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


class BadDiskTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls._scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls._scratch.cleanup)


install(table, BadDiskTest, lambda: pathlib.Path(BadDiskTest._scratch.name))


class HungDiskTest(InFolder):
    def test_disk_that_hangs_while_a_checkpoint_is_written(self):
        """Training goes on without the periodic ones that follow; the last one waits for it."""
        base = tiny_base.write_base(self.folder / "base")
        rows = tiny_base.write_jsonl(self.folder / "rows.jsonl", tiny_base.rows(100))
        runs = {}
        for name, points in (("undisturbed", ""), ("hangs", "checkpoint@2/0=pause:16000;checkpoint@2/1=pause:16000")):
            runs[name] = self.folder / name
            config = write_config(self.folder / f"{name}.yaml", **full(
                base, runs[name], rows, global_batch_size=10, max_steps=7, save_steps=2))
            ended = cadre("train", config, "--ranks", 2, environment={"CADRE_FAILPOINTS": points})
            self.assertEqual(ended.code, DONE, ended.err)
        self.assertEqual(checkpoints(runs["undisturbed"]), [f"step-0000000{step}" for step in (2, 4, 6, 7)])
        self.assertEqual(checkpoints(runs["hangs"]), ["step-00000002", "step-00000007"])
        failed = [line for line in read_lines(runs["hangs"] / "journal.jsonl") if line["event"] == "checkpoint_failed"]
        self.assertEqual([line["step"] for line in failed], [4, 6])
        self.assertIn("the disk is still busy with the shard of step 2", failed[0]["reason"])
        self.assertEqual(*(sha256(run / "model.safetensors") for run in runs.values()))
        self.assertEqual(*(losses(run) for run in runs.values()))


class SmallDiskTest(InFolder):
    @classmethod
    def setUpClass(cls):
        if not can_mount():
            raise unittest.SkipTest("only root may mount the small file systems that this needs")
        super().setUpClass()
        cls.base = tiny_base.write_base(cls.folder / "base")
        cls.rows = tiny_base.write_jsonl(cls.folder / "rows.jsonl", tiny_base.rows(100))

    def train(self, keys, *options):
        return cadre("train", write_config(self.folder / f"{self.id()}.yaml", **keys), *options)

    def test_read_only_disk(self):
        with mounted(self.folder / "read-only", "size=1m,ro") as disk:
            ended = self.train(lora(self.base, disk / "run", self.rows), "--quiet")
            self.assertEqual(ended.code, USER_MUST_MEND)
            self.assertEqual(ended.err, f"cadre: {disk / 'run'}: output_dir cannot be made: Read-only file system; "
                                        "choose another output_dir\n")

    def test_finished_run_on_a_disk_that_became_read_only(self):
        with mounted(self.folder / "became-read-only", "size=8m") as disk:
            keys = lora(self.base, disk / "run", self.rows, max_steps=2)
            self.assertEqual(self.train(keys).code, DONE)
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
            before = {path: sha256(path) for path in disk.rglob("*") if path.is_file()}
            ended = self.train(keys, "--overwrite_output_dir", "--quiet")
            self.assertEqual(ended.code, USER_MUST_MEND, ended.err)
            self.assertIn("Read-only file system", ended.err)
            self.assertEqual(ended.err.count("\n"), 1, ended.err)
            # Who only reads needs no lock and no space.
            self.assertEqual(cadre("verify", disk / "run").code, DONE)
            self.assertEqual(cadre("status", disk / "run").code, DONE)
            self.assertEqual(cadre("generate", disk / "run", "--prompt", "a", "--max_new_tokens", "2").code, DONE)
            self.assertEqual({path: sha256(path) for path in disk.rglob("*") if path.is_file()}, before)

    def test_full_disk_at_the_start(self):
        with mounted(self.folder / "full", "size=64k") as disk:
            with contextlib.suppress(OSError), open(disk / "other", "wb", buffering=0) as out:
                while out.write(b"x" * 4096):
                    pass
            ended = self.train(lora(self.base, disk / "run", self.rows), "--quiet")
            self.assertIn(ended.code, (FAILED, USER_MUST_MEND))
            self.assertEqual(ended.err.count("\n"), 1, ended.err)
            self.assertTrue(ended.err.startswith(f"cadre: {disk / 'run'}"), ended.err)
            self.assertIn("No space left on device", ended.err)

    def test_disk_that_fills_up_while_checkpoints_are_written(self):
        """Room for the records (the journal has 1 MiB allocated ahead) and two checkpoints of full fine-tuning (320 KB
        each) with no limit on their number."""
        keys = full(self.base, self.folder / "undisturbed", self.rows, save_steps=1, save_total_limit=1)
        self.assertEqual(self.train(keys).code, DONE)
        with mounted(self.folder / "fills-up", "size=2200k") as disk:
            run = disk / "run"
            ended = self.train({**keys, "output_dir": str(run), "save_total_limit": 0})
            kept = checkpoints(run)
            self.assertIn("warning: step ", ended.err)
            self.assertIn("no checkpoint was written: ", ended.err)
            self.assertIn("No space left on device", ended.err)
            # Training went on to the last step; whether the result still fits is another matter.
            self.assertEqual(losses(run), losses(self.folder / "undisturbed"))
            self.assertIn("step-00000001", kept)
            self.assertTrue(all(name.startswith("step-") for name in kept), kept)
            failed = [line for line in read_lines(run / "journal.jsonl") if line["event"] == "checkpoint_failed"]
            self.assertTrue(failed)
            self.assertIn("No space left on device", failed[0]["reason"])
            if ended.code == DONE:
                self.assertEqual(sha256(run / "model.safetensors"),
                                 sha256(self.folder / "undisturbed" / "model.safetensors"))
            else:
                self.assertEqual(ended.code, FAILED, ended.err)
                self.assertEqual(ended.err.splitlines()[-1].count("cadre: "), 1)
                self.assertIn("No space left on device", ended.err.splitlines()[-1])
                self.assertEqual(read_json(run / "run.json")["status"], "failed")
                # With room again the same command goes on from what was kept, to the same bits.
                subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
                again = self.train({**keys, "output_dir": str(run), "save_total_limit": 0})
                self.assertEqual(again.code, DONE, again.err)
                self.assertIn("going on from step ", again.err)
                self.assertEqual(sha256(run / "model.safetensors"),
                                 sha256(self.folder / "undisturbed" / "model.safetensors"))
                self.assertEqual(losses(run), losses(self.folder / "undisturbed"))
            self.assertEqual(cadre("verify", run).code, DONE)

    def test_disk_that_is_full_when_the_run_is_stopped(self):
        """No checkpoint can be written: then the run has not ended early, it has failed, and says so."""
        with mounted(self.folder / "full-at-the-stop", "size=1m") as disk:
            run = disk / "run"
            config = write_config(self.folder / "full-at-the-stop.yaml", **full(
                self.base, run, self.rows, global_batch_size=96, max_steps=6, heartbeat_limit=600))
            marks = self.folder / "marks"
            marks.mkdir()
            # A rank waits in the third step until there is no space.
            points = {"CADRE_FAILPOINTS": f"marks={marks};forward@2/0=stop"}
            with Live("train", config, environment=points) as live:
                wait_until(lambda: (marks / "forward@2.0").exists())
                with contextlib.suppress(OSError), open(disk / "other", "wb", buffering=0) as out:
                    for _ in range(250 - 40):  # leaves 160 KB for the records
                        out.write(b"x" * 4096)
                live.send(signal.SIGTERM)
                wait_until(lambda: "SIGTERM" in (run / "logs" / "launcher.log").read_text())
                os.kill(int((marks / "forward@2.0").read_text()), signal.SIGCONT)
                ended = live.end()
            self.assertEqual(ended.code, FAILED, ended.err)
            self.assertIn("stopped by SIGTERM, and the checkpoint could not be written", ended.err)
            self.assertEqual(read_json(run / "run.json")["status"], "failed")
            (disk / "other").unlink()
            self.assertEqual(cadre("train", config).code, DONE)


if __name__ == "__main__":
    unittest.main()
