"""How far a project is: what the window's rail says, in a terminal."""

from __future__ import annotations

import time
from json import dumps as to_json
from typing import Annotated, Any, NamedTuple

import typer
from rich.table import Column, Table

from engine.command_line.options import DEFAULT_PROJECT, ProjectFolder
from engine.command_line.steps import check_there
from engine.command_line.tables import out
from engine.corpus.store import Corpus
from engine.errors import StorageError, storage_errors
from engine.jobs.record import ending
from engine.project import Project
from engine.roles import MADE_BY
from engine.wording import count
from engine.workflow import CLUSTER, IMPORT, LABEL, TRAIN, TUNE, State, main_role, not_imported, optional, states

COUNTED = (("kept", "texts"), ("groups", "groups"), ("steps", "steps"))
"""Facts of a run that are told, and their units."""


class Line(NamedTuple):
    """What is said of the run that a role stands on, if there is one; ``why`` it is out of date, if known."""

    step: str
    role: str
    state: str
    run: str
    began: str
    result: str
    why: str
    needed: bool = True


def lines(project: Project) -> list[Line]:
    """Return a line for each kind of texts that was imported, and one for each later step."""
    found = states(project)
    shown = []
    for role in IMPORT.roles:
        why = not_imported(project, role)
        if project.has_role(role):
            shown.append(_line(f"{IMPORT.title} {role}", project, role, State.OUTDATED if why else State.DONE, why))
    for step in (LABEL, CLUSTER, TRAIN, TUNE):
        line = _line(step.title, project, main_role(project, step), found[step.key])
        needed = not optional(project, step)
        skipped = not project.has_role(line.role) and not needed
        shown.append(line._replace(result="optional" if skipped else line.result, needed=needed))
    return shown


def next_command(shown: list[Line]) -> str:
    """Return the command that comes next: the first step that is out of date, else the first one that is not done."""
    state = {line.role: line.state for line in shown}
    if "source" not in state and "target" not in state:
        return MADE_BY["source"]
    for role, now, needed in ((line.role, line.state, line.needed) for line in shown):
        waits = now not in (State.DONE.value, State.OUTDATED.value) and role != "annotated"
        if needed and (waits or now == State.OUTDATED.value):
            return MADE_BY[role if role != "tune" or "target" in state else "target"]
    return "metapt predict FILE"


def status(
    project: ProjectFolder = DEFAULT_PROJECT,
    json: Annotated[bool, typer.Option("--json", help="Print it as a JSON object.")] = False,
) -> None:
    """Say how far a project is, what is out of date and which command comes next; it may be open elsewhere."""
    check_there(project)
    with Project.open(project, read_only=True) as opened:
        _show(opened, json)


def _show(project: Project, as_json: bool) -> None:
    """Print how far a project is, and what comes next."""
    shown, labelled = lines(project), _labelled(project)
    if as_json:
        steps: list[dict[str, Any]] = [line._asdict() for line in shown]
        print(to_json({"steps": steps, "labelled": labelled, "next": next_command(shown)}, ensure_ascii=False))
        return
    table = Table("step", "state", Column("run", no_wrap=True), "began", "result")
    for line in shown:
        table.add_row(line.step, line.state, line.run, line.began, line.result)
    out.print(table)
    for line in shown:
        if line.why:
            out.print(f"{line.role}: {line.why}", markup=False)
    if labelled:
        out.print(f"{count(labelled, 'texts')} of the target labelled by hand")
    out.print(f"Next: {next_command(shown)}", markup=False)


def _labelled(project: Project) -> int:
    """Return how many texts of the target a person has labelled."""
    if not project.has_role("target"):
        return 0
    return len(project.labels(Corpus.open(project.role("target")).content_hash))


def _line(title: str, project: Project, role: str, state: State, why: str = "") -> Line:
    if not project.has_role(role):
        return Line(title, role, state.value, "", "", "", why)
    folder = project.role(role)
    try:
        end, job = ending(folder), folder / "job.json"
        with storage_errors(job):
            began = time.strftime("%d %b %H:%M", time.localtime(job.stat().st_mtime))
    except StorageError:
        return Line(title, role, state.value, folder.name, "", "cannot be read", why)
    told = [count(end.summary[name], unit) for name, unit in COUNTED if isinstance(end.summary.get(name), int)]
    told += [end.figure] if end.figure else []
    told += [end.outcome] if end.outcome != "completed" else []
    return Line(title, role, state.value, folder.name, began, ", ".join(told), why)
