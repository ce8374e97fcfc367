"""The controls of a settings form: one a type of setting, each with the same way in and out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QLocale, Qt, Signal
from PySide6.QtGui import QResizeEvent, QWheelEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QLineEdit,
    QSpinBox,
)

from engine import schema
from engine.settings import Settings
from metapt_gui import wording
from metapt_gui.theme import GRID
from metapt_gui.widgets.pieces import inset, label

LARGEST = 2**31 - 1
NARROWEST = 128
GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?")
SPELLING = {
    "kmeans": "K-means",
    "lda": "LDA",
    "tsne": "t-SNE",
    "pca": "PCA",
    "sentence-bert": "Sentence-BERT",
    "roberta": "RoBERTa",
    "reptile": "Reptile",
    "parquet": "Parquet",
    "html": "HTML",
} | {name: name.upper() for name in ("csv", "tsv", "jsonl", "json", "xlsx", "txt")}
"""How names are spelt where they are not plain English words."""


def spelt(name: str) -> str:
    return " ".join(SPELLING.get(word, word) for word in name.split("_"))


def written(number: float) -> str:
    """Return the shortest text that reads back as ``number``: ``1,000``, ``0.08``, ``2e-5``."""
    return f"{number:,}".removesuffix(".0").replace("e-0", "e-").replace("e+", "e")


@dataclass(frozen=True)
class Setting(schema.Setting):
    """A setting as a person sees it."""

    label: str

    @property
    def least(self) -> int:
        """The least whole number that it can be."""
        return int(self.limits.get("ge", self.limits.get("gt", -LARGEST - 1) + 1))

    @property
    def most(self) -> int:
        """The greatest one."""
        return int(self.limits.get("le", self.limits.get("lt", LARGEST + 1) - 1))

    @property
    def nothing(self) -> str:
        """What None is called."""
        return "all" if self.name.startswith("maximum_") or re.search(r"\ball\b", self.help) else "automatic"

    @property
    def default_text(self) -> str:
        """The default with its unit."""
        if self.default is None:
            return self.nothing
        if isinstance(self.default, bool):
            return "on" if self.default else "off"
        if self.choices:
            return spelt(self.default)
        if isinstance(self.default, str):
            return f'"{self.default}"' if self.default else "empty"
        return f"{written(self.default)} {wording.unit(self.default, self.unit)}".rstrip()


def settings_of(model: type[Settings], labels: Mapping[str, str]) -> dict[str, Setting]:
    """Return name -> setting of those that have a control."""
    settings = {}
    for name, found in schema.settings_of(model).items():
        if found.kind in CONTROLS and not found.many:
            plain = spelt(name)
            usual = plain if name.split("_")[0] in SPELLING else plain[0].upper() + plain[1:]
            settings[name] = Setting(**vars(found), label=labels.get(name) or usual)
    return settings


class WholeNumber(QSpinBox):
    """A whole number, or None below the least; the wheel turns it only when it has the focus."""

    edited = Signal()

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self._setting = setting
        # The window speaks English, and so do its figures elsewhere.
        self.setLocale(QLocale(QLocale.Language.English, QLocale.Country.UnitedStates))
        self.setGroupSeparatorShown(True)
        self.setRange(setting.least - setting.optional, setting.most)
        if setting.optional:
            self.setSpecialValueText(setting.nothing)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumWidth(NARROWEST)
        inset(self)
        self.valueChanged.connect(self._show_unit)
        self.valueChanged.connect(self.edited)
        self.lineEdit().textEdited.connect(self.edited)
        self.editingFinished.connect(self.edited)
        self.show_value(setting.default)
        self._show_unit()

    def read(self) -> int | str | None:
        """Return the number, or the text while it is no number that is allowed."""
        text = self.cleanText().replace(",", "").strip()
        if self._setting.optional and (not text or (self.hasAcceptableInput() and self.value() == self.minimum())):
            return None
        return self.value() if self.hasAcceptableInput() else text

    def show_value(self, value: Any) -> None:
        """Show a number, or the default for anything else."""
        if not isinstance(value, int) or not self._setting.least <= value <= self._setting.most:
            value = None if value is None and self._setting.optional else self._setting.default
        self.setValue(self.minimum() if value is None else value)

    def fixup(self, text: str) -> str:
        """Read an empty field as None, as the help says."""
        empty = not text.removesuffix(self.suffix()).strip()
        return str(self.minimum()) if self._setting.optional and empty else super().fixup(text)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to the page."""
        super().wheelEvent(event) if self.hasFocus() else event.ignore()

    def _show_unit(self) -> None:
        suffix = f" {wording.unit(self.value(), self._setting.unit)}".rstrip()
        if suffix != self.suffix():
            self.setSuffix(suffix)


class Number(QLineEdit):
    """A number with as many digits as it needs, and its unit behind it."""

    edited = Signal()

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self._unit = label(setting.unit, "muted")
        self._unit.setParent(self)
        self._unit.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setMinimumWidth(NARROWEST)
        self.textChanged.connect(self.edited)
        self.show_value(setting.default)

    def read(self) -> float | str:
        """Return the number, or the text if it is none."""
        text = self.text().strip()
        try:
            # A comma elsewhere than between thousands may be meant as a decimal point, so it is not passed over.
            return float(text.replace(",", "") if GROUPED.fullmatch(text) else text)
        except ValueError:
            return text

    def show_value(self, value: Any) -> None:
        """Show a number, or what stands for one."""
        self.setText(written(value) if isinstance(value, (int, float)) else str(value))
        self.setCursorPosition(0)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the unit at the right."""
        super().resizeEvent(event)
        width = self._unit.sizeHint().width()
        self.setTextMargins(0, 0, width, 0)
        self._unit.setGeometry(self.width() - width - GRID, 0, width, self.height())


class Line(QLineEdit):
    """Any text."""

    edited = Signal()

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self.setMinimumWidth(NARROWEST)
        self.textChanged.connect(self.edited)
        self.show_value(setting.default)

    def read(self) -> str:
        """Return the text."""
        return self.text()

    def show_value(self, value: Any) -> None:
        """Show the text."""
        self.setText(str(value))
        self.setCursorPosition(0)


class Tick(QCheckBox):
    """On or off."""

    edited = Signal()

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting.label)
        self.toggled.connect(self.edited)
        self.show_value(setting.default)

    def read(self) -> bool:
        """Return whether it is on."""
        return self.isChecked()

    def show_value(self, value: Any) -> None:
        """Switch it on or off."""
        self.setChecked(bool(value))


class Choice(QComboBox):
    """One of several values; the wheel turns it only when it has the focus."""

    edited = Signal()

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self._default = setting.default
        for value in setting.choices:
            self.addItem(spelt(value), value)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumWidth(NARROWEST)
        self.currentIndexChanged.connect(self.edited)
        self.show_value(setting.default)

    def read(self) -> str:
        """Return the value."""
        return self.currentData()

    def show_value(self, value: Any) -> None:
        """Show a value, or the default for one that is not offered."""
        place = self.findData(value)
        self.setCurrentIndex(place if place >= 0 else self.findData(self._default))

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to the page."""
        super().wheelEvent(event) if self.hasFocus() else event.ignore()


Control = WholeNumber | Number | Line | Tick | Choice
CONTROLS: Mapping[Any, type[Control]] = {int: WholeNumber, float: Number, str: Line, bool: Tick}
