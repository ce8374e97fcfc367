"""Texts as long as a book: tables are given their beginnings, for they measure and draw all that they have."""

from __future__ import annotations

import pyarrow as pa
import pytest
from gui.test_results import made

from metapt_gui.models.audit_model import Audited, AuditModel
from metapt_gui.models.label_model import TEXT, LabelModel
from metapt_gui.models.preview_model import PreviewModel
from metapt_gui.widgets.dialogs import WIDEST, TableDialog
from metapt_gui.widgets.results_view import ResultsView, Wrong
from metapt_gui.wording import LINE, one_line

BOOK = "word soup\ntable " * 100_000


def test_the_beginning_is_on_one_line() -> None:
    assert one_line(" a\n b\t c ") == "a b c"
    assert one_line(BOOK).startswith("word soup table word")
    assert len(one_line(BOOK)) <= LINE


def test_no_table_is_given_more_than_the_beginning(qtbot) -> None:
    audit, labels, preview = AuditModel(), LabelModel(), PreviewModel()
    results, dialog = ResultsView(), TableDialog(None, "Picked texts", ("group", "text"), [("soup", BOOK)])
    for widget in (results, dialog):
        qtbot.addWidget(widget)
    audit.show([Audited(0, "good", 0.9, BOOK)])
    labels.set_texts(pa.chunked_array([[BOOK]]))
    preview.show(["text"], [[BOOK]], [1])
    results.show_results(made(wrong={"MetaPT seed 1": [Wrong(7, "happy", "unhappy", 0.9, BOOK)]}))
    cells = [audit.index(0, 3), labels.index(0, TEXT), preview.index(0, 0)]
    cells += [results.errors.model().index(0, 4), dialog.table.model().index(0, 1)]
    assert {cell.data() for cell in cells} == {one_line(BOOK)}


@pytest.mark.parametrize("name", ["soup", "complaint at length " * 20])
def test_the_last_column_of_a_dialog_has_the_room_that_is_left(qtbot, name: str) -> None:
    dialog = TableDialog(None, "Picked texts", ("group", "label", "text"), [(name, name, BOOK)])
    qtbot.addWidget(dialog)
    dialog.open()
    widths = [dialog.table.columnWidth(column) for column in range(3)]
    assert max(widths[:2]) <= WIDEST
    assert sum(widths) <= dialog.table.viewport().width()
    dialog.close()
