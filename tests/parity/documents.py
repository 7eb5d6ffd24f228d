"""Rows that the parity tests feed to both sides."""

import csv
import random

import tokenizers
import torch

from probe import BANKING, IGNORED, STORIES

# Longer than the sliding window and than the original length of scaled RoPE, shorter than both, and one of one token.
LENGTHS = (9, 90, 41, 1, 24)


def random_documents(vocabulary, lengths=LENGTHS, seed=5, first=1):
    """Without token 0, which the tiny models pad with: its embedding is a case of its own."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(first, vocabulary, (length,), generator=generator) for length in lengths]


def partly_trained(documents, seed=6):
    """Labels of which each document trains another share, so that a mean of means is not the mean."""
    generator = torch.Generator().manual_seed(seed)
    labels = []
    for index, document in enumerate(documents):
        trained = torch.rand(len(document), generator=generator) < (0.9, 0.15, 0.5)[index % 3]
        labels.append(torch.where(trained, document, IGNORED))
    return labels


def banking_texts(rows, seed=7):
    """(prompt, answer) of shuffled rows: the file is sorted by intent."""
    with open(BANKING, encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    random.Random(seed).shuffle(found)
    return [(f"Question: {row['text']}\nIntent:", f" {row['category']}") for row in found[:rows]]


def banking_rows(rows, longest=120):
    """banking77 in stories260k's tokens: [{"input_ids", "labels"}], the prompt not trained."""
    tokenizer = tokenizers.Tokenizer.from_file(str(STORIES / "tokenizer.json"))
    result = []
    for prompt, answer in banking_texts(4 * rows):
        prompt_ids = tokenizer.encode(prompt).ids
        answer_ids = tokenizer.encode(answer, add_special_tokens=False).ids + [tokenizer.token_to_id("</s>")]
        if len(prompt_ids) + len(answer_ids) <= longest:
            result.append({"input_ids": prompt_ids + answer_ids,
                           "labels": [IGNORED] * len(prompt_ids) + answer_ids})
    return result[:rows]
