"""Few-shot tuning on the target task: several seeds and initialisations in one bank (section 5)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from engine.corpus.drawing import Draw
from engine.errors import TrainingError
from engine.evaluation.metrics import evaluate, summarise
from engine.evaluation.results import ALONE, DrawnRows, Evaluation, Figures, RunResults
from engine.events import Finished, Notice
from engine.prompting.prompt_file import describe_prompt, save_prompt
from engine.prompting.scorer import PromptScorer
from engine.settings import TuneSettings
from engine.stage import Part, Stage, StopToken
from engine.storage import replacing
from engine.training.bank_tuning import PLANNED, PromptRun, TuningPlan, tune_bank
from engine.training.examples import Examples

STAGE = "tune"
Answers: TypeAlias = tuple[np.ndarray, np.ndarray]
"""Rows, int64 [n], and the probabilities of their classes, float32 [n, C]."""


def few_shot(
    scorer: PromptScorer,
    examples: Examples,
    draws: Sequence[tuple[int, Draw]],
    starts: Mapping[str, Sequence[torch.Tensor]],
    settings: TuneSettings,
    folder: Path,
    *,
    stop: StopToken,
    test: np.ndarray | None = None,
) -> Stage:
    """Tune from every starting prompt with every seed, side by side.

    Writes ``folder/prompts/NAME-SEED.safetensors``, the best of the first initialisation by validation (see
    ``improvement``) as ``folder/prompt.safetensors``, ``folder/results.json``, and ``folder/predictions.parquet`` (run,
    row, label, prediction, confidence). Without test rows, the figures of ``results.json`` are those of each run's
    validation rows, which early stopping has seen; ``measured_on`` says so. With test rows, the backbone without
    a prompt is measured on them, too.

    Parameters
    ----------
    draws
        Seed and rows of each run.
    starts
        Initialisation -> one starting prompt [n, d] for each seed. The first is the one the person is after, the others
        stand beside it for comparison; all are tuned on the same draws.
    settings
        See `TuneSettings`; the defaults are the paper's.
    test
        Rows that the tuned prompts are evaluated on at the end; default: none.

    Raises
    ------
    TrainingError
        If a loss is no longer a number; the prompts that were good so far are written.
    """
    for seed, draw in draws:
        absent = sorted(set(range(len(scorer.verbalizer.classes))) - set(examples.labels[draw.training]))
        if absent:
            names = ", ".join(scorer.verbalizer.classes[number] for number in absent)
            yield Notice(f"Seed {seed} drew no training text of the class {names}.", "warning")
    first = draws[0][1]
    unvalidated = len(first.validation) == 0
    if unvalidated:
        yield Notice(
            "There are too few labels to hold any out: every prompt is tuned for "
            f"{settings.epochs_without_validation} epochs without early stopping.",
            "warning",
        )
    drawn, wanted = (len(first.training), len(first.validation)), (settings.training_rows, settings.validation_rows)
    if drawn != wanted:
        few, asked = (
            f"{training:,} to train and {validation:,} to validate" for training, validation in (drawn, wanted)
        )
        yield Notice(f"There are labels for {few}, not for {asked}.")
    runs = [
        PromptRun(f"{name} seed {seed}", start, draw.training, draw.validation, seed)
        for name, prompts in starts.items()
        for (seed, draw), start in zip(draws, prompts, strict=True)
    ]
    per_epoch = -(-len(first.training) // settings.batch_size)
    steps = per_epoch * (settings.epochs_without_validation if unvalidated else settings.epochs)
    plan = TuningPlan(**settings.model_dump(include=PLANNED), steps=steps, validate_every=per_epoch)
    save = partial(_save_prompts, runs, scorer, settings, plan, folder)
    try:
        completed = yield from tune_bank(scorer, examples, runs, plan, folder, STAGE, stop=stop)
    except TrainingError:
        save({})  # what was good so far outlives the loss
        raise

    measured_on: Literal["test", "validation"] = "test" if test is not None and len(test) else "validation"
    evaluations: dict[str, Evaluation] = {}
    if completed and not (measured_on == "validation" and unvalidated):
        answers = yield from _answers(scorer, examples, runs, test if measured_on == "test" else None, stop)
        completed = answers is not None
        if answers is not None:
            classes = scorer.verbalizer.classes
            evaluations = {
                name: evaluate(chances, examples.labels[rows], classes) for name, (rows, chances) in answers.items()
            }
            _write_predictions(folder, answers, examples.labels, classes)

    best, kept = save(evaluations if measured_on == "test" else {})
    summary: dict[str, Figures] = {}
    if evaluations:
        found = list(evaluations.values())
        for place, name in enumerate(starts):
            summary[name] = summarise(found[place * settings.seeds : (place + 1) * settings.seeds])
        if ALONE in evaluations:
            summary[ALONE] = summarise([evaluations[ALONE]])
    tested = summary if measured_on == "test" else {}
    RunResults(
        runs=kept,
        best=best.name,
        draws={
            str(seed): DrawnRows(training=draw.training.tolist(), validation=draw.validation.tolist())
            for seed, draw in draws
        },
        measured_on=measured_on,
        evaluations=evaluations,
        summary=tested,
        validation_summary={} if measured_on == "test" else summary,
    ).save(folder)
    yield Finished(str(folder), "completed" if completed else "stopped", {"runs": kept, "summary": tested})


def _save_prompts(
    runs: Sequence[PromptRun],
    scorer: PromptScorer,
    settings: TuneSettings,
    plan: TuningPlan,
    folder: Path,
    tested: Mapping[str, Evaluation],
) -> tuple[PromptRun, dict[str, dict[str, Any]]]:
    """Write every prompt, and the best of the first initialisation once more; return that run, and run -> metrics."""
    training = {"method": "few-shot tuning", **settings.model_dump()}
    best = max(runs[: settings.seeds], key=lambda run: run.stopping.merit)
    kept = {}
    for run in runs:
        metrics = {
            **run.stopping.figures(plan.steps),
            "training_rows": len(run.training),
            "validation_rows": len(run.validation),
        }
        if tested:
            metrics["test_accuracy"] = tested[run.name].accuracy
        kept[run.name] = metrics
        described = describe_prompt(run.result, scorer, metrics=metrics, training={**training, "seed": run.seed})
        save_prompt(described, folder / "prompts" / f"{_file_name(run.name)}.safetensors")
        if run is best:
            save_prompt(described, folder / "prompt.safetensors")
    return best, kept


def _answers(
    scorer: PromptScorer, examples: Examples, runs: Sequence[PromptRun], test: np.ndarray | None, stop: StopToken
) -> Part[dict[str, Answers] | None]:
    """Return run -> its answers on the rows ``test``, and those of the backbone alone; without, on its validation rows.

    ``None`` if stopped on the way.
    """
    rows = np.unique(np.concatenate([run.validation for run in runs])) if test is None else test
    texts = examples.texts.take(rows)
    bank, message = torch.stack([run.result for run in runs]), f"Testing {len(runs)} prompts"
    chances = yield from scorer.probabilities(bank, texts, stop=stop, stage=STAGE, message=message)
    if chances is None:
        return None
    if test is None:
        return {
            run.name: (run.validation, mine[np.searchsorted(rows, run.validation)])
            for run, mine in zip(runs, chances, strict=True)
        }
    message = "Testing the backbone alone"
    alone = yield from scorer.probabilities(scorer.no_prompt(), texts, stop=stop, stage=STAGE, message=message)
    if alone is None:
        return None
    return {run.name: (rows, mine) for run, mine in zip(runs, chances, strict=True)} | {ALONE: (rows, alone[0])}


def _write_predictions(
    folder: Path, answers: Mapping[str, Answers], labels: np.ndarray, classes: Sequence[str]
) -> None:
    names = np.array(classes, object)
    tables = [
        pa.table(
            {
                "run": pa.array([run] * len(rows)),
                "row": pa.array(rows),
                "label": pa.array(names[labels[rows]]),
                "prediction": pa.array(names[chances.argmax(1)]),
                "confidence": pa.array(chances.max(1).astype(np.float32)),
            }
        )
        for run, (rows, chances) in answers.items()
    ]
    with replacing(folder / "predictions.parquet") as temporary:
        pq.write_table(pa.concat_tables(tables), temporary, compression="zstd")


def _file_name(run: str) -> str:
    """``MetaPT seed 3`` -> ``MetaPT-3``; whatever a file system may dislike becomes a hyphen."""
    return re.sub(r"[^\w.]+", "-", run.replace(" seed ", "-"))
