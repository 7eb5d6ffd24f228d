#!/usr/bin/env python3
"""What tokenizer_bench measures, by `tokenizers` on one thread; the ratio too where the program is named.

    tokenizer_peer.py FOLDER TEXT_FILE [PASSES] [--against build/tokenizer_bench]
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

from tokenizers import Tokenizer, decoders, models, pre_tokenizers  # noqa: E402


def load(folder):
    if (folder / "tokenizer.json").exists():
        return Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("text", type=pathlib.Path)
    parser.add_argument("passes", type=int, nargs="?", default=3)
    parser.add_argument("--against", type=pathlib.Path)
    options = parser.parse_args()
    tokenizer = load(options.folder)
    lines = options.text.read_text().split("\n")
    size = options.text.stat().st_size / 1e6
    peer, ours = [], []
    for _ in range(options.passes):
        begin = time.thread_time()
        tokens = sum(len(e.ids) for e in tokenizer.encode_batch_fast(lines, add_special_tokens=False))
        peer.append(size / (time.thread_time() - begin))
        if options.against:  # interleaved, so that both see the same machine
            out = subprocess.run([options.against, options.folder, options.text, "3"], capture_output=True, check=True).stdout
            for line in map(json.loads, out.decode().split("\n")[:-1]):
                if line["name"] == "encode":
                    ours.append(line["mb_per_second"])
                    assert line["tokens"] == tokens, (line["tokens"], tokens)
    result = {"name": "tokenizers", "mb_per_second": round(statistics.median(peer), 2), "tokens": tokens}
    if ours:
        result["ours"] = statistics.median(ours)
        result["ratio"] = round(statistics.median(ours) / statistics.median(peer), 1)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
