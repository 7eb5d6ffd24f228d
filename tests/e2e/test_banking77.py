"""A LoRA on real rows with a real base: what it learns, what the run folder holds, and what each verb makes of it."""

import csv
import datetime
import json
import random
import re
import unittest

from in_folder import InFolder
from program import (CADRE, DATA, DONE, FAILED, cadre, checkpoints, flip_byte, needs_data, read_json, read_lines, sha256, shards,
                     write_config)

STEPS, BATCH, EVERY = 240, 16, 80
# Measured 0.83 against 8.97: the base has never seen such a text. Three times as much is still "well under".
MOST_OF_BASE = 0.3
ROW = {"type": "alpaca", "field_instruction": "text", "field_output": "category",
       "prompt_no_input_format": "Question: {instruction}\nIntent:", "output_format": " {output}"}


def shuffled(name, seed):
    """The files are sorted by intent."""
    with open(DATA / "banking77" / name, encoding="utf-8", newline="") as lines:
        rows = [{"text": row["text"], "category": row["category"]} for row in csv.DictReader(lines)]
    random.Random(seed).shuffle(rows)
    return rows


@needs_data("banking77", "stories260k_hf")
class Banking77Test(InFolder):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.run_folder = cls.folder / "run"
        for name, rows in (("train", shuffled("train.csv", 77)), ("held", shuffled("test.csv", 78)[:200])):
            (cls.folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        cls.config = write_config(
            cls.folder / "banking77.yaml", base_model=str(DATA / "stories260k_hf"), adapter="lora", lora_r=8,
            lora_alpha=16, lora_target_modules="all-linear", datasets=[{"path": str(cls.folder / "train.jsonl"), **ROW}],
            test_datasets=[{"path": str(cls.folder / "held.jsonl"), **ROW}], sequence_len=512, micro_batch_size=BATCH,
            global_batch_size=BATCH, max_steps=STEPS, eval_steps=EVERY, save_steps=EVERY, learning_rate=0.01, warmup_steps=10,
            logging_steps=10, threads=1, seed=7, output_dir=str(cls.run_folder))
        ended = cadre("train", cls.config)
        assert ended.code == DONE, ended.err
        cls.metrics = read_lines(cls.run_folder / "metrics.jsonl")
        cls.record = read_json(cls.run_folder / "run.json")

    def test_validation_loss_falls_well_under_the_base_s(self):
        by_step = {line["step"]: line["eval_loss"] for line in self.metrics if "eval_loss" in line}
        self.assertEqual(sorted(by_step), [0, 80, 160, 240])
        self.assertLess(by_step[STEPS], MOST_OF_BASE * by_step[0], by_step)
        self.assertLess(by_step[STEPS], by_step[80], by_step)

    def test_folder_holds_what_it_should(self):
        names = {path.name for path in self.run_folder.iterdir()} - {".lock"}
        self.assertEqual(names, {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json",
                                 "tokenizer_config.json", "run.json", "metrics.jsonl", "ledger.jsonl", "journal.jsonl",
                                 "journal.term-1.jsonl", "checkpoints", "logs"})
        self.assertEqual(checkpoints(self.run_folder), [f"step-{step:08d}" for step in (80, 160, 240)])
        for name in checkpoints(self.run_folder):
            manifest = read_json(self.run_folder / "checkpoints" / name / "manifest.json")
            self.assertEqual(manifest["run_id"], self.record["run_id"])
            self.assertEqual(f"step-{manifest['step']:08d}", name)
            for shard in manifest["shards"]:
                path = self.run_folder / "checkpoints" / name / shard["file"]
                self.assertEqual((path.stat().st_size, sha256(path)), (shard["bytes"], shard["sha256"]))
        for name in ("tokenizer.json", "tokenizer_config.json"):
            self.assertEqual(sha256(self.run_folder / name), sha256(DATA / "stories260k_hf" / name))
        log = (self.run_folder / "logs" / "launcher.log").read_text()
        self.assertIn(f"step {STEPS}  validation loss", log)
        self.assertRegex(log, "started: rank 0\n")
        self.assertEqual((self.run_folder / "logs" / "coordinator.log").read_text(), "")

    def test_run_json(self):
        record, receipt = self.record, self.record["receipt"]
        self.assertEqual((record["status"], record["reason"], record["starts"], record["max_steps"]),
                         ("succeeded", "", 1, STEPS))
        for key in ("started", "updated"):
            self.assertLess(datetime.datetime.fromisoformat(record[key]).utcoffset(), datetime.timedelta(seconds=1))
        self.assertEqual(receipt["seed"], 7)
        self.assertEqual(receipt["configuration"]["learning_rate"], "0.01")
        self.assertRegex(receipt["origins"]["learning_rate"], r"banking77\.yaml:\d+:\d+$")
        self.assertEqual(receipt["origins"]["adam_beta1"], "default")
        self.assertEqual(set(receipt["versions"]), {"cadre", "torch", "compiler"})
        self.assertEqual(receipt["sha256"]["binary"], sha256(CADRE.with_name("cadre-compute")))
        self.assertEqual(receipt["sha256"]["sources"],
                         [sha256(self.folder / "train.jsonl"), sha256(self.folder / "held.jsonl")])
        for key in ("base_model", "train", "validation"):
            self.assertRegex(receipt["sha256"][key], "^[0-9a-f]{64}$")
        self.assertEqual(receipt["training_rows"], 10003)
        self.assertEqual(receipt["trained_parameters"], 46240)
        result = receipt["result"]
        self.assertEqual((result["of"], result["verified"]), (f"step {STEPS} (the last)", True))
        for name, expected in result["sha256"].items():
            self.assertEqual(sha256(self.run_folder / name), expected, name)
        self.assertIn("adapter_model.safetensors", result["sha256"])

    def test_metrics(self):
        steps = [line for line in self.metrics if "loss" in line]
        self.assertEqual([line["step"] for line in steps], list(range(10, STEPS + 1, 10)))
        for line in steps:
            self.assertEqual(set(line), {"step", "epoch", "loss", "learning_rate", "grad_norm", "tokens",
                                         "tokens_per_second", "seconds", "compute_share", "ranks"})
            self.assertEqual(line["ranks"], 1)
            self.assertAlmostEqual(line["epoch"], line["step"] / 626, places=6)  # ceil(10003 / 16) steps
            self.assertGreater(line["tokens"], 0)
        self.assertLess(steps[-1]["loss"], 0.5 * steps[0]["loss"])
        self.assertLess(steps[-1]["learning_rate"], 1e-4)

    def test_ledger(self):
        seen = set()
        ledger = read_lines(self.run_folder / "ledger.jsonl")
        self.assertEqual([line["step"] for line in ledger], list(range(1, STEPS + 1)))
        for line in ledger:
            self.assertEqual(set(line), {"step", "generation", "view", "micro_batches"})
            samples = [sample for part in line["micro_batches"] for sample in part["samples"]]
            self.assertEqual(len(samples), BATCH)
            self.assertEqual({part["rank"] for part in line["micro_batches"]}, {0})
            self.assertFalse(seen.intersection(samples), "a sample twice in an epoch")
            seen.update(samples)
        self.assertTrue(seen <= set(range(10003)))

    def test_journal(self):
        journal = read_lines(self.run_folder / "journal.jsonl")
        events = [line["event"] for line in journal if line["event"] != "joined"]
        self.assertEqual(events, ["started", "view"] + ["checkpoint"] * 3 + ["succeeded"])
        for line in journal:
            self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertTrue(line["reason"])

    def test_adapter_config(self):
        settings = read_json(self.run_folder / "adapter_config.json")
        self.assertEqual((settings["peft_type"], settings["task_type"], settings["r"], settings["lora_alpha"]),
                         ("LORA", "CAUSAL_LM", 8, 16))
        self.assertEqual(set(settings["target_modules"]), {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj",
                                                           "down_proj"})
        self.assertEqual(settings["base_model_name_or_path"], str(DATA / "stories260k_hf"))
        self.assertTrue(settings["inference_mode"])

    def test_status(self):
        ended = cadre("status", self.run_folder, "--json")
        self.assertEqual(ended.code, DONE, ended.err)
        status = json.loads(ended.out)
        self.assertEqual(set(status), {"status", "step", "max_steps", "view", "coordinator", "ranks", "events", "drained_hosts"})
        self.assertEqual((status["status"], status["step"], status["max_steps"]), ("succeeded", STEPS, STEPS))
        self.assertEqual(set(status["coordinator"]), {"host", "pid"})
        rank, = status["ranks"]
        self.assertEqual(set(rank), {"rank", "host", "pid", "state", "micro_batches"})
        self.assertEqual((rank["rank"], rank["state"], rank["micro_batches"]), (0, "drained", 1))
        self.assertLessEqual(len(status["events"]), 10)
        self.assertEqual(status["events"][-1]["event"], "succeeded")
        shown = cadre("status", self.run_folder).out
        self.assertIn("succeeded, step 240 of 240", shown)

    def test_generate_speaks_of_intents(self):
        """260,032 parameters seldom spell an intent without a mistake, but they begin one; the base tells a story."""
        held = read_lines(self.folder / "held.jsonl")[:12]
        prompts = self.folder / "prompts.jsonl"
        prompts.write_text("".join(json.dumps({"prompt": f"Question: {row['text']}\nIntent:"}) + "\n" for row in held))
        first_words = {row["category"].lower().split("_")[0] for row in shuffled("train.csv", 77)}
        counts = {}
        for name, folder in (("base", DATA / "stories260k_hf"), ("tuned", self.run_folder)):
            ended = cadre("generate", folder, "--prompts", prompts, "--max_new_tokens", "12")
            self.assertEqual(ended.code, DONE, ended.err)
            lines = [json.loads(line) for line in ended.out.splitlines()]
            self.assertEqual(len(lines), len(held))
            answers = [line["text"].removeprefix(line["prompt"]) for line in lines]
            counts[name] = sum((re.findall("[a-z]+", answer.lower()) or [""])[0] in first_words for answer in answers)
        self.assertLessEqual(counts["base"], 2, counts)
        self.assertGreaterEqual(counts["tuned"], 9, counts)

    def test_merge(self):
        merged = self.folder / "merged"
        ended = cadre("merge", self.run_folder, "--output", merged)
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertTrue({"config.json", "model.safetensors", "tokenizer.json"} <= {path.name for path in merged.iterdir()})
        prompt = ("--prompt", "Question: where is my card?\nIntent:", "--max_new_tokens", "24")
        self.assertEqual(cadre("generate", merged, *prompt).out, cadre("generate", self.run_folder, *prompt).out)
        base, tuned = DATA / "stories260k_hf" / "model.safetensors", merged / "model.safetensors"
        self.assertEqual(tuned.stat().st_size // 1000, base.stat().st_size // 1000)
        self.assertNotEqual(sha256(tuned), sha256(base))
        again = cadre("merge", self.run_folder, "--output", merged)
        self.assertEqual(again.code, 2)
        self.assertIn("is there and not empty", again.err)

    def test_verify(self):
        ended = cadre("verify", self.run_folder)
        self.assertEqual(ended.code, DONE, ended.out)
        lines = ended.out.splitlines()
        self.assertTrue(all(line.startswith("ok ") for line in lines), ended.out)
        for part in ("adapter_model.safetensors", "base model", "ledger.jsonl: 240 steps", "step-00000240"):
            self.assertIn(part, ended.out)

    def test_verify_of_what_was_changed(self):
        """Each change is named, and undone again."""
        def drop_a_step(path):
            lines = path.read_text().splitlines(keepends=True)
            path.write_text("".join(lines[:99] + lines[100:]))

        def swap_a_sample(path):
            lines = read_lines(path)
            lines[5]["micro_batches"][0]["samples"][0] = lines[4]["micro_batches"][0]["samples"][0]
            path.write_text("".join(json.dumps(line) + "\n" for line in lines))

        for name, change, named in (
                ("adapter_model.safetensors", flip_byte, "adapter_model.safetensors: expected sha256"),
                ("adapter_config.json", lambda path: path.write_text(path.read_text() + " "), "adapter_config.json"),
                ("tokenizer.json", lambda path: path.unlink(), "tokenizer.json"),
                ("ledger.jsonl", drop_a_step, "expected step 100, found 101"),
                ("ledger.jsonl", swap_a_sample, "twice in an epoch"),
                (shards(self.run_folder / "checkpoints" / "step-00000160")[0], flip_byte, "step-00000160"),
                ("checkpoints/step-00000240/manifest.json", lambda path: flip_byte(path, 60), "step-00000240")):
            with self.subTest(name=name, named=named):
                path = self.run_folder / name
                before = path.read_bytes()
                try:
                    change(path)
                    ended = cadre("verify", self.run_folder)
                finally:
                    path.write_bytes(before)
                self.assertEqual(ended.code, FAILED, ended.out)
                failed = [line for line in ended.out.splitlines() if line.startswith("FAILED")]
                self.assertEqual(len(failed), 1, ended.out)
                self.assertTrue(re.search(re.escape(named), failed[0]), failed)
        self.assertEqual(cadre("verify", self.run_folder).code, DONE)


if __name__ == "__main__":
    unittest.main()
