"""Writes the quickstart's data: text for a small base model, and a task with a held-out set.

The text is letters to a help desk with replies. The task is to say which team a letter is for. Everything is made from
the phrases below with a fixed seed; the held-out letters use pairs of opening and problem that no other letter has,
neither those of the task nor those of the base model's text.

    make_data.py FOLDER   writes corpus.txt, corpus.jsonl, train.jsonl, test.jsonl, prompts.jsonl
"""

import json
import random
import sys
from pathlib import Path

OPENINGS = ["Hello,", "Good morning,", "Hi there,", "Dear team,", "Excuse me,", "Good evening,", "Hello again,", "Hi,"]
CLOSINGS = ["Please help.", "What can I do?", "Thank you.", "Can you look at it?", "I need an answer soon.", "Many thanks."]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "last week", "yesterday", "this morning"]
THINGS = ["lamp", "kettle", "chair", "radio", "coat", "clock", "desk", "phone", "tent", "bicycle"]

PROBLEMS = {
    "billing": [
        "I was charged twice for the {thing} on {day}",
        "the invoice for my {thing} shows the wrong price",
        "my payment for the {thing} was taken {day} but is not on the bill",
        "you billed me for a {thing} that I never ordered",
        "the discount is missing from my invoice of {day}",
        "I paid too much for the {thing} and want to know why",
    ],
    "delivery": [
        "my {thing} has not arrived since {day}",
        "the driver left my {thing} at the wrong house {day}",
        "the parcel with the {thing} is stuck on the way",
        "nobody came with my {thing} on {day}",
        "can the {thing} be brought on another day than {day}",
        "the tracking page has not moved since {day}",
    ],
    "returns": [
        "I want to send the {thing} back",
        "the {thing} is too small and I would like to exchange it",
        "how do I return the {thing} that I bought {day}",
        "the {thing} is not what I expected and I do not want to keep it",
        "where is the return label for my {thing}",
        "I sent the {thing} back {day} and wait for the exchange",
    ],
    "account": [
        "I forgot my password {day}",
        "my account is locked since {day}",
        "how can I change the email address of my account",
        "I cannot log in to see my order of the {thing}",
        "please delete my account and my data",
        "the code to log in never reached me {day}",
    ],
    "repairs": [
        "the {thing} stopped working {day}",
        "my {thing} makes a strange noise",
        "the {thing} does not switch on any more",
        "a part of the {thing} broke off {day}",
        "the {thing} gets too hot after an hour",
        "there is a crack in the {thing} that I opened {day}",
    ],
}

REPLIES = {
    "billing": ["We will check the payment for your {thing} and write to you.", "We are sorry, the bill will be corrected."],
    "delivery": ["Your {thing} is on its way and should be there soon.", "We asked the driver and will call you."],
    "returns": ["Please put the {thing} into its box and wait for the label.", "You can send it back at any time."],
    "account": ["We sent you a message to open your account again.", "Please try the link in the message."],
    "repairs": ["We will send somebody to look at your {thing}.", "Please bring the {thing} to the shop."],
}

# Words that the base should know before it is asked for them; they say nothing about the letter.
NOTICES = ["The {team} desk is open on {day}.", "Ask the {team} desk if you need more.", "Our {team} desk is closed {day}."]


def letter(rng, opening, problem, thing):
    return f"{opening} {problem.format(thing=thing, day=rng.choice(DAYS))}. {rng.choice(CLOSINGS)}"


def prompt(text):
    return f"Letter: {text}\nTeam:"


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(2026)

    pairs = [(team, opening, problem) for team in PROBLEMS for opening in OPENINGS for problem in PROBLEMS[team]]
    rng.shuffle(pairs)
    held_out = pairs[: len(pairs) // 5]
    kept = pairs[len(pairs) // 5 :]

    corpus = []
    for _ in range(4000):
        team, opening, problem = rng.choice(kept)
        thing = rng.choice(THINGS)
        text = letter(rng, opening, problem, thing)
        reply = rng.choice(REPLIES[team]).format(thing=thing)
        notice = rng.choice(NOTICES).format(team=rng.choice(list(PROBLEMS)), day=rng.choice(DAYS))
        corpus.append(f"Letter: {text}\nReply: {reply} {notice}")

    def rows(chosen, times):
        made = [
            {"prompt": prompt(letter(rng, opening, problem, rng.choice(THINGS))), "answer": f" {team}"}
            for _ in range(times)
            for team, opening, problem in chosen
        ]
        rng.shuffle(made)
        return made

    train, test = rows(kept, 4), rows(held_out, 2)

    (folder / "corpus.txt").write_text("\n".join(corpus) + "\n", encoding="utf-8")
    for name, lines in {
        "corpus.jsonl": [{"text": text} for text in corpus],
        "train.jsonl": train,
        "test.jsonl": test,
        "prompts.jsonl": [{"prompt": row["prompt"]} for row in test],
    }.items():
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
