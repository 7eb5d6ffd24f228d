"""Gradients of one step against transformers and peft: adapters of every kind, and every weight."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import torch

import adapters
import documents
import probe
import reference
import tiny_models
from cases import each, expand
from closeness import assert_relatively_close

TOLERANCE = 1e-4
ACCUMULATION = 1e-5
MICRO_BATCHES = [0, 1, 3, 5]

# Every architecture with plain LoRA; the other kinds where they meet something of their own: DoRA on biases, softcaps
# and fused projections, saved modules on tied and untied heads.
ADAPTERS = {f"{base}_lora": (base, "lora") for base in tiny_models.ARCHITECTURES} | {
    f"{base}_{kind}": (base, kind) for base, kind in (
        ("llama_dynamic", "lora"), ("phi3_longrope", "lora"), ("llama_yarn", "lora"), ("llama", "lora_attention"),
        ("llama", "rslora"), ("qwen3", "rslora"), ("llama_biases", "dora"), ("gemma2", "dora"), ("phi3", "dora"),
        ("qwen3", "dora"), ("llama", "modules_to_save"), ("qwen3", "one_module_to_save"),
        ("llama_tied", "tied_modules_to_save"), ("gemma2", "tied_modules_to_save"))}
FULL = (*tiny_models.ARCHITECTURES, "llama", "llama_tied", "qwen3_biases", "llama_dynamic", "phi3_longrope")


def batch_for(base):
    rows = documents.random_documents(tiny_models.TINY_MODELS[base].make_config().vocab_size)
    return rows, documents.partly_trained(rows)


def folders(case):
    """(base, its folder, the adapter's or None) of a name in ADAPTERS or FULL."""
    base, kind = ADAPTERS.get(case, (case, None))
    folder = tiny_models.folder_of(base)
    return base, folder, adapters.folder_of(folder, kind) if kind else None


@probe.needs_probe
@expand
class GradientTest(unittest.TestCase):
    @each(*ADAPTERS)
    def test_adapter(self, case):
        base, folder, adapter = folders(case)
        self.compare(base, folder, adapter, reference.load(folder, adapter=adapter, trainable=True))

    @each(*FULL)
    def test_full(self, base):
        folder = tiny_models.folder_of(base)
        self.compare(base, folder, None, reference.load(folder))

    @each("llama", "gemma2", "llama_modules_to_save", "llama_tied_tied_modules_to_save")
    def test_padding_token_in_text(self, case):
        """transformers takes no gradient of the padding token's embedding, also where it is a token like others."""
        base, folder, adapter = folders(case)
        rows = documents.random_documents(8, first=0)
        batch = rows, documents.partly_trained(rows)
        self.compare(base, folder, adapter, reference.load(folder, adapter=adapter, trainable=True), batch)

    def compare(self, base, folder, adapter, model, batch=None):
        rows, labels = batch or batch_for(base)
        loss, theirs = reference.gradients(model, rows, labels)
        our_loss, ours = probe.gradients(folder, rows, labels, MICRO_BATCHES, adapter=adapter)
        self.assertAlmostEqual(our_loss, loss, delta=1e-5)
        for name, gradient in theirs.items():
            self.assertIsNotNone(gradient, f"transformers has no gradient of {name}")
        assert_relatively_close(self, ours, theirs, TOLERANCE, "gradients")


@probe.needs_probe
@expand
class SameGradientTest(unittest.TestCase):
    CASES = ("llama_biases_lora", "llama_biases_dora", "gemma2_lora", "phi3_lora", "qwen2_sliding", "gemma3")

    @each(*CASES)
    def test_accumulation(self, case):
        base, folder, adapter = folders(case)
        rows, labels = batch_for(base)
        one_loss, one = probe.gradients(folder, rows, labels, [0, len(rows)], adapter=adapter)
        many_loss, many = probe.gradients(folder, rows, labels, list(range(len(rows) + 1)), adapter=adapter)
        self.assertAlmostEqual(one_loss, many_loss, delta=ACCUMULATION)
        assert_relatively_close(self, many, one, ACCUMULATION, "micro-batches of one")

    @each(*CASES)
    def test_checkpointing(self, case):
        base, folder, adapter = folders(case)
        rows, labels = batch_for(base)
        kept = probe.gradients(folder, rows, labels, MICRO_BATCHES, adapter=adapter)
        computed_again = probe.gradients(folder, rows, labels, MICRO_BATCHES, adapter=adapter, checkpointing=True)
        self.assertEqual(kept[0], computed_again[0])
        self.assertEqual(sorted(kept[1]), sorted(computed_again[1]))
        for name, gradient in kept[1].items():
            self.assertTrue(torch.equal(gradient, computed_again[1][name]), f"{name}: other bits with checkpointing")


class BatchTest(unittest.TestCase):
    def test_micro_batches_train_unequal_numbers(self):
        rows, labels = batch_for("llama")
        trained = [sum(int((label[1:] != probe.IGNORED).sum()) for label in labels[a:b])
                   for a, b in zip(MICRO_BATCHES, MICRO_BATCHES[1:])]
        self.assertEqual(len(set(trained)), len(trained), trained)
        self.assertTrue(all(trained), trained)

    def test_adapters_have_an_effect(self):
        for case in ADAPTERS:
            base, folder, adapter = folders(case)
            rows, _ = batch_for(base)
            plain = reference.alone(reference.load(folder), rows)
            adapted = reference.alone(reference.load(folder, adapter=adapter), rows)
            self.assertGreater((torch.cat(plain) - torch.cat(adapted)).abs().mean().item(), 0.02, case)


if __name__ == "__main__":
    unittest.main()
