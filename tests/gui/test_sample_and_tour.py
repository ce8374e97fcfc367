"""Where the sample project is made, and that the pictures of the tour show plain paths."""

from __future__ import annotations

import tempfile
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QPixmap

from metapt_gui.main_window import MainWindow
from metapt_gui.pages.import_corpus import ImportPage
from metapt_gui.pages.welcome import RecentProject, WelcomePage
from metapt_gui.sample import create_sample
from metapt_gui.tour import Tour, plain_folder


def test_the_sample_is_made_in_the_documents_and_never_over_another(own_folders: Path) -> None:
    (own_folders / "Documents").mkdir()
    for number in (1, 2):
        with create_sample() as project:
            assert project.folder == own_folders / "Documents" / f"sample {number}.metapt"
            assert project.value("task")["classes"] == ["unhappy", "happy"]


def test_without_documents_the_sample_is_made_in_the_home_folder(own_folders: Path) -> None:
    with create_sample() as project:
        assert project.folder == own_folders / "sample 1.metapt"


def test_the_tour_works_in_a_folder_with_a_plain_name_that_goes_away(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with plain_folder() as first, plain_folder() as second:
        (first / "file").touch()
        assert (first, second) == (tmp_path / "metapt", tmp_path / "metapt 2")
    assert not first.exists()
    assert not second.exists()


def test_the_tour_imports_what_has_files_and_shows_the_first_kind(window: MainWindow, tmp_path: Path) -> None:
    window.document.open(create_sample(tmp_path / "sample.metapt"))
    Tour(window).import_all()
    page = window.pages[0]
    assert isinstance(page, ImportPage)
    assert [role for role in page.roles if window.document.has(role)] == ["source", "open-text", "target"]
    assert page.role == "source"


def test_the_picture_of_the_welcome_page_is_of_a_window_without_a_project(
    window: MainWindow, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(Tour, "_fill", lambda _tour: None)
    monkeypatch.setattr(Tour, "rest", lambda _tour: None)
    window.document.open(create_sample(tmp_path / "sample.metapt"))
    seen = {
        path.name.split("-")[0]: (window.document.project is not None, window.rail.buttons[0].isEnabled())
        for path in Tour(window).pictures(tmp_path / "pictures", [(1280, 800)], ["light"])
    }
    assert seen == {"0": (False, False)} | dict.fromkeys("123456", (True, True))


def test_a_recent_project_in_a_deep_folder_keeps_its_name_and_the_end_of_its_path(qtbot) -> None:
    page = WelcomePage(QPixmap(8, 8))
    qtbot.addWidget(page)
    path = Path("/a folder") / "/".join(f"deep & deeper {number}" for number in range(20)) / "soups.metapt"
    page.resize(700, 500)
    page.show_recent([path])
    page.show()
    (shown,) = page.findChildren(RecentProject)
    text = shown.text().replace("&&", "&")
    assert text.startswith("soups    /a folder")
    assert "…" in text
    assert text.endswith("deeper 19")
    assert shown.fontMetrics().horizontalAdvance(text) <= shown.width()
    assert shown.toolTip() == f"Open {path}"
    asked: list[object] = []
    page.recent_asked.connect(asked.append)
    qtbot.mouseClick(shown, Qt.MouseButton.LeftButton)
    assert asked == [path]
