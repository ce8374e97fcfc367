"""`metapt status`: how far a project is, what is out of date, and which command comes next."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from importing import read, write
from made_runs import as_if_run
from typer.testing import CliRunner

from engine.cli import app
from engine.clustering.edits import ClusterEdit
from engine.command_line.status import lines, next_command
from engine.corpus.store import Corpus
from engine.jobs import AnnotateJob, ClusterJob, ImportJob, MetaTrainJob, PretrainJob, TuneJob
from engine.jobs.target_task import task_from
from engine.project import Project
from engine.running.pipeline import import_job
from engine.settings import ImportSettings


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Project.create(tmp_path / "a.metapt") as made:
        yield made


def imported(project: Project, role: str, file: Path) -> Path:
    """Import a file as a command does."""
    job = import_job([str(file)], ImportSettings())
    assert isinstance(job, ImportJob)
    folder = as_if_run(project, role, job)
    corpus = read(file, folder)
    ended(folder, kept=corpus.rows)
    return folder


def ended(folder: Path, outcome: str = "completed", **summary: object) -> None:
    """Write how a run ended."""
    document = {"event": "Finished", "result": str(folder), "outcome": outcome, "summary": summary}
    (folder / "result.json").write_text(json.dumps(document), encoding="utf-8")


def grouped(project: Project, **summary: object) -> Path:
    """Group the source."""
    folder = as_if_run(project, "clusters", ClusterJob(corpus=str(project.role("source")), cache=""))
    ended(folder, **summary)
    return folder


def learned(project: Project, source: Path, groups: Path) -> Path:
    """Learn a prompt from groups."""
    folder = as_if_run(project, "meta-train", MetaTrainJob(corpus=str(source), clusters=str(groups)))
    (folder / "prompt.safetensors").write_bytes(b"something")
    ended(folder, validation_accuracy=0.434, steps=100)
    return folder


def tuned(project: Project, target: Path) -> Path:
    """Tune a prompt on the labels that are there now."""
    corpus = Corpus.open(target)
    fields = task_from(project.value("task")).fields(corpus, project.labels(corpus.content_hash), {})
    folder = as_if_run(project, "tune", TuneJob(corpus=str(target), **fields))
    (folder / "prompt.safetensors").write_bytes(b"something")
    figures = {"accuracy_mean": 0.866, "accuracy_std": 0.015}
    ended(folder, summary={"MetaPT": figures, "PPT": {"accuracy_mean": 0.5, "accuracy_std": 0.0}})
    return folder


def states(project: Project) -> dict[str, str]:
    return {line.role: line.state for line in lines(project)}


def test_each_command_is_named_in_its_turn(project: Project, tmp_path: Path) -> None:
    assert next_command(lines(project)) == "metapt import FILE"
    source = imported(project, "source", write(tmp_path / "source.csv"))
    assert next_command(lines(project)) == "metapt cluster", "pseudo-labels are not needed"
    groups = grouped(project)
    assert next_command(lines(project)) == "metapt meta-train"
    learned(project, source, groups)
    assert next_command(lines(project)) == "metapt import FILE --as target"
    target = imported(project, "target", write(tmp_path / "target.csv", rows=[("Late again", "1"), ("Kind", "5")]))
    assert next_command(lines(project)) == "metapt tune"
    tuned(project, target)
    assert next_command(lines(project)) == "metapt predict FILE"
    assert set(states(project).values()) == {"done", "to do"}, states(project)


def test_without_texts_to_learn_from_a_prompt_is_tuned_from_a_plain_start(project: Project, tmp_path: Path) -> None:
    imported(project, "target", write(tmp_path / "target.csv"))
    assert next_command(lines(project)) == "metapt tune"
    skipped = {line.role for line in lines(project) if line.result == "optional"}
    assert skipped == {"annotated", "clusters", "meta-train"}


def test_what_was_made_from_other_texts_is_out_of_date(project: Project, tmp_path: Path) -> None:
    source = imported(project, "source", write(tmp_path / "source.csv"))
    groups = grouped(project)
    learned(project, source, groups)
    imported(project, "source", write(tmp_path / "other.csv", rows=[("Cold", "1"), ("Warm", "5"), ("So", "3")]))
    found = states(project)
    assert (found["source"], found["clusters"], found["meta-train"]) == ("done", "out of date", "out of date")
    assert next_command(lines(project)) == "metapt cluster"


def test_other_groups_than_were_learned_from_ask_for_training_alone(project: Project, tmp_path: Path) -> None:
    source = imported(project, "source", write(tmp_path / "source.csv"))
    groups = grouped(project)
    learned(project, source, groups)
    project.set_cluster_edits(groups, {1: ClusterEdit(included=False)})
    assert states(project)["clusters"] == "done"
    assert next_command(lines(project)) == "metapt meta-train"


def test_a_file_that_grew_is_told_with_the_command_that_reads_it_again(project: Project, tmp_path: Path) -> None:
    file = write(tmp_path / "target.csv")
    imported(project, "target", file)
    with open(file, "a", encoding="utf-8") as stream:
        stream.write("One more,1\n")
    answer = CliRunner(env={"COLUMNS": "120"}).invoke(app, ["status", "-p", str(project.folder)])
    assert "target: the file has changed since it was imported" in answer.stdout
    assert "Next: metapt import FILE --as target" in answer.stdout


def test_the_table_says_what_each_run_came_to(project: Project, tmp_path: Path) -> None:
    source = imported(project, "source", write(tmp_path / "source.csv"))
    groups = grouped(project, groups=10)
    learned(project, source, groups)
    tuned(project, imported(project, "target", write(tmp_path / "target.csv", rows=[("Late", "1"), ("Kind", "5")])))
    project.set_labels(Corpus.open(project.role("target")).content_hash, {0: "5"})
    results = {line.role: line.result for line in lines(project)}
    assert results == {
        "source": "3 texts",
        "target": "2 texts",
        "annotated": "optional",
        "clusters": "10 groups",
        "meta-train": "100 steps, 43.4 %",
        "tune": "MetaPT 86.6 ± 1.5 %",
    }
    shown = CliRunner().invoke(app, ["status", "-p", str(project.folder)]).stdout
    assert groups.name in shown
    assert "1 text of the target labelled by hand" in shown
    found = json.loads(CliRunner().invoke(app, ["status", "--json", "-p", str(project.folder)]).stdout)
    assert found["labelled"] == 1
    assert found["next"] == "metapt tune", "the label came after it"
    assert {line["role"]: line["run"] for line in found["steps"]}["clusters"] == groups.name


@pytest.mark.parametrize(
    "written", ["", "{", "[]", '{"event": "Finished", "summary": {"kept": "x", "groups": [], "summary": 3}}']
)
def test_damaged_runs_are_shown_as_such_and_the_rest_is_told(project: Project, tmp_path: Path, written: str) -> None:
    imported(project, "source", write(tmp_path / "source.csv"))
    groups = grouped(project)
    (groups / "result.json").write_text(written, encoding="utf-8")
    answer = CliRunner(env={"COLUMNS": "120"}).invoke(app, ["status", "-p", str(project.folder)])
    assert answer.exit_code == 0, answer
    assert "3 texts" in answer.stdout
    assert groups.name in answer.stdout


def test_pseudo_labels_are_out_of_date_when_either_text_was_imported_again(project: Project, tmp_path: Path) -> None:
    source = imported(project, "source", write(tmp_path / "source.csv"))
    other = imported(project, "open-text", write(tmp_path / "open.csv", rows=[("Any", "1"), ("More", "5")]))
    as_if_run(project, "annotated", AnnotateJob(labelled=str(source), unlabelled=str(other), cache=""))
    assert states(project)["annotated"] == "done"
    imported(project, "open-text", write(tmp_path / "open2.csv", rows=[("Another", "1"), ("Fine", "5")]))
    assert next_command(lines(project)) == "metapt annotate"


def test_a_project_that_is_open_elsewhere_can_be_asked(project: Project) -> None:
    assert CliRunner().invoke(app, ["status", "-p", str(project.folder)]).exit_code == 0


def test_a_folder_without_a_project_is_refused(tmp_path: Path) -> None:
    answer = CliRunner().invoke(app, ["status", "-p", str(tmp_path)])
    assert "There is no MetaPT project here" in str(answer.exception)


def test_a_prompt_that_was_learned_without_groups_needs_none(project: Project, tmp_path: Path) -> None:
    source = imported(project, "source", write(tmp_path / "source.csv"))
    imported(project, "target", write(tmp_path / "target.csv", rows=[("Late again", "1"), ("Kind", "5")]))
    folder = as_if_run(project, "pretrain-prompt", PretrainJob(corpus=str(source)))
    (folder / "prompt.safetensors").write_bytes(b"something")
    ended(folder, validation_accuracy=0.434)
    assert next_command(lines(project)) == "metapt tune"
    assert {line.role: line.result for line in lines(project)}["pretrain-prompt"] == "43.4 %"
    as_if_run(project, "clusters", ClusterJob(corpus="elsewhere", cache=""))
    assert states(project)["clusters"] == "out of date"
    assert next_command(lines(project)) == "metapt tune", "nothing needs these groups"
