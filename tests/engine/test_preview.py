"""The beginning of a file, and the counts of an import while it runs."""

from __future__ import annotations

import json
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.corpus.importing import import_corpus
from engine.corpus.preview import preview_file
from engine.errors import DataError, StorageError
from engine.events import Finished, Metric
from engine.settings import ImportSettings
from engine.stage import StopToken
from engine.storage import read_json

ROWS = [
    (number, 1 + number % 5, f"Die Suppe Nr. {number} war heiß, sagen wir {'gut' * (number % 3)}")
    for number in range(60)
]


@pytest.fixture(params=["csv", "tsv", "jsonl", "parquet", "xlsx"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"texts.{request.param}"
    if request.param in ("csv", "tsv"):
        mark = ";" if request.param == "csv" else "\t"
        lines = [mark.join(("id", "Sterne", "Text")), *(mark.join(map(str, row)) for row in ROWS)]
        path.write_bytes("\r\n".join(lines).encode("cp1252"))
    elif request.param == "jsonl":
        lines = [json.dumps(dict(zip(("id", "Sterne", "Text"), row, strict=True))) for row in ROWS]
        path.write_text("\n".join(lines), encoding="utf-8")
    elif request.param == "parquet":
        pq.write_table(
            pa.table(dict(zip(("id", "Sterne", "Text"), map(list, zip(*ROWS, strict=True)), strict=True))), path
        )
    else:
        book = openpyxl.Workbook()
        book.active.append(("id", "Sterne", "Text"))
        for row in ROWS:
            book.active.append(row)
        book.save(path)
    return path


def test_every_format_is_shown_with_its_columns_and_labels(table: Path) -> None:
    found = preview_file(str(table), ImportSettings(), rows=20)
    assert found["columns"] == ["id", "Sterne", "Text"]
    assert found["rows"][7] == ["7", "3", ROWS[7][2]]
    assert len(found["rows"]) == len(found["lines"]) == 20
    assert found["text_column"] == "Text"
    assert found["label_column"] == "Sterne"
    assert found["label_values"] == {"Sterne": {str(stars): 12 for stars in range(1, 6)}}
    assert found["whole"]
    json.dumps(found)  # it crosses a pipe and is kept


def test_a_name_says_more_than_few_values_and_what_was_chosen_says_most(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    lines = ["kind,mood,text", *(f"{'ab'[n % 2]},{'xyz'[n % 3]},some words number {n} here" for n in range(30))]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert preview_file(str(path), ImportSettings())["label_column"] == "mood"
    assert preview_file(str(path), ImportSettings(label_column="kind"))["label_column"] == "kind"
    assert preview_file(str(path), ImportSettings(text_column="kind"))["text_column"] == "kind"


def test_numbers_of_rows_are_no_labels_and_broken_rows_are_told(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_text(
        "id,text\n" + "".join(f"{n},word {n} and more\n" for n in range(40)) + "1,2,3,4\n", encoding="utf-8"
    )
    found = preview_file(str(path), ImportSettings())
    assert found["label_column"] == ""
    assert found["label_values"] == {}
    assert [item["line"] for item in found["broken"]] == [42]


def test_a_folder_shows_its_first_file_and_says_how_many(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text(f"text {number}\n", encoding="utf-8")
    found = preview_file(str(tmp_path), ImportSettings())
    assert (found["sources"], found["source"], found["rows"]) == (3, "0.txt", [["text 0"]])


@pytest.mark.parametrize(("content", "error"), [(b"", DataError), (b"\x00\x01" * 50, DataError), (None, StorageError)])
def test_what_cannot_be_read_is_the_projects_own_error(tmp_path: Path, content: bytes | None, error: type) -> None:
    path = tmp_path / "texts.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error):
        preview_file(str(path), ImportSettings())


def test_the_counts_that_stream_end_as_the_report(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    lines = ["stars,text", *(f"{1 + n % 3},a text number {n % 50}" for n in range(120)), "1,", "2,x", "1,2,3,4"]
    path.write_text("\n".join(lines), encoding="utf-8")
    settings = ImportSettings(text_column="text", label_column="stars", maximum_broken_share=1)
    events = list(import_corpus([path], tmp_path / "out", settings, stop=StopToken()))
    assert isinstance(events[-1], Finished)
    last = {event.group: int(event.value) for event in events if isinstance(event, Metric) and event.name == "rows"}
    report = read_json(tmp_path / "out" / "report.json")
    assert last == {"kept": report["kept"], "broken": 1, **report["dropped"]}
    assert last["too short"] == last["empty"] == 1
