"""The peer of recovery_times.py, one rank of it, under torchrun: DistributedDataParallel over gloo, a checkpoint at
every step, and rank 1 kills itself with SIGKILL in the middle of a step, KILLS times, once in an incarnation of the
group.

    torchrun --nproc-per-node N --max-restarts R recovery_peer.py MODEL ROWS.jsonl ROWS_A_STEP KILLS FOLDER

FOLDER/killed.jsonl and done.jsonl get a line, {"step", "time"}, for each kill and for each step that has ended: all
ranks have stepped, and the checkpoint is on disk."""

import datetime
import json
import os
import pathlib
import signal
import sys
import time

import torch
import torch.distributed
import transformers

STEPS_BETWEEN = 4  # kills
TIMEOUT = datetime.timedelta(seconds=60)  # of a group; 30 min by default


def note(path, step):
    with open(path, "a", encoding="utf-8") as out:
        out.write(json.dumps({"step": step, "time": time.time()}) + "\n")


def pad(rows):
    longest = max(len(row["input_ids"]) for row in rows)

    def filled(name, value):
        return torch.tensor([row[name] + [value] * (longest - len(row[name])) for row in rows])

    return {"input_ids": filled("input_ids", 0), "labels": filled("labels", -100),
            "attention_mask": torch.tensor([[1] * len(row["input_ids"]) + [0] * (longest - len(row["input_ids"]))
                                            for row in rows])}


def main(model_folder, rows_file, rows_a_step, kills, folder):
    folder, rows_a_step = pathlib.Path(folder), int(rows_a_step)
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", timeout=TIMEOUT)
    rank, ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
    killed = folder / "killed.jsonl"
    is_victim = rank == 1 and (len(killed.read_text().splitlines()) if killed.exists() else 0) < int(kills)
    with open(rows_file, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    model = torch.nn.parallel.DistributedDataParallel(
        transformers.AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    checkpoint, first = folder / "checkpoint.pt", 0
    if checkpoint.exists():
        state = torch.load(checkpoint)
        model.module.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    for step in range(first + 1, first + STEPS_BETWEEN + 1):
        batch = [rows[(step * rows_a_step + i) % len(rows)] for i in range(rank, rows_a_step, ranks)]
        loss = model(**pad(batch)).loss
        if is_victim and step == first + STEPS_BETWEEN:
            note(killed, step)
            os.kill(os.getpid(), signal.SIGKILL)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if rank == 0:
            new = checkpoint.with_suffix(".new")
            torch.save({"model": model.module.state_dict(), "optimizer": optimizer.state_dict(), "step": step}, new)
            new.replace(checkpoint)
        torch.distributed.barrier()
        if rank == 0:
            note(folder / "done.jsonl", step)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
