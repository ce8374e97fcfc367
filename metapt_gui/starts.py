"""What tuning can start from, as the page Label and tune calls it, and how it is named in jobs and results."""

from __future__ import annotations

from collections.abc import Collection

from engine.roles import LEARNED
from metapt_gui.widgets.results_view import FROM_A_FILE

META, PRETRAINED, RANDOM, VOCABULARY, FILE = (
    "the meta-learned prompt",
    "the pre-trained prompt (PPT)",
    "a random prompt",
    "sampled word vectors",
    "a prompt file …",
)
NAMES = {META: "MetaPT", PRETRAINED: "PPT", RANDOM: "PT", VOCABULARY: "PT from words", FILE: FROM_A_FILE}


def first_start(chosen: object, learned: Collection[str]) -> str:
    """Return what tuning starts from: what the person chose, if it is there, else the first prompt that was learned.

    Parameters
    ----------
    chosen
        One of `NAMES`; anything else is no choice.
    learned
        Names of the prompts that were learned, the first one first.
    """
    name = NAMES.get(chosen, "") if isinstance(chosen, str) else ""
    if isinstance(chosen, str) and name and (name in learned or name not in LEARNED):
        return chosen
    best = next(iter(learned), NAMES[VOCABULARY])
    return next(start for start, called in NAMES.items() if called == best)
