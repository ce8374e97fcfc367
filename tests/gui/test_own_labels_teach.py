"""Without a labelled source: the labels of the task are taken as those that teach, on the page of the import."""

from __future__ import annotations

from pathlib import Path

import pytest
from gui.driving import Hands, chosen

from engine.settings import AnnotateSettings
from engine.storage import read_json
from metapt_gui.pages.few_shot import FewShotPage
from metapt_gui.pages.import_corpus import ImportPage
from metapt_gui.pages.pseudo_label import PseudoLabelPage
from metapt_gui.widgets.dialogs import ErrorDialog

TEXTS = [f"the parcel {number} is {('late', 'lost')[number % 2]}" for number in range(60)]


@pytest.fixture
def tasked(importing: ImportPage, hands: Hands, tmp_path: Path) -> ImportPage:
    """The import page of a project with sixty texts of a task, of which forty-five have a label."""
    lines = [f"{text},{text.split()[-1] if number < 45 else ''}" for number, text in enumerate(TEXTS)]
    (tmp_path / "task.csv").write_text("\n".join(["text,what", *lines]), encoding="utf-8")
    assert not importing.own.isVisible(), "there is no task yet"
    hands.click(importing.roles["target"])
    chosen(hands, importing, tmp_path / "task.csv")
    hands.choose(importing.label_column, "what")
    hands.run(importing)
    assert not importing.own.isVisible(), "the task itself has its file"
    return importing


def test_the_labels_of_the_task_teach(tasked: ImportPage, hands: Hands) -> None:
    document = hands.window.document
    document.set_value("tune", {"training_rows": 10, "validation_rows": 10})
    labelling = hands.step(1)
    assert isinstance(labelling, PseudoLabelPage)
    assert labelling.annotate_settings().confidence == AnnotateSettings().confidence
    hands.step(0)
    hands.click(tasked.roles["test"])
    assert not tasked.own.isVisible()
    hands.click(tasked.roles["source"])
    assert "that you have labelled can teach" in tasked.own.text.text()
    hands.click(tasked.own.buttons[0])
    hands.until(lambda: tasked.model.rowCount() > 0)
    assert (tasked.text_column.currentText(), tasked.label_column.currentText()) == ("text", "label")
    assert "Labelled more since?" in tasked.own.text.text()
    hands.run(tasked)
    hands.click(tasked.roles["open-text"])
    hands.until(lambda: tasked.model.rowCount() > 0)
    hands.run(tasked)
    assert tasked.roles["source"].text() == "Labelled texts: 20", "25 of the 45 are left to test on"
    assert tasked.roles["open-text"].text() == "Unlabelled texts: 15"
    assert document.value("annotate") == {"confidence": 0.5, "out_of_domain_share": 0}
    assert hands.step(1).primary.isEnabled()
    settings = labelling.annotate_settings()
    assert (settings.confidence, settings.out_of_domain_share) == (0.5, 0)

    tuning = hands.step(4)
    assert isinstance(tuning, FewShotPage)
    hands.until(tuning.primary.isEnabled)
    assert "25 are left to test on" in tuning.side.split.text()
    job = tuning._job()
    assert (job.taught, job.tune.test_rows) == (document.path("source"), 25)
    test = job.target()[-1]
    taught = read_json(Path(document.path("source")) / "corpus.json")["rows"]
    assert (taught, len(test)) == (20, 25)

    document.set_value("task", {"classes": ["late", "lost"]})
    project = document.project
    assert project is not None
    corpus = document.corpus("target")
    assert corpus is not None
    project.set_labels(corpus.content_hash, dict.fromkeys(range(45, 49), "late"))
    hands.step(0)
    hands.click(tasked.roles["source"])
    hands.click(tasked.own.buttons[0])
    hands.until(lambda: tasked.outdated_text() != "")
    assert document.value("annotate") == {"confidence": 0.5, "out_of_domain_share": 0}


def test_what_cannot_teach_is_said(tasked: ImportPage, hands: Hands) -> None:
    hands.window.document.set_value("task", {"classes": ["of", "others"]})
    hands.click(tasked.roles["source"])
    hands.click(tasked.own.buttons[0])
    box = hands.dialog(ErrorDialog)
    assert "The labels of your task are of no class" in box.report
    box.close()
    assert hands.window.document.value("files source") is None
    hands.window.document.set_value("tune", {"training_rows": "many"})
    hands.click(tasked.own.buttons[0])
    box = hands.dialog(ErrorDialog)
    assert "training_rows" in box.report
    box.close()


def test_a_source_of_ones_own_choice_is_left_alone(tasked: ImportPage, hands: Hands, tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text("review,stars\nbad soup,1\ngood soup,5\n", encoding="utf-8")
    hands.click(tasked.roles["source"])
    assert tasked.own.isVisible()
    chosen(hands, tasked, tmp_path / "reviews.csv")
    assert not tasked.own.isVisible()
    hands.click(tasked.roles["open-text"])
    assert not tasked.own.isVisible(), "reviews teach the unlabelled texts"


def test_a_pile_of_ones_own_choice_can_learn_from_the_labels(tasked: ImportPage, hands: Hands, tmp_path: Path) -> None:
    document, pile = hands.window.document, tmp_path / "pile.csv"
    pile.write_text("post\nwhere is it\nnever came\n", encoding="utf-8")
    hands.click(tasked.roles["open-text"])
    chosen(hands, tasked, pile)
    hands.click(tasked.roles["source"])
    hands.click(tasked.own.buttons[0])
    hands.until(lambda: tasked.model.rowCount() > 0)
    assert document.value("files open-text") == [str(pile)]
    assert document.value("files source")[0].endswith("labelled.parquet")
