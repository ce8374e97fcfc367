"""Hooks of the documentation's build: pages that are made from the code, and files of the repository shown as pages."""

from __future__ import annotations

import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from engine.reference import REFERENCE  # noqa: E402
from resources import BUNDLED_BACKBONE  # noqa: E402

SHOWN = {
    f"resources/backbones/{BUNDLED_BACKBONE}/README.md": "reference/bundled-backbone.md",
    "resources/sample/README.md": "reference/sample-project.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "THIRD_PARTY_NOTICES.md": "third-party-notices.md",
}
"""File of the repository -> page. Links that leave ``docs/`` for one of them are led to its page."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that have no file in ``docs/``."""
    for uri, make in REFERENCE.items():
        files.append(File.generated(config, uri, content=make()))
    for path, uri in SHOWN.items():
        files.append(File.generated(config, uri, content=(ROOT / path).read_text(encoding="utf-8")))
    files.append(File.generated(config, "app.svg", abs_src_path=str(ROOT / "resources" / "icons" / "app.svg")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to files outside of ``docs/`` to their pages.

    In the sources such links work in the repository too. Links to the pages of ``REFERENCE`` work on the site alone.
    """
    up = "../" * page.file.src_uri.count("/")
    for path, uri in SHOWN.items():
        markdown = markdown.replace(f"]({up}../{path})", f"]({up}{uri})")
    return markdown
