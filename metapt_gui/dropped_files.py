"""Files that are dropped onto the window, or named when it is started: what they are, and where they go."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from metapt_gui.pages.import_corpus import ImportPage
from metapt_gui.widgets.dialogs import Question
from metapt_gui.widgets.role_buttons import ROLES


def as_given(path: Path) -> Path:
    """Return the project that a file of its own stands for, else ``path``."""
    return path.parent if path.name == "project.json" else path


def take_texts(page: ImportPage, files: list[str], *, seen: bool) -> None:
    """Let texts be of the kind that the page shows; ask of which, if nobody has ``seen`` it, or it has its files."""
    if seen and not page.files():
        page.set_files(files)
        return

    def take(role: str) -> None:
        page.roles[role].click()
        page.set_files(files)

    names = ", ".join(Path(name).name for name in files[:3]) + (" …" if len(files) > 3 else "")
    answers = [(title, partial(take, role)) for role, title, _ in ROLES]
    more = (
        f"{names}. Labelled texts teach; your task is what you want to tell apart, with a handful of labels or none. "
        "They take the place of files that are chosen there."
    )
    Question(page.window(), "What are these texts?", more, [*answers, ("Cancel", None)]).open()
