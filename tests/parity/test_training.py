"""Ten AdamW steps of `cadre train` against the same loop in Python, and the same run twice."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import json

import safetensors.torch
import torch

import adapters
import documents
import probe
import reference
import tiny_models
import training_reference
from cases import each, expand
from closeness import assert_close, assert_same_names
from training_reference import Recipe

LOSS_TOLERANCE = 1e-5
ADAPTER_TOLERANCE = 1e-5
FULL_TOLERANCE = 1e-4
BFLOAT16_LOSS = 0.01  # relative; a bf16 number itself is good to 0.004
ROWS = 40

# name: (base, adapter or None for full fine-tuning, recipe, rows a micro-batch)
RUNS = {
    "stories_lora": ("stories", "lora", Recipe(), 2),
    "stories_rslora": ("stories", "rslora", Recipe(), 4),
    "stories_dora": ("stories", "dora", Recipe(), 1),
    "stories_loraplus": ("stories", "lora", Recipe(loraplus_lr_ratio=4.0), 2),
    "stories_full": ("stories", None, Recipe(), 2),
    "stories_modules_to_save": ("stories", "tied_modules_to_save", Recipe(), 4),
    "gemma2_lora": ("gemma2", "lora", Recipe(), 3),
    "gemma2_full": ("gemma2", None, Recipe(), 4),
    "llama_biases_dora_loraplus": ("llama_biases", "dora", Recipe(loraplus_lr_ratio=4.0), 2),
    "llama_biases_full": ("llama_biases", None, Recipe(), 2),
    "qwen3_modules_to_save": ("qwen3", "one_module_to_save", Recipe(), 2),
    "phi3_lora": ("phi3", "lora", Recipe(), 4),
    "gemma3_dora": ("gemma3", "dora", Recipe(), 2),
}


def base_folder(base):
    return probe.STORIES if base == "stories" else tiny_models.folder_of(base)


def rows_for(base):
    """banking77; for a tiny model its ids folded into that model's vocabulary, without the padding token 0."""
    rows = documents.banking_rows(ROWS)
    if base == "stories":
        return rows
    ids = tiny_models.SIZES["vocab_size"] - 1
    return [{name: [i if i == probe.IGNORED else 1 + i % ids for i in values] for name, values in row.items()}
            for row in rows]


def cadre_train(folder, run, **more):
    base, kind, recipe, micro_batch = RUNS[run]
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows_for(base)))
    method = {"adapter": "none"} if kind is None else {
        "adapter": "lora", "lora_model_dir": str(adapters.folder_of(base_folder(base), kind))}
    return probe.train(folder, base_model=str(base_folder(base)), datasets=[{"path": str(data), "type": "tokenized"}],
                       micro_batch_size=micro_batch, **{**method, **recipe.as_config(), **more})


def result_file(folder, run):
    return pathlib.Path(folder, "run", "model.safetensors" if RUNS[run][1] is None else "adapter_model.safetensors")


@probe.needs_banking
class RecipeTest(unittest.TestCase):
    """What the runs are meant to show, they show."""

    def test_steps_train_unequal_numbers(self):
        trained = [sum(label != probe.IGNORED for label in row["labels"]) for row in rows_for("stories")]
        self.assertGreater(len({sum(trained[i:i + 2]) for i in range(0, ROWS, 2)}), 5)

    def test_clipping_is_active(self):
        for run, (base, kind, recipe, _) in RUNS.items():
            if base != "stories":
                continue
            adapter = adapters.folder_of(base_folder(base), kind) if kind else None
            norms = training_reference.train(base_folder(base), adapter, rows_for(base), recipe).norms
            self.assertGreater(sum(norm > recipe.max_grad_norm for norm in norms), 5, f"{run}: {norms}")


@probe.needs_cadre
@probe.needs_banking
@expand
class TrainingTest(unittest.TestCase):
    @each(*RUNS)
    def test_ten_steps(self, run):
        base, kind, recipe, _ = RUNS[run]
        adapter = adapters.folder_of(base_folder(base), kind) if kind else None
        theirs = training_reference.train(base_folder(base), adapter, rows_for(base), recipe)
        with tempfile.TemporaryDirectory() as scratch:
            steps = cadre_train(scratch, run)
            result = safetensors.torch.load_file(result_file(scratch, run))
            record = json.loads(pathlib.Path(scratch, "run", "run.json").read_text())
        self.assertEqual(record["status"], "succeeded")
        self.assertIs(record["receipt"]["result"]["verified"], True)  # read back, and the same logits to the bit
        self.assertEqual([step["step"] for step in steps], list(range(1, recipe.steps + 1)))
        for ours, loss, norm, rate in zip(steps, theirs.losses, theirs.norms, theirs.learning_rates):
            self.assertAlmostEqual(ours["loss"], loss, delta=LOSS_TOLERANCE, msg=f"loss of step {ours['step']}")
            self.assertAlmostEqual(ours["grad_norm"], norm, delta=1e-4 * norm, msg=f"norm of step {ours['step']}")
            self.assertAlmostEqual(ours["learning_rate"], rate, delta=1e-9, msg=f"rate of step {ours['step']}")
        self.compare(result, theirs.result, ADAPTER_TOLERANCE if kind else FULL_TOLERANCE)

    def compare(self, ours, theirs, tolerance):
        assert_same_names(self, ours, theirs, "result")
        for name, tensor in theirs.items():
            assert_close(self, [ours[name]], [tensor], tolerance, name)

    def test_bfloat16_base(self):
        """Base weights in bf16, adapter in fp32: losses near those of PEFT in the same setting."""
        base, kind, recipe, _ = RUNS["stories_lora"]
        adapter = adapters.folder_of(base_folder(base), kind)
        theirs = training_reference.train(base_folder(base), adapter, rows_for(base), recipe, dtype=torch.bfloat16)
        with tempfile.TemporaryDirectory() as scratch:
            steps = cadre_train(scratch, "stories_lora", bf16=True)
            result = safetensors.torch.load_file(result_file(scratch, "stories_lora"))
        self.assertEqual({tensor.dtype for tensor in result.values()}, {torch.float32})
        for ours, loss in zip(steps, theirs.losses):
            self.assertAlmostEqual(ours["loss"], loss, delta=BFLOAT16_LOSS * loss, msg=f"loss of step {ours['step']}")

    @each("stories_lora", "stories_dora", "stories_full")
    def test_same_run_twice(self, run):
        with tempfile.TemporaryDirectory() as scratch:
            runs = []
            for name in ("one", "two"):
                steps = cadre_train(pathlib.Path(scratch, name), run)
                runs.append(([step["loss"] for step in steps],
                             result_file(pathlib.Path(scratch, name), run).read_bytes()))
        self.assertEqual(runs[0][0], runs[1][0], "losses")
        self.assertTrue(runs[0][1] == runs[1][1], "other bits in the result")

    @each("stories_lora", "stories_full")
    def test_checkpointing_changes_no_bit(self, run):
        with tempfile.TemporaryDirectory() as scratch:
            cadre_train(pathlib.Path(scratch, "one"), run)
            cadre_train(pathlib.Path(scratch, "two"), run, gradient_checkpointing=True)
            one, two = (result_file(pathlib.Path(scratch, name), run).read_bytes() for name in ("one", "two"))
        self.assertTrue(one == two, "other bits with gradient checkpointing")


if __name__ == "__main__":
    unittest.main()
