"""Character classes, regular expressions and normalization against `tokenizers`, on all 1,112,064 scalar values."""

import json
import random
import struct
import subprocess
import unittest

from tokenizers import Regex, normalizers, pre_tokenizers

from test_tokenizer import LLAMA3, O200K, PROBE, QWEN2, random_texts

SCALARS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
EVERY = "".join(map(chr, SCALARS))

CLASSES = (
    [r"\p{%s}" % name for name in "L M N P S Z C Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp".split()]
    + [r"\p{%s}" % name for name in "Cc Cf Co Cn Han Hangul Hiragana Katakana Letter any".split()]
    + [r"\s", r"\S", r"\w", r"\W", r"\d", r"\D", r"\h", r"\H", r".", r"[^\s\p{L}\p{N}]", r"\P{L}", r"\p{^N}"]
    + [r"(?i:%s)" % letter for letter in "abcdefghijklmnopqrstuvwxyzKS'"]
    + [r"(?i:[a-z])", r"(?i:[^a-z])", r"[\p{L}&&[^\p{Han}]]", r"[^\p{L}&&[^a-z]]", r"\v", r"[\b]", r"\a", r"\e"]
)

PATTERNS = [
    LLAMA3, QWEN2, O200K,
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"\p{N}{1,3}", r"\p{N}{1,3}(?=(?:\p{N}{3})*(?:\P{N}|$))", r"[一-龥぀-ゟ゠-ヿ]+", r"\s?\p{L}+|\s?\p{P}+", r"[\r\n]", r" {2,}",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"a*", r"a*?", r"(?:ab|a)(?:bc|c)?", r"(a|ab)(c|bcd)(d*)", r"\s*", r"x*|e", r"(?:)", r"|a", r"a|",
    r"^.", r"$", r"^", r"\A.", r".\z", r"\Z", r"\b", r"\B", r"\bt\w*", r"e\b", r"(?<=t)h", r"(?<!t)h", r"(?<=\s)\S", r"(?<=ab|c)\w",
    r"(?>\s+)\S", r"\s++\S", r"\s*+.", r"e?+e", r"[a-y&&[^aeiou]]+", r"[^a-z\d]+", r"[a-c[x-z]]+", r"[\]\-a]+", r"[a-]+", r"\.|\+|\?",
    r"(?:e|o){2,3}?", r"(?:[aeiou][^aeiou]){2,}", r"(?:\w+\s)*?\d", r"(?:(?:a|e)*t)+", r"(?:e?)*t", r"(?:e*)+", r"(?i:don't|I've)",
    r"(?i:a(?-i:b)c)|t", r"\x41|\x{1F600}|\u00e9", r"\n|\t|\r|\f", r"(?=t)", r"(?!t).", r"[^\n]*\n?", r".+?(?:\s|$)", r"\d{2}", r"\d{,2}",
    r"(?:a|b|c)+d?", r"[\s\S]", r"[^\S\n]+", r"(?<=(?:a|e)t)\s", r"e{0}", r"e{0,1}t", r"}", r"(?:t|th|the)\b", r"\P{^L}+", r"(?=.*\d)\w",
]


def run(*arguments, stdin=b""):
    done = subprocess.run([PROBE, *arguments], input=stdin, capture_output=True)
    if done.returncode != 0:
        raise AssertionError("%s: %s" % (arguments, done.stderr.decode()))
    return done.stdout


def pack(texts):
    return b"".join(struct.pack("<I", len(t)) + t for t in (text.encode() for text in texts))


def matches(pattern, texts):
    return [json.loads(line) for line in run("--matches", pattern, stdin=pack(texts)).decode().split("\n")[:-1]]


class Unicode(unittest.TestCase):
    def test_classes(self):
        text = EVERY.encode()
        for pattern in CLASSES:
            with self.subTest(pattern=pattern):
                # The text holds each value once, in order: what is left without a class tells the class.
                end, left = 0, []
                for match in matches("(?:%s)+" % pattern, [EVERY])[0]:
                    left.append(text[end:match[0]])
                    end = match[1]
                left.append(text[end:])
                want = normalizers.Replace(Regex(pattern), "").normalize_str(EVERY)
                self.assertTrue(b"".join(left).decode() == want)

    def test_sets(self):
        whole = {name: set() for name in ("white_space", "word", "numeric", "punctuation")}
        for name in whole:
            for begin, end in json.loads(run("--set", name)):
                whole[name].update(range(begin, end))
        scalars = set(SCALARS)
        kept = {ord(c) for text, _ in pre_tokenizers.WhitespaceSplit().pre_tokenize_str(EVERY) for c in text}
        self.assertEqual(whole["white_space"] & scalars, scalars - kept)
        for name, splitter in (("numeric", pre_tokenizers.Digits()), ("punctuation", pre_tokenizers.Punctuation("contiguous"))):
            with self.subTest(name):
                want = [ord(c) for text, _ in splitter.pre_tokenize_str(EVERY)[1::2] for c in text]
                self.assertEqual(sorted(whole[name] & scalars), want)
        splitter = pre_tokenizers.Whitespace()
        for begin in range(0, len(SCALARS), 65536):
            part = SCALARS[begin : begin + 65536]
            pieces = splitter.pre_tokenize_str(" ".join(chr(c) + "_" for c in part))
            want = [ord(text[0]) for text, _ in pieces if len(text) == 2 and text[1] == "_"]
            self.assertEqual([c for c in part if c in whole["word"]], want)

    def test_normalization(self):
        rng = random.Random(11)
        marks = [c for c in SCALARS if c < 0x20000 and normalizers.NFD().normalize_str("a" + chr(c) + "\u0334") != "a" + chr(c) + "\u0334"]
        bases = [c for c in SCALARS if c < 0x30000 and normalizers.NFD().normalize_str(chr(c)) != chr(c)] + [ord(c) for c in "aeiou<>=가각한"]
        hangul = list(range(0x1100, 0x1200)) + list(range(0xAC00, 0xAC40))
        tangled = []
        for _ in range(60000):
            tangled.append("".join(chr(rng.choice(rng.choice((marks, bases, hangul)))) for _ in range(rng.randint(1, 6))))
        for text in ("\n".join(map(chr, SCALARS)), "\n".join(tangled), "\u0301\u0334" + EVERY):
            for form in ("NFC", "NFD", "NFKC", "NFKD"):
                with self.subTest(form=form, text=text[:20]):
                    ours = run("--normalize", form, stdin=text.encode()).decode()
                    self.assertTrue(ours == getattr(normalizers, form)().normalize_str(text))
            with self.subTest(form="lower", text=text[:20]):
                self.assertTrue(run("--normalize", "lower", stdin=text.encode()).decode() == normalizers.Lowercase().normalize_str(text))

    def test_regular_expressions(self):
        texts = [t for t in random_texts(600, ["the cat sat", "abc abcd tttt", "1234567 12"], seed=9) if t]
        for pattern in PATTERNS:
            with self.subTest(pattern=pattern):
                splitter = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
                for text, ours in zip(texts, matches(pattern, texts)):
                    starts, at = {0: 0}, 0
                    for i, c in enumerate(text):
                        at += len(c.encode())
                        starts[at] = i + 1
                    got = [(starts[b], starts[e]) for b, e in ours if b < e]
                    self.assertEqual(got, [span for _, span in splitter.pre_tokenize_str(text)], repr(text))
                # Empty matches show in where they cut.
                isolated = pre_tokenizers.Split(Regex(pattern), "isolated")
                for text, ours in zip(texts, matches(pattern, texts)):
                    cuts = {0, len(text.encode())} | {x for span in ours for x in span}
                    starts, at = {0}, 0
                    for piece, _ in isolated.pre_tokenize_str(text):
                        at += len(piece.encode())
                        starts.add(at)
                    self.assertEqual(cuts, starts, repr(text))


if __name__ == "__main__":
    unittest.main()
