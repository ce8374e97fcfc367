"""The whole way of a person who has never seen the paper: sample project to exported prompt, with mouse and keys."""

from __future__ import annotations

import csv
from pathlib import Path

from gui.driving import Hands
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication, QCheckBox, QComboBox, QHeaderView, QLabel, QPushButton, QWidget

from engine.prompting.classifier import PromptClassifier
from engine.workflow import State
from metapt_gui.pages.cluster import ClusterPage
from metapt_gui.pages.few_shot import FewShotPage
from metapt_gui.pages.import_corpus import ImportPage
from metapt_gui.pages.meta_train import MetaTrainPage
from metapt_gui.pages.pseudo_label import PseudoLabelPage
from metapt_gui.pages.use import UsePage
from metapt_gui.tour import Tour
from metapt_gui.widgets.backbone_picker import FOLDER


def state(hands: Hands, key: str) -> State:
    return hands.window.document.states()[key]


def test_from_the_sample_project_to_an_exported_prompt(hands: Hands, tiny_t5: Path, tmp_path: Path) -> None:
    window, qtbot = hands.window, hands.qtbot
    hands.click(window.welcome.sample)
    importing = window.page
    assert isinstance(importing, ImportPage)

    # 1. Import: three kinds of texts.
    for role, rows in (("source", 1053), ("open-text", None), ("target", 220)):
        hands.click(importing.roles[role])
        hands.run(importing)
        corpus = window.document.corpus(role)
        assert corpus is not None
        assert rows is None or corpus.rows == rows
        assert importing.report.figures["kept"].value.text() == f"{corpus.rows:,}"
    assert state(hands, "import") is State.DONE

    # 2. Pseudo-label.
    labelling = hands.do(1)
    assert isinstance(labelling, PseudoLabelPage)
    hands.until(lambda: labelling.total.value.text() not in ("–", "0"))
    annotated = window.document.corpus("annotated")
    assert annotated is not None
    assert labelling.total.value.text() == f"{annotated.rows:,}"
    assert labelling.audit.model.rowCount() > 0

    # 3. Cluster.
    clustering = hands.to(ClusterPage)
    groups = clustering.form.control("clusters")
    groups.setFocus()
    qtbot.keyClick(groups, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClicks(groups, "4")
    qtbot.keyClick(groups, Qt.Key.Key_Tab)
    hands.run(clustering)
    hands.until(lambda: clustering.groups.table.rowCount() == 4)
    assert clustering.scatter.count == annotated.rows

    # 4. Meta-train on a small backbone from a folder, ten steps.
    training = hands.to(MetaTrainPage)
    hands.next_file(tiny_t5)
    hands.choose(training.side.backbone.kind, FOLDER)
    for name, value in (("steps", "10"), ("shots", "2")):
        spin = training.side.form.control(name)
        spin.setFocus()
        qtbot.keyClick(spin, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
        qtbot.keyClicks(spin, value)
        qtbot.keyClick(spin, Qt.Key.Key_Tab)
    hands.run(training)
    hands.until(lambda: training.history.rowCount() == 1)
    assert any(curve == "query" for curve, *_ in training.losses.table()[1])
    assert state(hands, "train") is State.DONE

    # 5. Label one text more, tune, compare.
    tuning = hands.to(FewShotPage)
    hands.until(lambda: tuning.table.model.rowCount() == 220)
    tuning.table.view.setFocus()
    tuning.table.view.selectRow(3)
    qtbot.keyClick(tuning.table.view, Qt.Key.Key_2)
    project = window.document.project
    target = window.document.corpus("target")
    assert project is not None
    assert target is not None
    assert project.labels(target.content_hash) == {3: "happy"}
    seeds = tuning.side.form.control("seeds")
    epochs = tuning.side.form.control("epochs")
    for spin, value in ((seeds, "2"), (epochs, "2")):
        spin.setFocus()
        qtbot.keyClick(spin, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
        qtbot.keyClicks(spin, value)
        qtbot.keyClick(spin, Qt.Key.Key_Tab)
    hands.run(tuning)
    hands.until(lambda: tuning.results.methods.rowCount() == 5)
    methods = [tuning.results.methods.item(row, 0).text() for row in range(5)]
    assert methods == ["MetaPT", "PT", "backbone alone", "Sentence-BERT probe", "Sentence-BERT probe + source"]
    assert tuning.results.per_class.rowCount() == 2
    uses = {tuning.table.model.index(row, 3).data() for row in range(220)}
    assert {"training", "validation", "test"} <= uses

    # 6. Use it: a sentence, a file, and away with it.
    using = hands.to(UsePage)
    hands.until(lambda: "unhappy (bad)" in using.side.about.text())
    using.sentence.setFocus()
    qtbot.keyClicks(using.sentence, "Sorted out within minutes.")
    hands.until(lambda: using.answer.text().startswith(("happy", "unhappy")))
    texts = tmp_path / "new.csv"
    texts.write_text("text\nThe box was crushed.\nThank you so much!\n", encoding="utf-8")
    answers = tmp_path / "answers.csv"
    hands.next_file(texts, save=answers)
    hands.run(using)
    with open(answers, newline="", encoding="utf-8") as stream:
        lines = list(csv.DictReader(stream))
    assert [line["prediction"] in ("happy", "unhappy") for line in lines] == [True, True]

    exported = tmp_path / "mood.safetensors"
    hands.next_file(exported)
    hands.click(using.side.save)
    hands.until(exported.exists)
    hands.until(lambda: "Saved" in using.side.saved.text())
    hands.click(using.side.copy)
    copied = QApplication.clipboard().text()
    assert "PromptClassifier.load" in copied
    exec(copied, {})

    classifier = PromptClassifier.load(exported, backbone=str(tiny_t5))
    assert using.answer.text().startswith(f"{classifier.predict(['Sorted out within minutes.'])[0]} ")

    # And every page is whole to look at, in each theme and size.
    problems = []
    for path in Tour(window).pictures(tmp_path / "pictures"):
        picture = QImage(str(path))
        shades = {picture.pixel(x, y) for x in range(0, picture.width(), 7) for y in range(0, picture.height(), 7)}
        if len(shades) < 20:
            problems.append(f"{path.name} is blank")
        problems += [f"{path.name}: {text}" for text in clipped(window)]
    assert problems == []


def clipped(window: QWidget) -> list[str]:
    """Return the texts of labels, buttons, boxes and heads of tables that do not fit into their widget."""
    found = []
    for widget in window.findChildren(QWidget):
        if not widget.isVisible() or not widget.visibleRegion().boundingRect().width():
            continue
        if isinstance(widget, QLabel) and not widget.pixmap():
            if widget.wordWrap():
                if widget.heightForWidth(widget.width()) > widget.height() + 1:
                    found.append(widget.text())
            elif widget.sizeHint().width() > widget.width() + 1:
                found.append(widget.text())
        elif isinstance(widget, (QPushButton, QCheckBox)) and widget.sizeHint().width() > widget.width() + 1:
            found.append(widget.text())
        elif isinstance(widget, QComboBox):
            needed = widget.fontMetrics().horizontalAdvance(widget.currentText()) + 34
            if needed > widget.width() + 1:
                found.append(widget.currentText())
        elif isinstance(widget, QHeaderView) and widget.orientation() == Qt.Orientation.Horizontal:
            model = widget.model()
            for section in range(widget.count()):
                text = str(model.headerData(section, Qt.Orientation.Horizontal) or "")
                if widget.fontMetrics().horizontalAdvance(text) + 8 > widget.sectionSize(section) > 0:
                    found.append(text)
    return found
