"""A project that has been worked in for a while: runs that were broken off, texts and files that are others by now."""

from __future__ import annotations

import shutil
from pathlib import Path

from gui.driving import Hands
from gui.letters import opened
from importing import read, write
from made_runs import as_if_run

from engine.jobs import AnnotateJob, MetaTrainJob, TuneJob
from engine.jobs.session import Session
from engine.project import Project
from engine.running.perform import perform
from engine.settings import AnnotateSettings, MetaTrainSettings
from engine.stage import StopToken
from engine.storage import read_json, write_json
from engine.workflow import CLUSTER, IMPORT, LABEL, TUNE, USE, State, not_imported, states
from metapt_gui.pages.import_corpus import ImportPage


def trained(project: Project, steps: int) -> Path:
    """Let the project stand on a meta-training of so many steps, as if it had been run."""
    corpora = {"corpus": str(project.role("source")), "clusters": str(project.role("clusters"))}
    folder = as_if_run(project, "meta-train", MetaTrainJob(**corpora, settings=MetaTrainSettings(steps=steps)))
    (folder / "prompt.safetensors").write_bytes(b"")
    return folder


def tuned(project: Project, **starts: str) -> Path:
    """Let it stand on a tuning of its task from these starts."""
    task = project.value("task")
    corpus = str(project.role("target"))
    return as_if_run(project, "tune", TuneJob(corpus=corpus, classes=task["classes"], starts=starts))


# Runs that were broken off --------------------------------------------------------------------------------------------


def test_a_run_that_goes_on_keeps_its_result_until_it_ends(project_folder: Path) -> None:
    with Project.open(project_folder) as project:
        folder = trained(project, 3)
        job = MetaTrainJob(corpus=str(project.role("source")), clusters=str(project.role("clusters")))
        result = {**read_json(folder / "result.json"), "outcome": "stopped"}
        write_json(folder / "result.json", result)
        events = perform(job, folder, Session(), StopToken())
        next(events)
        events.close()  # as when it is cancelled
        assert read_json(folder / "result.json") == result


def test_a_tuning_that_lost_its_result_can_be_run(hands: Hands, project_folder: Path) -> None:
    with Project.open(project_folder) as project:
        (tuned(project, PT="random") / "result.json").unlink()
    page = opened(hands, project_folder)
    hands.until(page.primary.isEnabled)
    assert page.primary.text() == "Tune"


def test_texts_that_are_gone_can_be_imported_again(hands: Hands, project_folder: Path) -> None:
    with Project.open(project_folder) as project:
        for role in ("source", "target"):
            job = read_json(project.role(role) / "job.json")
            project.set_value(f"files {role}", job["files"])
            project.set_value(f"import {role}", job["settings"])
        shutil.rmtree(project.role("source"))
    hands.window.projects.open(project_folder)
    page = hands.to(ImportPage)
    hands.until(page.primary.isEnabled)
    assert page.banner.text.text() == "The texts that were imported are not there any more. Import again."
    hands.run(page)
    assert hands.window.document.states()[IMPORT.key] is State.DONE
    assert not page.banner.isVisible()


# What is out of date --------------------------------------------------------------------------------------------------


def test_a_tuning_from_an_older_start_is_out_of_date(project_folder: Path) -> None:
    with Project.open(project_folder) as project:
        first = trained(project, 3)
        tuned(project, MetaPT=str(first / "prompt.safetensors"))
        assert states(project)[TUNE.key] is State.DONE
        trained(project, 4)
        assert states(project)[TUNE.key] is State.OUTDATED
        project.assign("meta-train", first)
        assert states(project)[TUNE.key] is State.DONE
        trained(project, 5)
        tuned(project, **{"From a file": str(first / "prompt.safetensors")})
        assert states(project)[TUNE.key] is State.DONE, "the person chose that one"


def test_other_unlabelled_texts_touch_no_groups_of_labelled_ones(project_folder: Path) -> None:
    with Project.open(project_folder) as project:
        for number, name in enumerate(("posts", "others")):
            folder = project.folder / "runs" / f"100{number}-import"
            read(write(project.folder / f"{name}.csv", rows=[(f"{name} {n}", "") for n in range(9)]), folder)
            if name == "posts":
                project.assign("open-text", folder)
                unlabelled = {"unlabelled": str(folder), "labelled": str(project.role("source"))}
                as_if_run(project, "annotated", AnnotateJob(cache="", settings=AnnotateSettings(), **unlabelled))
        project.set_value("learn from", "source")
        project.assign("open-text", folder)
        found = states(project)
        assert (found[LABEL.key], found[CLUSTER.key]) == (State.OUTDATED, State.DONE)
        project.set_value("learn from", "annotated")
        assert states(project)[CLUSTER.key] is State.OUTDATED


def test_a_file_that_grew_is_told(hands: Hands, project_folder: Path, tmp_path: Path) -> None:
    with Project.open(project_folder) as project:
        folder = project.role("target")
        job = read_json(folder / "job.json")
        own = tmp_path / "growing.csv"
        shutil.copy(job["files"][0], own)
        job["inputs"] = {str(own): next(iter(job["inputs"].values()))}
        job["files"] = [str(own)]
        write_json(folder / "job.json", job)
        assert not_imported(project, "target") == ""
        with open(own, "a", encoding="utf-8") as stream:
            stream.write("one more message,happy\n")
        assert not_imported(project, "target") == "the file has changed since it was imported"
        assert states(project)[IMPORT.key] is State.OUTDATED
        own.unlink()
        assert not_imported(project, "target") == "", "a drive that is not there is no change"


# The prompt that is used ----------------------------------------------------------------------------------------------


def test_a_new_tuning_takes_the_place_of_a_loaded_prompt(hands: Hands, project_folder: Path) -> None:
    hands.window.projects.open(project_folder)
    document = hands.window.document
    document.set_value("loaded prompt", "an older one.safetensors")
    with Project.open(project_folder, read_only=True) as project:
        job = TuneJob(corpus=str(project.role("target")))
        folder, _ = project.run_folder(job)
    folder.mkdir()
    write_json(folder / "job.json", job.document())
    document.assign("meta-train", folder)
    assert document.value("loaded prompt"), "only a tuning makes a prompt for the task"
    document.assign("tune", folder)
    assert not document.value("loaded prompt")
    assert document.states()[USE.key] is not State.OUTDATED
