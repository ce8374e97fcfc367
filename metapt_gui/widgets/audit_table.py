"""The table of pseudo-labels to look at: accept, relabel or reject with a key."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QHeaderView, QTableView, QVBoxLayout

from metapt_gui.models.audit_model import REJECTED, AuditModel
from metapt_gui.widgets.pieces import Card, button, dense, label

ALL = "all classes"


class AuditTable(Card):
    """Shows an `AuditModel`; asks for decisions and writes none itself."""

    decided = Signal(int, object)
    """Row of the unlabelled corpus and the decision: a class, `REJECTED`, or ``None`` to take it back."""

    def __init__(self) -> None:
        super().__init__("Audit")
        self.model = AuditModel()
        self._classes: list[str] = []
        self.only = QComboBox()
        self.only.setAccessibleName("Class to audit")
        self.only.setToolTip("Show the pseudo-labelled texts of one class.")
        self.only.currentTextChanged.connect(self._on_only)
        self._hint = label("", "muted")
        head = QHBoxLayout()
        head.addWidget(self._hint, 1)
        head.addWidget(self.only)
        self.accept = button("Accept", "This pseudo-label is right. Key A", self._accept)
        self.reject = button("Reject", "Do not use this text. Key R or Delete", self._reject)
        self.undecide = button("Undecided", "Take the decision back. Key 0", self._undecide)
        for widget in (self.accept, self.reject, self.undecide):
            head.addWidget(widget)
        self.view = QTableView()
        self.view.setModel(self.model)
        self.view.setAccessibleName("Pseudo-labelled texts")
        self.view.setToolTip("A accepts, 1 to 9 give another class, R rejects, 0 takes a decision back.")
        self.view.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
        self.view.setSelectionMode(QTableView.SelectionMode.SingleSelection)
        self.view.setAlternatingRowColors(True)
        self.view.setWordWrap(False)
        self.view.verticalHeader().hide()
        dense(self.view)
        self.view.setTabKeyNavigation(False)
        self.view.horizontalHeader().setSectionResizeMode(3, QHeaderView.ResizeMode.Stretch)
        self.view.installEventFilter(self)
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
        self._hint.setText(f"Keys: A, R, 0, and 1–{min(9, len(self._classes))} for another class")
        self._hint.setToolTip(f"A accepts, R rejects, 0 takes back; {keys}")
        self.only.clear()
        self.only.addItems([ALL, *self._classes])

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
        if number < 0:
            return
        self.decided.emit(self.model.audited(number).row, decision)
        if number + 1 < self.model.rowCount():
            self.view.setCurrentIndex(self.model.index(number + 1, 0))
