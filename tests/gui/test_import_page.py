"""What the import page says of files and columns, and what it keeps of what was chosen."""

from __future__ import annotations

from pathlib import Path

import pytest
from gui.driving import Hands, chosen
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from engine.project import Project
from engine.storage import read_json
from engine.workflow import IMPORT, State, states
from metapt_gui.pages.import_corpus import ImportPage
from metapt_gui.pages.use import UsePage
from metapt_gui.widgets.class_map import EACH
from metapt_gui.widgets.dialogs import TableDialog


def written(path: Path, rows: int = 12, *, header: str = "stars,text", encoding: str = "utf-8") -> Path:
    """Write reviews of one, two and three stars."""
    lines = [header, *(f"{1 + n % 3},review number {n} of a café" for n in range(rows))]
    path.write_bytes("\n".join(lines).encode(encoding))
    return path


# How a file is read ---------------------------------------------------------------------------------------------------


def test_a_guessed_encoding_is_said_where_it_is_seen_and_can_be_changed(
    hands: Hands, importing: ImportPage, tmp_path: Path
) -> None:
    chosen(hands, importing, written(tmp_path / "a.csv", encoding="cp1252"))
    assert importing.guess.isVisible()
    said = "The encoding was guessed: Western European (cp1252). Check the accents in the preview."
    assert importing.guess.text.text() == said
    hands.click(importing.guess.buttons[0])
    assert hands.window.focusWidget() is importing.form.control("encoding")
    importing.form.set_values({"encoding": "cp1252"}, quiet=False)
    hands.until(lambda: not importing.guess.isVisible())
    chosen(hands, importing, written(tmp_path / "b.csv"))
    assert not importing.guess.isVisible()


def test_a_file_without_names_of_columns_is_said_to_be_one(hands: Hands, importing: ImportPage, tmp_path: Path) -> None:
    chosen(hands, importing, written(tmp_path / "a.csv", header="3,the first of all reviews"))
    assert importing.detected.text().startswith("Detected: CSV, utf-8, comma, no header line.")
    assert importing.form.control("header").isVisibleTo(importing.form)
    chosen(hands, importing, written(tmp_path / "b.csv"))
    assert importing.detected.text().startswith("Detected: CSV, utf-8, comma. ")


def test_the_second_of_two_columns_of_one_name_can_be_chosen(
    hands: Hands, importing: ImportPage, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,text,mood\nlonger than the other,short,good\nalso very long,brief,bad\n", encoding="utf-8")
    chosen(hands, importing, path)
    hands.choose(importing.text_column, "text (2)")
    hands.run(importing)
    corpus = hands.window.document.corpus("source")
    assert corpus is not None
    assert corpus.texts == ["short", "brief"]


def test_the_column_of_the_text_is_in_sight_however_many_there_are(
    hands: Hands, importing: ImportPage, tmp_path: Path
) -> None:
    hands.window.resize(1280, 800)
    path = tmp_path / "a.csv"
    names = [f"field {number}" for number in range(60)]
    names[40] = "comment"
    lines = [",".join(names)]
    for row in range(20):
        cells = [str(row + number) for number in range(60)]
        cells[40] = f"review number {row} of a soup that was much too cold to be eaten"
        lines.append(",".join(cells))
    path.write_text("\n".join(lines), encoding="utf-8")
    chosen(hands, importing, path)
    view = importing.preview

    def seen(number: int) -> bool:
        left, width = view.columnViewportPosition(number), view.columnWidth(number)
        return left >= 0 and width >= 300 and left + width <= view.viewport().width()

    assert importing.text_column.currentText() == "comment"
    hands.until(lambda: seen(40))
    hands.choose(importing.text_column, "field 3")
    assert seen(3)
    assert view.columnWidth(40) < 200
    hands.window.resize(hands.window.width() + 100, hands.window.height())
    hands.until(lambda: seen(3))


# The keyboard ---------------------------------------------------------------------------------------------------------


def test_the_tab_key_leaves_the_preview(hands: Hands, importing: ImportPage, tmp_path: Path) -> None:
    chosen(hands, importing, written(tmp_path / "a.csv"))
    hands.key(Qt.Key.Key_Shift)  # the window is active from here on
    importing.preview.setFocus()
    hands.qtbot.keyClick(importing.preview, Qt.Key.Key_Tab)
    assert not importing.preview.hasFocus()


def test_the_tab_key_leaves_the_table_of_a_dialog(qtbot: QtBot) -> None:
    dialog = TableDialog(None, "Keys", ("key", "what it does"), [("a", "b"), ("c", "d")])
    dialog.open()
    qtbot.waitUntil(dialog.isActiveWindow)
    dialog.table.setFocus()
    qtbot.keyClick(dialog.table, Qt.Key.Key_Tab)
    assert QApplication.focusWidget() is not dialog.table
    dialog.close()


# What is chosen, and what was imported --------------------------------------------------------------------------------

NOT_YET = "The files chosen are not imported yet. Import again."


def state(hands: Hands) -> State:
    return hands.window.document.states()[IMPORT.key]


def test_an_import_is_out_of_date_as_soon_as_other_files_or_classes_are_chosen(
    hands: Hands, importing: ImportPage, tmp_path: Path
) -> None:
    first = written(tmp_path / "a.csv")
    chosen(hands, importing, first)
    assert state(hands) is State.READY
    hands.run(importing)
    assert (state(hands), importing.progress_text.text()) == (State.READY, "Done.")
    chosen(hands, importing, written(tmp_path / "b.csv", 15))
    assert state(hands) is State.OUTDATED
    hands.until(lambda: importing.banner.text.text() == NOT_YET)
    assert importing.progress_text.text() == ""
    assert importing.primary.property("role") == "primary"
    hands.click(importing.roles["target"])
    hands.until(
        lambda: importing.banner.text.text() == "Labelled texts: the files chosen are not imported yet. Import again."
    )
    hands.click(importing.roles["source"])
    hands.until(lambda: importing.model.rowCount() > 0)
    chosen(hands, importing, first)
    assert state(hands) is State.READY
    hands.until(lambda: not importing.banner.isVisible())
    importing.class_map.table.item(0, 2).setText("bad")
    assert state(hands) is State.OUTDATED
    hands.run(importing)
    assert (state(hands), importing.progress_text.text()) == (State.READY, "Done.")


def test_a_folder_whose_files_were_imported_is_up_to_date(project_folder: Path) -> None:
    with Project.open(project_folder) as project:
        assert states(project)[IMPORT.key] is State.DONE
        project.set_value("files source", [str(project_folder.parent)])
        assert states(project)[IMPORT.key] is State.OUTDATED
        source = Path(read_json(project.role("source") / "job.json")["files"][0])
        project.set_value("files source", [str(source.parent)])
        assert states(project)[IMPORT.key] is State.DONE
        project.set_value("files source", [str(source.parent), str(project_folder)])
        assert states(project)[IMPORT.key] is State.OUTDATED


# Classes --------------------------------------------------------------------------------------------------------------


def test_the_text_column_leaves_the_classes_alone(hands: Hands, importing: ImportPage, tmp_path: Path) -> None:
    chosen(hands, importing, written(tmp_path / "a.csv"))
    importing.class_map.table.item(0, 2).setText("bad")
    hands.choose(importing.text_column, "stars")
    hands.choose(importing.text_column, "text")
    assert importing.class_map.label_map() == {"1": "bad", "2": "2", "3": "3"}
    hands.choose(importing.label_column, "text")
    hands.choose(importing.label_column, "stars")
    assert importing.class_map.label_map() == {}


def test_a_table_without_classes_is_not_imported_as_if_each_value_were_one(
    hands: Hands, importing: ImportPage, tmp_path: Path
) -> None:
    chosen(hands, importing, written(tmp_path / "a.csv"))
    for row in range(3):
        importing.class_map.table.item(row, 2).setText("")
    hands.until(lambda: not importing.primary.isEnabled())
    assert importing.primary.toolTip() == "Give at least two values a class."
    hands.choose(importing.class_map.choice, EACH)
    hands.until(importing.primary.isEnabled)


# Roles and runs -------------------------------------------------------------------------------------------------------


def test_what_is_said_of_a_role_stays_with_it(hands: Hands, importing: ImportPage, tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("mood,text\ngood,the first of them\ngood,the second of them\n", encoding="utf-8")
    chosen(hands, importing, path)
    hands.choose(importing.label_column, "mood")
    hands.run(importing)
    assert "Nothing can be learnt from one class" in importing.banner.text.text()
    hands.click(importing.roles["target"])
    hands.until(lambda: not importing.banner.isVisible())
    assert importing.progress_text.text() == ""
    hands.click(importing.roles["source"])
    hands.until(lambda: "Nothing can be learnt from one class" in importing.banner.text.text())


def test_nothing_is_counted_of_an_import_that_was_cancelled(
    hands: Hands, importing: ImportPage, tmp_path: Path
) -> None:
    chosen(hands, importing, written(tmp_path / "a.csv", 300_000))
    hands.press(importing)
    hands.until(lambda: importing.report.figures["kept"].value.text() not in ("0", "–"))
    hands.click(importing.cancel)
    hands.idle()
    assert importing.progress_text.text() == "Cancelled."
    assert {figure.value.text() for figure in importing.report.figures.values()} == {"–"}


def test_a_file_dropped_on_the_last_page_is_classified(
    hands: Hands, project_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hands.window.projects.open(project_folder)
    page = hands.to(UsePage)
    before = hands.window.document.value("files source"), hands.window.document.value("import source")
    dropped = written(tmp_path / "new.csv")
    asked: list[list[Path]] = []
    monkeypatch.setattr(page, "classify_into", asked.append)
    hands.window.open_path(dropped)
    assert asked == []
    assert page.banner.text.text() == "Tune a prompt first, or load one."
    monkeypatch.setattr(page, "blocked", lambda: "")
    hands.window.open_path(dropped)
    assert asked == [[dropped]]
    assert hands.window.page is page
    assert (hands.window.document.value("files source"), hands.window.document.value("import source")) == before


# The next version of a file -------------------------------------------------------------------------------------------


def reviews(path: Path, *, title: str = "title", stars: range = range(1, 6)) -> Path:
    """Write reviews whose longest column is not their text."""
    lines = [f"{title},body,stars"]
    lines += [f"a title that is longer than what follows {n},text {path.stem} {n},{stars[n % 5]}" for n in range(20)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture
def may(hands: Hands, importing: ImportPage, tmp_path: Path) -> ImportPage:
    """The page with a file for which columns, classes and a limit were chosen."""
    chosen(hands, importing, reviews(tmp_path / "may.csv"))
    hands.choose(importing.text_column, "body")
    hands.choose(importing.label_column, "stars")
    for row in range(5):
        importing.class_map.table.item(row, 2).setText("low" if row < 2 else "high")
    importing.form.set_values({**importing.form.values(), "maximum_rows": 15}, quiet=False)
    hands.until(lambda: kept_settings(hands).get("maximum_rows") == 15)
    return importing


def kept_settings(hands: Hands) -> dict[str, object]:
    found: dict[str, object] = hands.window.document.value("import source", {})
    return found


def test_what_was_chosen_holds_for_a_file_with_the_same_columns(hands: Hands, may: ImportPage, tmp_path: Path) -> None:
    before = kept_settings(hands)
    assert before["text_column"] == "body"
    assert before["label_map"] == {"1": "low", "2": "low", "3": "high", "4": "high", "5": "high"}
    chosen(hands, may, reviews(tmp_path / "june.csv"))
    assert kept_settings(hands) == before
    assert may.text_column.currentText() == "body"
    assert may.class_map.label_map() == before["label_map"]


@pytest.mark.parametrize("other", [{"stars": range(10, 60, 10)}, {"title": "body (2)"}])
def test_other_columns_and_other_labels_are_chosen_anew(
    hands: Hands, may: ImportPage, tmp_path: Path, other: dict[str, object]
) -> None:
    file = reviews(tmp_path / "june.csv", **other)
    if "title" in other:
        file.write_text(file.read_text(encoding="utf-8").replace(",body,", ",other,"), encoding="utf-8")
    chosen(hands, may, file)
    hands.until(lambda: kept_settings(hands).get("maximum_rows", 15) is None)
    assert kept_settings(hands)["label_map"] != {"1": "low", "2": "low", "3": "high", "4": "high", "5": "high"}
    assert may.form.values()["maximum_rows"] is None


def test_a_file_that_cannot_be_read_as_the_one_before_is_read_anew(
    hands: Hands, may: ImportPage, tmp_path: Path
) -> None:
    may.form.set_values({**may.form.values(), "encoding": "utf-16"}, quiet=False)
    hands.until(lambda: bool(may._preview_problem))
    chosen(hands, may, reviews(tmp_path / "june.csv"))
    assert kept_settings(hands)["encoding"] == "auto"
