"""What is broken or odd in files of texts, and an import that is stopped, cancelled or out of space."""

from __future__ import annotations

import contextlib
import gzip
import json
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from importing import read, write

from engine.corpus.cleaning import clean
from engine.corpus.importing import import_corpus
from engine.corpus.sources import find_sources
from engine.corpus.store import Corpus
from engine.errors import DataError, MetaPTError, StorageError
from engine.events import Finished, Notice
from engine.settings import ImportSettings
from engine.stage import StopToken


def rejected(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "rejected.jsonl").read_text().splitlines()]


# What is broken -------------------------------------------------------------------------------------------------------


def test_a_broken_quote_costs_one_row(tmp_path):
    lines = ["review,stars", *(f"soup number {i},{i % 5}" for i in range(1, 2001))]
    lines[1000] = '"soup number 1000,3'
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    corpus = read(tmp_path / "a.csv", tmp_path / "out", text_column="review", label_column="stars")
    assert corpus.rows == 1999
    assert "soup number 1001" in corpus.texts
    assert "soup number 2000" in corpus.texts
    (row,) = rejected(tmp_path / "out")
    assert (row["line"], row["reason"]) == (1001, "a quote is never closed")
    lines_kept = pq.read_table(tmp_path / "out" / "corpus.parquet").column("row").to_pylist()
    assert lines_kept[998:1000] == [1000, 1002]


def test_a_broken_quote_among_quoted_rows_costs_one_row(tmp_path):
    lines = ["review,stars", *(f'"soup, number {i}",{i % 5}' for i in range(1, 301))]
    lines[150] = '"soup, number 150,3'
    (tmp_path / "a.csv").write_text("\n".join(lines))
    corpus = read(tmp_path / "a.csv", tmp_path / "out", text_column="review", label_column="stars")
    assert [row["line"] for row in rejected(tmp_path / "out")] == [151]
    assert corpus.rows == 299


def test_rows_with_other_numbers_of_columns_are_set_aside(tmp_path):
    lines = ["review,stars", *(f"soup {i},5" for i in range(400)), "one,two,three", "alone"]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    corpus = read(tmp_path / "a.csv", tmp_path / "out", text_column="review")
    assert corpus.rows == 400
    assert [row["reason"] for row in rejected(tmp_path / "out")] == ["3 columns instead of 2", "1 columns instead of 2"]


def test_an_encoding_that_lies_costs_its_rows(tmp_path):
    lines = ["review,stars", *(f"soup number {i},{i % 5}" for i in range(20_000))]
    raw = [line.encode() for line in lines]
    raw[15_000] = "crème brûlée,3".encode("cp1252")
    (tmp_path / "a.csv").write_bytes(b"\n".join(raw))
    corpus = read(tmp_path / "a.csv", tmp_path / "out", text_column="review", label_column="stars")
    assert corpus.rows == 19_999
    assert [(row["line"], row["reason"]) for row in rejected(tmp_path / "out")] == [
        (15_001, "bytes that are not of the encoding")
    ]


def test_too_many_broken_rows_fail_unless_allowed(tmp_path):
    lines = ["review,stars", *(f"soup {i},5" for i in range(50)), *["alone"] * 10]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"10 of 60 rows are broken, more than 1\.00%"):
        read(tmp_path / "a.csv", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir()), "nothing is left behind"
    assert read(tmp_path / "a.csv", tmp_path / "out", maximum_broken_share=0.5).rows == 50


def test_broken_json_lines_are_set_aside(tmp_path):
    lines = [json.dumps({"text": f"soup {i}"}) for i in range(300)]
    lines[200], lines[250] = '{"text": "half', "[1, 2]"
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    assert read(tmp_path / "a.jsonl", tmp_path / "out").rows == 298
    assert [row["line"] for row in rejected(tmp_path / "out")] == [201, 251]


@pytest.mark.parametrize(
    ("name", "content", "kind", "words"),
    [
        ("a.csv", b"", DataError, "empty"),
        ("a.csv", b"review,stars\n", DataError, "No text was found"),
        ("a.csv", b"\x00\x01\x02" * 3000, DataError, "binary"),
        ("a.parquet", b"PAR1 cut off", StorageError, "damaged"),
        ("a.json", b'{"a": 1', DataError, "no valid JSON"),
        ("a.json", b"3", DataError, "no list of records"),
        ("a.xlsx", b"PK\x03\x04junk", DataError, "workbook cannot be read"),
        ("a.csv.gz", gzip.compress(b"review\n" + b"soup\n" * 999, mtime=0)[:-20], StorageError, "damaged"),
        ("a.csv.zst", b"no zstandard", StorageError, "damaged"),
        ("a.zip", b"PK\x03\x04junk", StorageError, "damaged"),
    ],
)
def test_files_that_cannot_be_read_are_one_sentence(tmp_path, name, content, kind, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(kind, match=words):
        read(tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "out" / "corpus.parquet").exists()


@pytest.mark.parametrize("packed", [False, True])
def test_empty_files_among_others_are_left_out_and_told(tmp_path, packed):
    folder = tmp_path / "texts"
    folder.mkdir()
    contents = {"a": b"", "b": b"soup\nbread\n", "c": b" \n\n", "d": b"\xef\xbb\xbf", "e": b"tea\n", "f": b""}
    for name, content in contents.items():
        (folder / f"{name}.txt").write_bytes(content)
    if packed:
        with zipfile.ZipFile(tmp_path / "texts.zip", "w") as archive:
            for path in sorted(folder.iterdir()):
                archive.write(path, path.name)
    named = tmp_path / "texts.zip" if packed else folder
    events = list(import_corpus([named], tmp_path / "out", ImportSettings(), stop=StopToken()))
    assert isinstance(events[-1], Finished)
    assert Corpus.open(tmp_path / "out").texts == ["soup", "bread", "tea"]
    names = ", ".join(f"texts.zip/{name}.txt" if packed else f"{name}.txt" for name in "acd")
    told = [event.text for event in events if isinstance(event, Notice) and event.level == "warning"]
    assert told == [f"4 of 6 files are empty and were left out: {names} and 1 more."]


def test_one_empty_file_among_others_is_one_sentence(tmp_path):
    (tmp_path / "empty.csv").touch()
    paths = [write(tmp_path / "a.csv"), tmp_path / "empty.csv"]
    events = list(import_corpus(paths, tmp_path / "out", ImportSettings(), stop=StopToken()))
    told = [event.text for event in events if isinstance(event, Notice) and event.level == "warning"]
    assert told == ["1 of 2 files is empty and was left out: empty.csv."]


def test_nothing_but_empty_files_is_an_error(tmp_path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_bytes(b"\n")
    with pytest.raises(DataError, match=r"All 2 files are empty \(.*a\.txt, .*b\.txt\)\. Choose another file\."):
        read(tmp_path / "*.txt", tmp_path / "out")
    with pytest.raises(DataError, match=r"The file is empty \(.*a\.txt\)"):
        read(tmp_path / "a.txt", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir()), "nothing is left behind"


def test_unknown_columns_and_labels_that_are_text(tmp_path):
    path = write(tmp_path / "a.csv", rows=[(f"text {i}", f"label {i}") for i in range(200)])
    with pytest.raises(DataError, match=r"no column 'reveiw' for the text.*Did you mean 'review'\?"):
        read(path, tmp_path / "out", text_column="reveiw")
    with pytest.raises(DataError, match="more than 100 different values"):
        read(path, tmp_path / "out", text_column="review", label_column="stars")
    with pytest.raises(DataError, match="no class great"):
        read(write(tmp_path / "b.csv"), tmp_path / "out", label_column="stars", words={"great": "great"})
    with pytest.raises(StorageError, match="no such file"):
        read(tmp_path / "nothing.csv", tmp_path / "out")


def test_an_archive_that_grows_without_end_is_cut_off(tmp_path, monkeypatch):
    from engine.corpus import sources

    monkeypatch.setattr(sources, "EXPANSION", 2)
    monkeypatch.setattr(sources, "BOMB", 1000)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"review\n" + b"soup\n" * 100_000))
    with pytest.raises(DataError, match="grows to more than"):
        read(tmp_path / "a.csv.gz", tmp_path / "out")


def test_a_huge_cell_and_too_many_columns(tmp_path):
    rows = "".join(f"soup number {i}\n" for i in range(300))
    (tmp_path / "a.csv").write_text("review\n" + rows + "x" * 20_000_000 + "\nlast soup\n")
    corpus = read(tmp_path / "a.csv", tmp_path / "out")
    assert corpus.texts[-1] == "last soup"
    assert "longer than" in rejected(tmp_path / "out")[0]["reason"]
    (tmp_path / "b.csv").write_text(",".join(map(str, range(20_000))) + "\n")
    with pytest.raises(DataError, match="20,000 columns"):
        read(tmp_path / "b.csv", tmp_path / "out")


# Stopping, cancelling, storage ----------------------------------------------------------------------------------------


@pytest.fixture
def large(tmp_path):
    return write(tmp_path / "large.csv", rows=[(f"text number {i}", str(i % 5)) for i in range(30_000)])


def test_stop_keeps_what_was_read_and_cancel_leaves_nothing(tmp_path, large, monkeypatch):
    monkeypatch.setattr("engine.corpus.delimited.BLOCK", 2**16)
    options = ImportSettings(text_column="review", label_column="stars")
    stop = StopToken()
    events = []
    for event in import_corpus([large], tmp_path / "stopped", options, stop=stop):
        events.append(event)
        stop.request()
    assert events[-1].outcome == "stopped"
    assert 0 < Corpus.open(tmp_path / "stopped").rows < 30_000
    stage = import_corpus([large], tmp_path / "cancelled", options, stop=StopToken())
    next(stage)
    stage.close()
    assert not list((tmp_path / "cancelled").iterdir())


def test_a_full_disk_is_a_sentence_and_leaves_nothing(tmp_path, large, monkeypatch):
    def full(self, table):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(StorageError, match=r"disk is full.*Free some space"):
        read(large, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_damaged_corpus_is_told(tmp_path):
    corpus = read(write(tmp_path / "a.csv"), tmp_path / "out")
    (tmp_path / "out" / "corpus.json").write_text("{}")
    with pytest.raises(StorageError, match="description of the corpus is damaged"):
        Corpus.open(tmp_path / "out")
    whole = corpus.path.read_bytes()
    (tmp_path / "out" / "corpus.json").write_text(
        json.dumps({"classes": [], "rows": 2, "content_hash": "", "words": {}})
    )
    with pytest.raises(StorageError, match="3 rows but its description says 2"):
        Corpus.open(tmp_path / "out")
    corpus.path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StorageError, match="damaged or cut off"):
        Corpus.open(tmp_path / "out")


# Whatever may come ----------------------------------------------------------------------------------------------------

SUFFIXES = [".csv", ".tsv", ".jsonl", ".json", ".parquet", ".xlsx", ".txt", ".csv.gz", ".csv.zst", ".zip", ".odd"]


@settings(max_examples=150, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    suffix=st.sampled_from(SUFFIXES),
    content=st.binary(max_size=300)
    | st.text(alphabet='a,";|\t\n\r{}[]:1é\x00\ud800', max_size=200).map(
        lambda text: text.encode("utf-8", "surrogatepass")
    ),
)
def test_no_bytes_raise_anything_but_our_errors(tmp_path, suffix, content):
    path = tmp_path / f"file{suffix}"
    path.write_bytes(content)
    with contextlib.suppress(MetaPTError):
        assert read(path, tmp_path / "out", maximum_broken_share=1.0).rows > 0


@settings(max_examples=100, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(
        st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=40), min_size=1, max_size=20
    )
)
def test_what_a_csv_writer_writes_is_read(tmp_path, texts):
    path = write(tmp_path / "a.csv", rows=[(text, "1") for text in texts])
    expected = list(dict.fromkeys(cleaned for text in texts if len(cleaned := clean(text, strip_html=True)) >= 2))
    options = {"format": "csv", "encoding": "utf-8", "delimiter": ",", "text_column": "review"}
    if not expected:
        with pytest.raises(DataError):
            read(path, tmp_path / "out", **options)
    else:
        assert read(path, tmp_path / "out", **options).texts == expected


def test_bytes_that_are_not_of_the_encoding_in_a_label_set_the_row_aside(tmp_path):
    path = tmp_path / "texts.csv"
    path.write_bytes("mood,text\nfröhlich,a kind word\ngood,another kind word\n".encode("cp1252"))
    settings = ImportSettings(encoding="utf-8", label_column="mood", text_column="text", maximum_broken_share=1)
    events = list(import_corpus([path], tmp_path / "out", settings, stop=StopToken()))
    assert events[-1].summary["broken"] == 1
    assert Corpus.open(tmp_path / "out").classes == ("good",)


@pytest.mark.parametrize("words", [("spät", "schön"), ("spät", "müde"), ("heißer", "spät")])
def test_a_small_western_file_is_not_taken_for_chinese(tmp_path, words):
    path = tmp_path / "texts.csv"
    path.write_bytes("text,label\n{} Tee,5\n{} dran,1\n".format(*words).encode("cp1252"))
    list(import_corpus([path], tmp_path / "out", ImportSettings(), stop=StopToken()))
    assert Corpus.open(tmp_path / "out").texts == [f"{words[0]} Tee", f"{words[1]} dran"]


@pytest.mark.parametrize("packed", [True, False])
def test_what_systems_and_programs_leave_beside_texts_is_no_text(tmp_path, packed):
    """The Finder's notes in a zip, and the note of Office that a workbook is open."""
    files = {
        "reviews.csv": b"text\nsoup\n",
        "__MACOSX/._reviews.csv": b"\0\5\x16\7",
        ".DS_Store": b"\0",
        "~$book.xlsx": b"\6me",
    }
    if packed:
        with zipfile.ZipFile(tmp_path / "texts.zip", "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    for name, content in () if packed else files.items():
        (tmp_path / "texts" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "texts" / name).write_bytes(content)
    found = find_sources([str(tmp_path / ("texts.zip" if packed else "texts"))])
    assert [source.member or source.path.name for source in found] == ["reviews.csv"]
