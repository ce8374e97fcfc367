"""What a user would write with public libraries: PEFT's prompt tuning, and loops over tasks, seeds and texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from peft import PeftModel, PromptTuningConfig, TaskType, get_peft_model
from transformers import PreTrainedTokenizerBase, T5ForConditionalGeneration

Examples = Sequence[tuple[list[int], int]]
"""Token ids of a text in its template, and the token of the right answer."""


def with_prompt(model: T5ForConditionalGeneration, prompt: torch.Tensor) -> PeftModel:
    """Return the frozen model with PEFT's soft prompt, set to ``prompt`` [n, d]."""
    config = PromptTuningConfig(
        task_type=TaskType.SEQ_2_SEQ_LM, num_virtual_tokens=len(prompt), num_transformer_submodules=1
    )
    tuned = get_peft_model(model, config)
    with torch.no_grad():
        _table(tuned).weight.copy_(prompt)
    return tuned.eval()


def padded(examples: Examples, pad: int, device: torch.device) -> dict[str, torch.Tensor]:
    """Pad a batch to its longest text."""
    longest = max(len(ids) for ids, _ in examples)
    ids = torch.tensor([[*ids, *[pad] * (longest - len(ids))] for ids, _ in examples], device=device)
    return {"input_ids": ids, "attention_mask": (ids != pad).long()}


def loss(
    model: PeftModel, examples: Examples, prefix: list[int], pad: int, prompt: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the mean cross-entropy of the answers over the vocabulary, under ``prompt`` if it is given."""
    batch = padded(examples, pad, model.device)
    batch["decoder_input_ids"] = torch.tensor([prefix], device=model.device).expand(len(examples), -1)
    if prompt is None:
        logits = model(**batch).logits
    else:
        name = next(name for name, weight in model.named_parameters() if weight is _table(model).weight)
        logits = torch.func.functional_call(model, {name: prompt}, args=(), kwargs=batch).logits
    answers = torch.tensor([answer for _, answer in examples], device=model.device)
    return torch.nn.functional.cross_entropy(logits[:, -1].float(), answers)


def meta_gradient(
    model: PeftModel,
    tasks: Sequence[tuple[Examples, Examples]],
    alpha: float,
    prefix: list[int],
    pad: int,
    *,
    exact: bool,
) -> torch.Tensor:
    """Return the gradient of the summed query losses, one task after the other, [n, d]."""
    prompt = _table(model).weight
    total = torch.zeros_like(prompt)
    for support, query in tasks:
        (inner,) = torch.autograd.grad(loss(model, support, prefix, pad, prompt), prompt, create_graph=exact)
        adapted = prompt - alpha * inner
        if exact:
            total += torch.autograd.grad(loss(model, query, prefix, pad, adapted), prompt)[0]
        else:
            adapted = adapted.detach().requires_grad_()
            total += torch.autograd.grad(loss(model, query, prefix, pad, adapted), adapted)[0]
    return total.detach()


def tune(model: PeftModel, batches: Sequence[Examples], rate: float, prefix: list[int], pad: int) -> torch.Tensor:
    """Take an AdamW step for each batch and return the prompt, [n, d]."""
    weight = _table(model).weight
    weight.requires_grad_(True)
    optimizer = torch.optim.AdamW([weight], lr=rate, weight_decay=0.0)
    for batch in batches:
        loss(model, batch, prefix, pad).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return weight.detach().clone()


def classify(
    model: PeftModel,
    texts: Sequence[list[int]],
    tokenizer: PreTrainedTokenizerBase,
    prefix: list[int],
    batch_size: int,
    *,
    by_length: bool = False,
) -> list[str]:
    """Return the word that is generated for each text, greedily; texts of like length together if ``by_length``."""
    found = [""] * len(texts)
    order = np.argsort([len(ids) for ids in texts], kind="stable") if by_length else np.arange(len(texts))
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        batch = padded([(texts[row], 0) for row in rows], int(tokenizer.pad_token_id), model.device)
        begin = torch.tensor([prefix], device=model.device).expand(len(rows), -1)
        with torch.inference_mode():
            answers = model.generate(**batch, decoder_input_ids=begin, max_new_tokens=1, do_sample=False)
        for row, answer in zip(rows, answers[:, -1].tolist(), strict=True):
            found[row] = str(tokenizer.decode([answer]))
    return found


def _table(model: PeftModel) -> torch.nn.Embedding:
    table: torch.nn.Embedding = model.prompt_encoder["default"].embedding
    return table
