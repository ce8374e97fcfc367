"""The controls of the page of pseudo-labels: what follows the confidence, and what cannot be used now."""

from __future__ import annotations

from pathlib import Path

import pytest
from gui.driving import Hands, chosen
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QApplication, QMenu

from metapt_gui.models.audit_model import Audited
from metapt_gui.pages.import_corpus import ImportPage
from metapt_gui.pages.pseudo_label import PseudoLabelPage
from metapt_gui.widgets.audit_table import AuditTable


def test_the_confidence_moves_all_lines_and_the_counts(hands: Hands, labelling: PseudoLabelPage) -> None:
    labelling.set_threshold("2", 0.3)
    assert hands.window.document.value("annotate")["class_confidence"] == {"2": 0.3}
    before = labelling.total.value.text()
    labelling.form.set_values({**labelling.form.values(), "confidence": 0.9}, quiet=False)
    hands.until(lambda: labelling.total.value.text() != before)
    assert labelling.histogram.thresholds() == pytest.approx(dict.fromkeys("12345", 0.9))
    assert {labelling.table.item(row, 1).text() for row in range(5)} == {"0.90"}
    assert hands.window.document.value("annotate")["class_confidence"] == {}
    # Another setting leaves a line where the person has put it.
    labelling.set_threshold("2", 0.3)
    hands.click(labelling.balance)
    assert labelling.histogram.thresholds()["2"] == pytest.approx(0.3)


def test_settings_of_a_model_are_for_the_annotator_that_is_fine_tuned(hands: Hands, labelling: PseudoLabelPage) -> None:
    form = labelling.form
    assert not form.control("model").isEnabled()
    assert "fine-tuned" in form.control("model").toolTip()
    form.set_values({**form.values(), "annotator": "roberta"}, quiet=False)
    hands.until(form.control("model").isEnabled)
    form.set_values({**form.values(), "annotator": "sentence-bert"}, quiet=False)
    hands.until(lambda: not form.control("model").isEnabled())


def test_nothing_can_be_decided_in_a_project_that_is_only_read(hands: Hands, labelling: PseudoLabelPage) -> None:
    folder = hands.window.document.folder
    assert folder is not None
    hands.window.document.close()
    hands.window.projects.open(folder, True)
    hands.step(1)
    hands.until(lambda: labelling.audit.model.rowCount() > 0)
    labelling.audit.view.selectRow(0)
    assert not labelling.audit.reject.isEnabled()
    assert "reading only" in labelling.audit.reject.toolTip()


@pytest.fixture
def audit(qtbot) -> AuditTable:
    made = AuditTable()
    qtbot.addWidget(made)
    made.resize(700, 300)
    made.set_classes([f"class {number}" for number in range(12)])
    made.model.show([Audited(7, "class 0", 0.9, "soup"), Audited(8, "class 1", 0.8, "bread")])
    with qtbot.waitExposed(made):
        made.show()
    return made


def test_buttons_wait_for_a_row(audit: AuditTable) -> None:
    assert not audit.accept.isEnabled()
    assert "Select a text" in audit.accept.toolTip()
    audit.view.selectRow(1)
    assert audit.accept.isEnabled()
    audit.model.show([])
    assert not audit.accept.isEnabled()


def test_a_menu_has_the_classes_that_have_no_key(qtbot, audit: AuditTable) -> None:
    decided: list[tuple[int, object]] = []
    audit.decided.connect(lambda row, decision: decided.append((row, decision)))
    where = audit.view.visualRect(audit.model.index(1, 3)).center()
    audit.view.customContextMenuRequested.emit(where)
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    names = [action.text() for action in menu.actions()]
    assert names[1:13] == [f"It is class {number}" for number in range(12)]
    menu.actions()[12].trigger()
    menu.close()
    assert decided == [(8, "class 11")]
    audit.view.customContextMenuRequested.emit(QPoint(10, 10_000))
    assert QApplication.activePopupWidget() is None


# Decisions ------------------------------------------------------------------------------------------------------------


def reject(hands: Hands, page: PseudoLabelPage, place: int) -> int:
    """Reject the text in a place of the audit; return its row."""
    page.audit.view.selectRow(place)
    row = page.audit.model.audited(place).row
    hands.click(page.audit.reject)
    return row


def kept_rows(hands: Hands) -> int:
    corpus = hands.window.document.corpus("annotated")
    assert corpus is not None
    return corpus.rows


def test_decisions_are_told_until_they_are_applied_and_can_be_taken_back(
    hands: Hands, labelling: PseudoLabelPage
) -> None:
    document = hands.window.document
    assert document.changed_settings("annotated") == []
    row = reject(hands, labelling, 0)
    assert document.changed_settings("annotated") == ["decisions in the audit"]
    hands.until(labelling.banner.isVisible)
    assert "decisions in the audit. Press ‘Apply’" in labelling.banner.text.text()
    hands.run(labelling)
    assert kept_rows(hands) == 99
    assert document.changed_settings("annotated") == []
    hands.until(lambda: labelling.audit.model.decision(row) == "")
    assert labelling.audit.model.audited(0).row == row, "what was decided is listed first, though it is not kept"


def test_decisions_hold_when_the_texts_are_labelled_anew(hands: Hands, labelling: PseudoLabelPage) -> None:
    row = reject(hands, labelling, 3)
    labelling.form.set_values({**labelling.form.values(), "held_out_share": 0.2}, quiet=False)
    hands.until(lambda: labelling.primary.text() == "Pseudo-label")
    hands.run(labelling)
    corpus = hands.window.document.corpus("annotated")
    unlabelled = hands.window.document.corpus("open-text")
    assert corpus is not None
    assert unlabelled is not None
    assert unlabelled.texts[row] not in corpus.texts
    assert hands.window.document.changed_settings("annotated") == []


def test_decisions_for_a_class_that_is_gone_are_left_out(hands: Hands, labelling: PseudoLabelPage) -> None:
    document = hands.window.document
    assert document.project is not None
    assert labelling._shown is not None
    first, second = labelling.audit.model.audited(0).row, labelling.audit.model.audited(1).row
    document.project.set_labels(labelling._shown.subject, {first: "a class of before", second: ""})
    assert document.changed_settings("annotated") == ["decisions in the audit"]
    hands.run(labelling)
    assert kept_rows(hands) == 99
    assert document.changed_settings("annotated") == []


def test_decisions_go_over_to_the_same_texts_in_another_file(
    hands: Hands, labelling: PseudoLabelPage, tmp_path: Path
) -> None:
    row = reject(hands, labelling, 3)
    before = hands.window.document.corpus("open-text")
    assert before is not None
    rejected = before.texts[row]
    posts = tmp_path / "more posts.csv"
    posts.write_text("post\n" + "\n".join(["a post that came first", *before.texts]), encoding="utf-8")
    imports = hands.to(ImportPage)
    hands.click(imports.roles["open-text"])
    chosen(hands, imports, posts)
    hands.run(imports)
    hands.step(1)
    hands.run(labelling)
    hands.until(lambda: labelling.audit.model.rowCount() > 0 and bool(labelling._decisions()))
    assert labelling._decisions() == {row + 1: ""}
    assert "1 decision of the audit went over" in labelling.banner.text.text()
    hands.run(labelling)
    kept = hands.window.document.corpus("annotated")
    assert kept is not None
    assert rejected not in kept.texts


def test_a_click_on_a_class_selects_its_threshold(hands: Hands, labelling: PseudoLabelPage) -> None:
    names = list(labelling.histogram.thresholds())
    assert labelling.histogram.selected() == names[0]
    where = labelling.table.visualItemRect(labelling.table.item(1, 0)).center()
    hands.qtbot.mouseClick(labelling.table.viewport(), Qt.MouseButton.LeftButton, pos=where)
    assert labelling.histogram.selected() == names[1]
