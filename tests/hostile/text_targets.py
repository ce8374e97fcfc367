"""The doors for files of texts: every format, packed and not, with any settings."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hostile import mutations, parquet_lies, seeds
from hostile.mutations import Files
from hostile.watch import Step
from hypothesis import strategies as st

from engine.settings import ImportSettings, validated
from engine.stage import StopToken

Input = tuple[Files, dict[str, Any]]


@dataclass(frozen=True)
class Target:
    """A reader.

    Attributes
    ----------
    inputs
        Makes the strategy, given a folder for the valid files to start from.
    steps
        What is done with an input that was written into a folder.
    cost
        Rough seconds an input.
    needs_qt
        Whether it is a part of the window.
    """

    inputs: Callable[[Path], st.SearchStrategy[Input]]
    steps: Callable[[Path, dict[str, Any]], Iterator[Step]]
    cost: float
    needs_qt: bool = False


_NAMES = ["", "review", "stars", "text", "data", "nothing", "\x00", "\ud800", "a" * 300]
_OPTIONS = st.fixed_dictionaries(
    {"maximum_broken_share": st.sampled_from([1.0, 1.0, 0.0])},
    optional={
        "text_column": st.sampled_from(_NAMES),
        "label_column": st.sampled_from(["stars", "stars", *_NAMES]),
        "drop_duplicates": st.booleans(),
        "minimum_characters": st.sampled_from([1, 10, 10**30]),
    },
)
_STRANGE_OPTIONS = st.fixed_dictionaries(
    {"maximum_broken_share": st.just(1.0)},
    optional={
        "format": st.sampled_from(["csv", "tsv", "jsonl", "json", "parquet", "xlsx", "txt", "doc", 3]),
        "encoding": st.sampled_from(
            [
                "utf-8",
                "utf-16",
                "utf-32",
                "utf-16-le",
                "utf-7",
                "ascii",
                "cp1252",
                "cp037",
                "big5",
                "hz",
                "iso2022_jp",
                "idna",
                "punycode",
                "unicode_escape",
                "rot13",
                "raw_unicode_escape",
                "undefined",
                "base64",
                "hex",
                "zlib",
                "bz2",
                "mbcs",
                "utf-8-sig",
                "shift_jis",
                "é\x00",
                "x",
            ]
        )
        | st.sampled_from(["", "\x00", "utf-8\x00", "\ud800", "a" * 10_000]),
        "delimiter": st.sampled_from([",", ";", "\t", "\n", "\r", '"', " ", "\x00", "é", "\ud800", "ab", "", "'"]),
        "one_row_per": st.sampled_from(["line", "file"]),
        "label_column": st.sampled_from(["stars", *_NAMES]),
        "label_map": st.sampled_from([{}, {"1": "bad"}, {"1": "\ud800"}, {"": ""}]),
        "words": st.sampled_from([{}, {"1": "bad"}, {"\ud800": "x"}]),
        "maximum_rows": st.sampled_from([None, 1, 3, 0, 10**20]),
        "balance": st.booleans(),
        "seed": st.sampled_from([0, 2**63, 2**200]),
        "strip_html": st.booleans(),
    },
)


def _file(
    name: str, contents: Callable[[], st.SearchStrategy[bytes]], options: st.SearchStrategy[dict[str, Any]] = _OPTIONS
) -> Callable[[Path], st.SearchStrategy[Input]]:
    return lambda folder: st.tuples(contents().map(lambda content: {name: content}), options)


def _xlsx() -> st.SearchStrategy[bytes]:
    whole = seeds.with_shared_strings(seeds.xlsx_file())
    inside = seeds.members(whole)
    words = [
        b'r="XFD1048576"',
        b'r="A99999999999"',
        b't="s"',
        b"<v>99999999</v>",
        b'ref="A1:XFD1048576"',
        b"<row/>",
        b"\x00",
    ]
    parts = {
        name: mutations.mutated_bytes([content]) | mutations.mutated_bytes([content], words)
        for name, content in inside.items()
    }
    return mutations.mutated_folder(inside, parts).map(lambda files: seeds.zipped(list(files.items()))) | (
        mutations.mutated_bytes([whole])
    )


_HOSTILE_NAMES = st.sampled_from(
    [
        "a.csv",
        "b.jsonl",
        "c.txt",
        "d.parquet",
        "e.xlsx",
        "f.json",
        "../../up.csv",
        "/etc/abs.csv",
        "C:\\abs.csv",
        "..\\up.csv",
        "folder/",
        "a/b/c.csv",
        "x.csv.gz",
        "inner.zip",
        ".hidden.csv",
        "con.csv",
        "é.csv",
    ]
) | st.sampled_from(["\ud7ff.csv", "a" * 300 + ".csv", "=1+1.csv", " .csv", "a\nb.csv"])


def _zip() -> st.SearchStrategy[bytes]:
    contents = [
        seeds.csv_files()[0],
        seeds.jsonl_file(),
        seeds.parquet_files()[0],
        seeds.xlsx_file(),
        b"",
        b"soup\ntea\n",
    ]
    content = st.sampled_from(contents) | mutations.mutated_bytes(contents[:2])
    methods = st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    built = st.builds(seeds.zipped, st.lists(st.tuples(_HOSTILE_NAMES, content), max_size=4), methods)
    wholes = [
        seeds.zipped([("a.csv", contents[0]), ("b.jsonl", contents[1])], method)
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    ]
    return built | mutations.mutated_bytes(wholes)


def _packed(which: int) -> Callable[[], st.SearchStrategy[bytes]]:
    def contents() -> st.SearchStrategy[bytes]:
        wholes = [seeds.packed(content)[which] for content in seeds.csv_files()]
        inner = mutations.mutated_bytes(seeds.csv_files()).map(lambda content: seeds.packed(content)[which])
        return mutations.mutated_bytes(wholes) | inner

    return contents


def _parquet() -> st.SearchStrategy[bytes]:
    wholes = seeds.parquet_files()
    return parquet_lies.lies(wholes[:6]) | mutations.mutated_bytes(wholes) | st.sampled_from(wholes)


def _json_lines() -> st.SearchStrategy[bytes]:
    lines = st.lists(mutations.mutated_json([seeds.RECORDS[0]]), min_size=1, max_size=6)
    return lines.map(b"\n".join) | mutations.mutated_bytes([seeds.jsonl_file()])


def _any_file(folder: Path) -> st.SearchStrategy[Input]:
    """Any content under any name, read with any settings."""
    names = [
        f"a{end}" for end in (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".xlsx", ".txt", ".csv.gz", ".zip", ".odd")
    ]
    wholes = [*seeds.csv_files(), *seeds.tsv_files(), seeds.jsonl_file(), seeds.parquet_files()[0], b"soup\ntea\n"]
    content = mutations.mutated_bytes(wholes) | st.sampled_from(wholes)
    files = st.dictionaries(st.sampled_from(names), content, min_size=1, max_size=2)
    return st.tuples(files, _STRANGE_OPTIONS)


def _read_texts(folder: Path, options: dict[str, Any]) -> Iterator[Step]:
    from engine.corpus.importing import import_corpus
    from engine.corpus.preview import preview_file
    from engine.corpus.store import Corpus
    from engine.events import to_json

    names = sorted((folder / "in").iterdir())
    name = names[0] if len(names) == 1 else folder / "in"
    yield lambda: preview_file(str(name), validated(ImportSettings, options))

    def import_it() -> None:
        for event in import_corpus([name], folder / "out", validated(ImportSettings, options), stop=StopToken()):
            to_json(event)
        corpus = Corpus.open(folder / "out")
        assert len(corpus.texts) == len(corpus.labels) == corpus.rows > 0
        "".join(corpus.texts).encode()

    yield import_it


TEXT_TARGETS: dict[str, Target] = {
    "csv": Target(_file("a.csv", lambda: mutations.mutated_bytes(seeds.csv_files())), _read_texts, 0.01),
    "tsv": Target(_file("a.tsv", lambda: mutations.mutated_bytes(seeds.tsv_files())), _read_texts, 0.01),
    "jsonl": Target(_file("a.jsonl", _json_lines), _read_texts, 0.01),
    "json": Target(_file("a.json", lambda: mutations.mutated_json(seeds.json_documents())), _read_texts, 0.01),
    "txt": Target(
        _file("a.txt", lambda: mutations.mutated_bytes([b"soup\ntea\n", *seeds.csv_files()])), _read_texts, 0.01
    ),
    "parquet": Target(_file("a.parquet", _parquet), _read_texts, 0.01),
    "xlsx": Target(_file("a.xlsx", _xlsx), _read_texts, 0.03),
    "gzip": Target(_file("a.csv.gz", _packed(0)), _read_texts, 0.01),
    "zstd": Target(_file("a.csv.zst", _packed(1)), _read_texts, 0.01),
    "zip": Target(_file("a.zip", _zip), _read_texts, 0.02),
    "any file, any settings": Target(_any_file, _read_texts, 0.01),
}
