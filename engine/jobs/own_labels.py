"""The labels of a person's own task as the labelled source, and the task's other texts as those without labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.corpus.drawing import set_aside
from engine.corpus.store import Corpus
from engine.errors import DataError
from engine.jobs.target_task import TargetTask, class_numbers, present_names
from engine.settings import AnnotateSettings, ImportSettings, TuneSettings
from engine.storage import replacing

FOLDER = "own-labels"
"""Folder of a project with the files."""
FILES = {"source": "labelled.parquet", "open-text": "others.parquet"}
ANNOTATION = AnnotateSettings(confidence=0.5, out_of_domain_share=0)
"""How the others are pseudo-labelled: few labels make nobody confident, and all texts are of the task's domain."""


Written: TypeAlias = dict[str, tuple[Path, ImportSettings]]
"""Role -> file and how it is read."""


def is_own(file: str, role: str) -> bool:
    """Whether a file is the one that is written for ``role``, in whatever project."""
    return Path(file).parts[-2:] == (FOLDER, FILES.get(role))


def write_own_labels(
    corpus: Corpus, task: TargetTask, labels: Mapping[int, str], tune: TuneSettings, folder: Path, *, least: int = 1
) -> Written:
    """Write two files that can be imported, and return role -> file and how it is read.

    Parameters
    ----------
    corpus, task, labels
        The texts of the task, what the person said of it, and the person's labels; those of the import count, too.
    tune
        The texts that a tuning with these settings sets aside to test on are in neither file.
    folder
        Where they go.
    least
        If fewer than so many could be set aside, none is.

    Raises
    ------
    DataError
        If fewer than two classes have labels, or no text is without.
    StorageError
        If they cannot be written.
    """
    given = task.fields(corpus, labels, {})
    classes = given["classes"] or present_names(corpus, task.renamed)
    numbers = class_numbers(corpus, classes, task.renamed, given["labels"])
    tested = set_aside(np.flatnonzero(numbers >= 0), tune)
    used = np.ones(corpus.rows, bool)
    used[tested if len(tested) >= least else tested[:0]] = False
    rows = {"source": np.flatnonzero(used & (numbers >= 0)), "open-text": np.flatnonzero(used & (numbers < 0))}
    known = [classes[number] for number in np.unique(numbers[rows["source"]])]
    if len(known) < 2:
        raise DataError(
            f"The labels of your task are of {f'one class only, {known[0]}' if known else 'no class'}",
            where=corpus.folder,
            remedy="Label some texts of at least two classes on the page Label and tune.",
        )
    if not len(rows["open-text"]):
        raise DataError(
            "All texts of your task have a label, so there is none that the labels could teach",
            where=corpus.folder,
            remedy="Tune on them as they are.",
        )
    texts = np.array(corpus.texts, object)
    every: dict[str, Any] = {"text_column": "text", "drop_duplicates": False, "minimum_characters": 1}
    words = {name: word for name, word in task.words_for(classes, corpus).items() if name in known}
    settings = {
        "source": ImportSettings(**every, label_column="label", label_map={name: name for name in known}, words=words),
        "open-text": ImportSettings(**every),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for role, name in FILES.items():
        columns = {"text": pa.array(texts[rows[role]], pa.string())}
        if role == "source":
            columns["label"] = pa.array([classes[number] for number in numbers[rows[role]]], pa.string())
        with replacing(folder / name) as temporary:
            pq.write_table(pa.table(columns), temporary, compression="zstd")
    return {role: ((folder / name).absolute(), settings[role]) for role, name in FILES.items()}
