"""Any number of ranks computes the bits that one rank computes: with real weights and rows."""

import unittest

from program import DATA, needs_data
from ranks_case import RanksCase


class Banking77:
    """The keys of runs that learn to tell the intent of a bank's customer."""

    def __init__(self, folder):
        pass

    def keys(self, output, **more):
        return {
            "base_model": str(DATA / "stories260k_hf"), "output_dir": str(output), "sequence_len": 256,
            "datasets": [{"path": str(DATA / "banking77" / "train.csv"), "type": "alpaca", "limit": 600,
                          "field_instruction": "text", "field_output": "category",
                          "prompt_no_input_format": "Question: {instruction}\nIntent: "}],
            "val_set_size": 40, "micro_batch_size": 1, "global_batch_size": 10, "sample_packing": True,
            "max_steps": 5, "eval_steps": 3, "learning_rate": 0.003, "threads": 1, **more}

    def lora(self, output, **more):
        return self.keys(output, **{"adapter": "lora", "lora_r": 64, "lora_alpha": 64, "lora_dropout": 0.1,
                                    "lora_target_modules": "all-linear", **more})

    def dora(self, output, **more):
        return self.lora(output, peft_use_dora=True, **more)

    def full(self, output, **more):
        return self.keys(output, adapter="none", **more)


@needs_data("banking77", "stories260k_hf")
class Banking77OnRanksTest(RanksCase):
    make_scene = Banking77

    def check(self, keys):
        self.check_numbers(keys)
        self.check_two_islands(keys)
        self.check_resumed(keys, [3, 8])

    def test_lora(self):
        self.check(self.scene.lora)

    def test_dora(self):
        self.check(self.scene.dora)

    def test_full_fine_tuning(self):
        self.check(self.scene.full)


if __name__ == "__main__":
    unittest.main()
