"""How confident the pseudo-labels of each class are, with a threshold a class that is dragged or moved by keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QFocusEvent, QFontMetricsF, QKeyEvent
from PySide6.QtWidgets import QCheckBox, QDoubleSpinBox, QHBoxLayout, QWidget

from metapt_gui.widgets.charts import StillPlot, elided, mixed
from metapt_gui.widgets.pieces import inset, single_shot
from metapt_gui.wording import tooltip

INTERVAL = 50
"""Milliseconds between signals while a threshold moves."""
STEP = 0.01
"""What an arrow key moves a threshold by; a dragged one is rounded to as much."""
START = 0.5
"""Threshold of a class until it is set."""
LONGEST_NAME = 110
"""Pixels of a class name beside its line."""
NAMED = 10
"""Of more classes than these only the selected one is named, and its outline stands out; its threshold can be typed."""
FAINT = 0.3
"""Share of its colour that an outline has then; the rest is the surface's."""


class _Handle(pg.InfLineLabel):
    """Class and value beside a threshold; dragging it drags the line, also where lines lie on each other."""

    def __init__(self, line: pg.InfiniteLine, name: str) -> None:
        self._name = name
        super().__init__(line)
        self.setCursor(Qt.CursorShape.SizeHorCursor)
        self.setAcceptHoverEvents(True)

    def valueChanged(self) -> None:
        """Write what the threshold is now."""
        value = self.line.value()
        figure = f"{value:.2f}" if round(value, 2) == value else f"{value:.4g}"
        self.setText(f"{elided(self._name, LONGEST_NAME, QFontMetricsF(self.textItem.font()))} {figure}")
        self.updatePosition()

    def hoverEvent(self, event: pg.GraphicsScene.mouseEvents.HoverEvent) -> None:
        """Claim drags before lines that lie below."""
        self.line.hoverEvent(event)

    def mouseDragEvent(self, event: pg.GraphicsScene.mouseEvents.MouseDragEvent) -> None:
        """Drag the line."""
        event.currentItem = self.line
        self.line.mouseDragEvent(event)

    def mouseClickEvent(self, event: pg.GraphicsScene.mouseEvents.MouseClickEvent) -> None:
        """A click on the label is one on the line."""
        self.line.mouseClickEvent(event)


class _Class:
    """Counts, outline and threshold of one class; ``before`` is the value that the others know of."""

    def __init__(self, name: str, number: int) -> None:
        self.number = number
        self.counts = np.empty(0)
        self.before = START
        self.outline = pg.PlotDataItem()
        self.line = pg.InfiniteLine(START, angle=90, movable=True, bounds=(0.0, 1.0))
        self.line.setCursor(Qt.CursorShape.SizeHorCursor)
        self.label = _Handle(self.line, name)
        self.line.label = self.label


class ThresholdHistogram(StillPlot):
    """Histograms of confidence, one outline a class, and a threshold for each.

    Drag a line or its label; or give the plot the focus, choose a class with Up, Down or Tab, and move its threshold
    with Left and Right.

    Signals
    -------
    threshold_changed(class, value)
        While a threshold moves, at most 20 times a second; the last value always comes.
    threshold_set(class, before, after)
        When a moved threshold was let go; what an undo needs.
    """

    threshold_changed = Signal(str, float)
    threshold_set = Signal(str, float, float)

    def __init__(self, title: str) -> None:
        super().__init__(title, "confidence", "texts")
        self._classes: dict[str, _Class] = {}
        self._selected = ""
        self._moved = ""
        self.roots = QCheckBox("Square-root scale")
        self.roots.setAccessibleName("Square-root scale")
        self.roots.setToolTip("Draw square roots of the counts, so that rare confidences are seen beside common ones.")
        self.roots.setChecked(True)
        self.roots.toggled.connect(self._draw)
        head = self.findChild(QHBoxLayout)
        assert head is not None
        head.insertWidget(head.count() - 1, self.roots)
        self.value = QDoubleSpinBox()
        self.value.setRange(0.0, 1.0)
        self.value.setSingleStep(STEP)
        self.value.setKeyboardTracking(False)
        inset(self.value)
        self.value.valueChanged.connect(self._on_typed)
        self.value.hide()
        head.insertWidget(head.count() - 2, self.value)
        QWidget.setTabOrder(self.value, self.roots)
        QWidget.setTabOrder(self.roots, self.plot)
        self.plot.setToolTip(
            "Texts right of the line of their class are kept. Drag a line or its label; or choose a class with Up, "
            "Down or Tab and move its line with Left and Right."
        )
        self.set_placeholder("How confident the annotator is will be drawn here, class by class.")
        self.plot.setXRange(0, 1, padding=0.02)
        self.plot.installEventFilter(self)
        self._timer = single_shot(self, INTERVAL, self._tell)

    def set_histograms(self, histograms: Mapping[str, Sequence[int] | np.ndarray]) -> None:
        """Show class -> counts [n] of equal bins of 0..1; a class that was there before keeps its threshold."""
        thresholds = self.thresholds()
        for shown in self._classes.values():
            self.plot.removeItem(shown.outline)
            self.plot.removeItem(shown.line)
        self._classes = {name: _Class(name, number) for number, name in enumerate(histograms)}
        self.show_data(bool(self._classes))
        if self._moved not in self._classes:
            self._moved = ""
        for row, (name, shown) in enumerate(self._classes.items()):
            shown.counts = np.asarray(histograms[name], dtype=float)
            self.plot.addItem(shown.outline)
            self.plot.addItem(shown.line, ignoreBounds=True)
            # A height of its own for each label: thresholds are often the same for all classes.
            shown.label.setPosition(1 - (row + 0.5) / len(histograms) if len(histograms) <= NAMED else 0.9)
            shown.line.sigDragged.connect(self._on_drag)
            shown.line.sigPositionChangeFinished.connect(self._on_release)
            shown.line.sigClicked.connect(self._on_click)
            self.set_threshold(name, thresholds.get(name, START))
        self.value.setVisible(len(self._classes) > NAMED)
        self.select(self._selected if self._selected in self._classes else next(iter(self._classes), ""))
        self._draw()

    def set_threshold(self, name: str, value: float) -> None:
        """Put the threshold of class ``name`` at ``value`` without telling anybody; a class not shown is left alone."""
        if name in self._classes:
            self._classes[name].line.setValue(float(value))
            self._classes[name].before = self._classes[name].line.value()
            self._show_value()

    def thresholds(self) -> dict[str, float]:
        """Return class -> threshold, as shown now."""
        return {name: float(shown.line.value()) for name, shown in self._classes.items()}

    def selected(self) -> str:
        """Return the class whose threshold the arrow keys move; empty if there is none."""
        return self._selected

    def table(self) -> tuple[Sequence[str], list[Sequence[object]]]:
        """Return the bins of every class with their counts, and its threshold."""
        rows: list[Sequence[object]] = []
        for name, shown in self._classes.items():
            edges = np.linspace(0, 1, len(shown.counts) + 1).round(6).tolist()
            for low, high, count in zip(edges[:-1], edges[1:], shown.counts.tolist(), strict=True):
                rows.append((name, low, high, int(count), float(shown.line.value())))
        return ("class", "from", "to", "texts", "threshold"), rows

    def repaint_items(self) -> None:
        """Give outlines, lines and labels their colours; the line of the selected class is the thick one."""
        if self.theme is None:
            return
        background = self.theme.colour("surface")
        background.setAlpha(210)
        many, surface = len(self._classes) > NAMED, self.theme.colour("surface")
        for name, shown in self._classes.items():
            colour = self.theme.category(shown.number)
            selected = name == self._selected
            faint = mixed(colour, surface, FAINT) if many and not selected else colour
            shown.outline.setPen(pg.mkPen(faint, width=2 if many and selected else 1))
            shown.outline.setZValue(5 if selected else 0)
            shown.label.setVisible(selected or not many)
            shown.line.setPen(pg.mkPen(colour, width=3 if selected else 1))
            shown.line.setHoverPen(pg.mkPen(colour, width=5))
            shown.line.setZValue(20 if selected else 10)
            shown.label.setColor(self.theme.text)
            shown.label.fill = pg.mkBrush(background)
            shown.label.border = pg.mkPen(colour, width=2 if selected else 1)
            shown.label.update()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Choose a class and move its threshold by keys; Tab leaves the plot after the last class."""
        if watched is self.plot and self._classes:
            if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
                return self._on_key(event)
            if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyRelease:
                if not event.isAutoRepeat():
                    self._settle()
            elif isinstance(event, QFocusEvent):
                names = list(self._classes)
                if event.type() == QEvent.Type.FocusOut:
                    self._settle()
                elif event.reason() == Qt.FocusReason.TabFocusReason:
                    self.select(names[0])
                elif event.reason() == Qt.FocusReason.BacktabFocusReason:
                    self.select(names[-1])
        return super().eventFilter(watched, event)

    def _on_key(self, event: QKeyEvent) -> bool:
        """Return whether the key meant something here."""
        names = list(self._classes)
        place = names.index(self._selected)
        forward = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_Tab: 1, Qt.Key.Key_Backtab: -1}
        sideways = {Qt.Key.Key_Left: -STEP, Qt.Key.Key_Right: STEP}
        key = Qt.Key(event.key())
        if key in forward:
            place += forward[key]
            if not 0 <= place < len(names) and key in (Qt.Key.Key_Tab, Qt.Key.Key_Backtab):
                return False
            self._settle()
            self.select(names[place % len(names)])
        elif key in sideways:
            line = self._classes[self._selected].line
            line.setValue(round(line.value() + sideways[key], 4))
            self._show_value()
            self._tell_soon(self._selected)
        else:
            return False
        return True

    def _draw(self) -> None:
        roots = self.roots.isChecked()
        highest = 1.0
        for shown in self._classes.values():
            heights = np.sqrt(shown.counts) if roots else shown.counts
            edges = np.linspace(0, 1, len(heights) + 1)
            shown.outline.setData(edges, heights, stepMode="center")
            highest = max(highest, float(heights.max(initial=0.0)))
        self.plot.setYRange(0, 1.05 * highest, padding=0)
        ticks = None
        if roots:
            # Round counts at about equal heights.
            counts = {round(count, 1 - len(str(count))) for count in (int((highest * n / 4) ** 2) for n in range(5))}
            ticks = [[(count**0.5, f"{count:,}") for count in sorted(counts)]]
        self.plot.getAxis("left").setTicks(ticks)
        self.repaint_items()

    def select(self, name: str) -> None:
        """Let arrow keys, and what is typed, move the threshold of class ``name``."""
        self._selected = name
        self._show_value()
        self.repaint_items()

    def _show_value(self) -> None:
        if self._selected in self._classes:
            self.value.blockSignals(True)
            self.value.setValue(self._classes[self._selected].line.value())
            self.value.blockSignals(False)
        said = f"Threshold of {self._selected}"
        self.value.setAccessibleName(said)
        self.value.setToolTip(tooltip(said))

    def _on_typed(self, value: float) -> None:
        self._classes[self._selected].line.setValue(value)
        self._tell_soon(self._selected)
        self._settle()

    def _name(self, line: pg.InfiniteLine) -> str:
        return next(name for name, shown in self._classes.items() if shown.line is line)

    def _on_click(self, line: pg.InfiniteLine, _event: object) -> None:
        self.select(self._name(line))

    def _on_drag(self, line: pg.InfiniteLine) -> None:
        name = self._name(line)
        if name != self._selected:
            self._settle()
            self.select(name)
        line.setValue(round(line.value(), 2))
        self._show_value()
        self._tell_soon(name)

    def _on_release(self, _line: pg.InfiniteLine) -> None:
        self._settle()

    def _tell_soon(self, name: str) -> None:
        """Say where the threshold is, at once if nothing was said for a while."""
        self._moved = name
        if not self._timer.isActive():
            self._tell()

    def _tell(self) -> None:
        if self._moved:
            name, self._moved = self._moved, ""
            self._timer.start()
            self.threshold_changed.emit(name, self._classes[name].line.value())

    def _settle(self) -> None:
        """Say that the selected threshold stays where it is."""
        self._tell()
        if self._selected:
            shown = self._classes[self._selected]
            before, shown.before = shown.before, float(shown.line.value())
            if shown.before != before:
                self.threshold_set.emit(self._selected, before, shown.before)
