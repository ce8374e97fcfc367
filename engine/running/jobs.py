"""Jobs: a stage with its inputs and settings in the words of files, so that it can cross a pipe and be run again.

Importing this module is light (no torch); the stages are imported when a job runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from engine.corpus.store import Corpus
from engine.errors import DataError, SettingsError
from engine.events import Notice
from engine.running.backbone_jobs import BackboneJob, PretrainBackboneJob
from engine.running.job import Job
from engine.running.session import Session
from engine.running.target_task import class_numbers, present_names
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
    validated,
)
from engine.stage import Part, Stage, StopToken

if TYPE_CHECKING:
    import numpy as np

    from engine.prompting.scorer import PromptScorer


class ImportJob(Job):
    """Read files into a corpus."""

    stage = "import"
    files: list[str]
    settings: ImportSettings = Field(default_factory=ImportSettings)

    def run(self, session: Session, folder: Path, stop: StopToken) -> Stage:
        from engine.corpus.importing import import_corpus

        return import_corpus(self.files, folder, self.settings, stop=stop)


class AnnotateJob(Job):
    """Give the texts of one corpus the labels of another; ``sample`` is for a dry run on so many texts."""

    stage = "annotate"
    labelled: str
    unlabelled: str
    cache: str
    sample: int | None = Field(default=None, ge=1)
    settings: AnnotateSettings = Field(default_factory=AnnotateSettings)

    def run(self, session: Session, folder: Path, stop: StopToken) -> Stage:
        from engine.annotation.dry_run import dry_run
        from engine.annotation.stage import annotate

        start = annotate if self.sample is None else partial(dry_run, sample=self.sample)
        return start(
            Corpus.open(self.labelled),
            Corpus.open(self.unlabelled),
            folder,
            self.settings,
            encoder=session.sentence_encoder(self.settings.device),
            cache=Path(self.cache),
            stop=stop,
        )


class SelectJob(Job):
    """Choose pseudo-labelled texts anew, with other thresholds and a person's corrections (row -> class or empty)."""

    stage = "select"
    annotated: str
    labelled: str
    unlabelled: str
    edits: dict[int, str] = Field(default_factory=dict)
    settings: AnnotateSettings = Field(default_factory=AnnotateSettings)

    def run(self, session: Session, folder: Path, stop: StopToken) -> Stage:
        from engine.annotation.reselect import reselect

        labelled, unlabelled = Corpus.open(self.labelled), Corpus.open(self.unlabelled)
        return reselect(Path(self.annotated), labelled, unlabelled, folder, self.settings, edits=self.edits, stop=stop)


class ClusterJob(Job):
    """Group the texts of a corpus."""

    stage = "cluster"
    corpus: str
    cache: str
    device: str = "auto"
    settings: ClusterSettings = Field(default_factory=ClusterSettings)

    def run(self, session: Session, folder: Path, stop: StopToken) -> Stage:
        from engine.clustering.stage import cluster

        encoder = session.sentence_encoder(self.device)
        return cluster(
            Corpus.open(self.corpus), folder, self.settings, encoder=encoder, cache=Path(self.cache), stop=stop
        )


class _PromptJob(Job):
    """What every job that runs a soft prompt needs."""

    corpus: str
    backbone: BackboneSettings = Field(default_factory=BackboneSettings)
    prompt: PromptSettings = Field(default_factory=PromptSettings)
    words: dict[str, str] = Field(default_factory=dict)

    def class_names(self, corpus: Corpus) -> tuple[str, ...]:
        """Return the classes that the prompt tells apart, those of the corpus."""
        return corpus.classes

    def scorer(self, session: Session, corpus: Corpus) -> Part[PromptScorer]:
        """Load the backbone and return the scorer for the classes."""
        from engine.prompting.scorer import PromptScorer
        from engine.prompting.verbalizer import make_verbalizer

        backbone = yield from session.backbone(self.backbone)
        words = self.words or corpus.words
        verbalizer = make_verbalizer(self.class_names(corpus), words, backbone.tokenizer)
        return PromptScorer(backbone, verbalizer, self.prompt)


class MetaTrainJob(_PromptJob):
    """Learn a prompt from the groups of a corpus; ``exclude``, ``merge`` and ``names`` are the person's edits."""

    stage = "meta-train"
    clusters: str
    exclude: list[int] = Field(default_factory=list)
    merge: list[list[int]] = Field(default_factory=list)
    names: dict[int, str] = Field(default_factory=dict)
    start: str = ""
    settings: MetaTrainSettings = Field(default_factory=MetaTrainSettings)

    def run(self, session: Session, folder: Path, stop: StopToken) -> Stage:
        from engine.clustering.store import Clustering
        from engine.running import inputs
        from engine.training.examples import make_meta_tasks
        from engine.training.prompt_maml import meta_train

        corpus, clustering = Corpus.open(self.corpus), Clustering.open(self.clusters)
        if clustering.content_hash != corpus.content_hash:
            raise DataError(
                "The groups were made from other texts than this corpus holds",
                where=self.clusters,
                remedy="Cluster again.",
            )
        scorer = yield from self.scorer(session, corpus)
        examples = yield from inputs.labelled_examples(scorer, corpus, self.stage, stop)
        groups = inputs.edited_groups(clustering, examples.labels, self.exclude, self.merge, self.names)
        tasks, notices = make_meta_tasks(
            groups,
            shots=self.settings.shots,
            validation_share=self.settings.validation_share,
            validation_rows=self.settings.validation_rows,
            seed=self.settings.seed,
        )
        for notice in notices:
            yield Notice(notice, "warning")
        start = inputs.starting_prompt(self.start, scorer) if self.start else None
        yield from meta_train(scorer, examples, tasks, self.settings, folder, stop=stop, start=start)


class PretrainJob(_PromptJob):
    """PPT: pre-train a prompt on a whole corpus without tasks."""

    stage = "pretrain-prompt"
    start: str = ""
    settings: PretrainSettings = Field(default_factory=PretrainSettings)

    def run(self, session: Session, folder: Path, stop: StopToken) -> Stage:
        from engine.running import inputs
        from engine.training.pretrained_prompt import pretrain_prompt

        corpus = Corpus.open(self.corpus)
        scorer = yield from self.scorer(session, corpus)
        start = inputs.starting_prompt(self.start, scorer) if self.start else None
        examples = yield from inputs.labelled_examples(scorer, corpus, self.stage, stop)
        yield from pretrain_prompt(scorer, examples, self.settings, folder, stop=stop, start=start)


class _TargetJob(_PromptJob):
    """A job on the target task.

    ``classes`` are the person's own, and ``labels`` (row -> class) go before the corpus's. ``renamed`` maps a class of
    the corpora to what the person calls it. ``test`` is a corpus of its own to test on; without one,
    ``tune.test_rows`` of the labelled rows are set aside.
    """

    classes: list[str] = Field(default_factory=list)
    renamed: dict[str, str] = Field(default_factory=dict)
    test: str = ""
    labels: dict[int, str] = Field(default_factory=dict)
    tune: TuneSettings = Field(default_factory=TuneSettings)

    def class_names(self, corpus: Corpus) -> tuple[str, ...]:
        """Return the person's classes, or those of the corpus by their present names."""
        return tuple(self.classes) or tuple(present_names(corpus, self.renamed))

    def target(self) -> tuple[Corpus, list[str], np.ndarray, np.ndarray, np.ndarray]:
        """Return the corpus, all texts, their labels, the rows to draw from, and the rows to test on."""
        import numpy as np

        corpus = Corpus.open(self.corpus)
        classes = self.class_names(corpus)
        labels = class_numbers(corpus, classes, self.renamed, self.labels)
        pool = np.flatnonzero(labels >= 0)
        if self.test:
            other = Corpus.open(self.test)
            unknown = sorted(set(present_names(other, self.renamed)) - set(classes))
            if unknown:
                raise DataError(
                    f"The test corpus has classes that the target does not have: {', '.join(unknown)}",
                    where=self.test,
                    remedy="Import both with the same mapping of labels to classes.",
                )
            mapped = class_numbers(other, classes, self.renamed)
            rows = corpus.rows + np.flatnonzero(mapped >= 0)
            return corpus, corpus.texts + other.texts, np.concatenate([labels, mapped]), pool, rows
        order = np.random.default_rng(0).permutation(pool)
        held_out = min(self.tune.test_rows, max(0, len(pool) - self.tune.training_rows - self.tune.validation_rows))
        return corpus, corpus.texts, labels, np.sort(order[held_out:]), np.sort(order[:held_out])


class TuneJob(_TargetJob):
    """Tune prompts on a few labels; ``starts`` maps a name to a prompt file or to a kind of initialisation."""

    stage = "tune"
    starts: dict[str, str] = Field(default_factory=lambda: {"PT": "random"})

    def run(self, session: Session, folder: Path, stop: StopToken) -> Stage:
        from engine.running import inputs
        from engine.training.examples import few_shot_draws
        from engine.training.few_shot import few_shot

        corpus, texts, labels, pool, test = self.target()
        scorer = yield from self.scorer(session, corpus)
        for warning in scorer.verbalizer.warnings():
            yield Notice(warning, "warning")
        if not self.test and len(test) < self.tune.test_rows:
            labelled, wanted = len(pool) + len(test), self.tune.training_rows + self.tune.validation_rows
            yield Notice(
                f"Only {len(test):,} texts are left to test on, not {self.tune.test_rows:,}: of {labelled:,} with a "
                f"label {wanted:,} are for training and validation.",
                "warning",
            )
        draws = few_shot_draws(labels, pool, self.tune)
        if shared := inputs.shared_texts(texts, draws, test):
            text = f"Of the {len(test):,} texts to test on {shared:,} were drawn for training or validation, too."
            yield Notice(f"{text} The figures may be too good.", "warning")
        examples = yield from inputs.drawn_examples(scorer, texts, labels, draws, test, self.stage, stop)
        seeds = range(self.tune.first_seed, self.tune.first_seed + self.tune.seeds)
        starts = {
            name: [inputs.starting_prompt(start, scorer, seed) for seed in seeds] for name, start in self.starts.items()
        }
        yield from few_shot(scorer, examples, starts, self.tune, folder, stop=stop, pool=pool, test=test)


class FullModelJob(_TargetJob):
    """Tune the whole backbone on the same draws, to compare with."""

    stage = "tune-full-model"
    settings: FullModelSettings = Field(default_factory=FullModelSettings)

    def run(self, session: Session, folder: Path, stop: StopToken) -> Stage:
        from engine.running import inputs
        from engine.training.examples import few_shot_draws
        from engine.training.full_model import tune_full_model

        corpus, texts, labels, pool, test = self.target()
        scorer = yield from self.scorer(session, corpus)
        draws = few_shot_draws(labels, pool, self.tune)
        examples = yield from inputs.drawn_examples(scorer, texts, labels, draws, test, self.stage, stop)
        yield from tune_full_model(scorer, examples, draws, self.settings, folder, stop=stop, test=test)


class ProbeJob(_TargetJob):
    """Linear probes on Sentence-BERT on the same draws; with ``source`` also one that has seen the labelled source."""

    stage = "linear-probe"
    source: str = ""
    cache: str = ""
    device: str = "auto"

    def run(self, session: Session, folder: Path, stop: StopToken) -> Stage:
        from engine.evaluation.linear_probe import probe_target
        from engine.training.examples import few_shot_draws

        corpus, texts, labels, pool, test = self.target()
        source = Corpus.open(self.source) if self.source else None
        yield from probe_target(
            texts,
            labels,
            self.class_names(corpus),
            few_shot_draws(labels, pool, self.tune),
            test,
            folder,
            source=source,
            encoder=session.sentence_encoder(self.device),
            cache=Path(self.cache),
            stop=stop,
        )


class PredictJob(Job):
    """Classify the texts of files with a prompt into CSV, Parquet or JSONL."""

    stage = "predict"
    prompt: str
    files: list[str]
    output: str
    backbone: BackboneSettings = Field(default_factory=BackboneSettings)
    reading: ImportSettings = Field(default_factory=ImportSettings)
    neutralise_formulas: bool = True

    def run(self, session: Session, folder: Path, stop: StopToken) -> Stage:
        from engine.evaluation.prediction import predict_files
        from engine.prompting.prompt_file import load_prompt

        prompt = load_prompt(Path(self.prompt))
        scorer = prompt.scorer((yield from session.backbone(self.backbone)))
        yield from predict_files(
            prompt,
            scorer,
            self.files,
            Path(self.output),
            self.reading,
            folder,
            neutralise_formulas=self.neutralise_formulas,
            stop=stop,
        )


class EvaluateJob(Job):
    """Measure a prompt on a labelled corpus."""

    stage = "evaluate"
    prompt: str
    corpus: str
    backbone: BackboneSettings = Field(default_factory=BackboneSettings)

    def run(self, session: Session, folder: Path, stop: StopToken) -> Stage:
        from engine.evaluation.prediction import evaluate_prompt
        from engine.prompting.prompt_file import load_prompt

        corpus = Corpus.open(self.corpus)
        prompt = load_prompt(Path(self.prompt))
        scorer = prompt.scorer((yield from session.backbone(self.backbone)))
        yield from evaluate_prompt(prompt, scorer, corpus, folder, stop=stop)


JOBS: dict[str, type[Job]] = {
    kind.stage: kind
    for kind in (
        ImportJob,
        AnnotateJob,
        SelectJob,
        ClusterJob,
        MetaTrainJob,
        PretrainJob,
        TuneJob,
        FullModelJob,
        ProbeJob,
        BackboneJob,
        PredictJob,
        EvaluateJob,
        PretrainBackboneJob,
    )
}


def job_from(document: Mapping[str, Any]) -> Job:
    """Return the job that `Job.document` described.

    Raises
    ------
    SettingsError
        If it names no stage or a setting is wrong.
    """
    values = dict(document)
    stage = values.pop("stage", None)
    values.pop("inputs", None)
    if stage not in JOBS:
        raise SettingsError(f"There is no stage '{stage}'", remedy=f"The stages are {', '.join(JOBS)}.")
    return validated(JOBS[stage], values, where=str(stage))
