"""What is set otherwise than in the result that is shown is told, and the step's button is the primary one again."""

from __future__ import annotations

from pathlib import Path

import pytest
from gui.driving import Hands
from made_runs import as_if_run

from engine.corpus.store import Corpus
from engine.jobs import AnnotateJob, MetaTrainJob, SelectJob, TuneJob
from engine.project import Project
from engine.settings import AnnotateSettings, BackboneSettings, MetaTrainSettings, PromptSettings, TuneSettings
from engine.workflow import TRAIN, State
from metapt_gui.earlier_runs import changed_settings


@pytest.fixture
def trained(project_folder: Path) -> Path:
    """The prepared project with a run on its texts, with the settings that the window has."""
    with Project.open(project_folder) as project:
        job = MetaTrainJob(
            corpus=str(project.role("source")),
            clusters=str(project.role("clusters")),
            settings=MetaTrainSettings(**(project.value("meta_train") or {})),
            prompt=PromptSettings(**(project.value("prompt") or {})),
            backbone=BackboneSettings(**(project.value("backbone") or {})),
            words=Corpus.open(project.role("source")).words,
        )
        as_if_run(project, "meta-train", job)
    return project_folder


def test_only_what_decides_on_the_result_counts(trained: Path) -> None:
    with Project.open(trained) as project:
        assert changed_settings(project, "meta-train") == []
        kept = MetaTrainSettings(**(project.value("meta_train") or {}))
        same = {"tasks_per_pass": 7, "checkpoint_every": kept.checkpoint_every + 1}
        project.set_value("meta_train", kept.model_copy(update=same).model_dump())
        project.set_value("backbone", {**(project.value("backbone") or {}), "device": "cuda:1", "offline": False})
        assert changed_settings(project, "meta-train") == []
        other = kept.model_copy(update={"steps": kept.steps + 1, "inner_steps": 3})
        project.set_value("meta_train", other.model_dump())
        assert sorted(changed_settings(project, "meta-train")) == ["inner steps", "steps"]
        project.set_value("meta_train", kept.model_dump())
        words = Corpus.open(project.role("source")).words
        assert words
        project.set_value("source words", words)
        assert changed_settings(project, "meta-train") == []
        project.set_value("source words", dict.fromkeys(words, "soup"))
        assert changed_settings(project, "meta-train") == ["label words"]
        project.set_value("backbone", {"backbone": "t5-base"})
        assert changed_settings(project, "meta-train") == ["backbone", "label words"]


def test_what_the_page_of_tuning_works_out_by_itself_does_not_count(project_folder: Path) -> None:
    with Project.open(project_folder) as project:
        job = TuneJob(
            corpus=str(project.role("target")),
            tune=TuneSettings(test_rows=4, seeds=2),
            prompt=PromptSettings(soft_tokens=5),
            backbone=BackboneSettings(**(project.value("backbone") or {})),
            words={"sad": "bad"},
        )
        as_if_run(project, "tune", job)
        project.set_value("tune", TuneSettings(test_rows=0, seeds=2).model_dump())
        project.set_value("prompt", PromptSettings(soft_tokens=20).model_dump())
        project.set_value("task", {"classes": ["sad", "glad"], "words": {"sad": "bad", "glad": "good"}})
        assert changed_settings(project, "tune") == []
        project.set_value("tune", TuneSettings(seeds=3).model_dump())
        project.set_value("task", {"words": {"sad": "awful"}})
        assert changed_settings(project, "tune") == ["seeds", "label words"]


def test_a_run_that_cannot_be_read_says_nothing(project_folder: Path) -> None:
    with Project.open(project_folder) as project:
        job = AnnotateJob(labelled="a", unlabelled="b", cache="c", settings=AnnotateSettings(confidence=0.5))
        folder = as_if_run(project, "annotated", job)
        project.set_value("annotate", AnnotateSettings(confidence=0.6).model_dump())
        assert changed_settings(project, "annotated") == ["confidence"]
        (folder / "job.json").write_text('{"settings": 3}')
        assert changed_settings(project, "annotated") == []
        project.set_value("annotate", "no settings")
        assert changed_settings(project, "annotated") == []
        as_if_run(project, "annotated", SelectJob(annotated="d", labelled="a", unlabelled="b", edits={5: "good"}))
        assert changed_settings(project, "annotated") == ["decisions in the audit"]


def test_the_page_says_so_and_offers_the_step_again(hands: Hands, trained: Path) -> None:
    hands.window.projects.open(trained)
    page = hands.step(3)
    assert hands.window.document.states()[TRAIN.key] is State.DONE
    assert not page.banner.isVisible()
    assert (page.primary.property("role"), page.next.property("role")) == ("", "primary")
    form = page.side.form
    before = form.values()
    form.set_values({**before, "steps": before["steps"] + 1}, quiet=False)
    hands.until(page.banner.isVisible)
    assert page.banner.text.text() == (
        "Set otherwise since this result was made: steps. Press ‘Train’ to have a result with what is set now."
    )
    assert (page.primary.property("role"), page.next.property("role")) == ("primary", "")
    form.set_values(before, quiet=False)
    hands.until(lambda: not page.banner.isVisible())
