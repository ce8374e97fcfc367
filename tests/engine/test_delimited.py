"""CSV by blocks: the quick way reads what the slow way reads, wherever a block ends."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.corpus import delimited
from engine.corpus.importing import import_corpus
from engine.corpus.preview import preview_file
from engine.corpus.rows import Broken, Columns, Row
from engine.corpus.sources import Source
from engine.corpus.store import Corpus
from engine.settings import ImportSettings
from engine.stage import StopToken
from engine.storage import read_json

SOURCE = Source(Path("made-up.csv"))
CELLS = st.text(st.sampled_from("ab é\"',;\n\r\t"), max_size=6)
FRAGMENTS = [
    *("a,b\n", 'c,"d"\n', '"e\nf",g\n', 'h,"i ""j"""\r\n', "\n", '"k\n', "l\n"),
    *('m"n,o"\n', "p,q,r\n", "s,t\r", '"u"v,w\n', "x,\n"),
]
LINES = st.lists(st.sampled_from(FRAGMENTS), max_size=30)


def read(text: str, delimiter: str = ",") -> list[Row | Broken]:
    return list(delimited.read_csv(SOURCE, io.StringIO(text, newline=""), delimiter, "yes").rows)


def read_slowly(text: str, delimiter: str = ",") -> list[Row | Broken]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited._BlockParser, "parse", lambda self, text, number: (None, text, 0))
        return read(text, delimiter)


@settings(max_examples=400, deadline=None)
@given(lines=LINES, block=st.integers(1, 60), end=st.sampled_from(["", "last,row", '"open,', "\ud800,x\n"]))
def test_whatever_the_lines_both_ways_read_the_same(lines, block, end):
    text = "one,two\n" + "".join(lines) + end
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "BLOCK", block)
        found = read(text)
        assert found == read_slowly(text)
    assert found == read(text)


@settings(max_examples=200, deadline=None)
@given(rows=st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=40), block=st.integers(1, 200))
def test_what_was_written_is_read_with_the_line_it_begins_in(rows, block):
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=";", lineterminator="\n", quoting=csv.QUOTE_ALL)
    starts = []
    writer.writerow(["a", "b", "c"])
    for row in rows:
        starts.append(1 + len(delimited.split_lines(stream.getvalue())))
        writer.writerow(row)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "BLOCK", block)
        found = read(stream.getvalue(), ";")
    assert [row.values for row in found] == [list(row) for row in rows]
    if not any("\r" in cell for row in rows for cell in row):
        assert [row.line for row in found] == starts


def test_large_files_go_the_quick_way_and_come_back_to_it_after_a_broken_row():
    good = "".join(f'{number},"a text, of two\nlines ""{number}"""\n' for number in range(60_000))
    table = delimited.read_csv(SOURCE, io.StringIO("n,text\n1,2,3\n" + good + "x\n" + good, newline=""), ",")
    parts = list(table.parts)
    quick = sum(len(part.lines) for part in parts if isinstance(part, Columns))
    assert [part.line for part in parts if isinstance(part, Broken)] == [2, 120_003]
    assert quick > 60_000
    assert quick + sum(isinstance(part, Row) for part in parts) == 120_000
    assert parts[-1].lines[-1] == 120_003 + 2 * 60_000 - 1


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_a_line_that_is_too_long_is_set_aside_and_the_next_one_read(ending, monkeypatch):
    monkeypatch.setattr(delimited, "BLOCK", 10)
    monkeypatch.setattr(delimited, "MAXIMUM_LINE", 50)
    lines = ["first", "x" * 48, "y" * 60, "z" * 500, "last"]
    found = list(delimited.lines(io.StringIO(ending.join(lines), newline="")))
    assert [line and line.rstrip("\r\n") for line in found] == ["first", "x" * 48, None, None, "last"]
    rows = read(ending.join(lines))
    assert [(row.line, type(row)) for row in rows] == [(2, Row), (3, Broken), (4, Broken), (5, Row)]


@pytest.mark.parametrize("delimiter", ["\0", "\u00a7", "\x1f", "|"])
def test_any_character_may_be_the_delimiter(delimiter):
    assert [row.values for row in read(delimiter.join("ab") + "\n" + delimiter.join("cd") + "\n", delimiter)] == [
        ["c", "d"]
    ]


def test_a_quote_that_is_never_closed_costs_one_line_not_the_file(monkeypatch):
    monkeypatch.setattr(delimited, "MAXIMUM_RECORD_LINES", 20)
    lines = ["a,b", '"open,1', *(f"{number},good" for number in range(1000))]
    found = read("\n".join(lines) + "\n")
    assert [type(row) for row in found] == [Broken] + [Row] * 1000
    assert found == read_slowly("\n".join(lines) + "\n")


def test_an_import_is_the_same_by_columns_and_by_rows(tmp_path):
    texts = [
        "plain",
        "  padded ",
        "two  spaces",
        "<b>bold</b> &amp; more",
        "caf\u00e9",
        "e\u0301",
        "x\x07y",
        "a\tb",
        "",
    ]
    labels = ["5", "5.0", " 4 ", "", "five", "4", "5"]
    rows = [(f"{text} {number % 10}" if text else "", labels[number % 7]) for number, text in enumerate(texts * 30)]
    with open(tmp_path / "texts.csv", "w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("text", "label"), *rows])
    options = ImportSettings(text_column="text", label_column="label", label_map={"5": "good", "4": "fair"})
    found = []
    for name in ("columns", "rows"):
        with pytest.MonkeyPatch.context() as patch:
            if name == "rows":
                patch.setattr(delimited._BlockParser, "parse", lambda self, text, number: (None, text, 0))
            *_, last = import_corpus([tmp_path / "texts.csv"], tmp_path / name, options, stop=StopToken())
        corpus = Corpus.open(tmp_path / name)
        report = {key: value for key, value in read_json(tmp_path / name / "report.json").items() if key != "seconds"}
        found.append((corpus.texts, corpus.labels.tolist(), corpus.content_hash, last.summary, report))
    assert found[0] == found[1]
    assert {"duplicate", "duplicate with another label", "label not in the map", "empty"} <= set(found[0][3]["dropped"])


def test_a_file_of_broken_rows_takes_no_more_than_its_length():
    """Not the square of it: half a million rows, each of the wrong width, or with a quote that is never closed."""
    for line, lines in (("x\n", 200_000), ('x"y,"z\n', 3_000)):
        began = time.process_time()
        found = read("a,b\n" + line * lines)
        assert len(found) >= lines - delimited.MAXIMUM_RECORD_LINES
        assert time.process_time() - began < 20


def test_the_first_rows_choose_the_text_however_small_the_first_part_is(tmp_path):
    titles = pa.table({"title": ["A good title"], "review": [""]})
    with pq.ParquetWriter(tmp_path / "a.parquet", titles.schema) as writer:
        writer.write_table(titles)
        for number in range(50):
            writer.write_table(pa.table({"title": ["t"], "review": [f"a long review, the one with number {number}"]}))
    *_, last = import_corpus([tmp_path / "a.parquet"], tmp_path / "out", ImportSettings(), stop=StopToken())
    assert last.summary["kept"] == 50
    assert Corpus.open(tmp_path / "out").texts[0] == "a long review, the one with number 0"


def test_labels_that_fill_their_dictionary_are_read(tmp_path):
    codes = pa.array(range(128), pa.int8())
    labels = pa.DictionaryArray.from_arrays(codes, pa.array([f"l{number}" for number in range(128)]))
    table = pa.table({"text": [f"text number {number}" for number in range(128)], "label": labels})
    pq.write_table(table, tmp_path / "a.parquet")
    options = ImportSettings(label_column="label", label_map={f"l{number}": str(number % 2) for number in range(128)})
    *_, last = import_corpus([tmp_path / "a.parquet"], tmp_path / "out", options, stop=StopToken())
    assert last.summary["classes"] == {"0": 64, "1": 64}


@pytest.mark.parametrize(
    ("first", "header", "columns", "rows"),
    [
        ('"5","my wife took me here"', "auto", ["column 1", "column 2"], 2),
        ("stars,review", "auto", ["stars", "review"], 1),
        ("a,b", "no", ["column 1", "column 2"], 2),
        ('"5","my wife took me here"', "yes", ["5", "my wife took me here"], 1),
        (f"good,{'word ' * 30}", "auto", ["column 1", "column 2"], 2),
        ("2.5,nice", "auto", ["column 1", "column 2"], 2),
        ("0,1", "auto", ["0", "1"], 1),
        (",0", "auto", ["column 1", "0"], 1),
        ("1,2", "auto", ["column 1", "column 2"], 2),
        ("label 5,text_2", "auto", ["label 5", "text_2"], 1),
    ],
)
def test_a_first_row_that_names_no_columns_is_a_record(first, header, columns, rows):
    table = delimited.read_csv(SOURCE, io.StringIO(f"{first}\n4,fine\n", newline=""), ",", header)
    assert table.columns == columns
    found = [record for part in table.rows for record in (part.rows() if isinstance(part, Columns) else [part])]
    assert [record.line for record in found] == list(range(3 - rows, 3))


REVIEWS = [f"we waited an hour, the soup was cold and the bread hard, so we left {'again ' * n}" for n in range(6, 15)]
QUESTION = "Thinking of the last four weeks, how well did our service answer the questions that you and your team had?"
SURVEY = "Please describe in your own words, in as much detail as you like, what it was that you liked about it"


def rows_of(*columns: list[str]) -> str:
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows(zip(*columns, strict=True))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("first", "below"),
    [
        (["id", QUESTION], [list("123456789"), ["well", "badly", "well"] * 3]),
        (["Start date", SURVEY], [["2026-01-05 10:22"] * 9, REVIEWS]),
        ([SURVEY, "mood"], [REVIEWS, ["good", "bad", "bad"] * 3]),
        ([QUESTION], [REVIEWS]),
        ([SURVEY], [["all of it", "the people", "nothing at all"] * 3]),
        (["text", "author"], [REVIEWS, list("abcdefghi")]),
    ],
)
def test_a_header_is_known_by_how_it_differs_from_the_rows(first, below):
    table = delimited.read_csv(SOURCE, io.StringIO(rows_of(*([a, *b] for a, b in zip(first, below, strict=True)))), ",")
    assert table.named
    assert table.columns == first
    assert [row.line for row in table.rows] == list(range(2, 11))


@pytest.mark.parametrize(
    "columns",
    [
        [REVIEWS, ["good", "bad", "bad"] * 3],
        [[text[:60] for text in REVIEWS], ["good", "bad", "good"] * 3],
        [REVIEWS[4:], list("53121")],
        [REVIEWS[4:] + REVIEWS[:4]],
        [REVIEWS[3:], ["an author", "b author", "c author", "d author", "e author", "f author"]],
    ],
)
def test_a_first_row_like_those_below_it_is_a_text(columns):
    table = delimited.read_csv(SOURCE, io.StringIO(rows_of(*columns)), ",")
    assert not table.named
    assert table.columns == [f"column {number}" for number in range(1, len(columns) + 1)]
    assert next(table.rows).values == [column[0] for column in columns]


def test_columns_of_one_name_are_told_apart():
    table = delimited.read_csv(SOURCE, io.StringIO("text,text,,text (2),text\na,b,c,d,e\n"), ",")
    assert table.columns == ["text", "text (2)", "column 3", "text (2) (2)", "text (3)"]


@pytest.mark.parametrize("mark", [";", "|", "\t"])
@pytest.mark.parametrize("quoted", [True, False])
def test_what_excel_says_of_the_delimiter_is_no_row(tmp_path: Path, mark: str, quoted: bool) -> None:
    """The other delimiters are in the texts, more often than the one that is told."""
    path = tmp_path / "export.csv"
    told = f'"sep={mark}"' if quoted else f"sep={mark}"
    lines = [told, f"text{mark}label", *(f"good, bad, ugly, {n}{mark}{n % 2}" for n in range(30))]
    path.write_text("\r\n".join(lines), encoding="utf-8-sig")
    found = preview_file(str(path), ImportSettings())
    assert (found["delimiter"], found["columns"], found["broken"]) == (mark, ["text", "label"], [])
    assert (found["rows"][0], found["lines"][0]) == (["good, bad, ugly, 0", "0"], 3)
