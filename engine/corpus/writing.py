"""Write the rows of a corpus, and hash what they hold while they are written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engine.errors import storage_errors
from engine.storage import replacing

HASHED = ("text", "label")
GROUP_ROWS = 8192
GROUP_BYTES = 2**25
"""So much is gathered before it is written: a folder of small files would become as many small pieces."""


class CorpusWriter:
    """Writes rows to a Parquet file, in a thread beside the one that makes the next rows; see `writing_corpus`."""

    def __init__(self, path: Path, parquet: pq.ParquetWriter, thread: ThreadPoolExecutor) -> None:
        self._parquet, self._thread = parquet, thread
        self._gathered: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0
        self._under_way: Future[None] | None = None
        self._hash = ContentHash()
        self._path = path

    def write(self, rows: pa.RecordBatch | pa.Table) -> None:
        """Write rows, a few of them together with the next ones; raises what went wrong with those before."""
        self._gathered += rows.to_batches() if isinstance(rows, pa.Table) else [rows]
        self._rows += rows.num_rows
        self._bytes += rows.nbytes
        if self._rows >= GROUP_ROWS or self._bytes > GROUP_BYTES:
            self._submit()

    @property
    def content_hash(self) -> str:
        """Hash of all texts and labels, once the block of `writing_corpus` has ended; see `ContentHash`."""
        return self._hash.hexdigest()

    def finish(self) -> None:
        """Write what is left."""
        if self._gathered:
            self._submit()
        self._wait()

    def _submit(self) -> None:
        self._wait()
        self._under_way = self._thread.submit(self._write, self._gathered)
        self._gathered, self._rows, self._bytes = [], 0, 0

    def _wait(self) -> None:
        if self._under_way is not None:
            self._under_way.result()

    def _write(self, batches: list[pa.RecordBatch]) -> None:
        with storage_errors(self._path):  # told here: whoever waits for it may be reading another file
            self._parquet.write_table(pa.Table.from_batches(batches))
        for batch in batches:
            self._hash.add(batch)


@contextmanager
def writing_corpus(folder: Path, schema: pa.Schema) -> Iterator[CorpusWriter]:
    """Give a writer whose file becomes ``folder/corpus.parquet`` when the block ends well (zstd, atomic).

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    with (
        replacing(folder / "corpus.parquet") as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as parquet,
        ThreadPoolExecutor(1, "corpus-writer") as thread,
    ):
        writer = CorpusWriter(folder / "corpus.parquet", parquet, thread)
        yield writer
        writer.finish()


class ContentHash:
    """Hash of all texts and labels in order, in whatever batches they come: the lengths (-1: none) and the bytes."""

    def __init__(self) -> None:
        self._digests = {name: (hashlib.blake2b(digest_size=16), hashlib.blake2b(digest_size=16)) for name in HASHED}

    def add(self, batch: pa.RecordBatch) -> None:
        """Go on with the string columns ``text`` and ``label`` of the next rows."""
        for name, (lengths, content) in self._digests.items():
            column = batch.column(name)
            lengths.update(pc.fill_null(pc.binary_length(column), -1).to_numpy())
            content.update(_bytes(column))

    def hexdigest(self) -> str:
        """Return the hash of what has been added, 32 hexadecimal digits."""
        parts = [digest.digest() for digests in self._digests.values() for digest in digests]
        return hashlib.blake2b(b"".join(parts), digest_size=16).hexdigest()


def _bytes(column: pa.StringArray) -> memoryview:
    """Return the bytes of all values, one after the other, where they lie."""
    _, offsets, content = column.buffers()
    if not len(column) or content is None:
        return memoryview(b"")
    first, last = np.frombuffer(offsets, np.int32)[[column.offset, column.offset + len(column)]]
    return memoryview(content)[first:last]
