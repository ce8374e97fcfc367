"""The form of settings: what it gives back, what it says about wrong values, and that the keyboard is enough."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QPushButton, QScrollArea

import engine.settings
from engine.errors import SettingsError
from engine.settings import (
    AnnotateSettings,
    BackboneSettings,
    ClusterSettings,
    ImportSettings,
    LabelledTask,
    MetaTrainSettings,
    PretrainBackboneSettings,
    PretrainingPhase,
    PretrainSettings,
    PromptSettings,
    Settings,
)
from metapt_gui.widgets.settings_form import SettingsForm

FILE_ONLY = (LabelledTask, PretrainingPhase, PretrainBackboneSettings)
"""Parts of the recipe of a backbone: a TOML file, no form."""
MODELS = [
    model
    for model in Settings.__subclasses__()
    if model.__module__ == engine.settings.__name__ and model not in FILE_ONLY
]


@pytest.fixture
def make(qtbot):
    """Show a form and wait until it has the keyboard."""

    def make(model: type[Settings], **options) -> SettingsForm:
        form = SettingsForm(model, **options)
        qtbot.addWidget(form)
        form.show()
        form.activateWindow()
        qtbot.waitUntil(form.isActiveWindow)
        return form

    return make


def retype(qtbot, control, text: str) -> None:
    control.setFocus()
    qtbot.keyClick(control, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClick(control, Qt.Key.Key_Delete)
    qtbot.keyClicks(control, text)


def reset_button(form: SettingsForm, label: str) -> QPushButton:
    return next(made for made in form.findChildren(QPushButton) if made.accessibleName() == f"Reset {label}")


@pytest.mark.parametrize("model", MODELS)
def test_defaults_come_back(make, model):
    form = make(model)
    assert form.settings() == model()
    assert form.problem() == ""
    shown = {name: value for name, value in model().model_dump().items() if not isinstance(value, (dict, list))}
    assert form.values() == shown
    assert not [made for made in form.findChildren(QPushButton) if not made.isHidden()], "nothing to set back"


@pytest.mark.parametrize("model", MODELS)
def test_every_control_has_a_name_and_says_what_it_does(make, model):
    form = make(model)
    names = [form.control(name).accessibleName() for name in form.values()]
    assert all(names)
    assert len(set(names)) == len(names)
    for name in form.values():
        tooltip = form.control(name).toolTip()
        assert model.model_fields[name].description in " ".join(tooltip.split())
        assert tooltip.splitlines()[-1].startswith("Default: ")
        assert max(map(len, tooltip.splitlines())) <= 80
    for made in form.findChildren(QPushButton):
        assert made.accessibleName().startswith("Reset ")
        assert made.toolTip().startswith("Back to the default, ")


def test_units_and_spelling(make):
    form = make(ClusterSettings)
    assert form.control("clusters").text() == "10 groups"
    assert form.control("clusters").accessibleName() == "Clusters, groups"
    assert form.control("clusters").toolTip().endswith("Default: 10 groups.")
    assert form.control("projection_rows").text() == "20,000 rows"
    assert form.control("lda_passes").accessibleName() == "LDA passes, passes"
    form.set_values({"lda_passes": 1})
    assert form.control("lda_passes").text() == "1 pass"
    train = make(MetaTrainSettings)
    assert train.control("inner_steps").text() == "1 step"
    assert train.control("gradient").itemText(1) == "first order"
    assert train.control("gradient").itemData(1) == "first_order"
    assert make(PromptSettings).control("template").toolTip().endswith('Default: "{text} It was {mask}.".')


def test_main_settings_keep_their_order_and_hidden_ones_stay_away(make):
    form = make(
        MetaTrainSettings, main=("steps", "weight_decay", "alpha"), hidden=("seed",), labels={"alpha": "Inner rate"}
    )
    assert list(form.values())[:3] == ["steps", "weight_decay", "alpha"]
    places = [form.control(name).mapTo(form, QPoint()).y() for name in ("steps", "weight_decay", "alpha")]
    assert places == sorted(set(places))
    assert form.control("weight_decay").isVisible()
    assert not form.control("shots").isVisible()
    assert form.control("alpha").accessibleName() == "Inner rate"
    assert "seed" not in form.values()
    with pytest.raises(KeyError):
        form.control("seed")


@pytest.mark.parametrize(
    ("text", "number"),
    [("0.08", 0.08), ("2e-5", 2e-5), ("1,000", 1000.0), ("1,234,567.5", 1234567.5), (" 3 ", 3.0), (".5", 0.5)],
)
def test_numbers_are_read_as_typed(qtbot, make, text, number):
    form = make(MetaTrainSettings)
    retype(qtbot, form.control("alpha"), text)
    assert form.values()["alpha"] == number
    assert form.settings().alpha == number
    form.set_values(form.values())
    assert form.values()["alpha"] == number, "what is shown reads back as the same number"


# 0,025 is how many people write the paper's beta; 25 must not be made of it.
@pytest.mark.parametrize("text", ["0,025", "1,00", "", "abc", "-1", "0", "nan", "inf"])
def test_wrong_numbers_are_named(qtbot, make, text):
    form = make(MetaTrainSettings)
    control = form.control("alpha")
    usual = control.toolTip()
    retype(qtbot, control, text)
    assert form.problem().startswith("Alpha must be ")
    assert form.problem().count("must be") == 1
    assert control.property("wrong")
    assert control.toolTip() == form.problem()
    with pytest.raises(SettingsError, match="'alpha'"):
        form.settings()
    retype(qtbot, control, "0.08")
    assert form.problem() == ""
    assert not control.property("wrong")
    assert control.toolTip() == usual


def test_a_whole_number_out_of_range_is_wrong_until_it_is_put_right(qtbot, make):
    form = make(ClusterSettings)
    control = form.control("clusters")
    retype(qtbot, control, "1")
    assert form.problem().startswith("Clusters must be ")
    with pytest.raises(SettingsError, match="'clusters'"):
        form.settings()
    qtbot.keyClicks(control, "2")
    assert form.problem() == ""
    assert form.settings().clusters == 12
    retype(qtbot, control, "")
    assert form.problem().startswith("Clusters must be ")
    qtbot.keyClick(control, Qt.Key.Key_Tab)
    assert form.problem() == ""
    assert form.settings().clusters == 12


def test_a_rule_of_the_whole_model_is_shown_at_its_setting(qtbot, make):
    form = make(PromptSettings)
    retype(qtbot, form.control("template"), "{text} It was fine.")
    assert form.problem() == "The template must contain {mask} exactly once."
    assert form.control("template").property("wrong")


def test_a_wrong_value_opens_the_section_that_it_is_in(make):
    form = make(MetaTrainSettings)
    form.set_values({"weight_decay": -1})
    assert form.problem().startswith("Weight decay must be ")
    assert form.control("weight_decay").isVisible()


def test_none(qtbot, make):
    form = make(AnnotateSettings)
    control = form.control("maximum_rows")
    assert control.text() == "all"
    qtbot.keyClick(control, Qt.Key.Key_Up)
    assert form.values()["maximum_rows"] == 1
    retype(qtbot, control, "12000")
    assert form.settings().maximum_rows == 12_000
    qtbot.keyClick(control, Qt.Key.Key_Tab)
    assert control.text() == "12,000 rows"
    retype(qtbot, control, "")
    assert form.values()["maximum_rows"] is None
    assert form.problem() == ""
    qtbot.keyClick(control, Qt.Key.Key_Tab)
    assert control.text() == "all"
    assert form.settings().maximum_rows is None
    assert make(BackboneSettings).control("threads").text() == "automatic"
    assert make(MetaTrainSettings).control("tasks_per_step").text() == "all"
    assert make(MetaTrainSettings).control("tasks_per_pass").text() == "automatic"


def test_advanced_opens_by_keyboard(qtbot, make):
    form = make(ClusterSettings)
    assert not form.control("perplexity").isVisible()
    form.control("sweep").setFocus()
    qtbot.keyClick(form.control("sweep"), Qt.Key.Key_Tab)
    assert QApplication.focusWidget() is form.advanced_button
    qtbot.keyClick(form.advanced_button, Qt.Key.Key_Space)
    assert form.control("perplexity").isVisible()
    assert form.advanced_button.arrowType() == Qt.ArrowType.DownArrow
    qtbot.keyClick(form.advanced_button, Qt.Key.Key_Space)
    assert not form.control("perplexity").isVisible()


def test_no_advanced_section_without_advanced_settings(make):
    form = make(BackboneSettings, main=("device", "precision"), hidden=("backbone", "offline", "threads"))
    assert not form.advanced_button.isVisible()


def test_reset(qtbot, make):
    form = make(MetaTrainSettings)
    control, button = form.control("alpha"), reset_button(form, "Alpha")
    assert not button.isVisible()
    retype(qtbot, control, "0.5")
    assert button.isVisible()
    assert button.toolTip() == "Back to the default, 0.08"
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert form.values()["alpha"] == 0.08
    assert not button.isVisible()
    assert control.hasFocus()
    retype(qtbot, control, "0.080")
    assert not button.isVisible(), "the same number, written otherwise"
    rows = make(ImportSettings)
    rows.set_values({"maximum_rows": 5})
    qtbot.mouseClick(reset_button(rows, "Maximum rows"), Qt.MouseButton.LeftButton)
    assert rows.values()["maximum_rows"] is None


def test_changes_are_told_once(qtbot, make):
    form = make(PretrainSettings)
    seen = []
    form.changed.connect(lambda: seen.append(form.values()["steps"]))
    retype(qtbot, form.control("steps"), "7500")
    assert seen == []
    qtbot.waitUntil(lambda: bool(seen))
    qtbot.wait(200)
    assert seen == [7500]
    qtbot.keyClick(form.control("steps"), Qt.Key.Key_Tab)
    qtbot.wait(200)
    assert seen == [7500], "leaving a field is no change"
    form.set_values({"steps": 10})
    qtbot.wait(200)
    assert seen == [7500], "set_values is quiet"
    form.set_values({"steps": 20}, quiet=False)
    qtbot.waitUntil(lambda: seen == [7500, 20])


def test_what_a_project_kept_is_shown(make):
    form = make(MetaTrainSettings)
    form.set_values({"alpha": 1000.0, "gradient": "reptile", "tasks_per_step": 3, "learn_inner_rates": True})
    assert form.control("alpha").text() == "1,000"
    assert form.settings() == MetaTrainSettings(
        alpha=1000.0, gradient="reptile", tasks_per_step=3, learn_inner_rates=True
    )
    form.set_values({"beta": 1e-5, "gradient": "from a newer version", "seed": 2**40, "another setting": 1})
    assert form.control("beta").text() == "1e-5"
    assert form.settings() == MetaTrainSettings(beta=1e-5), "what is not named or cannot be shown is the default"


def test_a_disabled_control_says_why(qtbot, make):
    form = make(AnnotateSettings)
    control = form.control("epochs")
    usual = control.toolTip()
    form.set_enabled_reason("epochs", False, "Sentence-BERT is not fine-tuned.")
    assert not control.isEnabled()
    assert control.toolTip() == "Sentence-BERT is not fine-tuned."
    form.set_enabled_reason("epochs", True, "")
    assert control.isEnabled()
    assert control.toolTip() == usual


@pytest.mark.parametrize("name", ["clusters", "method"])
def test_the_wheel_scrolls_the_page_unless_the_control_has_the_focus(qtbot, name):
    form = SettingsForm(ClusterSettings)
    page = QScrollArea()
    page.setWidget(form)
    form.advanced_button.setChecked(True)
    form.resize(form.sizeHint())
    page.resize(form.width() + 40, 150)
    qtbot.addWidget(page)
    page.show()
    page.activateWindow()
    qtbot.waitUntil(page.isActiveWindow)
    control, before = form.control(name), form.values()
    form.advanced_button.setFocus()
    page.verticalScrollBar().setValue(0)
    turn(control)
    assert form.values() == before
    assert page.verticalScrollBar().value() > 0
    control.setFocus()
    page.verticalScrollBar().setValue(0)
    turn(control)
    assert form.values()[name] != before[name]


def turn(control) -> None:
    window = control.window()
    QTest.wheelEvent(window.windowHandle(), QPointF(control.mapTo(window, control.rect().center())), QPoint(0, -120))
