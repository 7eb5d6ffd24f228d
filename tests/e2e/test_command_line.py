"""What a user types and sees: options in three spellings, --dry-run, help, progress in a pipe and on a terminal."""

import json
import os
import pathlib
import pty
import re
import signal
import subprocess
import unittest

import tiny_base
from in_folder import InFolder
from program import (CADRE, DEADLINE, DONE, ENVIRONMENT, FAILED, SETTINGS, USER_MUST_MEND, Live, cadre, read_json,
                     read_lines, sha256, write_config)
from tiny_base import full, lora

VERBS = ("train", "generate", "merge", "verify", "status", "stop", "doctor", "init")
NOT_BUILT_YET = ("plan", "check", "eval")


class CommandLineTest(InFolder):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.base = tiny_base.write_base(cls.folder / "base")
        cls.rows = tiny_base.write_jsonl(cls.folder / "rows.jsonl", tiny_base.rows(40))
        cls.config = write_config(cls.folder / "config.yaml",
                                  **lora(cls.base, cls.folder / "run", cls.rows, max_steps=6, val_set_size=4))

    def dry(self, *words):
        ended = cadre("train", self.config, "--dry-run", *words)
        self.assertEqual(ended.code, DONE, ended.err)
        return ended.out

    def test_three_spellings_of_an_option(self):
        outputs = {self.dry(*words) for words in (("--learning_rate", "0.125"), ("--learning-rate", "0.125"),
                                                  ("learning_rate=0.125",), ("--learning_rate=0.125",),
                                                  ("--learning-rate=0.125",))}
        self.assertEqual(len(outputs), 1)
        self.assertRegex(outputs.pop(), r"(?m)^learning_rate: 0\.125\b.*# command line")

    def test_options_of_a_dataset(self):
        other = str(tiny_base.write_jsonl(self.folder / "other.jsonl", tiny_base.rows(5)))
        for words in (("--datasets.0.path", other), (f"datasets.0.path={other}",), (f"--datasets.0.path={other}",)):
            self.assertIn(other, self.dry(*words))
        added = self.dry("--datasets.1.path", other, "--datasets.1.type", "alpaca")
        self.assertIn(str(self.rows), added)
        self.assertIn(other, added)

    def test_last_of_two_wins_and_options_may_come_first(self):
        self.assertRegex(self.dry("--seed", "1", "--seed", "2"), r"(?m)^seed: 2\b")
        ended = cadre("train", "--seed", "3", self.config, "--dry-run")
        self.assertRegex(ended.out, r"(?m)^seed: 3\b")

    def test_dry_run_is_a_configuration_with_origins(self):
        first = self.dry("--seed", "7")
        self.assertFalse((self.folder / "run").exists() and not (self.folder / "run" / "run.json").exists())
        self.assertRegex(first, rf"(?m)^lora_r: 4\b.*# {re.escape(str(self.config))}:\d+:\d+$")
        self.assertRegex(first, r"(?m)^seed: 7\b.*# command line$")
        self.assertRegex(first, r"(?m)^adam_beta1: 0\.9\b.*# default$")
        self.assertIn("# LoRA scaling: lora_alpha / lora_r = 8 / 4 = 2", first)
        printed = self.folder / "printed.yaml"
        printed.write_text(first)
        again = cadre("train", printed, "--dry-run")
        self.assertEqual(again.code, DONE, again.err)

        def values(text):
            return [line.split("#")[0].rstrip() for line in text.splitlines() if not line.startswith("#")]

        self.assertEqual(values(again.out), values(first))

    def test_dry_run_trains_the_same(self):
        printed = self.folder / "printed-to-train.yaml"
        printed.write_text(self.dry("--output_dir", str(self.folder / "of-the-printed")))
        self.assertEqual(cadre("train", printed).code, DONE)
        self.assertEqual(cadre("train", self.config, "--output_dir", self.folder / "of-the-config").code, DONE)
        self.assertEqual(sha256(self.folder / "of-the-printed" / "adapter_model.safetensors"),
                         sha256(self.folder / "of-the-config" / "adapter_model.safetensors"))

    def test_alias_is_accepted_and_named(self):
        keys = lora(self.base, self.folder / "aliases", self.rows)
        keys["lora_rank"] = keys.pop("lora_r")
        keys["max_seq_length"] = keys.pop("sequence_len")
        ended = cadre("train", write_config(self.folder / "aliases.yaml", **keys), "--dry-run")
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertRegex(ended.out, r"(?m)^# .*lora_rank.*`lora_r`")
        self.assertRegex(ended.out, r"(?m)^# .*max_seq_length.*`sequence_len`")

    def test_help_and_version(self):
        overview = cadre("--help")
        self.assertEqual((overview.code, overview.err), (DONE, ""))
        for verb in VERBS:
            self.assertIn(f"cadre {verb}", overview.out)
            ended = cadre(verb, "--help")
            self.assertEqual((ended.code, ended.err), (DONE, ""), verb)
            self.assertIn(f"cadre {verb}", ended.out)
        for words in (("help",), ("-h",), ("train", "-h")):
            self.assertEqual(cadre(*words).code, DONE, words)
        self.assertRegex(cadre("--version").out, r"^cadre \d+\.\d+\.\d+\n$")
        nothing = cadre()
        self.assertEqual(nothing.code, USER_MUST_MEND)
        self.assertIn("cadre train", nothing.out)
        shown = cadre("train", "--help").out
        for line in self.dry().splitlines():
            key = line.split(":")[0]
            if re.fullmatch(r"[a-z_0-9]+", key):
                self.assertIn(f"\n  {key} ", shown)

    @unittest.skipUnless(os.path.exists("/dev/full"), "no /dev/full here")
    def test_output_that_cannot_be_written(self):
        with open("/dev/full", "w") as full_disk:
            ended = subprocess.run([CADRE, "--help"], stdout=full_disk, stderr=subprocess.PIPE, text=True,
                                   env=ENVIRONMENT)
        self.assertEqual(ended.returncode, FAILED)
        self.assertIn("could not be written", ended.stderr)

    def test_verbs_that_are_not_built_yet(self):
        for verb in NOT_BUILT_YET:
            ended = cadre(verb, self.config)
            self.assertEqual((ended.code, ended.out), (USER_MUST_MEND, ""), verb)
            self.assertRegex(ended.err, rf"^cadre: {verb} \(.*\) is not built yet\n$")

    def test_quiet(self):
        ended = cadre("train", self.config, "--quiet", "--output_dir", self.folder / "quiet")
        self.assertEqual((ended.code, ended.out, ended.err), (DONE, "", ""))

    def test_pipe_gets_a_line_a_logging_step(self):
        run = self.folder / "piped"
        ended = cadre("train", self.config, "--logging_steps", "2", "--eval_steps", "3", "--output_dir", run)
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertEqual(ended.out, "")
        self.assertEqual([line.split()[1] for line in ended.err.splitlines() if re.match(r"step \d+/", line)],
                         ["2/6", "4/6", "6/6"])
        self.assertEqual([line.split()[1] for line in ended.err.splitlines() if "validation loss" in line],
                         ["0", "3", "6"])
        self.assertNotIn("\r", ended.err)
        self.assertNotIn("\033", ended.err)
        self.assertEqual([line["step"] for line in read_lines(run / "metrics.jsonl") if "loss" in line], [2, 4, 6])
        # What is logged is what is said.
        said = [float(re.search(r"loss (\S+)", line)[1]) for line in ended.err.splitlines() if re.match(r"step \d+/", line)]
        noted = [line["loss"] for line in read_lines(run / "metrics.jsonl") if "loss" in line]
        for one, other in zip(said, noted, strict=True):
            self.assertAlmostEqual(one, other, places=3)

    def test_terminal_gets_a_bar(self):
        control, terminal = pty.openpty()
        process = subprocess.Popen([str(CADRE), "train", str(self.config), "--output_dir", str(self.folder / "bar")],
                                   stdin=terminal, stdout=terminal, stderr=terminal, env=ENVIRONMENT)
        os.close(terminal)
        shown = b""
        while True:
            try:
                block = os.read(control, 65536)
            except OSError:  # how Linux says that the other end is closed
                break
            if not block:
                break
            shown += block
        os.close(control)
        self.assertEqual(process.wait(timeout=DEADLINE), DONE)
        text = shown.decode()
        self.assertGreaterEqual(text.count("\r100% 6/6") + text.count("\r 17% 1/6"), 2, text)
        self.assertRegex(text, "[▁▂▃▄▅▆▇█]{2}")  # the sparkline of the losses
        self.assertIn("━", text)
        self.assertNotRegex(text, r"step \d+/6  loss")

    def test_environment_of_its_own_kind(self):
        """Without the variables that the tests set, the program starts itself anew with its own, and says which."""
        environment = {key: value for key, value in os.environ.items() if key not in (*SETTINGS, "OMP_WAIT_POLICY")}
        plain, ours = self.folder / "plain", self.folder / "ours"
        ended = subprocess.run([str(CADRE), "train", str(self.config), "--quiet", "--output_dir", str(plain)],
                               env=environment, capture_output=True, timeout=DEADLINE)
        self.assertEqual((ended.returncode, ended.stdout, ended.stderr), (DONE, b"", b""))
        pins = read_json(plain / "run.json")["receipt"]["instruction_set"]
        self.assertEqual(sorted(pins), ["ATEN_CPU_CAPABILITY", "MKL_CBWR", "ONEDNN_MAX_CPU_ISA"])
        ended = cadre("train", self.config, "--quiet", "--output_dir", ours, environment=pins)
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertEqual(sha256(plain / "adapter_model.safetensors"), sha256(ours / "adapter_model.safetensors"))

    def test_bus_errors_are_caught(self):
        """A mapped file may be cut short at any moment (unit tests see what is said then)."""
        with Live("train", self.config, "--output_dir", self.folder / "caught") as live:
            live.wait_for_line("step 1/")
            live.send(signal.SIGSTOP)
            status = pathlib.Path(f"/proc/{live.process.pid}/status").read_text()
            live.send(signal.SIGCONT)
        caught = int(re.search(r"(?m)^SigCgt:\s*([0-9a-f]+)$", status)[1], 16)
        self.assertTrue(caught >> signal.SIGBUS - 1 & 1, status)

    def test_paths_are_those_of_the_folder_it_is_called_in(self):
        config = write_config(self.folder / "relative.yaml", **lora("base", "relative", "rows.jsonl", max_steps=1))
        ended = cadre("train", config.name, folder=self.folder)
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertEqual(read_json(self.folder / "relative" / "run.json")["status"], "succeeded")

    def test_generate(self):
        once = cadre("generate", self.base, "--prompt", "tree", "--max_new_tokens", "4")
        self.assertEqual(once.code, DONE, once.err)
        self.assertTrue(once.out.startswith("tree"), once.out)
        prompts = tiny_base.write_jsonl(self.folder / "prompts.jsonl", [{"prompt": "tree"}, {"prompt": "bird 東"}])
        ended = cadre("generate", self.base, "--prompts", prompts, "--max_new_tokens", "4")
        answers = [json.loads(line) for line in ended.out.splitlines()]
        self.assertEqual([answer["prompt"] for answer in answers], ["tree", "bird 東"])
        self.assertEqual(answers[0]["text"] + "\n", once.out)
        sampled = [cadre("generate", self.base, "--prompt", "a", "--temperature", "1", "--top_p", "0.9", "--seed", seed,
                         "--max_new_tokens", "16").out for seed in (1, 1, 2)]
        self.assertEqual(sampled[0], sampled[1])
        self.assertNotEqual(sampled[0], sampled[2])

    def test_init(self):
        config = write_config(self.folder / "new.json", **tiny_base.CONFIG)
        model = self.folder / "new"
        ended = cadre("init", config, "--text", self.rows, "--vocab_size", "300", "--output", model)
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertEqual(sorted(path.name for path in model.iterdir()),
                         ["config.json", "tokenizer.json", "tokenizer_config.json"])
        tokens = read_json(model / "tokenizer_config.json")
        self.assertEqual([tokens[f"{name}_token"] for name in ("bos", "eos", "pad")], ["<|endoftext|>"] * 3)
        config = write_config(self.folder / "new.yaml", **full(model, self.folder / "new-run", self.rows, max_steps=1,
                                                               init_from_config=True))
        ended = cadre("train", config)
        self.assertEqual(ended.code, DONE, ended.err)

    def test_doctor(self):
        ended = cadre("doctor")
        self.assertIn(ended.code, (DONE, USER_MUST_MEND), ended.err)
        self.assertGreater(len(ended.out.splitlines()), 3)
        self.assertIn("ATEN_CPU_CAPABILITY=avx2 MKL_CBWR=AVX2 ONEDNN_MAX_CPU_ISA=AVX2\n", ended.out)

    def test_instructions_that_no_library_knows(self):
        environment = {"ATEN_CPU_CAPABILITY": "avx1024"}
        ended = cadre("train", self.config, environment=environment)
        self.assertEqual(ended.code, USER_MUST_MEND)
        self.assertRegex(ended.err, '^cadre: ATEN_CPU_CAPABILITY: expected one of avx2, avx512, found "avx1024"; .*\n$')
        seen = cadre("doctor", environment=environment)
        self.assertEqual(seen.code, USER_MUST_MEND)
        self.assertRegex(seen.out, r"LACKS  instructions .*avx1024")


if __name__ == "__main__":
    unittest.main()
