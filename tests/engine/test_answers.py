"""The answers to files are those files' rows: their other columns come along, whatever they hold and are called."""

from __future__ import annotations

import csv
import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.errors import DataError, SettingsError
from engine.evaluation.prediction import predict_files
from engine.events import Event, Finished, Notice, Progress
from engine.prompting.classifier import TextClassifier
from engine.settings import ImportSettings
from engine.stage import StopToken

OWN = ["source", "row", "text", "prediction", "p(bad)", "p(good)"]


class LengthClassifier(TextClassifier):
    """Finds texts good whose number of characters is even."""

    classes_ = np.array(["bad", "good"])

    def probabilities(self, texts, *, stop=None, stage="predict"):
        for done in range(0, len(texts), 1000):
            yield Progress(stage, done, len(texts), "rows")
        good = np.array([0.25 + 0.5 * (len(text) % 2 == 0) for text in texts], np.float32)
        return np.stack([1 - good, good], 1)


def said(tmp_path: Path, *files: Path | str, output: Path, spreadsheet: bool = True, **reading: Any) -> list[Event]:
    """Classify files, and return what is told of it."""
    stage = predict_files(
        LengthClassifier(), [str(file) for file in files], output, ImportSettings(**reading), tmp_path / "run",
        spreadsheet=spreadsheet, stop=StopToken(),
    )  # fmt: skip
    return list(stage)


def answers(
    tmp_path: Path, *files: Path, ending: str = ".csv", spreadsheet: bool = True, **reading: Any
) -> list[dict[str, Any]]:
    """Classify files, and read what came out as it is on the disk."""
    output = tmp_path / f"out{ending}"
    assert isinstance(said(tmp_path, *files, output=output, spreadsheet=spreadsheet, **reading)[-1], Finished)
    if ending == ".parquet":
        return pq.read_table(output).to_pylist()
    if ending == ".jsonl":
        return [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    with open(output, newline="", encoding="utf-8-sig" if spreadsheet else "utf-8") as stream:
        return list(csv.DictReader(stream))


def test_progress_counts_the_rows_of_the_whole_file(tmp_path: Path) -> None:
    """What classifies counts each of its portions from 0."""
    file = tmp_path / "a.txt"
    file.write_text("".join(f"soup number {number}\n" for number in range(5000)), encoding="utf-8")
    told = [event for event in said(tmp_path, file, output=tmp_path / "out.csv") if isinstance(event, Progress)]
    seen = [(event.done, event.total) for event in told if event.stage == "predict"]
    assert seen == sorted(seen)
    assert {0, 1000, 2000, 2048, 3048, 4096, 5000} <= {done for done, _ in seen}
    assert {total for _, total in seen} == {5000}


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".jsonl"])
def test_each_row_keeps_what_it_had(tmp_path: Path, ending: str) -> None:
    file = tmp_path / "a.csv"
    lines = "ticket,message,channel\n17,good soup here,\n18,,mail\n19,bad soup,phone\n17,good soup here,mail\n"
    file.write_text(lines, encoding="utf-8")
    rows = answers(tmp_path, file, ending=ending)
    assert list(rows[0]) == [*OWN, "ticket", "channel"]
    assert [(row["ticket"], row["text"], row["channel"] or "") for row in rows] == [
        ("17", "good soup here", ""),
        ("18", "", "mail"),
        ("19", "bad soup", "phone"),
        ("17", "good soup here", "mail"),
    ]
    assert [row["prediction"] or "" for row in rows] == ["good", "", "good", "good"]
    assert [float(row["p(good)"] or -1) for row in rows] == [0.75, -1, 0.75, 0.75]
    assert [int(row["row"]) for row in rows] == [2, 3, 4, 5]


def test_columns_of_several_files_are_put_together_by_name(tmp_path: Path) -> None:
    first, second = tmp_path / "a.csv", tmp_path / "b.jsonl"
    first.write_text("id,text,city\n1,a soup that was hot,Bonn\n", encoding="utf-8")
    second.write_text('{"text": "a soup that was cold", "stars": 2, "id": 7}\n', encoding="utf-8")
    rows = answers(tmp_path, first, second, ending=".parquet", text_column="text")
    assert list(rows[0]) == [*OWN, "id", "city", "stars"]
    assert [(row["id"], row["city"], row["stars"]) for row in rows] == [("1", "Bonn", None), ("7", None, "2")]


def test_a_column_that_is_called_like_ours_gets_a_number(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    header = "prediction,source,p(good),message,text\n"
    file.write_text(header + "mine,web,9,a soup that somebody liked,short\n", encoding="utf-8")
    (row,) = answers(tmp_path, file)
    assert (row["source"], row["source (2)"]) == ("a.csv", "web")
    assert (row["text"], row["text (2)"]) == ("a soup that somebody liked", "short")
    assert (row["prediction (2)"], row["p(good) (2)"]) == ("mine", "9")


def test_json_lines_keep_numbers_and_lists(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    told = {"id": 5, "score": 0.5, "tags": ["x", {"y": None}], "done": True, "note": None}
    file.write_text(json.dumps({"text": "a soup that was hot", **told}) + "\n", encoding="utf-8")
    (row,) = answers(tmp_path, file, ending=".jsonl")
    assert {name: row[name] for name in told} == told
    (row,) = answers(tmp_path, file)
    assert [row[name] for name in told] == ["5", "0.5", '["x", {"y": null}]', "true", ""]


def test_dates_of_a_workbook_and_of_parquet_are_text(tmp_path: Path) -> None:
    book, table = openpyxl.Workbook(), tmp_path / "b.parquet"
    when = datetime.datetime(2024, 5, 17, 9, 30)
    for cells in (("when", "text", "count"), (when, "a soup that was hot", 3)):
        book.active.append(cells)
    book.save(tmp_path / "a.xlsx")
    columns = {"text": ["a soup that was cold"], "when": [when], "count": [float("nan")], "raw": [b"\xff"]}
    pq.write_table(pa.table(columns), table)
    for ending in (".parquet", ".jsonl"):
        rows = answers(tmp_path, tmp_path / "a.xlsx", table, ending=ending, text_column="text")
        assert [row["when"] for row in rows] == ["2024-05-17 09:30:00"] * 2
        assert [row["count"] for row in rows] == [3 if ending == ".jsonl" else "3", None]


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".jsonl"])
def test_bytes_that_are_not_of_the_encoding_do_not_stop_the_answers(tmp_path: Path, ending: str) -> None:
    file = tmp_path / "a.csv"
    good = "".join(f"{n},a soup that was hot {n},fünf\n" for n in range(50))
    file.write_bytes(b"id,text,note\n" + good.encode() + b"50,the last soup of all,f\xfcnf\n")
    rows = answers(tmp_path, file, ending=ending, text_column="text", encoding="utf-8")
    assert [row["note"] for row in rows[-2:]] == ["fünf", "f\ufffdnf"]


def test_cells_of_other_columns_are_no_formulas_and_numbers_stay_numbers(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("text,=sum,change\na soup that was hot,=1+1,-5.25\n", encoding="utf-8")
    (row,) = answers(tmp_path, file)
    assert (row["'=sum"], row["change"]) == ("'=1+1", "-5.25")
    (row,) = answers(tmp_path, file, spreadsheet=False)
    assert (row["=sum"], row["change"]) == ("=1+1", "-5.25")


def test_a_sample_of_the_rows_keeps_them_whole(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("id,text\n" + "".join(f"{n},soup number {n}\n" for n in range(90)), encoding="utf-8")
    rows = answers(tmp_path, file, maximum_rows=20, text_column="text")
    assert len(rows) == 20
    assert all(row["text"] == f"soup number {row['id']}" for row in rows)


def test_an_ending_that_is_none_is_told_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be written"):
        answers(tmp_path, tmp_path / "not there.csv", ending=".docx")


@pytest.mark.parametrize("named", ["a.csv", "*.csv", "", "link.csv"])
def test_answers_are_not_written_over_what_is_classified(tmp_path: Path, named: str) -> None:
    file = tmp_path / "in" / "a.csv"
    file.parent.mkdir()
    file.write_text("text\na soup that was hot\n", encoding="utf-8")
    (tmp_path / "in" / "link.csv").symlink_to(file)
    before = file.read_bytes()
    with pytest.raises(SettingsError, match="written over a file"):
        said(tmp_path, f"{file.parent}/{named}", output=file)
    assert file.read_bytes() == before
    assert not (tmp_path / "run").exists()


def test_what_gets_no_answer_is_counted_and_told(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    rows = "".join(f"{n},a soup that was hot\n" for n in range(200))
    file.write_text(f"id,text\n{rows}200,\n201,<br> \n202,one,too many\n", encoding="utf-8")
    *events, end = said(tmp_path, file, output=tmp_path / "out.csv", text_column="text")
    assert {name: end.summary[name] for name in ("rows", "read", "empty", "broken")} == {
        "rows": 200, "read": 203, "empty": 2, "broken": 1,
    }  # fmt: skip
    told = [event.text for event in events if isinstance(event, Notice)]
    assert "2 rows have no text" in told[-2]
    assert "1 of 203 rows are broken" in told[-1]
    assert "a.csv, line 204" in told[-1]


def test_a_file_without_a_text_leaves_no_answers(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,text\n1,\n2,\n", encoding="utf-8")
    with pytest.raises(DataError, match="no text in 2 rows"):
        said(tmp_path, tmp_path / "a.csv", output=tmp_path / "out.csv", text_column="text")
    assert not (tmp_path / "out.csv").exists()
