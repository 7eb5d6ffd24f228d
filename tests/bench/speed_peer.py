"""The peer: LoRA with transformers' Trainer and PEFT, as a program. Prints {"seconds", "losses"}, one a step.

    speed_peer.py MODEL ROWS.jsonl DTYPE ROWS_A_STEP STEPS THREADS
"""

import json
import sys
import tempfile
import time

import peft
import torch
import transformers

IGNORED = -100


class Stopwatch(transformers.TrainerCallback):
    def __init__(self):
        self.ends = []

    def on_train_begin(self, *_, **__):
        self.ends.append(time.perf_counter())

    def on_step_end(self, *_, **__):
        self.ends.append(time.perf_counter())

    def seconds(self):
        return [end - begin for begin, end in zip(self.ends, self.ends[1:])]


class InOrder(transformers.Trainer):
    def _get_train_sampler(self, *_):
        return torch.utils.data.SequentialSampler(self.train_dataset)


def pad(rows):
    longest = max(len(row["input_ids"]) for row in rows)

    def filled(name, value):
        return torch.tensor([row[name] + [value] * (longest - len(row[name])) for row in rows])

    return {"input_ids": filled("input_ids", 0), "labels": filled("labels", IGNORED),
            "attention_mask": torch.tensor([[1] * len(r["input_ids"]) + [0] * (longest - len(r["input_ids"]))
                                            for r in rows])}


def main(model_folder, rows_file, dtype, rows_a_step, steps, threads):
    torch.set_num_threads(int(threads))
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with open(rows_file, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    model = transformers.AutoModelForCausalLM.from_pretrained(model_folder, dtype=getattr(torch, dtype))
    model = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=16,
                                                       target_modules="all-linear"))
    stopwatch = Stopwatch()
    with tempfile.TemporaryDirectory() as scratch:
        arguments = transformers.TrainingArguments(
            output_dir=scratch, per_device_train_batch_size=int(rows_a_step), max_steps=int(steps), learning_rate=1e-4,
            lr_scheduler_type="cosine", max_grad_norm=1.0, optim="adamw_torch", use_cpu=True, save_strategy="no",
            logging_steps=1, report_to=[], disable_tqdm=True, dataloader_pin_memory=False)
        trainer = InOrder(model=model, args=arguments, train_dataset=rows, data_collator=pad, callbacks=[stopwatch])
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    print(json.dumps({"seconds": stopwatch.seconds(), "losses": [float(loss) for loss in losses]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
