"""Jobs on texts: import, pseudo-labels, groups."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from pydantic import Field

from engine.corpus.store import Corpus
from engine.jobs.job import Job
from engine.jobs.session import Session
from engine.settings import AnnotateSettings, ClusterSettings, ImportSettings
from engine.stage import Stage, StopToken


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
