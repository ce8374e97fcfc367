"""A job.json that is damaged, or somebody else's, never keeps a project from being shown."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gui.driving import Hands
from made_runs import as_if_run, figures

from engine.corpus.store import Corpus
from engine.errors import MetaPTError
from engine.jobs import Job, MetaTrainJob, ProbeJob, SelectJob, TuneJob
from engine.jobs.record import RunRecord
from engine.project import Project
from engine.storage import write_json
from engine.workflow import TRAIN, State, backbone_of, embedded_source, outdated, probe_files, states
from metapt_gui.earlier_runs import changed_settings, values_of_run, values_of_runs
from metapt_gui.models.annotated import audited_texts
from metapt_gui.result_files import read_results
from metapt_gui.run_files import describe_runs

WRONG = (None, -1.5, "/runs/1-a\0", [[3]], {"x": "y"})
RESULTS = {
    "summary": {"PT": figures()},
    "best": "PT 0",
    "measured_on": "test",
    "evaluations": {},
    "draws": {"0": {"training": [0], "validation": [1]}},
}
ROLES = ("source", "target", "annotated", "clusters", "meta-train", "tune", "linear-probe")


@pytest.fixture
def whole(annotated_once: Path, tmp_path: Path) -> Path:
    """A project with a run for each role; what learns was only written down."""
    folder = tmp_path / "whole.metapt"
    shutil.copytree(annotated_once, folder)
    with Project.open(folder) as project:
        texts, open_text, target = (str(project.role(role)) for role in ("source", "open-text", "target"))
        project.set_value("learn from", "source")
        groups = str(project.role("clusters"))
        edited = SelectJob(
            annotated=str(project.role("annotated")), labelled=texts, unlabelled=open_text, edits={3: "1"}
        )
        corpus = shutil.copytree(project.role("annotated"), folder / "kept")
        shutil.copytree(corpus, as_if_run(project, "annotated", edited), dirs_exist_ok=True)
        write_json(project.role("annotated") / "job.json", edited.document())
        train = MetaTrainJob(corpus=texts, clusters=groups, names={1: "soups"}, merge=[[1, 2]], words={"1": "bad"})
        prompt = as_if_run(project, "meta-train", train) / "prompt.safetensors"
        prompt.write_bytes(b"a prompt")
        task: dict[str, Any] = {"corpus": target, "test": target, "labels": {0: "happy"}, "renamed": {"a": "b"}}
        tune = TuneJob(starts={"MetaPT": str(prompt), "PT": "random"}, **task)
        write_json(as_if_run(project, "tune", tune) / "results.json", RESULTS)
        probe = as_if_run(project, "linear-probe", ProbeJob(source=texts, **task))
        write_json(probe / "results.json", RESULTS)
    return folder


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where something stands in a document, first the whole."""
    yield path
    for key in document if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ():
        yield from places(document[key], (*path, key))


def with_other(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return the document with ``value`` at a place."""
    if not path:
        return value
    changed = copy.deepcopy(document)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


def looks(project: Project, role: str) -> list[Callable[[], object]]:
    """Return what the window reads of a run."""
    folder, target = project.role(role), Corpus.open(project.role("target"))
    probe = project.role("linear-probe")
    return [
        lambda: states(project),
        lambda: outdated(project, role),
        lambda: changed_settings(project, role),
        lambda: values_of_runs(project),
        lambda: values_of_run(folder, role),
        lambda: describe_runs([folder], {}),
        lambda: (embedded_source(project), probe_files(project), backbone_of(folder / "prompt.safetensors")),
        lambda: audited_texts(folder),
        lambda: read_results(folder, probe, target) if role == "tune" else None,
    ]


@pytest.mark.parametrize("role", ROLES)
def test_values_of_a_wrong_type_are_told_or_out_of_date(whole: Path, role: str) -> None:
    with Project.open(whole) as project:
        path = project.role(role) / "job.json"
        document = json.loads(path.read_text(encoding="utf-8"))
        steps = looks(project, role)
        for place in places(document):
            for wrong in WRONG:
                path.write_text(json.dumps(with_other(document, place, wrong)), encoding="utf-8")
                for number, step in enumerate(steps):
                    try:
                        step()
                    except MetaPTError:
                        assert number > 2, "these say that it is out of date, or nothing"
                    except Exception as error:
                        pytest.fail(f"{'.'.join(map(str, place))} = {wrong!r}: step {number} raised {error!r}")


def test_a_project_with_such_a_run_is_opened_and_the_step_is_out_of_date(hands: Hands, whole: Path) -> None:
    with Project.open(whole) as project:
        path = project.role("meta-train") / "job.json"
        (project.role("tune") / "results.json").unlink()  # no page can show what stands there
    document = json.loads(path.read_text(encoding="utf-8"))
    write_json(path, {**document, "names": {"x": "y"}})
    hands.window.projects.open(whole)
    page = hands.step(3)
    assert hands.window.page is page
    assert hands.window.document.states()[TRAIN.key] is State.OUTDATED
    assert page.primary.isVisible()


def test_a_run_of_an_older_version_is_read(whole: Path) -> None:
    with Project.open(whole) as project:
        for role in ROLES:
            folder = project.role(role)
            before = RunRecord.open(folder)
            document = json.loads((folder / "job.json").read_text(encoding="utf-8"))
            needed = {name for name, field in type(before.job).model_fields.items() if field.is_required()}
            write_json(folder / "job.json", {name: document[name] for name in {"stage", *needed}})
            assert isinstance(RunRecord.open(folder).job, Job)
            assert RunRecord.open(folder).versions == {}
