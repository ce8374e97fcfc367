"""Attending to the encoder's states as they are comes to the same as T5's own way."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

from engine.backbones.cross_attention import FewQueriesAttention, ask_few

SHAPE = {"d_model": 32, "d_kv": 12, "d_ff": 64, "num_layers": 2, "num_heads": 3, "vocab_size": 50}


@pytest.fixture(params=["sdpa", "eager"])
def models(request: pytest.FixtureRequest) -> tuple[T5ForConditionalGeneration, T5ForConditionalGeneration]:
    """A T5 and the same one with the other order."""
    torch.manual_seed(0)
    config = T5Config(**SHAPE, decoder_start_token_id=0, dropout_rate=0.0)
    plain = T5ForConditionalGeneration._from_config(config, attn_implementation=request.param).eval()
    for weight in plain.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    other = copy.deepcopy(plain)
    ask_few(other)
    return plain, other


def outcome(model: T5ForConditionalGeneration, tokens: int, padded: bool) -> list[torch.Tensor]:
    """Return logits, and the gradients of a loss with respect to the encoder's input and to a key projection."""
    generator = torch.Generator().manual_seed(1)
    embedded = torch.randn(3, 11, 32, generator=generator).requires_grad_()
    mask = torch.ones(3, 11, dtype=torch.long)
    if padded:
        mask[1, 6:] = 0
    ids = torch.randint(1, 50, (3, tokens), generator=generator)
    logits = model(inputs_embeds=embedded, attention_mask=mask, decoder_input_ids=ids, use_cache=False).logits
    loss = torch.nn.functional.cross_entropy(logits[:, -1], torch.tensor([1, 2, 3]))
    keys = model.decoder.block[0].layer[1].EncDecAttention.k.weight
    return [logits.detach(), *torch.autograd.grad(loss, (embedded, keys))]


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("tokens", [1, 2, 6, 7])
def test_values_and_gradients_are_those_of_transformers(models, tokens, padded):
    for mine, theirs in zip(outcome(models[1], tokens, padded), outcome(models[0], tokens, padded), strict=True):
        assert theirs.norm() > 1e-3
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5 * float(theirs.abs().max()))


def test_few_queries_project_no_state_of_the_encoder_and_many_do(models):
    """Two tokens cost less than T5's way, in operations; with more than half a head's size of them it is T5's way."""
    from torch.utils.flop_counter import FlopCounterMode

    def operations(model: T5ForConditionalGeneration, tokens: int) -> int:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            states = torch.randn(1, 200, 32)
            ids = torch.ones(1, tokens, dtype=torch.long)
            model.decoder(input_ids=ids, encoder_hidden_states=states, use_cache=False)
        return counter.get_total_flops()

    plain, other = models
    assert operations(other, 1) < 0.5 * operations(plain, 1)
    assert operations(other, 7) == operations(plain, 7)


def test_generation_with_a_cache_and_saving_are_as_before(models, tmp_path):
    plain, other = models
    ids = torch.randint(1, 50, (2, 9), generator=torch.Generator().manual_seed(2))
    assert other.generate(ids, max_new_tokens=5).tolist() == plain.generate(ids, max_new_tokens=5).tolist()
    other.save_pretrained(tmp_path)
    again = T5ForConditionalGeneration.from_pretrained(tmp_path)
    assert not any(isinstance(module, FewQueriesAttention) for module in again.modules())
    assert all(torch.equal(one, two) for one, two in zip(again.parameters(), plain.parameters(), strict=True))
