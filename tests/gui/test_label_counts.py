"""Counts of labels follow each change; they are what counting anew finds."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from gui.answering import Page
from PySide6.QtCore import Qt

from metapt_gui.models.text_labels import TextLabels

ROWS = 40
NAMES = ["bad", "good", "late", "fine"]


def counted(labels: TextLabels, rows: int) -> dict[str, int]:
    """Return what counting row by row finds."""
    return dict(Counter(name for row in range(rows) if (name := labels.label(row)) is not None))


@pytest.mark.parametrize("seed", range(20))
def test_counts_are_right_after_any_changes(seed: int) -> None:
    draw = random.Random(seed)
    labels, own, imported = TextLabels(ROWS), {}, {}
    renamed: dict[str, str] = {}
    undo: list[dict[int, str | None]] = []
    for _ in range(60):
        change: dict[int, str | None] = {}
        match draw.choice(["key", "key", "many", "undo", "rename", "import"]):
            case "key":
                change = {draw.randrange(ROWS): draw.choice([*NAMES, None])}
            case "many":
                change = {row: draw.choice([*NAMES, None]) for row in draw.sample(range(-5, ROWS + 5), 20)}
            case "undo" if undo:
                change = undo.pop()
            case "rename":
                before, after = draw.sample(NAMES, 2)
                own = {row: after if name == before else name for row, name in own.items()}
                renamed[before] = after
                labels.set_own(own)
                labels.set_imported(imported, renamed)
            case "import":
                imported = {row: draw.choice(NAMES) for row in draw.sample(range(ROWS), 15)}
                labels.set_imported(imported, renamed)
        undo.append({row: own.get(row) for row in change})
        labels.change_own(change)
        own = {row: name for row, name in (own | change).items() if name is not None and 0 <= row < ROWS}
        came = {row: renamed.get(name, name) for row, name in imported.items()}
        assert labels.counts() == counted(labels, ROWS) == dict(Counter((came | own).values()))
        assert np.flatnonzero(labels.labelled()).tolist() == sorted(came | own)


def test_a_key_counts_nothing_anew(table, qtbot, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page(table)
    table.view.setFocus()
    monkeypatch.setattr(TextLabels, "_count_anew", lambda _self: pytest.fail("all labels were counted again"))
    qtbot.keyClick(table.view, Qt.Key.Key_1)
    page.stack.undo()
    page.stack.redo()
    qtbot.keyClick(table.view, Qt.Key.Key_2)
    assert page.model.counts() == {"bad": 1, "good": 1}
