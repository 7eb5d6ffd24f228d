"""PEFT adapters with random tensors: B ≠ 0, magnitudes and saved modules moved, so that every part has an effect."""

import functools
import pathlib
import tempfile

import peft
import torch

import reference

ALL = {"r": 4, "lora_alpha": 6, "target_modules": "all-linear"}
KINDS = {
    "lora": ALL,
    "lora_attention": {"r": 3, "lora_alpha": 6, "target_modules": ["q_proj", "v_proj"]},
    "rslora": {**ALL, "use_rslora": True},
    "dora": {**ALL, "use_dora": True},
    "modules_to_save": {**ALL, "modules_to_save": ["embed_tokens", "lm_head"]},
    "one_module_to_save": {**ALL, "modules_to_save": ["lm_head"]},
    "tied_modules_to_save": {**ALL, "modules_to_save": ["embed_tokens"], "ensure_weight_tying": True},
}


def randomize(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if not tensor.requires_grad:
                continue
            noise = torch.randn(tensor.shape, generator=generator)
            if "lora_B" in name:
                tensor.copy_(0.1 * noise)
            elif "lora_magnitude_vector" in name:
                tensor.mul_(1 + 0.1 * noise)
            elif "modules_to_save" in name:
                tensor.add_(0.02 * noise)


def write(base, kind, folder, seed=3):
    torch.manual_seed(seed)
    model = peft.get_peft_model(reference.load(base), peft.LoraConfig(task_type="CAUSAL_LM", **KINDS[kind]))
    model.peft_config["default"].base_model_name_or_path = str(base)
    randomize(model, seed)
    model.save_pretrained(folder)
    return pathlib.Path(folder)


@functools.cache
def _scratch():
    return tempfile.TemporaryDirectory(prefix="cadre-adapters-")


@functools.cache
def folder_of(base, kind):
    """The adapter for this base, made once in a process."""
    return write(base, kind, pathlib.Path(_scratch().name) / f"{pathlib.Path(base).name}-{kind}")
