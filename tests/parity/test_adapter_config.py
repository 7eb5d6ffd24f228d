"""Adapter folders against PEFT: which modules a configuration adapts, and whether PEFT takes what we write."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest
import warnings

import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROBE = pathlib.Path(os.environ.get("CADRE_BUILD", ROOT / "build")) / "probe_adapter"

SIZES = dict(
    vocab_size=64,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=2,
)

CONFIGS = {
    "llama": lambda **more: transformers.LlamaConfig(**SIZES, **more),
    "qwen3": lambda **more: transformers.Qwen3Config(head_dim=8, **SIZES, **more),
    "phi3": lambda **more: transformers.Phi3Config(**SIZES, **more),
    "gemma3": lambda **more: transformers.Gemma3TextConfig(head_dim=8, query_pre_attn_scalar=8, **SIZES, **more),
}

# Options of LoraConfig, and the models that they are for (all where none is named).
TARGETS = [
    (dict(target_modules="all-linear"), CONFIGS),
    (dict(target_modules="ALL-Linear", exclude_modules=["down_proj"]), CONFIGS),
    (dict(target_modules="all-linear", exclude_modules=r".*\.1\..*"), CONFIGS),
    (dict(target_modules=["o_proj", "down_proj"]), CONFIGS),
    (dict(target_modules=["model.layers.1.self_attn.o_proj", "1.mlp.down_proj"]), CONFIGS),
    (dict(target_modules=["q_proj", "v_proj"]), ["llama", "qwen3", "gemma3"]),
    (dict(target_modules=["qkv_proj", "gate_up_proj"]), ["phi3"]),
    (dict(), ["llama", "qwen3", "gemma3"]),
    (dict(target_modules=r".*\.(0|2)\.mlp\.(up|down|gate_up)_proj"), CONFIGS),
    (dict(target_modules=r"model\.layers\.\d+\.self_attn\.(?P<kind>[^.]*_proj)"), CONFIGS),
    (dict(target_modules=r"(?!.*layers\.1\.).*o_proj"), CONFIGS),
    (dict(target_modules=["o_proj"], layers_to_transform=[0, 2]), CONFIGS),
    (dict(target_modules=["o_proj"], layers_to_transform=1, layers_pattern="layers"), CONFIGS),
    (dict(target_modules=["o_proj"], layers_to_transform=[1], layers_pattern=["blocks", "layers"]), CONFIGS),
    (dict(target_modules="all-linear", modules_to_save=["lm_head"]), ["llama", "phi3"]),
    (dict(target_modules=r".*_proj|lm_head", modules_to_save=["lm_head"]), ["llama", "phi3"]),
    (dict(target_modules=["o_proj", "down_proj"], rank_pattern={"down_proj": 3}, alpha_pattern={"down_proj": 5}), CONFIGS),
    (
        dict(
            target_modules="all-linear",
            rank_pattern={r".*\.o_proj": 6, r"layers\.0\..*": 2, "nothing": 7},
            alpha_pattern={r"model.layers.1.self_attn.o_proj": 3.5},
        ),
        CONFIGS,
    ),
    (dict(target_modules=["o_proj"], use_rslora=True, lora_alpha=24), CONFIGS),
    (dict(target_modules=["o_proj", "down_proj"], use_dora=True), ["llama", "gemma3"]),
]


def probe(*arguments):
    return subprocess.run([PROBE, *arguments], capture_output=True, text=True, timeout=60)


def new_model(name, **more):
    torch.manual_seed(3)
    return transformers.AutoModelForCausalLM.from_config(CONFIGS[name](**more))


class Adapters(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def save_base(self, model):
        base = self.folder / "base"
        model.config.architectures = [type(model).__name__]
        model.config.save_pretrained(base)
        return base

    def raw_config(self, options):
        path = self.folder / "asked.json"
        path.write_text(json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 8} | options))
        return path

    def test_targets_are_those_of_peft(self):
        # Here alone, since PEFT loses this order when it saves.
        unsorted = dict(target_modules="all-linear", rank_pattern={r"layers\.0\..*": 2, r".*\.o_proj": 6})
        for name in CONFIGS:
            base = self.save_base(new_model(name))
            for options, models in [*TARGETS, (unsorted, CONFIGS)]:
                if name not in models:
                    continue
                with self.subTest(model=name, **options):
                    asked = LoraConfig(**({"r": 4, "lora_alpha": 8} | options), task_type="CAUSAL_LM")
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        adapted = get_peft_model(new_model(name), asked)
                    expected = {}
                    for module_name, module in adapted.base_model.model.named_modules():
                        if hasattr(module, "lora_A") and "default" in module.lora_A:
                            weight = module.get_base_layer().weight
                            expected[module_name] = (
                                weight.shape[1],
                                weight.shape[0],
                                module.r["default"],
                                module.scaling["default"],
                            )
                    result = probe("targets", base, self.raw_config(options))
                    self.assertEqual(result.returncode, 0, result.stderr)
                    lines = [json.loads(line) for line in result.stdout.splitlines()]
                    found = {
                        line["module"]: (line["in_features"], line["out_features"], line["r"], line["scaling"])
                        for line in lines
                    }
                    self.assertEqual(found, expected)
                    ours = self.folder / "saved.json"
                    ours.write_text(probe("saved", base, self.raw_config(options)).stdout)
                    self.assertEqual(probe("targets", base, ours).stdout, result.stdout)

    def test_peft_refuses_what_we_refuse(self):
        base = self.save_base(new_model("phi3"))
        for options in (
            dict(target_modules=["q_proj"]),
            dict(target_modules=["self_attn"]),
            dict(target_modules=r".*"),
            dict(target_modules=r".*nothing"),
            dict(target_modules=r"(unclosed"),
            dict(target_modules=r"\Kq_proj"),
            dict(target_modules=["o_proj"], layers_pattern="layers"),
            dict(target_modules=r".*o_proj", layers_to_transform=[0]),
        ):
            with self.subTest(**options):
                with self.assertRaises(Exception):
                    get_peft_model(new_model("phi3"), LoraConfig(r=4, **options, task_type="CAUSAL_LM"))
                self.assertEqual(probe("targets", base, self.raw_config(options)).returncode, 2)

    def test_modules_that_peft_drops_silently_are_refused(self):
        base = self.save_base(new_model("phi3"))
        result = probe("targets", base, self.raw_config(dict(target_modules=["down_proj", "q_proj"])))
        self.assertEqual(result.returncode, 2)
        self.assertIn('"q_proj" names no module of Phi3ForCausalLM', result.stderr)

    def test_opens_what_peft_saves(self):
        cases = [(name, options, {}) for name in CONFIGS for options, models in TARGETS if name in models]
        for saved in (["embed_tokens"], ["lm_head"], ["embed_tokens", "lm_head"]):
            options = dict(target_modules="all-linear", modules_to_save=saved)
            cases.append(("llama", options, {}))
            cases.append(("llama", options | {"ensure_weight_tying": True}, {"tie_word_embeddings": True}))
        for name, options, more in cases:
            with self.subTest(model=name, **options, **more):
                model = new_model(name, **more)
                base = self.save_base(model)
                # PEFT changes the lists that it is given.
                own = {key: list(value) if isinstance(value, list) else value for key, value in options.items()}
                adapter = self.folder / "adapter"
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    adapted = get_peft_model(model, LoraConfig(r=4, **own, task_type="CAUSAL_LM"))
                    adapted.save_pretrained(adapter)
                result = probe("open", base, adapter)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertEqual(result.stdout.splitlines(), sorted(load_file(adapter / "adapter_model.safetensors")))

    def test_peft_loads_what_we_write_without_a_warning(self):
        cases = [(name, options, {}) for name in CONFIGS for options, models in TARGETS if name in models]
        for saved in (["embed_tokens"], ["lm_head"]):
            for tied in (False, True):
                options = dict(target_modules="all-linear", modules_to_save=saved)
                cases.append(("llama", options, {"tie_word_embeddings": tied}))
        for name, options, more in cases:
            with self.subTest(model=name, **options, **more):
                base_model = new_model(name, **more)
                base = self.save_base(base_model)
                result = probe("saved", base, self.raw_config(options))
                self.assertEqual(result.returncode, 0, result.stderr)
                written = json.loads(result.stdout)
                self.assertEqual(result.stdout, json.dumps(written, indent=2, sort_keys=True))
                if "ensure_weight_tying" in written:
                    self.assertTrue(more["tie_word_embeddings"])
                self.write_random_adapter(name, base, written, more)
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    loaded = PeftModel.from_pretrained(base_model, self.folder / "ours")
                self.check_values(loaded)

    def write_random_adapter(self, name, base, written, more):
        """A folder with our configuration, and random tensors of the names that we expect of it."""
        ours = self.folder / "ours"
        ours.mkdir(exist_ok=True)
        (ours / "adapter_config.json").write_text(json.dumps(written))
        shapes = {}
        for line in map(json.loads, probe("targets", base, ours / "adapter_config.json").stdout.splitlines()):
            prefix = "base_model.model." + line["module"]
            shapes[prefix + ".lora_A.weight"] = (line["r"], line["in_features"])
            shapes[prefix + ".lora_B.weight"] = (line["out_features"], line["r"])
            if written["use_dora"]:
                shapes[prefix + ".lora_magnitude_vector"] = (line["out_features"],)
        tensors = {key: torch.randn(shape) for key, shape in shapes.items()}
        whole = {"embed_tokens": "base_model.model.model.embed_tokens.weight", "lm_head": "base_model.model.lm_head.weight"}
        tied = more.get("tie_word_embeddings", False)
        one = torch.randn(SIZES["vocab_size"], SIZES["hidden_size"])
        for module in whole if tied and written["modules_to_save"] else written["modules_to_save"] or []:
            tensors[whole[module]] = one.clone()
        save_file(tensors, ours / "adapter_model.safetensors", metadata={"format": "pt"})
        self.tensors = tensors
        result = probe("open", base, ours)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout.splitlines(), sorted(tensors))

    def check_values(self, loaded):
        state = loaded.state_dict()
        for key, tensor in self.tensors.items():
            candidates = [
                key,
                key.replace(".lora_A.", ".lora_A.default.").replace(".lora_B.", ".lora_B.default."),
                key.replace(".lora_magnitude_vector", ".lora_magnitude_vector.default.weight"),
                key.replace("embed_tokens.weight", "embed_tokens.modules_to_save.default.weight").replace(
                    "lm_head.weight", "lm_head.modules_to_save.default.weight"
                ),
            ]
            present = [name for name in candidates if name in state]
            self.assertTrue(present, key)
            self.assertTrue(any(torch.equal(state[name].float(), tensor) for name in present), key)


if __name__ == "__main__":
    unittest.main()
