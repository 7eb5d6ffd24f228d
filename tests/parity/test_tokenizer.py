"""Our tokenizer against `tokenizers`: ids, ranges and decoded text must be equal.

Runs build/probe_tokenizer (CADRE_BUILD names another build folder). `Tokenizer.from_file` is the reference, never
AutoTokenizer, which rebuilds the pipeline for some classes.
"""

import csv
import itertools
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import unittest

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
PROBE = pathlib.Path(os.environ.get("CADRE_BUILD", ROOT / "build")) / "probe_tokenizer"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def probe(arguments, texts):
    packed = b"".join(struct.pack("<I", len(t)) + t for t in (text.encode() for text in texts))
    done = subprocess.run([PROBE, *map(str, arguments)], input=packed, capture_output=True)
    if done.returncode != 0:
        raise AssertionError("probe_tokenizer: exit code %d: %s" % (done.returncode, done.stderr.decode()))
    lines = done.stdout.decode().split("\n")[:-1]
    assert len(lines) == len(texts), (len(lines), len(texts))
    return [json.loads(line) for line in lines]


def real_texts():
    """Name -> texts, of what is there of ../shared/data."""
    out = {}
    path = DATA / "wikitext2" / "valid.txt"
    if path.exists():
        out["wikitext2"] = path.read_text().split("\n") + [path.read_text()[:200000]]
    path = DATA / "gsm8k" / "test.jsonl"
    if path.exists():
        rows = [json.loads(line) for line in path.read_text().split("\n") if line]
        out["gsm8k"] = [text for row in rows for text in (row["question"], row["answer"])]
    for name, file in (("mts_dialog", "train.csv"), ("banking77", "train.csv")):
        path = DATA / name / file
        if path.exists():
            with open(path, newline="") as opened:
                out[name] = [cell for row in csv.reader(opened) for cell in row if cell]
    return out


def random_texts(count, added, seed=7):
    """Unicode of every kind: emoji, CRLF, runs of spaces, Thai, Arabic, marks, added tokens glued to words."""
    rng = random.Random(seed)
    scalars = lambda lo, hi: lambda: chr(rng.choice([c for c in (rng.randint(lo, hi),) if not 0xD800 <= c < 0xE000] or [65]))
    kinds = [
        lambda: rng.choice("etaoin shrdlu"),
        lambda: rng.choice("etaoinshrdluETAOIN"),
        lambda: " " * rng.randint(1, 6),
        lambda: rng.choice(["\r\n", "\n", "\n\n", "\t", "\r", "\u00a0", "\u3000", "\u2028", "\x85", "\x0b", "\x0c", "\x1c", "\u200b"]),
        lambda: rng.choice(["😀", "👨‍👩‍👧‍👦", "🇺🇳", "❤️", "🤦🏽‍♂️", "🫠"]),
        scalars(0xE00, 0xE7F),
        scalars(0x600, 0x6FF),
        scalars(0x300, 0x36F),
        lambda: rng.choice("eaoucnsiyE") + "".join(chr(rng.randint(0x300, 0x345)) for _ in range(rng.randint(1, 4))),
        scalars(0xC0, 0x24F),
        scalars(0x370, 0x5FF),
        scalars(0x900, 0xDFF),
        scalars(0x1100, 0x11FF),
        scalars(0xAC00, 0xD7A3),
        scalars(0x1E00, 0x22FF),
        scalars(0x3000, 0x30FF),
        scalars(0x4E00, 0x9FFF),
        scalars(0xF900, 0xFFFD),
        scalars(0x10000, 0x1FFFF),
        scalars(0, 0x10FFFF),
        lambda: rng.choice(["'s", "'S", "'ſ", "'LL", "’s", "'re", "don't", "I'VE", "ß", "ﬁ", "ǅ", "İ", "K", "Å"]),
        lambda: str(rng.randint(0, 10**rng.randint(1, 9))),
        lambda: rng.choice(["٣", "Ⅷ", "²", "½", "๓", "①"]),
        lambda: rng.choice("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"),
        lambda: rng.choice(["▁", "▁▁", "Ġ", "<0x41>", "<0xE2>", "<unk>", "<s", "|>"]),
        lambda: rng.choice(added),
    ]
    texts = ["", " ", "\n", "▁", "  ", "a", " a", "a ", "\u0301", "e\u0301"]
    while len(texts) < count:
        few = rng.sample(kinds, rng.randint(1, 5))
        texts.append("".join(rng.choice(few)() for _ in range(rng.randint(1, 40))))
    return texts


def byte_level_specials(tokenizer, names):
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])


def train(tokenizer, texts, **options):
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(show_progress=False, **options))
    return json.loads(tokenizer.to_str())


def build(name, texts):
    """A small tokenizer.json with the pipeline of a family, trained here; (json, added tokens)."""
    if name in ("llama3", "qwen2", "o200k", "gpt2"):
        tokenizer = Tokenizer(models.BPE())
        if name == "qwen2":
            tokenizer.normalizer = normalizers.NFC()
        if name == "gpt2":
            tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        else:
            pattern = {"llama3": LLAMA3, "qwen2": QWEN2, "o200k": O200K}[name]
            tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
                [
                    pre_tokenizers.Split(Regex(pattern), "isolated"),
                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False, trim_offsets=False),
                ]
            )
        tokenizer.decoder = decoders.ByteLevel()
        train(tokenizer, texts, vocab_size=2500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
        names = ["<|begin_of_text|>", "<|end_of_text|>", "<|im_start|>", "<|im_end|>"]
        byte_level_specials(tokenizer, names)
        tokenizer.add_tokens([AddedToken("<tool>", special=False, normalized=False)])
        byte_level = processors.ByteLevel(trim_offsets=False)
        if name == "llama3":
            template = processors.TemplateProcessing(
                single="<|begin_of_text|> $A", special_tokens=[(names[0], tokenizer.token_to_id(names[0]))]
            )
            tokenizer.post_processor = processors.Sequence([byte_level, template])
        else:
            tokenizer.post_processor = byte_level
        value = json.loads(tokenizer.to_str())
        value["model"]["ignore_merges"] = name == "llama3"
        if name == "llama3":  # older files write merges as lines; and words that no merge reaches
            value["model"]["merges"] = [" ".join(pair) for pair in value["model"]["merges"]][:-200]
        return value, names + ["<tool>"]

    # SentencePiece-like.
    specials = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % byte for byte in range(256)]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    mark = "▁"
    if name in ("llama2", "phi3"):
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(mark), normalizers.Replace(" ", mark)])
        tokenizer.decoder = decoders.Sequence(
            [decoders.Replace(mark, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
    elif name == "mistral":
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
        tokenizer.decoder = decoders.Sequence(
            [decoders.Replace(mark, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
    elif name == "metaspace":
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
        tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="always")])
    elif name == "gemma":
        tokenizer.normalizer = normalizers.Replace(" ", mark)
        tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
        tokenizer.decoder = decoders.Sequence([decoders.Replace(mark, " "), decoders.ByteFallback(), decoders.Fuse()])
    # Training needs words; the pipeline that is tested has none.
    pre_tokenizer, tokenizer.pre_tokenizer = tokenizer.pre_tokenizer, pre_tokenizers.Metaspace(prepend_scheme="always")
    train(tokenizer, texts, vocab_size=2000, special_tokens=specials, limit_alphabet=200)
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    bos = ("<s>", tokenizer.token_to_id("<s>"))
    if name == "gemma":
        tokenizer.post_processor = processors.TemplateProcessing(single="<s>:0 $A:0", special_tokens=[bos])
    else:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[bos, ("</s>", 2)])
    value = json.loads(tokenizer.to_str())
    if pre_tokenizer is None:
        value["pre_tokenizer"] = None
    value["added_tokens"] = [token for token in value["added_tokens"] if not token["content"].startswith("<0x")]
    # Runs of spaces, and tokens that reach from one word into the next.
    for pair in ((mark, mark), (mark * 2, mark * 2), (mark * 4, mark * 2), ("e", mark), ("e" + mark, "t"), ("s", mark + "a")):
        if pair[0] in value["model"]["vocab"] and pair[1] in value["model"]["vocab"]:
            value["model"]["vocab"].setdefault("".join(pair), len(value["model"]["vocab"]))
            value["model"]["merges"].insert(20, pair)
    size = len(value["model"]["vocab"])

    def added(content, **flags):
        id = value["model"]["vocab"].get(content, size + sum(token["id"] >= size for token in extra))
        token = {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
                 "normalized": False, "special": False}
        token.update(flags)
        extra.append(token)

    extra = []
    if name == "phi3":
        for content in ("<|user|>", "<|assistant|>", "<|end|>"):
            added(content, rstrip=True, special=True)
        added("<|left|>", lstrip=True, special=True)
        added("<|both|>", lstrip=True, rstrip=True)
        added("<|word|>", single_word=True)
    elif name == "gemma":
        for content in ("<start_of_turn>", "<end_of_turn>"):
            added(content, special=True)
        for content in ("\n\n", "\n\n\n", "\t\t", "▁▁", "▁▁▁▁", "<table>"):
            added(content)
    else:
        added("<|norm|>", normalized=True)
        added("<|special norm|>", normalized=True, special=True)
        added("word", normalized=True, single_word=True)
    value["added_tokens"] += extra
    return value, [token["content"] for token in value["added_tokens"]]


def byte_ranges(text, offsets):
    """Of ranges of characters."""
    starts = range(len(text) + 1)
    if not text.isascii():
        starts = [0, *itertools.accumulate(len(character.encode()) for character in text)]
    return [[starts[begin], starts[end]] for begin, end in offsets]


class Compared(unittest.TestCase):
    maxDiff = 2000

    def compare(self, arguments, reference, texts, ranges=True):
        answers = probe(arguments, texts)
        encodings = reference.encode_batch(texts, add_special_tokens=True)
        plain = reference.encode_batch(texts, add_special_tokens=False)
        decoded = reference.decode_batch([e.ids for e in encodings], skip_special_tokens=False)
        backwards = reference.decode_batch([e.ids[::-1] for e in encodings], skip_special_tokens=False)
        skipping = reference.decode_batch([e.ids for e in encodings], skip_special_tokens=True)
        for i, (text, answer) in enumerate(zip(texts, answers)):
            want = {"special_ids": encodings[i].ids, "ids": plain[i].ids, "plain_special_ids_equal": True,
                    "decoded": decoded[i], "decoded_backwards": backwards[i], "decoded_skipping": skipping[i],
                    "ranges": byte_ranges(text, encodings[i].offsets) if ranges else answer.get("ranges")}
            if answer != want:
                with self.subTest(text=text[:200]):
                    self.assertEqual(answer, want)

    def compare_json(self, value, texts, **options):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(value, file, ensure_ascii=False)
            file.flush()
            self.compare(["--json", file.name], Tokenizer.from_file(file.name), texts, **options)


class RealData(unittest.TestCase):
    def test_all_is_there(self):
        """Without them the other tests go on with what they make themselves."""
        absent = sorted({"wikitext2", "gsm8k", "mts_dialog", "banking77"} - set(real_texts()))
        if absent:
            self.skipTest("absent from ../shared/data: " + ", ".join(absent))


class RealTokenizers(Compared):
    @unittest.skipUnless((DATA / "stories260k_hf").exists(), "../shared/data/stories260k_hf is absent")
    def test_stories260k(self):
        reference = Tokenizer.from_file(str(DATA / "stories260k_hf" / "tokenizer.json"))
        for name, texts in real_texts().items():
            with self.subTest(data=name):
                self.compare([DATA / "stories260k_hf"], reference, texts)
        self.compare([DATA / "stories260k_hf"], reference, random_texts(10000, ["<unk>", "<s>", "</s>"]))

    @unittest.skipUnless((DATA / "gpt2_tokenizer").exists(), "../shared/data/gpt2_tokenizer is absent")
    def test_gpt2(self):
        reference = Tokenizer(
            models.BPE.from_file(str(DATA / "gpt2_tokenizer" / "vocab.json"), str(DATA / "gpt2_tokenizer" / "merges.txt"))
        )
        reference.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False)
        reference.decoder = decoders.ByteLevel()
        byte_level_specials(reference, ["<|endoftext|>"])
        for name, texts in real_texts().items():
            with self.subTest(data=name):
                self.compare([DATA / "gpt2_tokenizer"], reference, texts)
        self.compare([DATA / "gpt2_tokenizer"], reference, random_texts(10000, ["<|endoftext|>"]))


class TrainedTokenizers(Compared):
    """Small vocabularies with the pipelines of the families, trained here."""

    @classmethod
    def setUpClass(cls):
        cls.data = real_texts()
        corpus = [text for texts in cls.data.values() for text in texts[:1500]]
        cls.corpus = corpus or ["the quick brown fox jumps over the lazy dog"] * 100
        cls.corpus = cls.corpus + random_texts(300, ["x"], seed=3)

    def family(self, name):
        value, added = build(name, self.corpus)
        for data, texts in self.data.items():
            with self.subTest(data=data):
                self.compare_json(value, texts)
        self.compare_json(value, random_texts(10000, added))


for _name in ("llama2", "llama3", "qwen2", "gemma", "phi3", "mistral", "metaspace", "o200k", "gpt2"):
    setattr(TrainedTokenizers, "test_" + _name, lambda self, name=_name: self.family(name))


class Components(Compared):
    """Every component and flag that we know, put together at random."""

    @classmethod
    def setUpClass(cls):
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        texts = random_texts(300, ["x"], seed=4) + ["the cat sat on the mat 123 ▁ don't stop, I've said it's fine " * 5] * 20
        cls.spelled = train(tokenizer, texts, vocab_size=900, limit_alphabet=300, special_tokens=["<unk>", "<s>", "<0xE2>", "<0xC3>"])
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
        cls.bytes = train(tokenizer, texts, vocab_size=700, special_tokens=["<unk>", "<s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet())

    NORMALIZERS = [
        {"type": "NFC"}, {"type": "NFD"}, {"type": "NFKC"}, {"type": "NFKD"}, {"type": "Lowercase"}, {"type": "ByteLevel"},
        {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}, {"type": "Replace", "pattern": {"String": "th"}, "content": ""},
        {"type": "Replace", "pattern": {"Regex": "[\\r\\n]+|e"}, "content": "é!"},
    ]
    PRE_TOKENIZERS = [
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
        {"type": "Digits", "individual_digits": True}, {"type": "Digits", "individual_digits": False}, {"type": "Whitespace"},
        {"type": "WhitespaceSplit"}, {"type": "CharDelimiterSplit", "delimiter": "e"},
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True},
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False},
        {"type": "Metaspace", "replacement": "_", "prepend_scheme": "never", "split": True},
    ] + [
        {"type": "Punctuation", "behavior": behavior}
        for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")
    ] + [
        {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}
        for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")
        for pattern in ({"String": " "}, {"Regex": r"\s+|[aeiou]"}, {"Regex": r"\p{L}+"})
        for invert in (False, True)
    ]
    DECODERS = [
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}, {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0}, {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "Replace", "pattern": {"Regex": "[aeiou]+"}, "content": "_"}, {"type": "BPEDecoder", "suffix": "t"},
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True},
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": False},
    ]

    def random_value(self, rng):
        value = json.loads(json.dumps(rng.choice((self.spelled, self.bytes))))
        sequence = lambda kind, key, known, most: {"type": "Sequence", key: rng.sample(known, rng.randint(0, most))} if rng.random() < 0.8 else None
        value["normalizer"] = sequence("normalizer", "normalizers", self.NORMALIZERS, 3)
        value["pre_tokenizer"] = sequence("pre_tokenizer", "pretokenizers", self.PRE_TOKENIZERS, 3)
        value["decoder"] = sequence("decoder", "decoders", self.DECODERS, 4)
        model = value["model"]
        model["unk_token"] = rng.choice([None, "<unk>", "<unk>"])
        for flag in ("fuse_unk", "byte_fallback", "ignore_merges"):
            model[flag] = rng.random() < 0.5
        if rng.random() < 0.15:
            model["continuing_subword_prefix"] = "e"
            model["merges"] = [pair for pair in model["merges"] if pair[1].startswith("e") and pair[0] + pair[1][1:] in model["vocab"]]
        if rng.random() < 0.15:
            model["end_of_word_suffix"] = "t"
        size = len(model["vocab"])
        value["added_tokens"] = [
            {"id": size + i, "content": content, "special": rng.random() < 0.5, "normalized": rng.random() < 0.4,
             "single_word": rng.random() < 0.3, "lstrip": rng.random() < 0.4, "rstrip": rng.random() < 0.4}
            for i, content in enumerate(["<tool>", "<tool>>", "Cat", " sp ", "né", "▁xq", "<e>"])
        ]
        bos = {"id": "<s>", "ids": [1], "tokens": ["<s>"]}
        text, special = {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<s>", "type_id": 0}}
        value["post_processor"] = rng.choice([
            None, {"type": "TemplateProcessing", "single": rng.choice([[special, text, special], [text, special, text], [special]]),
                   "pair": [text, {"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": {"<s>": bos}},
            {"type": "RobertaProcessing", "sep": ["<s>", 1], "cls": ["<unk>", 0], "trim_offsets": False, "add_prefix_space": True},
            {"type": "BertProcessing", "sep": ["<s>", 1], "cls": ["<unk>", 0]},
        ])
        return value

    def test_random_pipelines(self):
        added = ["<tool>", "<tool>>", "Cat", "cat", " sp ", "né", "ne\u0301", "▁xq", "<e>", " <e>  "]
        for seed in range(int(os.environ.get("CADRE_RANDOM_PIPELINES", "80"))):
            rng = random.Random(seed)
            value = self.random_value(rng)
            described = {k: v for k, v in value.items() if k != "model"} | {k: v for k, v in value["model"].items() if k not in ("vocab", "merges")}
            with self.subTest(seed=seed, value=json.dumps(described, ensure_ascii=False)):
                self.compare_json(value, random_texts(150, added, seed=seed))


class OurTrainer(Compared):
    def test_tokenizers_loads_what_we_train(self):
        corpus = "".join(random_texts(200, ["x"], seed=5)) + "the cat sat on the mat. " * 50 + "<|endoftext|>the cat"
        run = lambda: subprocess.run(
            [PROBE, "--train", "600", "<|endoftext|>", "<|user|>"], input=corpus.encode(), capture_output=True, check=True
        ).stdout.decode()
        text = run()
        self.assertEqual(text, run())
        reference = Tokenizer.from_str(text)
        self.assertEqual(reference.token_to_id("<|endoftext|>"), 0)
        self.assertEqual(len(reference.encode(" the").ids), 1)
        value = json.loads(text)
        self.assertEqual(len(value["model"]["vocab"]), 600)
        self.compare_json(value, random_texts(500, ["<|endoftext|>", "<|user|>"]))


if __name__ == "__main__":
    unittest.main()
