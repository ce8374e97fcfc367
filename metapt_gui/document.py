"""The open project as the pages see it: what it holds, what changed, and what can be undone."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoStack

from engine.clustering.store import Clustering
from engine.corpus.store import Corpus
from engine.errors import MetaPTError, storage_errors
from engine.project import Project
from engine.running.runs import stand
from engine.storage import write_json
from engine.workflow import State, Step, optional, states
from metapt_gui.background import Background
from metapt_gui.earlier_runs import changed_settings, values_of_runs


def _nothing(_result: None) -> None:
    """What is done when a write went well."""


class Document(QObject):
    """The project that is open, if any.

    Signals
    -------
    opened
        Another project, or none, is open.
    changed
        The name of what changed: a role, ``labels``, ``clusters``, ``values``.
    unsaved
        The error that kept the project from being written.
    """

    opened = Signal()
    changed = Signal(str)
    unsaved = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.project: Project | None = None
        self._earlier: dict[str, Any] = {}
        self.undo = QUndoStack(self)
        self._corpora: dict[tuple[Path, int], Corpus] = {}
        self._writer = Background(self, threads=1)  # one thread: what is written last stays

    def open(self, project: Project) -> None:
        """Show ``project`` from now on; the one before is closed."""
        self.close()
        self.project = project
        self._earlier = values_of_runs(project)
        project.write_manifest = self._write_later
        self.opened.emit()

    def _write_later(self, path: Path, manifest: dict[str, Any]) -> None:
        """Write the manifest beside the event loop: a disk may take longer than a frame."""
        self._writer.run("manifest", partial(write_json, path, copy.deepcopy(manifest)), _nothing, self.unsaved.emit)

    def close(self) -> None:
        """Close the project."""
        self.undo.clear()
        self._corpora.clear()
        self._writer.wait()
        if self.project is not None:
            self.project.close()
            self.project = None
            self.opened.emit()

    @property
    def folder(self) -> Path | None:
        """Folder of the project."""
        return self.project.folder if self.project is not None else None

    @property
    def read_only(self) -> bool:
        """Whether nothing can be changed: no project, or one that is open elsewhere."""
        return self.project is None or self.project.read_only

    def has(self, role: str) -> bool:
        """Whether a role stands on a run."""
        return self.project is not None and self.project.has_role(role)

    def path(self, role: str) -> str:
        """Return the folder of a role's run as text for a job; empty if there is none."""
        assert self.project is not None
        return str(self.project.role(role)) if self.project.has_role(role) else ""

    def corpus(self, role: str) -> Corpus | None:
        """Return the corpus of a role."""
        if not self.has(role):
            return None
        folder = Path(self.path(role))
        with storage_errors(folder):
            version = (folder, (folder / "corpus.json").stat().st_mtime_ns)
        if version not in self._corpora:
            self._corpora[version] = Corpus.open(folder)
        return self._corpora[version]

    def clustering(self) -> Clustering | None:
        """Return the clustering."""
        return Clustering.open(self.path("clusters")) if self.has("clusters") else None

    @property
    def fixed(self) -> str:
        """Why nothing of the project can be changed; empty if it can."""
        return "The project is open for reading only." if self.read_only else ""

    def changed_settings(self, role: str) -> list[str]:
        """Return the names of the settings that are others now than those that a role's result was made with.

        None, where that cannot be read: pages say so where they need it.
        """
        with contextlib.suppress(MetaPTError):
            return changed_settings(self.project, role) if self.project is not None else []
        return []

    def value(self, name: str, default: Any = None) -> Any:
        """Return a small value of the project; if the window has kept none, what its runs were started with."""
        if self.project is None:
            return default
        return self.project.value(name, self._earlier.get(name, default))

    def set_value(self, name: str, value: Any) -> None:
        """Keep a small value; nothing happens in a project that is open for reading only."""
        self.set_values({name: value})

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Keep small values, and tell of all of them at once: whoever listens may show what is kept."""
        if self.project is None or self.project.read_only:
            return
        new = {name: value for name, value in values.items() if self.project.value(name) != value}
        for name, value in new.items():
            self.project.set_value(name, value)
        if new:
            self.changed.emit("values")

    def assign(self, role: str, folder: Path) -> None:
        """Let a role stand on a run."""
        assert self.project is not None
        stand(self.project, role, folder)
        self.changed.emit(role)

    def optional(self, step: Step) -> str:
        """Return what the rail says of a step in which nothing was done: that it can be left out, if so."""
        return "optional" if self.project is not None and optional(self.project, step) else ""

    def states(self, running: str | None = None) -> dict[str, State]:
        """Return step -> state.

        Raises
        ------
        StorageError
            If the project cannot be read.
        """
        if self.project is None:
            return {}
        with storage_errors(self.project.folder):
            return states(self.project, running)
