"""The words of a text, for topics and for the descriptions of clusters."""

from __future__ import annotations

from collections.abc import Callable

from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer

# What the pattern below leaves of don't, I've, we'll and the like.
_CONTRACTIONS = (
    "ain aren couldn didn doesn don hadn hasn haven isn ll mustn needn re shan shouldn ve wasn weren won wouldn"
)


def term_analyzer() -> Callable[[str], list[str]]:
    """Return a function that gives the terms of a text: lower-case words of two letters or more, no stop words."""
    vectorizer = CountVectorizer(
        token_pattern=r"(?u)\b[^\W\d_]{2,}\b", stop_words=[*ENGLISH_STOP_WORDS, *_CONTRACTIONS.split()]
    )
    analyzer: Callable[[str], list[str]] = vectorizer.build_analyzer()
    return analyzer
