"""Earlier tunings are listed with what they learned from and reached, and can be used again with their probe."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from gui.driving import Hands
from made_runs import as_if_run, figures

from engine.evaluation.results import DrawnRows, RunResults
from engine.jobs import ProbeJob, TuneJob
from engine.project import Project
from engine.prompting.prompt_file import Prompt, save_prompt
from engine.settings import PromptSettings, TuneSettings
from engine.storage import read_json, write_json
from engine.workflow import classifier_path
from metapt_gui.pages.few_shot import FewShotPage

CLASSES = ("unhappy", "happy")


def tuned(project: Project, rows: int, right: float, *, probed: bool) -> Path:
    """Let the project stand on a tuning that learned from so many texts, and on a probe beside it."""
    settings = TuneSettings(training_rows=rows, validation_rows=rows, epochs=rows)
    target = {"corpus": str(project.role("target")), "classes": list(CLASSES), "tune": settings}
    folder = as_if_run(project, "tune", TuneJob(starts={"PT": "random"}, **target))
    prompt = Prompt(torch.full((3, 8), right), None, {"unhappy": "bad", "happy": "good"}, PromptSettings(soft_tokens=3))
    save_prompt(prompt, folder / "prompt.safetensors")
    summary = {"PT": figures(right)}
    write_json(folder / "result.json", read_json(folder / "result.json") | {"summary": {"summary": summary}})
    draws = {"0": DrawnRows(training=[0], validation=[1])}
    RunResults(summary=summary, best="PT seed 0", draws=draws).save(folder)
    curve = '{"event": "Metric", "name": "validation accuracy", "step": %d, "value": 0.5, "group": "PT seed 0"}\n'
    (folder / "events.jsonl").write_text(curve % rows, encoding="utf-8")
    if probed:
        beside = as_if_run(project, "linear-probe", ProbeJob(**target))
        RunResults(summary={"Sentence-BERT probe": summary["PT"]}).save(beside)
        (beside / "probe.safetensors").touch()
    return folder


@pytest.fixture
def two(hands: Hands, project_folder: Path) -> FewShotPage:
    """The page of a project with two tunings; the later one is in use, and only the earlier one has a probe."""
    with Project.open(project_folder) as project:
        tuned(project, 8, 0.75, probed=True)
        tuned(project, 6, 0.5, probed=False)
    hands.window.projects.open(project_folder)
    page = hands.to(FewShotPage)
    hands.until(lambda: page.history.rowCount() == 2)
    return page


def cells(page: FewShotPage, column: int) -> list[str]:
    return [page.history.item(row, column).text() for row in range(page.history.rowCount())]


def test_tunings_are_listed_with_what_they_learned_from_and_reached(two: FewShotPage) -> None:
    assert two.tabs.tabText(3) == "Runs"
    assert cells(two, 2) == ["completed, in use", "completed"]
    assert cells(two, 3) == ["6 + 6", "8 + 8"]
    assert cells(two, 4) == ["PT 50.0 ± 0.0 %", "PT 75.0 ± 0.0 %"]
    assert two.history.horizontalHeaderItem(3).text() == "Labels"
    assert two.history.isColumnHidden(0), "the curves of so many prompts are not laid over others"


def test_an_earlier_tuning_is_used_again_with_its_settings_curves_and_probe(hands: Hands, two: FewShotPage) -> None:
    document = hands.window.document
    hands.until(lambda: two.curves.accuracy.table()[1] == [("PT seed 0", 6, 0.5)])
    document.set_value("used", "probe.safetensors")
    assert classifier_path(document.project).name == "prompt.safetensors", "there is no probe of these labels"
    earlier = two.runs._lines[1].name
    two.history.use_asked.emit(earlier)
    assert Path(document.path("tune")).name == earlier
    assert cells(two, 2) == ["completed", "completed, in use"]
    assert two.side.form.values()["training_rows"] == 8
    hands.until(lambda: two.results.methods.rowCount() == 2)
    hands.until(lambda: two.curves.accuracy.table()[1] == [("PT seed 0", 8, 0.5)])
    assert classifier_path(document.project).name == "probe.safetensors"
    assert classifier_path(document.project).parent.name == Path(document.path("linear-probe")).name


def test_a_tuning_that_is_not_used_can_be_deleted(hands: Hands, two: FewShotPage) -> None:
    folder = hands.window.document.folder
    assert folder is not None
    two.runs.delete(two.runs._lines[1].name)
    assert cells(two, 3) == ["6 + 6"]
    assert len(list((folder / "runs").glob("*-tune"))) == 1
