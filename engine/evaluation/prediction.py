"""Use a prompt: classify the texts of files, or measure it on a labelled corpus."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from engine.corpus.importing import import_corpus
from engine.corpus.spreadsheet import plain_cell
from engine.corpus.store import Corpus
from engine.errors import DataError, SettingsError, storage_errors
from engine.evaluation.metrics import evaluate
from engine.events import Finished
from engine.prompting.prompt_file import Prompt
from engine.prompting.scorer import PromptScorer
from engine.settings import ImportSettings
from engine.stage import ProgressMeter, Stage, Stopped, StopToken
from engine.storage import replacing, write_json

CHUNK = 2048


def predict_files(
    prompt: Prompt,
    scorer: PromptScorer,
    files: list[str],
    output: Path,
    reading: ImportSettings,
    folder: Path,
    *,
    neutralise_formulas: bool,
    stop: StopToken,
) -> Stage:
    """Classify every text of ``files`` and write ``output`` (.csv, .parquet or .jsonl, by its ending).

    Columns: ``source``, ``row``, ``text``, ``prediction`` and ``p(CLASS)`` for each class. Duplicates are kept. The
    output appears when all is done; nothing is written when it is stopped.

    Raises
    ------
    SettingsError
        If the ending is none of the three.
    DataError, StorageError
        If a file cannot be used.
    Stopped
        If stopping was requested while classifying.
    """
    if output.suffix not in _WRITERS:
        raise SettingsError(
            f"Predictions cannot be written as '{output.suffix}'",
            where=output,
            remedy="Let the name end with .csv, .parquet or .jsonl.",
        )
    if output.exists():  # a spreadsheet may have it open: better known now than when everything is classified
        with storage_errors(output):
            output.open("r+b").close()
    bank = prompt.vectors.to(scorer.backbone.device)[None]
    plain = reading.model_copy(update={"label_column": "", "drop_duplicates": False, "minimum_characters": 1})
    for event in import_corpus(files, folder, plain, stop=stop):
        if not isinstance(event, Finished):
            yield event
        elif event.outcome == "stopped":
            yield event
            return
    corpus = Corpus.open(folder)
    classes = scorer.verbalizer.classes
    schema = pa.schema(
        [("source", pa.string()), ("row", pa.int64()), ("text", pa.string()), ("prediction", pa.string())]
        + [(f"p({name})", pa.float32()) for name in classes]
    )
    counts = np.zeros(len(classes), np.int64)
    meter = ProgressMeter("predict", corpus.rows, "rows")
    done = 0
    with replacing(output) as temporary, _WRITERS[output.suffix](temporary, schema) as write:
        for records in corpus.batches(CHUNK, ("source", "row", "text")):
            texts = records.column("text").to_pylist()
            chances = yield from scorer.probabilities(bank, scorer.template.encode(texts), stop=stop)
            if chances is None:
                raise Stopped
            best = chances[0].argmax(1)
            counts += np.bincount(best, minlength=len(classes))
            cells = [records.column("source").to_pylist(), texts, [classes[number] for number in best]]
            if neutralise_formulas and output.suffix == ".csv":
                cells = [[plain_cell(text) for text in column] for column in cells]
            sources, shown, predicted = (pa.array(column, pa.string()) for column in cells)
            columns: list[Any] = [sources, records.column("row"), shown, predicted]
            columns += [pa.array(chances[0, :, number], pa.float32()) for number in range(len(classes))]
            write(pa.RecordBatch.from_arrays(columns, schema=schema))
            done += len(texts)
            yield meter.at(done)
    summary = {"rows": corpus.rows, "output": str(output), "counts": dict(zip(classes, counts.tolist(), strict=True))}
    yield Finished(str(folder), "completed", summary)


def evaluate_prompt(
    prompt: Prompt,
    scorer: PromptScorer,
    corpus: Corpus,
    folder: Path,
    *,
    stop: StopToken,
) -> Stage:
    """Measure a prompt on the labelled rows of a corpus; writes ``folder/evaluation.json``.

    Raises
    ------
    DataError
        If the corpus has classes that the prompt does not know, or no labels.
    """
    classes = scorer.verbalizer.classes
    unknown = [name for name in corpus.classes if name not in classes]
    rows = np.flatnonzero(corpus.labels >= 0)
    if unknown or not len(rows):
        raise DataError(
            f"The prompt knows the classes {', '.join(classes)}; "
            f"the corpus has {', '.join(corpus.classes) or 'no labels'}",
            where=corpus.folder,
            remedy="Import the corpus with a label map onto the prompt's classes.",
        )
    texts = scorer.template.encode([corpus.texts[row] for row in rows])
    labels = np.array([classes.index(name) for name in corpus.classes])[corpus.labels[rows]]
    bank = prompt.vectors.to(scorer.backbone.device)[None]
    chances = yield from scorer.probabilities(bank, texts, stop=stop, stage="evaluate")
    if chances is None:
        yield Finished(str(folder), "stopped")
        return
    result = evaluate(chances[0], labels, classes).to_dict()
    write_json(folder / "evaluation.json", result)
    yield Finished(str(folder), "completed", result)


Writer = Callable[[pa.RecordBatch], None]


@contextmanager
def _csv(path: Path, schema: pa.Schema) -> Iterator[Writer]:
    with pacsv.CSVWriter(path, schema) as stream:
        yield stream.write_batch


@contextmanager
def _parquet(path: Path, schema: pa.Schema) -> Iterator[Writer]:
    with pq.ParquetWriter(path, schema, compression="zstd") as stream:
        yield stream.write_batch


@contextmanager
def _jsonl(path: Path, schema: pa.Schema) -> Iterator[Writer]:
    with storage_errors(path), open(path, "w", encoding="utf-8") as stream:
        yield lambda batch: stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in batch.to_pylist())


_WRITERS = {".csv": _csv, ".parquet": _parquet, ".jsonl": _jsonl}
