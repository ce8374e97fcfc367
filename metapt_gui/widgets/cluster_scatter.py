"""A live scatter of a thousand to a million texts: they appear, move, are hovered over and clicked."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QObject, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QToolTip

from metapt_gui.theme import Theme
from metapt_gui.widgets.lasso import Lasso
from metapt_gui.widgets.pieces import single_shot
from metapt_gui.widgets.plot import PlotCard
from metapt_gui.widgets.raster import CROSS, DISC, DOT, rasterise
from metapt_gui.wording import tooltip

SYMBOLS = 8_000
"""Up to so many points each one is a symbol; more are one picture."""
DISCS, CROSSES = 60_000, 200_000
REDRAW_MS, SETTLE_MS, HOVER_MS = 100, 80, 50
NEAR = 8
"""Pixels within which a point counts as meant."""
SMALLEST = 1e-4
"""Least width and height of what is shown, for texts that are all alike: Qt paints no picture at a scale of 1e-6."""
SHADES = 16
FADED = 64
"""Opacity, of 255, of the groups that are not selected."""


class ClusterScatter(PlotCard):
    """Texts in the plane, coloured by category or by value.

    Signals
    -------
    category_clicked
        Category (of `place` or `set_points`) of the point that was clicked, -1 for the background.
    picked
        Rows that the person drew a line around with the Shift key held, int64 [k], at least one.
    """

    category_clicked = Signal(int)
    picked = Signal(object)

    def __init__(self, title: str) -> None:
        super().__init__(title)
        self._positions = np.empty((0, 2), np.float32)
        self._categories = np.empty(0, np.int16)
        self._codes = np.empty(0, np.int16)
        self._placed = 0
        self._shades = False
        self._names: dict[int, str] = {}
        self._values, self._values_label = np.empty(0), ""
        self._highlighted: int | None = None
        self._text: Callable[[int], str] | None = None
        self._under = -1
        self._follow = True
        self._symbols: list[pg.ScatterPlotItem] = []
        self._image = pg.ImageItem(axisOrder="row-major")
        self._image.hide()
        self.plot.addItem(self._image)
        self.plot.hideAxis("left")
        self.plot.hideAxis("bottom")
        self.plot.setAspectLocked(True)
        self._view = self.plot.getViewBox()
        self._lasso = Lasso(self._view)
        self._view.sigRangeChangedManually.connect(self._on_moved)
        self._view.sigRangeChanged.connect(self._on_range)
        self._view.sigResized.connect(self._on_range)
        self.plot.viewport().installEventFilter(self)
        self.plot.installEventFilter(self)
        self.plot.setMouseTracking(True)
        self.plot.setToolTip("")
        self._redraw, self._settle = (single_shot(self, ms, self._draw) for ms in (REDRAW_MS, SETTLE_MS))
        self._hover = single_shot(self, HOVER_MS, self._look)
        self._mouse = QPointF()
        self._pressed = QPointF()
        self.set_placeholder("A map of the texts, a dot each, will be drawn here: press Cluster.")
        self.show_data(False)

    # Points -----------------------------------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """Number of points that have a place."""
        return self._placed

    def begin(self, rows: int) -> None:
        """Forget everything and make room for ``rows`` points."""
        self._positions = np.full((rows, 2), np.nan, np.float32)
        self._categories = np.full(rows, -1, np.int16)
        self._codes, self._shades = self._categories, False
        self._placed, self._highlighted, self._under, self._follow = 0, None, -1, True
        self._soon()

    def place(self, rows: np.ndarray, positions: np.ndarray, categories: np.ndarray | None) -> None:
        """Let points appear or move; drawn within a tenth of a second.

        Parameters
        ----------
        rows, positions, categories
            int64 [k], float32 [k, 2] and, if they are known, int16 [k].
        """
        self._placed += int(np.isnan(self._positions[rows, 0]).sum())
        self._positions[rows] = positions
        if categories is not None:
            self._categories[rows] = categories
        self._soon()

    def set_points(self, positions: np.ndarray, categories: np.ndarray) -> None:
        """Show these points, float32 [n, 2], with their categories, int16 [n]."""
        self.begin(len(positions))
        self.place(np.arange(len(positions)), positions, categories)

    def colour_by_category(self, categories: np.ndarray | None) -> None:
        """Colour by categories, int16 [n], -1 is grey; ``None`` goes back to those of the points."""
        self._codes, self._shades = self._categories if categories is None else categories, False
        self.note.setText("")
        self._soon()

    def colour_by_value(self, values: np.ndarray, label: str) -> None:
        """Colour by values, float [n], from dark (low) to bright (high); NaN is grey."""
        known = np.isfinite(values)
        low, high = (float(values[known].min()), float(values[known].max())) if known.any() else (0.0, 1.0)
        codes = np.full(len(values), -1, np.int16)
        codes[known] = np.clip((values[known] - low) / max(high - low, 1e-9) * SHADES, 0, SHADES - 1)
        self._codes, self._shades = codes, True
        self._values, self._values_label = values, label
        self.note.setText(f"dark: {label} {low:.2f}, bright: {high:.2f}")
        self._soon()

    def set_names(self, names: Mapping[int, str]) -> None:
        """Say what the categories are called in a table."""
        self._names = dict(names)

    @property
    def highlighted(self) -> int | None:
        """The category that stands out."""
        return self._highlighted

    def highlight(self, category: int | None) -> None:
        """Fade all other categories."""
        if category != self._highlighted:
            self._highlighted = category
            self._soon()

    def set_hover_text(self, function: Callable[[int], str] | None) -> None:
        """Say where the text of a row comes from."""
        self._text = function

    def table(self) -> tuple[Sequence[str], list[Sequence[object]]]:
        """Return row (from 1), position and what it is coloured by of every point that has a place."""
        rows = np.flatnonzero(~np.isnan(self._positions[:, 0]))
        places = [column.tolist() for column in (rows + 1, *self._positions[rows].T)]
        if self._shades:
            return ("row", "x", "y", self._values_label), list(zip(*places, self._values[rows].tolist(), strict=True))
        names = [self._names.get(code, "" if code < 0 else code + 1) for code in self._codes[rows].tolist()]
        return ("row", "x", "y", "group"), list(zip(*places, names, strict=True))

    # Drawing ----------------------------------------------------------------------------------------------------------

    def set_theme(self, theme: Theme) -> None:
        """Paint with the colours of ``theme``."""
        super().set_theme(theme)
        self._lasso.set_theme(theme)
        self._soon()

    def _soon(self) -> None:
        if not self._redraw.isActive():
            self._redraw.start()

    def _colours(self) -> list[QColor]:
        """Return the colour of each code, that of -1 last."""
        assert self.theme is not None
        if self._shades:
            found = pg.colormap.get("cividis").getLookupTable(nPts=SHADES, mode="qcolor")
        else:
            found = [self.theme.category(code) for code in range(int(self._codes.max(initial=0)) + 1)]
        colours = [QColor(colour) for colour in (*found, self.theme.category(-1))]
        if self._highlighted is not None and not self._shades:
            for code, colour in enumerate(colours):
                colour.setAlpha(255 if code == self._highlighted else FADED)
        return colours

    def _draw(self) -> None:
        if self.theme is None:
            return
        began = time.perf_counter()
        self.show_data(self._placed > 0)
        if self._follow and self._placed:
            self._show_all()
        if self._placed <= SYMBOLS:
            self._draw_symbols()
        else:
            self._draw_picture()
        self._settle.stop()  # following the points has moved the range, and this picture shows it already
        # Drawing takes at most a quarter of the time, however many points there are.
        self._redraw.setInterval(max(REDRAW_MS, round(4000 * (time.perf_counter() - began))))

    def _draw_symbols(self) -> None:
        self._image.hide()
        colours = self._colours()
        size = 7 if self._placed < 3000 else 5
        while len(self._symbols) < len(colours):
            item = pg.ScatterPlotItem(pxMode=True, pen=None)
            self.plot.addItem(item)
            self._symbols.append(item)
        for code, item in enumerate(self._symbols):
            wanted = code if code < len(colours) - 1 else -1 if code == len(colours) - 1 else -2
            mine = self._positions[self._codes == wanted]
            mine = mine[~np.isnan(mine[:, 0])]
            item.setData(x=mine[:, 0], y=mine[:, 1], brush=pg.mkBrush(colours[code % len(colours)]), size=size)
            item.setZValue(1 if code == self._highlighted else 0)

    def _draw_picture(self) -> None:
        for item in self._symbols:
            item.clear()
        rectangle = self._view.viewRect()
        ratio = self.plot.devicePixelRatioF()
        fine = self._placed <= CROSSES
        scale = ratio if fine else ratio / 2
        size = (max(1, int(self._view.width() * scale)), max(1, int(self._view.height() * scale)))
        stamp = DISC if self._placed <= DISCS else CROSS if fine else DOT
        table = np.array([_packed(colour) for colour in self._colours()], np.uint32)
        colours, positions = table[self._codes], self._positions
        if self._highlighted is not None and not self._shades:
            # Painted once more, over the others: sorting a million points would take longer.
            marked = np.flatnonzero(self._codes == self._highlighted)
            colours = np.concatenate([colours, colours[marked]])
            positions = np.concatenate([positions, positions[marked]])
        view = (rectangle.left(), rectangle.top(), rectangle.width(), rectangle.height())
        picture = rasterise(positions, colours, view, size, stamp)
        self._image.setImage(picture, autoLevels=False, levels=None)
        self._image.setRect(QRectF(rectangle))
        self._image.show()

    def _show_all(self) -> None:
        # A column at a time: along the rows numpy takes nine times as long, 55 ms for a million of them.
        columns = self._positions.T
        low, high = (np.array([extreme.reduce(column) for column in columns], float) for extreme in (np.fmin, np.fmax))
        sides = np.maximum(high - low, SMALLEST)
        self._view.setRange(QRectF(*((low + high - sides) / 2), *sides), padding=0.04)

    def _on_moved(self) -> None:
        self._follow = False

    def _on_range(self) -> None:
        if self._placed > SYMBOLS:
            self._settle.start()

    # Mouse and keys ---------------------------------------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Look at what the mouse is over; let keys move the view."""
        kind = event.type()
        if isinstance(event, QMouseEvent) and watched is self.plot.viewport():
            if self._on_lasso(event):
                return True  # or the view would move with the mouse
            if kind == QEvent.Type.MouseMove:
                self._mouse = event.position()
                if not self._hover.isActive():
                    self._hover.start()
            elif kind == QEvent.Type.MouseButtonPress:
                self._pressed = event.position()
            elif kind == QEvent.Type.MouseButtonDblClick:
                self._follow = True
                self._soon()
            elif kind == QEvent.Type.MouseButtonRelease and event.button() == Qt.MouseButton.LeftButton:
                self._on_release(event.position())
        elif isinstance(event, QKeyEvent) and kind == QEvent.Type.KeyPress and watched is self.plot:
            return self._on_key(event.key())
        elif kind == QEvent.Type.Leave:
            self._hover.stop()
            self._show_under(-1)
        return super().eventFilter(watched, event)

    def _on_lasso(self, event: QMouseEvent) -> bool:
        """Draw a line while Shift and the left button are held; return whether the event belongs to it."""
        left = event.button() == Qt.MouseButton.LeftButton
        if event.type() == QEvent.Type.MouseButtonPress and left and self._placed:
            if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
                self._hover.stop()
                self._show_under(-1)
                self._lasso.begin(event.position(), self._in_view(event.position()))
                return True
        elif self._lasso.drawing and event.type() == QEvent.Type.MouseMove:
            self._lasso.go_on(event.position(), self._in_view(event.position()))
            return True
        elif self._lasso.drawing and event.type() == QEvent.Type.MouseButtonRelease and left:
            rows = self._lasso.end(self._positions)
            if len(rows):
                self.picked.emit(rows)
            return True
        return False

    def _in_view(self, where: QPointF) -> QPointF:
        return QPointF(self._view.mapSceneToView(self.plot.mapToScene(where.toPoint())))

    def _on_release(self, where: QPointF) -> None:
        if (where - self._pressed).manhattanLength() < 4:  # a click, not the end of a drag
            row = self._nearest(where)
            self.category_clicked.emit(int(self._categories[row]) if row >= 0 else -1)

    def _on_key(self, key: int) -> bool:
        steps = {Qt.Key.Key_Left: (-1, 0), Qt.Key.Key_Right: (1, 0), Qt.Key.Key_Up: (0, 1), Qt.Key.Key_Down: (0, -1)}
        rectangle = self._view.viewRect()
        if key in steps:
            across, up = steps[Qt.Key(key)]
            self._view.translateBy(x=across * rectangle.width() / 10, y=up * rectangle.height() / 10)
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self._view.scaleBy((0.8, 0.8))
        elif key == Qt.Key.Key_Minus:
            self._view.scaleBy((1.25, 1.25))
        elif key == Qt.Key.Key_A:
            self._follow = True
            self._soon()
            return True
        else:
            return False
        self._follow = False
        return True

    def _nearest(self, where: QPointF) -> int:
        """Return the row of the nearest point within a few pixels, -1 for none."""
        if not self._placed:
            return -1
        point = self._in_view(where)
        across, up = self._view.viewPixelSize()
        distance = (self._positions[:, 0] - np.float32(point.x())) / np.float32(across)
        distance *= distance
        other = (self._positions[:, 1] - np.float32(point.y())) / np.float32(up)
        other *= other
        distance += other
        row = int(np.nanargmin(distance))
        return row if distance[row] <= NEAR * NEAR else -1

    def _look(self) -> None:
        self._show_under(self._nearest(self._mouse))

    def _show_under(self, row: int) -> None:
        if row == self._under:
            return
        self._under = row
        if row >= 0 and self._text is not None:
            where = self.plot.viewport().mapToGlobal(self._mouse.toPoint())
            QToolTip.showText(where, tooltip(self._text(row)), self.plot)
        else:
            QToolTip.hideText()


def _packed(colour: QColor) -> int:
    return colour.red() | colour.green() << 8 | colour.blue() << 16 | colour.alpha() << 24
