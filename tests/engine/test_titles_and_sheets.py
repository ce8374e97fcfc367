"""Files as people have them: titles above the table, blank rows, several sheets."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from engine.corpus.header import title_rows
from engine.corpus.importing import import_corpus
from engine.corpus.preview import preview_file
from engine.corpus.store import Corpus
from engine.errors import DataError
from engine.events import Finished
from engine.settings import ImportSettings
from engine.stage import StopToken
from engine.storage import read_json

TABLE = [["id", "message", "mood"], *([str(n), f"a soup, number {n}", "glad" if n % 2 else "sad"] for n in range(12))]
TITLES = [["Report of May"], [], ["made by Ada"]]


def padded(rows: list[list[str]]) -> list[list[str]]:
    """As a spreadsheet program saves them."""
    return [[*row, *[""] * (3 - len(row))] for row in rows]


def written(path: Path, rows: list[list[Any]], delimiter: str = ",") -> Path:
    stream = io.StringIO()
    csv.writer(stream, delimiter=delimiter).writerows(rows)
    path.write_text(stream.getvalue(), encoding="utf-8", newline="")
    return path


def imported(path: Path, **settings: Any) -> Corpus:
    folder = path.parent / "corpus"
    reading = ImportSettings(text_column="message", label_column="mood", **settings)
    assert isinstance(list(import_corpus([path], folder, reading, stop=StopToken()))[-1], Finished)
    return Corpus.open(folder)


@pytest.mark.parametrize("titles", [TITLES, padded(TITLES), [[], []], padded([["a, title; with marks"]])])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_titles_above_a_table_are_left_out(tmp_path: Path, titles: list[list[str]], delimiter: str) -> None:
    path = written(tmp_path / "a.csv", [*titles, *TABLE], delimiter)
    seen = preview_file(str(path), ImportSettings())
    assert seen["columns"] == ["id", "message", "mood"]
    assert (seen["skipped"], seen["delimiter"], seen["broken"]) == (len(titles), delimiter, [])
    assert seen["lines"][0] == len(titles) + 2
    corpus = imported(path)
    assert (corpus.rows, corpus.classes) == (12, ("glad", "sad"))
    assert read_json(corpus.folder / "report.json")["sources"][0]["skipped"] == len(titles)


def test_the_line_that_names_the_delimiter_comes_before_titles(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", [["sep=;"], *TITLES, *TABLE], ";")
    seen = preview_file(str(path), ImportSettings())
    assert (seen["columns"][0], seen["skipped"], seen["lines"][0]) == ("id", 3, 6)


@pytest.mark.parametrize(
    "rows",
    [
        TABLE,
        [["", "message", "mood"], *TABLE[1:]],  # pandas with its index
        [["message"], *([f"soup, salt, number {n} and a text"] for n in range(12))],
        [["message", ""], *([f"soup {n}", "x"] for n in range(12))],
        [["message", "", ""], *([f"soup {n}", "x" if n % 3 == 0 else "", ""] for n in range(12))],
        TABLE[:3],
    ],
)
def test_names_of_columns_are_no_title(rows: list[list[str]]) -> None:
    assert title_rows(rows) == 0


def test_texts_with_commas_under_one_name_are_no_table(tmp_path: Path) -> None:
    lines = ["message", *(f"soup{', and' * (n % 4)} number {n}" for n in range(20))]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    assert preview_file(str(path), ImportSettings())["columns"] == ["message"]


def test_how_many_rows_come_first_can_be_said(tmp_path: Path) -> None:
    two = [row[1:] for row in TABLE]
    path = written(tmp_path / "a.csv", [["Report"], ["of", "May"], *two])
    assert preview_file(str(path), ImportSettings())["columns"] != ["message", "mood"]
    seen = preview_file(str(path), ImportSettings(skip_rows=2))
    assert (seen["columns"], seen["lines"][0]) == (["message", "mood"], 4)
    assert imported(path, skip_rows=2).rows == 12
    none = preview_file(str(written(tmp_path / "b.csv", [*TITLES, *TABLE])), ImportSettings(skip_rows=0))
    assert none["columns"] != ["id", "message", "mood"]
    with pytest.raises(DataError, match="0 columns"):
        preview_file(str(path), ImportSettings(skip_rows=99))


def workbook(path: Path, **sheets: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for number, row in enumerate(rows, 1):
            for column, value in enumerate(row, 1):
                sheet.cell(number, column, value or None)
    book.save(path)
    return path


def test_titles_of_a_sheet_are_left_out_and_rows_keep_their_numbers(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", Data=[*TITLES, *TABLE])
    seen = preview_file(str(path), ImportSettings())
    assert (seen["columns"], seen["skipped"], seen["lines"][0]) == (["id", "message", "mood"], 3, 5)
    assert seen["rows"][0] == ["0", "a soup, number 0", "sad"]
    assert imported(path).rows == 12
    assert preview_file(str(path), ImportSettings(skip_rows=0))["columns"][0] == "Report of May"


def test_another_sheet_can_be_chosen_by_name_or_number(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", About=[["what this is"]], Answers=TABLE)
    seen = preview_file(str(path), ImportSettings())
    assert (seen["sheet"], seen["sheets"], seen["columns"]) == ("About", ["About", "Answers"], ["what this is"])
    for chosen in ("Answers", "2"):
        assert imported(path, sheet=chosen).rows == 12
        sources = read_json(tmp_path / "corpus" / "report.json")["sources"]
        assert sources[0]["sheet"] == "Answers"
    with pytest.raises(DataError) as error:
        preview_file(str(path), ImportSettings(sheet="answer"))
    assert "The sheets are About, Answers. Did you mean 'Answers'?" in str(error.value)
    for missing in ("0", "3", "²"):
        with pytest.raises(DataError, match="There is no sheet"):
            preview_file(str(path), ImportSettings(sheet=missing))


def test_an_empty_sheet_leads_to_the_others(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", Cover=[], Answers=TABLE)
    with pytest.raises(DataError) as error:
        preview_file(str(path), ImportSettings())
    assert "'Cover', is empty" in str(error.value)
    assert "another one: Answers." in str(error.value)
