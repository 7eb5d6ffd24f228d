"""Each declared difference of an architecture, switched off, must break parity with transformers.

A difference that can be left out unseen is one that the other tests do not test. Documents are compared alone, since
transformers takes the length of a whole batch for RoPE that depends on it.
"""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import documents
import probe
import reference
import tiny_models
from cases import each, expand
from closeness import distance

BROKEN = 1e-3  # ten times what parity allows
NOT_EVERYWHERE = {name: tiny.mutations for name, tiny in tiny_models.TINY_MODELS.items() if tiny.mutations}


@probe.needs_probe
@expand
class MutationTest(unittest.TestCase):
    def assert_broken(self, name, mutation, theirs, rows):
        try:
            ours = probe.logits(tiny_models.folder_of(name), rows, mutate=mutation)
        except probe.ProgramError as error:
            self.fail(f"{name} without {mutation}: {error}")
        found = distance(ours, theirs)
        self.assertGreater(found, BROKEN, f"{name} without {mutation}: parity holds, max abs {found:.1e}")

    def check(self, name, mutations):
        model = reference.load(tiny_models.folder_of(name))
        rows = documents.random_documents(model.config.vocab_size)
        theirs = reference.alone(model, rows)
        for mutation in mutations:
            with self.subTest(mutation=mutation):
                self.assert_broken(name, mutation, theirs, rows)

    @each(*NOT_EVERYWHERE)
    def test_without(self, name):
        self.check(name, NOT_EVERYWHERE[name])

    @each(*tiny_models.ARCHITECTURES)
    def test_without_what_all_have(self, name):
        self.check(name, tiny_models.ALWAYS)

    def test_every_mutation_is_tested(self):
        tested = set(tiny_models.ALWAYS).union(*NOT_EVERYWHERE.values())
        self.assertEqual(sorted(probe.mutations()), sorted(tested))


if __name__ == "__main__":
    unittest.main()
