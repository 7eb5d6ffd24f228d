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
add("base_missing", lambda scene: scene.keys.update(base_model="nowhere"),
    "nowhere: expected a model folder, found nothing; fetch the model and give its folder")
add("base_a_file", lambda scene: scene.keys.update(base_model="rows.jsonl"),
    "rows.jsonl: expected a model folder, found a file; fetch the model and give its folder")
add("base_empty", lambda scene: (shutil.rmtree(scene.base), scene.base.mkdir()),
    "base/config.json: cannot be read: No such file or directory")
add("config_missing", without("config.json"), "base/config.json: cannot be read: No such file or directory")
add("config_not_json", file("config.json", '{"architectures": [LlamaForCausalLM]}'),
    "base/config.json:1:20: not valid JSON: syntax error")
add("config_cut_off", file("config.json", '{"architectures": ["Llama'),
    "base/config.json:1:26: not valid JSON: incomplete JSON")
add("config_a_list", file("config.json", "[]"), "base/config.json: expected a JSON object, found []")
add("config_deep", file("config.json", '{"a": ' * 50000), "base/config.json:1:193: not valid JSON: too deep")
add("config_unknown_architecture", config(architectures=["MambaForCausalLM"], model_type="mamba"),
    "base/config.json: architectures: \"MambaForCausalLM\" is not supported; known are")
add("config_no_architecture", config(architectures=None, model_type=None),
    "base/config.json: architectures: expected one of LlamaForCausalLM, MistralForCausalLM,")
add("config_architecture_a_number", config(architectures=7),
    "base/config.json: architectures: expected a list of texts, found 7")
add("config_rope_kind_unknown", config(rope_scaling={"rope_type": "spiral", "factor": 2.0}),
    "base/config.json: rope_scaling.rope_type: expected one of default, linear, dynamic, llama3,")
add("config_rope_without_factor", config(rope_scaling={"rope_type": "linear"}),
    "base/config.json: rope_scaling.factor: expected a positive number, found nothing")
add("config_rope_factor_zero", config(rope_scaling={"rope_type": "linear", "factor": 0}),
    "base/config.json: rope_scaling.factor: expected a number from 2.22507e-308 to 1e+12, found 0")
add("config_rope_theta_negative", config(rope_theta=-1.0),
    "base/config.json: rope_theta: expected a number from 2.22507e-308 to 1e+12, found -1.0")
add("config_no_hidden_size", config(hidden_size=None),
    "base/model.safetensors: tensor \"model.embed_tokens.weight\": expected the shape [258, 4096] by")
add("config_hidden_size_zero", config(hidden_size=0),
    "base/config.json: hidden_size: expected a whole number from 1 to 1048576, found 0")
add("config_hidden_size_negative", config(hidden_size=-32),
    "base/config.json: hidden_size: expected a whole number from 1 to 1048576, found -32")
add("config_hidden_size_huge", config(hidden_size=1 << 62),
    "base/config.json: hidden_size: expected a whole number from 1 to 1048576, found")
add("config_hidden_size_a_text", config(hidden_size="32"),
    "base/config.json: hidden_size: expected a whole number from 1 to 1048576, found \"32\"")
add("config_layers_huge", config(num_hidden_layers=1 << 40),
    "base/config.json: num_hidden_layers: expected a whole number from 1 to 1000, found 1099511627776")
add("config_heads_do_not_divide", config(num_key_value_heads=3),
    "base/config.json: num_key_value_heads: expected a divisor of num_attention_heads (4), found 3")
add("config_activation_unknown", config(hidden_act="swishy"),
    "base/config.json: hidden_act: expected one of silu, gelu, gelu_pytorch_tanh and gelu_new, found")
add("config_norm_epsilon_negative", config(rms_norm_eps=-1),
    "base/config.json: rms_norm_eps: expected a number from 0 to 1, found -1")
add("config_quantized", config(quantization_config={"quant_method": "gptq", "bits": 4}),
    "base/config.json: quantization_config: quantized weights are not supported; use the folder with")

# Weights
add("weights_missing", without("model.safetensors"),
    "base: expected model.safetensors or model.safetensors.index.json, found neither; fetch the")
add("weights_a_folder", lambda scene: ((scene.base / "model.safetensors").unlink(),
                                       (scene.base / "model.safetensors").mkdir()),
    "base/model.safetensors: expected a file, found a folder")
add("weights_dangling_link", lambda scene: ((scene.base / "model.safetensors").unlink(),
                                            (scene.base / "model.safetensors").symlink_to("nowhere")),
    "base/model.safetensors: cannot be read: No such file or directory")
add("weights_empty", file("model.safetensors", b""),
    "base/model.safetensors: expected a safetensors file, found 0 bytes; it is cut off, fetch or")
add("weights_seven_bytes", file("model.safetensors", b"\x01" * 7),
    "base/model.safetensors: expected a safetensors file, found 7 bytes; it is cut off, fetch or")
add("weights_cut_off", lambda scene: (scene.base / "model.safetensors").write_bytes(
    (scene.base / "model.safetensors").read_bytes()[:-1000]),
    "base/model.safetensors: tensor \"model.layers.1.input_layernorm.weight\": data_offsets [107136,")
add("weights_longer_than_said", lambda scene: (scene.base / "model.safetensors").write_bytes(
    (scene.base / "model.safetensors").read_bytes() + b"x" * 8),
    "base/model.safetensors: the tensors end at byte 107392 of the data, the file has 107400 bytes")
add("weights_of_pickle", lambda scene: ((scene.base / "model.safetensors").unlink(),
                                        (scene.base / "pytorch_model.bin").write_bytes(b"PK\x03\x04")),
    "base: expected model.safetensors or model.safetensors.index.json, found pytorch_model.bin,")
add("header_huge", file("model.safetensors", (1 << 62).to_bytes(8, "little") + b"{}"),
    "base/model.safetensors: byte 0: the header claims 4611686018427387904 bytes, at most 100000000")
add("header_larger_than_the_file", file("model.safetensors", (5000).to_bytes(8, "little") + b"{}      "),
    "base/model.safetensors: byte 0: the header claims 5000 bytes, the file has 8 after its first 8;")
add("header_not_json", header(lambda value: "{not json"),
    "base/model.safetensors: byte 9: the header is not the JSON of a safetensors file: syntax error")
add("header_deep", header(lambda value: '{"a":' * 20000),
    "base/model.safetensors: byte 16: tensor \"a\" has the unknown field \"a\"; known are dtype, shape")
add("header_a_list", header(lambda value: "[1, 2]"),
    "base/model.safetensors: byte 8: expected an object of tensors, found an array")
add("header_not_utf8", file("model.safetensors", (8).to_bytes(8, "little") + b'{"\xff": 1}'[:8]),
    "base/model.safetensors: byte 10: the header is not the JSON of a safetensors file: syntax error")
add("tensor_without_offsets", header(lambda value: value[Q].pop("data_offsets") and None),
    "base/model.safetensors: byte 300: tensor \"model.layers.0.self_attn.q_proj.weight\" has no")
add("tensor_of_unknown_dtype", header(lambda value: value[Q].update(dtype="F17")),
    "base/model.safetensors: byte 280: tensor \"model.layers.0.self_attn.q_proj.weight\" has the dtype")
add("tensor_beyond_the_file", header(lambda value: value[Q].update(data_offsets=[0, 1 << 40])),
    "base/model.safetensors: tensor \"model.layers.0.self_attn.q_proj.weight\": data_offsets [0,")
add("tensor_backwards", header(lambda value: value[Q].update(data_offsets=[4096, 0])),
    "base/model.safetensors: tensor \"model.layers.0.self_attn.q_proj.weight\": data_offsets [4096, 0]")
add("tensor_negative_offset", header(lambda value: value[Q].update(data_offsets=[-4096, 0])),
    "base/model.safetensors: byte 324: expected two whole numbers, zero or more, as data_offsets of")
add("tensor_overlaps", header(lambda value: value[Q].update(
    data_offsets=value["model.layers.0.self_attn.o_proj.weight"]["data_offsets"])),
    "base/model.safetensors: tensor \"model.layers.0.self_attn.k_proj.weight\": begins at byte 37248")
add("tensor_negative_size", header(lambda value: value[Q].update(shape=[-32, -32])),
    "base/model.safetensors: byte 296: expected whole numbers, zero or more, in the shape of")
add("tensor_size_that_overflows", header(lambda value: value[Q].update(shape=[1 << 40, 1 << 40])),
    "base/model.safetensors: tensor \"model.layers.0.self_attn.q_proj.weight\": its shape")
add("tensor_size_of_another_length", header(lambda value: value[Q].update(shape=[32, 31])),
    "base/model.safetensors: tensor \"model.layers.0.self_attn.q_proj.weight\": shape [32, 31] of F32")
add("tensor_twice", header(lambda value: json.dumps(value).replace(f'"{Q}"', '"model.norm.weight"')),
    "base/model.safetensors: byte 242: the name \"model.norm.weight\" appears twice")
add("tensor_missing", tensors(lambda value: value.pop(Q) and None),
    "base: tensor \"model.layers.0.self_attn.q_proj.weight\" is missing")
add("tensor_of_wrong_shape", tensors(lambda value: value.update({Q: ([16, 64], value[Q][1])})),
    "base/model.safetensors: tensor \"model.layers.0.self_attn.q_proj.weight\": expected the shape")
add("tensor_of_whole_numbers", header(lambda value: value[Q].update(dtype="I32")),
    "base/model.safetensors: tensor \"model.layers.0.self_attn.q_proj.weight\": expected F32, BF16 or")
add("tensor_too_many_layers", config(num_hidden_layers=3),
    "base: tensor \"model.layers.2.input_layernorm.weight\" and 8 more are missing")
add("vocabulary_larger_than_the_embedding", config(vocab_size=300),
    "base/model.safetensors: tensor \"model.embed_tokens.weight\": expected the shape [300, 32] by")


@case("base/model-00001-of-00001.safetensors: cannot be read: No such file or directory")
def index_names_a_missing_file(scene):
    (scene.base / "model.safetensors").unlink()
    (scene.base / "model.safetensors.index.json").write_text(json.dumps(
        {"metadata": {}, "weight_map": {name: "model-00001-of-00001.safetensors" for name in tiny_base.shapes()}}))


@case("base/model.safetensors.index.json: weight_map: expected the name of a .safetensors file in this")
def index_leaves_the_folder(scene):
    (scene.base / "model.safetensors").rename(scene.folder / "outside.safetensors")
    (scene.base / "model.safetensors.index.json").write_text(json.dumps(
        {"metadata": {}, "weight_map": {name: "../outside.safetensors" for name in tiny_base.shapes()}}))


@case("base/model.safetensors.index.json:1:16: not valid JSON: incomplete JSON")
def index_not_json(scene):
    (scene.base / "model.safetensors").unlink()
    (scene.base / "model.safetensors.index.json").write_text('{"weight_map": ')


# Tokenizer
def tokenizer(change):
    return edit("tokenizer.json", change)


add("tokenizer_missing", without("tokenizer.json"),
    "base: expected tokenizer.json, or vocab.json and merges.txt, found neither", begun=True)
add("tokenizer_not_json", file("tokenizer.json", "{]"),
    "base/tokenizer.json:1:2: expected JSON: syntax error", begun=True)
add("tokenizer_deep", file("tokenizer.json", '{"model": ' * 50000),
    "base/tokenizer.json:1:321: expected JSON: too deep", begun=True)
add("tokenizer_without_model", tokenizer(lambda value: value.pop("model") and None),
    "base/tokenizer.json: expected an object with \"model\"; is this a tokenizer.json?", begun=True)
add("tokenizer_unigram", tokenizer(lambda value: value["model"].update(type="Unigram")),
    "base/tokenizer.json: model: the model \"Unigram\" is not supported; known is BPE", begun=True)
add("tokenizer_unknown_pre_tokenizer", tokenizer(lambda value: value.update(pre_tokenizer={"type": "Sylable"})),
    "base/tokenizer.json: pre_tokenizer: the pre-tokenizer \"Sylable\" is not supported; known are", begun=True)
add("tokenizer_unknown_normalizer", tokenizer(lambda value: value.update(normalizer={"type": "Shout"})),
    "base/tokenizer.json: normalizer: the normalizer \"Shout\" is not supported; known are NFC, NFD,", begun=True)
add("tokenizer_bad_expression", tokenizer(lambda value: value.update(pre_tokenizer={
    "type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated", "invert": False})),
    "base/tokenizer.json: pre_tokenizer.pattern: the regular expression \"(a\", byte 1: a \"(\" without", begun=True)
add("tokenizer_merge_of_no_token", tokenizer(lambda value: value["model"].update(merges=["a zz"])),
    "base/tokenizer.json: model.merges[0] (\"a\", \"zz\") needs the token \"zz\", which model.vocab does", begun=True)
add("tokenizer_merge_of_one_part", tokenizer(lambda value: value["model"].update(merges=["a"])),
    "base/tokenizer.json: model.merges[0]: expected two tokens with one space between, found \"a\"", begun=True)
add("tokenizer_id_twice", tokenizer(lambda value: value["model"]["vocab"].update(a=5)),
    "base/tokenizer.json: model.vocab.a: another token has the id 5 too", begun=True)
add("tokenizer_id_negative", tokenizer(lambda value: value["model"]["vocab"].update(a=-5)),
    "base/tokenizer.json: model.vocab.a: expected a whole number from 0 to 16777215, found -5", begun=True)
add("tokenizer_id_huge", tokenizer(lambda value: value["model"]["vocab"].update(a=1 << 50)),
    "base/tokenizer.json: model.vocab.a: expected a whole number from 0 to 16777215, found", begun=True)
add("tokenizer_id_outside_the_model", tokenizer(lambda value: value["added_tokens"][1].update(id=400)),
    "base/tokenizer.json: added_tokens[1]: \"<|end|>\" has the id 400, but its place after the", begun=True)
add("tokenizer_vocabulary_a_list", tokenizer(lambda value: value["model"].update(vocab=["a"])),
    "base/tokenizer.json: model.vocab: expected an object, found an array", begun=True)


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
add("adapter_missing", lambda scene: scene.keys.update(lora_model_dir="nowhere"),
    "nowhere: expected an adapter folder with adapter_config.json, found nothing")
add("adapter_of_another_kind", adapter(lambda settings, pairs: settings.update(peft_type="IA3")),
    "adapter/adapter_config.json: peft_type: expected \"LORA\", the kind of adapter that is supported,")
add("adapter_of_another_rank", adapter(lambda settings, pairs: settings.update(r=3)),
    "adapter/adapter_model.safetensors: tensor")
add("adapter_of_rank_zero", adapter(lambda settings, pairs: settings.update(r=0)),
    "adapter/adapter_config.json: r: expected a whole number from 1 to 65536, found 0")
add("adapter_without_targets", adapter(lambda settings, pairs: settings.update(target_modules=[])),
    "adapter/adapter_config.json: target_modules:  selects no module of LlamaForCausalLM; its linear")
add("adapter_of_another_model", adapter(lambda settings, pairs: settings.update(target_modules=["c_attn"])),
    "adapter/adapter_config.json: target_modules: \"c_attn\" names no module of LlamaForCausalLM; its")
add("adapter_tensor_missing", adapter(lambda settings, pairs: pairs.pop(FIRST_A) and None),
    "adapter/adapter_model.safetensors: tensor")
add("adapter_tensor_of_wrong_shape", adapter(lambda settings, pairs: pairs.update({FIRST_A: ([2, 16], b"\0" * 128)})),
    "adapter/adapter_model.safetensors: tensor")
add("adapter_tensor_unknown", adapter(lambda settings, pairs: pairs.update(
    {FIRST_A.replace("layers.0", "layers.9"): pairs[FIRST_A]})), "adapter/adapter_model.safetensors: tensor")


@case("adapter/adapter_model.safetensors: tensor")
def adapter_cut_off(scene):
    adapter(lambda settings, pairs: None)(scene)
    path = scene.folder / "adapter" / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])


@case("adapter/adapter_config.json:1:2: not valid JSON: incomplete JSON")
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
