"""What transformers and peft compute: logits and gradients of documents.

Always with eager attention, since sdpa leaves out Gemma 2's softcap.
"""

import contextlib
import io
import logging
import warnings

import peft
import torch
import transformers

from probe import IGNORED

transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()


def load(folder, dtype=torch.float32, adapter=None, trainable=False):
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager")
    return (model if adapter is None else with_adapter(model, adapter, trainable)).eval()


def with_adapter(model, adapter, trainable=False):
    return peft.PeftModel.from_pretrained(model, adapter, is_trainable=trainable).eval()


@contextlib.contextmanager
def listening():
    """Collects what the libraries have to say: warnings, log records and words on stderr."""
    said, heard = [], io.StringIO()
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())
    loggers = [logging.getLogger(), logging.getLogger("transformers"), logging.getLogger("peft")]
    transformers.utils.logging.set_verbosity_warning()
    for logger in loggers:
        logger.addHandler(handler)
    try:
        with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stderr(heard):
            warnings.simplefilter("always")
            yield said
    finally:
        transformers.utils.logging.set_verbosity_error()
        for logger in loggers:
            logger.removeHandler(handler)
        said += [str(w.message) for w in caught] + heard.getvalue().splitlines()


def _forget_longer_documents(model):
    """Dynamic RoPE keeps the frequencies of the longest sequence so far until it sees a short one."""
    if "dynamic" in str(model.config.rope_parameters):
        model(input_ids=torch.zeros((1, 1), dtype=torch.long), use_cache=False)


def of_document(model, document):
    _forget_longer_documents(model)
    return model(input_ids=document[None], use_cache=False).logits[0].float()


@torch.no_grad()
def alone(model, documents):
    return [of_document(model, document) for document in documents]


@torch.no_grad()
def packed(model, documents):
    """All in one row, told apart by restarted positions: no mask and no cache, else documents leak."""
    positions = torch.cat([torch.arange(len(d)) for d in documents])
    result = model(input_ids=torch.cat(documents)[None], position_ids=positions[None], use_cache=False).logits[0]
    return list(result.float().split([len(d) for d in documents]))


@torch.no_grad()
def padded(model, documents):
    """A row each, padded on the right; the real positions alone."""
    longest = max(len(d) for d in documents)
    ids = torch.zeros((len(documents), longest), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, document in enumerate(documents):
        ids[row, :len(document)] = document
        mask[row, :len(document)] = 1
    result = model(input_ids=ids, attention_mask=mask, use_cache=False).logits.float()
    return [result[row, :len(document)] for row, document in enumerate(documents)]


def loss_of(model, documents, labels):
    """Sum over all trained tokens divided by their number."""
    total, trained = 0.0, sum(int((label[1:] != IGNORED).sum()) for label in labels)
    for document, label in zip(documents, labels):
        total = total + torch.nn.functional.cross_entropy(of_document(model, document)[:-1], label[1:],
                                                          ignore_index=IGNORED, reduction="sum")
    return total / trained


def saved_name(name):
    """A parameter of a model in memory → its name in the file that PEFT writes."""
    name = name.replace(".modules_to_save.default", "").replace(".default", "")
    return name.removesuffix(".weight") if name.endswith("lora_magnitude_vector.weight") else name


def gradients(model, documents, labels):
    """(loss, gradients by saved name) of whatever requires a gradient."""
    model.zero_grad()
    loss = loss_of(model, documents, labels)
    loss.backward()
    return loss.item(), {saved_name(n): p.grad for n, p in model.named_parameters() if p.requires_grad}
