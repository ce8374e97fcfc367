"""An engine process and a display, with or without a project, for as long as a command runs."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from engine import workflow
from engine.command_line.display import make_display
from engine.command_line.options import mapping
from engine.command_line.tables import from_here, show_classes
from engine.corpus.store import Corpus
from engine.errors import MetaPTError, ProjectError, SettingsError, storage_errors
from engine.evaluation.results import NAME, RunResults
from engine.events import Event, Notice
from engine.jobs import PredictJob
from engine.jobs.job import ANNOTATED_FROM, NO_PATHS, Job, with_whole_paths
from engine.jobs.target_task import task_from
from engine.project import Project
from engine.running.pipeline import Runner, Steps, run_to_end
from engine.running.process import EngineProcess
from engine.running.runs import moved_on, own_labels_taught, tested_on
from engine.settings import BackboneSettings, PromptSettings
from engine.stage import Stopped, StopToken
from engine.storage import read_json

TEXTS = {"annotated": "the pseudo-labelled texts", "source": "the labelled source"}
"""Role of what is learned from -> what it is called."""
DEMO_SENTENCES = (
    "I have been waiting for nine days and nobody answers my mails.",
    "Sorted out within minutes, and the lady on the phone was lovely.",
    "The refund came through this morning, thank you so much!",
)


@contextmanager
def engine_steps(project: Path, json: bool, *, create: bool = False) -> Iterator[Steps]:
    """Open the project, start an engine process, and let Ctrl-C stop the job (a second one cancels it).

    With ``create`` the project is made where there is none, and taken away again if its first step fails.
    """
    with storage_errors(project):
        new = create and not project.exists()
    try:
        if not create:
            check_there(project)
        with Project.open_or_create(project) as opened, _engine(json) as (run, show, stop):
            yield Steps(opened, run, show, stop)
    except MetaPTError:
        if new and (project / "project.json").is_file() and not read_json(project / "project.json")["roles"]:
            shutil.rmtree(project, ignore_errors=True)
        raise


def check_there(project: Path) -> None:
    """Refuse to go on without a project, in the words of a terminal.

    Raises
    ------
    ProjectError
        If there is none in the folder.
    """
    with storage_errors(project):
        there = (project / "project.json").is_file()
    if not there:
        remedy = "Name it with --project, or make one with `metapt import`."
        raise ProjectError("There is no MetaPT project here", where=project.absolute(), remedy=remedy)


@contextmanager
def engine_alone(json: bool) -> Iterator[Callable[[Job, Path], None]]:
    """Start an engine process and hand out what runs a job into a folder outside of any project; Ctrl-C as above."""
    with _engine(json) as (run, show, _):
        yield lambda job, folder: run_to_end(run, job, folder, lambda event: show(job.stage, event))


@contextmanager
def _engine(json: bool) -> Iterator[tuple[Runner, Callable[[str, Event], None], StopToken]]:
    display = make_display(json)
    stop = StopToken()
    engine: EngineProcess | None = None

    def interrupted(_signal: int, _frame: Any) -> None:
        if stop.requested:
            print("Cancelled. Run the same command again to start from the last checkpoint.", file=sys.stderr)
            raise KeyboardInterrupt
        stop.request()
        print("Stopping after this step ... (Ctrl-C again to give up at once)", file=sys.stderr)
        if engine is not None:
            engine.request_stop()

    def run(job: Job, folder: Path) -> Iterator[Event]:
        assert engine is not None
        if stop.requested:
            raise Stopped
        with closing(engine.run(job, folder)) as events:
            for event in events:
                if stop.requested:  # perhaps before the engine knew of the job
                    engine.request_stop()
                yield event

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        with EngineProcess() as engine:
            yield run, display.show, stop
    finally:
        signal.signal(signal.SIGINT, before)
        display.close()


def classify_files(job: PredictJob, project: Path, json: bool) -> None:
    """Classify files with the prompt of ``job``, the project's if it names none; with one there need be no project."""
    if job.prompt and not (project / "project.json").is_file():
        with TemporaryDirectory(prefix="metapt-") as folder, engine_alone(json) as run:
            run(with_whole_paths(job), Path(folder))
        return
    with engine_steps(project, json) as steps:
        prompt = job.prompt or tuned_prompt(steps.project, None)
        steps.run("predictions", job.model_copy(update={"prompt": prompt}), fresh=True)


def classify_sentences(sentences: Sequence[str], prompt: str, backbone: BackboneSettings, json: bool) -> None:
    """Classify sentences and print the probabilities of each."""
    with EngineProcess() as engine:
        for sentence in sentences:
            question = {"backbone": backbone.model_dump(), "prompt": prompt, "text": sentence}
            show_classes(sentence, engine.ask("classify", timeout=600, **question), json)


def training_corpus(steps: Steps, texts: str = "") -> str:
    """Return the corpus that teaches: the pseudo-labelled texts if there are any and nobody chose the source instead.

    Where there are both, says which one it is, and if the texts were imported again since they were pseudo-labelled.

    Parameters
    ----------
    texts
        ``"source"`` or ``"annotated"`` chooses from now on, for the window as well; empty keeps what was chosen.

    Raises
    ------
    SettingsError
        If it is neither.
    ProjectError
        If there are no such texts yet.
    """
    project = steps.project
    if texts not in ("", *TEXTS):
        raise SettingsError(f"'{texts}' names no texts", where="--texts", remedy=f"Choose {' or '.join(TEXTS)}.")
    if texts and project.role(texts):
        project.set_value("learn from", texts)
    if not project.has_role("annotated"):
        return str(project.role("source"))
    chosen = workflow.training_role(project)
    other = next(role for role in TEXTS if role != chosen)
    steps.show(chosen, Notice(f"Learning from {TEXTS[chosen]}; --texts {other} takes {TEXTS[other]}."))
    folder = project.role(chosen)
    if chosen == "source":
        return str(folder)
    for role in moved_on(project, project.record(folder).job, ANNOTATED_FROM):
        text = (
            f"The pseudo-labelled texts are older than the {role}, which was imported again since. Run `metapt "
            "annotate` to use what is there now."
        )
        steps.show("annotated", Notice(text, "warning"))
    return str(folder)


def tuned_prompt(project: Project, prompt: Path | None) -> str:
    """Return ``prompt``, or the one that was tuned, or else learned, in the project."""
    if prompt is not None:
        return str(prompt.resolve())
    return str(workflow.tuned_prompt(project) or project.role("tune") / "prompt.safetensors")


def tuned_prompt_in(project: Path) -> str:
    """Return the best prompt of the project in a folder."""
    check_there(project)
    with Project.open(project, read_only=True) as opened:
        return tuned_prompt(opened, None)


def which_prompt(prompt: Path) -> str:
    """Say which prompt of a project this is: the best of a tuning, or one that a tuning starts from."""
    shown, folder = from_here(prompt), prompt.parent
    if (folder / NAME).is_file():
        return f"the tuned prompt {shown} ({RunResults.open(folder).best})"
    return f"the starting prompt {shown}, which has not been tuned; `metapt tune` does that"


def named_starts(pairs: list[str] | None) -> dict[str, str]:
    """Return name -> start of options of the form name=start; a start alone is its own name."""
    return {name: start or name for name, _, start in (pair.partition("=") for pair in pairs or [])}


def known_starts(project: Project) -> dict[str, str]:
    """Return the starts that a project has, the learned ones first; of two that cannot share a bank the first."""
    learned = workflow.learned_prompts(project)
    first = next(iter(learned.values()), Path())
    starts = {way: str(prompt) for way, prompt in learned.items() if prompt == first or workflow.alike(first, prompt)}
    return starts | {"PT": "random"}


def as_learned(prompt: PromptSettings, starts: Iterable[str]) -> PromptSettings:
    """Return ``prompt`` with, wherever the person said nothing, the settings of the first of ``starts`` that is a file.

    A prompt is tuned with the template and the length that it was learned with.
    """
    for start in starts:
        if start not in NO_PATHS and Path(start).exists():
            from engine.prompting.prompt_file import load_prompt

            said = {name: getattr(prompt, name) for name in prompt.model_fields_set}
            return load_prompt(Path(start)).settings.model_copy(update=said)
    return prompt


def target_fields(project: Project, words: list[str] | None) -> dict[str, Any]:
    """Return what a job on the target task takes from the project, with label words of options besides."""
    corpus = Corpus.open(project.role("target"))
    task = task_from(project.value("task"))
    return {
        "corpus": str(corpus.folder),
        "test": tested_on(project),
        "taught": own_labels_taught(project),
        **task.fields(corpus, project.labels(corpus.content_hash), words=mapping("word", words or [])),
    }
