"""What lets a frozen model multiply in bfloat16, under autocast.

torch's fused attention takes a processor up to twice as long in bfloat16 as in float32, and rounds more. So there only
the projections around it are multiplied in bfloat16.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "metapt_float32"


def multiply_in_bfloat16(model: PreTrainedModel, device: torch.device) -> None:
    """Keep the matrices of ``model`` in bfloat16, and on a processor compute attention in float32.

    Autocast caches casts of trainable weights only. The last matrix is left as it is, for it may be the table of word
    vectors too: prompts begin as those, the same at every precision.
    """
    last = model.get_output_embeddings()
    for module in model.modules():
        if isinstance(module, torch.nn.Linear) and module is not last:
            module.weight.data = module.weight.data.to(torch.bfloat16)
    if device.type == "cpu":
        AttentionInterface.register(NAME, _attention)
        AttentionMaskInterface.register(NAME, sdpa_mask)
        model.set_attn_implementation(NAME)


def _attention(
    module: torch.nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *rest: Any, **named: Any
) -> tuple[torch.Tensor, None]:
    with torch.autocast(query.device.type, enabled=False):
        return sdpa_attention_forward(module, query.float(), key.float(), value.float(), *rest, **named)
