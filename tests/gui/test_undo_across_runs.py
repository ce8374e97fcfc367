"""What was done to groups and pseudo-labels that are not shown any more is undone there, not on those that are."""

from __future__ import annotations

from pathlib import Path

from gui.driving import Hands, redo, undo
from PySide6.QtCore import Qt

from engine.clustering.edits import ClusterEdit
from engine.project import Project
from metapt_gui.pages.cluster import ClusterPage
from metapt_gui.pages.import_corpus import ImportPage
from metapt_gui.pages.pseudo_label import PseudoLabelPage


def project_of(hands: Hands) -> Project:
    project = hands.window.document.project
    assert project is not None
    return project


def test_a_name_stays_with_the_clustering_that_it_was_given_in(hands: Hands, clustering: ClusterPage) -> None:
    table, project = clustering.groups.table, project_of(hands)
    where = table.visualItemRect(table.item(0, 0)).center()
    hands.qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=where)
    hands.type(clustering.groups.name, "soups")
    first = project.role("clusters")
    clustering.form.set_values({"method": "random", "clusters": 3, "projection": "none"}, quiet=False)
    hands.run(clustering)
    hands.until(lambda: table.rowCount() == 3)
    second = project.role("clusters")
    assert second != first
    undo(hands)
    assert project.cluster_edits(first) == {}
    redo(hands)
    assert project.cluster_edits(first) == {0: ClusterEdit("soups")}
    assert project.cluster_edits(second) == {}
    assert table.item(0, 0).text() != "soups"


def test_a_decision_stays_with_the_texts_that_it_was_made_about(
    hands: Hands, labelling: PseudoLabelPage, tmp_path: Path
) -> None:
    page, project = labelling, project_of(hands)
    first = hands.window.document.corpus("open-text")
    assert first is not None
    page.audit.view.selectRow(0)
    row = page.audit.model.audited(0).row
    hands.click(page.audit.reject)
    assert project.labels(f"audit {first.content_hash}") == {row: ""}

    posts = tmp_path / "other posts.csv"
    lines = [f"another stay {number} by the sea\n" for number in range(90)]
    posts.write_text("post\n" + "".join(lines), encoding="utf-8")
    imports = hands.to(ImportPage)
    hands.click(imports.roles["open-text"])
    imports.set_files([str(posts)])
    hands.run(imports)
    second = hands.window.document.corpus("open-text")
    assert second is not None
    assert second.rows == 90
    # The pseudo-labels that are shown are still those of the first texts, and so are decisions about them.
    hands.step(1)
    page.audit.view.selectRow(1)
    other = page.audit.model.audited(1).row
    hands.click(page.audit.accept)
    assert set(project.labels(f"audit {first.content_hash}")) == {row, other}
    assert project.labels(f"audit {second.content_hash}") == {}
    run = hands.window.document.path("annotated")
    hands.run(page)
    assert hands.window.document.path("annotated") != run
    hands.until(lambda: "by the sea" in page.audit.model.audited(0).text)
    for _ in range(2):
        undo(hands)
    assert project.labels(f"audit {first.content_hash}") == {}
    for _ in range(2):
        redo(hands)
    assert set(project.labels(f"audit {first.content_hash}")) == {row, other}
    assert project.labels(f"audit {second.content_hash}") == {}


def test_changes_of_groups_that_are_not_taken_over_are_told(hands: Hands, clustering: ClusterPage) -> None:
    project = project_of(hands)
    clustering.form.set_values({"method": "random", "clusters": 3, "projection": "none"}, quiet=False)
    hands.run(clustering)
    assert not clustering.banner.isVisible()
    project.set_cluster_edits(project.role("clusters"), {0: ClusterEdit("soups")})
    project.set_cluster_edits(project.role("clusters"), {1: ClusterEdit("", included=False)})
    clustering.form.set_values({"method": "random", "clusters": 5, "projection": "none"}, quiet=False)
    hands.run(clustering)
    hands.until(clustering.banner.isVisible)
    assert "2 changes of those before" in clustering.banner.text.text()
