"""The core primitive: a bank of soft prompts [R, n, d] over one frozen T5, and where prompts start.

The K adapted prompts of a meta step, the seeds of few-shot tuning, several initialisations side by side: all are one
bank and one batch, in which each example carries the number of the prompt that it runs with.
"""

from __future__ import annotations

import torch

from engine.backbones.load import Backbone
from engine.prompting.verbalizer import Verbalizer
from engine.settings import Initialisation


def prepend(
    bank: torch.Tensor, owner: torch.Tensor, embeddings: torch.Tensor, mask: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Put each example's soft prompt in front of its embedded text (section 3.2, ``[P; H(x)]``).

    Parameters
    ----------
    bank
        Soft prompts, float32 [R, n, d].
    owner
        Prompt of each example, int64 [B].
    embeddings, mask
        Embedded texts [B, L, d] and their mask int64 [B, L].

    Returns
    -------
    embeddings, mask
        [B, n + L, d] and [B, n + L]; the prompt is at positions 0..n-1 with mask one.
    """
    prompts = bank.index_select(0, owner)
    ones = mask.new_ones(mask.shape[0], bank.shape[1])
    return torch.cat([prompts, embeddings.to(prompts.dtype)], 1), torch.cat([ones, mask], 1)


def initial_prompt(
    kind: Initialisation, backbone: Backbone, verbalizer: Verbalizer, soft_tokens: int, seed: int
) -> torch.Tensor:
    """Return a starting prompt, float32 [n, d], on the backbone's device.

    Parameters
    ----------
    kind
        ``random``: normal with the mean and deviation of the embedding table's entries (the paper gives no scale);
        ``vocabulary``: vectors of tokens sampled without replacement from the table, sentinels and special tokens left
        out (Lester et al. 2021); ``label_text``: the vectors of the label words' tokens, repeated, the rest of the
        prompt as ``vocabulary``.
    soft_tokens
        n.
    seed
        Same seed, same prompt, on every device.
    """
    table = backbone.model.get_input_embeddings().weight.detach().to("cpu", torch.float32)
    generator = torch.Generator().manual_seed(seed)
    if kind == "random":
        noise = torch.randn(soft_tokens, table.shape[1], generator=generator)
        prompt = table.mean() + table.std() * noise
    else:
        special = set(backbone.tokenizer.all_special_ids)
        usable = torch.tensor([token for token in range(len(backbone.tokenizer)) if token not in special])
        order = torch.randperm(len(usable), generator=generator)
        prompt = table[usable[order[torch.arange(soft_tokens) % len(usable)]]]
        if kind == "label_text":
            words = [token for ids in verbalizer.tokens for token in ids]
            places = min(soft_tokens, len(words) * max(1, soft_tokens // (2 * len(words))))
            prompt[:places] = table[torch.tensor(words)[torch.arange(places) % len(words)]]
    return prompt.clone().to(backbone.device)
