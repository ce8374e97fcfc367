"""The pages, one of which is shown: built one at a time, and kept up to date without holding the window up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QStackedWidget, QWidget

from engine.errors import MetaPTError
from engine.workflow import State
from metapt_gui.pages.page import Page
from metapt_gui.theme import Theme
from metapt_gui.widgets.pieces import enable, in_turn
from metapt_gui.widgets.plot import PlotCard


class PageStack(QStackedWidget):
    """The welcome page and the pages of the steps.

    A page that is not shown is built, and shown anew when the project changes, between other events.

    Parameters
    ----------
    welcome
        What is shown without a project.
    makers
        Make the pages, in the order of the steps.

    Signals
    -------
    made, complete
        A page was built; all are.
    settled
        Every page shows the project as it is.
    failed
        An error that a page met while it was shown anew.
    """

    made = Signal(object)
    complete = Signal()
    settled = Signal()
    failed = Signal(object)

    def __init__(self, welcome: QWidget, makers: Sequence[Callable[[], Page]]) -> None:
        super().__init__()
        self.addWidget(welcome)
        self._makers = list(makers)
        self.built: list[Page] = []
        self._stale: dict[Page, list[str]] = {}
        self._states: Mapping[str, State] = {}
        self._idle = QTimer(self)
        self._idle.setInterval(0)
        self._idle.timeout.connect(self._work)

    @property
    def pages(self) -> list[Page]:
        """All pages; those that are not built yet are built now."""
        while len(self.built) < len(self._makers):
            self._build()
        return self.built

    @property
    def page(self) -> Page | None:
        """The page that is shown; ``None`` for the welcome page."""
        shown = self.currentWidget()
        return shown if isinstance(shown, Page) else None

    def export_plot(self) -> None:
        """Save the plot that has the focus, else the first of the page."""
        widget: QWidget | None = self.window().focusWidget()
        while widget is not None and not isinstance(widget, PlotCard):
            widget = widget.parentWidget()
        if widget is None and self.page is not None:
            widget = next((plot for plot in self.page.plots() if plot.isVisible()), None)
        if isinstance(widget, PlotCard):
            widget.export()

    def begin(self) -> None:
        """Build the pages from now on, between other events."""
        self._idle.start()

    def stop(self) -> None:
        """Do nothing more."""
        self._idle.stop()

    def show_page(self, number: int) -> None:
        """Show the page of a step, as the project is now."""
        page = self.pages[number]
        self._freshen(page)
        page.show_primary()
        self.setCurrentIndex(number + 1)
        page.setFocus()

    def show_welcome(self) -> None:
        """Show the welcome page."""
        self.setCurrentIndex(0)

    def refresh(self, what: str) -> None:
        """Let every page know that ``what`` changed: the one that is shown now, the others soon."""
        for page in self.built:
            if what == "opened":
                self._stale[page] = []
                page.forget()
            changes = self._stale.setdefault(page, [])
            if what not in changes and changes[:1] != ["opened"]:
                changes.append(what)
        if self.page is not None:
            self._freshen(self.page)
        self._idle.start()

    def show_states(self, states: Mapping[str, State]) -> None:
        """Let the page that is shown know how far its step is; the others see it when they are shown."""
        self._states = states
        if self.page is not None:
            self._show_state(self.page)

    def set_theme(self, theme: Theme) -> None:
        """Paint all pages in ``theme``."""
        for page in self.built:
            page.set_theme(theme)

    def _freshen(self, page: Page) -> None:
        for what in self._stale.pop(page, []):
            try:
                page.refresh(what)
            except MetaPTError as error:
                self.failed.emit(error)
        self._show_state(page)

    def _show_state(self, page: Page) -> None:
        if page.step.key in self._states:
            page.show_state(self._states[page.step.key])

    def _build(self) -> None:
        page = self._makers[len(self.built)]()
        self.built.append(page)
        foot = (page.back, page.cancel, page.pause, page.stop, page.primary, page.next)
        in_turn(page.previousInFocusChain(), foot)  # they come after what they are about
        self.addWidget(page)
        page.restore_layout()
        enable(page.back, "" if len(self.built) > 1 else "This is the first step.")
        page.next.setVisible(len(self.built) < len(self._makers))
        self.made.emit(page)
        if page.document.project is not None:
            self._stale[page] = ["opened"]
        if len(self.built) == len(self._makers):
            self.complete.emit()

    def _work(self) -> None:
        """Do one piece: build a page, or freshen one."""
        if len(self.built) < len(self._makers):
            self._build()
        elif self._stale:
            self._freshen(next(iter(self._stale)))
        else:
            self._idle.stop()
            self.settled.emit()
