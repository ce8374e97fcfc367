"""A corpus on disk: ``corpus.parquet`` (texts, labels) and ``corpus.json`` (classes, counts, content hash).

Columns: ``text`` (string), ``label`` (string, null = unlabelled), ``source`` (string, file it came from), ``row``
(int64, line or record number there, from 1) and, after annotation, ``confidence`` (float32).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.errors import StorageError, storage_error
from engine.storage import read_json, write_json

FORMAT = 1
SCHEMA = pa.schema([("text", pa.string()), ("label", pa.string()), ("source", pa.string()), ("row", pa.int64())])
OTHERS = pa.field("others", pa.string())
"""The other columns of a row's file, JSON: name -> value. Only what is read to be classified has them."""
ANNOTATED_SCHEMA = SCHEMA.append(pa.field("confidence", pa.float32()))


@dataclass(frozen=True)
class Corpus:
    """A corpus in a folder; open one with `Corpus.open`.

    Attributes
    ----------
    folder
        Where ``corpus.parquet`` and ``corpus.json`` are.
    classes
        Names of the classes in order, most negative first where they are ratings; empty without labels.
    rows
        Number of texts.
    content_hash
        Changes whenever texts or labels change; keys caches.
    words
        Label word of each class that the person has chosen so far (may be empty).
    """

    folder: Path
    classes: tuple[str, ...]
    rows: int
    content_hash: str
    words: dict[str, str]

    @classmethod
    def open(cls, folder: str | Path) -> Corpus:
        """Open the corpus in ``folder``.

        Raises
        ------
        StorageError
            If there is none or it is damaged.
        """
        folder = Path(folder)
        meta = read_json(folder / "corpus.json")
        with parquet_errors(folder / "corpus.parquet"), pq.ParquetFile(folder / "corpus.parquet") as file:
            rows = file.metadata.num_rows
            kinds = {field.name: field.type for field in file.schema_arrow}
            if any(kinds.get(field.name) != field.type for field in SCHEMA):
                raise StorageError(
                    "The columns of the corpus are not those of a corpus",
                    where=folder,
                    remedy="Import the files again.",
                )
        try:
            found = cls(
                folder, tuple(meta["classes"]), int(meta["rows"]), str(meta["content_hash"]), dict(meta["words"])
            )
            if not all(isinstance(name, str) for name in (*found.classes, *found.words, *found.words.values())):
                raise TypeError("names are text")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise StorageError(
                "The description of the corpus is damaged",
                where=folder / "corpus.json",
                remedy="Import the files again.",
            ) from error
        if rows != found.rows:
            raise StorageError(
                f"The corpus has {rows:,} rows but its description says {found.rows:,}",
                where=folder,
                remedy="Import the files again.",
            )
        return found

    @property
    def path(self) -> Path:
        """The Parquet file."""
        return self.folder / "corpus.parquet"

    @cached_property
    def labels(self) -> np.ndarray:
        """Class number of every row, int64 [rows]; -1 where there is no label."""
        index = {name: number for number, name in enumerate(self.classes)}
        with parquet_errors(self.path):
            values = self._column("label").to_pylist()
        return np.fromiter((index.get(value, -1) for value in values), np.int64, count=self.rows)

    @cached_property
    def texts(self) -> list[str]:
        """All texts, in memory."""
        column = self._column("text")
        with parquet_errors(self.path):
            if column.null_count:
                raise StorageError(
                    "The corpus has rows without text", where=self.path, remedy="Import the files again."
                )
            values: list[str] = column.to_pylist()
        return values

    @property
    def confidence(self) -> np.ndarray | None:
        """Confidence of the pseudo-label of every row, float32 [rows]; ``None`` before annotation."""
        with parquet_errors(self.path):
            if "confidence" not in pq.read_schema(self.path).names:
                return None
        return self._column("confidence").to_numpy()

    def batches(self, size: int = 8192, columns: Sequence[str] = ("text",)) -> Iterator[pa.RecordBatch]:
        """Stream record batches of at most ``size`` rows (unbuffered: Arrow would hold the whole file otherwise)."""
        with parquet_errors(self.path), pq.ParquetFile(self.path, pre_buffer=False) as stream:
            yield from stream.iter_batches(size, columns=list(columns))

    def _column(self, name: str) -> pa.ChunkedArray:
        with parquet_errors(self.path):
            return pq.read_table(self.path, columns=[name]).column(0)


@contextmanager
def parquet_errors(path: Path) -> Iterator[None]:
    """Turn what Arrow raises for a missing or damaged file into a `StorageError`."""
    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise storage_error(error, path) from error
        raise StorageError(
            "The Parquet file is damaged or cut off", where=path, remedy="Make it again, or restore it from a copy."
        ) from error


def describe(
    folder: Path, classes: Sequence[str], rows: int, content_hash: str, words: dict[str, str], **more: Any
) -> Corpus:
    """Write ``corpus.json`` beside a finished Parquet file and return the corpus."""
    write_json(
        folder / "corpus.json",
        {
            "format": FORMAT,
            "classes": list(classes),
            "rows": rows,
            "content_hash": content_hash,
            "words": words,
            **more,
        },
    )
    return Corpus.open(folder)
