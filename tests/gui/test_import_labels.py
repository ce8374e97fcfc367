"""Labels that stand far down in a file, or in another file, are not left out without a word."""

from __future__ import annotations

from pathlib import Path

from gui.driving import Hands, chosen
from pytestqt.qtbot import QtBot

from metapt_gui.missed_labels import missed, perhaps_missed, sentence
from metapt_gui.pages.import_corpus import ImportPage
from metapt_gui.widgets.class_map import HALVES, MENDED, OWN, ClassMap


def reviews(path: Path, *ratings: int, each: int = 40) -> Path:
    """Write reviews that are sorted by their stars."""
    rows = [
        f"{stars},review number {number} of so many stars as {stars}\n" for stars in ratings for number in range(each)
    ]
    path.write_text("stars,text\n" + "".join(rows), encoding="utf-8")
    return path


def test_a_sorted_file_offers_all_its_labels(hands: Hands, importing: ImportPage, tmp_path: Path) -> None:
    chosen(hands, importing, reviews(tmp_path / "sorted.csv", 1, 2, 3, 4, 5, each=3000))
    hands.choose(importing.class_map.choice, HALVES)
    assert importing.class_map.label_map() == {"1": "low", "2": "low", "4": "high", "5": "high"}
    assert importing.class_map.note.isHidden()
    hands.run(importing)
    corpus = hands.window.document.corpus("source")
    assert corpus is not None
    assert corpus.rows == 12_000
    hands.qtbot.wait(300)
    assert not importing.banner.isVisible()  # the middle was left out because the table says so


def test_labels_of_other_files_that_no_class_was_chosen_for_are_named(
    hands: Hands, importing: ImportPage, tmp_path: Path
) -> None:
    chosen(hands, importing, reviews(tmp_path / "a.csv", 1, 2), reviews(tmp_path / "b.csv", 3, 4))
    assert importing.class_map.note.text().startswith("Counted in a.csv")
    hands.choose(importing.class_map.choice, HALVES)
    hands.run(importing)
    hands.until(importing.banner.isVisible)
    said = importing.banner.text.text()
    assert "80 of 160 labelled texts (50.0 %) were left out" in said
    assert "3 (40), 4 (40)" in said
    # What was missed can be given a class now.
    assert importing.class_map.counts() == {"1": 40, "2": 40, "3": 40, "4": 40}
    assert importing.class_map.choice.currentText() == OWN
    hands.choose(importing.class_map.choice, HALVES)
    hands.run(importing)
    corpus = hands.window.document.corpus("source")
    assert corpus is not None
    assert corpus.rows == 160
    hands.qtbot.wait(300)
    assert not importing.banner.isVisible()


def test_a_preview_that_comes_late_stays_with_its_role(hands: Hands, importing: ImportPage, tmp_path: Path) -> None:
    importing.set_files([str(reviews(tmp_path / "sorted.csv", 1, 2))])
    hands.click(importing.roles["open-text"])
    later: list[object] = []
    hands.window.host.ask("devices", later.append)  # questions are answered in their order
    hands.until(lambda: bool(later))
    assert importing.model.rowCount() == 0
    assert importing.text_column.count() == 0
    assert hands.window.document.value("import open-text", {}) == {}
    hands.click(importing.roles["source"])
    hands.until(lambda: importing.model.rowCount() > 0)


def test_few_texts_and_those_that_were_meant_are_no_warning() -> None:
    report = {"kept": 990, "dropped": {"label not in the map": 10}}
    mapped = {"1": "low", "5": "high"}
    assert not perhaps_missed(report, {"1": 500, "5": 490}, mapped)
    report["dropped"]["label not in the map"] = 300
    assert perhaps_missed(report, {"1": 500, "5": 490}, mapped)
    assert not perhaps_missed(report, {"1": 500, "3": 300, "5": 490}, mapped)
    assert not perhaps_missed(report, {"1": 500, "5": 490}, {})
    assert missed({"1": 500, "5": 490, "2": 10}, {"1": 500, "5": 490}, mapped) == {}
    found = {str(number): 100 for number in range(12)}
    assert missed(found, {"1": 100}, mapped) == {name: 100 for name in found if name not in ("1", "5")}
    assert "9 (100) and 2 more." in sentence(found, found)


def test_more_classes_than_can_be_told_apart_are_told_before_the_import(qtbot: QtBot) -> None:
    values = ClassMap()
    qtbot.addWidget(values)
    values.show_values({str(score): 30 for score in range(101)}, {})
    assert values.problem() == (
        "These are 101 classes, and 100 are the most: join values in the table, or choose another label column."
    )
    values.choice.setCurrentText(HALVES)
    assert values.problem() == ""
    assert set(values.label_map().values()) == {"low", "high"}


def test_spellings_are_joined_and_what_is_no_label_is_left_out_at_a_click(
    hands: Hands, importing: ImportPage, tmp_path: Path
) -> None:
    teams = ["Billing"] * 20 + ["billing"] * 30 + ["Delivery"] * 25 + ["n/a"] * 5
    rows = [f"{team},message number {number}\n" for number, team in enumerate(teams)]
    (tmp_path / "teams.csv").write_text("team,text\n" + "".join(rows), encoding="utf-8")
    chosen(hands, importing, tmp_path / "teams.csv")
    values = importing.class_map
    hands.until(values.isVisible)
    assert (
        "'Billing' (20), 'billing' (30) differ only in capitals; 'n/a' (5) looks like no label" in values.doubt.text()
    )
    assert values.doubt.text().endswith("Choose ‘Mended’ above for that.")
    hands.qtbot.wait(50)
    assert values.doubt.y() < values.table.y(), "it is seen without scrolling"
    assert values.choice.fontMetrics().horizontalAdvance(MENDED) < values.choice.width() - 40
    hands.choose(values.choice, MENDED)
    assert values.doubt.isHidden()
    hands.run(importing)
    corpus = hands.window.document.corpus("source")
    assert corpus is not None
    assert sorted(corpus.classes) == ["Delivery", "billing"]
    assert corpus.rows == 75
    hands.click(importing.roles["target"])
    hands.click(importing.roles["source"])
    hands.until(lambda: values.choice.currentText() == MENDED)
    hands.qtbot.wait(100)
    assert not importing.banner.isVisible()


def test_what_needs_no_mending_is_not_offered_any(qtbot: QtBot) -> None:
    values = ClassMap()
    qtbot.addWidget(values)
    values.show_values({"good": 3, "Good": 4}, {})
    assert values.choice.findText(MENDED) > 0
    assert values.label_map() == {}, "nothing is joined unasked"
    values.choice.setCurrentText(MENDED)
    assert values.label_map() == {"good": "Good", "Good": "Good"}
    values.table.item(0, 2).setText("bad")
    assert values.choice.currentText() == OWN
    values.show_values({"good": 3, "bad": 4}, {})
    assert values.choice.findText(MENDED) == -1
    assert values.doubt.isHidden()
