"""Runs the jobs of the pages one at a time, into the project, and says how each ended."""

from __future__ import annotations

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
    """

    started = Signal(object)
    streamed = Signal(object, object)
    ended = Signal(object, object)
    changed = Signal()

    def __init__(self, host: EngineHost, document: Document, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.host, self._document = host, document
        self.current: Run | None = None
        self.stopping = False
        host.streamed.connect(self._on_event)
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
        self.stopping = False
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
        if keep:
            self.current = None  # so that its end is nobody's
        self.host.cancel()

    def _on_event(self, number: int, event: Event) -> None:
        run = self.current
        if run is None or number != run.number:
            return
        if not isinstance(event, (Finished, Failed, Cancelled)):
            self.streamed.emit(run, event)
            return
        self.current = None
        self.stopping = False
        try:
            self._keep(run, event)
        except MetaPTError as error:
            event = failed(error)
        self.changed.emit()
        self.ended.emit(run, event)
        if not run.role:
            shutil.rmtree(run.folder, ignore_errors=True)

    def _keep(self, run: Run, event: Event) -> None:
        project = self._document.project
        if not run.role or project is None:
            return
        if settle(project, run.role, run.folder, event, wanted=True):  # to stop says here that it keeps
            self._document.changed.emit(run.role)
        # By name: the role's path is resolved, and the run's may lead over a link or a mapped drive.
        elif isinstance(event, Cancelled) and not (
            project.has_role(run.role) and project.role(run.role).name == run.folder.name
        ):
            project.discard(run.folder)
