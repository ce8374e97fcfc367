"""What cannot be written is told, leaves no step that could be undone, and is not shown as if it had been."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from gui.driving import Hands, undo
from PySide6.QtCore import Qt
from PySide6.QtGui import QUndoStack

from engine.errors import StorageError
from engine.project import Project
from metapt_gui.models.commands import Change
from metapt_gui.pages.cluster import ClusterPage
from metapt_gui.pages.few_shot import FewShotPage
from metapt_gui.pages.pseudo_label import PseudoLabelPage
from metapt_gui.widgets.dialogs import ErrorDialog


def full(*_: object) -> None:
    raise StorageError("The disk is full")


def test_a_change_that_cannot_be_written_leaves_the_stack(qapp) -> None:
    stack, told, state = QUndoStack(), [], [0]
    stack.push(Change("one", lambda: state.append(1), full, told.append))
    stack.push(Change("two", full, lambda: state.append(1), told.append))
    assert (stack.count(), stack.undoText(), state) == (1, "one", [0, 1])
    stack.undo()
    assert (stack.count(), stack.index(), state) == (0, 0, [0, 1])
    assert [error.what for error in told] == ["The disk is full"] * 2


def check(hands: Hands, method: str, change: Callable[[], object], shown: Callable[[], Any]) -> None:
    """Make a change, and undo one, while ``method`` of the project cannot write."""
    stack, before = hands.window.document.undo, shown()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Project, method, full)
        change()
        hands.dialog(ErrorDialog).reject()
    assert (stack.count(), shown()) == (0, before)
    change()
    after = shown()
    assert (stack.count(), after != before) == (1, True)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Project, method, full)
        undo(hands)
        hands.dialog(ErrorDialog).reject()
    assert (stack.count(), shown()) == (0, after)


def test_the_name_of_a_group(hands: Hands, clustering: ClusterPage) -> None:
    groups = clustering.groups
    where = groups.table.visualItemRect(groups.table.item(0, 0)).center()
    hands.qtbot.mouseClick(groups.table.viewport(), Qt.MouseButton.LeftButton, pos=where)
    check(
        hands,
        "set_cluster_edits",
        lambda: hands.type(groups.name, "soups"),
        lambda: (groups.table.item(0, 0).text(), groups.name.text()),
    )


def test_a_decision_about_a_pseudo_label(hands: Hands, labelling: PseudoLabelPage) -> None:
    audit = labelling.audit
    row = audit.model.audited(0).row

    def reject() -> None:
        audit.view.selectRow(0)
        hands.click(audit.reject)

    check(hands, "set_label", reject, lambda: audit.model.decision(row))


def test_a_threshold(hands: Hands, labelling: PseudoLabelPage) -> None:
    histogram = labelling.histogram

    def drag() -> None:
        histogram.set_threshold("2", 0.3)
        histogram.threshold_set.emit("2", 0.9, 0.3)

    check(hands, "set_value", drag, lambda: round(histogram.thresholds()["2"], 2))


def test_a_class_that_is_taken_away(hands: Hands, letters: FewShotPage) -> None:
    check(
        hands,
        "set_value",
        lambda: letters.labels.remove(letters.side.words.classes()[-1]),
        lambda: list(letters.side.words.classes()),
    )
