"""Model, tokenizer and adapter folders that are damaged, hostile or not of a kind that the program knows: exit code 2,
one line that says where and what, before memory is spent."""

import json
import pathlib
import shutil
import tempfile
import unittest

import tiny_base
from bad_input import Table, install

table = Table()
case, add = table.case, table.add


def config(**changes):
    def spoil(scene):
        scene.edit("config.json", lambda value: {key: one for key, one in {**value, **changes}.items()
                                                 if one is not None})
    return spoil


def file(name, content):
    def spoil(scene):
        (scene.base / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return spoil


def tensors(change):
    return lambda scene: scene.set_tensors(change)


def header(change):
    return lambda scene: scene.set_header(change)


def edit(name, change):
    return lambda scene: scene.edit(name, change)


def without(name):
    def spoil(scene):
        (scene.base / name).unlink()
    return spoil


Q = "model.layers.0.self_attn.q_proj.weight"

# config.json
add("base_missing", lambda scene: scene.keys.update(base_model="nowhere"), "")
add("base_a_file", lambda scene: scene.keys.update(base_model="rows.jsonl"), "")
add("base_empty", lambda scene: (shutil.rmtree(scene.base), scene.base.mkdir()), "")
add("config_missing", without("config.json"), "")
add("config_not_json", file("config.json", '{"architectures": [LlamaForCausalLM]}'), "")
add("config_cut_off", file("config.json", '{"architectures": ["Llama'), "")
add("config_a_list", file("config.json", "[]"), "")
add("config_deep", file("config.json", '{"a": ' * 50000), "")
add("config_unknown_architecture", config(architectures=["MambaForCausalLM"], model_type="mamba"), "")
add("config_no_architecture", config(architectures=None, model_type=None), "")
add("config_architecture_a_number", config(architectures=7), "")
add("config_rope_kind_unknown", config(rope_scaling={"rope_type": "spiral", "factor": 2.0}), "")
add("config_rope_without_factor", config(rope_scaling={"rope_type": "linear"}), "")
add("config_rope_factor_zero", config(rope_scaling={"rope_type": "linear", "factor": 0}), "")
add("config_rope_theta_negative", config(rope_theta=-1.0), "")
add("config_no_hidden_size", config(hidden_size=None), "")
add("config_hidden_size_zero", config(hidden_size=0), "")
add("config_hidden_size_negative", config(hidden_size=-32), "")
add("config_hidden_size_huge", config(hidden_size=1 << 62), "")
add("config_hidden_size_a_text", config(hidden_size="32"), "")
add("config_layers_huge", config(num_hidden_layers=1 << 40), "")
add("config_heads_do_not_divide", config(num_key_value_heads=3), "")
add("config_activation_unknown", config(hidden_act="swishy"), "")
add("config_norm_epsilon_negative", config(rms_norm_eps=-1), "")
add("config_quantized", config(quantization_config={"quant_method": "gptq", "bits": 4}), "")

# Weights
add("weights_missing", without("model.safetensors"), "")
add("weights_a_folder", lambda scene: ((scene.base / "model.safetensors").unlink(),
                                       (scene.base / "model.safetensors").mkdir()), "")
add("weights_dangling_link", lambda scene: ((scene.base / "model.safetensors").unlink(),
                                            (scene.base / "model.safetensors").symlink_to("nowhere")), "")
add("weights_empty", file("model.safetensors", b""), "")
add("weights_seven_bytes", file("model.safetensors", b"\x01" * 7), "")
add("weights_cut_off", lambda scene: (scene.base / "model.safetensors").write_bytes(
    (scene.base / "model.safetensors").read_bytes()[:-1000]), "")
add("weights_longer_than_said", lambda scene: (scene.base / "model.safetensors").write_bytes(
    (scene.base / "model.safetensors").read_bytes() + b"x" * 8), "")
add("weights_of_pickle", lambda scene: ((scene.base / "model.safetensors").unlink(),
                                        (scene.base / "pytorch_model.bin").write_bytes(b"PK\x03\x04")), "")
add("header_huge", file("model.safetensors", (1 << 62).to_bytes(8, "little") + b"{}"), "")
add("header_larger_than_the_file", file("model.safetensors", (5000).to_bytes(8, "little") + b"{}      "), "")
add("header_not_json", header(lambda value: "{not json"), "")
add("header_deep", header(lambda value: '{"a":' * 20000), "")
add("header_a_list", header(lambda value: "[1, 2]"), "")
add("header_not_utf8", file("model.safetensors", (8).to_bytes(8, "little") + b'{"\xff": 1}'[:8]), "")
add("tensor_without_offsets", header(lambda value: value[Q].pop("data_offsets") and None), "")
add("tensor_of_unknown_dtype", header(lambda value: value[Q].update(dtype="F17")), "")
add("tensor_beyond_the_file", header(lambda value: value[Q].update(data_offsets=[0, 1 << 40])), "")
add("tensor_backwards", header(lambda value: value[Q].update(data_offsets=[4096, 0])), "")
add("tensor_negative_offset", header(lambda value: value[Q].update(data_offsets=[-4096, 0])), "")
add("tensor_overlaps", header(lambda value: value[Q].update(
    data_offsets=value["model.layers.0.self_attn.o_proj.weight"]["data_offsets"])), "")
add("tensor_negative_size", header(lambda value: value[Q].update(shape=[-32, -32])), "")
add("tensor_size_that_overflows", header(lambda value: value[Q].update(shape=[1 << 40, 1 << 40])), "")
add("tensor_size_of_another_length", header(lambda value: value[Q].update(shape=[32, 31])), "")
add("tensor_twice", header(lambda value: json.dumps(value).replace(f'"{Q}"', '"model.norm.weight"')), "")
add("tensor_missing", tensors(lambda value: value.pop(Q) and None), "")
add("tensor_of_wrong_shape", tensors(lambda value: value.update({Q: ([16, 64], value[Q][1])})), "")
add("tensor_of_whole_numbers", header(lambda value: value[Q].update(dtype="I32")), "")
add("tensor_too_many_layers", config(num_hidden_layers=3), "")
add("vocabulary_larger_than_the_embedding", config(vocab_size=300), "")


@case("")
def index_names_a_missing_file(scene):
    (scene.base / "model.safetensors").unlink()
    (scene.base / "model.safetensors.index.json").write_text(json.dumps(
        {"metadata": {}, "weight_map": {name: "model-00001-of-00001.safetensors" for name in tiny_base.shapes()}}))


@case("")
def index_leaves_the_folder(scene):
    (scene.base / "model.safetensors").rename(scene.folder / "outside.safetensors")
    (scene.base / "model.safetensors.index.json").write_text(json.dumps(
        {"metadata": {}, "weight_map": {name: "../outside.safetensors" for name in tiny_base.shapes()}}))


@case("")
def index_not_json(scene):
    (scene.base / "model.safetensors").unlink()
    (scene.base / "model.safetensors.index.json").write_text('{"weight_map": ')


# Tokenizer
def tokenizer(change):
    return edit("tokenizer.json", change)


add("tokenizer_missing", without("tokenizer.json"), "", begun=True)
add("tokenizer_not_json", file("tokenizer.json", "{]"), "", begun=True)
add("tokenizer_deep", file("tokenizer.json", '{"model": ' * 50000), "", begun=True)
add("tokenizer_without_model", tokenizer(lambda value: value.pop("model") and None), "", begun=True)
add("tokenizer_unigram", tokenizer(lambda value: value["model"].update(type="Unigram")), "", begun=True)
add("tokenizer_unknown_pre_tokenizer", tokenizer(lambda value: value.update(pre_tokenizer={"type": "Sylable"})), "", begun=True)
add("tokenizer_unknown_normalizer", tokenizer(lambda value: value.update(normalizer={"type": "Shout"})), "", begun=True)
add("tokenizer_bad_expression", tokenizer(lambda value: value.update(pre_tokenizer={
    "type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated", "invert": False})), "", begun=True)
add("tokenizer_merge_of_no_token", tokenizer(lambda value: value["model"].update(merges=["a zz"])), "", begun=True)
add("tokenizer_merge_of_one_part", tokenizer(lambda value: value["model"].update(merges=["a"])), "", begun=True)
add("tokenizer_id_twice", tokenizer(lambda value: value["model"]["vocab"].update(a=5)), "", begun=True)
add("tokenizer_id_negative", tokenizer(lambda value: value["model"]["vocab"].update(a=-5)), "", begun=True)
add("tokenizer_id_huge", tokenizer(lambda value: value["model"]["vocab"].update(a=1 << 50)), "", begun=True)
add("tokenizer_id_outside_the_model", tokenizer(lambda value: value["added_tokens"][1].update(id=400)), "", begun=True)
add("tokenizer_vocabulary_a_list", tokenizer(lambda value: value["model"].update(vocab=["a"])), "", begun=True)


# Adapter to go on from
def adapter(change):
    """An adapter of ours in PEFT's form, of rank 2 on q_proj, as `change` spoils it."""
    def spoil(scene):
        folder = scene.folder / "adapter"
        folder.mkdir()
        settings = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "base", "r": 2,
                    "lora_alpha": 4, "lora_dropout": 0.0, "bias": "none", "target_modules": ["q_proj"],
                    "inference_mode": True, "use_rslora": False, "use_dora": False, "modules_to_save": None}
        pairs = {}
        for layer in range(2):
            start = f"base_model.model.model.layers.{layer}.self_attn.q_proj."
            pairs[start + "lora_A.weight"] = ([2, 32], b"\0" * 256)
            pairs[start + "lora_B.weight"] = ([32, 2], b"\0" * 256)
        change(settings, pairs)
        (folder / "adapter_config.json").write_text(json.dumps(settings))
        (folder / "adapter_model.safetensors").write_bytes(tiny_base.safetensors(pairs))
        for key in ("lora_r", "lora_alpha"):
            scene.keys.pop(key)
        scene.keys["lora_model_dir"] = "adapter"
    return spoil


FIRST_A = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
add("adapter_missing", lambda scene: scene.keys.update(lora_model_dir="nowhere"), "")
add("adapter_of_another_kind", adapter(lambda settings, pairs: settings.update(peft_type="IA3")), "")
add("adapter_of_another_rank", adapter(lambda settings, pairs: settings.update(r=3)), "")
add("adapter_of_rank_zero", adapter(lambda settings, pairs: settings.update(r=0)), "")
add("adapter_without_targets", adapter(lambda settings, pairs: settings.update(target_modules=[])), "")
add("adapter_of_another_model", adapter(lambda settings, pairs: settings.update(target_modules=["c_attn"])), "")
add("adapter_tensor_missing", adapter(lambda settings, pairs: pairs.pop(FIRST_A) and None), "")
add("adapter_tensor_of_wrong_shape", adapter(lambda settings, pairs: pairs.update({FIRST_A: ([2, 16], b"\0" * 128)})), "")
add("adapter_tensor_unknown", adapter(lambda settings, pairs: pairs.update(
    {FIRST_A.replace("layers.0", "layers.9"): pairs[FIRST_A]})), "")


@case("")
def adapter_cut_off(scene):
    adapter(lambda settings, pairs: None)(scene)
    path = scene.folder / "adapter" / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])


@case("")
def adapter_config_not_json(scene):
    adapter(lambda settings, pairs: None)(scene)
    (scene.folder / "adapter" / "adapter_config.json").write_text("{")


class BadModelTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls._scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls._scratch.cleanup)


install(table, BadModelTest, lambda: pathlib.Path(BadModelTest._scratch.name))

if __name__ == "__main__":
    unittest.main()
