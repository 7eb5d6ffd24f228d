"""A model folder that the tests make themselves: a small Llama with random weights and a byte-level tokenizer, rows to
train it on, and the keys of the runs that do. Only Python's library, so that these tests need nothing from elsewhere."""

import array
import json
import random
import struct

CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 32, "intermediate_size": 64,
          "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
          "hidden_act": "silu", "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
          "tie_word_embeddings": True, "attention_bias": False, "mlp_bias": False, "torch_dtype": "float32",
          "vocab_size": 258, "bos_token_id": 256, "eos_token_id": 257}
BOS, EOS = "<|begin|>", "<|end|>"


def shapes(config=None):
    """Name to shape, as Hugging Face stores a Llama with tied embeddings."""
    config = config or CONFIG
    hidden, inner, head = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    result = {"model.embed_tokens.weight": [config["vocab_size"], hidden], "model.norm.weight": [hidden]}
    for layer in range(config["num_hidden_layers"]):
        start = f"model.layers.{layer}."
        result.update({
            start + "self_attn.q_proj.weight": [queries, hidden],
            start + "self_attn.k_proj.weight": [keys, hidden],
            start + "self_attn.v_proj.weight": [keys, hidden],
            start + "self_attn.o_proj.weight": [hidden, queries],
            start + "mlp.gate_proj.weight": [inner, hidden],
            start + "mlp.up_proj.weight": [inner, hidden],
            start + "mlp.down_proj.weight": [hidden, inner],
            start + "input_layernorm.weight": [hidden],
            start + "post_attention_layernorm.weight": [hidden]})
    return result


def random_tensors(config=None, seed=1):
    """Name to (shape, bytes); norms near one, the rest small."""
    source = random.Random(seed)
    tensors = {}
    for name, shape in shapes(config).items():
        count = 1
        for size in shape:
            count *= size
        norm = name.endswith("norm.weight")
        values = array.array("f", (source.gauss(1.0, 0.1) if norm else source.gauss(0.0, 0.08) for _ in range(count)))
        tensors[name] = (shape, values.tobytes())
    return tensors


def safetensors(tensors, dtype="F32"):
    """The bytes of a safetensors file."""
    header, position = {"__metadata__": {"format": "pt"}}, 0
    for name, (shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [position, position + len(data)]}
        position += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(data for _, data in tensors.values())


def read_header(blob):
    length, = struct.unpack("<Q", blob[:8])
    return json.loads(blob[8:8 + length])


def byte_letters():
    """The letter that stands for each byte in a byte-level vocabulary, as GPT-2's."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {**{byte: chr(byte) for byte in shown}, **{byte: chr(256 + i) for i, byte in enumerate(hidden)}}


def tokenizer():
    """tokenizer.json as an object: one token a byte, then begin and end; every text starts with begin."""
    letters = byte_letters()
    vocab = {letters[byte]: byte for byte in range(256)}

    def added(number, content):
        return {"id": number, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
                "normalized": False, "special": True}

    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [added(256, BOS), added(257, EOS)],
            "normalizer": None,
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
            "post_processor": {"type": "TemplateProcessing",
                               "single": [{"SpecialToken": {"id": BOS, "type_id": 0}},
                                          {"Sequence": {"id": "A", "type_id": 0}}],
                               "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                               "special_tokens": {BOS: {"id": BOS, "ids": [256], "tokens": [BOS]}}},
            "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                      "vocab": vocab, "merges": []}}


def write_base(folder, config=None):
    """The whole folder; returns its path."""
    config = config or CONFIG
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    (folder / "model.safetensors").write_bytes(safetensors(random_tensors(config)))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer()))
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"bos_token": BOS, "eos_token": EOS, "tokenizer_class": "PreTrainedTokenizerFast"}))
    return folder


WORDS = "the a of to in on red blue old small card house tree river light stone bird open close carry find".split()


def rows(count, seed=1, shortest=3, longest=24):
    """Instructions with an answer that depends on them; of unequal length."""
    source = random.Random(seed)
    result = []
    for _ in range(count):
        words = [source.choice(WORDS) for _ in range(source.randint(shortest, longest))]
        result.append({"instruction": " ".join(words), "output": " ".join(sorted(set(words))[:4])})
    return result


def write_jsonl(path, objects):
    path.write_text("".join(json.dumps(one) + "\n" for one in objects))
    return path


def dataset(path):
    return {"path": str(path), "type": "alpaca", "prompt_no_input_format": "{instruction}\n"}


def lora(base, output, train, **keys):
    """The keys of a small LoRA run."""
    return {"base_model": str(base), "adapter": "lora", "lora_r": 4, "lora_alpha": 8,
            "datasets": [dataset(train)],
            "sequence_len": 256, "micro_batch_size": 4, "global_batch_size": 8, "max_steps": 8, "learning_rate": 0.01,
            "threads": 1, "output_dir": str(output), **keys}


def full(base, output, train, **keys):
    keys = {**lora(base, output, train), "adapter": "none", "learning_rate": 0.003, **keys}
    return {key: value for key, value in keys.items() if not key.startswith("lora_")}
