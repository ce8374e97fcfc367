"""NumPy arrays on disk: written as a whole, or row by row over several runs."""

from __future__ import annotations

import io
import os
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from engine.errors import StorageError, storage_errors
from engine.storage import read_json, remove, replacing, write_json


def save_array(path: Path, array: np.ndarray) -> None:
    """Write an array as ``.npy``; raises as `replacing` does."""
    with replacing(path) as temporary, open(temporary, "wb") as stream:
        np.save(stream, array, allow_pickle=False)


class GrowingArray(AbstractContextManager["GrowingArray"]):
    """A ``.npy`` file of rows that is being filled, and beside it a note of how many are whole.

    ``done`` is how many rows, in the order of work, are in it.

    Parameters
    ----------
    shape, dtype
        Of the array when it is whole.
    of
        What its rows are of: those of anything else are not gone on with.
    """

    def __init__(self, path: Path, shape: tuple[int, int], dtype: str, *, of: str = "") -> None:
        self.path, self.note = path, path.with_name(path.name + ".json")
        self._of, self._dtype = of, np.dtype(dtype)
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": dtype, "fortran_order": False, "shape": shape})
        self._start, self._row_bytes = header.tell(), self._dtype.itemsize * shape[1]
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self.done = self._rows_so_far(header.getvalue(), shape[0])
            if self.done == 0:
                remove(self.note)  # it must not outlive the rows that it tells of
                with open(path, "wb") as stream:
                    stream.write(header.getvalue())
                    stream.truncate(self._start + shape[0] * self._row_bytes)
            self._stream = open(path, "r+b")  # noqa: SIM115 (closed by __exit__)

    def __exit__(self, *details: object) -> None:
        self._stream.close()

    def write(self, rows: np.ndarray, values: np.ndarray) -> None:
        """Write ``values`` [m, d] to ``rows``, the next ones in the order of work."""
        # Plain writes, not a memory map: on a full disk a map kills the process, a write raises.
        with storage_errors(self.path):
            for row, value in zip(rows.tolist(), np.ascontiguousarray(values, self._dtype), strict=True):
                self._stream.seek(self._start + row * self._row_bytes)
                self._stream.write(value.data)
            self._stream.flush()
            os.fsync(self._stream.fileno())  # the note must not outlive the rows that it tells of
        self.done += len(rows)
        write_json(self.note, {"rows": self.done, "of": self._of})

    def _rows_so_far(self, header: bytes, rows: int) -> int:
        try:
            note = read_json(self.note)
            done, of = note["rows"], note.get("of", "")
            with open(self.path, "rb") as stream:
                intact = stream.read(len(header)) == header
            intact &= self.path.stat().st_size == self._start + rows * self._row_bytes
        except (StorageError, OSError, AttributeError, KeyError, TypeError):
            return 0
        return done if intact and of == self._of and isinstance(done, int) and 0 <= done <= rows else 0
