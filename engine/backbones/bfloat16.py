"""Attention in float32 between matrices in bfloat16, for processors.

torch's fused attention takes a processor up to twice as long in bfloat16 as in float32, and rounds more. So only the
projections around it are multiplied in bfloat16.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, T5ForConditionalGeneration
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "metapt_float32"


def attend_in_float32(model: T5ForConditionalGeneration) -> None:
    """Let all attention of ``model`` be computed in float32, whatever the precision around it."""
    AttentionInterface.register(NAME, _attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)


def _attention(
    module: torch.nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *rest: Any, **named: Any
) -> tuple[torch.Tensor, None]:
    with torch.autocast(query.device.type, enabled=False):
        return sdpa_attention_forward(module, query.float(), key.float(), value.float(), *rest, **named)
