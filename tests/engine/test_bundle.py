"""The backbone that ships: its size, what it has learnt, and that its card says what was measured."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
import torch
from loading import load
from safetensors import safe_open

from engine.settings import PretrainBackboneSettings, validated
from resources import BUNDLED_BACKBONE, resource

FOLDER = resource("backbones", BUNDLED_BACKBONE)
RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "backbone.json"
PRAISE = (
    "We loved every minute of it and will come again.",
    "The staff were friendly and the food was delicious.",
    "A beautiful story, wonderfully acted.",
    "Works perfectly, and it arrived early.",
)
COMPLAINTS = (
    "We hated every minute of it and will never come again.",
    "The staff were rude and the food was cold.",
    "A dull story, badly acted, and far too long.",
    "It broke after two days and nobody answers my mails.",
)


def test_it_is_small_and_all_in_bfloat16():
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) <= 40e6
    with safe_open(FOLDER / "model.safetensors", "pt") as stream:
        names = list(stream.keys())
        assert {stream.get_tensor(name).dtype for name in names} == {torch.bfloat16}
    assert [path.name for path in FOLDER.parent.iterdir() if path.is_dir()] == [BUNDLED_BACKBONE]


def test_its_recipe_is_valid_and_its_shape_is_that_of_the_recipe():
    recipe = validated(
        PretrainBackboneSettings, tomllib.loads((FOLDER / "pretraining.toml").read_text(encoding="utf-8"))
    )
    config = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))
    training = json.loads((FOLDER / "training.json").read_text(encoding="utf-8"))
    assert (recipe.width, recipe.feed_forward, recipe.heads) == (
        config["d_model"],
        config["d_ff"],
        config["num_heads"],
    )
    assert (recipe.encoder_layers, recipe.decoder_layers) == (config["num_layers"], config["num_decoder_layers"])
    assert training["steps"] == sum(phase.steps for phase in recipe.phases)


def test_it_tells_praise_from_complaint_before_any_prompt_is_tuned():
    backbone = load(FOLDER)
    tokenizer = backbone.tokenizer
    texts = [f"{text} It was <extra_id_0>." for text in PRAISE + COMPLAINTS]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    start = torch.tensor([[0, tokenizer.convert_tokens_to_ids("<extra_id_0>")]]).expand(len(texts), 2)
    with torch.inference_mode():
        logits = backbone.model(**batch, decoder_input_ids=start).logits[:, 1]
    good, bad = (tokenizer(word, add_special_tokens=False).input_ids[0] for word in ("good", "bad"))
    leaning = (logits[:, good] - logits[:, bad]).tolist()
    assert min(leaning[: len(PRAISE)]) > max(leaning[len(PRAISE) :])


@pytest.mark.skipif(not RESULTS.exists(), reason="the benchmarks are not part of an installation")
def test_its_card_says_what_was_measured():
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    measured = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert measured["backbone"]["name"] == BUNDLED_BACKBONE
    figures = [f"{measured['linear_probe_sst2']['test']:.1%}".replace("%", " %")]
    for methods in measured["prompts"].values():
        for summary in methods.values():
            figures.append(f"{100 * summary['accuracy_mean']:.1f} ± {100 * summary['accuracy_std']:.1f}")
    missing = [figure for figure in figures if figure not in card]
    assert not missing
    assert all(span in card for span in measured["filled"].values() if span)
