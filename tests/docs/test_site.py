"""The documentation: it builds without a warning, its reference is whole, its snippets run."""

from __future__ import annotations

import html
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from reader import ROOT, Reader
from snippets import SHELL, snippets

import engine.running.pipeline
import engine.settings
from engine.cli import app
from engine.errors import MetaPTError
from engine.reference import error_reference
from engine.settings import Settings

DOCS = ROOT / "docs"
UNTESTED = ("adr", "roadmap.md", "evidence.md", "evidence-details.md", "evidence-settings.md", "speed.md")
PAGES = sorted(path for path in DOCS.rglob("*.md") if path.relative_to(DOCS).parts[0] not in UNTESTED)
README, OWN_DATA = ROOT / "README.md", "Your own data"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    if importlib.util.find_spec("mkdocs") is None or importlib.util.find_spec("material") is None:
        pytest.skip("mkdocs-material is not installed (pip install -e '.[docs]')")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def page_of(site: Path, name: str) -> str:
    """Return the HTML of a page."""
    return (site / name / "index.html").read_text(encoding="utf-8")


def public_models() -> list[type[Settings]]:
    """Return every settings model that a person can set."""
    found = [
        kind
        for module in (engine.settings, engine.running.pipeline)
        for name, kind in vars(module).items()
        if isinstance(kind, type) and issubclass(kind, Settings) and kind is not Settings and name[0] != "_"
    ]
    return [kind for kind in dict.fromkeys(found) if kind.__module__ in ("engine.settings", "engine.running.pipeline")]


def test_the_site_builds_without_a_warning_and_shows_every_page(site):
    for page in PAGES:
        name = page.relative_to(DOCS).with_suffix("")
        built = site / name / "index.html" if name.name != "index" else site / name.parent / "index.html"
        assert built.is_file()
    assert not list(site.rglob("*.py"))


def test_nothing_is_fetched_from_the_network(site):
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe)[^>]*\ssrc=\"?(https?:[^\s\">]+)", text)
        loaded += re.findall(r"<link[^>]*\shref=\"?(https?:[^\s\">]+)", text)
        assert not loaded, page


def test_the_reference_has_every_setting_with_its_help_and_default(site):
    text = html.unescape(page_of(site, "reference/settings"))
    for model in public_models():
        assert f'id="{model.__name__.lower()}"' in text
        for name, field in model.model_fields.items():
            declared = next(base for base in model.__mro__ if name in inspect.get_annotations(base))
            row = re.search(rf'<code id="{declared.__name__.lower()}-{name}">{name}</code>.*?</tr>', text, re.DOTALL)
            assert row is not None, f"{model.__name__}.{name}"
            plain = re.sub(r"<[^>]+>", "", row[0])
            if field.description:
                assert field.description.replace("<extra_id_0>", "")[:60] in plain
            extra = field.json_schema_extra or {}
            assert extra.get("unit", "") in plain
            assert extra.get("advanced", False) == ("advanced" in plain.split("</td>")[0].split("\n")[0])
            if isinstance(field.default, int | float) and not isinstance(field.default, bool):
                assert str(field.default) in plain


def test_the_reference_has_every_command_and_option(site):
    text = html.unescape(page_of(site, "reference/command-line"))
    parts = re.split(r'<h2 id="metapt-([\w-]+)">', text)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    commands = typer.main.get_command(app).commands
    assert list(sections) == list(commands)
    for name, command in commands.items():
        for parameter in command.params:
            for option in parameter.opts if parameter.opts[0].startswith("-") else [parameter.name.upper()]:
                assert f">{option}</code>" in sections[name], f"{name} {option}"


def test_the_reference_has_every_error():
    text = error_reference()
    kinds = {MetaPTError}
    while kinds != (more := kinds.union(*(kind.__subclasses__() for kind in kinds))):
        kinds = more
    for kind in kinds - {MetaPTError}:
        if kind.__module__ == "engine.errors":
            assert f"| {kind.exit_code} | `{kind.__name__}` |" in text


WRONG = {
    "an option": "```sh\nmetapt import reviews.csv --text-colum review\n```",
    "an option of a command that is not run": "<!-- not run: GPU -->\n```sh\nmetapt tune --devise cuda\n```",
    "a setting of a command that is not run": "<!-- not run: GPU -->\n```sh\nmetapt tune --precision float16\n```",
    "a name in Python": "```python\nfrom engine.settings import NoSuchSettings\n```",
    "columns": '```csv title="reviews.csv"\ntext,stars\na,1\n```',
    "a command that is neither run nor marked": "```sh\nrm -rf project.metapt\n```",
    "an exit code": "<!-- exit code: 3 -->\n```sh\nmetapt template\n```",
    "a command that fails": "```\nmetapt import nothing.csv\n```",
    "an option of a module": "<!-- not run: data -->\n```sh\npython -m benchmarks.paper --datas DIR\n```",
}


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in WRONG.items()])
def test_a_wrong_snippet_is_noticed(text, tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    with pytest.raises((AssertionError, ImportError)):
        Reader(tmp_path, monkeypatch, tmp_path / "embeddings").follow(page)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for sentence vectors."""
    return tmp_path_factory.mktemp("embeddings")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """The folder in which what the README says about one's own data was done."""
    folder = tmp_path_factory.mktemp("tuned")
    with pytest.MonkeyPatch.context() as patch:
        reader = Reader(folder, patch, cache)
        reader.follow(README, under=OWN_DATA)
        assert reader.ran == 9
    return folder


def test_the_commands_of_the_readme_run(tuned):
    assert (tuned / "predictions.csv").read_text(encoding="utf-8").count("\n") == 6
    assert (tuned / "mood.safetensors").is_file()


@pytest.mark.parametrize("page", [pytest.param(page, id=page.relative_to(DOCS).as_posix()) for page in PAGES])
def test_the_snippets_of_a_page_run(page, tuned, cache, tmp_path, monkeypatch):
    reader = Reader(tmp_path, monkeypatch, cache, tuned)
    reader.follow(page)
    expected = sum(
        len(snippet.commands()) if snippet.language in SHELL else snippet.language == "python"
        for snippet in snippets(page)
        if not snippet.not_run
    )
    assert reader.ran == expected
