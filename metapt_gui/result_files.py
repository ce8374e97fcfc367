"""What a run of tuning left in its folder, with the linear probe beside it. Meant for a background thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from engine.corpus.store import Corpus, parquet_errors
from engine.errors import StorageError
from engine.evaluation.results import NAME, Figures, RunResults
from engine.jobs import TuneJob
from engine.jobs.record import RunRecord
from engine.workflow import on_same_labels
from metapt_gui.document import Document
from metapt_gui.widgets.results_view import Results, Wrong


def results_of(document: Document) -> Callable[[], Results | None] | None:
    """Return what reads the results of the present tuning; ``None`` if there is none."""
    corpus = document.corpus("target")
    if corpus is None or not document.has("tune"):
        return None
    probe = Path(document.path("linear-probe")) if document.has("linear-probe") else None
    return partial(read_results, Path(document.path("tune")), probe, corpus)


def read_results(folder: Path, probe: Path | None, corpus: Corpus) -> Results | None:
    """Return the results in ``folder``; those of ``probe`` are added if it was made on the same labels.

    Parameters
    ----------
    corpus
        The texts of the task as they are now. Those that the run was made on are found by its job.

    Raises
    ------
    StorageError
        If they are damaged.
    """
    if not (folder / NAME).exists():
        return None
    try:
        with parquet_errors(folder / "predictions.parquet"):
            return _read(folder, probe, corpus)
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError) as error:
        raise StorageError("The results of the tuning are damaged", where=folder, remedy="Tune again.") from error


def _read(folder: Path, probe: Path | None, corpus: Corpus) -> Results:
    found, record = RunResults.open(folder), RunRecord.open(folder)
    job = record.job
    if not isinstance(job, TuneJob):
        raise TypeError(job.stage)
    probed: Mapping[str, Figures] = {}
    if probe is not None and (probe / NAME).exists() and on_same_labels(job, RunRecord.open(probe).job):
        measured = RunResults.open(probe)
        probed = measured.summary or measured.validation_summary
    there = record.input("corpus")
    own = Corpus.open(there) if (there / "corpus.json").exists() else corpus
    other_texts = own.content_hash != corpus.content_hash
    drawn = {frozenset(draw.training + draw.validation) for draw in found.draws.values()}
    wrong: dict[str, list[Wrong]] = {}
    predictions: list[dict[str, Any]] = []
    own_rows = 0
    if (folder / "predictions.parquet").exists():
        predictions = pq.read_table(folder / "predictions.parquet").to_pylist()
        rows = [item for item in predictions if item["label"] != item["prediction"]]
        numbers = sorted({item["row"] for item in rows})
        texts = pq.read_table(own.path, columns=["text"]).column("text")
        own_rows = len(texts)
        if job.test:  # its rows are counted on from the task's
            tested = Corpus.open(record.input("test"))
            texts = pa.chunked_array(
                [*texts.chunks, *pq.read_table(tested.path, columns=["text"]).column("text").chunks]
            )
        shown = {row: texts[row].as_py() for row in numbers if row < len(texts)}
        for item in rows:
            wrong.setdefault(item["run"], []).append(
                Wrong(item["row"], item["label"], item["prediction"], item["confidence"], shown.get(item["row"], ""))
            )
    return Results(
        job.classes,
        found.best,
        found.measured_on,
        {**(found.summary or found.validation_summary), **probed},
        found.evaluations,
        wrong,
        {} if other_texts else _uses(found, {item["row"] for item in predictions}),
        tuple(probed) if found.measured_on == "test" and len(drawn) == 1 < len(found.draws) else (),
        own_rows,
        other_texts,
    )


def _uses(found: RunResults, measured: set[int]) -> dict[int, str]:
    """Return row -> what the best prompt's seed used it for."""
    draw = found.draws[found.best.rsplit(" ", 1)[-1]]
    uses = dict.fromkeys(measured, "test") if found.measured_on == "test" else {}
    return uses | dict.fromkeys(draw.training, "training") | dict.fromkeys(draw.validation, "validation")
