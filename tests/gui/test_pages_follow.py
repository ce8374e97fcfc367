"""Pages follow what changes elsewhere, explain their colours, and lead to the step that is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gui.driving import Hands
from gui.letters import add_target
from PySide6.QtCore import Qt
from PySide6.QtGui import QStandardItemModel
from PySide6.QtWidgets import QWidget

from engine.clustering.edits import groups_of
from engine.clustering.store import Cluster
from engine.presets import preset
from engine.project import Project
from engine.workflow import State, states
from metapt_gui.job_runner import Run
from metapt_gui.pages.cluster import COLOURS, ClusterPage
from metapt_gui.pages.import_corpus import ImportPage
from metapt_gui.pages.meta_train import MetaTrainPage
from metapt_gui.theme import LIGHT
from metapt_gui.widgets.backbone_picker import BUNDLED, FOLDER
from metapt_gui.widgets.cluster_list import ClusterList
from metapt_gui.widgets.cluster_scatter import ClusterScatter
from metapt_gui.widgets.pieces import ElidedLabel

# Cluster --------------------------------------------------------------------------------------------------------------


def test_colours_of_labels_are_explained(hands: Hands, clustering: ClusterPage) -> None:
    chips = clustering.groups.table
    assert not clustering.legend.isVisible()
    assert not chips.item(0, 0).icon().isNull()
    hands.choose(clustering.colour, "label")
    assert clustering.legend.isVisible()
    assert chips.item(0, 0).icon().isNull(), "the dots have other colours"
    for number in range(5):
        shown = f'<span style="color: {LIGHT.category(number).name()}">■</span>&nbsp;{number + 1}'
        assert shown in clustering.legend.text()
    hands.choose(clustering.colour, "group")
    assert not clustering.legend.isVisible()
    assert not chips.item(0, 0).icon().isNull()


def test_texts_without_a_confidence_are_not_coloured_by_it(clustering: ClusterPage) -> None:
    model = clustering.colour.model()
    assert isinstance(model, QStandardItemModel)
    items = {name: model.item(COLOURS.index(name)) for name in COLOURS}
    assert [name for name, item in items.items() if item.isEnabled()] == ["group", "label"]
    assert "pseudo-labelled" in items["confidence"].data(Qt.ItemDataRole.ToolTipRole)


def in_sight(widget: QWidget) -> bool:
    """Whether all of a widget is seen."""
    return widget.visibleRegion().boundingRect() == widget.rect()


def test_what_is_said_of_a_group_that_is_selected_by_hand_is_seen(hands: Hands, clustering: ClusterPage) -> None:
    hands.window.resize(1280, 800)
    groups = clustering.groups
    hands.until(lambda: in_sight(groups.table), 5000)
    clustering.scatter.category_clicked.emit(1)
    hands.qtbot.wait(50)
    assert not in_sight(groups.terms), "who looks at the plot does not look there"
    long = "nobody could say where the parcel was and when it would come " * 3
    rows = tuple(range(5))
    shown = [replace(group, parts=(replace(group.parts[0], central_rows=rows),)) for group in groups.groups]
    groups.show_groups(shown, dict.fromkeys(range(5), long))
    where = groups.table.visualItemRect(groups.table.item(2, 0)).center()
    hands.qtbot.mouseClick(groups.table.viewport(), Qt.MouseButton.LeftButton, pos=where)
    assert long[:40] in groups.central.text()
    hands.until(lambda: in_sight(groups.terms), 5000)
    for part in (groups.name, groups.facts, groups.terms, groups.table):
        assert in_sight(part), part.accessibleName()


def test_all_of_the_usual_ten_groups_are_seen(qtbot) -> None:
    groups = ClusterList()
    qtbot.addWidget(groups)
    clusters = [Cluster(number, f"group {number}", 9, {}, (), ()) for number in range(10)]
    groups.show_groups(groups_of(clusters, [], [], {}), {})
    groups.resize(330, groups.minimumSizeHint().height())
    groups.show()
    assert groups.table.verticalScrollBar().maximum() == 0


# Meta-train -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def training(hands: Hands, project_folder: Path) -> MetaTrainPage:
    hands.window.projects.open(project_folder)
    page = hands.to(MetaTrainPage)
    hands.until(page.primary.isEnabled)
    return page


def test_curves_of_other_runs_stay_when_a_run_begins(hands: Hands, training: MetaTrainPage) -> None:
    training.losses.overlay("0003-meta-train", {"query": (np.arange(3), np.ones(3))})
    training.losses.add("query", 1, 0.5)
    run = Run(99, "train", "meta-train", training._job(), project_runs(hands) / "0009-meta-train")
    hands.window.runner.started.emit(run)
    assert {row[0] for row in training.losses.table()[1]} == {"0003-meta-train: query"}


def project_runs(hands: Hands) -> Path:
    assert hands.window.document.folder is not None
    return hands.window.document.folder / "runs"


def test_a_template_that_was_changed_on_another_page_is_used(hands: Hands, training: MetaTrainPage) -> None:
    document, template = hands.window.document, "{text} In short, {mask}."
    document.set_value("prompt", {**document.value("prompt"), "template": template})
    assert training.side.prompt_form.values()["template"] == template
    training.side.form.set_values({**training.side.form.values(), "alpha": 0.5}, quiet=False)
    hands.until(lambda: document.value("meta_train")["alpha"] == 0.5)
    assert document.value("prompt")["template"] == template


def test_what_is_chosen_on_the_page_itself_stays(hands: Hands, training: MetaTrainPage) -> None:
    document = hands.window.document
    training.side.prompt_form.set_values({**training.side.prompt_form.values(), "soft_tokens": 7}, quiet=False)
    hands.until(lambda: document.value("prompt")["soft_tokens"] == 7)
    assert training.side.prompt_form.values()["soft_tokens"] == 7
    hands.choose(training.side.preset, "laptop")
    training.side.preset.activated.emit(training.side.preset.currentIndex())
    wanted = preset("laptop")["prompt"]
    assert training.side.prompt_form.values() == document.value("prompt") == wanted


def test_a_preset_means_the_rates_of_the_backbone(hands: Hands, training: MetaTrainPage) -> None:
    hands.choose(training.side.preset, "laptop")
    training.side.preset.activated.emit(training.side.preset.currentIndex())
    assert training.side.form.values() == preset("laptop", "a folder")["meta_train"]
    hands.choose(training.side.backbone.kind, BUNDLED)
    assert hands.window.document.value("preset") == "laptop"
    assert training.side.form.values() == hands.window.document.value("meta_train") == preset("laptop")["meta_train"]
    assert hands.window.document.value("tune") == preset("laptop")["tune"]


def test_a_gpu_takes_the_papers_preset_but_not_for_the_bundled_backbone(
    hands: Hands, tmp_path: Path, tiny_t5: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(question: str, answer: Callable[[list[dict[str, str]]], None], **options: object) -> None:
        if question == "devices":
            answer([{"name": "cuda:0", "description": "a card"}])

    monkeypatch.setattr(hands.window.host, "ask", ask)
    hands.next_file(tmp_path / "mine.metapt")
    hands.click(hands.window.welcome.new)
    page = hands.to(MetaTrainPage)
    assert page.side.preset.currentText() == "laptop"
    hands.next_file(tiny_t5)
    hands.choose(page.side.backbone.kind, FOLDER)
    assert page.side.preset.currentText() == hands.window.document.value("preset") == "paper"
    assert page.side.form.values() == preset("paper", str(tiny_t5))["meta_train"]
    hands.choose(page.side.backbone.kind, BUNDLED)
    assert page.side.preset.currentText() == "laptop", "the paper's rates change nothing there"
    assert page.side.form.values() == preset("laptop")["meta_train"]


def test_a_preset_that_was_chosen_stays_with_another_folder(
    hands: Hands, training: MetaTrainPage, other_tiny_t5: Path
) -> None:
    hands.choose(training.side.preset, "paper")  # on a computer without a GPU
    training.side.preset.activated.emit(training.side.preset.currentIndex())
    hands.type(training.side.backbone.name, str(other_tiny_t5))
    assert hands.window.document.value("backbone")["backbone"] == str(other_tiny_t5)
    assert hands.window.document.value("preset") == "paper"


# All pages ------------------------------------------------------------------------------------------------------------


def test_a_theme_paints_each_page_once(hands: Hands, clustering: ClusterPage, monkeypatch: pytest.MonkeyPatch) -> None:
    painted: list[str] = []
    usual = ClusterScatter.set_theme
    monkeypatch.setattr(ClusterScatter, "set_theme", lambda plot, theme: (painted.append("once"), usual(plot, theme)))
    hands.window.themes.choose("dark")
    assert painted == ["once"]
    assert clustering.scatter.theme is hands.window.themes.theme


@pytest.mark.parametrize(("number", "missing"), [(1, 0), (2, 0), (3, 0), (4, 0), (5, 0)])
def test_an_empty_page_leads_to_the_step_that_is_missing(
    hands: Hands, tmp_path: Path, number: int, missing: int
) -> None:
    hands.next_file(tmp_path / "mine.metapt")
    hands.click(hands.window.welcome.new)
    page = hands.step(number)
    assert page.banner.isVisible()
    hands.click(page.banner.buttons[0])
    assert hands.window.page is hands.window.pages[missing]
    assert hands.window.rail.buttons[missing].isChecked()
    assert not hands.window.pages[missing].banner.isVisible()


def test_a_page_that_lacks_nothing_has_no_bar(hands: Hands, training: MetaTrainPage) -> None:
    assert not training.banner.isVisible()
    page = hands.step(5)
    assert page.banner.buttons[0].text() == "Go to Label and tune"
    hands.click(page.banner.buttons[0])
    assert hands.window.page is hands.window.pages[4]
    assert not hands.window.pages[4].banner.isVisible()


def test_every_page_fits_a_narrow_window(hands: Hands, clustering: ClusterPage, tmp_path: Path) -> None:
    hands.window.pages[0].set_files([str(tmp_path / ("a long name of a file of reviews " * 3 + ".csv"))])
    for number in range(len(hands.window.pages)):
        hands.step(number)
        assert hands.window.minimumSizeHint().width() <= 960, number


def test_a_title_without_room_is_cut_and_told_in_full(qtbot):
    title = ElidedLabel("Validation accuracy of each prompt that is being tuned")
    qtbot.addWidget(title)
    title.resize(120, 30)
    title.show()
    title.grab()
    assert title.shown().endswith("…")
    assert title.toolTip() == title.text()
    assert title.minimumSizeHint().width() <= 80
    title.resize(1000, 30)
    title.grab()
    assert (title.shown(), title.toolTip()) == (title.text(), "")


def test_without_texts_that_teach_the_steps_to_learn_from_them_are_optional(
    hands: Hands, importing: ImportPage
) -> None:
    def details() -> list[str]:
        return [button.accessibleDescription() for button in hands.window.rail.buttons[1:4]]

    hands.until(lambda: details() == ["optional", "to do", "to do"])
    project = importing.document.project
    assert project is not None
    importing.document.assign("target", add_target(project, 10))
    hands.until(lambda: details() == ["optional"] * 3)
    assert "not needed" in hands.step(1).blocked()
    assert "do without" in hands.step(2).blocked()
    assert "do without" in hands.step(3).blocked()


def test_texts_of_one_class_lead_back_to_their_import(hands: Hands, project_folder: Path) -> None:
    path = project_folder / "runs" / "0001-import" / "corpus.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "classes": ["5"]}), encoding="utf-8")
    hands.window.projects.open(project_folder)
    for number in (2, 3):
        page = hands.step(number)
        assert not page.primary.isEnabled()
        assert page.primary.toolTip() == page.banner.text.text()
        assert page.banner.text.text() == "All labelled texts are '5'. Import texts of at least two classes."
        assert page.banner.buttons[0].text() == "Go to Import"
        hands.click(page.banner.buttons[0])
        assert hands.window.page is hands.window.pages[0]


def test_texts_of_one_class_are_not_ready_to_be_grouped(project_folder: Path) -> None:
    with Project.open(project_folder) as project:
        path = project.role("source") / "corpus.json"
        del project._manifest["roles"]["clusters"]
        assert states(project)["cluster"] is State.READY
        path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "classes": ["5"]}), "utf-8")
        assert states(project)["cluster"] is State.TODO


def test_groups_that_are_the_classes_are_told_on_the_page(hands: Hands, project_folder: Path) -> None:
    with Project.open(project_folder) as project:
        project.set_value("cluster", {"method": "label", "clusters": 5, "projection": "none"})
    hands.window.projects.open(project_folder)
    page = hands.to(ClusterPage)
    hands.until(page.primary.isEnabled)
    hands.run(page)
    assert page.banner.isVisible()
    assert "groups nearly all texts have the same label" in page.banner.text.text()
