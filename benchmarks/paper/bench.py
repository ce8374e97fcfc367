"""Jobs of the experiments: each is run once into a project, so that an interrupted command goes on where it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.paper.contrastive import ROUNDS, contrastive_probe
from benchmarks.paper.data import Dataset, write_rows
from engine import jobs
from engine.corpus.drawing import few_shot_draws
from engine.corpus.store import Corpus
from engine.evaluation.metrics import evaluate
from engine.evaluation.results import ALONE, Evaluation, RunResults
from engine.jobs.own_labels import ANNOTATION
from engine.jobs.session import Session
from engine.presets import Preset, as_many_texts, preset
from engine.prompting.prompt_file import load_prompt
from engine.running.pipeline import Steps, import_job
from engine.settings import (
    AnnotateSettings,
    BackboneSettings,
    ClusterSettings,
    FullModelSettings,
    ImportSettings,
    MetaTrainSettings,
    PretrainSettings,
    PromptSettings,
    TuneSettings,
)
from engine.stage import result_of
from engine.storage import read_json, write_json

OPEN_TEXT = ("bbc_news", "agnews_test", "wikitext2_valid_test", "webtext_snippets", "fdumtl_unlabelled", "imdb_unsup")
GROUPS = 10
FT_RATE = 0.0003
"""The best of three on development rows (`choose`); the paper's 3e-5 for all weights is T5-base's."""

DRAWS = {"improvement": "accuracy", "validate_start": False}
"""Of the settings of tuning, what says nothing to a method that draws as prompts do and is no prompt."""

Runs = dict[str, dict[str, Any]]
"""Method -> seed -> figures."""


@dataclass
class Bench:
    """What the experiments are made of; the settings are a preset's where an experiment does not change them.

    Attributes
    ----------
    rows
        Of the labelled source, balanced over its classes.
    template
        Instead of the preset's, which is the paper's.
    """

    data: Path
    work: Path
    steps: Steps
    backbone: BackboneSettings
    seeds: int
    rows: int
    preset: Preset = "laptop"
    first_seed: int = 0
    template: str = ""

    def settings(self, part: str) -> dict[str, Any]:
        """Return the values of ``meta_train``, ``pretrain``, ``prompt`` or ``tune`` settings."""
        values = preset(self.preset, self.backbone.backbone)[part]
        return values | {"seeds": self.seeds, "first_seed": self.first_seed} if part == "tune" else values

    @property
    def prompt(self) -> PromptSettings:
        """Template, length and loss."""
        return PromptSettings(**self.settings("prompt") | ({"template": self.template} if self.template else {}))

    @property
    def cache(self) -> str:
        """Folder of Sentence-BERT's vectors."""
        return str(self.steps.project.cache.resolve())

    def yelp(self, rows: int | None = None) -> str:
        """Labelled source (Y)."""
        files = [str(self.data / "pretraining" / "yelp5_train.parquet")]
        return self._import("source", files, label_column="label", maximum_rows=rows or self.rows, balance=True)

    def pseudo_labelled(self) -> str:
        """Open-domain text, twice as many rows as the source, with labels that Yelp teaches."""
        files = [str(self.data / "text" / f"{name}.parquet") for name in OPEN_TEXT]
        text = self._import("open-text", files, maximum_rows=2 * self.rows)
        settings = AnnotateSettings(confidence=0.35, out_of_domain_share=0.5)
        job = jobs.AnnotateJob(labelled=self.yelp(), unlabelled=text, cache=self.cache, settings=settings)
        return str(self.steps.run("annotated", job))

    def taught_by_draw(self, dataset: Dataset, seed: int) -> str:
        """Texts of a target that ``seed`` does not draw, with labels that those teach which it draws.

        As a person would who has nothing but a pile of texts and has labelled some: all of the pile is in the domain.
        """
        reading = self._reading(dataset)
        pool = Corpus.open(self._import("target", [str(dataset.pool)], **reading))
        task = self._task(dataset, seeds=1, first_seed=seed)["tune"]
        ((_, draw),) = few_shot_draws(pool.labels, np.flatnonzero(pool.labels >= 0), task)
        drawn = np.concatenate([draw.training, draw.validation])
        rows = {"drawn": drawn, "rest": np.setdiff1d(np.arange(len(pool.texts)), drawn)}
        files = {part: self.work / f"{dataset.name}-{part}-{seed}.parquet" for part in rows}
        table = pq.read_table(dataset.pool, columns=["text", "label"])
        for part, chosen in rows.items():
            write_rows(table, chosen, files[part])
        labelled = self._import("source", [str(files["drawn"])], **reading)
        unlabelled = self._import("open-text", [str(files["rest"])])
        job = jobs.AnnotateJob(labelled=labelled, unlabelled=unlabelled, cache=self.cache, settings=ANNOTATION)
        return str(self.steps.run("annotated", job))

    def clusters(self, corpus: str, **settings: Any) -> str:
        """Groups of ``corpus``: K-means with K = 10 unless ``settings`` say otherwise."""
        chosen = ClusterSettings(**{"projection": "none", "clusters": GROUPS, **settings})
        return str(self.steps.run("clusters", jobs.ClusterJob(corpus=corpus, cache=self.cache, settings=chosen)))

    def meta(self, corpus: str, clusters: str, *, prompt: dict[str, Any] | None = None, **changes: Any) -> str:
        """Prompt that was meta-trained on ``clusters``."""
        job = jobs.MetaTrainJob(
            corpus=corpus,
            clusters=clusters,
            backbone=self.backbone,
            prompt=self.prompt.model_copy(update=prompt or {}),
            settings=MetaTrainSettings(**self.settings("meta_train") | changes),
        )
        return str(self.steps.run("meta-train", job) / "prompt.safetensors")

    def fewer_tasks(self, tasks: int) -> dict[str, int]:
        """Return settings of a meta-training with so many tasks a step and the same texts through the backbone."""
        usual, times = self.settings("meta_train"), GROUPS // tasks
        more = {name: times * usual[name] for name in ("steps", "validate_every", "checkpoint_every")}
        return {"tasks_per_step": tasks, **more}

    def pretrained(self, corpus: str, *, batch: int = 0, **changes: Any) -> str:
        """PPT on the same rows: as many texts through the backbone as the meta-training has, from the same start.

        So many a step, too, or ``batch`` of them in more steps.
        """
        budget = as_many_texts(MetaTrainSettings(**self.settings("meta_train")), GROUPS)
        if batch:
            times = budget["batch_size"] // batch
            more = {name: times * budget[name] for name in ("steps", "validate_every")}
            budget = budget | {"batch_size": batch, **more}
        settings = PretrainSettings(**self.settings("pretrain") | budget | changes)
        job = jobs.PretrainJob(corpus=corpus, backbone=self.backbone, prompt=self.prompt, settings=settings)
        return str(self.steps.run("pretrain-prompt", job) / "prompt.safetensors")

    def tuned(self, dataset: Dataset, starts: dict[str, str], *, soft_tokens: int | None = None, **tune: Any) -> Runs:
        """Figures of every start and seed; starts of another length than the preset's have to say theirs."""
        prompt = self.prompt.model_copy(update={"soft_tokens": soft_tokens} if soft_tokens else {})
        job = jobs.TuneJob(backbone=self.backbone, prompt=prompt, starts=starts, **self._task(dataset, **tune))
        return figures(self.steps.run("tune", job))

    def tuned_on_few(self, dataset: Dataset, starts: dict[str, str], per_class: int) -> Runs:
        """Figures with ``per_class`` labels of each class and no others, drawn anew for every seed."""
        found: Runs = {}
        table = pq.read_table(dataset.pool, columns=["text", "label"])
        labels = table.column("label").to_numpy()
        for seed in range(self.seeds):
            rng = np.random.default_rng([seed, per_class])
            rows = np.concatenate([rng.permutation(np.flatnonzero(labels == c))[:per_class] for c in np.unique(labels)])
            pool = self.work / f"{dataset.name}-{per_class}-{seed}.parquet"
            write_rows(table, rows, pool)
            few = replace(dataset, pool=pool)
            for method, runs in self.tuned(few, starts, seeds=1, first_seed=seed).items():
                found.setdefault(method, {}).update(runs)
        return found

    def untuned(self, dataset: Dataset, prompts: dict[str, str]) -> dict[str, Any]:
        """Figures of prompts as they are and of the backbone without one, which no draw of labels has to do with."""
        job = jobs.TuneJob(backbone=self.backbone, prompt=self.prompt, **self._task(dataset))
        corpus, texts, labels, _, test = job.target()
        scorer = result_of(job.scorer(Session(), corpus))
        encoded = scorer.template.encode([texts[row] for row in test])
        starts = {name: load_prompt(Path(file)).vectors for name, file in prompts.items()}
        found = {}
        for name, vectors in {ALONE: scorer.no_prompt()[0], **starts}.items():
            chances = result_of(scorer.probabilities(vectors[None].to(scorer.backbone.device), encoded))
            found[name] = _figures(evaluate(chances[0], labels[test], job.class_names(corpus)))
        return found

    def probes(self, dataset: Dataset, source: str) -> Runs:
        """Figures of the linear probes on Sentence-BERT, alone and with a ``source`` unless that is empty."""
        job = jobs.ProbeJob(source=source, cache=self.cache, **self._task(dataset, **DRAWS))
        return figures(self.steps.run("linear-probe", job))

    def full_model(self, dataset: Dataset, rate: float = FT_RATE) -> Runs:
        """Figures of full-model tuning, FT, in float32; as many epochs at most as the prompts have."""
        backbone = self.backbone.model_copy(update={"precision": "float32"})
        task = self._task(dataset, **DRAWS)
        settings = FullModelSettings(learning_rate=rate, epochs=task["tune"].epochs)
        job = jobs.FullModelJob(backbone=backbone, prompt=self.prompt, settings=settings, **task)
        return {"FT": figures(self.steps.run("full-model", job))["full model"]}

    def contrastive(self, dataset: Dataset) -> Runs:
        """Figures of SetFit-style fine-tuning on the same draws; each seed is kept in the work folder."""
        kept = self.work / "contrastive" / f"{dataset.name}-{ROUNDS}.json"
        kept.parent.mkdir(parents=True, exist_ok=True)
        found: dict[str, Any] = read_json(kept) if kept.exists() else {}
        task = self._task(dataset)
        pool, test = Corpus.open(task["corpus"]), Corpus.open(task["test"])
        labelled = np.flatnonzero(pool.labels >= 0)
        for seed, draw in few_shot_draws(pool.labels, labelled, task["tune"]):
            if str(seed) not in found:
                rows = np.concatenate([draw.training, draw.validation])
                texts = [pool.texts[row] for row in rows]
                tested = contrastive_probe(texts, pool.labels[rows], test.texts, test.labels, pool.classes, seed=seed)
                found[str(seed)] = _figures(tested)
                write_json(kept, found)
        return {"SetFit": found}

    def _import(self, role: str, files: Sequence[str], **settings: Any) -> str:
        return str(self.steps.run(role, import_job(list(files), ImportSettings(text_column="text", **settings))))

    def _reading(self, dataset: Dataset) -> dict[str, Any]:
        """How a target's files are read: every row, in its order."""
        return {
            "label_column": "label",
            "drop_duplicates": False,
            "minimum_characters": 1,
            "words": dataset.words,
        }

    def _task(self, dataset: Dataset, **tune: Any) -> dict[str, Any]:
        """The target's part of a job."""
        reading = self._reading(dataset)
        return {
            "corpus": self._import("target", [str(dataset.pool)], **reading),
            "test": self._import("test", [str(dataset.test)], **reading),
            "tune": TuneSettings(**self.settings("tune") | tune),
        }


def figures(folder: Path) -> Runs:
    """Return what the run in ``folder`` measured on the test rows."""
    result = RunResults.open(folder)
    found: Runs = {}
    for run, evaluation in result.evaluations.items():
        method, _, seed = run.rpartition(" seed ") if " seed " in run else ("full model", "", run)
        if run == ALONE:  # `untouched` has it
            continue
        steps = result.runs.get(run, {}).get("best_step")
        found.setdefault(method, {})[seed] = _figures(evaluation) | ({} if steps is None else {"best_step": steps})
    return found


def _figures(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "accuracy": round(evaluation.accuracy, 5),
        "macro_f1": round(evaluation.macro_f1, 5),
        "recall": {name: round(part.recall, 4) for name, part in evaluation.per_class.items()},
    }
