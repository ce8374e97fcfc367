"""Use what classifies texts: on files, or on a labelled corpus to measure it."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import cast

import numpy as np

from engine.corpus.importing import import_corpus
from engine.corpus.store import OTHERS, Corpus
from engine.errors import DataError, storage_errors
from engine.evaluation.answers import check_ending, check_place, writing_answers
from engine.evaluation.metrics import evaluate
from engine.events import Finished, Notice, Progress
from engine.prompting.classifier import TextClassifier
from engine.settings import ImportSettings
from engine.stage import Part, ProgressMeter, Result, Stage, Stopped, StopToken
from engine.storage import read_json, write_json

CHUNK = 2048


def predict_files(
    classifier: TextClassifier,
    files: list[str],
    output: Path,
    reading: ImportSettings,
    folder: Path,
    *,
    spreadsheet: bool,
    partial: bool = False,
    stop: StopToken,
) -> Stage:
    """Classify every text of ``files`` and write ``output`` (.csv, .parquet or .jsonl, by its ending).

    Columns: ``source``, ``row``, ``text``, ``prediction``, ``p(CLASS)`` for each class, and the other columns of the
    files. Duplicates are kept, and so are rows without a text, whose prediction and probabilities are empty; broken
    rows are left out, with a notice. The output appears when all is done. When it is stopped nothing is written, or,
    with ``partial``, the answers so far. For ``spreadsheet`` see `writing_answers`.

    Raises
    ------
    SettingsError
        If the ending is none of the three, or the output is one of the files.
    DataError, StorageError
        If a file cannot be used, or there is no text in any.
    Stopped
        If stopping was requested before anything was classified that is to be written.
    """
    check_ending(output)
    check_place(output, files)
    if output.exists():  # a spreadsheet may have it open: better known now than when everything is classified
        with storage_errors(output):
            output.open("r+b").close()
    plain = reading.model_copy(update={"label_column": "", "drop_duplicates": False, "minimum_characters": 0})
    for event in import_corpus(files, folder, plain, stop=stop, others=True):
        if not isinstance(event, Finished):
            yield event
        elif event.outcome == "stopped":
            raise Stopped
    corpus = Corpus.open(folder)
    classes = classifier.classes_.tolist()
    report = read_json(folder / "report.json")
    others = list(dict.fromkeys(name for source in report["sources"] for name in source["others"]))
    nothing = (None, [None] * len(classes))
    counts = np.zeros(len(classes), np.int64)
    meter = ProgressMeter("predict", corpus.rows, "rows")
    done = 0
    with writing_answers(output, classes, others, spreadsheet=spreadsheet) as write:
        for records in corpus.batches(CHUNK, ("source", "row", "text", OTHERS.name)):
            texts = records.column("text").to_pylist()
            part = classifier.probabilities(list(filter(None, texts)), stop=stop)
            chances = yield from _counted_on(part, meter, done)
            if chances is None and partial and done:
                break
            if chances is None:
                raise Stopped
            best = chances.argmax(1)
            counts += np.bincount(best, minlength=len(classes))
            found = zip((classes[number] for number in best), chances.tolist(), strict=True)
            said = [next(found) if text else nothing for text in texts]
            told = [json.loads(cells) for cells in records.column(OTHERS.name).to_pylist()]
            write(
                [
                    *(records.column(name).to_pylist() for name in ("source", "row")),
                    texts,
                    [name for name, _ in said],
                    *zip(*(probabilities for _, probabilities in said), strict=True),
                    *([cells.get(name) for cells in told] for name in others),
                ]
            )
            done += len(texts)
            yield meter.at(done)
        rows = int(counts.sum())
        if not rows and done == corpus.rows:
            raise DataError(
                f"There is no text in {corpus.rows:,} rows",
                where=", ".join(files[:3]),
                remedy="Check the text column.",
            )
    if done < corpus.rows:
        yield Notice(f"The file has the answers to the first {done:,} of {corpus.rows:,} rows.", "warning")
    if rows < done:
        yield Notice(f"{done - rows:,} rows have no text; they stand in the output without an answer.")
    if report["broken"]:
        shown = "; ".join(report["examples"]["broken"])
        yield Notice(f"{report['broken']:,} of {report['read']:,} rows are broken and left out: {shown}.", "warning")
    summary = {
        "rows": rows,
        "read": report["read"],
        "empty": done - rows,
        "broken": report["broken"],
        "output": str(output),
        "counts": dict(zip(classes, counts.tolist(), strict=True)),
    }
    yield Finished(str(folder), "completed" if done == corpus.rows else "stopped", summary)


def _counted_on(part: Part[Result], meter: ProgressMeter, done: int) -> Part[Result]:
    """Do a part that counts its rows from 0, after so many ``done``."""
    with closing(part):
        while True:
            try:
                event = next(part)
            except StopIteration as end:
                return cast(Result, end.value)
            yield meter.at(done + event.done) if isinstance(event, Progress) else event


def evaluate_classifier(classifier: TextClassifier, corpus: Corpus, folder: Path, *, stop: StopToken) -> Stage:
    """Measure what classifies texts on the labelled rows of a corpus; writes ``folder/evaluation.json``.

    Raises
    ------
    DataError
        If the corpus has classes that it does not know, or no labels.
    """
    classes = classifier.classes_.tolist()
    unknown = [name for name in corpus.classes if name not in classes]
    rows = np.flatnonzero(corpus.labels >= 0)
    if unknown or not len(rows):
        raise DataError(
            f"What classifies knows the classes {', '.join(classes)}; "
            f"the corpus has {', '.join(corpus.classes) or 'no labels'}",
            where=corpus.folder,
            remedy="Import the corpus with a label map onto the prompt's classes.",
        )
    labels = np.array([classes.index(name) for name in corpus.classes])[corpus.labels[rows]]
    chances = yield from classifier.probabilities([corpus.texts[row] for row in rows], stop=stop, stage="evaluate")
    if chances is None:
        yield Finished(str(folder), "stopped")
        return
    result = evaluate(chances, labels, classes).to_dict()
    write_json(folder / "evaluation.json", result)
    yield Finished(str(folder), "completed", result)
