"""Jobs that learn a soft prompt from a corpus, and those that use one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from engine.corpus.store import Corpus
from engine.errors import DataError
from engine.events import Notice
from engine.jobs.job import Job
from engine.jobs.session import Session
from engine.settings import BackboneSettings, ImportSettings, MetaTrainSettings, PretrainSettings, PromptSettings
from engine.stage import Part, Stage, StopToken

if TYPE_CHECKING:
    from engine.prompting.scorer import PromptScorer


class PromptJob(Job):
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


class MetaTrainJob(PromptJob):
    """Learn a prompt from the groups of a corpus; ``exclude``, ``merge`` and ``names`` are the person's edits."""

    stage = "meta-train"
    clusters: str
    exclude: list[int] = Field(default_factory=list)
    merge: list[list[int]] = Field(default_factory=list)
    names: dict[int, str] = Field(default_factory=dict)
    start: str = ""
    settings: MetaTrainSettings = Field(default_factory=MetaTrainSettings)

    def run(self, session: Session, folder: Path, stop: StopToken) -> Stage:
        import numpy as np

        from engine.clustering.edits import groups_of
        from engine.clustering.store import Clustering
        from engine.jobs import inputs
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
        groups = [
            (group.name, np.flatnonzero(np.isin(clustering.assignment, group.members) & (examples.labels >= 0)))
            for group in groups_of(clustering.clusters, self.exclude, self.merge, self.names)
            if group.included
        ]
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


class PretrainJob(PromptJob):
    """PPT: pre-train a prompt on a whole corpus without tasks."""

    stage = "pretrain-prompt"
    start: str = ""
    settings: PretrainSettings = Field(default_factory=PretrainSettings)

    def run(self, session: Session, folder: Path, stop: StopToken) -> Stage:
        from engine.jobs import inputs
        from engine.training.pretrained_prompt import pretrain_prompt

        corpus = Corpus.open(self.corpus)
        scorer = yield from self.scorer(session, corpus)
        start = inputs.starting_prompt(self.start, scorer) if self.start else None
        examples = yield from inputs.labelled_examples(scorer, corpus, self.stage, stop)
        yield from pretrain_prompt(scorer, examples, self.settings, folder, stop=stop, start=start)


class PredictJob(Job):
    """Classify the texts of files with a prompt, or with a probe, into CSV, Parquet or JSONL.

    With ``partial`` the answers so far are written when it is stopped.
    """

    stage = "predict"
    prompt: str
    files: list[str]
    output: str
    backbone: BackboneSettings = Field(default_factory=BackboneSettings)
    reading: ImportSettings = Field(default_factory=ImportSettings)
    spreadsheet: bool = True
    partial: bool = False

    def run(self, session: Session, folder: Path, stop: StopToken) -> Stage:
        from engine.evaluation.prediction import predict_files

        yield from predict_files(
            (yield from session.classifier(Path(self.prompt), self.backbone)),
            self.files,
            Path(self.output),
            self.reading,
            folder,
            spreadsheet=self.spreadsheet,
            partial=self.partial,
            stop=stop,
        )


class EvaluateJob(Job):
    """Measure a prompt, or a probe, on a labelled corpus."""

    stage = "evaluate"
    prompt: str
    corpus: str
    backbone: BackboneSettings = Field(default_factory=BackboneSettings)

    def run(self, session: Session, folder: Path, stop: StopToken) -> Stage:
        from engine.evaluation.prediction import evaluate_classifier

        corpus = Corpus.open(self.corpus)
        classifier = yield from session.classifier(Path(self.prompt), self.backbone)
        yield from evaluate_classifier(classifier, corpus, folder, stop=stop)
