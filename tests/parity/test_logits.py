"""Logits against transformers: every architecture and RoPE kind, packed and padded, fp32 and bf16."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import torch

import documents
import probe
import reference
import tiny_models
from cases import each, expand
from closeness import assert_close, root_mean_square

TOLERANCE = 1e-4
PACKED_AGAINST_ALONE = 1e-5
BFLOAT16_MARGIN = 1.5
GREEDY_STORY = ("Zoo was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, red "
                "ball. She wanted to play with it, but she didn't want to play with")


def rows_for(model):
    return documents.random_documents(model.config.vocab_size)


class TinyModelsTest(unittest.TestCase):
    """The folders can tell right from wrong at all."""

    def test_every_tensor_is_random(self):
        for name in tiny_models.TINY_MODELS:
            for tensor_name, tensor in reference.load(tiny_models.folder_of(name)).named_parameters():
                self.assertGreater(tensor.std().item(), 0.02, f"{name}: {tensor_name}")

    def test_documents_are_long_enough(self):
        self.assertGreater(sorted(documents.LENGTHS)[-2], max(tiny_models.WINDOW, tiny_models.ORIGINAL_LENGTH))
        self.assertLess(documents.LENGTHS[0], min(tiny_models.WINDOW, tiny_models.ORIGINAL_LENGTH))

    def test_gemma3_has_seven_layers(self):
        for name, tiny in tiny_models.TINY_MODELS.items():
            if name.startswith("gemma3"):
                self.assertGreaterEqual(tiny.make_config().num_hidden_layers, 7, name)


@probe.needs_probe
@expand
class LogitsTest(unittest.TestCase):
    @each(*tiny_models.TINY_MODELS)
    def test_float32(self, name):
        folder, tiny = tiny_models.folder_of(name), tiny_models.TINY_MODELS[name]
        model = reference.load(folder)
        rows = rows_for(model)
        ours, theirs = probe.logits(folder, rows, dtype="float32"), reference.alone(model, rows)
        self.assertTrue(0.3 < torch.cat(theirs).std().item() < 3, "logits are not near a standard deviation of 1")
        assert_close(self, ours, theirs, TOLERANCE, "each document alone")
        if not tiny.length_dependent:  # else transformers takes one length for all
            assert_close(self, ours, reference.packed(model, rows), TOLERANCE, "packed")
            assert_close(self, ours, reference.padded(model, rows), TOLERANCE, "padded")

    @each(*tiny_models.TINY_MODELS)
    def test_bfloat16(self, name):
        """Weights stored in bf16, so that only the computing differs."""
        folder = tiny_models.folder_of(name, torch.bfloat16)
        exact = reference.load(folder)
        rows = rows_for(exact)
        truth = reference.alone(exact, rows)
        theirs = root_mean_square(reference.alone(reference.load(folder, torch.bfloat16), rows), truth)
        ours = root_mean_square(probe.logits(folder, rows, dtype="bfloat16"), truth)
        self.assertGreater(theirs, 1e-4, "bf16 ought to differ from fp32")
        self.assertLessEqual(ours, BFLOAT16_MARGIN * theirs, f"error {ours:.2e}, transformers' {theirs:.2e}")

    @each(*tiny_models.TINY_MODELS)
    def test_packed_document_is_as_alone(self, name):
        folder = tiny_models.folder_of(name)
        rows = documents.random_documents(tiny_models.SIZES["vocab_size"])
        ours = probe.logits(folder, rows)
        assert_close(self, ours[1:2], probe.logits(folder, rows[1:2]), PACKED_AGAINST_ALONE, "document 2")


@probe.needs_stories
class StoriesTest(unittest.TestCase):
    @probe.needs_probe
    def test_logits(self):
        rows = documents.random_documents(512, lengths=(5, 200, 64))
        for dtype in (torch.float32, torch.bfloat16):
            model = reference.load(probe.STORIES, dtype)
            theirs = reference.alone(model, rows)
            ours = probe.logits(probe.STORIES, rows, dtype=str(dtype).removeprefix("torch."))
            if dtype == torch.float32:
                truth = theirs
                assert_close(self, ours, theirs, TOLERANCE, "fp32")
            else:
                error, allowed = root_mean_square(ours, truth), BFLOAT16_MARGIN * root_mean_square(theirs, truth)
                self.assertLessEqual(error, allowed, "bf16")

    @probe.needs_cadre
    def test_greedy_text(self):
        text = probe.generate(probe.STORIES, "Zoo", temperature=0, max_new_tokens=64)
        self.assertEqual(text.strip()[:len(GREEDY_STORY)], GREEDY_STORY)


if __name__ == "__main__":
    unittest.main()
