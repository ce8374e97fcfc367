"""Follows a page of the documentation in a folder of its own, in this process, and with small settings."""

from __future__ import annotations

import csv
import importlib.util
import shutil
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from snippets import SHELL, TUNED, Snippet, snippets
from typer.testing import CliRunner

import engine.cli
from engine.errors import MetaPTError, SettingsError
from engine.events import Event
from engine.jobs.job import Job
from engine.jobs.session import QUESTIONS, Session
from engine.project import Project
from engine.running.perform import perform
from engine.running.pipeline import PipelineSettings
from engine.settings import (
    AnnotateSettings,
    ClusterSettings,
    MetaTrainSettings,
    PretrainBackboneSettings,
    PretrainingPhase,
    PretrainSettings,
    PromptSettings,
    Settings,
    TuneSettings,
)
from engine.stage import StopToken
from resources import resource

ROOT = Path(__file__).parents[2]
SMALL: Mapping[type[Settings], Mapping[str, Any]] = {
    AnnotateSettings: {"confidence": 0.2, "balance": False},
    ClusterSettings: {"clusters": 4, "projection": "pca"},
    PromptSettings: {"soft_tokens": 4, "text_tokens": 24},
    MetaTrainSettings: {"steps": 2, "shots": 2, "validate_every": 2, "validation_rows": 4},
    PretrainSettings: {"steps": 2, "batch_size": 8, "validate_every": 2, "validation_rows": 8},
    TuneSettings: {"training_rows": 8, "validation_rows": 8, "test_rows": 12, "seeds": 2, "epochs": 1},
    PipelineSettings: {"compare": ["PPT", "PT"]},
    PretrainBackboneSettings: {
        "pieces": 500, "words": ["good"], "chosen_words": ["good"], "width": 32, "feed_forward": 64, "heads": 2,
        "encoder_layers": 1, "decoder_layers": 1, "length": 32, "passages": 40, "validation_rows": 20,
        "validate_every": 2,
    },
    PretrainingPhase: {"steps": 2, "tokens_per_step": 256, "warmup_steps": 1},
}  # fmt: skip
"""What the settings of every snippet become after they have been read and checked as they stand on the page."""

BEFORE = {"pretraining.md": "metapt import messages.csv --as target --text-column text --label-column mood"}
"""What a reader has done before a page that does not say it."""


def small(settings: Any) -> Any:
    """Return settings with those of ``SMALL`` in them, and in the settings inside of them."""
    if isinstance(settings, list):
        return [small(item) for item in settings]
    if not isinstance(settings, Settings):
        return settings
    inner = {name: small(value) for name, value in settings if isinstance(value, (Settings, list))}
    return settings.model_copy(update=inner | dict(SMALL.get(type(settings), {})))


class ParsedOnly(Exception):
    """A command got as far as starting the engine: its options are right."""


class EngineThatRefuses:
    """Takes the place of the engine where a command is to be parsed and not run."""

    def __init__(self, **options: Any) -> None:
        raise ParsedOnly


class EngineHere:
    """The engine process's twin in this process; models stay loaded from one command to the next."""

    session = Session()

    def __init__(self, *, threads: int | None = None) -> None:
        self.threads = threads

    def __enter__(self) -> EngineHere:
        return self

    def __exit__(self, *details: object) -> None:
        pass

    def run(self, job: Job, folder: Path) -> Iterator[Event]:
        """Run a job."""
        return perform(job, folder, self.session, StopToken())

    def ask(self, question: str, *, timeout: float = 60.0, **arguments: Any) -> Any:
        """Answer a question."""
        assert question in QUESTIONS
        return getattr(self.session, question)(**arguments)

    def request_stop(self) -> None:
        """Is never asked to."""


class Reader:
    """Runs the snippets of pages.

    Parameters
    ----------
    folder
        Where the page's files are; the tests' own files are put there first.
    cache
        Folder of sentence vectors that all projects share.
    tuned
        A folder with a tuned ``project.metapt`` for pages that start with one.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, cache: Path, tuned: Path | None = None) -> None:
        self.folder, self._tuned, self._patch = folder, tuned, monkeypatch
        self.namespace: dict[str, Any] = {"__name__": "page"}
        self.ran = 0
        prepare(folder)
        monkeypatch.chdir(folder)
        monkeypatch.setattr("engine.command_line.steps.EngineProcess", EngineHere)
        # A snippet's settings are read and checked as they stand there, and only then made small.
        for place in (
            "engine.command_line.options.validated",
            "engine.cli.read_pipeline",
            "engine.cli.read_pretraining",
        ):
            module, name = place.rsplit(".", 1)
            read = getattr(sys.modules[module], name)
            monkeypatch.setattr(place, lambda *given, read=read, **named: small(read(*given, **named)))
        # The pages' texts are the same: their sentence vectors are computed once.
        monkeypatch.setattr(Project, "cache", property(lambda _self: cache))
        # `metapt demo` takes the sample from here, with fewer rows.
        monkeypatch.setattr("engine.cli.resource", lambda *parts: folder if parts == ("sample",) else resource(*parts))

    def follow(self, page: Path, *, under: str = "") -> None:
        """Run all snippets of a page in order."""
        if page.name in BEFORE:
            assert self._invoke(BEFORE[page.name].split()[1:])[0] == 0
        if TUNED in page.read_text(encoding="utf-8"):
            assert self._tuned is not None
            shutil.copytree(self._tuned / "project.metapt", self.folder / "project.metapt")
        for snippet in snippets(page, under=under):
            self.do(snippet)

    def do(self, snippet: Snippet) -> None:
        """Run one snippet, write its file, or check it against the command line."""
        if snippet.language == "python" and not snippet.not_run:
            code = "\n" * (snippet.line - 1) + snippet.text
            exec(compile(code, str(snippet.page), "exec"), self.namespace)
            self.ran += 1
        elif snippet.language == "python":
            compile(snippet.text, str(snippet.page), "exec")
        elif snippet.language in ("toml", "csv") and snippet.file:
            self._write(snippet)
        elif snippet.language in SHELL:
            for number, words in enumerate(snippet.commands(), 1):
                last = number == len(snippet.commands())
                self._command(snippet, words, snippet.exit_code if last else 0)

    def _write(self, snippet: Snippet) -> None:
        path = self.folder / snippet.file
        if snippet.language == "csv" and path.exists():
            with open(path, newline="", encoding="utf-8") as stream:
                prepared = next(csv.reader(stream))
            assert snippet.columns() == prepared, f"{snippet.where}: the prepared {path.name} has other columns"
            return
        if snippet.language == "toml":
            tomllib.loads(snippet.text)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(snippet.text + "\n", encoding="utf-8")

    def _command(self, snippet: Snippet, words: list[str], exit_code: int) -> None:
        if words[0] == "metapt":
            if snippet.not_run:
                self._parse(snippet, words)
            else:
                code, said = self._invoke(words[1:])
                assert code == exit_code, f"{snippet.where}: {' '.join(words)}\nexit code {code}\n{said}"
                self.ran += 1
            return
        if words[0] == "export":
            self._patch.setenv(*words[1].split("=", 1))
            self.ran += 1
            return
        assert snippet.not_run, f"{snippet.where}: '{words[0]}' is not run, and the page does not say so"
        if words[:2] == ["python", "-m"]:
            self._check_module(snippet, words[2], words[3:])

    def _invoke(self, arguments: list[str]) -> tuple[int, str]:
        result = CliRunner().invoke(engine.cli.app, arguments)
        if isinstance(result.exception, MetaPTError):
            return result.exception.exit_code, str(result.exception)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    def _parse(self, snippet: Snippet, words: list[str]) -> None:
        """Let a command read its options and check its settings; it is refused when it wants to start the engine."""
        with self._patch.context() as patch:
            patch.setattr("engine.command_line.steps.EngineProcess", EngineThatRefuses)
            result = CliRunner().invoke(engine.cli.app, words[1:])
        # The page's files and projects need not exist here, but the options have to.
        missing = isinstance(result.exception, MetaPTError) and not isinstance(result.exception, SettingsError)
        right = isinstance(result.exception, ParsedOnly) or missing or result.exit_code == 0
        assert right, f"{snippet.where}: {' '.join(words)}\n{result.exception}\n{result.output}"

    def _check_module(self, snippet: Snippet, module: str, arguments: list[str]) -> None:
        """Check that a module is there and knows the options."""
        found = importlib.util.find_spec(module)
        assert found is not None, f"{snippet.where}: there is no module {module}"
        assert found.origin is not None
        main = Path(found.origin).with_name("__main__.py") if found.submodule_search_locations else Path(found.origin)
        source = main.read_text(encoding="utf-8")
        for option in (word for word in arguments if word.startswith("--")):
            assert f'"{option}"' in source, f"{snippet.where}: {module} has no option {option}"


def prepare(folder: Path) -> None:
    """Put small files into ``folder``: those that the pages mention, made from the sample project."""
    sample = {name: _rows(resource("sample", f"{name}.csv")) for name in ("reviews", "support", "posts")}
    reviews = [row for star in "12345" for row in sample["reviews"] if row["stars"] == star][:: 1053 // 80]
    support = sample["support"][:60]
    _table(folder / "reviews.csv", ("review", "stars"), [(row["review"], row["stars"]) for row in reviews])
    _table(folder / "posts.csv", ("post",), [(row["post"],) for row in sample["posts"][:60]])
    _table(folder / "support.csv", ("message", "mood"), [(row["message"], row["mood"]) for row in support])
    _table(folder / "messages.csv", ("text", "mood"), [(row["message"], row["mood"]) for row in support[:40]])
    pile = [(row["message"], row["mood"] if number < 24 else "") for number, row in enumerate(support)]
    _table(folder / "pile.csv", ("text", "team"), pile)
    _table(folder / "test.csv", ("text", "mood"), [(row["message"], row["mood"]) for row in support[40:]])
    _table(folder / "new.csv", ("text",), [(row["message"],) for row in support[:5]])
    texts = [(f"{row['review']} Was it good, or was it bad?",) for row in sample["reviews"][:120]]
    _table(folder / "texts" / "all.csv", ("text",), texts)
    _table(folder / "labelled" / "test.csv", ("text", "label"), [(row["message"], row["mood"]) for row in support])
    pipeline = resource("sample", "pipeline.toml").read_text(encoding="utf-8")
    (folder / "pipeline.toml").write_text(pipeline, encoding="utf-8")


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _table(path: Path, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([columns, *rows])
