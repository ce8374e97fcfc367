"""The target task: classes, words, new names of imported classes; the window keeps it as the project's ``task``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from engine.corpus.store import Corpus
from engine.errors import DataError
from engine.words import default_words


@dataclass(frozen=True)
class TargetTask:
    """What the person said of the task.

    Attributes
    ----------
    classes
        Names of the classes in order; empty if the person has named none.
    words
        Label word of each class that has one.
    renamed
        Class of the imported labels -> what the person calls it now.
    own_test
        Whether a corpus that was imported to test on is tested on.
    """

    classes: tuple[str, ...] = ()
    words: dict[str, str] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    own_test: bool = True

    def words_for(self, classes: Sequence[str], corpus: Corpus | None) -> dict[str, str]:
        """Return the word of each class: the person's, else the corpus's, else the usual one.

        The person's words for imported classes are for those together: the 2 of five stars is not the 2 of two.
        """
        given = corpus.words if corpus is not None else {}
        known = {self.renamed.get(name, name): word for name, word in given.items()}
        if self.classes or self.words.keys() == set(classes):
            known |= self.words
        return default_words(classes) | {name: word for name, word in known.items() if name in classes}

    def fields(self, corpus: Corpus, labels: Mapping[int, str], words: Mapping[str, str]) -> dict[str, Any]:
        """Return what a job on the task takes from here, from a person's ``labels`` and from more ``words``.

        Without classes of the person's the job takes the corpus's; where it has none either, those of the labels.
        """
        classes = list(self.classes)
        if not classes and not corpus.classes:
            classes = sorted(set(labels.values()))
        known = classes or present_names(corpus, self.renamed)
        return {
            "classes": classes,
            "labels": usable_labels(labels, known, corpus.rows),
            "words": {**self.words_for(classes, corpus), **words} if classes else dict(words),
            "renamed": self.renamed,
        }


def task_from(value: Any) -> TargetTask:
    """Return the task that a project keeps; what is of another form there counts as nothing."""
    kept = value if isinstance(value, dict) else {}
    classes = kept.get("classes")
    named = tuple(classes) if isinstance(classes, list) and all(isinstance(name, str) for name in classes) else ()
    return TargetTask(
        named, _names(kept.get("words")), _names(kept.get("renamed")), kept.get("own_test", True) is not False
    )


def _names(value: Any) -> dict[str, str]:
    pairs = value.items() if isinstance(value, dict) else ()
    return {name: other for name, other in pairs if isinstance(name, str) and isinstance(other, str)}


def renamed_once_more(renamed: Mapping[str, str], imported: Collection[str], before: str, after: str) -> dict[str, str]:
    """Return old -> new name of the imported classes after one more renaming, of ``before`` into ``after``."""
    now = {name: after if present == before else present for name, present in renamed.items()}
    if before in imported and before not in renamed:
        now[before] = after
    return {name: present for name, present in now.items() if name != present}


def present_names(corpus: Corpus, renamed: Mapping[str, str]) -> list[str]:
    """Return the classes of a corpus by the names that they have now, each once."""
    return list(dict.fromkeys(renamed.get(name, name) for name in corpus.classes))


def class_numbers(
    corpus: Corpus,
    classes: Sequence[str],
    renamed: Mapping[str, str],
    own: Mapping[int, str] = MappingProxyType({}),
) -> np.ndarray:
    """Return the class number of every row, int64 [rows], -1 for none; a person's ``own`` labels go before imported.

    Raises
    ------
    DataError
        If an own label is of no class, or of no row.
    """
    numbers = {name: number for number, name in enumerate(classes)}
    present = [renamed.get(name, name) for name in corpus.classes]
    labels = np.array([numbers.get(name, -1) for name in present] + [-1])[corpus.labels]
    for row, name in own.items():
        if name not in numbers or not 0 <= row < corpus.rows:
            known = f"The classes are {', '.join(classes)}" if classes else "There are no classes"
            raise DataError(
                f"Row {row + 1:,} cannot be labelled '{name}'",
                where=corpus.folder,
                remedy=f"{known}, and there are {corpus.rows:,} rows. Label it anew on the page Label and tune.",
            )
        labels[row] = numbers[name]
    return labels


def usable_labels(labels: Mapping[int, str], classes: Collection[str], rows: int) -> dict[int, str]:
    """Return the labels that are of a class and of one of so many rows: a class may have been taken away since."""
    return {row: name for row, name in labels.items() if name in classes and 0 <= row < rows}
