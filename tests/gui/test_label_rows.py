"""The rows of the label table: search, filter, what is read, and a million of them."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
import pytest
from gui.answering import CLASSES, TEXTS, Page, cell
from PySide6.QtCore import QByteArray, Qt, QTimer
from PySide6.QtWidgets import QMenu

from metapt_gui.models.label_model import LABEL, NUMBER, TEXT, USE, LabelModel
from metapt_gui.theme import LIGHT
from metapt_gui.widgets.label_table import LabelTable


def shown(table: LabelTable) -> list[int]:
    return [table.model.corpus_row(row) for row in range(table.model.rowCount())]


# Search and filter ----------------------------------------------------------------------------------------------------


def test_ctrl_f_goes_to_the_search_and_return_back_to_the_table(table, qtbot):
    Page(table)
    qtbot.waitUntil(table.view.isVisible)  # in place of the words for an empty table
    table.view.setFocus()
    qtbot.keyClick(table.view, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    assert table.search.hasFocus()
    qtbot.keyClicks(table.search, "lovely")
    qtbot.keyClick(table.search, Qt.Key.Key_Return)
    assert table.view.hasFocus()
    assert table.current_row() == 4


@pytest.mark.parametrize(
    ("words", "rows"),
    [("the BOX", [0]), ("ärgerlich", [3]), ("as described", [1]), ("(twice)", [5]), ("e.*r", []), ("  ", range(6))],
)
@pytest.mark.parametrize("stored", [list, pa.array, lambda texts: pa.chunked_array([texts[:2], [], texts[2:]])])
def test_search_finds_what_is_read_in_either_case(table, words, rows, stored):
    texts = stored(TEXTS)
    Page(table, pa.chunked_array([texts]) if isinstance(texts, pa.Array) else texts)
    table.search.insert(words)  # QTest types ASCII only
    assert shown(table) == list(rows)


def test_labels_go_to_the_rows_that_are_shown(table, qtbot):
    page = Page(table)
    qtbot.keyClicks(table.search, "o")
    assert shown(table) == [0, 1, 4, 5]
    qtbot.keyClick(table.search, Qt.Key.Key_Return)
    for _ in range(3):
        qtbot.keyClick(table.view, Qt.Key.Key_1)
    assert sorted(page.labels) == [0, 1, 4]
    table.search.clear()
    assert shown(table) == list(range(6))
    assert table.current_row() == 5


def test_filter_by_label(table, qtbot):
    page = Page(table, imported={0: "good", 1: "good", 2: "bad"})
    page.label(1, "bad")
    page.label(5, "good")

    def choose(words: str) -> list[int]:
        table.filter.setFocus()
        while table.filter.currentIndex():
            qtbot.keyClick(table.filter, Qt.Key.Key_Up)
        while table.filter.currentText() != words:
            qtbot.keyClick(table.filter, Qt.Key.Key_Down)
        return shown(table)

    assert choose("1 bad") == [1, 2]
    assert choose("2 good") == [0, 5]
    assert choose("With a label") == [0, 1, 2, 5]
    assert choose("Without a label") == [3, 4]
    qtbot.keyClicks(table.search, "lovely")
    assert shown(table) == [4]
    qtbot.keyClick(table.view, Qt.Key.Key_1)  # stays, to be seen and corrected
    assert shown(table) == [4]
    assert choose("1 bad") == [4]
    page.model.set_classes(["good"])  # there is no such filter any more
    assert (table.filter.currentText(), shown(table)) == ("All texts", [4])


def test_suggested_rows_come_first(table):
    page = Page(table)
    page.model.set_order([4, 2])
    assert shown(table) == [4, 2, 0, 1, 3, 5]
    assert [page.model.index_row(row) for row in range(6)] == [2, 3, 1, 4, 0, 5]
    page.model.set_filter("n", "all")
    assert shown(table) == [2, 3, 5]
    assert page.model.index_row(4) is None
    page.model.set_order(None)
    page.model.set_filter("")
    assert shown(table) == list(range(6))


# What is read ---------------------------------------------------------------------------------------------------------


def test_cells(table):
    page = Page(table, imported=pa.chunked_array([["good", None, "old name"], [None, None, None]]))
    page.label(1, "bad")
    page.model.set_uses({1: "training"})
    model = page.model
    assert [cell(model, 1, column) for column in (NUMBER, TEXT, LABEL, USE)] == [
        "2",
        "Works as described",
        "1 bad",
        "training",
    ]
    assert "Works as\n described" in cell(model, 1, TEXT, Qt.ItemDataRole.ToolTipRole)
    assert [model.label(row) for row in range(4)] == ["good", "bad", "old name", None]
    assert cell(model, 2, LABEL) == "old name"
    assert cell(model, 0, LABEL, Qt.ItemDataRole.ForegroundRole) == LIGHT.colour("muted")
    assert cell(model, 1, LABEL, Qt.ItemDataRole.ForegroundRole) is None
    assert cell(model, 1, LABEL, Qt.ItemDataRole.FontRole).bold()
    assert cell(model, 1, LABEL, Qt.ItemDataRole.DecorationRole) == LIGHT.category(0)
    assert model.counts() == {"bad": 1, "good": 1, "old name": 1}
    page.label(0, "bad")  # one's own goes before the imported one
    assert model.counts() == {"bad": 2, "good": 0, "old name": 1}
    page.label(0, None)
    assert model.label(0) == "good"


def test_chips_count_labels_and_show_keys(table, qtbot):
    page = Page(table, imported={4: "good"})
    qtbot.keyClick(table.view, Qt.Key.Key_2)
    qtbot.waitUntil(lambda: table.chips.accessibleName() == "Labels of each class: bad 0, good 2")
    assert page.model.counts() == {"bad": 0, "good": 2}
    assert "<b>2</b>&nbsp;good&nbsp;2" in table.chips.text()
    assert LIGHT.category(1).name() in table.chips.text()


@pytest.mark.parametrize("classes", [77, 300])
@pytest.mark.parametrize(
    "name", ["card payment fee {}", "card-payment.fee/{}", "{}", "a complaint at length " * 20 + "{}"]
)
def test_chips_of_many_classes_take_two_lines(table, qtbot, classes: int, name: str):
    page = Page(table)
    page.model.set_classes([name.format(number) for number in range(classes)])
    qtbot.waitUntil(lambda: table.chips.accessibleName().endswith(f"{classes - 1} 0"))
    table.grab()
    lines = table.chips.heightForWidth(table.chips.width()) / table.chips.fontMetrics().lineSpacing()
    assert lines < 2.5
    assert table.chips.text().count("<b>") >= 3
    hidden = classes - table.chips.text().count("■")
    assert table.chips.more.text() == f"and {hidden} more"
    assert table.view.height() > 200


def test_classes_without_a_chip_are_in_a_menu(table, qtbot):
    page = Page(table)
    page.model.set_classes([f"card payment fee {number}" for number in range(77)])
    page.label(4, "card payment fee 76")
    qtbot.waitUntil(table.chips.more.isVisible)
    qtbot.mouseClick(table.chips.more, Qt.MouseButton.LeftButton)
    menu = table.chips.findChild(QMenu)
    assert [menu.actions()[place].text() for place in (0, 76)] == ["1 card payment fee 0\t0", "card payment fee 76\t1"]
    menu.actions()[76].trigger()
    menu.close()
    assert shown(table) == [4]


def test_the_tenth_class_has_no_key(table, qtbot):
    page = Page(table)
    page.model.set_classes([f"class {number}" for number in range(10)])
    page.label(0, "class 8")
    page.label(1, "class 9")
    assert [cell(page.model, row, LABEL) for row in (0, 1)] == ["9 class 8", "class 9"]


def test_the_pane_shows_the_whole_text_of_the_current_row(table, qtbot):
    Page(table)
    qtbot.keyClick(table.view, Qt.Key.Key_Down)
    assert table.pane.toPlainText() == TEXTS[1]
    qtbot.keyClicks(table.search, "nowhere")
    assert table.pane.toPlainText() == ""


def test_empty_states(table, qtbot):
    table.set_placeholder("No texts yet. Import some first.")
    qtbot.waitUntil(lambda: table.empty.isVisible() and table.empty.text() == "No texts yet. Import some first.")
    Page(table)
    qtbot.waitUntil(table.view.isVisible)
    qtbot.keyClicks(table.search, "nowhere")
    qtbot.waitUntil(lambda: table.empty.isVisible() and table.empty.text() == "Nothing matches the filter.")


def test_column_widths_come_back(table, qtbot):
    table.view.horizontalHeader().resizeSection(LABEL, 171)
    other = LabelTable()
    qtbot.addWidget(other)
    other.restore_state(QByteArray(b"something else"))
    other.restore_state(table.state())
    assert other.view.columnWidth(LABEL) == 171


# A million rows -------------------------------------------------------------------------------------------------------

ROWS = 1_000_000


@pytest.fixture(scope="module")
def million() -> pa.ChunkedArray:
    words = np.array(["awful", "cold", "table", "nice", "Superb", "lovely", "delivery", "crushed"])
    some = [" ".join(line) for line in words[np.random.default_rng(0).integers(0, 8, (1_000, 12))]]
    some[7] = "the Needle in it"
    return pa.chunked_array([pa.array(some)] * (ROWS // 1_000))


def test_a_million_rows_are_shown_at_once(qtbot, million):
    begin = time.perf_counter()
    table = LabelTable()
    qtbot.addWidget(table)
    table.model.set_classes(CLASSES)
    table.model.set_texts(million)
    table.show()
    qtbot.waitExposed(table)
    assert time.perf_counter() - begin < 0.5
    assert table.model.rowCount() == ROWS
    table.go_to(ROWS - 1)
    assert table.view.visualRect(table.view.currentIndex()).isValid()


@pytest.fixture
def crowded(qtbot, million):
    """A table of them, shown."""
    table = LabelTable()
    qtbot.addWidget(table)
    table.model.set_texts(million)
    table.show()
    qtbot.waitExposed(table)
    return table


def test_a_million_rows_can_be_selected(qtbot, crowded):
    begin = time.perf_counter()
    qtbot.keyClick(crowded.view, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    crowded.grab()
    assert time.perf_counter() - begin < 0.5


def test_a_search_in_a_million_rows_leaves_the_window_alive(qtbot, crowded):
    ticks = [time.perf_counter()]
    timer = QTimer(crowded)
    timer.setInterval(20)
    timer.timeout.connect(lambda: ticks.append(time.perf_counter()))
    timer.start()
    with qtbot.waitSignal(crowded.model.modelReset, timeout=20_000):
        crowded.search.setText("needle")
        assert crowded.model.searching
        assert crowded.model.rowCount() == ROWS  # the rows from before, until the others are found
    ticks.append(time.perf_counter())
    assert np.diff(ticks).max() < 0.15
    assert crowded.model.rowCount() == ROWS // 1_000
    assert crowded.model.corpus_row(1) == 1_007


def test_a_new_search_takes_the_place_of_one_that_runs(qtbot, million):
    model = LabelModel()
    model.set_texts(million)
    model.set_filter("lovely")
    model.set_labels({7: "good", 1_007: "bad", 3: "good"})
    assert model.searching
    with qtbot.waitSignal(model.modelReset, timeout=20_000):
        model.set_filter("needle", "good")
    assert not model.searching
    assert [model.corpus_row(row) for row in range(model.rowCount())] == [7]
    model.set_filter("needle", "unlabelled")  # the words are known: nothing is searched again
    assert not model.searching
    assert model.rowCount() == ROWS // 1_000 - 2
