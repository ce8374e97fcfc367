"""The curves of a tuning: the validation accuracy and the training loss of each prompt."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QSplitter

from engine.events import Event, Metric
from metapt_gui.widgets.live_curves import LiveCurves


class TuningCurves(QSplitter):
    """Draws what a tuning streams, or what an earlier one left."""

    def __init__(self) -> None:
        super().__init__(Qt.Orientation.Vertical)
        self.accuracy = LiveCurves("Validation accuracy of each prompt", "step", "accuracy", percent=True, raw=False)
        self.loss = LiveCurves("Training loss of each prompt", "step", "loss", names=False)
        self._plots = {"validation accuracy": self.accuracy, "training loss": self.loss}
        for plot in self.plots():
            plot.set_placeholder("Drawn while prompts are tuned: press Tune.")
            self.addWidget(plot)

    def plots(self) -> list[LiveCurves]:
        """Return the plots."""
        return list(self._plots.values())

    def clear(self) -> None:
        """Begin anew."""
        for plot in self.plots():
            plot.clear()

    def add(self, event: Event) -> None:
        """Draw an event, if it is a point of one of the curves."""
        if isinstance(event, Metric) and event.name in self._plots:
            self._plots[event.name].add(event.group, event.step, event.value)

    def show_curves(self, curves: Mapping[tuple[str, str], tuple[np.ndarray, np.ndarray]]) -> None:
        """Draw (name, prompt) -> steps and values before what is there."""
        for (name, group), (steps, values) in curves.items():
            if name in self._plots:
                self._plots[name].put_before(group, steps, values)
