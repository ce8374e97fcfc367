"""Runs the jobs of the pages one at a time, into the project, and says how each ended."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from engine.errors import MetaPTError, ProjectError, storage_errors
from engine.events import Event, Failed, Finished
from engine.jobs import Job
from engine.running.failures import failed
from engine.running.runs import begin, settle
from metapt_gui.document import Document
from metapt_gui.engine_host import Cancelled, EngineHost


@dataclass(frozen=True)
class Run:
    """A job under way.

    ``owner`` is the step whose page started it, ``role`` what will stand on it (empty for a trial, whose folder is
    thrown away).
    """

    number: int
    owner: str
    role: str
    job: Job
    folder: Path


class JobRunner(QObject):
    """The one place where the window starts jobs.

    Signals
    -------
    started, streamed, ended
        The run; the run and an event of it; the run and the last event (`Finished`, `Failed`, `Cancelled`).
    changed
        Whether something runs or is paused has changed.
    left
        A run that was cancelled, once the engine has let go of it and nothing is left of it that is not to be kept.
    """

    started = Signal(object)
    streamed = Signal(object, object)
    ended = Signal(object, object)
    changed = Signal()
    left = Signal(object)

    def __init__(self, host: EngineHost, document: Document, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.host, self._document = host, document
        self.current: Run | None = None
        self.stopping = self.was_paused = False
        self._leaving: dict[int, Run] = {}
        host.streamed.connect(self._on_event)
        host.released.connect(self._on_released)
        host.state_changed.connect(self.changed)

    @property
    def paused(self) -> bool:
        """Whether the job is paused."""
        return self.host.paused

    def start(self, owner: str, role: str, job: Job, *, fresh: bool = False) -> Run:
        """Run ``job``; when it ends well, ``role`` stands on its folder. A run found done is over at once.

        Without a ``role`` it is a trial in a folder that is deleted afterwards.

        Raises
        ------
        MetaPTError
            If another job runs or the project cannot be written.
        """
        project = self._document.project
        if project is None or (role and project.read_only):
            raise ProjectError("The project is open for reading only", remedy="Close it in the other window.")
        if self.current is not None:
            raise ProjectError("Another step is running", remedy="Wait for it, or stop it.")
        self.stopping = self.was_paused = False
        if not role:
            with storage_errors("the folder of temporary files"):
                folder = Path(tempfile.mkdtemp(prefix="metapt-trial-"))
            return self._begin(owner, "", job, folder)
        job, folder, done = begin(project, job, fresh=fresh)
        if not done:
            return self._begin(owner, role, job, folder)
        run = Run(0, owner, role, job, folder)
        self.started.emit(run)
        self._document.assign(role, folder)
        self.ended.emit(run, Finished(str(folder), "completed", {"reused": True}))
        return run

    def _begin(self, owner: str, role: str, job: Job, folder: Path) -> Run:
        self.current = Run(self.host.start(job, folder), owner, role, job, folder)
        self.started.emit(self.current)
        self.changed.emit()
        return self.current

    def pause(self) -> None:
        """Hold the job."""
        self.was_paused = True
        self.host.pause()

    def resume(self) -> None:
        """Let it go on."""
        self.host.resume()

    def stop(self) -> None:
        """Stop after the present step and keep the best so far."""
        self.stopping = True
        self.host.stop()
        self.changed.emit()

    def cancel(self, *, keep: bool = False) -> None:
        """Give the job up; with ``keep`` its folder stays as it is, to go on from later."""
        if keep and self.current is not None:
            run, self.current = self.current, None  # so that its end is nobody's
            if not run.role:
                self._leaving[run.number] = run
        self.host.cancel()

    def is_leaving(self, folder: Path) -> bool:
        """Whether the engine may still be writing into the folder of a run that was cancelled."""
        return any(run.folder == folder for run in self._leaving.values())

    def let_go(self) -> None:
        """End what the engine still does of runs that were cancelled; others may write into the project after this."""
        if self._leaving:
            self.host.end_process()
            for number in list(self._leaving):
                self._on_released(number)

    def _on_event(self, number: int, event: Event) -> None:
        run = self.current
        if run is None or number != run.number:
            return
        if not isinstance(event, (Finished, Failed, Cancelled)):
            self.streamed.emit(run, event)
            return
        self.current = None
        self.stopping = False
        if isinstance(event, Cancelled):
            self._leaving[number] = run
        try:
            with storage_errors(run.folder):
                self._keep(run, event)
        except MetaPTError as error:
            event = failed(error)
        self.changed.emit()
        self.ended.emit(run, event)
        if not run.role and not isinstance(event, Cancelled):
            shutil.rmtree(run.folder, ignore_errors=True)

    def _keep(self, run: Run, event: Event) -> None:
        project = self._document.project
        if not run.role or project is None:
            return
        if settle(project, run.role, run.folder, event, wanted=True):  # to stop says here that it keeps
            self._document.changed.emit(run.role)

    def _on_released(self, number: int) -> None:
        """Throw away what was cancelled, now that nobody writes there any more; unless it goes on there already."""
        run = self._leaving.pop(number, None)
        if run is None or self.is_leaving(run.folder) or (self.current and self.current.folder == run.folder):
            return
        project = self._document.project
        if not run.role:
            shutil.rmtree(run.folder, ignore_errors=True)
        elif project is not None:
            with contextlib.suppress(MetaPTError):  # it only takes space
                # By name: the role's path is resolved, and the run's may lead over a link or a mapped drive.
                if not (project.has_role(run.role) and project.role(run.role).name == run.folder.name):
                    project.discard(run.folder)
        self.left.emit(run)
