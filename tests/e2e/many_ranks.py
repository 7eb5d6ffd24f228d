"""A run that is worth many ranks: several chunks of state, ten micro-batches a step, and what must be equal of it."""

import tiny_base
from program import ledger, losses, read_lines, sha256
from tiny_base import full, lora

# 262,000 values in all, and 360,000 in the matrices of a LoRA of rank 64: four and six chunks.
CONFIG = {**tiny_base.CONFIG, "hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 4, "head_dim": 16}
STEPS = 6
ADAPTER, MODEL = "adapter_model.safetensors", "model.safetensors"


class Scene:
    """The base, the rows, and the keys of runs on them."""

    def __init__(self, folder):
        self.folder = folder
        self.base = tiny_base.write_base(folder / "base", CONFIG)
        self.rows = tiny_base.write_jsonl(folder / "rows.jsonl", tiny_base.rows(260))
        self.held = tiny_base.write_jsonl(folder / "held.jsonl", tiny_base.rows(24, seed=2))

    def keys(self, output, make, **more):
        # Ten micro-batches are not to be dealt evenly to 3, 4, 7 or 8 ranks.
        return make(self.base, output, self.rows, **{
            "micro_batch_size": 1, "global_batch_size": 10, "max_steps": STEPS, "sample_packing": True,
            "test_datasets": [tiny_base.dataset(self.held)], "eval_steps": 3, "weight_decay": 0.1, "warmup_steps": 2,
            **more})

    def lora(self, output, **more):
        return self.keys(output, lora, **{"lora_r": 64, "lora_alpha": 64, "lora_dropout": 0.2,
                                          "lora_target_modules": "all-linear", **more})

    def dora(self, output, **more):
        return self.lora(output, peft_use_dora=True, **more)

    def full(self, output, **more):
        return self.keys(output, full, **more)


def bits(run):
    """All that a run computed, exactly: two runs with equal bits did the same."""
    result = next(name for name in (ADAPTER, MODEL) if (run / name).exists())
    metrics = [[line.get(name) for name in ("learning_rate", "grad_norm", "epoch", "tokens")]
               for line in read_lines(run / "metrics.jsonl")]
    return sha256(run / result), losses(run), metrics, ledger(run)
