"""Cross-attention for a decoder of a few tokens: the encoder's states are attended to as they are.

T5 projects every state of the encoder to a key and a value in every layer of the decoder, about a seventh of all its
work (2 of 14 d^2 a state and layer, with d_ff = 4 d), and then asks a few queries of them. But
``q . (K h) = (K' q) . h`` and ``sum a (V h) = V (sum a h)``: the few queries can be projected to the states instead,
and the few answers afterwards. What comes out is the same up to rounding.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import T5ForConditionalGeneration
from transformers.models.t5.modeling_t5 import T5Attention

CACHES = ("past_key_values", "past_key_value", "cache")


class FewQueriesAttention(T5Attention):
    """T5's attention, in another order when it attends to an encoder from so few places that it pays."""

    def forward(
        self,
        hidden_states: torch.Tensor,
        mask: torch.Tensor | None = None,
        key_value_states: torch.Tensor | None = None,
        position_bias: torch.Tensor | None = None,
        *rest: Any,
        **named: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """Attend from ``hidden_states`` [B, q, d] to ``key_value_states`` [B, s, d]; the rest as in transformers.

        A cross-attention has no position bias, so that of the layer before is handed on unseen. The cache of keys and
        values, if there is one, goes by another name in every other version of transformers.
        """
        heads, size = self.n_heads, self.key_value_proj_dim
        rows, queries, width = hidden_states.shape
        cached = any(value is not None for value in (*rest, *(named.get(name) for name in CACHES)))
        if key_value_states is None or cached or 2 * queries > size:
            found: tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None] = super().forward(
                hidden_states, mask, key_value_states, position_bias, *rest, **named
            )
            return found
        asked = self.q(hidden_states).view(rows * queries, heads, size).transpose(0, 1)  # [heads, B q, size]
        asked = asked @ self.k.weight.view(heads, size, width)
        asked = asked.view(heads, rows, queries, width).permute(1, 0, 2, 3)  # [B, heads, q, d]
        scores = asked.reshape(rows, heads * queries, width) @ key_value_states.transpose(1, 2) * self.scaling
        scores = scores.view(rows, heads, queries, -1)
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
        weights = torch.nn.functional.dropout(scores.softmax(-1), self.dropout, self.training)
        answers = weights.reshape(rows, heads * queries, -1).to(asked.dtype) @ key_value_states  # [B, heads q, d]
        answers = answers.view(rows, heads, queries, width).transpose(0, 1).reshape(heads, rows * queries, width)
        answers = answers @ self.v.weight.view(heads, size, width).transpose(1, 2)  # [heads, B q, size]
        answers = answers.view(heads, rows, queries, size).permute(1, 2, 0, 3)
        return self.o(answers.reshape(rows, queries, heads * size)), position_bias, None


def ask_few(model: T5ForConditionalGeneration) -> None:
    """Let the decoder's cross-attentions of ``model`` be `FewQueriesAttention`; its weights stay as they are."""
    blocks: Any = model.decoder.block
    for block in blocks:
        block.layer[1].EncDecAttention.__class__ = FewQueriesAttention
