#!/usr/bin/env python3
"""Writes unicode_tables.inc: what the pinned `tokenizers` takes each code point for.

Its parts bring Unicode tables of different ages: regular expressions (Oniguruma), normalization (Unicode 9), lower case
and digits (Rust's own), punctuation (an older crate). So no table is taken from a file of Unicode's: every scalar value
is put through the library, and what comes out is stored.

    .venv/bin/python trainer/tokenizer/make_unicode_tables.py [--check]

Numbers are varints, packed with base64. A set: lengths of runs, out and in by turns, beginning with out. A map: for each
entry the distance from the entry before, the number of targets, and each target's distance from the entry (zigzag).
"""

import argparse
import base64
import pathlib
import sys
import unicodedata

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

SCALARS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
TEXT = "".join(map(chr, SCALARS))
CATEGORIES = (
    "Cn Cc Cf Co Ll Lm Lo Lt Lu Mc Me Mn Nd Nl No Pc Pd Pe Pf Pi Po Ps Sc Sk Sm So Zl Zp Zs".split()
)
SCRIPTS = "Han Hangul Hiragana Katakana".split()
HANGUL = range(0xAC00, 0xAC00 + 11172)


def varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def zigzag(number):
    return varint(number * 2 if number >= 0 else -number * 2 - 1)


def pack_set(members):
    out, inside, begin = bytearray(), False, 0
    flags = bytearray(0x110000)
    for c in members:
        flags[c] = 1
    for c in range(0x110000):
        if bool(flags[c]) != inside:
            out += varint(c - begin)
            inside, begin = not inside, c
    return bytes(out + varint(0x110000 - begin))


def pack_values(values):
    """Runs of (length, value) over 0 to 0x10FFFF."""
    out, begin = bytearray(), 0
    for c in range(1, 0x110001):
        if c == 0x110000 or values[c] != values[begin]:
            out += varint(c - begin) + varint(values[begin])
            begin = c
    return bytes(out)


def pack_map(mapping):
    out, before = bytearray(), 0
    for c in sorted(mapping):
        out += varint(c - before) + varint(len(mapping[c]))
        for target in mapping[c]:
            out += zigzag(target - c)
        before = c
    return bytes(out)


def matched(pattern):
    pieces = pre_tokenizers.Split(Regex(pattern), "removed", invert=True).pre_tokenize_str(TEXT)
    return [ord(c) for text, _ in pieces for c in text]


def alternating(splitter):
    """Members, for a splitter that cuts between members and others; U+0000 is no member."""
    members, inside = [], False
    for text, _ in splitter.pre_tokenize_str(TEXT):
        if inside:
            members += map(ord, text)
        inside = not inside
    return members


def word_characters():
    """Those that the pattern \\w+|[^\\w\\s]+ of Whitespace joins to an underscore."""
    members = []
    splitter = pre_tokenizers.Whitespace()
    for begin in range(0, len(SCALARS), 65536):
        part = SCALARS[begin : begin + 65536]
        for text, _ in splitter.pre_tokenize_str(" ".join(chr(c) + "_" for c in part)):
            if len(text) == 2 and text[1] == "_":
                members.append(ord(text[0]))
    return members


def mapping_of(normalizer):
    """What a normalizer makes of each code point that it changes, each between two line feeds."""
    out = {}
    asked = [c for c in SCALARS if c != 10]
    answers = normalizer.normalize_str("\n".join(map(chr, asked))).split("\n")
    assert len(answers) == len(asked)
    for c, answer in zip(asked, answers):
        if answer != chr(c):
            out[c] = [ord(x) for x in answer]
    return out


def combining_classes(canonical):
    """Python's classes, for those that the library orders; then every pair with each class is checked."""
    nfd = normalizers.NFD()
    low, high = "\u0334", "\u0301"  # classes 1 and 230
    asked = [c for c in SCALARS if c not in canonical and c not in HANGUL and c != 0x61]
    after = nfd.normalize_str("a".join(chr(c) + low for c in asked)).split("a")
    before = nfd.normalize_str("a".join(high + chr(c) for c in asked)).split("a")
    classes = {}
    for c, x, y in zip(asked, after, before):
        if x != chr(c) + low or (c == 0x334) or y != high + chr(c):
            classes[c] = unicodedata.combining(chr(c))
            assert classes[c] != 0, hex(c)
    representatives = {}
    for c, value in classes.items():
        representatives.setdefault(value, c)
    pairs = [(c, r) for c in classes for r in representatives.values()]
    pairs += [(r, c) for c, r in pairs]
    answers = nfd.normalize_str("a".join(chr(c) + chr(d) for c, d in pairs)).split("a")
    for (c, d), answer in zip(pairs, answers):
        swapped = classes[c] > classes[d]
        assert answer == (chr(d) + chr(c) if swapped else chr(c) + chr(d)), (hex(c), hex(d))
    return classes


def compositions(canonical):
    """(first, second) of each code point that NFC puts together, Hangul left out."""
    nfc = normalizers.NFC()
    out = {}
    for c, parts in canonical.items():
        if len(parts) < 2 or nfc.normalize_str("".join(map(chr, parts))) != chr(c):
            continue
        first = nfc.normalize_str("".join(map(chr, parts[:-1])))
        assert len(first) == 1 and nfc.normalize_str(first + chr(parts[-1])) == chr(c), hex(c)
        out[c] = [ord(first), parts[-1]]
    return out


def case_folds():
    """ASCII letter -> code points beyond ASCII that (?i:letter) matches."""
    out = {}
    for letter in range(ord("a"), ord("z") + 1):
        members = set(matched("(?i:%c)" % letter))
        assert members == set(matched("(?i:%c)" % (letter - 32)))
        assert {letter, letter - 32} <= members
        extra = sorted(members - {letter, letter - 32})
        if extra:
            out[letter] = extra
    return out


def tables():
    categories = bytearray(0x110000)
    count = 0
    for index, name in enumerate(CATEGORIES):
        for c in matched(r"\p{%s}" % name):
            categories[c] = index
            count += 1
    assert count == len(SCALARS)
    for major in "CLMNPSZ":
        want = {c for c in SCALARS if CATEGORIES[categories[c]][0] == major}
        assert set(matched(r"\p{%s}" % major)) == want, major
    yield "categories", pack_values(categories)
    yield "regex_space", pack_set(matched(r"\s"))
    yield "regex_word", pack_set(matched(r"\w"))
    assert set(matched(r"\d")) == {c for c in SCALARS if CATEGORIES[categories[c]] == "Nd"}
    for script in SCRIPTS:
        yield "script_" + script.lower(), pack_set(matched(r"\p{%s}" % script))
    spaces = set(SCALARS) - {ord(c) for text, _ in pre_tokenizers.WhitespaceSplit().pre_tokenize_str(TEXT) for c in text}
    yield "white_space", pack_set(spaces)
    yield "word", pack_set(word_characters())
    yield "numeric", pack_set(alternating(pre_tokenizers.Digits(individual_digits=False)))
    yield "punctuation", pack_set(alternating(pre_tokenizers.Punctuation("contiguous")))
    yield "case_folds", pack_map(case_folds())
    yield "lower", pack_map(mapping_of(normalizers.Lowercase()))
    canonical = {c: t for c, t in mapping_of(normalizers.NFD()).items() if c not in HANGUL}
    compatible = {c: t for c, t in mapping_of(normalizers.NFKD()).items() if c not in HANGUL}
    yield "canonical", pack_map(canonical)
    yield "compatible", pack_map({c: t for c, t in compatible.items() if t != canonical.get(c)})
    classes = combining_classes(canonical)
    values = bytearray(0x110000)
    for c, value in classes.items():
        values[c] = value
    yield "combining_classes", pack_values(values)
    yield "compositions", pack_map(compositions(canonical))


def render():
    lines = [
        "// Written by make_unicode_tables.py from tokenizers %s. Do not edit." % tokenizers.__version__,
        "",
        "// The general categories, in the order of their numbers in kCategories.",
        "constexpr std::string_view kCategoryNames[] = {%s};" % ", ".join('"%s"' % name for name in CATEGORIES),
    ]
    for name, packed in tables():
        text = base64.b64encode(packed).decode()
        camel = "".join(part.capitalize() for part in name.split("_"))
        lines += ["", "constexpr std::string_view k%s =" % camel]
        rows = [text[i : i + 112] for i in range(0, len(text), 112)]
        lines += ['    "%s"' % row for row in rows]
        lines[-1] += ";"
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    arguments = parser.parse_args()
    path = pathlib.Path(__file__).with_name("unicode_tables.inc")
    text = render()
    if not arguments.check:
        path.write_text(text)
    elif path.read_text() != text:
        sys.exit("%s differs from what tokenizers %s does" % (path, tokenizers.__version__))


if __name__ == "__main__":
    main()
