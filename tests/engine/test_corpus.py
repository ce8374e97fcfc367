"""Reading and cleaning what people really have: messy files of every format."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.corpus.cleaning import clean
from engine.corpus.importing import import_corpus
from engine.corpus.seen import SeenTexts
from engine.corpus.store import Corpus
from engine.errors import DataError, MetaPTError, StorageError
from engine.events import Finished, Notice
from engine.settings import ImportSettings
from engine.stage import StopToken
from engine.storage import read_json

ROWS = [("The soup was cold", "1"), ("Lovely, warm bread", "5"), ("It was a table", "3")]


def read(path: Path | str, folder: Path, **options) -> Corpus:
    events = list(import_corpus([path], folder, ImportSettings(**options), stop=StopToken()))
    assert isinstance(events[-1], Finished)
    return Corpus.open(folder)


def rejected(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "rejected.jsonl").read_text().splitlines()]


def write(path: Path, delimiter: str = ",", rows=ROWS) -> Path:
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter=delimiter)
        writer.writerows([("review", "stars"), *rows])
    return path


# Formats --------------------------------------------------------------------------------------------------------------


def make(path: Path) -> Path:
    """Write `ROWS` in the format that the name of the file says."""
    records = [{"review": text, "stars": int(label)} for text, label in ROWS]
    inner = Path(path.stem) if path.suffix in (".gz", ".zst", ".zip") else path
    if inner.suffix in (".csv", ".tsv"):
        buffer = io.StringIO(newline="")
        csv.writer(buffer, delimiter="\t" if inner.suffix == ".tsv" else ",").writerows([("review", "stars"), *ROWS])
        content = buffer.getvalue().encode()
    elif inner.suffix == ".jsonl":
        content = "".join(json.dumps(record) + "\n" for record in records).encode()
    elif inner.suffix == ".json":
        content = json.dumps({"made": "today", "rows": records}).encode()
    elif inner.suffix == ".parquet":
        stream = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(records), stream)
        content = stream.getvalue().to_pybytes()
    else:
        from openpyxl import Workbook

        book = Workbook()
        for row in [("review", "stars"), *((text, float(label)) for text, label in ROWS)]:
            book.active.append(row)
        stream = io.BytesIO()
        book.save(stream)
        content = stream.getvalue()
    if path.suffix == ".gz":
        content = gzip.compress(content)
    elif path.suffix == ".zst":
        import zstandard

        content = zstandard.compress(content)
    elif path.suffix == ".zip":
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(inner.name, content)
        content = stream.getvalue()
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "a.csv",
        "a.tsv",
        "a.jsonl",
        "a.json",
        "a.parquet",
        "a.xlsx",
        "a.csv.gz",
        "a.jsonl.zst",
        "a.csv.zip",
        "a.parquet.gz",
    ],
)
def test_every_format_gives_the_same_corpus(tmp_path, name):
    corpus = read(make(tmp_path / name), tmp_path / "out", label_column="stars")
    assert corpus.texts == [text for text, _ in ROWS]
    assert corpus.classes == ("1", "3", "5")
    assert corpus.labels.tolist() == [0, 2, 1]
    assert corpus.words == {"1": "bad", "3": "maybe", "5": "good"}


def test_plain_text_by_line_or_by_file(tmp_path):
    for name in ("b.txt", "a.txt"):
        (tmp_path / "texts" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "texts" / name).write_text(f"first of {name}\n\nsecond of {name}\n")
    corpus = read(tmp_path / "texts", tmp_path / "lines")
    assert corpus.texts == ["first of a.txt", "second of a.txt", "first of b.txt", "second of b.txt"]
    corpus = read(tmp_path / "texts" / "*.txt", tmp_path / "files", one_row_per="file")
    assert corpus.texts == ["first of a.txt second of a.txt", "first of b.txt second of b.txt"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path, delimiter):
    corpus = read(write(tmp_path / "a.csv", delimiter), tmp_path / "out", label_column="stars")
    assert corpus.texts[1] == "Lovely, warm bread"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1"])
def test_the_encoding_is_found(tmp_path, encoding):
    rows = ["review,stars", *(f"Café crème brûlée très naïve numéro {i},{i % 5}" for i in range(200))]
    (tmp_path / "a.csv").write_bytes("\r\n".join(rows).encode(encoding))
    corpus = read(tmp_path / "a.csv", tmp_path / "out", label_column="stars")
    assert corpus.texts[0] == "Café crème brûlée très naïve numéro 0"
    assert corpus.rows == 200


def test_quoted_line_ends_and_quotes_survive(tmp_path):
    corpus = read(write(tmp_path / "a.csv", rows=[('He said "no",\nthen left', "1"), ("fine", "5")]), tmp_path / "out")
    assert corpus.texts == ['He said "no", then left', "fine"]


# Cleaning -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("<p>Good<br/>soup</p>", "Good soup"),
        ("a < b and <3 &amp; &eacute;", "a < b and <3 & é"),
        ("<script>alert('x')</script>tea<!-- hidden -->", "tea"),
        ("  many \t\n spaces  ", "many spaces"),
        ("e\u0301\u200b\x00\x07x", "éx"),
        ("2<3>1 is odd", "2<3>1 is odd"),
    ],
)
def test_cleaning(raw, expected):
    assert clean(raw, strip_html=True) == expected


def test_html_may_be_kept():
    assert clean("<b>x</b>", strip_html=False) == "<b>x</b>"


def test_drops_are_counted_by_reason_with_examples(tmp_path):
    rows = [
        ("good soup", "5"),
        ("<i>good</i> soup", "5"),
        ("good soup", "1"),
        ("", "3"),
        ("x", "3"),
        ("tea", ""),
        ("tea", "2"),
    ]
    corpus = read(write(tmp_path / "a.csv", rows=rows), tmp_path / "out", text_column="review", label_column="stars")
    assert corpus.texts == ["good soup", "tea"]
    report = read_json(tmp_path / "out" / "report.json")
    expected = {"duplicate": 1, "duplicate with another label": 1, "empty": 1, "too short": 1, "no label": 1}
    assert report["dropped"] == expected
    assert report["examples"]["too short"] == ["x"]
    assert report["read"] == 7 == report["kept"] + sum(report["dropped"].values())
    assert sum(report["lengths"]["counts"]) == 2


def test_duplicates_are_found_across_chunks():
    seen = SeenTexts()
    first, _ = seen.add([f"text {i % 500}" for i in range(1000)], [None] * 1000)
    assert first.tolist() == [i < 500 for i in range(1000)]
    for _ in range(20):
        again, conflict = seen.add([f"text {i}" for i in range(490, 510)], [None] * 20)
        assert not again[:10].any()
        assert not conflict.any()
    assert not again.any()


# Labels ---------------------------------------------------------------------------------------------------------------


def test_rows_without_a_label_are_kept_when_asked_for(tmp_path):
    rows = [("came late", "bad"), ("nothing said yet", ""), ("came early", "good"), ("odd", "maybe")]
    path = write(tmp_path / "a.csv", rows=rows)
    columns = {"text_column": "review", "label_column": "stars"}
    assert read(path, tmp_path / "without", **columns).rows == 3
    kept = read(path, tmp_path / "with", keep_unlabelled=True, **columns)
    assert kept.texts == [text for text, _ in rows]
    assert kept.labels.tolist() == [0, -1, 1, 2]
    assert kept.classes == ("bad", "good", "maybe")
    label_map = {"bad": "bad", "good": "good"}
    mapped = read(path, tmp_path / "mapped", keep_unlabelled=True, label_map=label_map, **columns)
    assert mapped.labels.tolist() == [0, -1, 1], "a value that the map leaves out is no empty label"


def test_ratings_are_mapped_to_classes_in_the_order_of_the_map(tmp_path):
    rows = [(f"text {i}", str(i % 5 + 1)) for i in range(20)]
    label_map = {"1": "poor", "2": "poor", "4": "fine", "5": "fine"}
    corpus = read(
        write(tmp_path / "a.csv", rows=rows),
        tmp_path / "out",
        text_column="review",
        label_column="stars",
        label_map=label_map,
    )
    assert corpus.classes == ("poor", "fine")
    assert corpus.rows == 16
    assert corpus.words == {"poor": "poor", "fine": "fine"}


def test_numbers_are_ordered_as_numbers(tmp_path):
    rows = [(f"text {i}", str(i)) for i in (10, 9, 2)]
    corpus = read(write(tmp_path / "a.csv", rows=rows), tmp_path / "out", text_column="review", label_column="stars")
    assert corpus.classes == ("2", "9", "10")


def test_a_sample_is_balanced_and_seeded(tmp_path):
    rows = [(f"text number {i}", "1" if i % 10 == 0 else "5") for i in range(300)]
    path = write(tmp_path / "a.csv", rows=rows)
    options = {"text_column": "review", "label_column": "stars", "maximum_rows": 20}
    first = read(path, tmp_path / "a", balance=True, **options)
    assert np.bincount(first.labels).tolist() == [10, 10]
    again = read(path, tmp_path / "b", balance=True, **options)
    assert (first.texts, first.content_hash) == (again.texts, again.content_hash)
    other = read(path, tmp_path / "c", balance=True, seed=1, **options)
    assert other.texts != first.texts
    plain = read(path, tmp_path / "d", **options)
    assert plain.rows == 20
    numbers = [int(text.split()[-1]) for text in plain.texts]
    assert numbers == sorted(numbers)


def test_one_class_only_is_told(tmp_path):
    path = write(tmp_path / "a.csv", rows=[("good soup", "5"), ("nice tea", "5")])
    events = list(import_corpus([path], tmp_path / "o", ImportSettings(label_column="stars"), stop=StopToken()))
    assert any(isinstance(event, Notice) and "one class" in event.text for event in events)


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
        ("a.csv.gz", gzip.compress(b"review\n" + b"soup\n" * 999)[:-20], StorageError, "damaged"),
        ("a.csv.zst", b"no zstandard", StorageError, "damaged"),
        ("a.zip", b"PK\x03\x04junk", StorageError, "damaged"),
    ],
)
def test_files_that_cannot_be_read_are_one_sentence(tmp_path, name, content, kind, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(kind, match=words):
        read(tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "out" / "corpus.parquet").exists()


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


# Many small parts -----------------------------------------------------------------------------------------------------


def test_all_frames_of_a_zst_are_read(tmp_path):
    import zstandard

    frames = [b"text\nfirst of two\n", b"second of two\n"]
    (tmp_path / "a.csv.zst").write_bytes(b"".join(map(zstandard.ZstdCompressor().compress, frames)))
    assert read(tmp_path / "a.csv.zst", tmp_path / "out").texts == ["first of two", "second of two"]


def test_an_archive_of_many_files_is_opened_once_and_written_in_one_piece(tmp_path, monkeypatch):
    opened = []
    plain = zipfile.ZipFile

    def counted(*arguments, **options):
        opened.append(plain(*arguments, **options))
        return opened[-1]

    with plain(tmp_path / "reviews.zip", "w") as archive:
        for number in range(200):
            archive.writestr(f"pos/{number:03d}.txt", f"review {number}\nof two lines")
    monkeypatch.setattr("engine.corpus.sources.zipfile.ZipFile", counted)
    corpus = read(tmp_path / "reviews.zip", tmp_path / "out", one_row_per="file")
    assert corpus.texts == [f"review {number} of two lines" for number in range(200)]
    assert len(opened) == 2  # to list its members, and to read them
    assert all(archive.fp is None for archive in opened)
    assert pq.read_metadata(corpus.path).num_row_groups == 1
