"""Each page by itself: what is shown, undone, refused; through its widgets."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gui.driving import Hands
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QKeySequence
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QHeaderView,
    QLineEdit,
    QPlainTextEdit,
    QTabBar,
    QWidget,
)

from engine.clustering.edits import ClusterEdit
from engine.corpus.store import Corpus
from engine.events import Finished
from engine.project import Project
from engine.running.jobs import AnnotateJob
from engine.running.perform import perform
from engine.running.pipeline import import_job
from engine.running.session import Session
from engine.settings import AnnotateSettings, ImportSettings
from engine.stage import StopToken
from metapt_gui.dialogs import ErrorDialog, Question, TableDialog
from metapt_gui.pages.cluster import ClusterPage
from metapt_gui.pages.few_shot import FewShotPage
from metapt_gui.pages.import_corpus import ImportPage
from metapt_gui.pages.pseudo_label import PseudoLabelPage
from metapt_gui.pages.use import UsePage
from metapt_gui.widgets.class_map import HALVES
from metapt_gui.workflow import State

CTRL = Qt.KeyboardModifier.ControlModifier


def undo(hands: Hands) -> None:
    hands.key(Qt.Key.Key_Z, CTRL)


def redo(hands: Hands) -> None:
    hands.key(Qt.Key.Key_Z, CTRL | Qt.KeyboardModifier.ShiftModifier)


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
    shown = {name: figure.value.text() for name, figure in page.figures.items()}
    assert shown == {"kept": "96", "duplicate": "1", "empty": "1", "other": "24", "broken": "1"}
    hands.click(page.show_broken)
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
    hands.click(page.empty_button)
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
    hands.until(lambda: "binary" in page.empty_text.text())
    assert not page.primary.isEnabled()
    assert "binary" in page.primary.toolTip()


# Pseudo-label ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def annotated_once(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("annotated") / "annotated.metapt"
    shutil.copytree(prepared, folder)
    posts = folder.parent / "posts.csv"
    words = ("awful dull", "poor slow", "plain usual", "good kind", "superb")
    with open(posts, "w", encoding="utf-8") as stream:
        stream.write("post\n")
        for number in range(100):
            stream.write(f"my stay {number} felt {words[number % 5]} really\n")
    session = Session()
    with Project.open(folder) as project:
        for role, job in (
            ("open-text", lambda: import_job([str(posts)], ImportSettings())),
            (
                "annotated",
                lambda: AnnotateJob(
                    labelled=str(project.role("source")),
                    unlabelled=str(project.role("open-text")),
                    cache=str(project.cache),
                    settings=AnnotateSettings(confidence=0.1, out_of_domain_share=0, balance=False),
                ),
            ),
        ):
            made = job()
            run, _ = project.run_folder(made)
            last = list(perform(made, run, session, StopToken()))[-1]
            assert isinstance(last, Finished), last
            project.assign(role, run)
        project.set_value("annotate", {"confidence": 0.1, "out_of_domain_share": 0.0, "balance": False})
    return folder


@pytest.fixture
def labelling(hands: Hands, annotated_once: Path, tmp_path: Path) -> PseudoLabelPage:
    folder = tmp_path / "annotated.metapt"
    shutil.copytree(annotated_once, folder)
    hands.window.projects.open(folder)
    page = hands.step(1)
    assert isinstance(page, PseudoLabelPage)
    hands.until(lambda: page.total.value.text() == "100")
    return page


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


@pytest.fixture
def clustering(hands: Hands, project_folder: Path) -> ClusterPage:
    hands.window.projects.open(project_folder)
    page = hands.step(2)
    assert isinstance(page, ClusterPage)
    hands.until(lambda: page.groups.table.rowCount() == 4)
    return page


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


# Label and tune -------------------------------------------------------------------------------------------------------


@pytest.fixture
def tuning(hands: Hands, project_folder: Path) -> FewShotPage:
    hands.window.projects.open(project_folder)
    page = hands.step(4)
    assert isinstance(page, FewShotPage)
    hands.until(lambda: page.table.model.rowCount() == 60)
    return page


def test_labels_by_key_undo_redo_and_disk(hands: Hands, tuning: FewShotPage, project_folder: Path) -> None:
    view, corpus = tuning.table.view, Corpus.open(hands.window.document.path("target"))
    view.setFocus()
    view.selectRow(0)
    for key in (Qt.Key.Key_1, Qt.Key.Key_1, Qt.Key.Key_2):
        hands.qtbot.keyClick(view, key)

    def on_disk() -> dict[int, str]:
        with Project.open(project_folder, read_only=True) as other:
            return other.labels(corpus.content_hash)

    assert on_disk() == {0: "unhappy", 1: "unhappy", 2: "happy"}
    assert hands.window.document.states()["tune"] in (State.READY, State.TODO)
    undo(hands)
    undo(hands)
    assert on_disk() == {0: "unhappy"}
    redo(hands)
    assert on_disk() == {0: "unhappy", 1: "unhappy"}
    where = view.visualRect(view.model().index(0, 1)).center()
    hands.qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=where)
    hands.qtbot.keyClick(view, Qt.Key.Key_0)
    assert on_disk() == {1: "unhappy"}


def test_words_are_checked_while_typed(hands: Hands, tuning: FewShotPage) -> None:
    editor = tuning.side.words
    lines = [line for line in editor.findChildren(type(tuning.table.search)) if "word" in line.accessibleName()]
    hands.until(lambda: lines[0].accessibleDescription() == "1 token")
    hands.type(lines[0], "good")
    hands.until(lambda: lines[0].accessibleDescription() == "used twice")
    assert not tuning.primary.isEnabled()
    assert "share a label word" in tuning.primary.toolTip()
    hands.type(lines[0], "antidisestablishmentarianism")
    hands.until(lambda: "tokens" in lines[0].accessibleDescription())
    hands.until(editor.advice.isVisible)
    assert "Try " in editor.advice.text()


def test_the_exact_input_is_shown_for_the_selected_text(hands: Hands, tuning: FewShotPage) -> None:
    tuning.table.view.selectRow(7)
    hands.until(lambda: "parcel 7" in tuning.side.preview.text())
    assert "<extra_id_0>" in tuning.side.preview.text()
    assert "20 soft tokens" in tuning.side.preview.text()


def test_texts_that_are_worth_a_label_are_put_first(hands: Hands, project_folder: Path) -> None:
    with Project.open(project_folder) as project:
        path = project.role("target") / "corpus.parquet"
    table = pq.read_table(path)
    labels = [name if row < 2 else None for row, name in enumerate(table["label"].to_pylist())]
    pq.write_table(table.set_column(1, "label", pa.array(labels, pa.string())), path)
    hands.window.projects.open(project_folder)
    page = hands.step(4)
    assert isinstance(page, FewShotPage)
    model = page.table.model
    hands.until(lambda: model.rowCount() == 60)

    def first() -> list[int]:
        return [model.corpus_row(place) for place in range(10)]

    before = first()
    hands.click(page.side.suggest)
    hands.until(lambda: first() != before and page.side.suggest.isEnabled())
    suggested = first()
    for _ in range(3):
        hands.qtbot.keyClick(page.table.view, Qt.Key.Key_1)  # the table has the keyboard by now, and goes on by itself
    assert [model.label(row) for row in suggested[:4]] == ["unhappy"] * 3 + [None]
    hands.click(page.side.suggest)
    hands.until(lambda: first() != suggested and page.side.suggest.isEnabled())
    assert not {row for row in first() if model.label(row)}
    hands.click(page.side.at_random)
    assert not {row for row in first() if model.label(row)}


def test_nothing_is_suggested_when_every_text_has_a_label(tuning: FewShotPage) -> None:
    assert not tuning.side.suggest.isEnabled()
    assert tuning.side.suggest.toolTip() == "Every text has a label."


def test_labels_come_from_a_file(hands: Hands, tuning: FewShotPage, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("row,label\n1,happy\n4,unhappy\n", encoding="utf-8")
    hands.next_file(path)
    hands.click(tuning.side.from_file)
    project, corpus = hands.window.document.project, hands.window.document.corpus("target")
    assert project is not None
    assert corpus is not None
    assert project.labels(corpus.content_hash) == {0: "happy", 3: "unhappy"}
    path.write_text("row,label\n1,cheerful\n", encoding="utf-8")
    hands.click(tuning.side.from_file)
    dialog = hands.dialog(ErrorDialog)
    assert "'cheerful' is no class" in dialog.sentence.text()
    dialog.reject()


def test_a_renamed_class_takes_its_labels_along(hands: Hands, tuning: FewShotPage) -> None:
    tuning.table.view.setFocus()
    tuning.table.view.selectRow(5)
    hands.qtbot.keyClick(tuning.table.view, Qt.Key.Key_2)
    name = next(
        line for line in tuning.side.words.findChildren(type(tuning.table.search)) if line.accessibleName() == "Class 2"
    )
    hands.type(name, "glad")
    project, corpus = hands.window.document.project, hands.window.document.corpus("target")
    assert project is not None
    assert corpus is not None
    assert project.labels(corpus.content_hash) == {5: "glad"}
    assert project.value("task")["classes"] == ["unhappy", "glad"]
    assert project.value("task")["words"]["glad"] == "good"


# Projects and dialogs -------------------------------------------------------------------------------------------------


def test_a_project_that_is_open_elsewhere_is_offered_for_reading(hands: Hands, project_folder: Path) -> None:
    with Project.open(project_folder):
        hands.window.projects.open(project_folder)
        question = hands.dialog(Question)
        assert "open in another window" in question.text()
        hands.answer(question, "Open for reading only")
        assert "reading only" in hands.window.windowTitle()
        for number in range(5):
            page = hands.step(number)
            assert not page.primary.isEnabled()
            assert "reading only" in page.primary.toolTip()


def test_a_project_of_a_newer_version_is_refused(hands: Hands, project_folder: Path) -> None:
    manifest = json.loads((project_folder / "project.json").read_text(encoding="utf-8"))
    (project_folder / "project.json").write_text(json.dumps({**manifest, "schema": 99}), encoding="utf-8")
    hands.window.projects.open(project_folder)
    dialog = hands.dialog(ErrorDialog)
    assert "newer MetaPT" in dialog.sentence.text()
    assert "Update MetaPT" in dialog.report
    dialog.reject()
    assert hands.window.document.project is None


def test_a_failing_job_opens_a_dialog_with_what_where_and_remedy(hands: Hands, project_folder: Path) -> None:
    hands.window.projects.open(project_folder)
    (Path(hands.window.document.path("clusters")) / "clusters.json").write_text("{", encoding="utf-8")
    page = hands.step(3)
    hands.press(page)
    dialog = hands.dialog(ErrorDialog)
    assert dialog.sentence.text()
    hands.click(dialog.copy)
    assert str(project_folder) in QApplication.clipboard().text()
    hands.qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert page.primary.isEnabled()


def test_plots_are_saved_as_csv(hands: Hands, project_folder: Path, tmp_path: Path) -> None:
    hands.window.projects.open(project_folder)
    page = hands.step(0)
    assert isinstance(page, ImportPage)
    target = tmp_path / "classes.csv"
    hands.next_file(target)
    page.classes.export("CSV")
    with open(target, newline="", encoding="utf-8") as stream:
        assert [row[0] for row in csv.reader(stream)][1:] == ["1", "2", "3", "4", "5"]


def test_a_prompt_is_loaded_from_a_file_and_put_back(hands: Hands, project_folder: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"nonsense")
    hands.window.projects.open(project_folder)
    page = hands.step(5)
    assert isinstance(page, UsePage)
    assert not page.save.isEnabled()
    hands.next_file(bad)
    hands.click(page.load)
    dialog = hands.dialog(ErrorDialog)
    assert dialog.sentence.text()
    dialog.reject()
    assert not page.save.isEnabled()


def test_themes_switch_and_are_remembered(hands: Hands) -> None:
    window = hands.window
    before = window.grab().toImage().pixelColor(600, 300)
    dark = next(action for action in window.findChildren(type(window.menus.undo)) if action.text() == "Dark")
    dark.trigger()
    assert window.themes.theme.name == "dark"
    assert window.grab().toImage().pixelColor(600, 300).lightness() < before.lightness() / 3
    assert window.settings.get("theme", "system") == "dark"


def test_every_control_has_a_name_and_a_tooltip(hands: Hands, project_folder: Path) -> None:
    hands.window.projects.open(project_folder)
    kinds = (QAbstractButton, QComboBox, QLineEdit, QAbstractSpinBox, QAbstractItemView, QPlainTextEdit)
    nameless = []
    for number in range(6):
        page = hands.step(number)
        hands.qtbot.wait(50)
        for widget in page.findChildren(QWidget):
            inner = isinstance(widget.parent(), (QAbstractSpinBox, QComboBox, QAbstractItemView, QLineEdit, QTabBar))
            if not isinstance(widget, kinds) or isinstance(widget, QHeaderView) or inner or not widget.isVisible():
                continue
            if not (widget.accessibleName() and widget.toolTip()):
                nameless.append((page.step.key, type(widget).__name__, widget.accessibleName(), widget.toolTip()))
    assert nameless == []


def test_keys_are_listed(hands: Hands) -> None:
    hands.key(Qt.Key.Key_Question)
    dialog = hands.dialog(TableDialog)
    listed = {dialog.table.item(row, 0).text() for row in range(dialog.table.rowCount())}
    for key in ("F5", "Ctrl+1", "Ctrl+6", "Ctrl+E", "?"):
        assert QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText) in listed
    dialog.reject()


def test_warnings_of_a_run_stay_on_its_page_and_in_the_log_once(hands: Hands, tmp_path: Path) -> None:
    path = tmp_path / "one class.csv"
    path.write_text("text,label\n" + "".join(f"text number {n},same\n" for n in range(20)), encoding="utf-8")
    hands.next_file(tmp_path / "mine.metapt")
    hands.click(hands.window.welcome.new)
    page = hands.window.page
    assert isinstance(page, ImportPage)
    hands.next_file(path)
    hands.click(page.drop.browse)
    hands.until(lambda: page.model.rowCount() == 20)
    hands.choose(page.label_column, "label")
    hands.run(page)
    assert page.banner.isVisible()
    assert "Nothing can be learnt from one class" in page.banner.text.text()
    assert hands.window.log.toPlainText().count("Nothing can be learnt") == 1
