"""Where the sample project is made, and that the pictures of the tour show plain paths."""

from __future__ import annotations

import tempfile
from pathlib import Path

from metapt_gui.main_window import MainWindow
from metapt_gui.pages.import_corpus import ImportPage
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
