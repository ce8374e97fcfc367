"""What people meet in their first hour: other files than expected, second thoughts, and what was stopped on the way."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from gui.driving import Hands, undo
from gui.letters import opened, press
from PySide6.QtCore import Qt, QtMsgType, qInstallMessageHandler
from PySide6.QtWidgets import QApplication

from engine.project import Project
from engine.prompting.header import soft_tokens
from metapt_gui.dropped_files import as_given, take_texts
from metapt_gui.pages.cluster import ClusterPage
from metapt_gui.pages.few_shot import FewShotPage
from metapt_gui.pages.import_corpus import ImportPage
from metapt_gui.pages.meta_train import MetaTrainPage
from metapt_gui.pages.pseudo_label import PseudoLabelPage
from metapt_gui.theme import LIGHT
from metapt_gui.widgets.backbone_picker import BUNDLED
from metapt_gui.widgets.dialogs import ErrorDialog, Question, TableDialog
from metapt_gui.widgets.live_curves import LiveCurves
from metapt_gui.widgets.results_view import Results, ResultsView


@pytest.fixture
def page(hands: Hands, project_folder: Path) -> FewShotPage:
    """The page Label and tune of the prepared project."""
    return opened(hands, project_folder)


# Files ----------------------------------------------------------------------------------------------------------------


def write_tickets(path: Path, label: str) -> Path:
    """A ticket export with a channel of few values, and a column named ``label``."""
    rows = [f"{n},{('email', 'phone', 'chat')[n % 3]},{'ab'[n % 2]},my parcel number {n} is late" for n in range(60)]
    path.write_text("\n".join([f"ticket_id,channel,{label},message", *rows]), encoding="utf-8")
    return path


@pytest.mark.parametrize(("label", "guess"), [("mood", "mood"), ("department", "department"), ("open", "(no labels)")])
def test_a_channel_is_not_taken_for_the_label_of_ones_own_texts(
    hands: Hands, importing: ImportPage, tmp_path: Path, label: str, guess: str
) -> None:
    hands.click(importing.roles["target"])
    importing.set_files([str(write_tickets(tmp_path / "tickets.csv", label))])
    hands.until(lambda: importing.text_column.currentText() == "message")
    assert importing.label_column.currentText() == guess


def test_broken_rows_can_be_looked_at_before_they_are_imported(
    hands: Hands, importing: ImportPage, tmp_path: Path
) -> None:
    path = tmp_path / "reviews.csv"
    lines = [f"soup number {n},{1 + n % 5}" + (",one too many" if n % 20 == 0 else "") for n in range(100)]
    path.write_text("\n".join(["review,stars", *lines]), encoding="utf-8")
    importing.set_files([str(path)])
    hands.until(importing.report.show_broken.isEnabled)
    hands.click(importing.report.show_broken)
    dialog = hands.dialog(TableDialog)
    assert dialog.table.rowCount() == 5
    dialog.reject()
    hands.click(importing.primary)
    failure = hands.dialog(ErrorDialog)
    assert "5 of 100 rows are broken" in failure.report
    assert "--" not in failure.report, "there is no command line here"
    failure.reject()
    assert importing.report.show_broken.isEnabled()


def test_files_that_are_dropped_take_nobodys_place_unasked(hands: Hands, importing: ImportPage, tmp_path: Path) -> None:
    first, second = (write_tickets(tmp_path / f"{name}.csv", "mood") for name in ("first", "second"))
    take_texts(importing, [str(first)], seen=True)
    assert importing.document.value("files source") == [str(first)]
    take_texts(importing, [str(second)], seen=True)
    hands.answer(hands.dialog(Question), "Your task")
    assert importing.document.value("files source") == [str(first)]
    assert importing.document.value("files target") == [str(second)]
    assert importing.role == "target"


def test_a_projects_own_file_stands_for_the_project() -> None:
    assert as_given(Path("a.metapt/project.json")) == Path("a.metapt")
    assert as_given(Path("a.csv")) == Path("a.csv")


def test_a_project_that_was_open_for_reading_can_be_opened_again(hands: Hands, project_folder: Path) -> None:
    hands.window.projects.open(project_folder, True)
    assert hands.window.document.read_only
    hands.window.projects.open(project_folder)
    assert not hands.window.document.read_only
    page = hands.to(FewShotPage)
    hands.until(page.side.from_file.isEnabled)
    assert page.side.words.isEnabled()


# Classes and words ----------------------------------------------------------------------------------------------------


def test_a_word_that_nobody_chose_follows_the_name_of_its_class(hands: Hands, page: FewShotPage) -> None:
    words = page.side.words
    hands.click(words.add)
    assert words.words()["class 3"] == ""
    words._lines[2][1].setText("class 3")
    words.changed.emit()
    hands.type(words._lines[2][0], "calm")
    assert words.words() == {"unhappy": "bad", "happy": "good", "calm": "calm"}
    undo(hands)
    assert words.words()["class 3"] == "class 3"


def test_a_class_that_was_taken_away_comes_back_with_undo(hands: Hands, page: FewShotPage) -> None:
    press(hands, page, 3, Qt.Key.Key_2)
    before = page.side.words.words()
    page.side.words._remove(0)
    assert page.side.words.classes() == ["happy"]
    page.side.words._lines[0][1].setText("glad")
    page.side.words.changed.emit()
    undo(hands)
    assert page.side.words.words() == {**before, "happy": "glad"}, "what was changed since stays"
    assert page.document.value("task")["classes"] == ["unhappy", "happy"]


def test_imported_classes_are_not_kept_before_somebody_changes_them(hands: Hands, project_folder: Path) -> None:
    with Project.open(project_folder) as project:
        project.set_value("task", {})
    page = opened(hands, project_folder)
    assert page.side.words.classes() == ["happy", "unhappy"]
    page.side.compare.setChecked(False)
    assert page.document.value("task")["compare"] is False
    assert "classes" not in page.document.value("task"), "another import would bring others"
    page.side.words._add()
    assert page.document.value("task")["classes"] == ["happy", "unhappy", "class 3"]


def test_a_word_that_the_backbone_does_not_know_cannot_be_used(hands: Hands, page: FewShotPage) -> None:
    words = page.side.words
    words._lines[0][1].setText("\U0001f600")
    words._on_word()
    hands.until(lambda: words._lines[0][2].text() == "unknown")
    assert "does not know the label word" in words.problem()
    hands.until(lambda: not page.primary.isEnabled())
    words._lines[0][1].setText("bad")
    words._on_word()
    hands.until(page.primary.isEnabled)


# Settings and starts --------------------------------------------------------------------------------------------------


def test_all_starts_are_as_long_as_the_one_that_was_learned(
    hands: Hands, page: FewShotPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The preset of another page may say another length by now."""
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    learned = tmp_path / "learned.safetensors"
    save_file({"prompt_embeddings": torch.zeros(7, 32)}, learned)
    assert soft_tokens(learned) == 7
    monkeypatch.setattr(page.side, "starts", lambda: ({"MetaPT": str(learned), "PT": "random"}, learned))
    assert page._prompt().soft_tokens != 7
    assert page._job().prompt.soft_tokens == 7


def test_a_preset_leaves_what_was_set_for_tuning(hands: Hands, page: FewShotPage) -> None:
    training = hands.to(MetaTrainPage)
    training._use_preset("laptop")
    training._use_preset("paper")
    changed = {**training.document.value("tune"), "epochs": 7}
    training.document.set_value("tune", changed)
    training._use_preset("laptop")
    assert training.document.value("tune") == changed
    assert training.document.value("prompt")["soft_tokens"] == 20


def test_labels_that_nothing_uses_are_said(page: FewShotPage) -> None:
    page.side.form.set_values({**page.side.form.values(), "training_rows": 40, "validation_rows": 40})
    page.side.show_counts({"unhappy": 2500, "happy": 2500})
    assert "4,720 labels are not used" in page.side.split.text()
    page.side.form.set_values({**page.side.form.values(), "training_rows": 4, "validation_rows": 4})
    page.side.show_counts({"unhappy": 20, "happy": 20})
    assert "4 rows are few for 2 classes" in page.side.split.text()


def test_pseudo_labels_can_be_left_aside_again(hands: Hands, labelling: PseudoLabelPage) -> None:

    page = hands.to(ClusterPage)
    assert page.texts.currentText() == "the pseudo-labelled texts"
    hands.choose(page.texts, "the labelled texts")
    assert page.document.value("learn from") == "source"
    started: list[str] = []
    page.run = lambda role, job, **_: started.append(job.corpus)  # type: ignore[method-assign,assignment]
    page.start()
    assert started == [page.document.path("source")]
    hands.choose(page.texts, "the pseudo-labelled texts")
    page.start()
    assert started[1] == page.document.path("annotated")


def test_learning_from_pseudo_labels_has_advice(hands: Hands, labelling: PseudoLabelPage) -> None:
    training = hands.to(MetaTrainPage)
    assert not training.side.advice.isVisible(), "it is about the bundled backbone"
    hands.choose(training.side.backbone.kind, BUNDLED)
    training._use_preset("laptop")
    hands.until(training.side.advice.isVisible)
    training.side.form.set_values({**training.side.form.values(), "alpha": 30.0})
    training.update_primary()
    hands.until(lambda: not training.side.advice.isVisible())
    training._use_preset("laptop")
    hands.until(training.side.advice.isVisible)
    training.document.set_value("learn from", "source")
    hands.until(lambda: not training.side.advice.isVisible())


# What is shown --------------------------------------------------------------------------------------------------------


def test_a_tuning_that_was_stopped_before_its_test_is_no_crash(hands: Hands, page: FewShotPage) -> None:
    view = ResultsView()
    hands.qtbot.addWidget(view)
    view.show_results(Results(["a", "b"], "MetaPT seed 0", "test", {}, {}, {}, {}))
    assert "stopped before anything was measured" in view.note.text()


def test_the_names_of_many_curves_fit_into_their_plot(hands: Hands) -> None:
    curves = LiveCurves("Validation accuracy of each prompt", "step", "accuracy", percent=True)
    hands.qtbot.addWidget(curves)
    curves.set_theme(LIGHT)
    curves.resize(700, 260)
    curves.show()
    for number in range(10):
        for step in range(3):
            curves.add(f"start {number}", step, 0.5 + number / 100)
    hands.until(lambda: curves._legend is not None and len(curves._legend.items) == 9)
    hands.qtbot.wait(200)
    assert curves._legend is not None
    assert curves._legend.boundingRect().height() < curves.plot.getViewBox().boundingRect().height()


@pytest.mark.parametrize("name", ["Jürgen", "O'Brien", "a & b", "王小明", "with space"])
def test_the_style_sheet_is_read_whoever_the_user_is(hands: Hands, tmp_path: Path, name: str) -> None:
    """Its pictures lie below the person's own folder, whose name may be any."""
    folder, said = tmp_path / name, []
    folder.mkdir()
    before = qInstallMessageHandler(lambda kind, context, text: said.append((kind, text)))
    application = QApplication.instance()
    assert isinstance(application, QApplication)
    kept = application.styleSheet()
    try:
        application.setStyleSheet(LIGHT.style_sheet(folder))
        hands.qtbot.wait(20)
    finally:
        application.setStyleSheet(kept)
        qInstallMessageHandler(before)
    assert not [text for kind, text in said if kind >= QtMsgType.QtWarningMsg and re.search("stylesheet", text)]
