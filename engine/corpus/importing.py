"""The import stage: read, clean, deduplicate and count, streaming, into one Parquet file."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TextIO, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engine.corpus.chunks import ChunkCleaner, Kept
from engine.corpus.columns import MAXIMUM_CLASSES, choose_columns
from engine.corpus.doubtful import doubtful_labels
from engine.corpus.readers import open_table
from engine.corpus.report import LENGTH_EDGES, Report
from engine.corpus.rows import Broken, Columns, Read, Row
from engine.corpus.seen import SeenTexts
from engine.corpus.sources import Detected, Source, closing, detect, find_sources, nothing_in
from engine.corpus.store import OTHERS, SCHEMA, Corpus, describe, parquet_errors
from engine.corpus.writing import CorpusWriter, writing_corpus
from engine.errors import DataError, storage_errors
from engine.events import Finished, Notice
from engine.settings import ImportSettings
from engine.stage import Part, ProgressMeter, Stage, StopToken
from engine.storage import replacing, write_json
from engine.words import default_words

STAGE = "import"
HEAD = 200
"""So many rows say which column holds the text, if nobody does."""
CHUNK = 8192
CHUNK_CELLS = 500_000
CHUNK_CHARACTERS = 32 * 2**20
"""So many rows, cells or characters are in memory at a time."""
SHOWN = 3
"""So many names of files stand in a sentence."""


def import_corpus(
    sources: Sequence[str | Path],
    folder: Path,
    settings: ImportSettings,
    *,
    stop: StopToken,
    others: bool = False,
) -> Stage:
    """Read ``sources`` into ``folder``: ``corpus.parquet``, ``corpus.json``, ``rejected.jsonl``, ``report.json``.

    Parameters
    ----------
    sources
        Files, folders and globs. A file that is empty is left out, with a notice, if others are not.
    settings
        See `ImportSettings`.
    stop
        When it is requested, what has been read so far becomes the corpus, with outcome ``"stopped"``.
    others
        Whether the other columns of the files are kept as well, in the column `OTHERS`; the report names them.

    Raises
    ------
    DataError
        If a column is unknown, all files are empty, nothing is kept, there are too many label values, or too many rows
        are broken; nothing is left behind then.
    StorageError
        If a file cannot be read or the folder not be written.
    """
    began = time.monotonic()
    report = Report()
    found = find_sources(sources)
    schema = SCHEMA.append(OTHERS) if others else SCHEMA
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with (
        closing(found),
        replacing(folder / "rejected.jsonl") as rejected_path,
        writing_corpus(folder, schema) as writer,
    ):
        with open(rejected_path, "w", encoding="utf-8") as rejected:
            seen = SeenTexts() if settings.drop_duplicates else None
            empty: list[Source] = []
            for source in found:
                detected = detect(source, settings)
                if detected is None:
                    empty.append(source)
                else:
                    yield from _read_source(source, detected, settings, report, seen, writer, rejected, stop, others)
                if stop.requested:
                    break
        if len(empty) == len(found):
            raise nothing_in(found)
        if empty:
            yield Notice(_left_out(empty, found), "warning")
        if report.guessed:
            yield Notice(_guessed(report.guessed))
        _check(report, found, settings)
    content = writer.content_hash
    if seen is not None and seen.late:
        content = yield from _rewritten(folder, schema, report, partial(_with_late_labels, seen.late), "Labelling")
    if settings.maximum_rows is not None or settings.balance:
        content = yield from _sample(folder, schema, report, settings)
    yield from report.counts(at_once=True)
    classes = _classes(report, settings)
    corpus = describe(
        folder,
        classes,
        report.kept,
        content,
        _words(classes, settings),
    )
    summary = _write_report(folder, corpus, report, time.monotonic() - began)
    if len(classes) == 1:
        yield Notice(f"All labels are '{classes[0]}'. Nothing can be learnt from one class.", "warning")
    for told in doubtful_labels(summary["classes"], settings):
        yield Notice(told, "warning")
    yield Finished(str(folder), "stopped" if stop.requested else "completed", summary)


def _read_source(
    source: Source,
    detected: Detected,
    settings: ImportSettings,
    report: Report,
    seen: SeenTexts | None,
    writer: CorpusWriter,
    rejected: TextIO,
    stop: StopToken,
    others: bool,
) -> Part[None]:
    meter = ProgressMeter(STAGE, None, "rows", done=report.read)
    with open_table(source, detected, settings) as table:
        chunks = _chunks(table.parts, max(1, min(CHUNK, CHUNK_CELLS // len(table.columns))))
        first, head = _begin(chunks)
        like = report.sources[0]["text_column"] if report.sources else ""
        text, label = choose_columns(table.columns, head, settings, source, like)
        if not settings.text_column and len(table.columns) > (1 if label is None else 2):
            report.guessed.setdefault(table.columns[text], []).append(source.name)
        shown: dict[str, Any] = {
            "format": detected.format,
            "encoding": detected.encoding,
            "delimiter": detected.delimiter,
        }
        shown |= {"skipped": table.skipped, "sheet": table.sheet}
        chosen = {"text_column": table.columns[text], "label_column": "" if label is None else table.columns[label]}
        besides = {n: name for n, name in enumerate(table.columns) if n not in (text, label)} if others else None
        kept_besides = {"others": list(besides.values())} if besides is not None else {}
        report.sources.append({"source": source.name, **shown, **chosen, **kept_besides})
        cleaner = ChunkCleaner(source, text, label, settings, report, rejected, besides)
        for chunk in itertools.chain(first, chunks):
            kept = cleaner.columns(chunk) if isinstance(chunk, Columns) else cleaner.rows(chunk)
            _write(kept, source, report, seen, writer)
            yield meter.at(report.read, f"{source.name}: {report.kept:,} kept")
            yield from report.counts()
            if stop.requested:
                return


Chunk: TypeAlias = Sequence[Row | Broken] | Columns


def _begin(chunks: Iterator[Chunk]) -> tuple[list[Chunk], list[Row | Broken]]:
    """Return the first chunks, and the first rows that are in them."""
    first: list[Chunk] = []
    head: list[Row | Broken] = []
    characters = 0
    for chunk in chunks:
        first.append(chunk)
        rows = list(chunk.head(HEAD).rows()) if isinstance(chunk, Columns) else chunk[:HEAD]
        head += rows
        characters += sum(_length(row) for row in rows)
        if len(head) >= HEAD or characters > CHUNK_CHARACTERS:
            break
    return first, head[:HEAD]


def _length(row: Row | Broken) -> int:
    return sum(len(value) for value in row.values if isinstance(value, (str, bytes))) if isinstance(row, Row) else 0


def _chunks(parts: Iterable[Read], most: int) -> Iterator[Chunk]:
    """Gather single rows: at most so many, and fewer if they are long."""
    rows: list[Row | Broken] = []
    characters = 0
    for part in parts:
        if isinstance(part, Columns):
            if rows:
                yield rows
                rows, characters = [], 0
            yield part
            continue
        rows.append(part)
        characters += _length(part)
        if len(rows) == most or characters > CHUNK_CHARACTERS:
            yield rows
            rows, characters = [], 0
    if rows:
        yield rows


def _write(kept: Kept, source: Source, report: Report, seen: SeenTexts | None, writer: CorpusWriter) -> None:
    if seen is not None and kept.texts:
        new, conflicts = seen.add(kept.texts, kept.labels)
        for row in np.flatnonzero(~new).tolist():
            report.drop("duplicate with another label" if conflicts[row] else "duplicate", kept.texts[row])
        kept = kept.only(new)
    if not kept.texts:
        return
    report.kept += len(kept.texts)
    _count_labels(report, kept.labels, source.path)
    lengths = pc.utf8_length(kept.array).to_numpy()
    report.lengths += np.bincount(np.searchsorted(LENGTH_EDGES, lengths, "right") - 1, minlength=len(LENGTH_EDGES))
    columns = [kept.array, pa.array(kept.labels, pa.string()), pa.repeat(source.name, len(kept.texts))]
    columns.append(pa.array(kept.lines))
    if kept.others is None:
        writer.write(pa.record_batch(columns, schema=SCHEMA))
    else:
        writer.write(pa.record_batch([*columns, pa.array(kept.others, pa.string())], schema=SCHEMA.append(OTHERS)))


def _count_labels(report: Report, labels: Iterable[str | None], where: Path) -> None:
    report.labels.update(label for label in labels if label is not None)
    if len(report.labels) > MAXIMUM_CLASSES:
        raise DataError(
            f"The label column has more than {MAXIMUM_CLASSES} different values, so it looks like text, not labels",
            where=where,
            remedy="Choose another label column, or join its values into fewer classes (a label map).",
        )


def _left_out(empty: Sequence[Source], found: Sequence[Source]) -> str:
    names = [source.name for source in empty[:SHOWN]]
    more = f" and {len(empty) - SHOWN:,} more" if len(empty) > SHOWN else ""
    verb = "is empty and was" if len(empty) == 1 else "are empty and were"
    return f"{len(empty):,} of {len(found):,} files {verb} left out: {', '.join(names)}{more}."


def _guessed(columns: Mapping[str, Sequence[str]]) -> str:
    if len(columns) == 1:
        told = f"the column '{next(iter(columns))}'"
    else:
        places = [f"'{name}' ({names[0]}{', ...' * (len(names) > 1)})" for name, names in columns.items()]
        told = f"the columns {', '.join(places[:SHOWN])}{', ...' * (len(places) > SHOWN)}"
    return f"Texts are read from {told}, which nobody named. If the texts are in another one, name that."


def _check(report: Report, found: Sequence[Source], settings: ImportSettings) -> None:
    if report.read and report.broken / report.read > settings.maximum_broken_share:
        raise DataError(
            f"{report.broken:,} of {report.read:,} rows are broken, more than {settings.maximum_broken_share:.2%}",
            where="; ".join(report.examples["broken"][:SHOWN]),
            remedy="Check delimiter, quotes and encoding, or raise the maximum broken share.",
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


def _sample(folder: Path, schema: pa.Schema, report: Report, settings: ImportSettings) -> Part[str]:
    """Replace the corpus by a random sample of its rows, in their order; return its content hash."""
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

    def drawn(batch: pa.RecordBatch, start: int) -> pa.RecordBatch:
        inside = rows[(rows >= start) & (rows < start + len(batch))] - start
        return batch.take(pa.array(inside))

    return (yield from _rewritten(folder, schema, report, drawn, "Sampling"))


def _with_late_labels(late: Mapping[int, str], batch: pa.RecordBatch, _start: int) -> pa.RecordBatch:
    """Give each text without a label the one that a duplicate of it had further down."""
    labels = batch.column("label").to_pylist()
    texts = batch.column("text").to_pylist()
    given = [label or late.get(hash(text)) for label, text in zip(labels, texts, strict=True)]
    return batch.set_column(batch.schema.get_field_index("label"), "label", pa.array(given, pa.string()))


def _rewritten(
    folder: Path,
    schema: pa.Schema,
    report: Report,
    changed: Callable[[pa.RecordBatch, int], pa.RecordBatch],
    doing: str,
) -> Part[str]:
    """Replace the rows of the corpus, count those that are kept anew, and return its content hash.

    ``changed`` makes the new rows of a batch; it is told the number of the first.
    """
    path = folder / "corpus.parquet"
    report.kept, report.labels = 0, Counter()
    # The reader is closed before the new file takes the place of the old one: Windows insists.
    with (
        parquet_errors(path),
        writing_corpus(folder, schema) as writer,
        pq.ParquetFile(path, pre_buffer=False) as stream,
    ):
        start, meter = 0, ProgressMeter(STAGE, stream.metadata.num_rows, "rows")
        for batch in stream.iter_batches(CHUNK):
            rows = changed(batch, start)
            start += len(batch)
            if len(rows):
                _count_labels(report, rows.column("label").to_pylist(), path)
                report.kept += len(rows)
                writer.write(rows)
            yield meter.at(start, doing)
    return writer.content_hash


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
