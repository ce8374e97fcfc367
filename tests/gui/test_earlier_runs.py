"""A project that was begun in a terminal shows in the window what its runs were started with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from gui.driving import Hands
from made_runs import as_if_run, run_here

from engine.jobs import ClusterJob, MetaTrainJob, TuneJob
from engine.jobs.session import Session
from engine.presets import preset
from engine.project import Project
from engine.running.pipeline import import_job
from engine.settings import ClusterSettings, ImportSettings, MetaTrainSettings, PromptSettings, TuneSettings
from metapt_gui.earlier_runs import OWN, values_of_runs
from metapt_gui.pages.cluster import ClusterPage
from metapt_gui.pages.few_shot import FewShotPage
from metapt_gui.pages.import_corpus import ImportPage
from metapt_gui.pages.meta_train import MetaTrainPage


@pytest.fixture
def from_terminal(tmp_path: Path, tiny_t5: Path) -> Path:
    """A project with runs and no value of the window; what trains was only written down."""
    reviews, mails = tmp_path / "reviews.csv", tmp_path / "mails.csv"
    reviews.write_text("review;stars\n" + "".join(f"soup {n};{n % 5 + 1}\n" for n in range(40)), encoding="utf-8")
    mails.write_text("mail,mood\n" + "".join(f"mail {n},{'ab'[n % 2]}\n" for n in range(30)), encoding="utf-8")
    source = ImportSettings(text_column="review", label_column="stars", minimum_characters=3)
    target = ImportSettings(text_column="mail", label_column="mood", words={"a": "bad", "b": "good"})
    with Project.create(tmp_path / "a.metapt") as project:
        texts = run_here(project, "source", import_job([str(reviews)], source), Session())
        task = run_here(project, "target", import_job([str(mails)], target), Session())
        settings = ClusterSettings(method="random", clusters=4, projection="none")
        grouping = ClusterJob(corpus=texts, cache=str(project.cache), settings=settings)
        groups = run_here(project, "clusters", grouping, Session())
        prompt = PromptSettings(soft_tokens=7, template="{text} So {mask}.")
        backbone = {"backbone": str(tiny_t5)}
        meta = MetaTrainSettings(steps=77, alpha=3.0)
        train = MetaTrainJob(corpus=texts, clusters=groups, backbone=backbone, prompt=prompt, settings=meta)
        as_if_run(project, "meta-train", train)
        tune = TuneSettings(seeds=3, learning_rate=0.02)
        as_if_run(project, "tune", TuneJob(corpus=task, backbone=backbone, prompt=prompt, tune=tune, starts={}))
    return tmp_path / "a.metapt"


def test_the_window_goes_on_from_there(hands: Hands, from_terminal: Path) -> None:
    hands.window.projects.open(from_terminal)
    page = hands.to(ImportPage)
    hands.until(lambda: page.model.rowCount() == 40)
    assert (page.text_column.currentText(), page.label_column.currentText()) == ("review", "stars")
    assert page.form.values()["minimum_characters"] == 3
    clusters = hands.to(ClusterPage)
    assert clusters.form.values()["clusters"] == 4
    training = hands.to(MetaTrainPage)
    assert (training.side.form.values()["steps"], training.side.form.values()["alpha"]) == (77, 3.0)
    assert training.side.prompt_form.values()["soft_tokens"] == 7
    tuning = hands.to(FewShotPage)
    assert tuning.side.words.words() == {"a": "bad", "b": "good"}
    assert tuning.side.form.values()["seeds"] == 3
    assert tuning.side.prompt_form.values()["template"] == "{text} So {mask}."
    document = hands.window.document
    assert document.value("preset") == OWN
    assert "values" not in json.loads((from_terminal / "project.json").read_text("utf-8")), "looking writes nothing"
    document.set_value("meta_train", preset("quick")["meta_train"])
    assert document.value("meta_train") == preset("quick")["meta_train"], "what is chosen here goes before"


def test_what_cannot_be_read_is_left_out(from_terminal: Path) -> None:
    for run, content in {
        "0001-import": '{"files": [3], "settings": {}}',
        "0002-import": '{"files": ["a"], "settings": {"no such": 1}}',
        "0003-cluster": "[]",
        "0004-meta-train": '{"stage": "meta-train", "settings": 3, "prompt": {"soft_tokens": -1}, "backbone": {}}',
        "0005-tune": "{",
    }.items():
        (from_terminal / "runs" / run / "job.json").write_text(content, "utf-8")
    with Project.open(from_terminal) as project:
        assert values_of_runs(project) == {}
