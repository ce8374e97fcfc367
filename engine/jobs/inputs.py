"""From folders and files to what the training stages take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch

from engine.corpus.drawing import Draw
from engine.corpus.store import Corpus
from engine.errors import DataError, SettingsError
from engine.prompting.bank import initial_prompt
from engine.prompting.prompt_file import check_backbone, load_prompt
from engine.prompting.scorer import PromptScorer
from engine.prompting.template import EncodedTexts
from engine.settings import Initialisation
from engine.stage import Part, ProgressMeter, Stopped, StopToken
from engine.training.examples import Examples

SLICE = 4096
"""Texts encoded between two looks at whether stopping was requested."""


def encoded(
    scorer: PromptScorer, texts: Sequence[str], labels: np.ndarray, rows: np.ndarray, stage: str, stop: StopToken
) -> Part[Examples]:
    """Encode the texts at ``rows``, each once and in order; the others are there without a single token.

    Raises
    ------
    Stopped
        If stopping was requested on the way.
    """
    parts, meter = [scorer.template.encode([])], ProgressMeter(stage, len(rows), "rows")
    for start in range(0, len(rows), SLICE):
        if start:
            yield meter.at(start, "Cutting the texts into tokens")
        if stop.requested:
            raise Stopped
        parts.append(scorer.template.encode([texts[row] for row in rows[start : start + SLICE]]))
    these = EncodedTexts.joined(parts)
    ends = np.zeros(len(texts) + 1, np.int64)
    ends[rows + 1] = these.lengths
    return Examples(EncodedTexts(these.tokens, np.cumsum(ends), these.pad), labels)


def drawn_examples(
    scorer: PromptScorer,
    texts: Sequence[str],
    labels: np.ndarray,
    draws: Sequence[tuple[int, Draw]],
    test: np.ndarray,
    stage: str,
    stop: StopToken,
) -> Part[Examples]:
    """Encode what some seed has drawn, and what is tested: a few hundred of perhaps a million labelled rows."""
    rows = [test, *(part for _, draw in draws for part in (draw.training, draw.validation))]
    return (yield from encoded(scorer, texts, labels, np.unique(np.concatenate(rows)), stage, stop))


def shared_texts(texts: Sequence[str], draws: Sequence[tuple[int, Draw]], test: np.ndarray) -> int:
    """Return how many of the texts at ``test`` some seed has drawn, too."""
    drawn = {texts[row] for _, draw in draws for part in (draw.training, draw.validation) for row in part}
    return sum(texts[row] in drawn for row in test)


def labelled_examples(scorer: PromptScorer, corpus: Corpus, stage: str, stop: StopToken) -> Part[Examples]:
    """Encode a labelled corpus.

    Raises
    ------
    DataError
        If no row has a label.
    Stopped
        As `encoded`.
    """
    rows = np.flatnonzero(corpus.labels >= 0)
    if not len(rows):
        raise DataError(
            "None of the texts has a label", where=corpus.folder, remedy="Choose a label column, or pseudo-label first."
        )
    return (yield from encoded(scorer, corpus.texts, corpus.labels, rows, stage, stop))


def starting_prompt(start: str, scorer: PromptScorer, seed: int = 0) -> torch.Tensor:
    """Return the prompt [n, d] of a file, or one made by a kind of initialisation.

    Raises
    ------
    PromptFileError
        If the file was made for another backbone.
    SettingsError
        If its length differs from the prompt's settings.
    """
    if start in get_args(Initialisation):
        kind: Literal["random", "vocabulary", "label_text"] = start  # type: ignore[assignment]
        return initial_prompt(kind, scorer.backbone, scorer.verbalizer, scorer.settings.soft_tokens, seed)
    prompt = load_prompt(Path(start))
    check_backbone(prompt, scorer.backbone)
    if len(prompt.vectors) != scorer.settings.soft_tokens:
        raise SettingsError(
            f"The prompt has {len(prompt.vectors)} soft tokens, the settings say {scorer.settings.soft_tokens}",
            where=start,
            remedy=f"Set soft_tokens to {len(prompt.vectors)}.",
        )
    return prompt.vectors.to(scorer.backbone.device)
