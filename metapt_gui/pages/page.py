"""What all pages share: head, banner, body, and a foot with progress, the job's buttons and one primary button."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QSplitter, QVBoxLayout, QWidget

from engine.errors import EngineDiedError, MetaPTError, storage_errors
from engine.events import Checkpointed, Event, Failed, Finished, Notice, Progress
from engine.running.failures import error_from
from engine.running.runs import begin
from engine.workflow import State, Step, main_role, missing, only_class
from metapt_gui import wording
from metapt_gui.background import Background
from metapt_gui.document import Document
from metapt_gui.engine_host import Cancelled, EngineHost
from metapt_gui.icons import icon
from metapt_gui.job_runner import JobRunner, Run
from metapt_gui.theme import GRID, Theme, ThemeKeeper, tabular
from metapt_gui.user_settings import UserSettings
from metapt_gui.widgets.dialogs import reporting, show_error
from metapt_gui.widgets.pieces import Banner, ElidedLabel, button, enable, label, set_role, single_shot


@dataclass(frozen=True)
class Context:
    """What the window lends to its pages."""

    document: Document
    runner: JobRunner
    host: EngineHost
    background: Background
    themes: ThemeKeeper
    settings: UserSettings
    offline: Callable[[], bool]


WARNINGS_SHOWN = 2
"""Warnings of a run that its page shows; the log has all."""


class Page(QWidget):
    """Base of the wizard's pages.

    A subclass fills ``body``, and overrides `refresh` (the project changed), `start` (the primary button), `blocked`
    (why the primary button cannot be used), `on_event` and `on_ended`.
    """

    next_asked = Signal()
    back_asked = Signal()
    help_asked = Signal()
    step_asked = Signal(str)
    """Key of a step whose page shall be shown."""

    primary_text = "Start"
    primary_tooltip = ""
    stop_text = "Stop and keep best"
    stop_tooltip = "End after the present step and keep the best so far; it can be resumed."
    kept_text = "Stopped; the best so far is kept."
    unkept_text = "Stopped; nothing of it is kept."
    outdated_step: Step | None = None
    """Where to do that, if not here."""
    stoppable = True
    """Whether a run that is stopped leaves something; else it can only be cancelled."""

    def __init__(self, context: Context, step: Step) -> None:
        super().__init__()
        self.setObjectName("page")
        self.context, self.step = context, step
        self.document, self.runner, self.host = context.document, context.runner, context.host
        self._checkpoint: int | None = None
        self._failed: Run | None = None
        self._warnings: list[str] = []
        self._splitters: list[QSplitter] = []
        self._reason, self._unreadable, self._changed = "", "", list[str]()
        self._lacks: Step | None = None
        self._state = State.TODO
        self._due = single_shot(self, 0, self.show_primary)
        self._build()
        self.runner.started.connect(self._on_started)
        self.runner.streamed.connect(self._on_event)
        self.runner.ended.connect(self._on_ended)

    # What a page does -------------------------------------------------------------------------------------------------

    def refresh(self, what: str) -> None:
        """Show the project anew; ``what`` changed: ``opened``, a role, ``labels``, ``clusters`` or ``values``."""

    def forget(self) -> None:
        """Another project is shown: what was said of a run of the last one is no longer so."""
        self._failed, self._checkpoint = None, None
        self._warnings.clear()
        self.progress_text.setText("")
        self.banner.hide()

    def start(self) -> None:
        """Do what the primary button says."""

    def blocked(self) -> str:
        """Return why the primary button cannot be used now; empty if it can."""
        return ""

    def action(self, *, ready: bool) -> str:
        """Return what the primary button does now, which can be pressed if ``ready``."""
        return self.primary_text

    def stopped(self, job: Any) -> bool:
        """Whether a run of this job was stopped and can go on."""
        if self.document.project is None:
            return False
        _, folder, done = begin(self.document.project, job)
        return not done and folder.exists() and any(folder.rglob("checkpoint.safetensors"))

    def on_started(self, run: Run) -> None:
        """A run of this page began."""

    def on_event(self, run: Run, event: Event) -> None:
        """A run of this page streams."""

    def on_ended(self, run: Run, event: Event) -> None:
        """A run of this page is over."""

    def one_class(self) -> str:
        """Return why nothing can be learnt from the labelled texts if they are all of one class."""
        name = only_class(self.document.project) if self.document.project is not None else ""
        return f"All labelled texts are '{name}'. Import texts of at least two classes." if name else ""

    def mine(self, run: Run | None) -> bool:
        """Whether a run is this page's."""
        return run is not None and run.owner == self.step.key

    def stands_on(self, run: Run) -> bool:
        """Whether the project holds what came of a run."""
        return self.document.has(run.role) and Path(self.document.path(run.role)).name == run.folder.name

    def outdated_text(self) -> str:
        """Return why the step is out of date, and what to do."""
        return "Something before this step has changed since. Run it again to use what is there now."

    def warn(self, text: str) -> None:
        """Show a warning about the last run until the next one begins."""
        if text not in self._warnings:
            self._warnings.append(text)
            self.show_state(self._state)

    def summary(self) -> str:
        """Return a line for the rail: what there is; empty leaves it to the state."""
        return ""

    def save_layout(self) -> None:
        """Remember the splitters."""
        for number, splitter in enumerate(self._splitters):
            self.context.settings.set(f"{self.step.key} splitter {number}", splitter.saveState())

    def restore_layout(self) -> None:
        """Put the splitters where they were."""
        self._splitters = self.findChildren(QSplitter)  # in the order in which they were built: tabs change it later
        for number, splitter in enumerate(self._splitters):
            splitter.restoreState(self.context.settings.bytes(f"{self.step.key} splitter {number}"))

    def plots(self) -> list[Any]:
        """Return the plots that follow the theme."""
        return []

    def set_theme(self, theme: Theme) -> None:
        """Hand the theme to whatever paints by itself."""
        for name, widget in (("pause", self.pause), ("stop", self.stop), ("cancel", self.cancel), ("help", self.help)):
            widget.setIcon(icon(name, theme))
        for plot in self.plots():
            plot.set_theme(theme)

    # The frame --------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        outer = QVBoxLayout(self)
        outer.setContentsMargins(2 * GRID, GRID + 4, 2 * GRID, GRID)
        outer.setSpacing(GRID)
        head = QHBoxLayout()
        titles = QVBoxLayout()
        titles.setSpacing(2)
        self.title = label(self.step.title, "title")
        titles.addWidget(self.title)
        titles.addWidget(label(self.step.sentence, "muted", wrap=True))
        head.addLayout(titles, 1)
        self.help = button("Help", "What this step does, in more words. F1", self.help_asked.emit)
        head.addWidget(self.help)
        outer.addLayout(head)
        self.banner = Banner()
        outer.addWidget(self.banner)
        self.body = QVBoxLayout()
        self.body.setSpacing(GRID)
        outer.addLayout(self.body, 1)
        outer.addLayout(self._foot())

    def set_columns(self, left: QWidget, side: QWidget) -> None:
        """Fill the body: what is looked at, as wide as it can be, and the controls beside it."""
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.addWidget(left)
        self.splitter.addWidget(side)
        self.splitter.setStretchFactor(0, 1)
        self.splitter.setChildrenCollapsible(False)
        self.body.addWidget(self.splitter, 1)

    def _foot(self) -> QHBoxLayout:
        self.back = button("Back", "Go to the step before.", self.back_asked.emit)
        self.progress_text = ElidedLabel("")
        set_role(self.progress_text, "muted")
        self.progress_text.setFont(tabular(self.progress_text.font()))
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName("Progress of this step")
        self.cancel = button("Cancel", "Give this run up. What was there before stays.", self.runner.cancel)
        self.pause = button("Pause", "Hold after the present step; nothing is lost.", self._pause)
        self.stop = button(self.stop_text, self.stop_tooltip, self.runner.stop)
        self.primary = button(self.primary_text, self.primary_tooltip or self.step.sentence, self._start, "primary")
        self.next = button("Next", "Go to the next step.", self.next_asked.emit)
        middle = QVBoxLayout()
        middle.setSpacing(2)
        middle.addWidget(self.progress_text)
        middle.addWidget(self.progress)
        row = QHBoxLayout()
        row.setSpacing(GRID)
        row.addWidget(self.back)
        row.addSpacing(GRID)
        row.addLayout(middle, 1)
        for widget in (self.cancel, self.pause, self.stop):
            row.addWidget(widget)
        row.addSpacing(GRID)
        row.addWidget(self.primary)
        row.addWidget(self.next)
        for hidden in (self.progress, self.cancel, self.pause, self.stop):
            hidden.hide()
        return row

    def show_state(self, state: State) -> None:
        """Show how far the step is: which button is the primary one, and the bar of a step that is out of date."""
        self._state = state
        run, running = self.runner.current, self.mine(self.runner.current)
        trial = run is not None and not run.role
        project = self.document.project if state is State.DONE and not running else None
        self._changed = self.document.changed_settings(main_role(project, self.step)) if project is not None else []
        done = project is not None and not self._changed
        set_role(self.next, "primary" if done else "")
        set_role(self.primary, "" if done else "primary")
        self.primary.setVisible(not running)
        self.progress.setVisible(running)
        self.cancel.setVisible(running)
        self.pause.setVisible(running)
        self.stop.setVisible(running and self.stoppable and not trial)
        self.pause.setText("Resume" if self.runner.paused else "Pause")
        self.pause.setAccessibleName(self.pause.text())
        enable(self.stop, "It stops after the present step." if self.runner.stopping else "")
        self.update_primary()

    def _show_banner(self) -> None:
        """Show what cannot be read, or lead to the step that has to be done before this one, or warn."""
        if self._unreadable:
            self.banner.show_text(self._unreadable, bad=True)
        elif self._lacks is not None:
            self._lead(self._reason, self._lacks)
        elif self._state is State.OUTDATED:
            self._lead(self.outdated_text(), self.outdated_step)
        elif self._changed:
            said = f"Set otherwise since this result was made: {', '.join(self._changed)}."
            again = f"Press ‘{self.primary.text()}’ to have a result with what is set now."
            self.banner.show_text("  ".join([*self._warnings[-WARNINGS_SHOWN:], f"{said} {again}"]))
        elif self._warnings:
            self.banner.show_text("  ".join(self._warnings[-WARNINGS_SHOWN:]))
        else:
            self.banner.hide()

    def _lead(self, text: str, step: Step | None) -> None:
        go = [(f"Go to {step.title}", step.sentence, partial(self.step_asked.emit, step.key))] if step else []
        self.banner.show_text(text, *go)

    def update_primary(self) -> None:
        """Show the primary button and the banner anew, once for all that happens until the event loop is idle."""
        self._due.start()

    def show_primary(self) -> None:
        """Enable the primary button and name what it does, or say why not: what cannot be read is a reason, too."""
        self._due.stop()
        project = self.document.project
        self._reason, self._lacks, self._unreadable = "", None, ""
        text, reason = self.primary_text, ""
        if project is None:
            reason = "Open or make a project first."
        elif self.document.read_only:
            reason = self.document.fixed
        elif self.runner.current is not None:
            reason = "Another step is running. Wait for it, or stop it."
        if project is not None and not self.mine(self.runner.current):
            try:
                with storage_errors(project.folder):
                    self._reason = self.blocked()
                    self._lacks = missing(project, self.step) if self._reason else None
                    text = self.action(ready=not (reason or self._reason))
            except MetaPTError as error:
                self._unreadable = str(error)
        enable(self.primary, reason or self._unreadable or self._reason)
        self.primary.setText(text)
        self.primary.setAccessibleName(text.replace("…", "").strip())
        if self._failed is None:
            self._show_banner()

    def can_start(self) -> bool:
        """Whether the primary button can be pressed; if it is there and cannot, the banner says why."""
        self.show_primary()  # what was changed just now counts
        if self.primary.isVisible() and not self.primary.isEnabled():
            self.banner.show_text(self.primary.toolTip())
        return self.primary.isVisible() and self.primary.isEnabled()

    @reporting
    def _start(self) -> None:
        if self.can_start():
            self.start()

    def run(self, role: str, job: Any, *, fresh: bool = False) -> Run | None:
        """Start a job, or show why it cannot be."""
        self._failed = None
        self.banner.hide()
        self._checkpoint = None
        try:
            return self.runner.start(self.step.key, role, job, fresh=fresh)
        except MetaPTError as error:
            show_error(self.window(), error)
            return None

    def _pause(self) -> None:
        (self.runner.resume if self.runner.paused else self.runner.pause)()

    def _on_started(self, run: Run) -> None:
        if self.mine(run):
            self._warnings.clear()
            self.progress.setRange(0, 0)
            self.progress_text.setText("Starting the engine …")
            self.on_started(run)

    def _on_event(self, run: Run, event: Event) -> None:
        if not self.mine(run):
            return
        if isinstance(event, Progress):
            self.progress.setRange(0, event.total or 0)
            self.progress.setValue(min(event.done, event.total or 0))
            self.progress_text.setText("   ".join(filter(None, [event.message, wording.progress(event)])))
        elif isinstance(event, Notice) and event.level == "warning":
            self.warn(event.text)
        elif isinstance(event, Checkpointed):
            self._checkpoint = event.step
        self.on_event(run, event)

    def _on_ended(self, run: Run, event: Event) -> None:
        if not self.mine(run):
            return
        self.progress.hide()
        if isinstance(event, Failed):
            self._show_failure(run, event)
        elif isinstance(event, Cancelled):
            self.progress_text.setText("Cancelled.")
        elif isinstance(event, Finished):
            again = "Nothing has changed since: this is the result that was there."
            done = again if event.summary.get("reused") else "Done."
            self.progress_text.setText(done if event.outcome == "completed" else self._stopped(run))
        self.on_ended(run, event)

    def _stopped(self, run: Run) -> str:
        if self.stands_on(run):
            return self.kept_text
        before = " What was there before stays." if self.document.has(run.role) else ""
        return f"{self.unkept_text}{before}"

    def _show_failure(self, run: Run, event: Failed) -> None:
        self.progress_text.setText("")
        if run.role and isinstance(error_from(event), EngineDiedError):
            self._failed = run
            reached, again = "Nothing of this run was saved yet; it starts anew.", "Run again"
            if self._checkpoint is not None:
                reached, again = f"It was saved at step {self._checkpoint:,}, and goes on from there.", "Resume"
            elif any(run.folder.rglob("checkpoint.safetensors")):  # it had gone on from there
                reached, again = "It goes on from where it was saved before.", "Resume"
            self.banner.show_text(
                f"{event.what}. {reached}",
                (again, "Run the same again; it goes on from its last checkpoint if it has one.", self._run_again),
                ("Details", "What the engine said.", partial(show_error, self.window(), event)),
                bad=True,
            )
        else:
            show_error(self.window(), event)

    def _run_again(self) -> None:
        if self._failed is not None:
            self.run(self._failed.role, self._failed.job)
