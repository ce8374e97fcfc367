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
from engine.errors import DataError, SettingsError, StorageError
from engine.events import Finished, Metric
from engine.jobs.session import QUESTIONS, Session
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


@pytest.mark.parametrize(
    ("columns", "guess"),
    [
        (("user_id", "text", "tone"), "tone"),  # few users, but an id
        (("userId", "text", "Index"), ""),
        (("kind", "text", "reviewRating"), "reviewRating"),
        (("other_stars", "text", "stars"), "stars"),
        (("label_id", "text", "kind"), "kind"),
    ],
)
def test_the_label_is_guessed_from_names_and_an_id_never_is_one(
    tmp_path: Path, columns: tuple[str, ...], guess: str
) -> None:
    path = tmp_path / "texts.csv"
    lines = [",".join(columns), *(f"{n % 4},some words number {n} here,{n % 2}" for n in range(40))]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert preview_file(str(path), ImportSettings())["label_column"] == guess


def test_the_text_and_the_label_are_never_the_same_column(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    lines = ["opinion,text", *(f"{('very good indeed', 'very bad indeed')[n % 2]},word {n}" for n in range(40))]
    path.write_text("\n".join(lines), encoding="utf-8")
    found = preview_file(str(path), ImportSettings(label_column="opinion"))
    assert (found["text_column"], found["label_column"]) == ("text", "opinion")
    found = preview_file(str(path), ImportSettings(label_column="opinion", text_column="opinion"))
    assert (found["text_column"], found["label_column"]) == ("opinion", "")


def test_numbers_of_rows_are_no_labels_and_broken_rows_are_told(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_text(
        "id,text\n" + "".join(f"{n},word {n} and more\n" for n in range(40)) + "1,2,3,4\n", encoding="utf-8"
    )
    found = preview_file(str(path), ImportSettings())
    assert found["label_column"] == ""
    assert found["label_values"] == {}
    assert [item["line"] for item in found["broken"]] == [42]


def test_a_wrong_encoding_can_be_seen(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_bytes("stars;text\n1;nothing of note\n2;ein heißer Tag\nspät;all plain\n".encode("cp1252"))
    found = preview_file(str(path), ImportSettings(encoding="utf-8"))
    assert found["rows"] == [["1", "nothing of note"], ["2", "ein hei\ufffder Tag"], ["sp\ufffdt", "all plain"]]
    assert [(item["line"], item["reason"]) for item in found["broken"]] == [(3, "bytes that are not of the encoding")]
    json.dumps(found, ensure_ascii=False).encode("utf-8")
    found = preview_file(str(path), ImportSettings(encoding="cp1252"))
    assert (found["broken"], found["rows"][1][1]) == ([], "ein heißer Tag")


def test_only_as_much_is_read_as_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text('{"stars": 1, "text": "first"}\n' * 10 + '{"stars": 2, "text": "later"}\n', encoding="utf-8")
    found = preview_file(str(path), ImportSettings(), rows=3, counted=10, seconds=-1)
    assert len(found["rows"]) == 3
    assert found["label_values"]["stars"] == {"1": 10}
    assert (found["counted"], found["whole"]) == (10, False)
    found = preview_file(str(path), ImportSettings(), counted=10)
    assert found["label_values"]["stars"] == {"1": 10, "2": 1}
    assert (found["counted"], found["whole"]) == (11, True)


@pytest.mark.parametrize(("width", "length"), [(2000, 1), (2, 2**20)])
def test_wide_tables_and_long_texts_are_not_read_far(tmp_path: Path, width: int, length: int) -> None:
    path = tmp_path / "texts.csv"
    line = ",".join(["x" * length] * width) + "\n"
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(",".join(f"c{number}" for number in range(width)) + "\n")
        stream.writelines(line for _ in range(300 if length == 1 else 20))
    found = preview_file(str(path), ImportSettings())
    assert 0 < len(found["rows"]) < (200 if length == 1 else 20)
    assert max(len(value) for row in found["rows"] for value in row) <= 300


def test_values_that_are_no_text_are_shown_short_and_are_no_labels(tmp_path: Path) -> None:
    path = tmp_path / "texts.parquet"
    records = [
        {"image": b"\x89" * 5000, "vector": [0.5] * 900, "stars": float(n % 3), "text": f"text {n}"} for n in range(30)
    ]
    pq.write_table(pa.Table.from_pylist(records), path)
    found = preview_file(str(path), ImportSettings())
    assert found["label_values"]["stars"] == {"0": 10, "1": 10, "2": 10}
    assert found["rows"][1][2:] == ["1", "text 1"]
    assert max(map(len, found["rows"][0])) <= 300
    assert not {"image", "vector"} & set(found["label_values"])


def test_the_engine_process_can_be_asked(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_text("stars;text\n1;one, two\n", encoding="utf-8")
    assert "preview_file" in QUESTIONS
    assert Session().preview_file(str(path), {"delimiter": ";"})["rows"] == [["1", "one, two"]]
    with pytest.raises(SettingsError, match="delimeter"):
        Session().preview_file(str(path), {"delimeter": ";"})


def test_a_folder_shows_its_first_file_and_says_how_many(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text(f"text {number}\n", encoding="utf-8")
    found = preview_file(str(tmp_path), ImportSettings())
    assert (found["sources"], found["source"], found["rows"]) == (3, "0.txt", [["text 0"]])


def test_empty_files_are_passed_over(tmp_path: Path) -> None:
    for name, text in (("a.txt", ""), ("b.txt", "\n"), ("c.txt", "soup\n")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = preview_file(str(tmp_path), ImportSettings())
    assert (found["sources"], found["source"], found["rows"]) == (3, "c.txt", [["soup"]])
    with pytest.raises(DataError, match="All 2 files are empty"):
        preview_file(str(tmp_path / "[ab].txt"), ImportSettings())


@pytest.mark.parametrize(("content", "error"), [(b"", DataError), (b"\x00\x01" * 50, DataError), (None, StorageError)])
def test_what_cannot_be_read_is_the_projects_own_error(tmp_path: Path, content: bytes | None, error: type) -> None:
    path = tmp_path / "texts.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error):
        preview_file(str(path), ImportSettings())


@pytest.mark.parametrize("maximum_rows", [None, 20])
def test_the_counts_that_stream_end_as_the_report(tmp_path: Path, maximum_rows: int | None) -> None:
    path = tmp_path / "texts.csv"
    lines = ["stars,text", *(f"{1 + n % 3},a text number {n % 50}" for n in range(120)), "1,", "2,x", "1,2,3,4"]
    path.write_text("\n".join(lines), encoding="utf-8")
    settings = ImportSettings(
        text_column="text", label_column="stars", maximum_broken_share=1, maximum_rows=maximum_rows
    )
    events = list(import_corpus([path], tmp_path / "out", settings, stop=StopToken()))
    assert isinstance(events[-1], Finished)
    last = {event.group: int(event.value) for event in events if isinstance(event, Metric) and event.name == "rows"}
    report = read_json(tmp_path / "out" / "report.json")
    assert last == {"kept": report["kept"], "broken": 1, **report["dropped"]}
    assert last["too short"] == last["empty"] == 1


def test_counts_stream_while_chunks_are_read_and_only_when_they_are_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "texts.csv"
    path.write_text("text,other\n1,2,3\n" + "".join(f"text {n},x\n" for n in range(39)), encoding="utf-8")
    monkeypatch.setattr("engine.corpus.importing.CHUNK", 10)
    settings = ImportSettings(text_column="text", maximum_broken_share=1)

    def streamed(seconds: float) -> list[tuple[str, int, float]]:
        monkeypatch.setattr("engine.corpus.report.COUNTS_SECONDS", seconds)
        events = import_corpus([path], tmp_path / "out", settings, stop=StopToken())
        return [(event.group, event.step, event.value) for event in events if isinstance(event, Metric)]

    last = [("kept", 40, 39), ("broken", 40, 1)]
    chunks = [("kept", 10, 9), ("broken", 10, 1), ("kept", 20, 19), ("kept", 30, 29), ("kept", 40, 39)]
    assert streamed(0) == chunks + last
    assert streamed(3600) == chunks[:2] + last
