"""The window: rail, pages, menus, status bar and log. It knows which project is open, and no page's business."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QAction, QCloseEvent, QDragEnterEvent, QDropEvent, QShowEvent
from PySide6.QtWidgets import (
    QDockWidget,
    QHBoxLayout,
    QMainWindow,
    QPlainTextEdit,
    QWidget,
)

from engine.errors import MetaPTError, StorageError
from engine.events import Event, Failed, Finished, Notice, Progress
from engine.workflow import STEPS, State
from metapt_gui import wording
from metapt_gui.background import Background
from metapt_gui.closing import Closing
from metapt_gui.collector import Collector
from metapt_gui.crash import CrashReports
from metapt_gui.crash_notice import CrashNotice
from metapt_gui.document import Document
from metapt_gui.dropped_files import as_given, take_texts
from metapt_gui.engine_host import Cancelled, EngineHost
from metapt_gui.help import Help
from metapt_gui.icons import app_icon
from metapt_gui.job_runner import JobRunner, Run
from metapt_gui.menus import Menus
from metapt_gui.page_stack import PageStack
from metapt_gui.pages.cluster import ClusterPage
from metapt_gui.pages.few_shot import FewShotPage
from metapt_gui.pages.import_corpus import ImportPage
from metapt_gui.pages.meta_train import MetaTrainPage
from metapt_gui.pages.page import Context, Page
from metapt_gui.pages.pseudo_label import PseudoLabelPage
from metapt_gui.pages.use import UsePage
from metapt_gui.pages.welcome import WelcomePage
from metapt_gui.projects import Projects
from metapt_gui.theme import Theme, ThemeKeeper, fixed_font
from metapt_gui.user_settings import UserSettings
from metapt_gui.widgets.dialogs import reporting, show_error
from metapt_gui.widgets.rail import Rail
from metapt_gui.widgets.status import Status

PAGES: tuple[Callable[[Context], Page], ...] = (
    ImportPage,
    PseudoLabelPage,
    ClusterPage,
    MetaTrainPage,
    FewShotPage,
    UsePage,
)
LOG_LINES = 5000
TOLD_MS = 10_000
TITLES = {step.key: step.title for step in STEPS}


class MainWindow(QMainWindow):
    """The window of MetaPT.

    Parameters
    ----------
    settings, themes, crashes
        What is remembered of the user; who keeps the theme; where reports of crashes lie.
    threads
        CPU threads of the engine; ``None`` leaves the choice to torch.
    """

    def __init__(
        self, settings: UserSettings, themes: ThemeKeeper, crashes: CrashReports, *, threads: int | None = None
    ) -> None:
        super().__init__()
        self.settings, self.themes, self.crashes = settings, themes, crashes
        self.document = Document(self)
        self.host = EngineHost(threads, self)
        self.runner = JobRunner(self.host, self.document, self)
        self.background = Background(self)
        self.projects = Projects(self, self.document, self.runner, self.background, settings)
        self.help = Help(self)
        self.closing = Closing(self)
        self.crash_notice = CrashNotice(self, crashes)
        self._build()
        self._connect()
        self._restore()
        self._on_opened()
        self.set_theme(themes.theme)

    def _build(self) -> None:
        self.setWindowIcon(app_icon())
        self.setAcceptDrops(True)
        self.setMinimumSize(860, 440)  # a small screen at 150 %
        self.rail = Rail()
        self.welcome = WelcomePage(app_icon().pixmap(64, 64))
        context = Context(
            self.document, self.runner, self.host, self.background, self.themes, self.settings, self.is_offline
        )
        self.stack = PageStack(self.welcome, [partial(kind, context) for kind in PAGES])
        self._collector = Collector(self)
        central = QWidget()
        central.setObjectName("central")
        row = QHBoxLayout(central)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self.rail)
        row.addWidget(self.stack, 1)
        self.setCentralWidget(central)
        self.log = QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setMaximumBlockCount(LOG_LINES)
        self.log.setFont(fixed_font())
        self.log.setAccessibleName("Log")
        self.log.setPlaceholderText("What happens is written here.")
        self._log_dock = QDockWidget("Log")
        self._log_dock.setObjectName("log")
        self._log_dock.setWidget(self.log)
        self.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, self._log_dock)
        self._log_dock.hide()
        self.status = Status(self.host)
        self.setStatusBar(self.status)
        self.menus = Menus(self)

    def showEvent(self, event: QShowEvent) -> None:
        """Build the pages once the window stands."""
        super().showEvent(event)
        self.stack.begin()

    @property
    def pages(self) -> list[Page]:
        """The pages of the steps."""
        return self.stack.pages

    @property
    def page(self) -> Page | None:
        """The page that is shown; ``None`` for the welcome page."""
        return self.stack.page

    def _on_made(self, page: Page) -> None:
        page.set_theme(self.themes.theme)
        page.next_asked.connect(self._next)
        page.back_asked.connect(self._back)
        page.help_asked.connect(self.help.page)
        page.step_asked.connect(self._show_step_of)

    def _connect(self) -> None:
        self.welcome.new_asked.connect(self.projects.new)
        self.welcome.open_asked.connect(self.projects.choose)
        self.welcome.sample_asked.connect(self.projects.open_sample)
        self.welcome.recent_asked.connect(self.projects.open)
        self.rail.chosen.connect(self.show_step)
        self.rail.log.toggled.connect(self._log_dock.setVisible)
        self.menus.log.toggled.connect(self._log_dock.setVisible)
        self._log_dock.visibilityChanged.connect(self._on_log_shown)
        self.document.opened.connect(self._on_opened)
        self.document.changed.connect(self._on_changed)
        self.document.unsaved.connect(self._on_failed)
        self.runner.started.connect(self._on_started)
        self.runner.streamed.connect(self._on_event)
        self.runner.ended.connect(self._on_ended)
        self.runner.changed.connect(self.show_states)
        self.projects.noted.connect(self.tell)
        self.background.failed.connect(self._on_failed)
        self.themes.changed.connect(self.set_theme)
        self.stack.made.connect(self._on_made)
        self.stack.complete.connect(self._collector.start)
        self.stack.settled.connect(self.show_states)
        self.stack.failed.connect(self._on_failed)
        self._devices_asked = False

    def _restore(self) -> None:
        self.resize(QSize(1280, 800).boundedTo(self.screen().availableSize()))
        self.restoreGeometry(self.settings.bytes("geometry"))
        self.restoreState(self.settings.bytes("windows"))
        self.menus.offline.setChecked(self.settings.get("offline", True))
        self.status.show_network(self.is_offline())

    # Steps ------------------------------------------------------------------------------------------------------------

    def show_step(self, number: int) -> None:
        """Show the page of a step, 0 to 5."""
        if self.document.project is not None:
            self.rail.set_current(number)
            self.stack.show_page(number)

    def _show_step_of(self, key: str) -> None:
        self.show_step(next(number for number, page in enumerate(self.pages) if page.step.key == key))

    def show_step_of_action(self) -> None:
        """Show the page that the menu's action names."""
        action = self.sender()
        if isinstance(action, QAction):
            self.show_step(action.data())

    def _next(self) -> None:
        self.show_step(min(self.stack.currentIndex(), len(self.pages) - 1))

    def _back(self) -> None:
        self.show_step(max(0, self.stack.currentIndex() - 2))

    def start_step(self) -> None:
        """Press the primary button of the page."""
        if self.page is not None and self.page.can_start():
            self.page.primary.click()

    def pause_job(self) -> None:
        """Pause or resume the job, whichever page is shown."""
        if self.runner.paused:
            self.runner.resume()
        else:
            self.runner.pause()

    def show_states(self) -> None:
        """Show how far every step is, everywhere."""
        run = self.runner.current
        running = run.owner if run is not None else None
        states: dict[str, State] = {}
        details: dict[str, str] = {}
        try:
            states = self.document.states(running)
            details = {page.step.key: page.summary() for page in self.stack.built} if states else {}
        except MetaPTError as error:  # the pages can be seen all the same
            states = states or {step.key: State.TODO for step in STEPS}
            if self.status.currentMessage() != str(error):
                self.tell(str(error))
        self.rail.show_states(states, details)
        self.stack.show_states(states)
        stoppable = all(page.stoppable for page in self.stack.built if page.step.key == running)
        self.menus.show_state(project=self.document.project is not None, running=run is not None, stoppable=stoppable)
        if run is None:
            self.status.show_engine("idle")
        elif self.runner.paused:
            self.status.show_engine("paused")

    # What happens -----------------------------------------------------------------------------------------------------

    def _on_opened(self) -> None:
        project = self.document.project
        name = self.document.folder.name if self.document.folder is not None else ""
        suffix = " (reading only)" if project is not None and project.read_only else ""
        self.setWindowTitle(f"{name}{suffix} – MetaPT" if name else "MetaPT")
        self.background.forget()
        self.host.forget()
        self._devices_asked = False
        self.status.show_saved("")
        self.stack.refresh("opened")
        self.show_states()
        self.menus.list_recent()
        if project is None:
            self.stack.show_welcome()
            self.rail.set_current(-1)
            self.welcome.show_recent(self.settings.recent())
        else:
            self.host.warm()
            self.show_step(0)

    def _on_changed(self, what: str) -> None:
        self.status.show_saved(f"saved {time.strftime('%H:%M')}")
        self.stack.refresh(what)  # when it has settled, the states are shown

    def _on_started(self, run: Run) -> None:
        self.status.show_engine("starting")
        self.note(f"{run.job.stage}: started" + ("" if run.role else " (trial)"))
        self.show_states()

    def _on_event(self, run: Run, event: Event) -> None:
        if isinstance(event, Progress) and not self.runner.paused:
            self.status.show_engine(f"{TITLES[run.owner]}   {wording.progress(event)}")
        elif isinstance(event, Notice):
            self.note(event.text)

    def _on_ended(self, run: Run, event: Event) -> None:
        if isinstance(event, Finished):
            facts = ", ".join(f"{name} {value}" for name, value in event.summary.items() if not isinstance(value, dict))
            self.note(f"{run.job.stage}: {event.outcome}  {facts}")
            if not self._devices_asked and run.job.stage not in ("import",):
                self._devices_asked = True
                self.host.ask("devices", self._on_devices)
        elif isinstance(event, Failed):
            self.note(f"{run.job.stage}: failed. {event.what}")
        elif isinstance(event, Cancelled):
            self.note(f"{run.job.stage}: cancelled")
        self.show_states()
        self.closing.on_ended()

    def _on_devices(self, devices: list[dict[str, object]]) -> None:
        if devices:
            self.status.show_device(str(devices[0]["name"]))

    def _on_failed(self, error: Exception) -> None:
        if not isinstance(error, MetaPTError):
            raise error
        self.note(str(error))
        show_error(self, error)

    def note(self, text: str) -> None:
        """Write a line into the log."""
        self.log.appendPlainText(f"{time.strftime('%H:%M:%S')}  {text}")

    def tell(self, text: str) -> None:
        """Show a line in the status bar for some seconds; the log keeps it."""
        self.status.showMessage(text, TOLD_MS)
        self.note(text)

    def _on_log_shown(self, _visible: bool) -> None:
        shown = not self._log_dock.isHidden()
        self.rail.log.setChecked(shown)
        self.menus.log.setChecked(shown)

    # Looks, help, network ---------------------------------------------------------------------------------------------

    def set_theme(self, theme: Theme) -> None:
        """Paint rail and pages in ``theme``."""
        self.rail.set_theme(theme)
        self.menus.set_theme(theme)
        self.stack.set_theme(theme)

    def choose_theme(self, action: QAction) -> None:
        """Use the theme of the menu's action."""
        self.settings.set("theme", action.data())
        self.themes.choose(action.data())

    def is_offline(self) -> bool:
        """Whether the network is left alone."""
        return self.menus.offline.isChecked()

    def set_offline(self, offline: bool) -> None:
        """Leave the network alone, or not."""
        self.settings.set("offline", offline)
        self.status.show_network(offline)

    # Files dropped, and the end ---------------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take files."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    @reporting
    def dropEvent(self, event: QDropEvent) -> None:
        """Open a project that was dropped; hand other files to the import page, in a new project if there is none."""
        self._take([as_given(Path(url.toLocalFile())) for url in event.mimeData().urls() if url.isLocalFile()])

    @reporting
    def open_path(self, path: Path) -> None:
        """Open what was named when the window was started: a project, a prompt, or texts."""
        path = path.expanduser().absolute()
        if not path.exists():
            raise StorageError("There is no such file or folder", where=path, remedy="Check the path.")
        self._take([as_given(path)])

    def _take(self, paths: list[Path]) -> None:
        last, seen = len(PAGES) - 1, isinstance(self.page, ImportPage)
        if not paths or not self.projects.ready_for(paths[0]):
            return
        prompt = paths[0].suffix == ".safetensors"
        number = last if prompt or isinstance(self.page, UsePage) else 0
        self.show_step(number)
        if isinstance(page := self.pages[number], UsePage) and prompt:
            page.use(str(paths[0]))
        elif isinstance(page, UsePage):
            if page.can_start():
                page.classify_into(paths)
        elif isinstance(page, ImportPage):
            take_texts(page, [str(path) for path in paths], seen=seen)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Ask what to do with a running job; end the engine and its threads; never leave half of anything."""
        if not self.closing.ready():
            event.ignore()
            return
        self.settings.set("geometry", self.saveGeometry())
        self.settings.set("windows", self.saveState())
        self.stack.stop()
        self._collector.stop()
        for page in self.stack.built:
            page.save_layout()
        self.settings.save()
        self.status.stop()
        self.crash_notice.end()
        self.host.close()
        self.runner.let_go()
        self.background.close()
        self.projects.finish()
        self.document.close()
        event.accept()
