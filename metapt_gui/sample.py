"""The sample project: made-up reviews and support messages, in a folder of the person's own."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QStandardPaths

from engine.project import SUFFIX, Project
from resources import resource


def create_sample(folder: Path | None = None) -> Project:
    """Make the sample project in ``folder`` (default: a new one in the person's documents) and open it.

    Its files are chosen, and nothing has been run.
    """
    if folder is None:
        own = _documents()
        names = (own / f"sample {number}{SUFFIX}" for number in range(1, 10_000))
        folder = next(name for name in names if not name.exists())
    project = Project.create(folder)
    project.set_value("files source", [str(resource("sample", "reviews.csv"))])
    project.set_value("import source", {"text_column": "review", "label_column": "stars"})
    project.set_value("files open-text", [str(resource("sample", "posts.csv"))])
    project.set_value("import open-text", {"text_column": "post"})
    project.set_value("files target", [str(resource("sample", "support.csv"))])
    project.set_value("import target", {"text_column": "message", "label_column": "mood"})
    # Five stars are hard to tell apart from 1,053 reviews: few pseudo-labels are very confident.
    project.set_value("annotate", {"confidence": 0.4, "balance": False})
    project.set_value("preset", "quick")
    project.set_value("task", {"classes": ["unhappy", "happy"], "words": {"unhappy": "bad", "happy": "good"}})
    return project


def _documents() -> Path:
    """Return the person's folder of documents, or the home folder if there is none: labels are no cache."""
    name = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation)
    return Path(name) if name and Path(name).is_dir() else Path.home()
