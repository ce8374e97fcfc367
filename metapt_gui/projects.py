"""Making, opening, copying and closing projects: the questions that belong to it, and who is asked."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QFileDialog, QWidget

from engine.errors import MetaPTError, ProjectLockedError
from engine.project import SUFFIX, Project
from engine.project_copy import copy_project
from metapt_gui.background import Background
from metapt_gui.document import Document
from metapt_gui.job_runner import JobRunner
from metapt_gui.sample import create_sample
from metapt_gui.user_settings import UserSettings
from metapt_gui.widgets.dialogs import Question, reporting, show_error


class Projects(QObject):
    """What the File menu and the welcome page do."""

    noted = Signal(str)

    def __init__(
        self, window: QWidget, document: Document, runner: JobRunner, background: Background, settings: UserSettings
    ) -> None:
        super().__init__(window)
        self._window, self._document, self._runner = window, document, runner
        self._settings = settings
        self._copies = Background(self, threads=1)  # a copy is told of whichever project is shown by then
        self._copies.failed.connect(background.failed)

    def window(self) -> QWidget:
        """The window that dialogs belong to."""
        return self._window

    @reporting
    def new(self) -> None:
        """Ask for a name and make an empty project."""
        if self._busy():
            return
        name, _ = QFileDialog.getSaveFileName(self._window, "New project", str(Path.home() / f"untitled{SUFFIX}"))
        if name and not self._busy():  # a job may have begun while the dialog was open
            path = Path(name)
            self._show(Project.create(path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)))

    def choose(self) -> None:
        """Ask for a project folder and open it."""
        name = QFileDialog.getExistingDirectory(self._window, "Open a project (a .metapt folder)", str(Path.home()))
        if name:
            self.open(Path(name))

    def recent(self) -> None:
        """Open the project of the menu's action."""
        action = self.sender()
        if isinstance(action, QAction):
            self.open(action.data())

    @reporting
    def open(self, path: Path, read_only: bool = False) -> None:
        """Open a project; one that is open elsewhere or cannot be written to is offered for reading only."""
        if self._busy():
            return
        shown = self._document.folder is not None and self._document.folder == path.absolute()
        if shown and not read_only and not self._document.read_only:
            return  # it can be no more open than it is
        try:
            self._show(Project.open(path, read_only=read_only))
        except ProjectLockedError as error:
            Question(
                self._window,
                error.what + ".",
                error.remedy or "",
                [("Open for reading only", lambda: self.open(path, True)), ("Leave it", None)],
            ).open()

    @reporting
    def open_sample(self) -> None:
        """Make a copy of the sample project and open it."""
        if not self._busy():
            self._show(create_sample())

    def close(self) -> None:
        """Back to the welcome page."""
        if not self._busy():
            self._runner.let_go()
            self._document.close()

    def save_copy(self) -> None:
        """Copy the whole project; the project itself is on disk at every moment."""
        folder = self._document.folder
        if folder is None or self._busy():
            return
        name, _ = QFileDialog.getSaveFileName(
            self._window, "Save a copy of the project", str(folder.with_name(f"{folder.stem} copy{SUFFIX}"))
        )
        if not name:
            return
        target = Path(name) if name.endswith(SUFFIX) else Path(name + SUFFIX)
        self.noted.emit(f"Copying the project to {target} …")
        copy = partial(copy_project, folder, target)
        self._copies.run(f"to {target}", copy, self._on_copied, self._on_not_copied)

    @reporting
    def ready_for(self, path: Path) -> bool:
        """Make the window ready for a file that was dropped; whether it is one to import.

        A project is opened instead. Without an open project a new one is made beside the file.
        """
        if self._busy():
            return False
        if (path / "project.json").is_file():
            self.open(path)
            return False
        if self._document.project is None:
            self._show(Project.create(_free_name(path.with_suffix(SUFFIX))))
        return True

    def finish(self) -> None:
        """Wait for a copy that is being made."""
        self._copies.close()

    def _on_copied(self, path: Path) -> None:
        self.noted.emit(f"A copy of the project is in {path}.")

    def _on_not_copied(self, error: MetaPTError) -> None:
        show_error(self._window, error)

    def _show(self, project: Project) -> None:
        self._runner.let_go()
        self._settings.remember(project.folder)
        self._document.open(project)

    def _busy(self) -> bool:
        if self._runner.current is None:
            return False
        Question(
            self._window,
            "A step is running.",
            "Wait for it, or stop it first.",
            [("OK", None)],
        ).open()
        return True


def _free_name(path: Path) -> Path:
    """Return ``path``, or the first of ``NAME 2``, ``NAME 3`` ... that does not exist, where one may write."""
    folder = path.parent if os.access(path.parent, os.W_OK) else Path.home()
    names = [folder / path.name, *(folder / f"{path.stem} {number}{path.suffix}" for number in range(2, 1000))]
    return next(name for name in names if not name.exists())
