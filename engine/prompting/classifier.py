"""What classifies texts, with scikit-learn's names; an exported prompt does so on its backbone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.backbones.load import Backbone, load_backbone
from engine.corpus.cleaning import clean
from engine.errors import PromptFileError
from engine.prompting.prompt_file import Prompt, check_backbone, load_prompt
from engine.settings import BackboneSettings, validated
from engine.stage import Part, StopToken, result_of


class TextClassifier(ABC):
    """Classifies texts: a prompt on its backbone, or a linear probe on Sentence-BERT.

    Attributes
    ----------
    classes_
        Names of the classes, str [classes].
    """

    classes_: np.ndarray

    @abstractmethod
    def probabilities(
        self, texts: Sequence[str], *, stop: StopToken | None = None, stage: str = "predict"
    ) -> Part[np.ndarray | None]:
        """Classify texts as they are, which a stage has cleaned.

        Returns
        -------
        ndarray or None
            Probability of each class, float32 [texts, classes]; ``None`` if stopped on the way.
        """

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Return the probability of each class, float32 [texts, classes].

        Texts are cleaned as those of files are by default (`engine.corpus.cleaning.clean`, without HTML), so that a
        text gets the same answer wherever it comes from.

        Raises
        ------
        ValueError
            If ``texts`` is a single string, or one of them holds half a character.
        TypeError
            If one of them is no string; both name the first one.
        """
        chances = result_of(self.probabilities(_cleaned(texts)))
        assert chances is not None, "nobody can stop it"
        return chances

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """Return the name of the most probable class of each text, str [texts]; raises as `predict_proba` does."""
        return np.asarray(self.classes_[self.predict_proba(texts).argmax(1)])


class PromptClassifier(TextClassifier):
    """Classifies texts with a prompt, or with the mean of the probabilities of several.

    Parameters
    ----------
    prompts
        At least one; several have to have the same classes, label words, template and length, as those of one tuning
        have.
    backbone
        The T5 that they were made for.

    Raises
    ------
    PromptFileError
        If there is none, one was made for another backbone, or they do not go together.
    """

    def __init__(self, prompts: Sequence[Prompt], backbone: Backbone) -> None:
        if not prompts:
            raise PromptFileError("There is no prompt to classify with", remedy="Name at least one prompt file.")
        first = prompts[0]
        for prompt in prompts:
            check_backbone(prompt, backbone)
            if _kind(prompt) != _kind(first):
                raise PromptFileError(
                    "The prompts have other classes, label words, templates or lengths than each other",
                    remedy="Take those of one tuning.",
                )
        self._scorer = first.scorer(backbone)
        self._bank = torch.stack([prompt.vectors for prompt in prompts]).to(backbone.device)
        self.classes_ = np.array(self._scorer.verbalizer.classes)

    @classmethod
    def load(cls, *prompts: str | Path, **backbone: Any) -> PromptClassifier:
        """Load prompt files or PEFT folders, and their backbone.

        Parameters
        ----------
        prompts
            Paths, at least one.
        backbone
            Values of `BackboneSettings`, such as ``backbone="t5-base"`` or ``device="cpu"``; the bundled backbone on
            the fastest device unless they say otherwise.

        Raises
        ------
        PromptFileError, StorageError
            If a file cannot be used or read.
        SettingsError, BackboneError, DeviceError
            If there is no such setting, backbone or device.
        """
        loaded = [load_prompt(Path(path)) for path in prompts]
        return cls(loaded, result_of(load_backbone(validated(BackboneSettings, backbone))))

    def probabilities(
        self, texts: Sequence[str], *, stop: StopToken | None = None, stage: str = "predict"
    ) -> Part[np.ndarray | None]:
        """Return the mean of the prompts' probabilities."""
        encoded = self._scorer.template.encode(texts)
        chances = yield from self._scorer.probabilities(self._bank, encoded, stop=stop, stage=stage)
        return None if chances is None else np.asarray(chances.mean(0))


def _kind(prompt: Prompt) -> tuple[Any, ...]:
    return list(prompt.words.items()), prompt.settings, prompt.vectors.shape


def _cleaned(texts: Sequence[str]) -> list[str]:
    if isinstance(texts, (str, bytes)):
        raise ValueError(f"Expected a list of texts, got a single one: {texts[:40]!r}. Put it into a list.")
    cleaned = []
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(
                f"Every text has to be a string, but texts[{row}] is {str(text)[:40]} ({type(text).__name__})."
            )
        try:
            cleaned.append(clean(text, strip_html=True))
        except UnicodeEncodeError as error:
            raise ValueError(f"texts[{row}] holds half a character (a lone surrogate): {text[:40]!a}.") from error
    return cleaned
