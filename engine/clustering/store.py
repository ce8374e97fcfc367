"""A clustering on disk: ``clusters.parquet`` (row, cluster), ``projection.npy`` and ``clusters.json``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.arrays import save_array
from engine.corpus.store import parquet_errors
from engine.errors import StorageError, storage_errors
from engine.storage import read_json, remove, replacing, write_json

FORMAT = 1
_SCHEMA = pa.schema([("row", pa.int64()), ("cluster", pa.int16())])
_REMEDY = "Cluster again."


@dataclass(frozen=True)
class Cluster:
    """What a person needs to know of a cluster.

    Attributes
    ----------
    number
        As in `Clustering.assignment`.
    name
        Made of the top terms.
    size
        Number of rows.
    labels
        Rows of each class; what is missing to ``size`` has no label.
    terms
        The most telling words, the best first.
    central_rows
        Rows of the corpus nearest to the mean of the cluster, the nearest first; empty if nothing was embedded.
    """

    number: int
    name: str
    size: int
    labels: dict[str, int]
    terms: tuple[str, ...]
    central_rows: tuple[int, ...]


@dataclass(frozen=True)
class Clustering:
    """A clustering in a folder; open one with `Clustering.open`.

    Attributes
    ----------
    folder
        Where the files are.
    method
        ``kmeans``, ``lda``, ``random`` or ``label``.
    settings
        The settings it was made with.
    content_hash
        That of the corpus it was made from.
    assignment
        Cluster of every row of the corpus, int16 [n]; -1: in none.
    clusters
        Their descriptions, ``clusters[i].number == i``.
    silhouette
        Mean silhouette by cosine distance of a sample, -1 to 1; ``None`` if nothing was embedded.
    label_nmi
        Normalised mutual information of clusters and labels, 0 to 1; ``None`` without labels.
    sweep
        Silhouette of K-means for other K; empty if it was not asked for.
    """

    folder: Path
    method: str
    settings: dict[str, Any]
    content_hash: str
    assignment: np.ndarray
    clusters: tuple[Cluster, ...]
    silhouette: float | None
    label_nmi: float | None
    sweep: dict[int, float]

    @classmethod
    def open(cls, folder: str | Path) -> Clustering:
        """Open the clustering in ``folder``.

        Raises
        ------
        StorageError
            If there is none or it is damaged.
        """
        folder = Path(folder)
        meta = read_json(folder / "clusters.json")
        with parquet_errors(folder / "clusters.parquet"):
            table = pq.read_table(folder / "clusters.parquet")
        try:
            for item in meta["clusters"]:
                item.pop("included", None)  # an older MetaPT wrote it
            clusters = tuple(
                Cluster(**{**item, "terms": tuple(item["terms"]), "central_rows": tuple(item["central_rows"])})
                for item in meta["clusters"]
            )
            if not all(_is_sound(item, number) for number, item in enumerate(clusters)):
                raise ValueError("no description of a cluster")
            if table.schema != _SCHEMA or any(column.null_count for column in table.columns):
                raise ValueError("not the columns of a clustering")
            assignment = table.column("cluster").to_numpy()
            found = cls(
                folder,
                str(meta["method"]),
                dict(meta["settings"]),
                str(meta["content_hash"]),
                assignment,
                clusters,
                meta["silhouette"],
                meta["label_nmi"],
                {int(key): float(value) for key, value in meta["sweep"].items()},
            )
            rows = table.column("row").to_numpy()
            sizes = np.bincount(assignment[assignment >= 0], minlength=len(clusters)).tolist()
            whole = meta["rows"] == len(rows) and np.array_equal(rows, np.arange(len(rows)))
            whole = whole and sizes == [item.size for item in clusters]
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, pa.ArrowException) as error:
            raise StorageError("The description of the groups is damaged", where=folder, remedy=_REMEDY) from error
        if not whole:
            raise StorageError("The groups and their description do not belong together", where=folder, remedy=_REMEDY)
        return found

    @cached_property
    def projection(self) -> np.ndarray | None:
        """Position of every row in the plane, float32 [n, 2], memory-mapped; ``None`` if there is none.

        Raises
        ------
        StorageError
            If the file is damaged.
        """
        path = self.folder / "projection.npy"
        if not path.exists():
            return None
        try:
            with storage_errors(path):
                # a memory map of exactly such an array; `load` would also open archives and, for an old header, guess
                positions = np.lib.format.open_memmap(path, mode="r")
        except Exception as error:  # numpy parses the header as Python and raises whatever that raises
            if isinstance(error, StorageError):
                raise
            raise StorageError("The positions of the texts are damaged", where=path, remedy=_REMEDY) from error
        if positions.shape != (len(self.assignment), 2) or positions.dtype != np.float32:
            raise StorageError("The positions are not those of these texts", where=path, remedy=_REMEDY)
        return np.array(positions)  # a file that is mapped could not be replaced everywhere


def _is_sound(item: Cluster, number: int) -> bool:
    """Whether a description is of the kinds that it should be."""
    return (
        item.number == number
        and isinstance(item.name, str)
        and all(isinstance(name, str) and isinstance(count, int) for name, count in item.labels.items())
        and all(isinstance(term, str) for term in item.terms)
        and all(isinstance(row, int) for row in item.central_rows)
    )


def save(
    folder: Path,
    assignment: np.ndarray,
    projection: np.ndarray | None,
    clusters: Sequence[Cluster],
    facts: Mapping[str, Any],
) -> None:
    """Write a clustering; ``clusters.json`` comes last, so what was cut off in between is not taken for whole."""
    with storage_errors(folder):
        for name in ("clusters.json",) if projection is not None else ("clusters.json", "projection.npy"):
            remove(folder / name)
    with replacing(folder / "clusters.parquet") as temporary:
        columns = [np.arange(len(assignment)), assignment.astype(np.int16)]
        pq.write_table(pa.table(columns, schema=_SCHEMA), temporary, compression="zstd")
    if projection is not None:
        save_array(folder / "projection.npy", projection.astype(np.float32, copy=False))
    write_json(
        folder / "clusters.json",
        {
            "format": FORMAT,
            **facts,
            "rows": len(assignment),
            "clusters": [dataclasses.asdict(item) for item in clusters],
        },
    )
