"""Ten optimizer steps in plain Python: what `cadre train` is compared with."""

import dataclasses

import peft
import torch
import transformers
from peft.optimizers import create_loraplus_optimizer

import reference


@dataclasses.dataclass(frozen=True)
class Recipe:
    steps: int = 10
    rows_per_step: int = 4
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    warmup_steps: int = 2
    max_grad_norm: float = 0.5
    loraplus_lr_ratio: float | None = None

    def as_config(self):
        """The same in the words of a run's configuration."""
        config = {"max_steps": self.steps, "global_batch_size": self.rows_per_step, "lr_scheduler": "cosine",
                  "learning_rate": self.learning_rate, "weight_decay": self.weight_decay,
                  "warmup_steps": self.warmup_steps, "max_grad_norm": self.max_grad_norm, "shuffle": False,
                  "sample_packing": False, "logging_steps": 1, "bf16": False}
        if self.loraplus_lr_ratio is not None:
            config["loraplus_lr_ratio"] = self.loraplus_lr_ratio
        return config


@dataclasses.dataclass
class Outcome:
    losses: list
    norms: list
    learning_rates: list
    result: dict  # trained tensors under their saved names


def make_optimizer(model, recipe):
    if recipe.loraplus_lr_ratio is not None:
        return create_loraplus_optimizer(model, torch.optim.AdamW, lr=recipe.learning_rate,
                                         loraplus_lr_ratio=recipe.loraplus_lr_ratio,
                                         loraplus_weight_decay=recipe.weight_decay)
    # Which parameters decay is the Trainer's own rule; it asks nothing of the trainer itself.
    decaying = set(transformers.Trainer.get_decay_parameter_names(None, model))
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    groups = [{"params": [p for n, p in trained if n in decaying], "weight_decay": recipe.weight_decay},
              {"params": [p for n, p in trained if n not in decaying], "weight_decay": 0.0}]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=recipe.learning_rate)


def result_of(model):
    if isinstance(model, peft.PeftModel):
        state = peft.get_peft_model_state_dict(model)
    else:
        state = dict(model.named_parameters())
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def train(folder, adapter, rows, recipe, dtype=torch.float32):
    """Takes `rows` in order, again from the first when they end; full fine-tuning without an adapter."""
    model = reference.load(folder, dtype, adapter, trainable=True)
    optimizer = make_optimizer(model, recipe)
    schedule = transformers.get_cosine_schedule_with_warmup(optimizer, recipe.warmup_steps, recipe.steps)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    outcome = Outcome([], [], [], {})
    for step in range(recipe.steps):
        batch = [rows[(step * recipe.rows_per_step + i) % len(rows)] for i in range(recipe.rows_per_step)]
        documents = [torch.tensor(row["input_ids"]) for row in batch]
        labels = [torch.tensor(row["labels"]) for row in batch]
        optimizer.zero_grad()
        loss = reference.loss_of(model, documents, labels)
        loss.backward()
        outcome.losses.append(loss.item())
        outcome.norms.append(torch.nn.utils.clip_grad_norm_(parameters, recipe.max_grad_norm).item())
        outcome.learning_rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    outcome.result = result_of(model)
    return outcome
