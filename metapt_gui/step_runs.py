"""The runs of a step: their notes, their curves over the present ones, which of them is used, which can go."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from engine.errors import MetaPTError, ProjectError
from engine.workflow import probe_of
from metapt_gui.background import Background
from metapt_gui.document import Document
from metapt_gui.earlier_runs import values_of_run
from metapt_gui.job_runner import JobRunner, Run
from metapt_gui.run_files import describe_runs, read_curves
from metapt_gui.widgets.dialogs import Question, reporting
from metapt_gui.widgets.run_history import RunHistory, RunLine


class StepRuns(QObject):
    """Does what is asked of the list of the runs of some roles.

    Signals
    -------
    overlaid
        The name of a run and its curves, which are to be shown beside the present ones.
    hidden
        The name of a run whose curves are not to be shown any more.
    used
        The settings of a run that is used now are those of the window.
    """

    overlaid = Signal(str, object)
    hidden = Signal(str)
    used = Signal()

    def __init__(
        self, document: Document, runner: JobRunner, background: Background, history: RunHistory, *roles: str
    ) -> None:
        super().__init__(history)
        self._document, self._runner, self._background = document, runner, background
        self._history, self._roles = history, roles
        self._lines: list[RunLine] = []
        history.ticked.connect(self._on_ticked)
        history.noted.connect(self._on_noted)
        history.use_asked.connect(self.use)
        history.delete_asked.connect(self._ask_to_delete)
        for changed in (runner.started, runner.ended, runner.left):
            changed.connect(self._on_run)

    def window(self) -> QWidget:
        """Return the window that shows what went wrong."""
        return self._history.window()

    def show(self) -> None:
        """List the runs of the project."""
        project = self._document.project
        self._lines = []
        if project is not None:
            folders = [folder for folder in project.runs(*self._roles) if not self._runner.is_leaving(folder)]
            notes = {folder.name: project.note(folder.name) for folder in folders}
            lines = describe_runs(folders, notes, self._used())
            self._lines = [replace(line, state="running") if self._runs(line.name) else line for line in lines]
        self._history.show_runs(self._lines)

    def best(self, role: str) -> str:
        """Return how good the run was that a role stands on; empty if that is not known."""
        return next((line.best for line in self._lines if line.used and _role_of(line.name) == role), "")

    def _on_run(self, run: Run) -> None:
        if run.role in self._roles:
            self.show()

    def _runs(self, name: str) -> bool:
        """Whether a run is under way."""
        return self._runner.current is not None and self._runner.current.folder.name == name

    def _used(self) -> set[str]:
        document = self._document
        return {Path(document.path(role)).name for role in self._roles if document.has(role)}

    @reporting
    def use(self, name: str) -> None:
        """Let the project stand on a run and on the probe beside it, and the forms have its settings."""
        project = self._document.project
        if project is None:
            return
        folder = project.folder / "runs" / name
        if self._runs(name):
            raise ProjectError("This run is not over yet", where=folder, remedy="Wait for it, or stop it.")
        if not (folder / "prompt.safetensors").exists():
            raise ProjectError(
                "This run left no prompt", where=folder, remedy="Use another one, or run the step again."
            )
        role = _role_of(name)
        self._document.set_values(values_of_run(folder, role))
        self._document.assign(role, folder)
        if (probe := probe_of(project, folder)) is not None:
            self._document.assign("linear-probe", probe)
        self.used.emit()

    def _ask_to_delete(self, name: str) -> None:
        more = "Its prompt, curves and checkpoints go; this cannot be undone."
        answers = (("Keep", None), ("Delete", partial(self.delete, name)))
        Question(self.window(), f"Delete the run {name}?", more, answers).open()

    @reporting
    def delete(self, name: str) -> None:
        """Delete a run that nothing in use was made from, nor what runs now."""
        project, current = self._document.project, self._runner.current
        if project is not None:
            if self._runs(name) or (current is not None and name in str(current.job)):
                said = f"The run {name} is in use by the step that runs now"
                raise ProjectError(said, where=project.folder, remedy="Wait for it, or stop it first.")
            project.delete_run(project.folder / "runs" / name)
            self.hidden.emit(name)
            self.show()

    def _on_ticked(self, name: str, shown: bool) -> None:
        project = self._document.project
        if project is None:
            return
        if shown:
            read = partial(read_curves, project.folder / "runs" / name)
            self._background.run(f"overlay {name}", read, partial(self._overlay, name))
        else:
            self.hidden.emit(name)

    def _overlay(self, name: str, curves: object) -> None:
        if self._history.is_ticked(name):
            self.overlaid.emit(name, curves)

    @reporting
    def _on_noted(self, name: str, note: str) -> None:
        try:
            if self._document.project is not None:
                self._document.project.set_note(name, note)
        except MetaPTError:
            self.show()  # with the note that is kept
            raise


def _role_of(name: str) -> str:
    """Return the role of a run, by the name of its folder."""
    return name.partition("-")[2]
