"""The steps from texts to a prompt, what each one needs, and how far a project is in each."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from engine.clustering.edits import task_fields
from engine.corpus.store import Corpus
from engine.errors import MetaPTError
from engine.evaluation.results import PROBE_FILES
from engine.jobs import ImportJob, MetaTrainJob, TuneJob
from engine.jobs.job import ANNOTATED_FROM, Job, Version, is_version, within_project
from engine.jobs.prompt_jobs import PromptJob
from engine.jobs.record import RunRecord
from engine.jobs.target_jobs import TargetJob
from engine.jobs.target_task import task_from
from engine.project import Project
from engine.prompting.header import soft_tokens
from engine.roles import IMPORTED, LEARNED
from engine.running.runs import PROMPT, moved_on, own_labels_taught, tested_on

PROBES = {file: name for name, file in PROBE_FILES.items()}
"""What a run of linear probes may leave -> what it is called."""
LOOKED_AT = 100
"""Of more files than these it is not asked whether they have changed."""


class State(Enum):
    """How far a step is; the value is what the rail says."""

    TODO = "to do"
    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    OUTDATED = "out of date"


@dataclass(frozen=True)
class Step:
    """A step, and a page of the window; ``roles`` are those of its runs (`main_role`)."""

    key: str
    title: str
    sentence: str
    roles: tuple[str, ...]


IMPORT = Step(
    "import",
    "Import",
    "Bring in texts: labelled ones that teach, and those of the task that you care about.",
    IMPORTED,
)
LABEL = Step(
    "label",
    "Pseudo-label",
    "Give unlabelled texts the labels that the labelled ones suggest. Optional: without it the labelled ones are used.",
    ("annotated",),
)
CLUSTER = Step(
    "cluster",
    "Cluster",
    "Groups of similar texts become the tasks that the prompt learns from.",
    ("clusters",),
)
TRAIN = Step(
    "train",
    "Meta-train",
    "Learn where a prompt should start, so that a few labels are enough later.",
    tuple(LEARNED.values()),
)
TUNE = Step(
    "tune",
    "Label and tune",
    "Label a handful of your own texts, then tune the prompt on them.",
    ("tune", "linear-probe"),
)
USE = Step("use", "Use and export", "Try the prompt, classify files, and take it away as a small file.", ())
STEPS = (IMPORT, LABEL, CLUSTER, TRAIN, TUNE, USE)


def training_role(project: Project) -> str:
    """Return the role of the texts that are grouped and learnt from.

    The pseudo-labelled ones if there are any, and the person does not want the labelled ones all the same.
    """
    wanted = project.value("learn from") != "source"
    return "annotated" if wanted and project.has_role("annotated") else "source"


def way_to_learn(project: Project) -> str:
    """Return how a prompt is learned, MetaPT or PPT: as the person chose, else as it was done."""
    chosen = project.value("learn by")
    if isinstance(chosen, str) and chosen in LEARNED:
        return chosen
    return next((way for way, role in LEARNED.items() if project.has_role(role)), next(iter(LEARNED)))


def learned_prompts(project: Project) -> dict[str, Path]:
    """Return way -> prompt, for the ways by which one was learned, the chosen way first."""
    first = way_to_learn(project)
    ways = [first, *(way for way in LEARNED if way != first)]
    return {way: project.role(LEARNED[way]) / PROMPT for way in ways if project.has_role(LEARNED[way])}


def main_role(project: Project, step: Step) -> str:
    """Return the role of a step's main result; of two learned prompts that of the way that is chosen."""
    if step is not TRAIN:
        return step.roles[0]
    return LEARNED[next(iter(learned_prompts(project)), way_to_learn(project))]


def embedded_source(project: Project) -> str:
    """Return the folder of the labelled texts if something has made vectors of all of them; else empty.

    A probe that learns from them, too, is a matter of seconds then. It has nothing to learn from them if they are the
    labels of the task itself.
    """
    if not project.has_role("source") or own_labels_taught(project):
        return ""
    source = project.role("source")
    for role, name in (("clusters", "corpus"), ("annotated", "labelled")):
        record = project.record_of(role)
        if record is not None and not moved_on(project, record.job, {name: "source"}):
            return str(source)
    return ""


def probe_files(project: Project) -> dict[str, Path]:
    """Return name -> file of the linear probes that were fitted on the labels of the present tuning."""
    tuned, probed = project.record_of("tune"), project.record_of("linear-probe")
    if tuned is None or probed is None or not on_same_labels(tuned.job, probed.job):
        return {}
    files = {name: project.role("linear-probe") / name for name in PROBES}
    return {name: path for name, path in files.items() if path.exists()}


def probe_of(project: Project, tuning: Path) -> Path | None:
    """Return the newest run of linear probes on the same labels as a tuning; ``None`` if there is none."""
    try:
        tuned = RunRecord.open(tuning).job
    except MetaPTError:
        return None
    for folder in project.runs("linear-probe"):
        with contextlib.suppress(MetaPTError):
            if on_same_labels(tuned, RunRecord.open(folder).job):
                return folder
    return None


def on_same_labels(job: Job, other: Job) -> bool:
    """Whether two jobs on the target task learned from the same texts and labels."""
    if not (isinstance(job, TargetJob) and isinstance(other, TargetJob)):
        return False
    folders = all(
        Path(getattr(job, name)).name == Path(getattr(other, name)).name for name in ("corpus", "test", "taught")
    )
    return folders and all(
        getattr(job, name) == getattr(other, name) for name in ("labels", "classes", "renamed", "tune")
    )


def classifier_path(project: Project) -> Path | None:
    """Return what the last step classifies with.

    A prompt or a probe that was loaded from a file, else the probe that the person chose, else the tuned prompt.
    """
    if loaded := project.value("loaded prompt"):
        return Path(loaded)
    if (chosen := project.value("used")) and (probe := probe_files(project).get(chosen)):
        return probe
    return tuned_prompt(project)


def tuned_prompt(project: Project | None) -> Path | None:
    """Return the prompt that was tuned, or else learned, in the project."""
    step = _prompt_step(project) if project is not None else None
    return project.role(main_role(project, step)) / PROMPT if project is not None and step is not None else None


def _prompt_step(project: Project) -> Step | None:
    """Return the step whose prompt the last step uses if none was loaded."""
    for step in (TUNE, TRAIN):
        role = main_role(project, step)
        if project.has_role(role) and (project.role(role) / PROMPT).exists():
            return step
    return None


def backbone_of(prompt: Path) -> str:
    """Return the backbone of the run that left a prompt; empty if it is not known or not there any more."""
    try:
        job = RunRecord.open(prompt.parent).job
    except MetaPTError:
        return ""
    name = job.backbone.backbone if isinstance(job, PromptJob) else ""
    return name if not Path(name).is_absolute() or Path(name).is_dir() else ""


def alike(prompt: Path, other: Path) -> bool:
    """Whether two prompts of a project can be tuned side by side: as long, and made on the same backbone."""
    try:
        same = soft_tokens(prompt) == soft_tokens(other)
    except MetaPTError:
        return False
    return same and backbone_of(prompt) == backbone_of(other) != ""


def only_class(project: Project) -> str:
    """Return the class that all labelled texts have; empty if there are several, or the texts cannot be read."""
    if not project.has_role("source"):
        return ""
    try:
        classes = Corpus.open(project.role("source")).classes
    except MetaPTError:
        return ""
    return classes[0] if len(classes) == 1 else ""


def missing(project: Project, step: Step) -> Step | None:
    """Return the step that has to be done before ``step`` can be; ``None`` if nothing is missing."""
    has = project.has_role
    if step is LABEL:
        return None if has("annotated") or (has("source") and has("open-text")) else IMPORT
    if step is CLUSTER:
        return None if has("source") and not only_class(project) else IMPORT
    if step is TRAIN:
        return missing(project, CLUSTER) or (None if _needs_no_groups(project) or has("clusters") else CLUSTER)
    if step is TUNE:
        return None if has("target") else IMPORT
    if step is USE:
        return None if classifier_path(project) is not None else missing(project, TUNE) or TUNE
    return None


def optional(project: Project, step: Step) -> bool:
    """Whether a prompt for the task can be tuned without ``step``, with the texts that the project has."""
    has = project.has_role
    if step is LABEL:
        return not has("open-text")
    if step is CLUSTER and _needs_no_groups(project):
        return True
    return step in (CLUSTER, TRAIN) and has("target") and not has("source")


def states(project: Project, running: str | None = None) -> dict[str, State]:
    """Return step -> state; ``running`` is the key of the step whose job runs now."""
    has = project.has_role
    changed = bool(reasons_to_import(project))
    complete = has("target")  # without labelled texts a prompt can still be tuned from a plain start
    found = {IMPORT.key: State.OUTDATED if changed else State.DONE if complete else State.READY}

    @functools.cache
    def stale(role: str) -> bool:
        return outdated(project, role) or any(stale(before) for before in _made_from(project, role))

    for step in (LABEL, CLUSTER, TRAIN, TUNE):
        if has(role := main_role(project, step)):
            found[step.key] = State.OUTDATED if stale(role) else State.DONE
        else:
            found[step.key] = State.TODO if missing(project, step) else State.READY
    found[USE.key] = State.READY if classifier_path(project) is not None else State.TODO
    made_in = None if project.value("loaded prompt") else _prompt_step(project)
    if made_in is not None and found[made_in.key] is State.OUTDATED:
        found[USE.key] = State.OUTDATED
    if running is not None:
        found[running] = State.RUNNING
    return found


def _needs_no_groups(project: Project) -> bool:
    return way_to_learn(project) == "PPT"


def _made_from(project: Project, role: str) -> list[str]:
    """Return the roles of later steps than the import that a role's result stands on, and that are there."""
    record, before = project.record_of(role), list[str]()
    if role == "meta-train":
        before = ["clusters"]
    elif role in ("clusters", "pretrain-prompt"):
        before = ["annotated"] if training_role(project) == "annotated" else []
    elif record is not None and isinstance(record.job, TuneJob):
        first = Path(next(iter(record.job.starts.values()), "")).parent.name  # the others are there to compare
        before = [learned for learned in LEARNED.values() if first.endswith(f"-{learned}")]
    return [name for name in before if project.has_role(name)]


def not_imported(project: Project, role: str) -> str:
    """Return why a role's texts are not those that would be imported now; empty if they are.

    Other files or settings are chosen, a file has another length by now, or the texts that were imported are gone.
    """
    if not project.has_role(role):
        return ""
    record = project.record_of(role)
    if record is None or not isinstance(record.job, ImportJob):
        return "the texts that were imported are not there any more"
    files, settings = project.value(f"files {role}"), project.value(f"import {role}") or {}
    if files is not None and not _same_files(files, record.job.files):
        return "the files chosen are not imported yet"
    done = record.job.settings.model_dump(mode="json")
    if any(done.get(name) != value for name, value in settings.items()):
        return "the settings are not imported yet"
    grown = len(record.versions) <= LOOKED_AT and _grown(record.versions)
    return "the file has changed since it was imported" if grown else ""


def reasons_to_import(project: Project) -> dict[str, str]:
    """Return role -> why its texts are not those that would be imported now, for roles where they are not."""
    return {role: reason for role in IMPORT.roles if (reason := not_imported(project, role))}


def _grown(inputs: Mapping[str, Version]) -> bool:
    """Whether a file is there and has another length than the one that was recorded; times say little."""
    for path, version in inputs.items():
        with contextlib.suppress(OSError, ValueError):  # of a path that no file can have
            if isinstance(version, list) and version and os.stat(path).st_size != version[0]:
                return True
    return False


def _same_files(chosen: Sequence[str], read: Sequence[str]) -> bool:
    """Whether the files that were read are those chosen, or lie in the folders chosen."""

    def inside(file: str, name: str) -> bool:
        return file == name or file.startswith(os.path.join(name, ""))

    all_read = all(any(inside(file, name) for file in read) for name in chosen)
    return all_read and all(any(inside(file, name) for name in chosen) for file in read)


def outdated(project: Project, role: str) -> bool:
    """Whether what a role's run was made from has changed since: another corpus, other groups, other labels.

    So it has if it cannot be read any more.
    """
    record = project.record_of(role)
    try:
        return record is None or _stands_on_others(project, role, record.job) or _inputs_changed(project, record)
    except MetaPTError:
        return True


def _stands_on_others(project: Project, role: str, job: Job) -> bool:
    training = training_role(project)
    expected = {
        "annotated": ANNOTATED_FROM,
        "clusters": {"corpus": training},
        "meta-train": {"corpus": training, "clusters": "clusters"},
        "pretrain-prompt": {"corpus": training},
        "tune": {"corpus": "target"},
    }.get(role, {})
    if moved_on(project, job, expected):
        return True
    if isinstance(job, MetaTrainJob):
        fields = task_fields(project.cluster_edits(project.role("clusters")))
        return {name: getattr(job, name) for name in fields} != fields
    if isinstance(job, TuneJob):
        for way, prompt in learned_prompts(project).items():
            start = job.starts.get(way, "")
            if within_project(start) and Path(start).parent.name != prompt.parent.name:
                return True
        if Path(job.test).name != Path(tested_on(project)).name:
            return True
        corpus = Corpus.open(project.role("target"))
        task = task_from(project.value("task"))
        wanted = task.fields(corpus, project.labels(corpus.content_hash), {})
        same = ("labels", "classes", "renamed") if task.classes else ("labels",)
        return any(getattr(job, name) != wanted[name] for name in same)
    return False


def _inputs_changed(project: Project, record: RunRecord) -> bool:
    """Whether a run of this project that the job names has another result now (it went on, say)."""
    for path, version in record.versions.items():
        if not (name := within_project(path)):
            continue
        here = project.folder / name
        state = here / "result.json" if here.is_dir() else here
        if not is_version(state, version):
            return True
    return False
