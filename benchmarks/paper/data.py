"""The few-shot targets: any folder of NAME_train.parquet, NAME_dev.parquet, NAME_test.parquet (text, label)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.storage import read_json

TEST_ROWS = Path(__file__).parent / "test_rows.json"
"""Number and SHA-256 of the test rows of every known target, fixed before anything was measured.

With the share of their most frequent class.
"""
WORDS: dict[int, dict[str, str]] = {
    2: {"0": "bad", "1": "good"},
    3: {"0": "bad", "1": "maybe", "2": "good"},
    5: {"0": "terrible", "1": "bad", "2": "maybe", "3": "good", "4": "great"},
}
"""Words of the targets' classes, by their number; they all judge."""


@dataclass(frozen=True)
class Topics:
    """A file of ``text/`` with the columns text and topic, which asks what a text is about and not how it judges."""

    file: str
    test_rows: int
    words: dict[str, str]


TOPICS = {
    "agnews": Topics("agnews_test.parquet", 2000, {"0": "world", "1": "sports", "2": "business", "3": "technology"}),
    "bbc": Topics(
        "bbc_news.parquet",
        1000,
        {
            "business": "business",
            "entertainment": "entertainment",
            "politics": "politics",
            "sport": "sports",
            "tech": "technology",
        },
    ),
}


@dataclass(frozen=True)
class Dataset:
    """A few-shot target: labelled examples are drawn from ``pool``, methods are measured on ``test``."""

    name: str
    pool: Path
    test: Path
    words: dict[str, str]


def find_datasets(folders: Iterable[Path], work: Path) -> list[Dataset]:
    """Return the targets in ``folders``.

    Methods are tested on the test file; where there is none on the dev file; without that on a seeded quarter of train,
    written into ``work``.

    Raises
    ------
    SystemExit
        If there is none, or the test rows of a known target are not those of ``test_rows.json``.
    """
    found = []
    for train in sorted(path for folder in folders for path in folder.glob("*_train.parquet")):
        name = train.name.removesuffix("_train.parquet")
        others = [train.with_name(f"{name}_{part}.parquet") for part in ("test", "dev")]
        present = [path for path in others if path.exists()]
        pool, test = (train, present[0]) if present else split(train, work, name, share=0.25)
        _check(name, test)
        classes = len(pq.read_table(pool, columns=["label"]).column(0).unique())
        found.append(Dataset(name, pool, test, WORDS.get(classes, {})))
    if not found:
        raise SystemExit("There is no NAME_train.parquet in the data folders.")
    return found


def find_topics(data: Path, work: Path) -> list[Dataset]:
    """Return the topics of news as targets, as far as ``data`` has them.

    A seeded sample is tested on, written into ``work``.

    Raises
    ------
    SystemExit
        If the test rows are not those of ``test_rows.json``.
    """
    found = []
    for name, topics in TOPICS.items():
        if (file := data / "text" / topics.file).exists():
            table = pq.read_table(file, columns=["text", "topic"])
            labelled = work / f"{name}.parquet"
            write_rows(table.rename_columns(["text", "label"]), np.arange(len(table)), labelled)
            pool, test = split(labelled, work, name, share=1.0, most=topics.test_rows)
            _check(name, test)
            found.append(Dataset(name, pool, test, topics.words))
    return found


def for_development(datasets: Sequence[Dataset], work: Path, rows: int = 1000) -> list[Dataset]:
    """Return the same targets with no test row in them: what settings are chosen on.

    A quarter of each training file (at most ``rows``) takes the place of the test set, written into ``work``.
    """
    found = []
    for dataset in datasets:
        pool, held = split(dataset.pool, work, f"{dataset.name}-development", share=0.25, most=rows)
        found.append(replace(dataset, pool=pool, test=held))
    return found


def shortened(datasets: Sequence[Dataset], work: Path, rows: int) -> list[Dataset]:
    """Return the same targets with a seeded sample of at most ``rows`` of their test rows, the same at every call."""
    tested = [split(dataset.test, work, f"{dataset.name}-tested", share=1.0, most=rows)[1] for dataset in datasets]
    return [replace(dataset, test=test) for dataset, test in zip(datasets, tested, strict=True)]


def split(path: Path, work: Path, name: str, *, share: float, most: int | None = None) -> tuple[Path, Path]:
    """Write a seeded ``share`` of the rows (at most ``most``) to one file and the rest to another: rest, share."""
    table = pq.read_table(path, columns=["text", "label"])
    order = np.random.default_rng(0).permutation(len(table))
    border = min(int(len(table) * share), most or len(table))
    paths = work / f"{name}-rest.parquet", work / f"{name}-share.parquet"
    for target, rows in zip(paths, (order[border:], order[:border]), strict=True):
        write_rows(table, rows, target)
    return paths


def write_rows(table: pa.Table, rows: np.ndarray, path: Path) -> None:
    """Write some rows, in their order; a file that holds just these is left as it is, and what was made of it holds."""
    wanted = table.take(pa.array(np.sort(rows)))
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or not pq.read_table(path).equals(wanted):
        pq.write_table(wanted, path)


def _check(name: str, test: Path) -> None:
    fixed = read_json(TEST_ROWS)
    if name in fixed and fixed[name] != described(test):
        raise SystemExit(f"{name}: the test rows are not those of {TEST_ROWS.name}; figures could not be compared.")


def described(path: Path) -> dict[str, object]:
    """Return number and hash of the rows, whatever their order, and the share of their most frequent class."""
    table = pq.read_table(path, columns=["text", "label"])
    texts, labels = (table.column(name).to_pylist() for name in ("text", "label"))
    rows = sorted(f"{text}\t{label}" for text, label in zip(texts, labels, strict=True))
    share = max(labels.count(label) for label in set(labels)) / len(labels)
    digest = hashlib.sha256("\n".join(rows).encode()).hexdigest()
    return {"rows": len(rows), "sha256": digest, "most_frequent": round(share, 5)}
