"""Which classes are taken for which: a matrix shaded by the share of each row, or a list of the most frequent."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QObject, QPointF, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHeaderView, QTableWidget

from metapt_gui.theme import GRID
from metapt_gui.widgets.charts import LINE, LONGEST_NAME, StillPlot, elided, mixed
from metapt_gui.widgets.pieces import fill, set_up
from metapt_gui.wording import tooltip

SHARE_OF_NAMES = 0.35
"""Share of the width that the names of the rows may take, so that some is left for the cells."""
STRONGEST = 0.5
"""Share of the accent colour in a cell that has its whole row; text keeps 4.5:1 on it, light and dark."""
NARROW = 60
"""Pixels; narrower columns whose names do not fit are numbered, and the rows with them."""
WRITTEN = 20
"""Most classes that a matrix is read of; of more, the most frequent confusions are listed."""
LISTED = 200
"""Most confusions that are listed."""
MOVES = {
    Qt.Key.Key_Left: (0, -1),
    Qt.Key.Key_Right: (0, 1),
    Qt.Key.Key_Up: (-1, 0),
    Qt.Key.Key_Down: (1, 0),
}


class ConfusionMatrix(StillPlot):
    """Counts of true and predicted class; a click, or the arrow keys and Enter, ask for the texts of a cell.

    More than twenty classes are no matrix that can be read: what is most often taken for what is listed instead.

    Signals
    -------
    cell_clicked(row, column)
        Numbers of the true and of the predicted class.
    """

    cell_clicked = Signal(int, int)

    def __init__(self, title: str) -> None:
        super().__init__(title, "predicted", "labelled as")
        self._classes: list[str] = []
        self._matrix = np.zeros((0, 0), np.int64)
        self._cells = pg.ImageItem(axisOrder="row-major")
        self._texts: dict[tuple[int, int], pg.TextItem] = {}
        self._current = (0, 0)
        self._frame = pg.PlotDataItem()
        self.plot.addItem(self._cells)
        self.plot.addItem(self._frame)
        self.plot.setToolTip("Click a cell, or go to it with the arrow keys and press Enter, to see its texts.")
        view = self.plot.getViewBox()
        view.invertY(True)
        view.sigResized.connect(self._lay_out)
        self.plot.scene().sigMouseClicked.connect(self._on_click)
        self.plot.scene().sigMouseMoved.connect(self._on_move)
        self.plot.installEventFilter(self)
        self.confusions = _Confusions()
        self.confusions.chosen.connect(self.cell_clicked)
        self._pages.addWidget(self.confusions)
        self.set_placeholder("Drawn once a prompt is tuned: press Tune.")
        self._lay_out()

    def set_matrix(self, classes: Sequence[str], matrix: np.ndarray) -> None:
        """Show how many texts of each class were predicted to be of which.

        Parameters
        ----------
        classes
            Names, C of them.
        matrix
            int [C, C], rows true, columns predicted.
        """
        for text in self._texts.values():
            self.plot.removeItem(text)
        self._texts = {}
        self._classes = list(classes)
        self.show_data(bool(self._classes))
        self._matrix = np.array(matrix, np.int64).reshape(len(self._classes), len(self._classes))
        self._current = (0, 0)
        if 0 < len(self._classes) <= WRITTEN:
            for row, column in np.ndindex(self._matrix.shape):
                text = pg.TextItem(anchor=(0.5, 0.5))
                text.setPos(column + 0.5, row + 0.5)
                self.plot.addItem(text)
                self._texts[row, column] = text
        self._lay_out()
        self.repaint_items()
        if len(self._classes) > WRITTEN:
            self.confusions.show_confusions(self._classes, self._matrix)
            self._pages.setCurrentWidget(self.confusions)

    def table(self) -> tuple[Sequence[str], list[Sequence[object]]]:
        """Return the matrix, its rows and columns named."""
        names = ("labelled as", *(f"predicted {name}" for name in self._classes))
        return names, [(name, *row) for name, row in zip(self._classes, self._matrix.tolist(), strict=True)]

    def repaint_items(self) -> None:
        """Shade the cells."""
        if self.theme is None:
            return
        accent, surface = self.theme.colour("accent"), self.theme.colour("surface")
        if self._classes:
            steps = [mixed(accent, surface, STRONGEST * step / 255) for step in range(256)]
            colours = np.array([(step.red(), step.green(), step.blue()) for step in steps], np.uint8)
            self._cells.setImage(colours[np.rint(self._shares() * 255).astype(int)], levels=(0, 255))
            self._cells.setRect(0, 0, len(self._classes), len(self._classes))
        self._cells.setVisible(bool(self._classes))
        for text in self._texts.values():
            text.setColor(self.theme.text)
        self._frame.setPen(pg.mkPen(self.theme.text, width=2))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Go to a cell with the arrow keys and open it with Enter; the frame shows while the plot has the focus."""
        if watched is self.plot and self._classes:
            if event.type() in (QEvent.Type.FocusIn, QEvent.Type.FocusOut):
                self._frame.setVisible(event.type() == QEvent.Type.FocusIn)
            elif isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
                key = Qt.Key(event.key())
                if key in MOVES:
                    row, column = np.clip(np.add(self._current, MOVES[key]), 0, len(self._classes) - 1).tolist()
                    self._go_to(row, column)
                    return True
                if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
                    self.cell_clicked.emit(*self._current)
                    return True
        return super().eventFilter(watched, event)

    def _shares(self) -> np.ndarray:
        """Return each count as a share of its row, float64 [C, C]; 0 in a row without texts."""
        return self._matrix / np.maximum(self._matrix.sum(1, keepdims=True), 1)

    def _go_to(self, row: int, column: int) -> None:
        self._current = (row, column)
        left, top = column + 0.02, row + 0.02
        self._frame.setData([left, left + 0.96, left + 0.96, left, left], [top, top, top + 0.96, top + 0.96, top])
        self._frame.setVisible(self.plot.hasFocus() and bool(self._classes))

    def _lay_out(self) -> None:
        """Name the axes and write into the cells what has room there."""
        view, metrics, size = self.plot.getViewBox(), self.metrics(), max(len(self._classes), 1)
        view.setRange(xRange=(0, size), yRange=(0, size), padding=0)
        width, height = view.width() / size, view.height() / size
        longest = max((metrics.horizontalAdvance(name) for name in self._classes), default=0.0)
        numbered = width < min(NARROW, longest + GRID)
        numbers = [str(number) for number in range(1, size + 1)]
        rows = [f"{number} {name}" for number, name in zip(numbers, self._classes, strict=False)]
        widest = metrics.horizontalAdvance(numbers[-1]) + GRID
        self._name_ticks(
            "bottom", numbers if numbered else self._classes, math.ceil(widest / max(width, 1.0)), width - 4
        )
        room = min(LONGEST_NAME, SHARE_OF_NAMES * self.plot.width())
        self._name_ticks("left", rows if numbered else self._classes, math.ceil(LINE / max(height, 1.0)), room)
        shares = self._shares()
        for cell, text in self._texts.items():
            lines = [f"{self._matrix[cell]:,}", f"{100 * shares[cell]:.0f} %"]
            lines = [line for line in lines if metrics.horizontalAdvance(line) + GRID <= width]
            room = int((height - GRID) // metrics.lineSpacing())
            text.textItem.setHtml(f"<center>{'<br>'.join(lines[: max(room, 0)])}</center>")
            text.textItem.setTextWidth(width)
            text.updateTextPos()
        self._go_to(*self._current)

    def _name_ticks(self, axis: str, names: Sequence[str], every: int, width: float) -> None:
        metrics = self.metrics()
        ticks = [(place + 0.5, elided(name, width, metrics)) for place, name in enumerate(names)]
        self.plot.getAxis(axis).setTicks([ticks[::every] if self._classes else []])

    def _cell(self, place: QPointF) -> tuple[int, int] | None:
        """Return the cell at a place in the scene."""
        if not self.plot.getViewBox().sceneBoundingRect().contains(place):
            return None
        at = self.plot.getViewBox().mapSceneToView(place)
        row, column = int(at.y()), int(at.x())
        return (row, column) if max(row, column) < len(self._classes) else None

    def _on_click(self, event: pg.GraphicsScene.mouseEvents.MouseClickEvent) -> None:
        cell = self._cell(event.scenePos())
        if cell is not None and event.button() == Qt.MouseButton.LeftButton and not event.double():
            self._go_to(*cell)
            self.cell_clicked.emit(*cell)

    def _on_move(self, place: QPointF) -> None:
        cell = self._cell(place)
        if cell is not None:
            count, share = self._matrix[cell], self._shares()[cell]
            labelled, predicted = self._classes[cell[0]], self._classes[cell[1]]
            said = f"{count:,} texts labelled as {labelled} ({100 * share:.0f} % of them) predicted {predicted}"
            self._cells.setToolTip(tooltip(said))


class _Confusions(QTableWidget):
    """The most frequent confusions, one a row; a click or Enter chooses one."""

    chosen = Signal(int, int)

    def __init__(self) -> None:
        super().__init__()
        tip = "The most frequent confusions. Click one, or press Enter, to see its texts."
        set_up(self, ("labelled as", "predicted", "texts"), "Most frequent confusions", tip, figures=(2,))
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)  # names of many classes often begin alike
        self.setShowGrid(False)
        self.setAlternatingRowColors(True)
        for column in (0, 1):
            self.horizontalHeader().setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)
        self._cells: list[tuple[int, int]] = []
        self.cellClicked.connect(self._choose)
        self.cellActivated.connect(self._choose)

    def show_confusions(self, classes: Sequence[str], matrix: np.ndarray) -> None:
        """List the cells of ``matrix`` [C, C] beside its diagonal that have texts, those with the most first."""
        wrong = matrix.copy()
        np.fill_diagonal(wrong, 0)
        order = np.argsort(-wrong, axis=None, kind="stable")[: min(LISTED, np.count_nonzero(wrong))]
        rows, columns = np.unravel_index(order, wrong.shape)
        self._cells = list(zip(rows.tolist(), columns.tolist(), strict=True))
        fill(self, [(classes[row], classes[column], f"{wrong[row, column]:,}") for row, column in self._cells])
        self.resizeColumnToContents(2)

    def _choose(self, number: int, _column: int) -> None:
        self.chosen.emit(*self._cells[number])
