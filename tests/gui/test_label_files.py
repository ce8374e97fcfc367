"""Labels from a file are read as texts are, and what does not fit keeps nothing else out."""

from __future__ import annotations

from pathlib import Path

import pytest
from gui.driving import Hands
from openpyxl import Workbook

from engine.corpus.importing import import_corpus
from engine.corpus.store import Corpus
from engine.errors import DataError
from engine.settings import ImportSettings
from engine.stage import StopToken
from metapt_gui.label_files import read_labels, show_left_out
from metapt_gui.models.texts import Texts, read_texts
from metapt_gui.widgets.dialogs import TableDialog

CLASSES = ("Happy", "unhappy", "5")


@pytest.fixture
def texts(tmp_path: Path) -> Texts:
    path = tmp_path / "texts.txt"
    path.write_text("the parcel came\nnobody  answers\ndéjà vu, again\n", encoding="utf-8")
    list(import_corpus([path], tmp_path / "corpus", ImportSettings(), stop=StopToken()))
    return read_texts(Corpus.open(tmp_path / "corpus"))


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ('text,label\nthe parcel came,Happy\n"déjà vu, again",unhappy\n', "utf-8"),
        ("Text;Label\r\nthe parcel came;HAPPY\r\ndéjà vu, again;Unhappy\r\n", "cp1252"),
        ("LABEL\tROW\nhappy\t1\nunhappy\t3\n", "utf-16"),
    ],
)
def test_a_file_as_people_have_it_is_read(texts: Texts, tmp_path: Path, content: str, encoding: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(content.encode(encoding))
    found = read_labels(path, texts, CLASSES)
    assert (found.labels, found.left_out) == ({0: "Happy", 2: "unhappy"}, [])


def test_a_workbook_is_read(texts: Texts, tmp_path: Path) -> None:
    book = Workbook()
    for row in (["Row", "Label", "Text"], [1.0, 5, None], [9, "happy", "nobody  answers"], [3, None, "déjà vu, again"]):
        book.active.append(row)
    book.save(tmp_path / "labels.xlsx")
    found = read_labels(tmp_path / "labels.xlsx", texts, CLASSES)
    assert found.labels == {1: "Happy"}
    assert found.left_out == [(2, "no such text", "1")]


def test_what_fits_is_taken_and_the_rest_is_listed(texts: Texts, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    lines = ["row,label", "1,happy", "2,cheerful", "7,happy", "2,", "one,two,three", "3,unhappy"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = read_labels(path, texts, CLASSES)
    assert found.labels == {0: "Happy", 2: "unhappy"}
    assert found.left_out == [
        (3, "'cheerful' is no class", "2"),
        (4, "no such row", "7"),
        (6, "3 columns instead of 2", "one,two,three\n"),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("text,mood\nthe parcel came,happy\n", "needs the columns label and text"),
        ("row,label\n1,cheerful\n", "'cheerful' is no class"),
        ("row,label\n1,\n", "no line has one"),
    ],
)
def test_a_file_of_which_nothing_fits_is_refused(texts: Texts, tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        read_labels(path, texts, CLASSES)


def test_rows_that_were_left_out_are_shown(hands: Hands, texts: Texts, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("row,label\n1,happy\n2,cheerful\n", encoding="utf-8")
    show_left_out(hands.window, read_labels(path, texts, CLASSES))
    dialog = hands.dialog(TableDialog)
    assert [dialog.table.item(0, column).text() for column in range(3)] == ["3", "'cheerful' is no class", "2"]
    dialog.close()
