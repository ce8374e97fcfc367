"""Tooltips show a person's texts as they are written, whatever looks like markup in them."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import Qt as Markup
from PySide6.QtGui import QTextDocument

from engine.clustering.edits import Group
from engine.clustering.store import Cluster
from metapt_gui.models.audit_model import Audited, AuditModel
from metapt_gui.models.label_model import TEXT, LabelModel
from metapt_gui.models.preview_model import PreviewModel
from metapt_gui.widgets.cluster_list import ClusterList
from metapt_gui.widgets.dialogs import TableDialog
from metapt_gui.widgets.pieces import ElidedLabel, label
from metapt_gui.widgets.run_history import RunHistory, RunLine
from metapt_gui.wording import TOOLTIP, tooltip

MARKUP = ["<b>", "<img src=x> is what I typed", "<b>bold</b> & &lt;so on&gt;,\n  on two lines", "a < b"]
TIP = Qt.ItemDataRole.ToolTipRole


def read(tip: str) -> str:
    """Return what a person reads in a tooltip: Qt guesses whether it is markup."""
    document = QTextDocument()
    (document.setHtml if Markup.mightBeRichText(tip) else document.setPlainText)(tip)
    return document.toPlainText()


@pytest.mark.parametrize("text", MARKUP)
def test_a_text_is_read_as_it_is_written(qtbot, text: str) -> None:
    assert read(tooltip(text)) == text
    long = f"{text} and more of it, so that no column has room"
    dialog = TableDialog(None, "Broken rows", ("file", "row"), [("a.csv", long)])
    history, groups, audit, labels, preview = RunHistory(), ClusterList(), AuditModel(), LabelModel(), PreviewModel()
    for widget in (dialog, history, groups):
        qtbot.addWidget(widget)
    history.show_runs([RunLine("0001-tune", "now", "done", "3", "71 %", text)])
    groups.show_groups([Group(0, text, True, (Cluster(0, text, 3, {}, (), ()),))], {})
    audit.show([Audited(0, "good", 0.9, text)])
    labels.set_texts([text])
    preview.show(["text"], [[long]], [1])
    assert read(dialog.table.item(0, 1).toolTip()) == long
    assert read(history.item(0, 5).toolTip()) == text
    assert read(groups.table.item(0, 0).toolTip()) == text
    assert read(audit.index(0, 3).data(TIP)) == text
    assert read(labels.index(0, TEXT).data(TIP)) == text
    assert read(preview.index(0, 0).data(TIP)) == long
    assert label(text).textFormat() == Qt.TextFormat.PlainText


def test_a_long_text_is_wrapped_and_cut(qtbot) -> None:
    shown = tooltip("word " * 1000)
    assert len(read(shown)) == TOOLTIP + 2
    assert Markup.mightBeRichText(shown)  # only then Qt breaks its lines
    title = ElidedLabel("<b>a title</b>")
    qtbot.addWidget(title)
    title.resize(20, 20)
    title.grab()
    assert read(title.toolTip()) == "<b>a title</b>"


def test_none_is_shown_for_no_text() -> None:
    assert tooltip("") == ""
