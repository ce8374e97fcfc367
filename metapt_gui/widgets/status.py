"""The status bar: what the engine does, on which device, how much memory, whether the network is left alone."""

from __future__ import annotations

import psutil
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QStatusBar

from metapt_gui import wording
from metapt_gui.engine_host import EngineHost
from metapt_gui.theme import tabular
from metapt_gui.widgets.pieces import label, set_role

SECONDS = 2


class Status(QStatusBar):
    """Watches the engine every two seconds, in a few microseconds."""

    def __init__(self, host: EngineHost) -> None:
        super().__init__()
        self._host = host
        self.setSizeGripEnabled(False)
        self.engine = label("Engine: idle")
        self.engine.setFont(tabular(self.engine.font()))
        self.device = label("", "muted")
        self.saved = label("", "muted")
        self.network = label("offline", "muted")
        self.addWidget(self.engine, 1)
        for widget in (self.saved, self.device, self.network):
            self.addPermanentWidget(widget)
        self.engine.setToolTip("What the engine is doing. It runs in a process of its own.")
        self.device.setToolTip("Device and memory that the engine uses.")
        self._device = "cpu"
        self._gpu: dict[str, object] | None = None
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._look)
        self._timer.start(1000 * SECONDS)
        self._look()

    def show_engine(self, text: str) -> None:
        """Say what the engine does."""
        self.engine.setText(f"Engine: {text}")

    def show_device(self, name: str) -> None:
        """Say which device the engine computes on."""
        self._device = name
        self._look()

    def show_network(self, offline: bool) -> None:
        """Say whether the network is left alone."""
        self.network.setText("offline" if offline else "online")
        set_role(self.network, "muted" if offline else "warning")
        self.network.setToolTip(
            "The network is not used at all."
            if offline
            else "The network is used only to fetch a backbone of the hub that you name."
        )

    def show_saved(self, text: str) -> None:
        """Say when the project was last written."""
        self.saved.setText(text)

    def stop(self) -> None:
        """Look no more."""
        self._timer.stop()

    def _look(self) -> None:
        if self._device.startswith("cuda") and self._host.pid:
            self._host.ask("device_memory", self._on_memory)
        pid, text = self._host.pid, self._device
        if self._gpu:
            text = (
                f"{self._device}  {self._gpu['name']}  {wording.size(float(str(self._gpu['used'])))}"
                f" / {wording.size(float(str(self._gpu['total'])))}"
            )
        elif pid:
            try:
                text = f"{self._device}  {wording.size(psutil.Process(pid).memory_info().rss)}"
            except psutil.Error:
                text = self._device
        self.device.setText(text)

    def _on_memory(self, memory: dict[str, object] | None) -> None:
        self._gpu = memory
