"""PPT on the page Meta-train: chosen, trained, resumed, told apart from MetaPT, and tuned from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gui.driving import Hands
from made_runs import as_if_run

from engine.clustering.edits import ClusterEdit
from engine.events import Metric, to_json
from engine.jobs import ClusterJob, MetaTrainJob, PretrainJob, TuneJob
from engine.jobs.record import RunRecord
from engine.presets import as_many_texts, preset
from engine.project import Project
from engine.roles import LEARNED
from engine.settings import BackboneSettings, MetaTrainSettings, PretrainSettings
from engine.workflow import CLUSTER, TRAIN, TUNE, State, learned_prompts, missing, optional, states, way_to_learn
from metapt_gui.earlier_runs import changed_settings
from metapt_gui.pages.few_shot import FewShotPage
from metapt_gui.pages.meta_train import MetaTrainPage
from metapt_gui.pages.meta_train_side import WAYS
from metapt_gui.starts import META, PRETRAINED, VOCABULARY

PPT, METAPT = WAYS["PPT"].shown, WAYS["MetaPT"].shown
SMALL = PretrainSettings(
    steps=6, batch_size=4, validate_every=3, validation_rows=8, checkpoint_every=2, learning_rate=0.5
).model_dump()


def learned(project: Project, way: str, **changes: Any) -> Path:
    """Let the project stand on a prompt that was learned in one way, as if it had been."""
    common: dict[str, Any] = {
        "corpus": str(project.role("source")),
        "backbone": BackboneSettings(**project.value("backbone")),
        **changes,
    }
    job = PretrainJob(**common) if way == "PPT" else MetaTrainJob(clusters=str(project.role("clusters")), **common)
    folder = as_if_run(project, job.stage, job)
    (folder / "prompt.safetensors").write_bytes(b"")
    return folder


@pytest.fixture
def project(project_folder: Path) -> Any:
    with Project.open(project_folder) as opened:
        yield opened


@pytest.fixture
def training(hands: Hands, project_folder: Path) -> MetaTrainPage:
    """The page of the prepared project, which learns from all texts together."""
    with Project.open(project_folder) as project:
        project.set_value("pretrain", SMALL)
    hands.window.projects.open(project_folder)
    page = hands.to(MetaTrainPage)
    hands.choose(page.side.way_choice, PPT)
    return page


def test_a_prompt_is_learned_without_groups_and_tuned_from(hands: Hands, training: MetaTrainPage) -> None:
    document = hands.window.document
    assert training.side.form is training.side.forms["PPT"]
    assert [form.isVisible() for form in training.side.forms.values()] == [False, True]
    assert not training.tasks.isVisible(), "there are no tasks"
    hands.run(training)
    folder = Path(document.path("pretrain-prompt"))
    job = RunRecord.open(folder).job
    assert isinstance(job, PretrainJob)
    assert job.settings.model_dump() == SMALL
    assert not document.has("meta-train")
    assert {row[0] for row in training.losses.table()[1]} == {"training", "validation"}
    assert training.history.rowCount() == 1
    assert training.history.item(0, 3).text() == "PPT"
    assert document.states()[TRAIN.key] is State.DONE
    assert training.summary().startswith("best ")

    tuning = hands.to(FewShotPage)
    assert tuning.side.start_from.currentText() == PRETRAINED
    starts, file = tuning.side.starts()
    assert starts == {"PPT": str(folder / "prompt.safetensors"), "PT": "random"}
    assert file == folder / "prompt.safetensors"
    assert tuning._job().prompt.soft_tokens == job.prompt.soft_tokens


def test_it_is_stopped_and_goes_on(hands: Hands, training: MetaTrainPage) -> None:
    training.side.form.set_values({**training.side.form.values(), "steps": 100_000, "epochs": 100_000}, quiet=False)
    hands.press(training)
    hands.until(lambda: training.losses.isVisible() and len(training.losses.table()[1]) > 4)
    assert training.side.way_choice.toolTip() == "A prompt is being learned."
    assert not training.side.way_choice.isEnabled()
    hands.click(training.stop)
    hands.idle()
    assert training.side.way_choice.isEnabled()
    runs = training.document.path("pretrain-prompt")
    assert training.primary.text() == "Resume"
    hands.press(training)
    hands.until(lambda: hands.window.runner.current is not None)
    hands.click(training.cancel)
    hands.idle()
    assert training.document.path("pretrain-prompt") == runs


def test_a_trial_of_it_says_how_long_it_takes(hands: Hands, training: MetaTrainPage) -> None:
    training.side.form.set_values({**training.side.form.values(), "steps": 1_000_000, "epochs": 2}, quiet=False)
    hands.until(training.side.estimate.isEnabled)
    hands.click(training.side.estimate)
    hands.idle()
    assert "a step" in training.side.duration.text()
    assert training._trial is not None
    assert training._trial._settings.steps == 2 * 38, "160 rows, 8 of them held out, in batches of 4"
    assert not list(Path(training.document.path("source")).parent.glob("*-pretrain-prompt"))


def test_the_way_is_kept_and_settings_of_both_stay(hands: Hands, training: MetaTrainPage, project_folder: Path) -> None:
    training.side.form.set_values({**training.side.form.values(), "batch_size": 3}, quiet=False)
    hands.choose(training.side.way_choice, METAPT)  # at once
    document = hands.window.document
    hands.until(lambda: document.value("pretrain")["batch_size"] == 3)
    training.side.form.set_values({**training.side.form.values(), "alpha": 7.0}, quiet=False)
    hands.choose(training.side.way_choice, PPT)
    hands.until(lambda: document.value("meta_train")["alpha"] == 7.0)
    document.close()
    hands.window.projects.open(project_folder)
    page = hands.to(MetaTrainPage)
    assert page.side.way == "PPT"
    assert page.side.form.values()["batch_size"] == 3
    hands.choose(page.side.way_choice, METAPT)
    assert page.side.form.values()["alpha"] == 7.0
    assert page.tasks.isVisible()


def test_rates_of_a_project_without_any_are_those_of_its_backbone(hands: Hands, project_folder: Path) -> None:
    with Project.open(project_folder) as project:
        project.set_value("preset", "laptop")
        project.set_value("pretrain", None)
        backbone = project.value("backbone")["backbone"]
    hands.window.projects.open(project_folder)
    page = hands.to(MetaTrainPage)
    hands.choose(page.side.way_choice, PPT)
    assert page.side.form.values() == preset("laptop", backbone)["pretrain"]
    assert page.side.form.values()["learning_rate"] == 0.003


def test_another_way_than_the_result_has_is_said(hands: Hands, project_folder: Path) -> None:
    with Project.open(project_folder) as project:
        learned(project, "MetaPT", settings=project.value("meta_train"), prompt=project.value("prompt"))
    hands.window.projects.open(project_folder)
    page = hands.to(MetaTrainPage)
    hands.until(lambda: page.next.property("role") == "primary")
    assert not page.banner.isVisible()
    hands.choose(page.side.way_choice, PPT)
    hands.until(page.banner.isVisible)
    assert "Set otherwise since this result was made: how a prompt is learned" in page.banner.text.text()
    assert page.primary.property("role") == "primary"
    hands.choose(page.side.way_choice, METAPT)
    hands.until(lambda: not page.banner.isVisible())


def test_a_run_of_the_other_way_is_used_again_with_it(hands: Hands, project_folder: Path) -> None:
    with Project.open(project_folder) as project:
        other = learned(project, "PPT", settings=PretrainSettings(steps=33))
        learned(project, "MetaPT")
    hands.window.projects.open(project_folder)
    page = hands.to(MetaTrainPage)
    assert page.side.way == "MetaPT"
    hands.until(lambda: page.history.rowCount() == 2)
    assert [page.history.item(row, 2).text() for row in range(2)] == ["completed, in use"] * 2
    (other / "events.jsonl").write_text(to_json(Metric("training loss", 1, 0.5, "PPT")) + "\n", encoding="utf-8")
    page.runs.use(other.name)
    assert page.side.way == "PPT"
    hands.until(lambda: [row[0] for row in page.losses.table()[1]] == ["training"])
    assert page.side.form.values()["steps"] == 33
    assert page.document.changed_settings("pretrain-prompt") == []


def test_both_learned_prompts_are_compared_if_they_are_alike(
    hands: Hands, project_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Project.open(project_folder) as project:
        prompts = {way: str(learned(project, way) / "prompt.safetensors") for way in ("MetaPT", "PPT")}
        project.set_value("learn by", "PPT")
    lengths = dict.fromkeys(map(Path, prompts.values()), 20)
    monkeypatch.setattr("engine.workflow.soft_tokens", lambda path: lengths[path])
    hands.window.projects.open(project_folder)
    page = hands.to(FewShotPage)
    assert page.side.start_from.currentText() == PRETRAINED, "the way that is chosen comes first"
    starts, _ = page.side.starts()
    assert list(starts.items()) == [("PPT", prompts["PPT"]), ("MetaPT", prompts["MetaPT"]), ("PT", "random")]
    hands.choose(page.side.start_from, META)
    assert list(page.side.starts()[0]) == ["MetaPT", "PPT", "PT"]
    lengths[Path(prompts["PPT"])] = 100
    assert list(page.side.starts()[0]) == ["MetaPT", "PT"]
    monkeypatch.undo()
    assert list(page.side.starts()[0]) == ["MetaPT", "PT"], "what is there to compare must be a prompt"
    hands.choose(page.side.start_from, VOCABULARY)
    assert list(page.side.starts()[0]) == ["PT from words"]
    hands.choose(page.side.start_from, META)
    hands.click(page.side.compare)
    assert list(page.side.starts()[0]) == ["MetaPT"]


# The workflow ---------------------------------------------------------------------------------------------------------


def test_groups_are_not_needed_where_nothing_is_grouped(project: Project) -> None:
    del project._manifest["roles"]["clusters"]
    assert missing(project, TRAIN) is CLUSTER
    assert not optional(project, CLUSTER)
    project.set_value("learn by", "PPT")
    assert missing(project, TRAIN) is None
    assert optional(project, CLUSTER)
    assert states(project)[TRAIN.key] is State.READY


def test_what_was_learned_without_groups_outlives_other_groups(project: Project) -> None:
    learned(project, "PPT")
    assert states(project)[TRAIN.key] is State.DONE
    project.set_cluster_edits(project.role("clusters"), {1: ClusterEdit(included=False)})
    as_if_run(project, "clusters", ClusterJob(corpus="elsewhere", cache=""))
    found = states(project)
    assert (found[CLUSTER.key], found[TRAIN.key]) == (State.OUTDATED, State.DONE)
    learned(project, "PPT", corpus="elsewhere")
    assert states(project)[TRAIN.key] is State.OUTDATED


def test_a_tuning_is_as_old_as_the_prompts_that_it_began_with(project: Project) -> None:
    first = learned(project, "PPT")
    task = project.value("task") or {}
    start = {"PPT": str(first / "prompt.safetensors"), "PT": "random"}
    as_if_run(project, "tune", TuneJob(corpus=str(project.role("target")), starts=start, **task))
    tuned = states(project)[TUNE.key]
    learned(project, "MetaPT")
    assert states(project)[TUNE.key] is tuned, "it did not begin with that one"
    learned(project, "PPT", settings=PretrainSettings(steps=44))
    assert states(project)[TUNE.key] is State.OUTDATED


def test_an_old_prompt_that_was_only_compared_with_makes_no_tuning_old(project: Project) -> None:
    prompts = {way: str(learned(project, way) / "prompt.safetensors") for way in ("PPT", "MetaPT")}
    project.set_value("task", {"classes": ["unhappy", "happy"]})
    tuning = TuneJob(corpus=str(project.role("target")), starts=prompts, classes=["unhappy", "happy"])
    as_if_run(project, "tune", tuning)
    assert states(project)[TUNE.key] is State.DONE
    project.set_cluster_edits(project.role("clusters"), {1: ClusterEdit(included=False)})
    assert states(project)[TUNE.key] is State.DONE


def test_another_start_than_was_tuned_from_is_told(project: Project) -> None:
    told = "where the prompt starts"
    starts = {"MetaPT": str(learned(project, "MetaPT") / "prompt.safetensors"), "PT": "random"}
    as_if_run(project, "tune", TuneJob(corpus=str(project.role("target")), starts=starts))
    assert told not in changed_settings(project, "tune")
    learned(project, "PPT")
    assert told not in changed_settings(project, "tune")
    project.set_value("learn by", "PPT")
    assert told in changed_settings(project, "tune")
    project.set_value("task", {"start": META})
    assert told not in changed_settings(project, "tune")
    project.set_value("task", {"start": VOCABULARY})
    assert told in changed_settings(project, "tune")


def test_the_page_shows_every_way_there_is() -> None:
    assert WAYS.keys() == LEARNED.keys()


def test_beside_own_settings_ppt_reads_as_many_texts(hands: Hands, project_folder: Path) -> None:
    with Project.open(project_folder) as project:
        project.set_value("pretrain", None)
        own = MetaTrainSettings(**project.value("meta_train"))
    hands.window.projects.open(project_folder)
    page = hands.to(MetaTrainPage)
    hands.choose(page.side.way_choice, PPT)
    shown = page.side.form.values()
    assert {name: shown[name] for name in as_many_texts(own)} == as_many_texts(own)


def test_a_way_that_is_none_is_passed_over(project: Project) -> None:
    for value in (["PPT"], {}, 3, "Reptile"):
        project.set_value("learn by", value)
        assert way_to_learn(project) == "MetaPT"


def test_the_way_that_was_used_is_the_way_that_is_shown(project: Project) -> None:
    first = learned(project, "PPT")
    assert learned_prompts(project) == {"PPT": first / "prompt.safetensors"}
    second = learned(project, "MetaPT")
    both = {"MetaPT": second / "prompt.safetensors", "PPT": first / "prompt.safetensors"}
    assert list(learned_prompts(project).items()) == list(both.items())
    project.set_value("learn by", "PPT")
    assert list(learned_prompts(project)) == ["PPT", "MetaPT"]
