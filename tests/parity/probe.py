"""Runs our programs, probe_model and cadre, and hands back what they wrote."""

import functools
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import safetensors.torch
import torch
import yaml

torch.set_num_threads(1)

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
BUILD = pathlib.Path(os.environ.get("CADRE_BUILD", ROOT / "build"))
CADRE = BUILD / "cadre"
STORIES = DATA / "stories260k_hf"
BANKING = DATA / "banking77" / "train.csv"
IGNORED = -100


def find(program):
    """The program in the build folder, which may keep its tests in a folder of their own."""
    path = BUILD / program
    return path if path.exists() else next((p for p in sorted(BUILD.rglob(program)) if p.is_file()), path)


PROBE = find("probe_model")

needs_probe = unittest.skipUnless(PROBE.exists(), "probe_model is not built")
needs_cadre = unittest.skipUnless(CADRE.exists(), "cadre is not built")
needs_stories = unittest.skipUnless(STORIES.exists(), "../shared/data/stories260k_hf is absent")
needs_banking = unittest.skipUnless(BANKING.exists() and STORIES.exists(),
                                    "../shared/data/banking77 or stories260k_hf is absent")


class ProgramError(Exception):
    """A program ended with another code than 0."""


def run(command, timeout=300):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout,
                          env=environment)
    if done.returncode != 0:
        raise ProgramError(f"{command[0]} {command[1]} ended with {done.returncode}: {done.stderr.strip()[-600:]}")
    return done.stdout


def ask(verb, tensors, *options):
    """Tensors in, tensors out: one question to the probe."""
    with tempfile.TemporaryDirectory(prefix="cadre-probe-") as scratch:
        question, answer = pathlib.Path(scratch, "in.safetensors"), pathlib.Path(scratch, "out.safetensors")
        safetensors.torch.save_file(tensors, question)
        run([PROBE, verb, "--input", question, "--output", answer, *options])
        return safetensors.torch.load_file(answer)


def _model_options(model, adapter=None, dtype=None):
    options = ["--model", model]
    options += ["--adapter", adapter] if adapter is not None else []
    return options + (["--dtype", dtype] if dtype is not None else [])


def offsets_of(documents):
    return torch.tensor([0, *torch.tensor([len(d) for d in documents]).cumsum(0).tolist()])


def logits(model, documents, adapter=None, dtype=None, mutate=None):
    """Our logits of each document, a tensor each; all packed into one batch."""
    options = _model_options(model, adapter, dtype) + (["--mutate", mutate] if mutate else [])
    answer = ask("logits", {"input_ids": torch.cat(documents), "offsets": offsets_of(documents)}, *options)
    return list(answer["logits"].split([len(d) for d in documents]))


def gradients(model, documents, labels, micro_batches, adapter=None, checkpointing=False):
    """(loss, gradients by name) of the mean over all trained tokens; every weight's without an adapter.

    `micro_batches` are the document indices at which a new one begins, and their end.
    """
    options = _model_options(model, adapter) + ([] if adapter is not None else ["--full"])
    options += ["--checkpointing"] if checkpointing else []
    tensors = {"input_ids": torch.cat(documents), "labels": torch.cat(labels), "offsets": offsets_of(documents),
               "micro_batches": torch.tensor(micro_batches)}
    found = ask("gradients", tensors, *options)
    return found.pop("loss").item(), found


def train(folder, **config):
    """`cadre train` with this configuration; the steps' lines of metrics.jsonl."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({"output_dir": str(folder / "run"), **config}))
    run([CADRE, "train", path, "--quiet"])
    lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, lines) if "loss" in line]


def merge(run_folder, output):
    run([CADRE, "merge", run_folder, "--output", output])


def generate(model, prompt, **options):
    words = [word for key, value in options.items() for word in (f"--{key}", value)]
    return run([CADRE, "generate", model, "--prompt", prompt, *words])


@functools.cache
def mutations():
    """Names that the probe knows, from its source, so that none stays untested."""
    table = (ROOT / "tests" / "parity" / "probe_model.cpp").read_text().partition("kMutations")[2].partition("};\n\n")[0]
    names = {line.split('"')[1] for line in table.splitlines() if line.lstrip().startswith('{"')}
    return names | {"document_boundaries"}
