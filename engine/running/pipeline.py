"""The whole way from files to a tuned prompt and a table, from one TOML file."""

from __future__ import annotations

import codecs
import contextlib
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import Field, ValidationError, model_validator

from engine.corpus.sources import find_sources
from engine.corpus.store import Corpus
from engine.errors import DataError, SettingsError, storage_errors
from engine.evaluation.results import Figures, RunResults
from engine.events import Event, Failed, Finished, Notice
from engine.jobs import (
    AnnotateJob,
    ClusterJob,
    FullModelJob,
    ImportJob,
    Job,
    MetaTrainJob,
    PretrainJob,
    ProbeJob,
    TuneJob,
)
from engine.jobs.record import ending
from engine.presets import DESCRIPTIONS, PARTS, Preset, as_many_texts, other_budget, preset
from engine.project import Project
from engine.running.failures import error_from
from engine.running.runs import begin, settle, stand
from engine.settings import (
    AnnotateSettings,
    BackboneSettings,
    ClusterSettings,
    FullModelSettings,
    ImportSettings,
    MetaTrainSettings,
    PretrainBackboneSettings,
    PretrainSettings,
    PromptSettings,
    Settings,
    TuneSettings,
    option,
    validated,
)
from engine.stage import Stopped, StopToken

Comparison = Literal["PPT", "PT", "linear probe", "full model"]
SO_FAR = "Until then what there is so far is used."
"""What is said of a run that was stopped and is stood on."""


class CorpusSettings(ImportSettings):
    """Which files, and how they are read."""

    files: list[str] = option([], "Files, folders or globs; relative paths start at this file's folder.", min_length=1)


class PipelineSettings(Settings):
    """A pipeline: where it is kept, its corpora, and the settings of each of its stages."""

    project: str = option("pipeline.metapt", "Project folder; relative paths start where the command is run.")
    preset: Preset | None = option(
        None,
        "quick, laptop or paper: settings of [meta_train], [pretrain], [prompt] and [tune] that go together; what "
        "those sections say goes before.",
    )
    source: CorpusSettings
    open_text: CorpusSettings | None = option(
        None, "Open-domain text to pseudo-label (MetaPT); without it the source itself is clustered (MetaPT(Y))."
    )
    target: CorpusSettings
    test: CorpusSettings | None = option(None, "Corpus to test on, instead of rows set aside from the target.")
    annotate: AnnotateSettings = Field(default_factory=AnnotateSettings)
    cluster: ClusterSettings = Field(default_factory=ClusterSettings)
    backbone: BackboneSettings = Field(default_factory=BackboneSettings)
    prompt: PromptSettings = Field(default_factory=PromptSettings)
    meta_train: MetaTrainSettings = Field(default_factory=MetaTrainSettings)
    pretrain: PretrainSettings = Field(default_factory=PretrainSettings)
    tune: TuneSettings = Field(default_factory=TuneSettings)
    full_model: FullModelSettings = Field(default_factory=FullModelSettings)
    compare: list[Comparison] = option(
        ["PPT", "PT", "linear probe"], "What stands beside MetaPT in the table: PPT, PT, linear probe, full model."
    )

    @model_validator(mode="before")
    @classmethod
    def _with_preset(cls, values: Any) -> Any:
        if not isinstance(values, dict) or str(values.get("preset")) not in DESCRIPTIONS:
            return values
        named, backbone = values["preset"], values.get("backbone")
        which = str(backbone.get("backbone", "bundled")) if isinstance(backbone, dict) else "bundled"
        own = {part: values.get(part, {}) for part in PARTS}
        chosen = preset(named, which)
        parts = {part: chosen[part] | given for part, given in own.items() if isinstance(given, dict)}
        groups, pretrain = values.get("cluster"), own["pretrain"]
        if named != "paper" and isinstance(pretrain, dict):
            with contextlib.suppress(ValidationError, TypeError):  # what is wrong is told by its own model
                number = ClusterSettings(**(groups if isinstance(groups, dict) else {})).clusters
                budget = as_many_texts(MetaTrainSettings(**parts["meta_train"]), number)
                parts["pretrain"] = chosen["pretrain"] | budget | pretrain
        return values | parts


def read_pipeline(path: Path, *, data: Path | None = None) -> PipelineSettings:
    """Read a TOML file; ``{data}`` in its file names is replaced by ``data``.

    Raises
    ------
    SettingsError
        If it is no TOML or a setting is wrong, or it asks for ``{data}`` and there is none.
    StorageError
        If it cannot be read.
    """
    values = _read_toml(path)
    for section in ("source", "open_text", "target", "test"):
        corpus = values.get(section)
        if isinstance(corpus, dict) and isinstance(corpus.get("files"), list):
            corpus["files"] = _resolved(corpus["files"], path.parent, data)
    return validated(PipelineSettings, values, where=str(path))


def read_pretraining(path: Path, *, data: Path | None = None) -> PretrainBackboneSettings:
    """Read the TOML file of a pre-training, its file names as in `read_pipeline`.

    Raises
    ------
    SettingsError, StorageError
        As `read_pipeline`.
    """
    values = _read_toml(path)
    tasks = values.get("tasks")
    for part in [values, *(task for task in tasks if isinstance(task, dict))] if isinstance(tasks, list) else [values]:
        for name in {"files", "keep_out"} & set(part):
            if isinstance(part[name], list):
                found = find_sources(_resolved(part[name], path.parent, data))
                part[name] = list(dict.fromkeys(str(source.path.absolute()) for source in found))
    if values.get("start"):
        (values["start"],) = _resolved([values["start"]], path.parent, data)
    return validated(PretrainBackboneSettings, values, where=str(path))


def _read_toml(path: Path) -> dict[str, Any]:
    with storage_errors(path):
        raw = path.read_bytes()
    # What PowerShell's > writes is UTF-16.
    encoding = "utf-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return tomllib.loads(raw.decode(encoding))
    except (ValueError, RecursionError) as error:  # also of numbers with thousands of digits
        raise SettingsError(f"This is no valid TOML file ({error})", where=path) from error


def _resolved(names: list[Any], folder: Path, data: Path | None) -> list[str]:
    found = []
    for name in map(str, names):
        if "{data}" not in name:
            try:
                found.append(str(folder.resolve() / Path(name).expanduser()))
            except RuntimeError as error:
                raise SettingsError("There is no such home folder", where=name, remedy="Check the path.") from error
        elif data is not None:
            found.append(name.replace("{data}", str(data.resolve())))
        else:
            raise SettingsError(
                f"'{name}' needs a data folder",
                remedy="Give it with --data or in the environment variable METAPT_DATA.",
            )
    return found


class Runner(Protocol):
    """Runs a job into a folder and streams its events (`engine.running.process.EngineProcess.run` is one)."""

    def __call__(self, job: Job, folder: Path) -> Iterator[Event]: ...


class Steps:
    """Runs jobs into a project, one after another; a step that is done already is passed over.

    Parameters
    ----------
    project
        Open for writing.
    runner
        Who runs them.
    show
        Is handed the name of the role and each event.
    stop
        No other job is begun once it is requested; the present one is the runner's to stop.
    """

    def __init__(
        self, project: Project, runner: Runner, show: Callable[[str, Event], None], stop: StopToken | None = None
    ) -> None:
        self.project, self._runner, self.show, self._stop = project, runner, show, stop or StopToken()

    def run(self, role: str, job: Job, *, fresh: bool = False) -> Path:
        """Run ``job`` (found done, only if ``fresh``), let ``role`` stand on it, and return its folder.

        Raises
        ------
        MetaPTError
            Whatever ended it.
        Stopped
            If the person stopped it.
        """
        if self._stop.requested:
            raise Stopped
        job, folder, done = begin(self.project, job, fresh=fresh)
        if done:
            self.show(role, Finished(str(folder), "completed", ending(folder).summary | {"reused": True}))
            stand(self.project, role, folder)
        else:
            last = _last_event(self._runner, job, folder, lambda event: self.show(role, event))
            kept = settle(self.project, role, folder, last)
            _raise_for(last, SO_FAR if kept else "")
        return folder


def run_to_end(runner: Runner, job: Job, folder: Path, show: Callable[[Event], None]) -> None:
    """Run ``job`` into ``folder`` and show its events.

    Raises
    ------
    MetaPTError
        If it failed.
    Stopped
        If the person stopped it.
    """
    _raise_for(_last_event(runner, job, folder, show))


def _last_event(runner: Runner, job: Job, folder: Path, show: Callable[[Event], None]) -> Event | None:
    last: Event | None = None
    for event in runner(job, folder):
        show(event)
        last = event
    return last


def _raise_for(last: Event | None, said: str = "") -> None:
    if isinstance(last, Failed):
        raise error_from(last)
    if isinstance(last, Finished) and last.outcome == "stopped":
        raise Stopped(said)


def import_job(files: list[str], settings: ImportSettings) -> ImportJob:
    """Return the job that imports files, folders and globs as they are now.

    Raises
    ------
    StorageError, DataError
        If one matches nothing that can be read.
    """
    found = dict.fromkeys(str(source.path.absolute()) for source in find_sources(files))
    return ImportJob(files=list(found), settings=settings)


def run_pipeline(settings: PipelineSettings, steps: Steps) -> dict[str, Figures]:
    """Run every step of the pipeline and return method -> summary, MetaPT first.

    Raises
    ------
    DataError
        If the source or the target has fewer than two classes.
    MetaPTError, Stopped
        As `Steps.run`.
    """
    project = steps.project
    cache = str(project.cache.resolve())

    def imported(role: str, corpus: CorpusSettings) -> str:
        plain = ImportSettings(**corpus.model_dump(exclude={"files"}))
        return str(steps.run(role, import_job(corpus.files, plain)))

    # All files are read, and refused if need be, before anything is computed from any.
    source = training = imported("source", settings.source)
    target = imported("target", settings.target)
    test = imported("test", settings.test) if settings.test is not None else ""
    unlabelled = imported("open-text", settings.open_text) if settings.open_text is not None else ""
    prompting: dict[str, Any] = {"backbone": settings.backbone, "prompt": settings.prompt}
    task: dict[str, Any] = {"corpus": target, "test": test, "tune": settings.tune}
    for role, corpus in (("source", Corpus.open(source)), ("target", TuneJob(**task, **prompting).corpora()[0])):
        if len(corpus.classes) < 2:
            found = "only one class" if corpus.classes else "no labels"
            raise DataError(
                f"The {role} has {found}, so there is nothing to tell apart",
                where=f"[{role}]",
                remedy="Choose another label_column, or other texts.",
            )

    if "PPT" in settings.compare:
        rows = Corpus.open(unlabelled or source).rows
        if text := other_budget(settings.pretrain, settings.meta_train, settings.cluster.clusters, rows):
            steps.show("pretrain-prompt", Notice(text, "warning"))
    if unlabelled:
        annotation = AnnotateJob(labelled=source, unlabelled=unlabelled, cache=cache, settings=settings.annotate)
        training = str(steps.run("annotated", annotation))
    clusters = steps.run("clusters", ClusterJob(corpus=training, cache=cache, settings=settings.cluster))
    learned = steps.run(
        "meta-train",
        MetaTrainJob(corpus=training, clusters=str(clusters), settings=settings.meta_train, **prompting),
    )
    starts = {"MetaPT": str(learned / "prompt.safetensors")}
    if "PPT" in settings.compare:
        pretrained = steps.run("pretrain-prompt", PretrainJob(corpus=training, settings=settings.pretrain, **prompting))
        starts["PPT"] = str(pretrained / "prompt.safetensors")
    if "PT" in settings.compare:
        starts["PT"] = "random"

    results = [steps.run("tune", TuneJob(starts=starts, **task, **prompting))]
    if "full model" in settings.compare:
        job = FullModelJob(
            settings=settings.full_model, **task, **{**prompting, "backbone": _float32(settings.backbone)}
        )
        results.append(steps.run("full-model", job))
    if "linear probe" in settings.compare:
        results.append(steps.run("linear-probe", ProbeJob(source=source, cache=cache, **task)))
    return merged_summaries(results)


def merged_summaries(folders: list[Path]) -> dict[str, Figures]:
    """Return method -> figures over seeds of several runs."""
    summary: dict[str, Figures] = {}
    for folder in folders:
        summary.update(RunResults.open(folder).summary)
    return summary


def _float32(backbone: BackboneSettings) -> BackboneSettings:
    # All weights are tuned in float32; a bank over a frozen backbone may compute in bfloat16.
    return backbone.model_copy(update={"precision": "float32"})
