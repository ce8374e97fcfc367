"""The first layer's queries, keys and values, looked up instead of computed place by place.

T5 adds no position to its embeddings, so what the encoder's first layer projects depends on the token alone: a token
that occurs a hundred times in a batch, and a soft prompt that many texts share, need it once. The words of the text
are constant under a frozen backbone, so nothing has to be differentiated for them either. The projections are a
quarter of a layer's work (3 of 12 d^2 with d_ff = 4 d). What comes out is the same up to rounding.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import T5ForConditionalGeneration


class _Known(threading.local):
    """Outcomes of projections in the pass that this thread is at."""

    def __init__(self) -> None:
        self.rows: dict[torch.nn.Module, torch.Tensor] = {}


_known = _Known()


class LookedUpLinear(torch.nn.Linear):
    """A projection whose outcome may be known already."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return what is known [B, s, d'], or the projection of ``input`` [B, s, d]."""
        rows = _known.rows.get(self)
        return super().forward(input) if rows is None else rows


def look_up(model: T5ForConditionalGeneration) -> None:
    """Let the first layer's projections of ``model`` be `LookedUpLinear`; its weights stay as they are."""
    for linear in _projections(model):
        linear.__class__ = LookedUpLinear


@contextmanager
def looked_up(
    model: T5ForConditionalGeneration, bank: torch.Tensor, owner: torch.Tensor, ids: torch.Tensor
) -> Iterator[None]:
    """Give the first layer what it will ask for, for one pass over the soft prompts and texts in that order.

    Parameters
    ----------
    model
        One that `look_up` has prepared, without dropout.
    bank, owner, ids
        Soft prompts [R, n, d], the prompt of each text int64 [B], and the texts' tokens int64 [B, L].
    """
    blocks: Any = model.encoder.block
    layer = blocks[0].layer[0]
    if ids.device.type == "cpu":
        words, places = ids.unique(return_inverse=True)
    else:  # counting the distinct tokens would make the host wait for the card
        words, places = ids, None
    bank = bank.view_as(bank)  # torch's counter of operations takes no leaf that enters a module
    prompts, words = layer.layer_norm(bank), layer.layer_norm(model.get_input_embeddings()(words))
    projections = _projections(model)
    found = {}  # all of them before any is given: memory that is exhausted on the way leaves the model as it was
    for linear in projections:
        projected = linear(words)
        projected = projected if places is None else torch.nn.functional.embedding(places, projected)
        found[linear] = torch.cat([linear(prompts).index_select(0, owner), projected], 1)
    _known.rows = found
    try:
        yield
    finally:
        _known.rows = {}


def _projections(model: T5ForConditionalGeneration) -> list[Any]:
    blocks: Any = model.encoder.block
    attention = blocks[0].layer[0].SelfAttention
    return [attention.q, attention.k, attention.v]
