"""A prompt as a classifier: what it answers is what the prompts say, and only prompts that go together are taken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.errors import DataError, PromptFileError, SettingsError
from engine.jobs.session import Session
from engine.prompting.classifier import PromptClassifier
from engine.prompting.prompt_file import describe_prompt, save_peft, save_prompt
from engine.stage import result_of

TEXTS = ["soup of the day", "cold tea and a long wait for everybody", "what a lovely evening"]


@pytest.fixture
def prompts(make_scorer):
    """The scorer, and two prompts for its backbone."""
    scorer = make_scorer(2)
    torch.manual_seed(0)
    return scorer, [describe_prompt(8 * torch.randn(4, 32), scorer, metrics={}, training={}) for _ in range(2)]


def test_several_prompts_answer_with_their_mean(prompts, tiny_t5, tmp_path):
    scorer, made = prompts
    save_prompt(made[0], tmp_path / "one.safetensors")
    save_peft(made[1], tmp_path / "two")
    paths = [tmp_path / "one.safetensors", tmp_path / "two"]
    bank = torch.stack([prompt.vectors for prompt in made])
    each = result_of(scorer.probabilities(bank, scorer.template.encode(TEXTS)))
    assert not np.allclose(each[0], each[1], atol=1e-4), "the two prompts have to differ for the mean to be one"

    settings = {"backbone": str(tiny_t5), "precision": "float32", "device": "cpu"}
    for chosen in ([0], [1], [0, 1]):
        classifier = PromptClassifier.load(*(paths[number] for number in chosen), **settings)
        found = classifier.predict_proba(TEXTS)
        assert np.allclose(found, each[chosen].mean(0), atol=1e-5)
        assert classifier.classes_.tolist() == list(scorer.verbalizer.classes)
        best = [scorer.verbalizer.classes[number] for number in each[chosen].mean(0).argmax(1)]
        assert classifier.predict(TEXTS).tolist() == best


def test_texts_are_cleaned_as_those_of_files_are(prompts, tiny_t5, tmp_path):
    scorer, made = prompts
    classifier = PromptClassifier(made[:1], scorer.backbone)
    raw, clean = "  soup<br/>of the&nbsp;day\u200b ", "soup of the day"
    assert scorer.template.encode([raw]).tokens.tolist() != scorer.template.encode([clean]).tokens.tolist()
    expected = classifier.predict_proba([clean])
    assert np.array_equal(classifier.predict_proba([raw]), expected)
    save_prompt(made[0], tmp_path / "one.safetensors")
    backbone = {"backbone": str(tiny_t5), "precision": "float32", "device": "cpu"}
    asked = Session().classify(backbone, str(tmp_path / "one.safetensors"), raw)
    assert np.allclose(list(asked.values()), expected[0])


def test_what_is_no_list_of_texts_is_named(prompts):
    classifier = PromptClassifier(prompts[1], prompts[0].backbone)
    for ask in (classifier.predict, classifier.predict_proba):
        with pytest.raises(ValueError, match=r"list of texts.*'soup'"):
            ask("soup")
        for wrong, kind in ((None, "NoneType"), (float("nan"), "float"), (b"soup", "bytes")):
            with pytest.raises(TypeError, match=rf"texts\[1\].*{kind}"):
                ask(["soup", wrong, 3])
        with pytest.raises(ValueError, match=r"texts\[2\]"):
            ask(["soup", "tea", "br\udcf6tchen"])
    assert classifier.predict(np.array(TEXTS)).tolist() == classifier.predict(text for text in TEXTS).tolist()


def test_a_sentence_that_is_no_text_is_refused_with_a_sentence():
    with pytest.raises(DataError, match="no characters"):
        Session().classify({}, "one.safetensors", "br\udcf6tchen")


def test_no_texts_have_no_answers(prompts):
    scorer, made = prompts
    classifier = PromptClassifier(made, scorer.backbone)
    assert classifier.predict([]).tolist() == []
    assert classifier.predict_proba([]).shape == (0, 2)


def test_prompts_that_do_not_go_together_are_refused(prompts):
    scorer, (one, two) = prompts
    words = dict(reversed(two.words.items()))
    for other in (
        replace(two, words={**two.words, next(iter(two.words)): "another"}),
        replace(two, vectors=two.vectors[:3]),
        replace(two, settings=two.settings.model_copy(update={"template": "{text} So {mask}."})),
    ):
        with pytest.raises(PromptFileError, match="than each other"):
            PromptClassifier([one, other], scorer.backbone)
    with pytest.raises(PromptFileError, match="than each other"):
        PromptClassifier([one, replace(two, words=words)], scorer.backbone)
    with pytest.raises(PromptFileError, match="no prompt"):
        PromptClassifier([], scorer.backbone)


def test_a_setting_that_there_is_not_is_named(prompts, tmp_path):
    save_prompt(prompts[1][0], tmp_path / "one.safetensors")
    with pytest.raises(SettingsError, match="bakbone"):
        PromptClassifier.load(tmp_path / "one.safetensors", bakbone="bundled")
