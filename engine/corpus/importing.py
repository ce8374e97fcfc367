"""The import stage: read, clean, deduplicate and count, streaming, into one Parquet file."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.corpus.cleaning import clean
from engine.corpus.columns import choose_columns, label_value
from engine.corpus.readers import open_table
from engine.corpus.rows import LONE_SURROGATE, UNREADABLE, Broken, Row
from engine.corpus.seen import SeenTexts
from engine.corpus.sources import Detected, Source, detect, find_sources
from engine.corpus.store import SCHEMA, Corpus, describe, parquet_errors, writing_parquet
from engine.errors import DataError, storage_errors
from engine.events import Finished, Metric, Notice
from engine.settings import ImportSettings, default_words
from engine.stage import Part, ProgressMeter, Stage, StopToken
from engine.storage import replacing, write_json

STAGE = "import"
CHUNK = 8192
CHUNK_CELLS = 500_000
CHUNK_CHARACTERS = 32 * 2**20
"""So many rows, cells or characters are in memory at a time."""
MAXIMUM_CLASSES = 100
REJECTED_ON_DISK = 10_000
EXAMPLES = 5
COUNTS_SECONDS = 0.25
LENGTH_EDGES = (0, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)


@dataclass
class Report:
    """What was read, kept and dropped, and why."""

    read: int = 0
    kept: int = 0
    broken: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    labels: Counter[str] = field(default_factory=Counter)
    sources: list[dict[str, Any]] = field(default_factory=list)
    lengths: np.ndarray = field(default_factory=lambda: np.zeros(len(LENGTH_EDGES), np.int64))
    _told: dict[str, int] = field(default_factory=dict)
    _told_at: float = -math.inf

    def counts(self, *, at_once: bool = False) -> Iterator[Metric]:
        """Yield a `Metric` ``rows`` for each of ``kept``, ``broken`` and the reasons whose count is new.

        That is at most some four times a second; ``at_once`` does not wait, and yields all of them.
        """
        now = time.monotonic()
        if not at_once and now - self._told_at < COUNTS_SECONDS:
            return
        self._told_at = now
        counts = {"kept": self.kept, "broken": self.broken, **self.dropped}
        for reason, count in counts.items():
            if at_once or count != self._told.get(reason):
                yield Metric("rows", self.read, count, reason)
        self._told = counts

    def drop(self, reason: str, example: str) -> None:
        """Count a row that is not kept."""
        self.dropped[reason] += 1
        shown = self.examples.setdefault(reason, [])
        if len(shown) < EXAMPLES:
            shown.append(example[:200])


def import_corpus(sources: Sequence[str | Path], folder: Path, settings: ImportSettings, *, stop: StopToken) -> Stage:
    """Read ``sources`` into ``folder``: ``corpus.parquet``, ``corpus.json``, ``rejected.jsonl``, ``report.json``.

    Parameters
    ----------
    sources
        Files, folders and globs.
    settings
        See `ImportSettings`.
    stop
        When it is requested, what has been read so far becomes the corpus, with outcome ``"stopped"``.

    Raises
    ------
    DataError
        If a column is unknown, nothing is kept, there are too many label values, or too many rows are broken; nothing
        is left behind then.
    StorageError
        If a file cannot be read or the folder not be written.
    """
    began = time.monotonic()
    report = Report()
    found = find_sources(sources)
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "rejected.jsonl") as rejected_path, writing_parquet(folder, SCHEMA) as writer:
        with open(rejected_path, "w", encoding="utf-8") as rejected:
            seen = SeenTexts() if settings.drop_duplicates else None
            for source in found:
                detected = detect(source, settings)
                yield from _read_source(source, detected, settings, report, seen, writer, rejected, stop)
                if stop.requested:
                    break
        _check(report, found, settings)
    if settings.maximum_rows is not None or settings.balance:
        yield from _sample(folder, report, settings)
    yield from report.counts(at_once=True)
    classes = _classes(report, settings)
    corpus = describe(
        folder,
        classes,
        report.kept,
        content_hash(folder / "corpus.parquet"),
        _words(classes, settings),
    )
    summary = _write_report(folder, corpus, report, time.monotonic() - began)
    if len(classes) == 1:
        yield Notice(f"All labels are '{classes[0]}'. Nothing can be learnt from one class.", "warning")
    yield Finished(str(folder), "stopped" if stop.requested else "completed", summary)


def _read_source(
    source: Source,
    detected: Detected,
    settings: ImportSettings,
    report: Report,
    seen: SeenTexts | None,
    writer: pq.ParquetWriter,
    rejected: TextIO,
    stop: StopToken,
) -> Part[None]:
    meter = ProgressMeter(STAGE, None, "rows", done=report.read)
    with open_table(source, detected, settings) as table:
        head = list(_portion(table.rows, 200))
        text, label = choose_columns(table.columns, head, settings, source)
        shown = {"format": detected.format, "encoding": detected.encoding, "delimiter": detected.delimiter}
        chosen = {"text_column": table.columns[text], "label_column": "" if label is None else table.columns[label]}
        report.sources.append({"source": source.name, **shown, **chosen})
        rows = itertools.chain(head, table.rows)
        while chunk := list(_portion(rows, max(1, min(CHUNK, CHUNK_CELLS // len(table.columns))))):
            kept = _clean_chunk(chunk, text, label, source, settings, report, rejected)
            _write(kept, source, report, seen, writer)
            yield meter.at(report.read, f"{source.name}: {report.kept:,} kept")
            yield from report.counts()
            if stop.requested:
                return


def _portion(rows: Iterator[Row | Broken], most: int) -> Iterator[Row | Broken]:
    """Yield the next rows: at most so many, and fewer if they are long."""
    characters = 0
    for row in itertools.islice(rows, most):
        yield row
        if isinstance(row, Row):
            characters += sum(len(value) for value in row.values if isinstance(value, (str, bytes)))
            if characters > CHUNK_CHARACTERS:
                return


def _clean_chunk(
    chunk: Iterable[Row | Broken],
    text: int,
    label: int | None,
    source: Source,
    settings: ImportSettings,
    report: Report,
    rejected: TextIO,
) -> list[tuple[str, str | None, int]]:
    """Return text, class and line of the rows that are worth keeping; duplicates are still among them."""
    kept = []
    minimum, strip_html, label_map = settings.minimum_characters, settings.strip_html, settings.label_map
    for row in chunk:
        report.read += 1
        if isinstance(row, Broken):
            _set_aside(row, source, report, rejected)
            continue
        raw = row.values[text]
        try:
            cleaned = clean(raw if isinstance(raw, str) else "" if raw is None else str(raw), strip_html=strip_html)
        except UnicodeEncodeError:
            shown = str(raw).encode("utf-8", "backslashreplace").decode()
            _set_aside(Broken(row.line, UNREADABLE, shown[:200]), source, report, rejected)
            continue
        if len(cleaned) < minimum:
            report.drop("too short" if cleaned else "empty", cleaned)
            continue
        name = None
        if label is not None:
            value = label_value(row.values[label])
            name = label_map.get(value) if label_map else value or None
            if not (value + (name or "")).isascii() and LONE_SURROGATE.search(value + (name or "")):
                shown = value.encode("utf-8", "backslashreplace").decode()
                _set_aside(Broken(row.line, UNREADABLE, shown[:200]), source, report, rejected)
                continue
            if name is None and (value or not settings.keep_unlabelled):
                if label_map:
                    report.drop("label not in the map", f"{value}: {cleaned}")
                    continue
                report.drop("no label", cleaned)
                continue
        kept.append((cleaned, name, row.line))
    return kept


def _set_aside(row: Broken, source: Source, report: Report, rejected: TextIO) -> None:
    report.broken += 1
    if report.broken <= REJECTED_ON_DISK:
        record = {"source": source.name, "line": row.line, "reason": row.reason, "excerpt": row.excerpt}
        rejected.write(json.dumps(record) + "\n")


def _write(
    kept: list[tuple[str, str | None, int]],
    source: Source,
    report: Report,
    seen: SeenTexts | None,
    writer: pq.ParquetWriter,
) -> None:
    if seen is not None and kept:
        new, conflicts = seen.add([text for text, _, _ in kept], [label for _, label, _ in kept])
        for (text, _, _), fresh, conflict in zip(kept, new, conflicts, strict=True):
            if not fresh:
                report.drop("duplicate with another label" if conflict else "duplicate", text)
        kept = list(itertools.compress(kept, new))
    if not kept:
        return
    texts, labels, lines = zip(*kept, strict=True)
    report.kept += len(kept)
    report.labels.update(label for label in labels if label is not None)
    if len(report.labels) > MAXIMUM_CLASSES:
        raise DataError(
            f"The label column has more than {MAXIMUM_CLASSES} different values, so it looks like text, not labels",
            where=source.path,
            remedy="Choose another label column, or map its values to classes.",
        )
    lengths = np.fromiter(map(len, texts), np.int64, count=len(texts))
    report.lengths += np.bincount(np.searchsorted(LENGTH_EDGES, lengths, "right") - 1, minlength=len(LENGTH_EDGES))
    columns = [pa.array(texts, pa.string()), pa.array(labels, pa.string())]
    columns += [pa.array([source.name] * len(kept), pa.string()), pa.array(lines, pa.int64())]
    writer.write_batch(pa.record_batch(columns, schema=SCHEMA))


def _check(report: Report, found: Sequence[Source], settings: ImportSettings) -> None:
    if report.read and report.broken / report.read > settings.maximum_broken_share:
        raise DataError(
            f"{report.broken:,} of {report.read:,} rows are broken, more than {settings.maximum_broken_share:.2%}",
            where=", ".join(source.name for source in found[:3]),
            remedy="Check delimiter, quotes and encoding, or allow more with --maximum-broken-share.",
        )
    if not report.kept:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in report.dropped.most_common())
        raise DataError(
            f"No text was found in {report.read:,} rows" + (f" ({reasons})" if reasons else ""),
            where=", ".join(str(source.path) for source in found[:3]),
            remedy="Check the text column and the label map.",
        )


def _classes(report: Report, settings: ImportSettings) -> tuple[str, ...]:
    """Classes in the order of the map; else by number if all are numbers, else by the alphabet."""
    present = set(report.labels)
    if settings.label_map:
        return tuple(name for name in dict.fromkeys(settings.label_map.values()) if name in present)
    try:
        return tuple(sorted(present, key=float))
    except ValueError:
        return tuple(sorted(present))


def _words(classes: tuple[str, ...], settings: ImportSettings) -> dict[str, str]:
    unknown = sorted(set(settings.words) - set(classes))
    if unknown:
        raise DataError(
            f"There is no class {', '.join(unknown)} to give a word to",
            remedy=f"The classes are {', '.join(classes) or 'none: choose a label column'}.",
        )
    return {name: settings.words.get(name, word) for name, word in default_words(classes).items()}


def _sample(folder: Path, report: Report, settings: ImportSettings) -> Part[None]:
    """Replace the corpus by a random sample of its rows, in their order."""
    path = folder / "corpus.parquet"
    with parquet_errors(path):
        labels = pq.read_table(path, columns=["label"]).column(0).combine_chunks().dictionary_encode()
    codes = labels.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    random = np.random.default_rng(settings.seed)
    limit = settings.maximum_rows if settings.maximum_rows is not None else len(codes)
    if settings.balance and len(labels.dictionary):
        counts = np.bincount(codes[codes >= 0])
        each = min(int(counts.min()), limit // len(counts))
        if not each:
            raise DataError(
                f"{limit:,} rows are fewer than the {len(counts)} classes", remedy="Raise the maximum of rows."
            )
        chosen = [random.permutation(np.flatnonzero(codes == code))[:each] for code in range(len(counts))]
        rows = np.sort(np.concatenate(chosen))
    else:
        rows = np.sort(random.permutation(len(codes))[:limit])
    report.dropped["not in the sample"] += len(codes) - len(rows)
    report.kept = len(rows)
    report.labels = Counter()
    meter = ProgressMeter(STAGE, len(rows), "rows")
    # The reader is closed before the new file takes the place of the old one: Windows insists.
    with (
        parquet_errors(path),
        writing_parquet(folder, SCHEMA) as writer,
        pq.ParquetFile(path, pre_buffer=False) as stream,
    ):
        start = 0
        for batch in stream.iter_batches(CHUNK):
            inside = rows[(rows >= start) & (rows < start + len(batch))] - start
            start += len(batch)
            if len(inside):
                taken = batch.take(pa.array(inside))
                report.labels.update(label for label in taken.column("label").to_pylist() if label is not None)
                writer.write_batch(taken)
            yield meter.at(int(np.searchsorted(rows, start)), "Sampling")


def content_hash(path: Path) -> str:
    """Hash of all texts and labels in order."""
    digest = hashlib.blake2b(digest_size=16)
    for batch in _batches(path):
        for column in batch.columns:
            for value in column.to_pylist():
                digest.update(b"\x00" if value is None else value.encode() + b"\x01")
    return digest.hexdigest()


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    with parquet_errors(path), pq.ParquetFile(path, pre_buffer=False) as stream:
        yield from stream.iter_batches(CHUNK, columns=["text", "label"])


def _write_report(folder: Path, corpus: Corpus, report: Report, seconds: float) -> dict[str, Any]:
    summary: dict[str, Any] = {
        "read": report.read,
        "kept": report.kept,
        "broken": report.broken,
        "dropped": dict(report.dropped),
        "classes": {name: report.labels[name] for name in corpus.classes},
    }
    document = summary | {
        "examples": report.examples,
        "sources": report.sources,
        "lengths": {"edges": list(LENGTH_EDGES), "counts": report.lengths.tolist()},
        "seconds": seconds,
    }
    write_json(folder / "report.json", document)
    return summary
