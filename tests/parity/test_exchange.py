"""Adapters and models from one side used on the other: PEFT's in ours, ours in PEFT, merged ones in transformers."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import torch

import adapters
import documents
import probe
import reference
import tiny_models
from cases import each, expand
from closeness import assert_close
from test_training import RUNS, base_folder, cadre_train

TOLERANCE = 1e-4

THEIRS = {f"{base}_{kind}": (base, kind) for base, kind in (
    ("llama", "lora"), ("llama", "lora_attention"), ("llama_biases", "rslora"), ("qwen3", "dora"),
    ("llama", "modules_to_save"), ("llama_tied", "tied_modules_to_save"), ("phi3", "dora"), ("gemma3", "lora"))}
OURS = ("stories_lora", "stories_rslora", "stories_dora", "stories_modules_to_save", "llama_biases_dora_loraplus",
        "gemma2_lora", "gemma3_dora", "phi3_lora", "qwen3_modules_to_save")


def rows_for(model):
    return documents.random_documents(model.config.vocab_size)


@probe.needs_probe
@expand
class PeftAdapterInOursTest(unittest.TestCase):
    @each(*THEIRS)
    def test_logits(self, case):
        base, kind = THEIRS[case]
        folder = tiny_models.folder_of(base)
        adapter = adapters.folder_of(folder, kind)
        model = reference.load(folder, adapter=adapter)
        rows = rows_for(model)
        assert_close(self, probe.logits(folder, rows, adapter=adapter), reference.alone(model, rows), TOLERANCE,
                     "PEFT's adapter in ours")


@probe.needs_probe
@probe.needs_cadre
@probe.needs_banking
@expand
class OurAdapterInPeftTest(unittest.TestCase):
    @each(*OURS)
    def test_adapter_and_merged_model(self, run):
        base = base_folder(RUNS[run][0])
        with tempfile.TemporaryDirectory() as scratch:
            cadre_train(scratch, run)
            adapter, merged = pathlib.Path(scratch, "run"), pathlib.Path(scratch, "merged")
            model = reference.load(base)
            with reference.listening() as said:
                model = reference.with_adapter(model, adapter)
            self.assertEqual(said, [], "PEFT warns")
            rows = rows_for(model)
            theirs = reference.alone(model, rows)
            self.assertGreater((torch.cat(theirs) - torch.cat(reference.alone(reference.load(base), rows))).std().item(),
                               0.01, "the adapter has no effect")
            assert_close(self, probe.logits(base, rows, adapter=adapter), theirs, TOLERANCE, "our adapter in PEFT")
            probe.merge(adapter, merged)
            assert_close(self, reference.alone(reference.load(merged), rows), theirs, TOLERANCE,
                         "the merged folder in transformers")
            assert_close(self, probe.logits(merged, rows), theirs, TOLERANCE, "the merged folder in ours")

    @each("stories_full", "llama_biases_full", "gemma2_full")
    def test_full_model(self, run):
        with tempfile.TemporaryDirectory() as scratch:
            cadre_train(scratch, run)
            folder = pathlib.Path(scratch, "run")
            with reference.listening() as said:
                model = reference.load(folder)
            self.assertEqual(said, [], "transformers warns")
            rows = rows_for(model)
            assert_close(self, probe.logits(folder, rows), reference.alone(model, rows), TOLERANCE, "full fine-tuning")


if __name__ == "__main__":
    unittest.main()
