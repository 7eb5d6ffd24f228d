"""Puts the base's answers beside the tuned model's: a letter for each of a few teams, then the share that is right, then
what each rank has computed.

    report.py test.jsonl base_answers.jsonl tuned_answers.jsonl RUN...
"""

import collections
import json
import os
import sys
from pathlib import Path

SHOWN = 3  # letters


def lines(path):
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def answer(row):
    """What the model wrote after the prompt, its first line."""
    return row["text"][len(row["prompt"]) :].strip().split("\n")[0]


def share(rows, answers):
    return sum(a == row["answer"].strip() for row, a in zip(rows, answers)) / len(rows)


def work(run):
    """Micro-batches by rank, as the ledger has them."""
    steps = lines(Path(run) / "ledger.jsonl")
    return collections.Counter(one["rank"] for step in steps for one in step["micro_batches"]), len(steps)


def main():
    rows = lines(sys.argv[1])
    base = [answer(row) for row in lines(sys.argv[2])]
    tuned = [answer(row) for row in lines(sys.argv[3])]
    assert len(rows) == len(base) == len(tuned), (len(rows), len(base), len(tuned))
    good, plain = ("\033[1;32m", "\033[0m") if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else ("", "")

    first_of_team = {row["answer"]: i for i, row in reversed(list(enumerate(rows)))}
    for i in sorted(first_of_team.values())[:SHOWN]:
        print(f"\n  {rows[i]['prompt'].splitlines()[0]}")
        print(f"    expected   {rows[i]['answer'].strip()}")
        print(f"    base       {base[i][:70] or '(nothing)'}")
        print(f"    tuned      {tuned[i][:70] or '(nothing)'}")
    print(f"\n  right on {len(rows)} letters that neither has seen:  base {share(rows, base):.0%}   "
          f"{good}tuned {share(rows, tuned):.0%}{plain}\n")

    print("  run    steps  rank  micro-batches")
    for run in sys.argv[4:]:
        shares, steps = work(run)
        for i, rank in enumerate(sorted(shares)):
            print(f"  {'' if i else Path(run).name:5}  {'' if i else steps:5}  {rank:4}  {shares[rank]:13}")
    print()


if __name__ == "__main__":
    main()
