"""Files that are small on the disk and large inside, and files that are large in one direction."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hostile import seeds
from hostile.parquet_lies import PACKED_SIZE, Struct, field, lying, read_struct, set_field
from hostile.watch import peak

from engine.corpus.columnar import PARQUET_ROWS, _rows_at_a_time
from engine.corpus.importing import import_corpus
from engine.corpus.parquet_pages import unpacked_pages
from engine.corpus.preview import preview_file
from engine.corpus.sources import find_sources
from engine.corpus.store import Corpus
from engine.errors import DataError, MetaPTError, SettingsError, StorageError
from engine.running.pipeline import read_pipeline
from engine.settings import ClusterSettings, ImportSettings, validated
from engine.stage import StopToken
from engine.storage import read_json

UNPACKED_SIZE = 6
"""The field of a column's footer."""


def read(path: Path, **options: Any) -> Corpus:
    settings = ImportSettings(**{"maximum_broken_share": 1.0, **options})
    list(import_corpus([path], path.parent / "out", settings, stop=StopToken()))
    return Corpus.open(path.parent / "out")


def within(seconds: float, megabytes: float, action: Any, *expected: type[BaseException]) -> Any:
    """Do it, within so many seconds of the processor and so much more memory; one of ``expected`` is a result too."""
    before, began, result = peak(), time.process_time(), None
    try:
        result = action()
        assert not expected, "it should have been refused"
    except expected as error:
        result = error
    assert time.process_time() - began < seconds
    assert (peak() - before) / 2**20 < megabytes
    return result


def test_a_cell_of_fifty_megabytes(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"text\nsoup and bread\n" + b"x" * 50 * 2**20 + b"\nsoup again\n")
    assert within(5, 200, lambda: read(path)).texts == ["soup and bread", "soup again"]


@pytest.mark.soak
def test_a_cell_of_fifty_megabytes_that_never_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'text\nsoup and bread\n"' + b"x\n" * 25 * 2**20)
    within(30, 300, lambda: preview_file(str(path), ImportSettings()))


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".json", ".jsonl", ".parquet"])
def test_a_million_columns(tmp_path: Path, ending: str) -> None:
    count = 11_000 if ending == ".parquet" else 1_000_000  # a Parquet file of a million columns takes minutes to write
    path = tmp_path / f"a{ending}"
    names = [f"c{number}" for number in range(count)]
    if ending == ".parquet":
        pq.write_table(pa.table({name: ["x"] for name in names}), path)
    elif ending in (".csv", ".tsv"):
        path.write_text(("," if ending == ".csv" else "\t").join(names) + "\nx\n")
    else:
        record = json.dumps(dict.fromkeys(names, "x"))
        path.write_text(f"[{record}]" if ending == ".json" else record)
    for action in (lambda: read(path), lambda: preview_file(str(path), ImportSettings())):
        assert "columns" in str(within(5, 500, action, DataError)) or ending in (".json", ".jsonl")


def test_a_million_groups() -> None:
    with pytest.raises(SettingsError, match="1000000"):
        validated(ClusterSettings, {"clusters": 1_000_000})


def test_a_pipeline_that_asks_for_a_million_groups(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(seeds.PIPELINE.replace("clusters = 10", "clusters = 1_000_000"))
    with pytest.raises(SettingsError, match="1000000"):
        read_pipeline(tmp_path / "a.toml", data=tmp_path)


@pytest.mark.parametrize("ending", [".json", ".jsonl"])
def test_deep_json(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    for depth in (90, 900, 990, 200_000):
        path.write_text('[{"text": ' + "[" * depth + "]" * depth + ', "stars": 1}]' if ending == ".json" else
                        '{"text": ' + "[" * depth + "]" * depth + ', "stars": 1}')  # fmt: skip
        for action in (lambda: read(path), lambda: preview_file(str(path), ImportSettings(label_column="text"))):
            try:
                action()
            except MetaPTError:
                continue
    for name in ("deep.json", "deep2.json"):
        (tmp_path / name).write_text("[" * 1_000_000)
        with pytest.raises(MetaPTError):
            read_json(tmp_path / name)


def test_json_of_one_giant_line_is_read_item_by_item(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[" + ",".join(f'{{"text": "soup number {number}"}}' for number in range(20_000)) + "]")
    assert within(20, 150, lambda: read(path)).rows == 20_000
    path.write_text('{"a": 1, "data": [' + "{}," * 200_000 + '{"text": "soup"}]}')
    within(20, 150, lambda: read(path), DataError)
    path.write_text("[" + "{}," * 100 + '{"text": "soup"}] and more')
    with pytest.raises(DataError, match="no valid JSON"):
        read(path)


# Workbooks ------------------------------------------------------------------------------------------------------------


def workbook(**changes: str) -> bytes:
    """A workbook whose sheet was edited: old text -> new text."""
    parts = seeds.members(seeds.xlsx_file([("text", "stars"), ("soup and bread", 1), ("tea and cake", 2)]))
    sheet = parts["xl/worksheets/sheet1.xml"].decode()
    for old, new in changes.items():
        assert old in sheet
        sheet = sheet.replace(old, new, 1)
    parts["xl/worksheets/sheet1.xml"] = sheet.encode()
    return seeds.zipped(list(parts.items()))


@pytest.mark.parametrize(
    "changes",
    [
        {"A1:B3": "A1:XFD1048576"},
        {'r="3"': 'r="1048576"'},
        {'r="3"': 'r="99999999999"'},
        {'r="B2"': 'r="XFD2"'},
        {'r="B1"': 'r="NTP1"', 'r="3"': 'r="1048576"'},  # ten thousand columns and a million rows
        {"A1:B3": "A1:NTP1048576", 'r="3"': 'r="1048576"'},
    ],
    ids=str,
)
def test_a_workbook_that_claims_a_billion_cells(tmp_path: Path, changes: dict[str, str]) -> None:
    path = tmp_path / "a.xlsx"
    path.write_bytes(workbook(**changes))
    assert "soup and bread" in within(8, 200, lambda: read(path)).texts
    assert within(8, 200, lambda: preview_file(str(path), ImportSettings()))["rows"]


def test_entities_that_grow_without_end(tmp_path: Path) -> None:
    parts = seeds.members(workbook())
    entities = '<!DOCTYPE a [<!ENTITY a0 "soup">' + "".join(
        f'<!ENTITY a{number} "{f"&a{number - 1};" * 10}">' for number in range(1, 12)
    )
    evil = f"{entities}]>".encode() + seeds.SHARED_STRINGS_OPEN + b"<si><t>&a11;</t></si></sst>"
    sheet = seeds.zipped(list((parts | {"xl/worksheets/sheet1.xml": evil}).items()))
    for content in (sheet, seeds.with_shared_strings(workbook(), evil)):
        (tmp_path / "a.xlsx").write_bytes(content)
        within(5, 100, lambda: read(tmp_path / "a.xlsx"), DataError)


def test_a_workbook_that_expands_without_end(tmp_path: Path) -> None:
    strings = seeds.SHARED_STRINGS_OPEN + b"<si><t>a</t></si>" * 4_000_000 + b"</sst>"
    (tmp_path / "a.xlsx").write_bytes(seeds.with_shared_strings(workbook(), strings))
    within(5, 100, lambda: read(tmp_path / "a.xlsx"), DataError)


# Archives and Parquet -------------------------------------------------------------------------------------------------


@pytest.fixture
def small_bombs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bombs as small as a test can afford; the real limit is tried with ``-m soak``."""
    monkeypatch.setattr("engine.corpus.sources.BOMB", 2**20)


def bomb(megabytes: int) -> bytes:
    return b"text\n" + b"soup and bread\n" * (megabytes * 2**20 // 15)


@pytest.mark.usefixtures("small_bombs")
def test_a_footer_that_lies_hides_no_bomb(tmp_path: Path) -> None:
    write_bomb(tmp_path / "a.parquet", 3)

    def change(facts: Struct, pages: object) -> None:
        set_field(facts, UNPACKED_SIZE, 1000)

    (tmp_path / "a.parquet").write_bytes(lying((tmp_path / "a.parquet").read_bytes(), change))
    assert pq.read_metadata(tmp_path / "a.parquet").row_group(0).column(0).total_uncompressed_size == 1000
    within(10, 100, lambda: read(tmp_path / "a.parquet"), DataError)


@pytest.mark.usefixtures("small_bombs")
@pytest.mark.parametrize("ending", [".csv.gz", ".csv.zst", ".zip", "many.zip", ".parquet"])
def test_what_expands_without_end_is_cut_off(tmp_path: Path, ending: str) -> None:
    write_bomb(tmp_path / f"a{ending}", 3)
    within(10, 100, lambda: read(tmp_path / f"a{ending}"), DataError)


@pytest.mark.soak
@pytest.mark.parametrize("ending", [".csv.gz", ".csv.zst", ".zip", "many.zip", ".parquet"])
def test_real_bombs_are_cut_off(tmp_path: Path, ending: str) -> None:
    write_bomb(tmp_path / f"a{ending}", 600)
    within(60, 300, lambda: read(tmp_path / f"a{ending}"), DataError)


def write_bomb(path: Path, megabytes: int) -> None:
    """Write a small file that holds so much."""
    if path.name.endswith("many.zip"):
        path.write_bytes(seeds.zipped([(f"{number}.csv", bomb(megabytes // 8)) for number in range(9)]))
    elif path.suffix == ".zip":
        path.write_bytes(seeds.zipped([("a.csv", bomb(megabytes))], zipfile.ZIP_DEFLATED))
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(bomb(megabytes), 9))
    elif path.suffix == ".zst":
        path.write_bytes(seeds.packed(bomb(megabytes))[1])
    else:
        table = pa.table({"text": ["soup and bread " * 70_000] * megabytes})
        pq.write_table(table, path, compression="zstd", use_dictionary=False, write_statistics=False)


@pytest.mark.soak
def test_a_text_that_is_in_the_file_once_and_in_every_row(tmp_path: Path) -> None:
    """A dictionary makes 2,000 rows of a megabyte of 2 KB on the disk; they are not in memory together."""
    once = pa.array(["soup " * 200_000, "tea and cake"])
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 2000 + [1], pa.int32()), once)
    pq.write_table(pa.table({"text": column}), tmp_path / "a.parquet", compression="zstd", write_statistics=False)
    assert within(60, 400, lambda: read(tmp_path / "a.parquet")).rows == 2


@pytest.mark.parametrize("dictionary", [True, False])
def test_long_texts_are_taken_a_few_at_a_time(tmp_path: Path, dictionary: bool) -> None:
    path = tmp_path / "a.parquet"
    for text, most in (("soup " * 200_000, 70), ("soup", PARQUET_ROWS)):
        table = pa.table({"text": [text] * 100, "more": ["x"] * 100})
        pq.write_table(table, path, compression="zstd", use_dictionary=dictionary)
        with open(path, "rb") as stream, pq.ParquetFile(stream) as file:
            (source,) = find_sources([path])
            group = file.metadata.row_group(0)
            pages = [unpacked_pages(stream, group.column(number), source) for number in range(2)]
            assert 1 <= _rows_at_a_time(stream, file, 0, pages) <= most


@pytest.mark.parametrize(
    "options", [{}, {"compression": "none"}, {"data_page_version": "2.0"}, {"data_page_size": 100}]
)
def test_the_sizes_of_pages_are_those_that_the_writer_tells(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "a.parquet"
    texts = [f"soup number {number % 300}" for number in range(5000)]
    pq.write_table(pa.table({"text": texts, "stars": range(5000)}), path, row_group_size=2000, **options)
    (source,) = find_sources([path])
    whole = path.read_bytes()
    with open(path, "rb") as stream, pq.ParquetFile(stream) as file:
        for group, number in itertools.product(range(3), range(2)):
            column = file.metadata.row_group(group).column(number)
            at = column.dictionary_page_offset or column.data_page_offset
            end, headers = at + column.total_compressed_size, 0
            while at < end:
                header, begin = read_struct(whole, at)
                headers += begin - at
                at = begin + field(header, PACKED_SIZE)
            found = unpacked_pages(stream, column, source)
            assert found.total == column.total_uncompressed_size - headers
            assert found.dictionary == column.has_dictionary_page
            assert 0 < found.largest <= found.total


@pytest.mark.soak
def test_rows_of_megabytes_are_not_held_together(tmp_path: Path) -> None:
    with open(tmp_path / "a.txt", "w", encoding="utf-8") as stream:
        for number in range(40):
            stream.write(f"{number} " + "soup " * 1_000_000 + "\n")
    assert within(60, 450, lambda: read(tmp_path / "a.txt", strip_html=False)).rows == 40


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\x00",  # no sizes
        b"\x25\x02\x15\x02",  # cut off
        b"\x25\x01\x15\x02\x00",  # a negative size
        b"\x28" + b"\xff" * 9 + b"\x01",  # a text that is longer than any file
        b"\x25" + b"\xff" * 30,  # a number without end
        b"\x29\xfc" + b"\xff" * 9 + b"\x01",  # a list of structs without end
        b"\x2c\x1c" * 500,  # too deep
        b"\x2d\x00",  # no such kind
    ],
)
def test_a_page_header_that_is_none_is_a_damaged_file(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1" + header)
    (source,) = find_sources([path])
    column: Any = SimpleNamespace(
        data_page_offset=4, has_dictionary_page=False, total_compressed_size=10**6, num_values=10
    )
    with open(path, "rb") as stream, pytest.raises(StorageError, match="damaged"):
        unpacked_pages(stream, column, source)


def test_no_header_makes_the_sniffer_think_for_ever(tmp_path: Path) -> None:
    """Python's own `csv.Sniffer` takes minutes over quotes that never close."""
    (tmp_path / "a.csv").write_text('text\nsoup{"a":' + '{"a":' * 30_000 + "\n" + "'\"" * 30_000)
    within(5, 100, lambda: preview_file(str(tmp_path / "a.csv"), ImportSettings()))


def test_what_grows_much_but_is_small_is_no_bomb(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with gzip.open(buffer, "wb") as stream:
        stream.write(bomb(1))
    (tmp_path / "a.csv.gz").write_bytes(buffer.getvalue())
    assert read(tmp_path / "a.csv.gz").rows == 1
