"""What the training speed is measured on: model shapes with random weights, and banking77 rows."""

import csv
import dataclasses
import json
import pathlib
import random

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
STORIES = DATA / "stories260k_hf"
BANKING = DATA / "banking77" / "train.csv"
GPT2 = DATA / "gpt2_tokenizer"
IGNORED = -100

LLAMA_135M = {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
              "num_key_value_heads": 3}
LLAMA_15M = {"hidden_size": 288, "intermediate_size": 768, "num_hidden_layers": 6, "num_attention_heads": 6,
             "num_key_value_heads": 6}


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    shape: dict | None  # None: stories260k as it is
    dtype: str
    rows: int  # in an optimizer step
    goal: float  # our speed over the peer's
    steps: int


CASES = {case.name: case for case in (
    Case("stories260k-fp32-16", None, "float32", 16, 4.0, 30),
    Case("15m-fp32-16", LLAMA_15M, "float32", 16, 5.0, 15),
    Case("135m-fp32-8", LLAMA_135M, "float32", 8, 2.0, 6),
    Case("135m-fp32-32", LLAMA_135M, "float32", 32, 2.5, 5),
    Case("135m-bf16-8", LLAMA_135M, "bfloat16", 8, 2.0, 6),
    Case("135m-bf16-32", LLAMA_135M, "bfloat16", 32, 3.0, 5),
)}


def missing():
    """The data that is absent, or nothing."""
    return next((f"{path} is absent" for path in (STORIES, BANKING, GPT2) if not path.exists()), None)


def load_tokenizer(case):
    """(tokenizer, its end-of-text token's id)."""
    import tokenizers

    if case.shape is None:
        return tokenizers.Tokenizer.from_file(str(STORIES / "tokenizer.json")), 2
    tokenizer = tokenizers.ByteLevelBPETokenizer(str(GPT2 / "vocab.json"), str(GPT2 / "merges.txt"))
    return tokenizer, tokenizer.token_to_id("<|endoftext|>")


def write_rows(case, path):
    """Prompt not trained, answer and end of text trained; as many rows as the steps take."""
    tokenizer, end = load_tokenizer(case)
    with open(BANKING, encoding="utf-8", newline="") as file:
        texts = list(csv.DictReader(file))
    random.Random(7).shuffle(texts)  # the file is sorted by intent
    with open(path, "w", encoding="utf-8") as out:
        for text in texts[:case.rows * case.steps]:
            prompt = tokenizer.encode(f"Question: {text['text']}\nIntent:").ids
            answer = tokenizer.encode(f" {text['category']}", add_special_tokens=False).ids + [end]
            out.write(json.dumps({"input_ids": prompt + answer, "labels": [IGNORED] * len(prompt) + answer}) + "\n")


def write_model(case, folder):
    """The model's folder: stories260k's own, or one of random weights stored in the case's dtype."""
    if case.shape is None:
        return STORIES
    if not (folder / "config.json").exists():
        import torch
        import transformers

        torch.manual_seed(0)
        config = transformers.LlamaConfig(vocab_size=50257, max_position_embeddings=2048, tie_word_embeddings=True,
                                          bos_token_id=50256, eos_token_id=50256, **case.shape)
        model = transformers.LlamaForCausalLM(config)
        model.to(getattr(torch, case.dtype)).save_pretrained(folder)
    return folder
