"""One theme object: named colours, from which the palette, the style sheet and the pens of the plots are made.

Text keeps a contrast of at least 4.5:1 on every surface; a test measures it.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template
from typing import Literal

from PySide6.QtCore import QObject, Qt, QTemporaryDir, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

from resources import resource

GRID = 8
"""Pixels; margins and gaps are multiples or halves of it."""

HEAD = 24
"""Height of the first line of a card, with a button in it or without: heads of neighbours stand on one line."""

CLUSTER_COLOURS = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#B8A800",
    "#7F7F7F",
    "#8C564B",
    "#9467BD",
    "#17A2A2",
    "#BCBD22",
    "#1F4E9E",
    "#FF9DA7",
    "#4E9F3D",
    "#A05195",
    "#2F4B7C",
    "#F28E2B",
    "#79706E",
    "#86BCB6",
)
"""Okabe and Ito's palette (safe for colour-blind people) and, from the ninth on, colours that stay apart from it."""

SEEN = 4.0
"""Least contrast of those colours to a dark surface: they were chosen for paper, and are lightened for it."""


@dataclass(frozen=True)
class Theme:
    """Named colours, as ``#rrggbb``."""

    name: Literal["light", "dark"]
    window: str
    surface: str
    raised: str
    border: str
    text: str
    muted: str
    accent: str
    accent_text: str
    selection: str
    good: str
    warning: str
    warning_surface: str
    bad: str
    bad_surface: str

    def colour(self, name: str) -> QColor:
        """Return a named colour."""
        return QColor(getattr(self, name))

    def category(self, number: int) -> QColor:
        """Return the colour of cluster or class ``number``, the same on every page; grey for -1."""
        colour = CLUSTER_COLOURS[number % len(CLUSTER_COLOURS)] if number >= 0 else self.muted
        return QColor(_seen_on(self.surface, colour) if self.name == "dark" else colour)

    def palette(self) -> QPalette:
        """Return the palette for widgets that the style sheet does not reach."""
        palette = QPalette()
        roles = {
            QPalette.ColorRole.Window: self.window,
            QPalette.ColorRole.WindowText: self.text,
            QPalette.ColorRole.Base: self.surface,
            QPalette.ColorRole.AlternateBase: self.raised,
            QPalette.ColorRole.Text: self.text,
            QPalette.ColorRole.Button: self.raised,
            QPalette.ColorRole.ButtonText: self.text,
            QPalette.ColorRole.ToolTipBase: self.raised,
            QPalette.ColorRole.ToolTipText: self.text,
            QPalette.ColorRole.PlaceholderText: self.muted,
            QPalette.ColorRole.Highlight: self.accent,
            QPalette.ColorRole.HighlightedText: self.accent_text,
            QPalette.ColorRole.Link: self.accent,
            QPalette.ColorRole.Mid: self.border,
            QPalette.ColorRole.Dark: self.border,
        }
        for role, colour in roles.items():
            palette.setColor(role, QColor(colour))
        for role in (QPalette.ColorRole.WindowText, QPalette.ColorRole.Text, QPalette.ColorRole.ButtonText):
            palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(self.muted))
        return palette

    def style_sheet(self, pictures: Path) -> str:
        """Return the style sheet of the application; its small pictures are written into ``pictures``."""
        colours = {name: getattr(self, name) for name in self.__dataclass_fields__}
        colours |= {"gap": str(GRID), "head": str(HEAD)}
        for name, (file, colour) in _PICTURES.items():
            drawing = resource("icons", f"{file}.svg").read_text(encoding="utf-8")
            path = pictures / f"{name}-{self.name}.svg"
            path.write_text(drawing.replace("currentColor", colours[colour]), encoding="utf-8")
            colours[f"{name}_picture"] = path.as_posix()
        return _STYLE.substitute(colours)


LIGHT = Theme(
    name="light",
    window="#f3f4f6",
    surface="#ffffff",
    raised="#f8f9fb",
    border="#d3d7de",
    text="#1c2330",
    muted="#586173",
    accent="#1f5fbf",
    accent_text="#ffffff",
    selection="#dbe8fb",
    good="#1a7443",
    warning="#7a5200",
    warning_surface="#fff3cf",
    bad="#b3261e",
    bad_surface="#fde7e5",
)

DARK = Theme(
    name="dark",
    window="#16191f",
    surface="#1e2229",
    raised="#262b34",
    border="#3a414d",
    text="#e7eaf0",
    muted="#a3adbd",
    accent="#7db0ff",
    accent_text="#0d1524",
    selection="#2b3f60",
    good="#6fd19a",
    warning="#f3cc6b",
    warning_surface="#3a3017",
    bad="#ff9b92",
    bad_surface="#40211f",
)

Choice = Literal["system", "light", "dark"]
SCHEMES: dict[Choice, Qt.ColorScheme] = {
    "system": Qt.ColorScheme.Unknown,
    "light": Qt.ColorScheme.Light,
    "dark": Qt.ColorScheme.Dark,
}


class ThemeKeeper(QObject):
    """Follows the system's light or dark, or what the person chose; hands the theme to whoever paints by itself."""

    changed = Signal(object)

    def __init__(self, choice: Choice = "system") -> None:
        super().__init__()
        self._choice = choice
        self._pictures = QTemporaryDir()  # style sheets take pictures from files only
        weakref.finalize(self, self._pictures.remove)  # Qt's own clean-up does not come at the end of Python
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._follow)
        self.theme = self._wanted()

    @property
    def choice(self) -> Choice:
        """What the person chose."""
        return self._choice

    def choose(self, choice: Choice) -> None:
        """Use ``light``, ``dark`` or whatever the ``system`` uses, at once."""
        self._choice = choice
        self.apply()

    def apply(self) -> None:
        """Give the application palette, style sheet and font, and tell those who paint by themselves."""
        # Title bars and the system's own dialogs follow, too.
        QGuiApplication.styleHints().setColorScheme(SCHEMES[self._choice])
        self.theme = self._wanted()
        application = QApplication.instance()
        assert isinstance(application, QApplication)
        application.setStyle("Fusion")
        application.setPalette(self.theme.palette())
        application.setStyleSheet(self.theme.style_sheet(Path(self._pictures.path())))
        self.changed.emit(self.theme)

    def _wanted(self) -> Theme:
        if self._choice == "system":
            dark = QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark
        else:
            dark = self._choice == "dark"
        return DARK if dark else LIGHT

    def _follow(self) -> None:
        if self._choice == "system":
            self.apply()


def contrast(one: QColor, other: QColor) -> float:
    """Return the contrast ratio of two colours, 1..21 (WCAG 2.2)."""

    def luminance(colour: QColor) -> float:
        channels = (colour.redF(), colour.greenF(), colour.blueF())
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@cache
def _seen_on(surface: str, name: str) -> str:
    """Return a colour, made lighter until it can be told from ``surface``."""
    colour = QColor(name)
    while contrast(colour, QColor(surface)) < SEEN:
        colour = colour.lighter(104)
    return colour.name()


def tabular(font: QFont) -> QFont:
    """Return ``font`` with figures of equal width, for counters and tables."""
    font = QFont(font)
    font.setFeature(QFont.Tag("tnum"), 1)
    return font


def fixed_font() -> QFont:
    """Return the system's font of fixed width."""
    return QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)


_PICTURES = {
    "check": ("check", "accent_text"),
    "tick": ("check", "text"),
    "down": ("down", "muted"),
    "up": ("up", "muted"),
}
"""Pictures of the style sheet: the drawing of each, and the colour that it is drawn in."""

_STYLE = Template("""
* { font-size: 13px; }
QMainWindow, QDialog, QWidget#page, QWidget#central { background: $window; }
QWidget { color: $text; }
QLabel { background: transparent; }
QLabel[role="title"] { font-size: 20px; font-weight: 600; }
QLabel[role="heading"] { font-size: 14px; font-weight: 600; min-height: ${head}px; }
QLabel[role="figure"] { font-size: 22px; font-weight: 600; }
QLabel[role="muted"] { color: $muted; }
QLabel[role="good"] { color: $good; }
QLabel[role="warning"] { color: $warning; }
QLabel[role="bad"] { color: $bad; }
QFrame[role="card"] { background: $surface; border: 1px solid $border; border-radius: 8px; }
QFrame[role="banner"] { background: $warning_surface; border: 1px solid $warning; border-radius: 6px; }
QFrame[role="banner"] QLabel { color: $text; }
QFrame[role="banner-bad"] { background: $bad_surface; border: 1px solid $bad; border-radius: 6px; }
QFrame[role="drop"] { background: $surface; border: 2px dashed $border; border-radius: 8px; }
QFrame[role="drop"][over="true"] { border-color: $accent; background: $selection; }
QFrame[role="rail"] { background: $surface; border: none; border-right: 1px solid $border; }
QToolTip { background: $raised; color: $text; border: 1px solid $border; padding: 4px; }
QPushButton {
    background: $raised; border: 1px solid $border; border-radius: 6px; padding: 5px 12px; min-height: 18px; }
QPushButton:hover { border-color: $accent; }
QPushButton:pressed { background: $selection; }
QPushButton:focus { border: 2px solid $accent; padding: 4px 11px; }
QToolButton { background: transparent; border: 2px solid transparent; border-radius: 4px; padding: 1px 2px; }
QToolButton:hover { background: $selection; }
QToolButton:focus { border-color: $accent; }
QPushButton:checked { background: $selection; border-color: $accent; }
QPushButton:disabled { color: $muted; background: $window; }
QPushButton[role="primary"] { background: $accent; color: $accent_text; border-color: $accent; font-weight: 600; }
QPushButton[role="primary"]:focus { border: 2px solid $text; padding: 4px 11px; }
QPushButton[role="primary"]:disabled { background: $border; color: $muted; border-color: $border; }
QPushButton[role="link"] { background: transparent; border: none; color: $accent; padding: 2px; text-align: left; }
QPushButton[role="link"]:focus { border: none; padding: 2px; text-decoration: underline; }
QPushButton[role="step"] {
    background: transparent; border: none; border-radius: 6px; text-align: left; padding: 8px 10px; }
QPushButton[role="step"]:hover { background: $raised; }
QPushButton[role="step"]:checked { background: $selection; }
QPushButton[role="step"]:focus { border: 2px solid $accent; padding: 6px 8px; }
QLineEdit, QPlainTextEdit, QTextEdit {
    background: $surface; border: 1px solid $border; border-radius: 5px; padding: 3px 4px;
    selection-background-color: $accent; selection-color: $accent_text; }
QComboBox, QAbstractSpinBox {
    background: $surface; border: 1px solid $border; border-radius: 5px; padding: 3px 6px; min-height: 18px; }
QComboBox:focus, QAbstractSpinBox:focus { border-color: $accent; }
QComboBox:disabled, QAbstractSpinBox:disabled { color: $muted; background: $window; }
QComboBox::drop-down { border: none; width: 20px; }
QComboBox::down-arrow { image: url("$down_picture"); width: 10px; height: 10px; }
QComboBox QAbstractItemView { background: $surface; border: 1px solid $border; selection-background-color: $selection;
    selection-color: $text; }
QAbstractSpinBox { max-height: 18px; padding-right: 20px; }
QAbstractSpinBox::up-button, QAbstractSpinBox::down-button { border: none; background: transparent; width: 18px; }
QAbstractSpinBox::up-arrow { image: url("$up_picture"); width: 9px; height: 9px; }
QAbstractSpinBox::down-arrow { image: url("$down_picture"); width: 9px; height: 9px; }
QAbstractSpinBox QLineEdit, QComboBox QLineEdit { border: none; padding: 0; background: transparent; }
QCheckBox::indicator, QTableView::indicator {
    width: 14px; height: 14px; border: 1px solid $muted; border-radius: 3px; background: $surface; }
QCheckBox::indicator:checked, QTableView::indicator:checked {
    background: $accent; border-color: $accent; image: url("$check_picture"); }
QCheckBox::indicator:disabled { background: $window; border-color: $border; }
QCheckBox::indicator:checked:disabled { background: $muted; border-color: $muted; }
QCheckBox::indicator:focus { border-color: $accent; }
QLineEdit { min-height: 18px; }
QLineEdit:focus, QPlainTextEdit:focus, QTextEdit:focus { border-color: $accent; }
QLineEdit[wrong="true"], QAbstractSpinBox[wrong="true"] { border-color: $bad; }
QLineEdit:disabled { color: $muted; background: $window; }
QTableView, QListView, QTreeView { background: $surface; alternate-background-color: $raised; border: 1px solid $border;
    border-radius: 6px; gridline-color: $border; selection-background-color: $selection; selection-color: $text; }
QTableView:focus, QListView:focus { border-color: $accent; }
QTableView { outline: none; }
QTableView::item { padding: 2px 3px; }
QTableView::item:focus { background: $selection; color: $text; }
QTableView QTableCornerButton::section { background: $raised; border: none; border-right: 1px solid $border;
    border-bottom: 1px solid $border; }
QHeaderView { background: $raised; qproperty-defaultAlignment: 'AlignLeft | AlignVCenter'; }
QHeaderView::section { background: $raised; color: $text; border: none; border-right: 1px solid $border;
    border-bottom: 1px solid $border; padding: 4px 6px; }
QProgressBar { background: $raised; border: 1px solid $border; border-radius: 4px; max-height: 8px; }
QProgressBar::chunk { background: $accent; border-radius: 3px; }
QStatusBar { background: $surface; border-top: 1px solid $border; }
QStatusBar QLabel { padding: 2px 8px; }
QStatusBar::item { border: none; }
QMenuBar { background: $surface; border-bottom: 1px solid $border; }
QMenuBar::item { padding: 4px 10px; background: transparent; }
QMenuBar::item:selected { background: $selection; }
QMenu { background: $surface; border: 1px solid $border; padding: 4px 0; }
QMenu::item { padding: 5px 24px 5px 8px; }
QMenu::icon { padding-left: 10px; }
QMenu::indicator { width: 14px; height: 14px; margin-left: 6px; }
QMenu::indicator:checked { image: url("$tick_picture"); }
QMessageBox#question QLabel#qt_msgbox_label { font-size: 14px; font-weight: 600; }
QMenu::item:selected { background: $selection; color: $text; }
QMenu::item:disabled { color: $muted; }
QMenu::separator { height: 1px; background: $border; margin: 4px 8px; }
QSplitter::handle { background: transparent; }
QSplitter::handle:horizontal { width: ${gap}px; }
QSplitter::handle:vertical { height: ${gap}px; }
QSplitter::handle:hover { background: $border; }
QScrollArea, QScrollArea > QWidget > QWidget { background: transparent; border: none; }
QDockWidget { background: $surface; }
QDockWidget::title { background: $raised; padding: 4px 8px; }
QTabWidget::pane { border: 1px solid $border; border-radius: 6px; background: $surface; }
QTabBar::tab { background: transparent; padding: 6px 12px; color: $muted; border: none; }
QTabBar::tab:selected { color: $text; border-bottom: 2px solid $accent; font-weight: 600; }
QTabBar::tab:focus { color: $accent; background: $selection; }
QCheckBox:focus, QRadioButton:focus { color: $accent; }
QToolButton::menu-indicator { image: none; }
QScrollBar:vertical { background: transparent; width: 11px; margin: 0; }
QScrollBar:horizontal { background: transparent; height: 11px; margin: 0; }
QScrollBar::handle { background: $border; border-radius: 4px; min-height: 24px; min-width: 24px; margin: 2px; }
QScrollBar::handle:hover { background: $muted; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
""")
