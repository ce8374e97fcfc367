"""What the window remembers of its user: theme, geometry, recent projects. One INI file in the settings folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from PySide6.QtCore import QByteArray, QSettings

from engine.folders import user_folders

RECENT = 8


class UserSettings:
    """Reads and writes at once; a damaged or read-only file means defaults, never a failure.

    Parameters
    ----------
    folder
        Where ``window.ini`` lies; default: the platform's settings folder.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or user_folders()["settings"]
        self._settings = QSettings(str(self.folder / "window.ini"), QSettings.Format.IniFormat)

    def get(self, name: str, default: Any = None) -> Any:
        """Return what was kept under ``name``; a value of another type than the default's counts as none."""
        value = self._settings.value(name, default)
        if isinstance(default, bool):
            return str(value).lower() == "true" if value is not default else default
        if isinstance(default, int):
            return int(str(value)) if str(value).lstrip("-").isdigit() else default
        return value if default is None or isinstance(value, type(default)) else default

    def set(self, name: str, value: Any) -> None:
        """Keep ``value``; bytes as Qt's own, for Qt would write Python's as a pickle, and `bytes` returns none."""
        self._settings.setValue(name, QByteArray(value) if isinstance(value, bytes) else value)

    def bytes(self, name: str) -> QByteArray:
        """Return the state of a window, splitter or header; empty if none was kept."""
        value = self._settings.value(name)
        return value if isinstance(value, QByteArray) else QByteArray()

    def recent(self) -> list[Path]:
        """Return the projects that were open lately and still exist, the last one first."""
        kept = self._settings.value("recent", [])
        names = [kept] if isinstance(kept, str) else kept if isinstance(kept, list) else []
        # os.path: a Path raises for a drive that is locked or a server that is away.
        return [Path(name) for name in names if os.path.isfile(os.path.join(name, "project.json"))]

    def remember(self, project: Path) -> None:
        """Put a project on top of the recent ones."""
        others = [str(path) for path in self.recent() if path != project]
        self._settings.setValue("recent", [str(project), *others][:RECENT])

    def save(self) -> None:
        """Write what is pending."""
        self._settings.sync()
