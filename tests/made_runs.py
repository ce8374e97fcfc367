"""Runs as they lie in a project when they have ended, mostly without anything having been run."""

from __future__ import annotations

import json
from pathlib import Path

from engine.evaluation.results import Figures
from engine.events import Event, Failed, Finished, to_json
from engine.jobs import MetaTrainJob
from engine.jobs.job import Job
from engine.jobs.session import Session
from engine.project import Project
from engine.running.perform import perform
from engine.settings import BackboneSettings, MetaTrainSettings
from engine.stage import StopToken

FAILED, STOPPED = Failed("TrainingError", "The loss is no longer a number"), Finished("", "stopped")


def training(steps: int = 10, backbone: str = "bundled") -> MetaTrainJob:
    """Return a meta-training of so many steps on nothing."""
    settings = MetaTrainSettings(steps=steps)
    return MetaTrainJob(corpus="", clusters="", settings=settings, backbone=BackboneSettings(backbone=backbone))


def figures(accuracy: float = 0.5, deviation: float = 0.0) -> Figures:
    """Return the figures of a method that is as good as this."""
    return Figures(
        seeds=2,
        accuracy_mean=accuracy,
        accuracy_std=deviation,
        macro_f1_mean=accuracy,
        macro_f1_std=deviation,
        expected_calibration_error_mean=0.1,
        expected_calibration_error_std=0.0,
        majority_accuracy=0.5,
        largest_predicted_share_max=0.6,
    )


def as_if_run(project: Project, role: str, job: Job) -> Path:
    """Let ``role`` stand on a run of ``job`` that was completed, and return its folder."""
    folder, _ = project.run_folder(job)
    folder.mkdir()
    (folder / "job.json").write_text(json.dumps(job.document()), encoding="utf-8")
    done = {"event": "Finished", "result": str(folder), "outcome": "completed", "summary": {}}
    (folder / "result.json").write_text(json.dumps(done), encoding="utf-8")
    project.assign(role, folder)
    return folder


def run_here(project: Project, role: str, job: Job, session: Session) -> str:
    """Run ``job`` in this process, let ``role`` stand on it, and return its folder."""
    folder, _ = project.run_folder(job)
    last = list(perform(job, folder, session, StopToken()))[-1]
    assert isinstance(last, Finished), last
    project.assign(role, folder)
    return str(folder)


def leaving(job: Job, folder: Path, last: Event, left: str) -> Event:
    """Leave in ``folder`` what a run of ``job`` does that wrote a file and ended with ``last``, and return that."""
    folder.mkdir(exist_ok=True)
    (folder / left).write_bytes(b"something")
    (folder / "job.json").write_text(json.dumps(job.document()), encoding="utf-8")
    (folder / "result.json").write_text(to_json(last), encoding="utf-8")
    return last
