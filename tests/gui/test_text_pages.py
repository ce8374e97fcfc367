"""The pages that prepare texts, each by itself: import, pseudo-label, cluster; through their widgets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gui.driving import CTRL, Hands, redo, undo
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QApplication,
)

from engine.clustering.edits import ClusterEdit
from metapt_gui.pages.cluster import ClusterPage
from metapt_gui.pages.import_corpus import ImportPage
from metapt_gui.pages.pseudo_label import PseudoLabelPage
from metapt_gui.widgets.class_map import HALVES
from metapt_gui.widgets.dialogs import Question, TableDialog

# Import ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def messy(tmp_path: Path) -> Path:
    """A CSV as people have it: semicolons, cp1252, ratings, duplicates, an empty text, a broken row."""
    path = tmp_path / "messy reviews.csv"
    lines = ["id;Bewertung;Text"]
    for number in range(120):
        lines.append(f"{number};{1 + number % 5};Die Suppe Nr. {number} war schön heiß – für {number} €")
    lines += ["900;5;Die Suppe Nr. 1 war schön heiß – für 1 €", "901;4;", "902;3;zu;viele;Spalten"]
    path.write_bytes("\r\n".join(lines).encode("cp1252"))
    return path


def test_a_messy_file_dropped_on_the_window_becomes_a_project(hands: Hands, messy: Path) -> None:
    window = hands.window
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(messy))])
    held = (Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(window, QDragEnterEvent(QPoint(300, 300), *held))
    QApplication.sendEvent(window, QDropEvent(QPointF(300, 300), *held))
    hands.answer(hands.dialog(Question), "Labelled texts")
    page = window.page
    assert isinstance(page, ImportPage)
    assert window.document.folder == messy.with_suffix(".metapt")
    hands.until(lambda: page.model.rowCount() == 122)
    assert page.text_column.currentText() == "Text"
    assert "cp125" in page.detected.text()  # cp1250 and cp1252 read these letters alike
    assert "semicolon" in page.detected.text()
    hands.choose(page.label_column, "Bewertung")
    hands.choose(page.class_map.choice, HALVES)
    assert page.class_map.label_map() == {"1": "low", "2": "low", "4": "high", "5": "high"}
    hands.run(page)
    corpus = window.document.corpus("source")
    assert corpus is not None
    assert set(corpus.classes) == {"low", "high"}
    assert corpus.rows == 96
    shown = {name: figure.value.text() for name, figure in page.report.figures.items()}
    assert shown == {"kept": "96", "duplicate": "1", "empty": "1", "other": "24", "broken": "1"}
    hands.click(page.report.show_broken)
    dialog = hands.dialog(TableDialog)
    assert dialog.table.rowCount() == 1
    assert dialog.table.item(0, 1).text() == "124"
    hands.qtbot.keyClick(dialog, Qt.Key.Key_Escape)


def test_a_click_on_a_head_chooses_the_column(hands: Hands, messy: Path, tmp_path: Path) -> None:
    hands.next_file(tmp_path / "mine.metapt")
    hands.click(hands.window.welcome.new)
    page = hands.window.page
    assert isinstance(page, ImportPage)
    hands.next_file(messy)
    hands.click(page.shown.button)
    hands.until(lambda: page.model.rowCount() > 0)
    header = page.preview.horizontalHeader()
    where = QPoint(header.sectionViewportPosition(1) + 10, header.height() // 2)
    hands.qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=where)
    menu = QApplication.activePopupWidget()
    assert menu is not None
    hands.qtbot.keyClick(menu, Qt.Key.Key_Down)
    hands.qtbot.keyClick(menu, Qt.Key.Key_Down)
    hands.qtbot.keyClick(menu, Qt.Key.Key_Return)
    assert page.label_column.currentText() == "Bewertung"
    assert "label" in page.model.headerData(1, Qt.Orientation.Horizontal)


def test_a_file_that_is_no_text_is_refused_with_a_sentence(hands: Hands, tmp_path: Path) -> None:
    picture = tmp_path / "picture.csv"
    picture.write_bytes(bytes(range(256)) * 40)
    hands.next_file(tmp_path / "mine.metapt")
    hands.click(hands.window.welcome.new)
    page = hands.window.page
    assert isinstance(page, ImportPage)
    hands.next_file(picture)
    hands.click(page.drop.browse)
    hands.until(lambda: "binary" in page.shown.text.text())
    assert not page.primary.isEnabled()
    assert "binary" in page.primary.toolTip()


# Pseudo-label ---------------------------------------------------------------------------------------------------------


def kept(page: PseudoLabelPage, row: int) -> int:
    return int(page.table.item(row, 2).text())


def test_a_threshold_that_is_moved_changes_the_counts_can_be_undone_and_applied(
    hands: Hands, labelling: PseudoLabelPage
) -> None:
    page = labelling
    page.histogram.plot.setFocus()
    while page.histogram.selected() != "4":
        hands.qtbot.keyClick(page.histogram.plot, Qt.Key.Key_Down)
    name, row = "4", 3
    before, others = kept(page, row), page.total.value.text()
    for _ in range(70):
        hands.qtbot.keyClick(page.histogram.plot, Qt.Key.Key_Right)
    assert page.histogram.thresholds()[name] == pytest.approx(0.8)
    hands.until(lambda: kept(page, row) < before)
    after = kept(page, row)
    moves = hands.window.document.undo.count()
    for _ in range(moves):
        undo(hands)
    assert not hands.window.document.undo.canUndo()
    assert page.histogram.thresholds()[name] == pytest.approx(0.1)
    assert kept(page, row) == before
    assert page.total.value.text() == others
    for _ in range(moves):
        redo(hands)
    assert kept(page, row) == after
    assert page.primary.text() == "Apply"
    hands.run(page)
    corpus = hands.window.document.corpus("annotated")
    assert corpus is not None
    assert f"{corpus.rows:,}" == page.total.value.text()
    assert list(corpus.labels).count(row) == after


def test_audit_by_key_is_kept_undone_and_applied(hands: Hands, labelling: PseudoLabelPage) -> None:
    page, view = labelling, labelling.audit.view
    view.setFocus()
    view.selectRow(0)
    rows = [page.audit.model.audited(number).row for number in range(3)]
    for key in (Qt.Key.Key_A, Qt.Key.Key_5, Qt.Key.Key_R):
        hands.qtbot.keyClick(view, key)
    assert [page.audit.model.decision(row) for row in rows] == [page.audit.model.audited(0).label, "5", ""]
    undo(hands)
    assert page.audit.model.decision(rows[2]) is None
    redo(hands)
    hands.run(page)
    corpus = hands.window.document.corpus("annotated")
    assert corpus is not None
    posts = hands.window.document.corpus("open-text")
    assert posts is not None
    assert posts.texts[rows[2]] not in corpus.texts
    assert corpus.classes[corpus.labels[corpus.texts.index(posts.texts[rows[1]])]] == "5"


def test_balance_follows_at_once(hands: Hands, labelling: PseudoLabelPage) -> None:
    hands.click(labelling.balance)
    hands.until(lambda: len({kept(labelling, row) for row in range(5)}) == 1)


def test_a_dry_run_shows_twenty_texts_and_leaves_nothing(hands: Hands, labelling: PseudoLabelPage) -> None:
    runs = sorted((hands.window.document.folder / "runs").iterdir())
    hands.click(labelling.dry_run)
    dialog = hands.dialog(TableDialog) if hands.window.runner.current is None else None
    if dialog is None:
        hands.idle()
        dialog = hands.dialog(TableDialog)
    assert dialog.table.rowCount() == 20
    assert sorted((hands.window.document.folder / "runs").iterdir()) == runs
    dialog.reject()


# Cluster --------------------------------------------------------------------------------------------------------------


def edits(hands: Hands) -> dict[int, ClusterEdit]:
    project = hands.window.document.project
    assert project is not None
    return project.cluster_edits(project.role("clusters"))


def test_groups_are_merged_undone_and_split(hands: Hands, clustering: ClusterPage) -> None:
    table = clustering.groups.table
    sizes = [int(table.item(row, 1).text()) for row in range(4)]
    table.setFocus()
    for row, modifier in ((1, Qt.KeyboardModifier.NoModifier), (3, CTRL)):
        where = table.visualItemRect(table.item(row, 0)).center()
        hands.qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, modifier, where)
    hands.click(clustering.groups.merge)
    assert edits(hands) == {3: ClusterEdit(merged_into=1)}
    assert table.rowCount() == 3
    assert int(table.item(1, 1).text()) == sizes[1] + sizes[3]
    undo(hands)
    assert edits(hands) == {}
    assert table.rowCount() == 4
    redo(hands)
    assert table.rowCount() == 3
    where = table.visualItemRect(table.item(1, 0)).center()
    hands.qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=where)
    hands.click(clustering.groups.split)
    assert table.rowCount() == 4


def test_a_line_around_dots_lists_their_texts_and_selects_their_groups(hands: Hands, clustering: ClusterPage) -> None:
    clustering.scatter.picked.emit(np.arange(3))
    dialog = hands.dialog(TableDialog)
    assert dialog.table.rowCount() == 3
    shown = clustering._shown
    assert [dialog.table.item(row, 2).text() for row in range(3)] == shown.texts[:3].to_pylist()
    groups = {
        clustering.groups.table.item(index.row(), 0).text() for index in clustering.groups.table.selectedIndexes()
    }
    assert groups == {dialog.table.item(row, 0).text() for row in range(3)}
    dialog.reject()


def test_groups_are_renamed_and_left_out(hands: Hands, clustering: ClusterPage) -> None:
    table = clustering.groups.table
    where = table.visualItemRect(table.item(2, 0)).center()
    hands.qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=where)
    hands.type(clustering.groups.name, "soups")
    assert edits(hands)[2].name == "soups"
    assert table.item(2, 0).text() == "soups"
    hands.click(clustering.groups.leave_out)
    assert not edits(hands)[2].included
    assert "left out" in table.item(2, 0).text()
    assert clustering.groups.leave_out.text() == "Use again"
