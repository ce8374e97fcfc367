"""The usual label words of classes (section 3.1, appendix B)."""

from __future__ import annotations

from collections.abc import Sequence

PAPER_WORDS: dict[int, tuple[str, ...]] = {
    2: ("bad", "good"),
    3: ("bad", "maybe", "good"),
    5: ("terrible", "bad", "maybe", "good", "great"),
}
"""The paper's label words by number of classes, most negative first."""


def is_rating(name: str) -> bool:
    """Whether a class is a number: only numbers say which class is the worst."""
    return name.strip("+-").isdecimal()


def default_words(classes: Sequence[str]) -> dict[str, str]:
    """Return class -> word: the paper's words for 2, 3 or 5 ratings, the names of the classes otherwise.

    Names in the order of the alphabet would make *happy* bad.
    """
    words = PAPER_WORDS.get(len(classes)) if all(map(is_rating, classes)) else None
    return dict(zip(classes, words or classes, strict=True))
