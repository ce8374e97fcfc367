"""What a project's runs were started with.

A project that was begun in a terminal goes on in the window from there, and what is set otherwise by now can be told.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.annotation.reselect import REJECTED
from engine.corpus.store import Corpus
from engine.errors import SettingsError, StorageError
from engine.jobs import ImportJob, MetaTrainJob, PretrainJob, SelectJob, TuneJob
from engine.jobs.job import WHERE_AND_HOW, Job, with_whole_path
from engine.jobs.record import RunRecord
from engine.jobs.target_task import task_from
from engine.project import Project
from engine.roles import LEARNED
from engine.settings import (
    AnnotateSettings,
    BackboneSettings,
    ClusterSettings,
    MetaTrainSettings,
    PretrainSettings,
    PromptSettings,
    Settings,
    TuneSettings,
    validated,
)
from engine.workflow import IMPORT, learned_prompts, way_to_learn
from metapt_gui.models.annotated import audited_texts
from metapt_gui.starts import NAMES, first_start

OWN = "own settings"
"""The name of settings that are no preset."""
_PARTS: Mapping[str, Mapping[str, tuple[str, type[Settings]]]] = {
    "annotated": {"annotate": ("settings", AnnotateSettings)},
    "clusters": {"cluster": ("settings", ClusterSettings)},
    "meta-train": {
        "meta_train": ("settings", MetaTrainSettings),
        "prompt": ("prompt", PromptSettings),
        "backbone": ("backbone", BackboneSettings),
    },
    "pretrain-prompt": {
        "pretrain": ("settings", PretrainSettings),
        "prompt": ("prompt", PromptSettings),
        "backbone": ("backbone", BackboneSettings),
    },
    "tune": {
        "tune": ("tune", TuneSettings),
        "prompt": ("prompt", PromptSettings),
        "backbone": ("backbone", BackboneSettings),
    },
}
"""Role -> value of the window -> part of the job that made the role's run, and what it has to be."""
_NOT_CHOSEN = {"tune": ("test_rows", "soft_tokens")}
"""Role -> settings that its page works out by itself: from the number of labels, and from the learned start."""


def values_of_runs(project: Project) -> dict[str, Any]:
    """Return values as the window keeps them, taken from the runs that the project stands on.

    What cannot be read, or is of another version, is left out.
    """
    found: dict[str, Any] = {}
    for role in IMPORT.roles:
        record = project.record_of(role)
        if record is not None and isinstance(record.job, ImportJob):
            found |= {f"files {role}": record.job.files, f"import {role}": record.job.settings.model_dump(mode="json")}
    for role in _PARTS:
        record = project.record_of(role)
        found = _values(record.job if record is not None else None, role) | found
    if "meta_train" in found or "pretrain" in found:
        found["preset"] = OWN
    return found


def values_of_run(folder: Path, role: str) -> dict[str, Any]:
    """Return values as the window keeps them, taken from a run that a role could stand on."""
    try:
        job = RunRecord.open(folder).job
    except StorageError:
        return {}
    values = _values(job, role)
    if isinstance(job, (MetaTrainJob, PretrainJob)):
        way = next(way for way, learned in LEARNED.items() if learned == role)
        values |= {"preset": OWN, "source words": job.words, "learn by": way}
    return values


def _values(job: Job | None, role: str) -> dict[str, Any]:
    parts = {name: (getattr(job, part, None), kind) for name, (part, kind) in _PARTS.get(role, {}).items()}
    return {name: value.model_dump(mode="json") for name, (value, kind) in parts.items() if isinstance(value, kind)}


def changed_settings(project: Project, role: str) -> list[str]:
    """Return the names of the settings that are others now than those that a role's result was made with.

    What changes no result, such as the device, is left out.
    """
    record = project.record_of(role)
    if record is None:
        return []
    changed: dict[str, None] = {}
    for name, then in _values(record.job, role).items():
        part, kind = _PARTS[role][name]
        now = _valid(project.value(name), kind)
        passed_over = (*WHERE_AND_HOW.get(part, ()), *_NOT_CHOSEN.get(role, ()))
        if now is not None:
            others = (setting for setting in now if setting not in passed_over and now[setting] != then[setting])
            changed |= dict.fromkeys(setting.replace("_", " ") for setting in others)
    edits = record.job.edits if isinstance(record.job, SelectJob) else {}
    if role == "annotated" and edits != _decisions(project):
        changed["decisions in the audit"] = None
    if role in LEARNED.values() and LEARNED[way_to_learn(project)] != role:
        changed["how a prompt is learned"] = None
    value = None
    if role in LEARNED.values():
        value = project.value("source words")
    elif isinstance(record.job, TuneJob):
        value = task_from(project.value("task")).words
        if _starts_elsewhere(project, record.job):
            changed["where the prompt starts"] = None
    words, known = value if isinstance(value, dict) else {}, getattr(record.job, "words", {})
    if any(known[name] != word for name, word in words.items() if name in known):
        changed["label words"] = None
    return list(changed)


def _starts_elsewhere(project: Project, job: TuneJob) -> bool:
    """Whether tuning would begin with another start now than it did, if one of the two is a learned prompt."""
    learned, task = learned_prompts(project), project.value("task")
    now = NAMES[first_start(task.get("start") if isinstance(task, dict) else "", learned)]
    then = next(iter(job.starts), "")
    return bool({now, then} & LEARNED.keys()) and now != then


def _decisions(project: Project) -> dict[int, str]:
    """Return what was decided about the unlabelled texts and can be applied: a class may be gone."""
    subject = audited_texts(project.role("annotated"))
    corpus = Corpus.open(project.role("source")) if project.has_role("source") else None
    known = (*(corpus.classes if corpus is not None else ()), REJECTED)
    return {row: name for row, name in project.labels(subject).items() if name in known} if subject else {}


def _valid(values: Any, kind: type[Settings]) -> dict[str, Any] | None:
    if not isinstance(values, dict):
        return None
    try:
        found = validated(kind, values)
    except SettingsError:
        return None
    return (with_whole_path(found) if isinstance(found, BackboneSettings) else found).model_dump(mode="json")
