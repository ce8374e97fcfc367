"""Class names as long as some data sets have them: what stands beside them stays in sight."""

from __future__ import annotations

from pathlib import Path

import pytest
from gui.driving import Hands
from gui.letters import opened
from PySide6.QtWidgets import QLabel, QLineEdit

from engine.project import Project
from engine.workflow import State
from metapt_gui.theme import LIGHT, ThemeKeeper
from metapt_gui.widgets.audit_table import AuditTable
from metapt_gui.widgets.pieces import SideScroll, label
from metapt_gui.widgets.rail import Rail

DOTTED = (
    "account.billing.refund.request.not_received.second_reminder.escalated_to_team_lead",
    "order.delivery.parcel_damaged.photo_attached.customer_wants_replacement.not_refund",
)
LONG = ("soup_complaint_at_length_" * 16, "table_complaint_at_length_" * 16)


def named(folder: Path, names: tuple[str, ...]) -> Path:
    """Let the task of a project have these classes, each its own label word."""
    with Project.open(folder) as project:
        project.set_value("task", {"classes": list(names), "words": dict(zip(names, names, strict=True))})
    return folder


@pytest.mark.parametrize("names", [DOTTED, LONG], ids=["80 letters", "400 letters"])
def test_the_controls_stay_in_the_window(hands: Hands, project_folder: Path, names: tuple[str, ...]) -> None:
    page = opened(hands, named(project_folder, names))
    hands.until(lambda: "several tokens" in page.side.words.advice.text())
    hands.qtbot.wait(50)
    assert page.side.width() <= 360
    assert page.side.widget().width() <= page.side.viewport().width(), "and nothing is cut off in the column"
    quoted = [f"‘{name[:39]}…’" for name in names]
    hands.until(lambda: all(name in page.side.words.advice.text() for name in quoted))


def test_fields_show_where_a_name_begins(hands: Hands, project_folder: Path) -> None:
    page = opened(hands, named(project_folder, DOTTED))
    lines = page.side.words.findChildren(QLineEdit)
    assert {line.text() for line in lines} == set(DOTTED)
    assert [line.cursorPosition() for line in lines] == [0] * 4


@pytest.mark.parametrize("text", [DOTTED[0], "https://example.com/" + "a1" * 200, "x" * 5000])
def test_a_long_word_is_broken_where_lines_are(qtbot, text: str) -> None:
    line = label(f"‘{text}’ is a word", wrap=True)
    qtbot.addWidget(line)
    assert line.minimumSizeHint().width() < 400
    assert line.text() == f"‘{text}’ is a word"


def test_a_sentence_is_shown_as_it_is(qtbot) -> None:
    text = "Each seed takes 40 for training and 40 for validation; none is left to test on. क्षत्रिय"
    line = label(text, wrap=True)
    qtbot.addWidget(line)
    assert QLabel.text(line) == text


def test_what_is_too_wide_for_the_column_is_scrolled_sideways(qtbot) -> None:
    side = SideScroll(336)
    qtbot.addWidget(side)
    side.box.addWidget(label(" ".join("word" for _ in range(300))))
    side.show()
    qtbot.waitUntil(lambda: side.horizontalScrollBar().maximum() > 0)
    assert side.minimumWidth() == 504


def test_the_classes_to_audit_take_no_room_from_the_buttons(qtbot) -> None:
    widths = []
    for names in (("bad", "good"), LONG):
        audit = AuditTable()
        qtbot.addWidget(audit)
        audit.set_classes(names)
        audit.show()
        widths.append(audit.minimumSizeHint().width())
    assert widths[0] == widths[1]


def test_a_long_line_of_the_rail_ends_in_dots(qtbot, themes: ThemeKeeper) -> None:
    rail = Rail()
    qtbot.addWidget(rail)
    rail.set_theme(LIGHT)
    rail.set_current(5)
    rail.show()
    detail = ", ".join(f"class {number}" for number in range(20))
    for state in ({}, {"use": State.READY}):
        rail.show_states(state, {"use": detail, "tune": "9 labels"})
        shown = rail.buttons[5].text().splitlines()[1]
        assert shown.endswith("…")
        assert rail.buttons[5].sizeHint().width() <= 192 - 16
        assert detail in rail.buttons[5].toolTip()
    assert rail.buttons[4].text().splitlines()[1] == "9 labels"
    assert detail not in rail.buttons[4].toolTip()
