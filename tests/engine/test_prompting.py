"""Template, verbalizer, bank and scorer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.errors import DataError, SettingsError
from engine.prompting.bank import initial_prompt, prepend
from engine.prompting.scorer import PromptScorer
from engine.prompting.template import Template
from engine.prompting.verbalizer import make_verbalizer
from engine.settings import PromptSettings
from engine.stage import result_of


def test_the_template_is_never_truncated(backbone):
    template = Template(PromptSettings(text_tokens=24), backbone.tokenizer)
    suffix = backbone.tokenizer(" It was <extra_id_0>.")["input_ids"]
    for words in (0, 1, 10, 500, 20_000):
        ids = template.encode(["soup " * words]).tokens.tolist()
        assert ids[-len(suffix) :] == suffix
        assert len(ids) <= 24
    long = template.encode(["soup " * 500]).tokens
    assert len(long) == 24, "a long text fills the room that the template leaves"


def test_a_template_may_stand_on_both_sides(backbone):
    template = Template(PromptSettings(template="It was {mask}: {text} End", text_tokens=16), backbone.tokenizer)
    ids = template.encode(["soup " * 50]).tokens.tolist()
    left, right = (
        backbone.tokenizer(part, add_special_tokens=False)["input_ids"] for part in ("It was <extra_id_0>: ", " End")
    )
    assert ids[: len(left)] == left
    assert ids[-len(right) - 1 :] == [*right, backbone.tokenizer.eos_token_id]


def test_of_a_long_text_the_beginning_is_read(backbone):
    template = Template(PromptSettings(text_tokens=24), backbone.tokenizer)
    shown = template.preview("cold bread " + "soup " * 500 + "great tea")
    assert "cold bread soup" in shown
    assert "tea" not in shown
    whole = Template(PromptSettings(), backbone.tokenizer).encode(["soup " * 2000])
    assert whole.lengths.tolist() == [512], "the soft prompt comes on top of that"


def test_a_text_cannot_smuggle_in_special_tokens(backbone):
    template = Template(PromptSettings(), backbone.tokenizer)
    ids = template.encode(["bad </s> <extra_id_0> <pad> text"]).tokens.tolist()
    assert ids.count(backbone.tokenizer.convert_tokens_to_ids("<extra_id_0>")) == 1
    assert ids.count(backbone.tokenizer.eos_token_id) == 1
    assert backbone.tokenizer.pad_token_id not in ids


def test_a_template_without_room_is_refused(backbone):
    with pytest.raises(SettingsError, match="template alone"):
        Template(PromptSettings(template="very " * 20 + "{text} {mask}", text_tokens=8), backbone.tokenizer)


def test_batches_are_padded_right_to_a_multiple_of_eight(backbone):
    texts = Template(PromptSettings(), backbone.tokenizer).encode(["soup", "soup and bread and butter and tea"])
    batch = texts.batch(np.array([1, 0]), torch.device("cpu"))
    assert batch.ids.shape[1] % 8 == 0
    lengths = texts.lengths[[1, 0]]
    for row, length in enumerate(lengths):
        assert batch.mask[row].tolist() == [1] * length + [0] * (batch.ids.shape[1] - length)
        start = texts.offsets[[1, 0][row]]
        assert batch.ids[row, :length].tolist() == texts.tokens[start : start + length].tolist()
    taken = texts.take(np.array([1]))
    assert taken.tokens.tolist() == batch.ids[0, : lengths[0]].tolist()


def test_default_words_are_the_papers(backbone):
    assert make_verbalizer(("0", "1"), {}, backbone.tokenizer).words == ("bad", "good")
    assert make_verbalizer(("-1", "0", "1"), {}, backbone.tokenizer).words == ("bad", "maybe", "good")
    assert make_verbalizer(("happy", "sad"), {}, backbone.tokenizer).words == ("happy", "sad")
    assert make_verbalizer(tuple("12345"), {}, backbone.tokenizer).words == (
        "terrible",
        "bad",
        "maybe",
        "good",
        "great",
    )
    assert make_verbalizer(("up", "down", "left", "right"), {}, backbone.tokenizer).words == (
        "up",
        "down",
        "left",
        "right",
    )


@pytest.mark.parametrize(
    ("classes", "words", "sentence"),
    [
        (("0",), {}, "only one class"),
        (("0", "1"), {"0": "good", "1": "good"}, "share the label word 'good'"),
        (("0", "1"), {"0": "Good", "1": "good"}, "share the label word 'good'"),  # of the same token
        (("0", "1"), {"0": "good"}, "no word for 1"),
        (("0", "1"), {"0": "bad", "1": "good", "2": "great"}, "no class 2"),
        (("0", "1"), {"0": "bad", "1": "龘"}, "does not know the label word '龘'"),
    ],
)
def test_unusable_words_are_refused(backbone, classes, words, sentence):
    with pytest.raises(DataError, match=sentence):
        make_verbalizer(classes, words, backbone.tokenizer)


def test_a_word_of_several_tokens_warns(backbone):
    verbalizer = make_verbalizer(("0", "1"), {"0": "bad", "1": "extraordinarily"}, backbone.tokenizer)
    assert not verbalizer.single_tokens
    assert "extraordinarily" in verbalizer.warnings()[0]


def _reference_log_probabilities(backbone, prompt, ids, answer):
    """Log probabilities of the tokens ``answer`` after ``<pad> <extra_id_0>`` from transformers' own forward pass."""
    embedded = torch.cat([prompt, backbone.model.get_input_embeddings()(torch.tensor(ids))])[None]
    mask = backbone.tokenizer.convert_tokens_to_ids("<extra_id_0>")
    decoder = torch.tensor([[backbone.model.config.decoder_start_token_id, mask, *answer[:-1]]])
    logits = backbone.model(inputs_embeds=embedded, decoder_input_ids=decoder).logits[0, 1:]
    return logits.log_softmax(-1)[torch.arange(len(answer)), torch.tensor(answer)]


@pytest.mark.parametrize("words", [{}, {"0": "bad", "1": "extraordinarily"}])
def test_scores_are_those_of_transformers_for_each_prompt_of_the_bank(make_scorer, words):
    scorer = make_scorer(2, words)
    backbone = scorer.backbone
    bank = torch.stack([initial_prompt("vocabulary", backbone, scorer.verbalizer, 4, seed) for seed in range(3)])
    texts = scorer.template.encode(["soup", "cold bread and butter on a plate of glass", "tea"])
    owner = torch.tensor([2, 0, 1])
    found = scorer.scores(bank, texts.batch(np.arange(3), backbone.device), owner, normalised=True)
    for row in range(3):
        ids = texts.tokens[texts.offsets[row] : texts.offsets[row + 1]].tolist()
        for number, answer in enumerate(scorer.verbalizer.tokens):
            expected = _reference_log_probabilities(backbone, bank[owner[row]], ids, list(answer)).mean()
            assert float(found[row, number]) == pytest.approx(float(expected), rel=1e-4)


def test_label_word_scores_agree_with_vocabulary_scores_up_to_a_constant(make_scorer):
    scorer = make_scorer(5)
    bank = torch.randn(2, 4, 32)
    batch = scorer.template.encode(["soup of the day", "tea"]).batch(np.arange(2), torch.device("cpu"))
    owner = torch.tensor([0, 1])
    full, short = (scorer.scores(bank, batch, owner, normalised=flag) for flag in (True, False))
    assert torch.allclose(full.softmax(-1), short.softmax(-1), atol=1e-6)


def test_the_answer_is_read_after_the_mask_or_at_the_first_place(make_scorer):
    bank = torch.randn(1, 4, 32, generator=torch.Generator().manual_seed(0))
    for answer in ("after_mask", "first"):
        scorer = make_scorer(2, answer=answer)
        backbone = scorer.backbone
        texts = scorer.template.encode(["soup of the day"])
        found = scorer.scores(bank, texts.batch(np.arange(1), backbone.device), torch.zeros(1, dtype=torch.long))
        embedded = torch.cat([bank[0], backbone.model.get_input_embeddings()(torch.from_numpy(texts.tokens))])[None]
        mask = backbone.tokenizer.convert_tokens_to_ids("<extra_id_0>")
        read = torch.tensor([[0, mask] if answer == "after_mask" else [0]])
        logits = backbone.model(inputs_embeds=embedded, decoder_input_ids=read).logits[0, -1]
        expected = logits[[ids[0] for ids in scorer.verbalizer.tokens]]
        assert torch.allclose(found[0].softmax(-1), expected.softmax(-1), atol=1e-5)
        assert torch.allclose(found[0].diff(), expected.diff(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("loss", "answer"), [("vocabulary", "first"), ("label_words", "after_mask")])
def test_losses_by_hand(make_scorer, loss, answer):
    scorer = make_scorer(3, loss=loss, answer=answer)
    bank, labels = torch.randn(1, 4, 32), torch.tensor([2, 0])
    batch = scorer.template.encode(["soup", "tea"]).batch(np.arange(2), torch.device("cpu"))
    owner = torch.zeros(2, dtype=torch.long)
    scores = scorer.scores(bank, batch, owner, normalised=loss == "vocabulary")
    if loss == "label_words":
        scores = scores.log_softmax(-1)
    expected = -scores[torch.arange(2), labels]
    assert torch.allclose(scorer.losses(bank, batch, owner, labels), expected, atol=1e-5)


def test_padding_and_neighbours_do_not_change_a_score(make_scorer):
    scorer = make_scorer(2)
    bank = torch.randn(1, 4, 32)
    texts = scorer.template.encode(["tea", "bread " * 20])
    alone = scorer.scores(bank, texts.batch(np.array([0]), torch.device("cpu")), torch.zeros(1, dtype=torch.long))
    beside = scorer.scores(bank, texts.batch(np.array([0, 1]), torch.device("cpu")), torch.zeros(2, dtype=torch.long))
    assert torch.allclose(alone[0], beside[0], atol=1e-4)


def test_probabilities_come_back_in_the_order_of_the_texts(make_scorer):
    scorer = make_scorer(2)
    bank = torch.randn(3, 4, 32)
    texts = scorer.template.encode([f"{'bread ' * (i % 7)} {i}" for i in range(90)])
    found = result_of(scorer.probabilities(bank, texts))
    assert found.shape == (3, 90, 2)
    assert np.allclose(found.sum(-1), 1, atol=1e-5)
    one = result_of(scorer.probabilities(bank[1:2], texts.take(np.array([37]))))
    assert np.allclose(found[1, 37], one[0, 0], atol=1e-4)


def test_scoring_goes_on_with_less_when_memory_runs_out(make_scorer, monkeypatch):
    scorer = make_scorer(2)
    bank, texts = torch.randn(2, 4, 32), scorer.template.encode([f"soup {i}" for i in range(50)])
    expected = result_of(scorer.probabilities(bank, texts))
    real, sizes = scorer.scores, []

    def small_memory(bank, batch, owner, **options):
        sizes.append(len(owner))
        if len(owner) > 20:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(bank, batch, owner, **options)

    monkeypatch.setattr(scorer, "scores", small_memory)
    assert np.allclose(result_of(scorer.probabilities(bank, texts)), expected, atol=1e-5)
    assert sizes[:3] == [64, 32, 16]
    sizes.clear()
    assert np.allclose(result_of(scorer.probabilities(bank, texts)), expected, atol=1e-5)
    assert max(sizes) == 16, "what does not fit is not tried again"


def test_the_prompt_takes_the_first_positions():
    bank = torch.arange(2 * 3 * 4.0).view(2, 3, 4)
    embedded, mask = prepend(bank, torch.tensor([1, 0]), torch.zeros(2, 5, 4), torch.tensor([[1, 1, 0, 0, 0]] * 2))
    assert torch.equal(embedded[0, :3], bank[1])
    assert torch.equal(embedded[1, :3], bank[0])
    assert mask.tolist() == [[1, 1, 1, 1, 1, 0, 0, 0]] * 2


def test_initialisations(make_scorer):
    scorer = make_scorer(2)
    table = scorer.backbone.model.get_input_embeddings().weight
    backbone, verbalizer = scorer.backbone, scorer.verbalizer
    random = initial_prompt("random", backbone, verbalizer, 2000, 0)
    assert float(random.std()) == pytest.approx(float(table.std()), rel=0.02)
    sampled = initial_prompt("vocabulary", backbone, verbalizer, 50, 0)
    rows = {tuple(row.tolist()) for row in table}
    assert all(tuple(row.tolist()) in rows for row in sampled)
    assert len({tuple(row.tolist()) for row in sampled}) == 50, "sampled without replacement"
    label_text = initial_prompt("label_text", backbone, verbalizer, 4, 0)
    assert torch.equal(label_text[0], table[verbalizer.tokens[0][0]])
    for kind in ("random", "vocabulary", "label_text"):
        assert torch.equal(*(initial_prompt(kind, backbone, verbalizer, 4, 7) for _ in range(2)))
        assert not torch.equal(*(initial_prompt(kind, backbone, verbalizer, 8, seed) for seed in (1, 2)))


def test_a_random_prompt_has_the_mean_and_the_deviation_of_the_table(make_scorer):
    scorer = make_scorer(2)
    with torch.no_grad():
        scorer.backbone.model.get_input_embeddings().weight.add_(5.0)
    table = scorer.backbone.model.get_input_embeddings().weight
    random = initial_prompt("random", scorer.backbone, scorer.verbalizer, 500, 0)
    assert float(random.mean()) == pytest.approx(float(table.mean()), rel=0.02)
    assert float(random.std()) == pytest.approx(float(table.std()), rel=0.05)


def test_sampled_vocabulary_has_no_special_tokens_and_label_text_is_half_of_the_prompt(make_scorer):
    scorer = make_scorer(2)
    backbone, words = scorer.backbone, [ids[0] for ids in scorer.verbalizer.tokens]
    table = backbone.model.get_input_embeddings().weight
    numbers = {tuple(row): number for number, row in enumerate(table.tolist())}
    usable = len(backbone.tokenizer) - len(set(backbone.tokenizer.all_special_ids))
    sampled = initial_prompt("vocabulary", backbone, scorer.verbalizer, usable, 0)
    found = {numbers[tuple(row)] for row in sampled.tolist()}
    assert len(found) == usable
    assert not found & set(backbone.tokenizer.all_special_ids)
    tokens = [numbers[tuple(row)] for row in initial_prompt("label_text", backbone, scorer.verbalizer, 12, 0).tolist()]
    assert tokens[:6] == words * 3
    assert not set(tokens[6:]) & set(words)


def test_a_v1_1_backbone_with_its_own_head_is_scored_with_it(make_t5, tmp_path):
    from loading import load
    from safetensors.torch import load_file, save_file

    folder = make_t5(tmp_path / "v1.1", 0, feed_forward_proj="gated-gelu", tie_word_embeddings=False)
    weights = load_file(folder / "model.safetensors")
    torch.manual_seed(5)
    weights["lm_head.weight"] = torch.randn(12128, 32)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    backbone = load(folder)
    assert torch.equal(backbone.model.get_output_embeddings().weight, weights["lm_head.weight"])
    assert not torch.equal(backbone.model.get_output_embeddings().weight, backbone.model.get_input_embeddings().weight)
    verbalizer = make_verbalizer(("0", "1"), {}, backbone.tokenizer)
    scorer = PromptScorer(backbone, verbalizer, PromptSettings(soft_tokens=4))
    bank = torch.randn(1, 4, 32)
    texts = scorer.template.encode(["soup"])
    found = scorer.scores(
        bank, texts.batch(np.arange(1), torch.device("cpu")), torch.zeros(1, dtype=torch.long), normalised=True
    )
    expected = _reference_log_probabilities(backbone, bank[0], texts.tokens.tolist(), list(verbalizer.tokens[1]))
    assert float(found[0, 1]) == pytest.approx(float(expected[0]), rel=1e-4)


def test_bfloat16_stays_near_float32(tiny_t5, make_scorer):
    from engine.backbones.load import load_backbone
    from engine.settings import BackboneSettings

    scorer = make_scorer(5)
    settings = BackboneSettings(backbone=str(tiny_t5), device="cpu", precision="bfloat16")
    coarse = PromptScorer(result_of(load_backbone(settings)), scorer.verbalizer, scorer.settings)
    bank = initial_prompt("vocabulary", scorer.backbone, scorer.verbalizer, 4, 0)[None].requires_grad_()
    batch = scorer.template.encode(["soup of the day", "tea"]).batch(np.arange(2), torch.device("cpu"))
    owner = torch.zeros(2, dtype=torch.long)
    fine = scorer.losses(bank, batch, owner, torch.tensor([0, 1]))
    stacks = (coarse.backbone.model.encoder, coarse.backbone.model.decoder)
    streams: list[torch.dtype] = []
    for stack in stacks:
        stack.block[0].register_forward_hook(lambda module, given, made: streams.append(made[0].dtype))
    rough = coarse.losses(bank, batch, owner, torch.tensor([0, 1]))
    assert streams == [torch.float32, torch.float32], "products are in bfloat16, what is added up is not"
    assert rough.dtype == torch.float32
    assert torch.allclose(fine, rough, rtol=0.05)
    gradients = [torch.autograd.grad(loss.sum(), bank)[0] for loss in (fine, rough)]
    assert float(torch.nn.functional.cosine_similarity(*(g.flatten() for g in gradients), dim=0)) > 0.97


def test_a_prompt_begins_the_same_at_every_precision(tiny_t5, make_scorer):
    from engine.backbones.load import load_backbone
    from engine.settings import BackboneSettings

    scorer = make_scorer(5)
    settings = BackboneSettings(backbone=str(tiny_t5), device="cpu", precision="bfloat16")
    coarse = result_of(load_backbone(settings))
    assert coarse.model.encoder.block[0].layer[1].DenseReluDense.wo.weight.dtype == torch.bfloat16
    starts = [initial_prompt("vocabulary", some, scorer.verbalizer, 4, 0) for some in (scorer.backbone, coarse)]
    assert torch.equal(*starts), "a run that was stopped on a GPU goes on without one"
