"""Vectors of texts, computed once and kept on disk by content: nothing is encoded twice, a kill costs a second."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from engine.arrays import GrowingArray, save_array
from engine.embedding.sentence_bert import Encoder, by_length
from engine.errors import StorageError, storage_errors
from engine.events import Event, Progress
from engine.stage import Part, ProgressMeter, StopToken
from engine.storage import remove, replace

Observer = Callable[[np.ndarray, np.ndarray], Iterable[Event]]
"""Is shown row numbers, int64 [m], and their vectors, float32 [m, d], and answers with events."""

# Rows are worked on in windows of consecutive rows, each sorted by length: nearly as little padding as sorting
# everything, and the first vectors that come out are not those of the longest texts of the whole corpus.
WINDOW = 2_048
SLICE_SECONDS = 0.5
OBSERVED_ROWS = 2_048


def embed(
    texts: Sequence[str],
    encoder: Encoder,
    cache: Path,
    *,
    stop: StopToken,
    stage: str = "embed",
    observe: Observer | None = None,
) -> Part[np.ndarray | None]:
    """Return the vectors of ``texts``, from the cache as far as it has them.

    The file ``cache/KEY.npy`` is keyed by the texts, their order and ``encoder.identity``. Until it is whole, its rows
    are in ``KEY.part``, and ``KEY.part.json`` says how many; an interrupted run goes on from there.

    Parameters
    ----------
    texts
        n texts.
    encoder
        Is not asked for anything but its identity if the cache has all vectors.
    cache
        Folder; made if need be.
    stop
        When stopping is asked for, what is done so far stays and can be gone on with.
    stage
        Name of the stage in `Progress`.
    observe
        Is shown every row exactly once, whether it comes from the encoder or from the cache.

    Returns
    -------
    numpy.ndarray or None
        float32 [n, d], read-only and memory-mapped; ``None`` if it was stopped before the last row.

    Raises
    ------
    StorageError
        If the cache cannot be written, because the disk is full for instance; what was done so far stays.
    DeviceError
        If the memory does not suffice even for one text.
    """
    yield Progress(stage, 0, len(texts), "rows", message="Looking for vectors in the cache")
    if not texts:
        return np.empty((0, encoder.dimensions), np.float32)
    whole = cache / f"{_key(texts, encoder.identity)}.npy"
    vectors = _open(whole, len(texts))
    if vectors is not None:
        yield from _show(vectors, np.arange(len(texts)), observe, stop)
        return vectors
    if not (yield from _compute(texts, encoder, whole, stop, stage, observe)):
        return None
    vectors = _open(whole, len(texts))
    if vectors is None:
        raise StorageError(
            "The vectors cannot be read back", where=whole, remedy="Check the disk, delete the file and run it again."
        )
    return vectors


def _compute(
    texts: Sequence[str], encoder: Encoder, whole: Path, stop: StopToken, stage: str, observe: Observer | None
) -> Part[bool]:
    """Fill the partial file and put it in its place; False if stopped before the last row."""
    yield Progress(stage, 0, len(texts), "rows", message=f"Loading {encoder.name}")
    if stop.requested:
        return False
    from engine.backbones.memory import fitting  # whoever finds all vectors does not wait for torch

    order = _order(texts)
    at_a_time = encoder.batch_size

    def encode(count: int) -> np.ndarray:
        return encoder.encode([texts[row] for row in order[done : done + count]])

    with GrowingArray(whole.with_suffix(".part"), (len(texts), encoder.dimensions), "<f4") as partial:
        done = partial.done
        meter = ProgressMeter(stage, len(texts), "rows", done=done)
        if done:
            yield meter.at(done, "Going on where the last run ended")
            yield from _show(np.load(partial.path, mmap_mode="r", allow_pickle=False), order[:done], observe, stop)
        while done < len(texts):
            if stop.requested:
                return False
            first, began = done, time.monotonic()
            parts: list[np.ndarray] = []
            while done < len(texts) and (not parts or time.monotonic() - began < SLICE_SECONDS):
                vectors, at_a_time = yield from fitting(encode, at_a_time, "texts")
                parts.append(vectors)
                done += len(vectors)
            rows, vectors = order[first:done], np.concatenate(parts)
            partial.write(rows, vectors)
            yield meter.at(done, f"Reading the texts with {encoder.name}")
            if observe is not None:
                yield from observe(rows, vectors)
    with storage_errors(whole):
        replace(partial.path, whole)
        remove(partial.note)
    return True


def _show(vectors: np.ndarray, rows: np.ndarray, observe: Observer | None, stop: StopToken) -> Part[None]:
    for start in range(0, len(rows) if observe is not None else 0, OBSERVED_ROWS):
        if observe is None or stop.requested:
            return
        part = rows[start : start + OBSERVED_ROWS]
        yield from observe(part, vectors[part])


def _order(texts: Sequence[str]) -> np.ndarray:
    """Return the row numbers in the order of work, int64 [n]."""
    windows = [start + by_length(texts[start : start + WINDOW]) for start in range(0, len(texts), WINDOW)]
    return np.concatenate(windows) if windows else np.empty(0, np.int64)


def remember(texts: Sequence[str], vectors: np.ndarray, encoder: Encoder, cache: Path) -> None:
    """Put vectors that are known already into the cache: those of some rows of a corpus, say.

    Parameters
    ----------
    texts, vectors
        n texts and their vectors by ``encoder``, float32 [n, d].

    Raises
    ------
    StorageError
        If the cache cannot be written.
    """
    path = cache / f"{_key(texts, encoder.identity)}.npy"
    if path.exists():
        return  # it may be mapped just now: not every system lets it be replaced
    save_array(path, vectors.astype(np.float32, copy=False))


def _key(texts: Sequence[str], identity: str) -> str:
    digest = hashlib.sha256(identity.encode())
    for text in texts:
        raw = text.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "little"))
        digest.update(raw)
    return digest.hexdigest()[:32]


def _open(path: Path, rows: int) -> np.ndarray | None:
    """Map the vectors in ``path``; ``None`` if they are not there, damaged, or not ``rows`` float32 vectors."""
    try:
        vectors: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    fits = vectors.ndim == 2 and len(vectors) == rows and vectors.dtype == np.float32
    return vectors if fits else None
