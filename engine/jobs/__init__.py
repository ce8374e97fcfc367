"""All jobs: a stage with its inputs and settings in the words of files, so that it can cross a pipe and be run again.

Importing them is light (no torch); the stages are imported when a job runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import SettingsError
from engine.jobs.backbone_jobs import BackboneJob, PretrainBackboneJob
from engine.jobs.corpus_jobs import AnnotateJob, ClusterJob, ImportJob, SelectJob
from engine.jobs.job import Job
from engine.jobs.prompt_jobs import EvaluateJob, MetaTrainJob, PredictJob, PretrainJob
from engine.jobs.target_jobs import FullModelJob, ProbeJob, TuneJob
from engine.settings import validated

__all__ = [
    "JOBS",
    "AnnotateJob",
    "BackboneJob",
    "ClusterJob",
    "EvaluateJob",
    "FullModelJob",
    "ImportJob",
    "Job",
    "MetaTrainJob",
    "PredictJob",
    "PretrainBackboneJob",
    "PretrainJob",
    "ProbeJob",
    "SelectJob",
    "TuneJob",
    "job_from",
]

JOBS: dict[str, type[Job]] = {
    kind.stage: kind
    for kind in (
        ImportJob,
        AnnotateJob,
        SelectJob,
        ClusterJob,
        MetaTrainJob,
        PretrainJob,
        TuneJob,
        FullModelJob,
        ProbeJob,
        BackboneJob,
        PredictJob,
        EvaluateJob,
        PretrainBackboneJob,
    )
}


def job_from(document: Mapping[str, Any]) -> Job:
    """Return the job that `Job.document` described.

    Raises
    ------
    SettingsError
        If it names no stage or a setting is wrong.
    """
    values = dict(document)
    stage = values.pop("stage", None)
    values.pop("inputs", None)
    if not isinstance(stage, str) or stage not in JOBS:
        raise SettingsError(f"There is no stage '{stage}'", remedy=f"The stages are {', '.join(JOBS)}.")
    return validated(JOBS[stage], values, where=str(stage))
