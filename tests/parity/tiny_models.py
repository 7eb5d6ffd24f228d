"""Tiny Hugging Face folders with random weights: one for each architecture, RoPE kind and spelling of config.json.

Weights as transformers initialises them would hide mistakes (biases are 0, norms 1, logits nearly uniform): here every
tensor is random, and scaled so that logits have a standard deviation near 1. Sizes are small, windows and original
lengths shorter than the documents of documents.py, and rms_norm_eps is no family's default.
"""

import dataclasses
import functools
import json
import math
import pathlib
import tempfile

import torch
import transformers
from transformers import (Gemma2Config, Gemma3TextConfig, LlamaConfig, MistralConfig, Phi3Config, Qwen2Config,
                          Qwen3Config)

SIZES = {"vocab_size": 160, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3,
         "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128, "rms_norm_eps": 1e-3,
         "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
WINDOW = 16
ORIGINAL_LENGTH = 32  # what scaled RoPE starts from

# Matter everywhere.
ALWAYS = ("document_boundaries", "rms_norm_eps", "activation", "attention_scale")


@dataclasses.dataclass(frozen=True)
class Tiny:
    config: type
    options: dict = dataclasses.field(default_factory=dict)
    # The declared differences that this folder has (--mutate of the probe).
    mutations: tuple = ()
    # RoPE depends on the length: transformers takes one length for a whole batch, we each document's own.
    length_dependent: bool = False
    old_spelling: bool = False  # config.json as transformers 4.x wrote it
    shard_size: str = "1GB"
    dtype: torch.dtype = torch.float32

    def make_config(self):
        return self.config(**{**SIZES, **self.options})


def rope(kind, **options):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 1000.0, **options}}


def llama(*mutations, length_dependent=False, old_spelling=False, **options):
    return Tiny(LlamaConfig, options, mutations, length_dependent=length_dependent, old_spelling=old_spelling)


YARN = {"factor": 4.0, "original_max_position_embeddings": ORIGINAL_LENGTH}
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": ORIGINAL_LENGTH}
LONGROPE = {"original_max_position_embeddings": ORIGINAL_LENGTH, "factor": 4.0,
            "short_factor": [1.0, 1.1, 1.3, 1.2, 1.4, 1.5, 1.7, 2.0],
            "long_factor": [1.2, 1.9, 2.5, 3.0, 4.5, 6.0, 7.0, 9.0]}
GEMMA3_ROPE = {"full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e5},
               "sliding_attention": {"rope_type": "default", "rope_theta": 100.0}}
QWEN2_SLIDING = {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1,
                 "tie_word_embeddings": True}
PHI3 = {"rope_theta": 1000.0, "partial_rotary_factor": 0.5, "original_max_position_embeddings": ORIGINAL_LENGTH}
PHI3_LONGROPE = {"original_max_position_embeddings": ORIGINAL_LENGTH, "rope_parameters": {
    "rope_type": "longrope", **PHI3, "short_factor": LONGROPE["short_factor"][:4],
    "long_factor": LONGROPE["long_factor"][:4]}}
OF_PHI3_LONGROPE = ("partial_rotary", "rope_scaling", "longrope_per_document", "attention_factor")
# Of Gemma; small enough caps to bend what they cap.
GEMMA = {"head_dim": 24, "query_pre_attn_scalar": 10, "sliding_window": WINDOW}
GEMMA2 = {**GEMMA, "num_hidden_layers": 4, "attn_logit_softcapping": 1.5, "final_logit_softcapping": 2.0}
OF_GEMMA = ("norm_one_plus", "scale_embedding", "post_norms", "sliding_window")

TINY_MODELS = {
    "llama": llama("tie_word_embeddings"),
    "llama_tied": llama(tie_word_embeddings=True),
    "llama_biases": llama("qkv_bias", "o_bias", "mlp_bias", attention_bias=True, mlp_bias=True, hidden_act="gelu"),
    "llama_head_dim": llama(head_dim=24, num_key_value_heads=1, hidden_act="gelu_pytorch_tanh"),
    "llama_multi_head": llama(num_key_value_heads=4),
    "llama_linear": llama("rope_scaling", **rope("linear", factor=4.0)),
    "llama_dynamic": llama("rope_scaling", "dynamic_per_document", length_dependent=True,
                           max_position_embeddings=ORIGINAL_LENGTH, **rope("dynamic", factor=2.0)),
    "llama_llama3": llama("rope_scaling", **rope("llama3", **LLAMA3)),
    "llama_yarn": llama("rope_scaling", "attention_factor", **rope("yarn", **YARN)),
    "llama_yarn_factor": llama("rope_scaling", "attention_factor", **rope("yarn", attention_factor=1.4, **YARN)),
    "llama_yarn_mscale": llama("rope_scaling", "attention_factor",
                               **rope("yarn", mscale=2.0, mscale_all_dim=0.5, beta_fast=16.0, beta_slow=2.0, **YARN)),
    "llama_yarn_inferred": llama("rope_scaling", **rope("yarn", truncate=False, **{**YARN, "factor": None})),
    "llama_longrope": llama("rope_scaling", "longrope_per_document", "attention_factor", length_dependent=True,
                            **rope("longrope", attention_factor=1.3, **LONGROPE)),
    "llama_old_default": llama(old_spelling=True, **rope("default")),
    "llama_old_linear": llama("rope_scaling", old_spelling=True, **rope("linear", factor=4.0)),
    "llama_old_llama3": llama("rope_scaling", old_spelling=True, **rope("llama3", **LLAMA3)),
    "llama_old_yarn": llama("rope_scaling", old_spelling=True, **rope("yarn", **YARN)),
    "llama_sharded": Tiny(LlamaConfig, shard_size="60KB"),
    "llama_bfloat16": Tiny(LlamaConfig, dtype=torch.bfloat16),
    "llama_float16": Tiny(LlamaConfig, dtype=torch.float16),
    "mistral": Tiny(MistralConfig, {"sliding_window": WINDOW, "head_dim": 16}, ("sliding_window",)),
    "qwen2": Tiny(Qwen2Config, {}, ("qkv_bias",)),
    "qwen2_sliding": Tiny(Qwen2Config, QWEN2_SLIDING, ("qkv_bias", "sliding_window")),
    "qwen2_old": Tiny(Qwen2Config, QWEN2_SLIDING, ("sliding_window",), old_spelling=True),
    "qwen3": Tiny(Qwen3Config, {"head_dim": 24}, ("qk_norm",)),
    "qwen3_biases": Tiny(Qwen3Config, {"head_dim": 16, "attention_bias": True, "tie_word_embeddings": True},
                         ("qk_norm", "qkv_bias", "o_bias")),
    "gemma2": Tiny(Gemma2Config, GEMMA2, (*OF_GEMMA, "attention_softcap", "final_softcap")),
    "gemma2_old": Tiny(Gemma2Config, GEMMA2, ("sliding_window",), old_spelling=True),
    "gemma3": Tiny(Gemma3TextConfig, {**GEMMA, "num_hidden_layers": 7, "rope_parameters": GEMMA3_ROPE},
                   (*OF_GEMMA, "qk_norm", "rope_local", "rope_scaling")),
    # transformers takes the cap on logits here, and leaves the one on attention unused.
    "gemma3_softcaps": Tiny(Gemma3TextConfig, {**GEMMA, "num_hidden_layers": 7, "rope_parameters": GEMMA3_ROPE,
                                               "attn_logit_softcapping": 1.5, "final_logit_softcapping": 2.0},
                            ("final_softcap",)),
    "gemma3_old": Tiny(Gemma3TextConfig, {**GEMMA, "num_hidden_layers": 8, "sliding_window_pattern": 4,
                                          "rope_parameters": GEMMA3_ROPE},
                       (*OF_GEMMA, "qk_norm", "rope_local", "rope_scaling"), old_spelling=True),
    "phi3": Tiny(Phi3Config, {"rope_parameters": {"rope_type": "default", **PHI3}, "sliding_window": WINDOW},
                 ("partial_rotary", "sliding_window")),
    "phi3_longrope": Tiny(Phi3Config, PHI3_LONGROPE, OF_PHI3_LONGROPE, length_dependent=True),
    "phi3_old": Tiny(Phi3Config, PHI3_LONGROPE, OF_PHI3_LONGROPE, length_dependent=True, old_spelling=True),
}

# One folder an architecture, for what need not be seen with each RoPE kind.
ARCHITECTURES = ("llama_biases", "mistral", "qwen2_sliding", "qwen3", "gemma2", "gemma3", "phi3")


def randomize(model, seed):
    """Every tensor random: matrices keep a variance of about 1, the residual stream grows slowly."""
    generator = torch.Generator().manual_seed(seed)
    hidden = model.config.hidden_size
    scales = {"q_proj": 1.5, "k_proj": 1.5, "qkv_proj": 1.3, "o_proj": 0.5, "down_proj": 0.5}
    one_plus = "Gemma" in type(model).__name__
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            noise = torch.randn(tensor.shape, generator=generator)
            module = name.split(".")[-2]
            if name.endswith(".bias"):
                tensor.copy_(0.4 * noise)
            elif tensor.dim() == 1:
                tensor.copy_(0.3 * noise + (0.0 if one_plus else 1.0))
            elif module in ("embed_tokens", "lm_head"):
                tensor.copy_(noise / math.sqrt(hidden))
            else:
                tensor.copy_(noise * scales.get(module, 1.0) / math.sqrt(tensor.shape[1]))


def spell_as_before(path):
    """Rewrites config.json in the words of transformers 4.x."""
    config = json.loads(path.read_text())
    config["torch_dtype"] = config.pop("dtype")
    config["transformers_version"] = "4.46.0"
    parameters = config.pop("rope_parameters")
    gemma3 = "full_attention" in parameters
    if gemma3:
        config["rope_local_base_freq"] = parameters["sliding_attention"]["rope_theta"]
        parameters = parameters["full_attention"]
        pattern = 1 + config.pop("layer_types").index("full_attention")
        config.pop("_sliding_window_pattern", None)
        config["sliding_window_pattern"] = pattern
    else:  # followed from use_sliding_window and max_window_layers, or from the layer's number
        config.pop("layer_types", None)
    config["rope_theta"] = parameters.pop("rope_theta")
    kind = parameters.pop("rope_type")
    if config["model_type"] == "phi3":
        config["partial_rotary_factor"] = parameters.pop("partial_rotary_factor")
        parameters.pop("original_max_position_embeddings")  # is beside it
    # Llama's linear and Phi-3 said "type"; Gemma 3 came later.
    spelling = "type" if kind in ("linear", "longrope") and not gemma3 else "rope_type"
    config["rope_scaling"] = None if kind == "default" else {spelling: kind, **parameters}
    path.write_text(json.dumps(config, indent=2))


def write(name, folder, dtype=None, seed=0):
    """Writes the folder of TINY_MODELS[name], its weights rounded to `dtype` where that is given."""
    tiny = TINY_MODELS[name]
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(tiny.make_config())
    randomize(model, seed + sum(name.encode()))
    model.to(dtype or tiny.dtype).save_pretrained(folder, max_shard_size=tiny.shard_size)
    if tiny.old_spelling:
        spell_as_before(pathlib.Path(folder) / "config.json")
    return pathlib.Path(folder)


@functools.cache
def _scratch():
    return tempfile.TemporaryDirectory(prefix="cadre-tiny-models-")


@functools.cache
def folder_of(name, dtype=None):
    """The folder, made once in a process."""
    suffix = "" if dtype is None else "-" + str(dtype).removeprefix("torch.")
    return write(name, pathlib.Path(_scratch().name) / (name + suffix), dtype)
