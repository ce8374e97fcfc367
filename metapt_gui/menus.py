"""The menus with the platform's standard shortcuts; every action is also a shortcut of the window."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QMenu

from engine.workflow import STEPS
from metapt_gui.icons import icon
from metapt_gui.theme import Theme

if TYPE_CHECKING:
    from metapt_gui.main_window import MainWindow

THEMES = (("system", "As the system"), ("light", "Light"), ("dark", "Dark"))


class Menus:
    """Builds the menu bar of the window; its actions are attributes."""

    def __init__(self, window: MainWindow) -> None:
        self._window = window
        bar = window.menuBar()
        keys = QKeySequence.StandardKey

        file = bar.addMenu("&File")
        self.new = self._add(file, "&New project …", window.projects.new, keys.New)
        self.open = self._add(file, "&Open project …", window.projects.choose, keys.Open)
        self.recent = file.addMenu("Open &recent")
        self.sample = self._add(file, "&Sample project", window.projects.open_sample)
        file.addSeparator()
        self.save = self._add(file, "&Save a copy of the project …", window.projects.save_copy, keys.Save)
        self.close = self._add(file, "&Close project", window.projects.close, keys.Close)
        file.addSeparator()
        self.quit = self._add(file, "&Quit", window.close, keys.Quit)

        edit = bar.addMenu("&Edit")
        stack = window.document.undo
        self.undo = stack.createUndoAction(window, "&Undo")
        self.undo.setShortcuts(keys.Undo)
        self.redo = stack.createRedoAction(window, "&Redo")
        self.redo.setShortcuts([QKeySequence("Ctrl+Shift+Z"), QKeySequence("Ctrl+Y")])
        edit.addActions([self.undo, self.redo])

        view = bar.addMenu("&View")
        self.steps: list[QAction] = []
        for number, step in enumerate(STEPS):
            action = self._add(view, step.title, None, f"Ctrl+{number + 1}")
            action.setData(number)
            action.triggered.connect(window.show_step_of_action)
            self.steps.append(action)
        view.addSeparator()
        self.log = self._add(view, "&Log", None, "Ctrl+L")
        self.log.setCheckable(True)
        self.export_plot = self._add(view, "Save the focused &plot …", window.stack.export_plot, "Ctrl+E")
        self.themes = view.addMenu("&Theme")
        group = QActionGroup(window)
        for choice, text in THEMES:
            action = QAction(text, window, checkable=True)
            action.setData(choice)
            action.setChecked(choice == window.themes.choice)
            group.addAction(action)
            self.themes.addAction(action)
        group.triggered.connect(window.choose_theme)

        run = bar.addMenu("&Run")
        self.start = self._add(run, "Start this &step", window.start_step, "F5")
        self.pause = self._add(run, "&Pause or resume", window.pause_job, "Ctrl+P")
        self.stop = self._add(run, "Stop and &keep best", window.runner.stop)
        self.cancel = self._add(run, "&Cancel", window.runner.cancel)
        run.addSeparator()
        self.offline = self._add(run, "Work &offline", None)
        self.offline.setCheckable(True)
        self.offline.toggled.connect(window.set_offline)

        help_ = bar.addMenu("&Help")
        self.help = self._add(help_, "&Help for this page", window.help.page, keys.HelpContents)
        self.keys = self._add(help_, "&Keyboard", window.help.keys, "?")
        self._add(help_, "&Folders of settings and logs", window.help.folders)
        self._add(help_, "&About MetaPT", window.help.about)

    def _add(
        self,
        menu: QMenu,
        text: str,
        slot: Callable[[], object] | None,
        keys: QKeySequence.StandardKey | str | None = None,
    ) -> QAction:
        action = QAction(text, self._window)
        if keys is not None:
            action.setShortcut(QKeySequence(keys))
        if slot is not None:
            action.triggered.connect(lambda _checked=False: slot())
        menu.addAction(action)
        return action

    def set_theme(self, theme: Theme) -> None:
        """Paint the icons of the actions; those that are on or off have none, which would hide the tick."""
        named = {
            "new": self.new,
            "open": self.open,
            "save": self.save,
            "undo": self.undo,
            "redo": self.redo,
            "export": self.export_plot,
            "play": self.start,
            "pause": self.pause,
            "stop": self.stop,
            "cancel": self.cancel,
            "help": self.help,
            **dict(zip(("import", "label", "cluster", "train", "tune", "use"), self.steps, strict=True)),
        }
        for name, action in named.items():
            action.setIcon(icon(name, theme))
        self.recent.setIcon(icon("folder", theme))
        self.themes.setIcon(icon("theme", theme))

    def list_recent(self) -> None:
        """Fill the menu of recent projects."""
        self.recent.clear()
        for path in self._window.settings.recent():
            action = self.recent.addAction(str(path))
            action.setData(path)
            action.triggered.connect(self._window.projects.recent)
        self.recent.setEnabled(bool(self.recent.actions()))

    def show_state(self, *, project: bool, running: bool, stoppable: bool) -> None:
        """Enable what can be done now; ``stoppable`` if something would be kept of what runs."""
        for action in (self.save, self.close, self.start):
            action.setEnabled(project)
        for action in (self.pause, self.cancel):
            action.setEnabled(running)
        self.stop.setEnabled(running and stoppable)

    def shortcuts(self) -> list[tuple[str, str]]:
        """Return keys and meaning of every action that has keys."""
        found = []
        for menu in self._window.menuBar().findChildren(QMenu):
            for action in menu.actions():
                if not action.shortcut().isEmpty():
                    keys = ", ".join(key.toString(QKeySequence.SequenceFormat.NativeText) for key in action.shortcuts())
                    found.append((keys, action.text().replace("&", "").replace(" …", "")))
        return found
