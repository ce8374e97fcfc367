"""Reading and cleaning files of every format, with their labels."""

from __future__ import annotations

import csv
import gzip
import io
import json
import time
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from importing import ROWS, read, write

from engine.corpus.cleaning import clean
from engine.corpus.columns import label_value
from engine.corpus.importing import import_corpus
from engine.corpus.seen import SeenTexts
from engine.events import Notice
from engine.settings import ImportSettings
from engine.stage import StopToken
from engine.storage import read_json

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


def test_an_encoding_is_found_though_the_first_accent_is_at_the_end(tmp_path):
    rows = ["review,stars", *(f"A plain and long enough text number {i},{i % 5}" for i in range(299)), "Le café,3"]
    (tmp_path / "a.csv").write_bytes("\n".join(rows).encode("cp1252"))
    corpus = read(tmp_path / "a.csv", tmp_path / "out", label_column="stars")
    assert (corpus.rows, corpus.texts[-1]) == (300, "Le café")


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
        ("<SCRIPT type=a>1 < 2</Script >tea<style>p {}</style><!-- a <!-- b -->!", "tea !"),
        ("tea <!-- never ends <script>x</script> here", "tea <!-- never ends here"),
        ("  many \t\n spaces  ", "many spaces"),
        ("e\u0301\u200b\x00\x07x", "éx"),
        ("2<3>1 is odd", "2<3>1 is odd"),
        ("\u00bd a pound \ufb01rst, x\u00b2", "\u00bd a pound \ufb01rst, x\u00b2"),  # compatible is not the same
        ("write &amp;lt; for it", "write &lt; for it"),
    ],
)
def test_cleaning(raw, expected):
    assert clean(raw, strip_html=True) == expected


@pytest.mark.parametrize("begin", ["<!--", "<script>", "<script ", "<style><!--", "</script ", "<a"])
def test_markup_that_never_ends_takes_no_time(begin):
    began = time.process_time()
    clean(begin * 20_000, strip_html=True)
    assert time.process_time() - began < 2


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


def test_texts_of_just_the_least_length_are_kept_and_counted_by_their_length(tmp_path):
    rows = [("ab", "1"), ("c", "1"), ("x" * 20, "1"), ("y" * 19, "1"), ("z" * 49, "1")]
    texts = {"text_column": "review", "label_column": "stars"}
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"review": t, "stars": s}) + "\n" for t, s in rows))
    for source in (write(tmp_path / "a.csv", rows=rows), tmp_path / "a.jsonl"):
        assert read(source, tmp_path / source.suffix, **texts).texts == [text for text, _ in rows if text != "c"]
        report = read_json(tmp_path / source.suffix / "report.json")
        assert report["lengths"]["edges"][:3] == [0, 20, 50]
        assert report["lengths"]["counts"][:3] == [2, 2, 0]


def test_as_many_broken_rows_as_are_allowed_are_no_failure(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"review": "soup"}\n{"review": "good tea"}\n{"review": "bread"}\n{broken\n')
    assert read(path, tmp_path / "out", maximum_broken_share=0.25).rows == 3


def test_duplicates_are_found_across_chunks():
    seen = SeenTexts()
    first, _ = seen.add([f"text {i % 500}" for i in range(1000)], [None] * 1000)
    assert first.tolist() == [i < 500 for i in range(1000)]
    for _ in range(20):
        again, conflict = seen.add([f"text {i}" for i in range(490, 510)], [None] * 20)
        assert not again[:10].any()
        assert not conflict.any()
    assert not again.any()


def test_a_duplicate_is_held_against_the_label_that_was_kept():
    """In the same chunk and in later ones, when runs have been merged, and however often another label comes."""
    seen = SeenTexts()
    new, conflicts = seen.add(["tea", "tea", "soup", "tea", "soup"], ["1", "1", "2", "3", None])
    assert new.tolist() == [True, False, True, False, False]
    assert conflicts.tolist() == [False, False, False, True, False], "no label is no other label"
    for chunk in range(12):
        seen.add([f"text {chunk} {row}" for row in range(50)], [str(row % 3) for row in range(50)])
        new, conflicts = seen.add(["soup", "tea", "tea", f"text {chunk} 49"], ["2", "3", "1", "0"])
        assert not new.any()
        assert conflicts.tolist() == [False, True, False, True]


def test_a_label_that_comes_with_a_later_copy_is_kept(tmp_path):
    """In the same chunk and in later ones; a second label for the same text is another one."""
    seen = SeenTexts()
    new, conflicts = seen.add(["tea", "tea", "soup"], [None, "good", None])
    assert (new.tolist(), conflicts.tolist()) == ([True, False, True], [False, False, False])
    _, conflicts = seen.add(["tea", "tea", "soup", "soup"], ["bad", "good", None, "bad"])
    assert conflicts.tolist() == [True, False, False, False]
    assert seen.late == {hash("tea"): "good", hash("soup"): "bad"}

    rows = [("came late", ""), ("came early", "good"), ("came late", "bad"), ("came late", "good"), ("lost", "")]
    path = write(tmp_path / "a.csv", rows=rows)
    options = {"text_column": "review", "label_column": "stars", "keep_unlabelled": True}
    kept = read(path, tmp_path / "out", **options)
    assert kept.texts == ["came late", "came early", "lost"]
    assert [kept.classes[number] if number >= 0 else None for number in kept.labels] == ["bad", "good", None]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["classes"] == {"bad": 1, "good": 1}
    assert report["dropped"] == {"duplicate": 1, "duplicate with another label": 1}
    assert (
        kept.content_hash
        == read(write(tmp_path / "b.csv", rows=[rows[2], rows[1], rows[4]]), tmp_path / "b", **options).content_hash
    )
    sampled = read(path, tmp_path / "balanced", balance=True, **options)
    assert sorted(sampled.texts) == ["came early", "came late"]


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


def test_a_map_may_be_written_as_the_file_is(tmp_path):
    source = write(tmp_path / "a.csv", rows=[(f"text {i}", f"{i % 5 + 1}.0") for i in range(20)])
    for number, label_map in enumerate(({"1.0": "poor", "5.0": "fine"}, {"1": "poor", "5": "fine"})):
        options = {"text_column": "review", "label_column": "stars", "label_map": label_map}
        assert read(source, tmp_path / str(number), **options).rows == 8


def test_labels_are_called_what_they_are():
    values = [-1.0, "-1.0", -1, 0, 2.5, "2.50", True]
    assert [label_value(value) for value in values] == ["-1", "-1", "-1", "0", "2.5", "2.50", "True"]


def test_the_persons_words_go_before_the_usual_ones(tmp_path):
    path = write(tmp_path / "a.csv", rows=[("good soup", "5"), ("cold tea", "1")])
    corpus = read(path, tmp_path / "out", label_column="stars", text_column="review", words={"5": "superb"})
    assert corpus.words == {"1": "bad", "5": "superb"}


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
    assert numbers != list(range(20)), "from everywhere, not the first"
    assert read(path, tmp_path / "e", seed=1, **options).texts != plain.texts


def test_one_class_only_is_told(tmp_path):
    path = write(tmp_path / "a.csv", rows=[("good soup", "5"), ("nice tea", "5")])
    events = list(import_corpus([path], tmp_path / "o", ImportSettings(label_column="stars"), stop=StopToken()))
    assert any(isinstance(event, Notice) and "one class" in event.text for event in events)


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


@pytest.mark.parametrize(
    ("labels", "words", "told"),
    [
        (["1", "2", "3", "4", "5", "n/a"], {}, True),
        (["1", "2", "3", "4", "5"], {}, False),
        (["happy", "unhappy"], {}, False),
        (["1", "2", "n/a"], {"1": "bad", "2": "good", "n/a": "maybe"}, False),
        (["1", "2", "3", "4", "n/a"], {}, False),  # four ratings have no words of their own
    ],
)
def test_what_is_no_rating_among_ratings_is_told(tmp_path, labels, words, told):
    rows = [(f"text {number} {label}", label) for number in range(3) for label in labels]
    settings = ImportSettings(text_column="review", label_column="stars", words=words)
    events = list(import_corpus([write(tmp_path / "a.csv", rows=rows)], tmp_path / "out", settings, stop=StopToken()))
    notices = [event.text for event in events if isinstance(event, Notice)]
    assert sum(text.startswith("'n/a' (3) is no rating as the other labels are") for text in notices) == told
