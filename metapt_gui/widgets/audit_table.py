"""The table of pseudo-labels to look at: accept, relabel or reject with a key."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import QEvent, QObject, QPoint, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QHeaderView, QMenu, QTableView, QVBoxLayout

from engine.annotation.reselect import REJECTED
from metapt_gui.models.audit_model import AuditModel
from metapt_gui.widgets.pieces import Card, ElidedLabel, button, dense, enable, keep_narrow

ALL = "All classes"
KEYS = "A accepts, 1 to 9 give another class, R rejects, 0 takes a decision back. A right click lists all classes."


class AuditTable(Card):
    """Shows an `AuditModel`; asks for decisions and writes none itself."""

    decided = Signal(int, object)
    """Row of the unlabelled corpus and the decision: a class, `REJECTED`, or ``None`` to take it back."""

    def __init__(self) -> None:
        super().__init__("Audit")
        self.model = AuditModel()
        self._classes: list[str] = []
        self._reason = ""
        self.only = QComboBox()
        keep_narrow(self.only, 14)
        self.only.setAccessibleName("Class to audit")
        self.only.setToolTip("Show the pseudo-labelled texts of one class.")
        self.only.currentTextChanged.connect(self._on_only)
        top = QHBoxLayout()
        top.addWidget(self.heading, 1)
        top.addWidget(self.only)
        self.box.addLayout(top)
        self._hint = ElidedLabel("")
        self._hint.setProperty("role", "muted")
        head = QHBoxLayout()
        head.addWidget(self._hint, 1)
        self.accept = button("Accept", "This pseudo-label is right. Key A", self._accept)
        self.reject = button("Reject", "Do not use this text. Key R or Delete", self._reject)
        self.undecide = button("Undecided", "Take the decision back. Key 0", self._undecide)
        for widget in (self.accept, self.reject, self.undecide):
            head.addWidget(widget)
        self.view = QTableView()
        self.view.setModel(self.model)
        self.view.setAccessibleName("Pseudo-labelled texts")
        self.view.setToolTip(KEYS)
        self.view.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
        self.view.setSelectionMode(QTableView.SelectionMode.SingleSelection)
        self.view.setAlternatingRowColors(True)
        self.view.setWordWrap(False)
        self.view.verticalHeader().hide()
        dense(self.view)
        self.view.setTabKeyNavigation(False)
        self.view.horizontalHeader().setSectionResizeMode(3, QHeaderView.ResizeMode.Stretch)
        self.view.installEventFilter(self)
        self.view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.view.customContextMenuRequested.connect(self._on_menu)
        self.view.selectionModel().currentChanged.connect(self._enable)
        self.model.modelReset.connect(self._enable)
        self._enable()
        box = QVBoxLayout()
        box.addLayout(head)
        box.addWidget(self.view, 1)
        self.box.addLayout(box)

    def set_classes(self, classes: Sequence[str]) -> None:
        """Say which classes there are, in the order of their keys."""
        if list(classes) == self._classes:
            return
        self._classes = list(classes)
        keys = ", ".join(f"{number} for {name}" for number, name in enumerate(self._classes[:9], 1))
        self._hint.setText(f"A accepts, R rejects, 0 takes back, 1–{min(9, len(self._classes))} give a class")
        self.view.setToolTip(f"{KEYS} {keys}.")
        self.only.clear()
        self.only.addItems([ALL, *self._classes])

    def allow(self, reason: str) -> None:
        """Let decisions be asked for, or for a ``reason`` not."""
        self._reason = reason
        self._enable()

    def _enable(self) -> None:
        reason = self._reason or ("" if self.view.currentIndex().isValid() else "Select a text in the table first.")
        for widget in (self.accept, self.reject, self.undecide):
            enable(widget, reason)

    def _on_menu(self, where: QPoint) -> None:
        """Offer every decision: there may be more classes than keys."""
        if self._reason or not self.view.indexAt(where).isValid():
            return
        self.view.setCurrentIndex(self.view.indexAt(where))
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction("Accept", self._accept)
        for name in self._classes:
            menu.addAction(f"It is {name}".replace("&", "&&"), partial(self._decide, name))
        menu.addAction("Reject", self._reject)
        menu.addAction("Undecided", self._undecide)
        menu.popup(self.view.viewport().mapToGlobal(where))

    def _on_only(self, name: str) -> None:
        self.model.show_only("" if name == ALL else name)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Let keys decide."""
        if watched is self.view and event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            key = event.key()
            if key == Qt.Key.Key_A:
                self._accept()
            elif key in (Qt.Key.Key_R, Qt.Key.Key_Delete):
                self._reject()
            elif key == Qt.Key.Key_0:
                self._undecide()
            elif Qt.Key.Key_1 <= key <= Qt.Key.Key_9 and key - Qt.Key.Key_1 < len(self._classes):
                self._decide(self._classes[key - Qt.Key.Key_1])
            else:
                return False
            return True
        return super().eventFilter(watched, event)

    def _accept(self) -> None:
        number = self.view.currentIndex().row()
        if number >= 0:
            self._decide(self.model.audited(number).label)

    def _reject(self) -> None:
        self._decide(REJECTED)

    def _undecide(self) -> None:
        self._decide(None)

    def _decide(self, decision: str | None) -> None:
        number = self.view.currentIndex().row()
        if number < 0 or self._reason:
            return
        self.decided.emit(self.model.audited(number).row, decision)
        if number + 1 < self.model.rowCount():
            self.view.setCurrentIndex(self.model.index(number + 1, 0))
