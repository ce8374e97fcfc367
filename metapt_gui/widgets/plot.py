"""A plot in a card: title, themed axes, and a menu that saves it as PNG, SVG or CSV."""

from __future__ import annotations

import csv
import errno
from collections.abc import Sequence
from pathlib import Path

import pyqtgraph as pg
from pyqtgraph.exporters import ImageExporter
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QAction, QPainter
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QMenu,
    QStackedLayout,
    QToolButton,
    QVBoxLayout,
)

from engine.corpus.spreadsheet import plain_cell
from engine.errors import MetaPTError
from engine.storage import replacing
from metapt_gui.icons import icon
from metapt_gui.theme import GRID, HEAD, Theme
from metapt_gui.widgets.pieces import ElidedLabel, enable

FORMATS = ("PNG", "SVG", "CSV")


class PlotCard(QFrame):
    """Base of the plots; a subclass draws into ``plot`` and says what its figures are in `table`.

    Parameters
    ----------
    title
        What is seen, in the reader's words; also the accessible name.
    x, y
        Names of the axes with their units.
    """

    def __init__(self, title: str, x: str = "", y: str = "") -> None:
        super().__init__()
        self.setProperty("role", "card")
        self.theme: Theme | None = None
        self._title = ElidedLabel("")
        self._title.setProperty("role", "heading")
        self.note = QLabel()
        self.note.setProperty("role", "muted")
        self._menu_button = QToolButton()
        self._menu_button.setAutoRaise(True)
        self._menu_button.setFixedSize(HEAD, HEAD)
        self._menu_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._menu_button.setToolTip("Save this plot as a picture (PNG, SVG) or its figures (CSV). Ctrl+E")
        menu = QMenu(self._menu_button)
        for kind in FORMATS:
            action = QAction(f"Save as {kind} …", menu)
            action.setData(kind)
            menu.addAction(action)
        menu.triggered.connect(self._chosen)
        self._menu_button.setMenu(menu)
        self.plot = pg.PlotWidget()
        self.plot.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        self.plot.setFrameShape(QFrame.Shape.NoFrame)
        self.plot.getPlotItem().setContentsMargins(0, 4, 8, 0)
        if x:
            self.plot.setLabel("bottom", x)
        if y:
            self.plot.setLabel("left", y)
        head = QHBoxLayout()
        head.addWidget(self._title)
        head.addWidget(self.note, 1)
        head.addWidget(self._menu_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(GRID + 4, GRID // 2, GRID, GRID)
        layout.setSpacing(4)
        self._empty = QLabel("Nothing to draw yet.")
        self._empty.setProperty("role", "muted")
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._empty.setWordWrap(True)
        self._pages = QStackedLayout()
        self._pages.addWidget(self._empty)
        self._pages.addWidget(self.plot)
        self._pages.setCurrentIndex(1)
        layout.addLayout(head)
        layout.addLayout(self._pages, 1)
        self.set_title(title)

    def set_title(self, title: str) -> None:
        """Say what is seen."""
        self._title.setText(title)
        self.setAccessibleName(title)
        self.plot.setAccessibleName(title)
        self._menu_button.setAccessibleName(f"Save the plot {title}")

    def set_placeholder(self, text: str) -> None:
        """Say what will be seen here while there is nothing to draw."""
        self._empty.setText(text)

    def show_data(self, there_is: bool) -> None:
        """Show the plot, or what will be seen here; a subclass calls it when its figures come or go."""
        self._pages.setCurrentIndex(int(there_is))
        enable(self._menu_button, "" if there_is else "There is nothing to save yet.")

    def sizeHint(self) -> QSize:
        """A plot takes what it is given."""
        return QSize(320, 180)

    def set_theme(self, theme: Theme) -> None:
        """Paint with the colours of ``theme``; a subclass repaints its items in `repaint_items`."""
        self.theme = theme
        self._menu_button.setIcon(icon("save", theme))
        self.plot.setBackground(theme.surface)
        for name in ("bottom", "left"):
            axis = self.plot.getAxis(name)
            axis.setPen(pg.mkPen(theme.border))
            axis.setTextPen(pg.mkPen(theme.muted))
        self.repaint_items()

    def repaint_items(self) -> None:
        """Give the items the colours of the theme; called whenever it changes."""

    def table(self) -> tuple[Sequence[str], list[Sequence[object]]]:
        """Return the names of the columns and the rows of the figures that are drawn."""
        return (), []

    def save(self, path: Path) -> None:
        """Save the plot; the ending of ``path`` says how.

        Raises
        ------
        StorageError
            If it cannot be written.
        """
        with replacing(path) as temporary:
            if path.suffix.lower() == ".csv":
                names, rows = self.table()
                with open(temporary, "w", newline="", encoding="utf-8-sig") as stream:
                    writer = csv.writer(stream)
                    for row in (names, *rows):
                        writer.writerow([plain_cell(cell) if isinstance(cell, str) else cell for cell in row])
            elif path.suffix.lower() == ".svg":
                # Qt's own, in the version that clips: pyqtgraph 0.14's exporter fails on the closed paths of Qt 6.11.
                picture = QSvgGenerator(QSvgGenerator.SvgVersion.Svg11)
                picture.setFileName(str(temporary))
                picture.setResolution(self.plot.logicalDpiX())
                picture.setSize(self.plot.size())
                picture.setViewBox(self.plot.rect())
                painter = QPainter(picture)
                self.plot.render(painter)
                painter.end()
            else:
                exporter = ImageExporter(self.plot.getPlotItem())
                exporter.parameters()["width"] = max(1600, 2 * self.plot.width())
                image = exporter.export(toBytes=True)
                if not image.save(str(temporary), "PNG"):
                    raise OSError(errno.EIO, "The picture could not be written")

    def export(self, kind: str = "PNG") -> None:
        """Ask for a file and save the plot there, if anything is drawn."""
        if not self._menu_button.isEnabled():
            return
        from metapt_gui.widgets.dialogs import ask_where, show_error

        ending = f".{kind.lower()}"
        suggestion = Path(f"{self.accessibleName()}{ending}")
        path = ask_where(self, "Save the plot", suggestion, f"{kind} (*{ending})", (ending, ending.upper()))
        try:
            if path is not None:
                self.save(path)
        except MetaPTError as error:
            show_error(self, error)

    def _chosen(self, action: QAction) -> None:
        self.export(action.data())
