"""Jobs on the target task: a few labels, drawn anew for every seed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from engine.corpus.drawing import LEAST_TEST_ROWS, few_shot_draws, set_aside
from engine.corpus.store import Corpus
from engine.errors import DataError
from engine.events import Notice
from engine.jobs.prompt_jobs import PromptJob
from engine.jobs.session import Session
from engine.jobs.target_task import class_numbers, present_names
from engine.settings import FullModelSettings, TuneSettings
from engine.stage import Stage, StopToken
from engine.wording import count

if TYPE_CHECKING:
    import numpy as np


def left_to_test(test: int, pool: int, settings: TuneSettings, *, taught: bool = False) -> str:
    """Say that ``test`` texts are left beside a ``pool`` to draw from, which are fewer than were asked for."""
    said = (
        f"Only {count(test, 'texts')} {'is' if test == 1 else 'are'} left to test on, not {settings.test_rows:,}: of "
        f"{pool + test:,} with a label {settings.training_rows + settings.validation_rows:,} are for training and "
        f"validation{', and those that have taught the others are not tested on' if taught else ''}."
    )
    return f"{said} Figures on so few say next to nothing." if 0 < test < LEAST_TEST_ROWS else said


class TargetJob(PromptJob):
    """A job on the target task.

    ``classes`` are the person's own, and ``labels`` (row -> class) go before the corpus's. ``renamed`` maps a class of
    the corpora to what the person calls it. ``test`` is a corpus of its own to test on; without one,
    ``tune.test_rows`` of the labelled rows are set aside. ``taught`` is the corpus of those labels of the task that
    have taught others (`engine.jobs.own_labels`): its texts are not set aside.
    """

    classes: list[str] = Field(default_factory=list)
    renamed: dict[str, str] = Field(default_factory=dict)
    test: str = ""
    taught: str = ""
    labels: dict[int, str] = Field(default_factory=dict)
    tune: TuneSettings = Field(default_factory=TuneSettings)

    def class_names(self, corpus: Corpus) -> tuple[str, ...]:
        """Return the person's classes, or those of the corpus by their present names."""
        return tuple(self.classes) or tuple(present_names(corpus, self.renamed))

    def corpora(self) -> tuple[Corpus, Corpus | None]:
        """Return the corpus of the task, and that to test on if there is one.

        Raises
        ------
        DataError
            If that has classes that the task does not have.
        """
        corpus = Corpus.open(self.corpus)
        if not self.test:
            return corpus, None
        other = Corpus.open(self.test)
        unknown = sorted(set(present_names(other, self.renamed)) - set(self.class_names(corpus)))
        if unknown:
            raise DataError(
                f"The test corpus has classes that the target does not have: {', '.join(unknown)}",
                where=self.test,
                remedy="Import both with the same mapping of labels to classes.",
            )
        return corpus, other

    def target(self) -> tuple[Corpus, list[str], np.ndarray, np.ndarray, np.ndarray]:
        """Return the corpus, all texts, their labels, the rows to draw from, and the rows to test on."""
        import numpy as np

        corpus, other = self.corpora()
        classes = self.class_names(corpus)
        labels = class_numbers(corpus, classes, self.renamed, self.labels)
        pool = np.flatnonzero(labels >= 0)
        if other is not None:
            mapped = class_numbers(other, classes, self.renamed)
            rows = corpus.rows + np.flatnonzero(mapped >= 0)
            return corpus, corpus.texts + other.texts, np.concatenate([labels, mapped]), pool, rows
        texts = corpus.texts
        teachers = set(Corpus.open(self.taught).texts) if self.taught else set()
        test = set_aside(pool, self.tune, np.array([row for row in pool if texts[row] in teachers], np.int64))
        return corpus, texts, labels, np.setdiff1d(pool, test), test


class TuneJob(TargetJob):
    """Tune prompts on a few labels; ``starts`` maps a name to a prompt file or to a kind of initialisation."""

    stage = "tune"
    starts: dict[str, str] = Field(default_factory=lambda: {"PT": "random"})

    def run(self, session: Session, folder: Path, stop: StopToken) -> Stage:
        from engine.jobs import inputs
        from engine.training.few_shot import few_shot

        corpus, texts, labels, pool, test = self.target()
        scorer = yield from self.scorer(session, corpus)
        for warning in scorer.verbalizer.warnings():
            yield Notice(warning, "warning")
        if not self.test and len(test) < self.tune.test_rows:
            yield Notice(left_to_test(len(test), len(pool), self.tune, taught=bool(self.taught)), "warning")
        draws = few_shot_draws(labels, pool, self.tune)
        if shared := inputs.shared_texts(texts, draws, test):
            text = f"Of the {len(test):,} texts to test on {shared:,} were drawn for training or validation, too."
            yield Notice(f"{text} The figures may be too good.", "warning")
        examples = yield from inputs.drawn_examples(scorer, texts, labels, draws, test, self.stage, stop)
        starts = {
            name: [inputs.starting_prompt(start, scorer, seed) for seed, _ in draws]
            for name, start in self.starts.items()
        }
        yield from few_shot(scorer, examples, draws, starts, self.tune, folder, stop=stop, test=test)


class FullModelJob(TargetJob):
    """Tune the whole backbone on the same draws, to compare with."""

    stage = "tune-full-model"
    settings: FullModelSettings = Field(default_factory=FullModelSettings)

    def run(self, session: Session, folder: Path, stop: StopToken) -> Stage:
        from engine.jobs import inputs
        from engine.training.full_model import tune_full_model

        corpus, texts, labels, pool, test = self.target()
        scorer = yield from self.scorer(session, corpus)
        draws = few_shot_draws(labels, pool, self.tune)
        examples = yield from inputs.drawn_examples(scorer, texts, labels, draws, test, self.stage, stop)
        settings = self.settings
        if not all(len(draw.validation) for _, draw in draws):  # as for the prompts, which say so
            epochs = min(settings.epochs, self.tune.epochs_without_validation)
            settings = settings.model_copy(update={"epochs": epochs})
        yield from tune_full_model(scorer, examples, draws, settings, folder, stop=stop, test=test)


class ProbeJob(TargetJob):
    """Linear probes on Sentence-BERT on the same draws; with ``source`` also one that has seen the labelled source."""

    stage = "linear-probe"
    source: str = ""
    cache: str = ""
    device: str = "auto"

    def run(self, session: Session, folder: Path, stop: StopToken) -> Stage:
        from engine.evaluation.linear_probe import probe_target

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
