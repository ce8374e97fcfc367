"""Options, the pipeline file and what is printed, made from the settings."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from engine.cli import app
from engine.command_line.display import TextDisplay, duration, progress_line
from engine.command_line.options import PresetName, settings_as_options
from engine.command_line.template import pipeline_template
from engine.errors import SettingsError
from engine.events import Finished, Metric, Notice, Progress
from engine.presets import preset
from engine.running.pipeline import PipelineSettings, read_pipeline
from engine.settings import BackboneSettings, ImportSettings, MetaTrainSettings, PromptSettings
from resources import resource


def test_every_setting_is_an_option_with_its_help():
    text = CliRunner(env={"COLUMNS": "300"}).invoke(app, ["meta-train", "--help"]).stdout
    for name, field in MetaTrainSettings.model_fields.items():
        assert f"--{name.replace('_', '-')}"[:18] in text
        assert field.description.split(".")[0][:40] in text
    assert "Default: 0.08." in text
    assert "One of: exact, first_order, reptile." in text


def test_a_preset_gives_what_the_person_does_not():
    seen = []

    @settings_as_options
    def command(
        settings: MetaTrainSettings, prompt: PromptSettings, backbone: BackboneSettings, preset: PresetName = ""
    ) -> None:
        seen.append((settings, prompt))

    cli = typer.Typer()
    cli.command()(command)
    runner = CliRunner()
    assert runner.invoke(cli, ["--preset", "laptop", "--steps", "7"]).exit_code == 0
    laptop = preset("laptop")
    assert seen[0][0] == MetaTrainSettings(**laptop["meta_train"] | {"steps": 7})
    assert seen[0][1] == PromptSettings(**laptop["prompt"])
    assert runner.invoke(cli, ["--preset", "laptop", "--backbone", "t5-base"]).exit_code == 0
    assert seen[1][0].alpha == MetaTrainSettings().alpha, "the bundled backbone's rates are its own"
    assert runner.invoke(cli, []).exit_code == 0
    assert seen[2] == (MetaTrainSettings(), PromptSettings())
    wrong = runner.invoke(cli, ["--preset", "phone"])
    assert isinstance(wrong.exception, SettingsError)
    assert "quick, laptop, paper" in str(wrong.exception)


def test_the_pipeline_file_is_whole_with_every_setting_in_it():
    lines = [
        line.removeprefix("# ") if re.match(r"# \w+ = |# \[", line) else line
        for line in pipeline_template().split("\n")
    ]
    assert tomllib.loads("\n".join(lines))["meta_train"]["alpha"] == MetaTrainSettings().alpha


def test_options_become_settings():
    seen = []

    @settings_as_options
    def command(settings: ImportSettings, other: int = 3) -> None:
        seen.append((settings, other))

    cli = typer.Typer()
    cli.command()(command)
    runner = CliRunner()
    assert runner.invoke(cli, []).exit_code == 0
    arguments = [
        "--label-map",
        "1=bad",
        "--label-map",
        "2 = good",
        "--no-strip-html",
        "--maximum-rows",
        "7",
        "--other",
        "4",
    ]
    assert runner.invoke(cli, arguments).exit_code == 0
    assert seen[0] == (ImportSettings(), 3)
    expected = ImportSettings(label_map={"1": "bad", "2": "good"}, strip_html=False, maximum_rows=7)
    assert seen[1] == (expected, 4)
    wrong = runner.invoke(cli, ["--maximum-rows", "0"])
    assert isinstance(wrong.exception, SettingsError)


def test_the_shipped_template_is_the_generated_one_and_every_default_in_it_is_true():
    text = pipeline_template()
    assert resource("pipeline-template.toml").read_text(encoding="utf-8") == text
    uncommented = re.sub(r"^# (\[\w+\]|\w+ = .*)$", r"\1", text, flags=re.M)
    values = tomllib.loads(uncommented)
    for corpus in ("source", "target", "open_text", "test"):
        values[corpus]["files"] = ["a.csv"]
    found = PipelineSettings.model_validate(values)
    corpus = {"files": ["a.csv"]}
    plain = PipelineSettings.model_validate({"source": corpus, "target": corpus, "open_text": corpus, "test": corpus})
    assert found == plain


@pytest.mark.parametrize(
    "path",
    [
        resource("sample", "pipeline.toml"),
        *sorted((Path(__file__).parents[2] / "benchmarks" / "configs").glob("*.toml")),
    ],
    ids=lambda path: path.name,
)
def test_shipped_pipelines_are_valid(path, tmp_path):
    settings = read_pipeline(path, data=tmp_path)
    assert all(Path(name).is_absolute() for name in settings.source.files + settings.target.files)


def test_progress_says_how_far_how_fast_how_long():
    event = Progress("cluster", 12_400, 20_000, "rows", 310.04, 24.5, "Grouping")
    assert progress_line(event) == "12,400 of 20,000 rows  62 %  310.0 rows/s  0:24 left  Grouping"
    assert duration(3_723) == "1:02:03"
    assert progress_line(Progress("x", 3)) == "3 steps"


def test_text_display_without_a_terminal(capsys):
    display = TextDisplay(Console(force_terminal=False, width=120))
    display.show("cluster", Notice("The group 'x' is too small [sic].", "warning"))
    display.show("cluster", Metric("validation accuracy", 3, 0.5))
    display.show("cluster", Finished("/x", "completed", {"steps": 1200, "silhouette": 0.12345, "names": ["a"]}))
    display.close()
    text = capsys.readouterr().out
    assert "cluster: The group 'x' is too small [sic]." in text
    assert "completed in 0:00: steps 1,200, silhouette 0.1235" in text
