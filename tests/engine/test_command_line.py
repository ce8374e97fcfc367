"""Options, the pipeline file and what is printed, made from the settings."""

from __future__ import annotations

import io
import re
import tomllib
from pathlib import Path

import pytest
import torch
import typer
from importing import read, write
from rich.console import Console
from typer.testing import CliRunner

from engine.cli import app
from engine.command_line.display import TextDisplay, write_utf8
from engine.command_line.options import PresetName, mapping, settings_as_options
from engine.command_line.steps import as_learned, training_corpus, tuned_prompt
from engine.command_line.tables import kept, show_corpus
from engine.command_line.template import pipeline_template
from engine.errors import ProjectError, SettingsError
from engine.evaluation.results import RunResults
from engine.events import Event, Finished, Metric, Notice, Progress
from engine.presets import preset
from engine.project import Project
from engine.prompting.prompt_file import describe_prompt, save_prompt
from engine.running.pipeline import PipelineSettings, Steps, read_pipeline
from engine.settings import BackboneSettings, ImportSettings, MetaTrainSettings, PromptSettings
from engine.storage import write_json
from resources import resource


def made(folder: Path) -> Path:
    """A project with groups that no run is behind."""
    with Project.create(folder / "made.metapt") as project:
        for role in ("source", "clusters"):
            project.assign(role, project.folder / "runs" / role)
    return folder / "made.metapt"


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


@pytest.mark.parametrize(("source", "told"), [("0001-import", []), ("0004-import", ["older than the source"])])
def test_pseudo_labels_of_an_earlier_import_are_not_used_in_silence(source, told, tmp_path):
    shown: list[Event] = []
    with Project.create(tmp_path / "p.metapt") as project:
        annotated = project.folder / "runs" / "0003-annotate"
        annotated.mkdir(parents=True)
        inputs = {"labelled": "runs/0001-import", "unlabelled": "runs/0002-import", "cache": ""}
        write_json(annotated / "job.json", {"stage": "annotate", **inputs})
        project.assign("source", project.folder / "runs" / source)
        project.assign("open-text", project.folder / "runs" / "0002-import")
        steps = Steps(project, lambda job, folder: iter(()), lambda role, event: shown.append(event))
        assert training_corpus(steps) == str(project.folder / "runs" / source)  # there are no pseudo-labels yet
        project.assign("annotated", annotated)
        assert training_corpus(steps) == str(annotated)
        expected = ["from the pseudo-labelled texts; --texts source", *told]
        assert all(words in event.text for words, event in zip(expected, shown, strict=True))
        del shown[:]
        for texts in ("source", ""):
            assert training_corpus(steps, texts) == str(project.folder / "runs" / source)
        assert ["from the labelled source; --texts annotated" in event.text for event in shown] == [True, True]
        assert project.value("learn from") == "source", "the window learns from the same"
        assert training_corpus(steps, "annotated") == str(annotated)
        with pytest.raises(SettingsError, match="source"):
            training_corpus(steps, "target")


def test_a_pipeline_takes_a_preset_and_what_it_says_itself_goes_before(tmp_path):
    path = tmp_path / "pipeline.toml"
    head = '[source]\nfiles = ["a.csv"]\n[target]\nfiles = ["b.csv"]\n[meta_train]\nsteps = 7\n'
    path.write_text(f'preset = "laptop"\n{head}')
    found, laptop = read_pipeline(path), preset("laptop")
    assert found.meta_train == MetaTrainSettings(**laptop["meta_train"] | {"steps": 7})
    assert found.pretrain.model_dump() == laptop["pretrain"] | {"steps": 7}, "as many texts as the meta-training"
    assert found.prompt.model_dump() == laptop["prompt"]
    assert found.tune.model_dump() == laptop["tune"]
    path.write_text(f'preset = "laptop"\n{head}[backbone]\nbackbone = "t5-base"\n')
    assert read_pipeline(path).meta_train.alpha == MetaTrainSettings().alpha, "the bundled backbone's rates are its own"
    for wrong in ('preset = "phone"', "preset = []"):
        path.write_text(f"{wrong}\n{head}")
        with pytest.raises(SettingsError, match="preset"):
            read_pipeline(path)


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


@pytest.mark.parametrize("option", ["--words", "--word"])
def test_pairs_in_one_option_are_refused(option, tmp_path):
    command = ["import", "a.csv"] if option == "--words" else ["meta-train"]
    wrong = CliRunner().invoke(app, [*command, option, "0=bad,1=good", "-p", str(made(tmp_path))])
    assert isinstance(wrong.exception, SettingsError)
    assert f"once for each pair: {option} 0=bad {option} 1=good" in str(wrong.exception)
    assert mapping("label_map", ["a,b=good, or so"]) == {"a,b": "good, or so"}


def test_predicting_takes_files_or_sentences_and_no_options_that_do_nothing():
    both = CliRunner().invoke(app, ["predict", "a.csv", "--text", "soup"])
    assert isinstance(both.exception, SettingsError)
    help = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["predict", "--help"]).stdout
    for option in ("--label-column", "--label-map", "--words", "--keep-unlabelled", "--drop-duplicates", "--balance"):
        assert option not in help
        assert CliRunner().invoke(app, ["predict", "a.csv", option]).exit_code == 2
    assert all(option in help for option in ("--text-column", "--encoding", "--sheet", "--maximum-broken-share"))


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
    shown = io.StringIO()
    display = TextDisplay(Console(file=shown, width=120))
    display.show("cluster", Metric("validation accuracy", 3, 0.5))
    display._printed -= 60
    display.show("cluster", Progress("cluster", 12_400, 20_000, "rows", 310.04, 24.5, "Grouping"))
    said = "12,400 of 20,000 rows   62 %   310 rows/s   0:24 left   Grouping   validation accuracy 50.0 %"
    assert said in shown.getvalue()


def test_text_display_without_a_terminal(capsys):
    display = TextDisplay(Console(force_terminal=False, width=120))
    display.show("cluster", Notice("The group 'x' is too small [sic].", "warning"))
    display.show("cluster", Metric("validation accuracy", 3, 0.5))
    display.show("cluster", Finished("/x", "completed", {"steps": 1200, "silhouette": 0.12345, "names": ["a"]}))
    display.close()
    text = capsys.readouterr().out
    assert "cluster: The group 'x' is too small [sic]." in text
    assert "completed in 0:00: steps 1,200, silhouette 0.1235" in text


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_pipeline_file_may_begin_with_a_byte_order_mark(tmp_path, encoding):
    (tmp_path / "a.toml").write_text('[source]\nfiles = ["a.csv"]\n[target]\nfiles = ["b.csv"]\n', encoding=encoding)
    assert read_pipeline(tmp_path / "a.toml").source.files == [str(tmp_path / "a.csv")]


def test_what_is_written_into_a_file_is_utf8_whatever_the_system_has(tmp_path):
    with open(tmp_path / "out.txt", "w", encoding="cp1252") as stream:
        write_utf8(stream)
        print("とても良い 🙂", file=stream)
    assert (tmp_path / "out.txt").read_text(encoding="utf-8") == "とても良い 🙂\n"


def test_a_prompt_is_tuned_with_what_it_was_learned_with_unless_the_person_says_otherwise(tmp_path, make_scorer):
    scorer = make_scorer(2, soft_tokens=3, text_tokens=17)
    described = describe_prompt(torch.zeros(3, 32), scorer, metrics={}, training={})
    save_prompt(described, tmp_path / "start.safetensors")
    starts = ["random", str(tmp_path / "start.safetensors")]
    learned = as_learned(PromptSettings(), starts)
    assert (learned.soft_tokens, learned.text_tokens) == (3, 17)
    mine = as_learned(PromptSettings(text_tokens=64), starts)
    assert (mine.soft_tokens, mine.text_tokens) == (3, 64)
    assert as_learned(PromptSettings(), ["random"]) == PromptSettings()


def test_only_import_and_a_pipeline_make_a_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in ("annotate", "cluster", "meta-train", "pretrain-prompt", "tune", "evaluate", "predict"):
        answer = CliRunner().invoke(app, [command, "-p", "mistyped.metapt", *(["a.csv"] * (command == "predict"))])
        assert isinstance(answer.exception, ProjectError)
        assert "metapt import" in str(answer.exception)
        assert "--project" in str(answer.exception)
        assert not (tmp_path / "mistyped.metapt").exists()


def test_a_step_that_is_missing_is_named_with_its_command(tmp_path):
    with Project.create(tmp_path / "a.metapt") as project:
        with pytest.raises(ProjectError, match="metapt cluster"):
            project.role("clusters")
        with pytest.raises(ProjectError, match="metapt tune"):
            tuned_prompt(project, None)


def test_a_prompt_that_is_exported_is_called_what_it_is(tmp_path, make_scorer, monkeypatch):
    monkeypatch.chdir(tmp_path)
    described = describe_prompt(torch.zeros(4, 32), make_scorer(2), metrics={}, training={})
    told = []
    with Project.create(tmp_path / "project.metapt") as project:
        runs = project.folder / "runs"
    for number, role in enumerate(("meta-train", "tune"), 1):
        folder = runs / f"000{number}-{role}"
        save_prompt(described, folder / "prompt.safetensors")
        if role == "tune":
            RunResults(summary={}, best="MetaPT seed 3").save(folder)
        with Project.open(tmp_path / "project.metapt") as project:
            project.assign(role, folder)
        told.append(CliRunner().invoke(app, ["export", "mine.safetensors"]).stdout)
    assert "starting prompt" in told[0]
    assert "metapt tune" in told[0]
    assert "the tuned prompt" in told[1]
    assert "MetaPT seed 3" in told[1]
    by_name = CliRunner().invoke(app, ["export", "again.safetensors", "--prompt", "mine.safetensors"]).stdout
    assert by_name == "Wrote again.safetensors: mine.safetensors\n"


def test_what_an_import_left_out_is_printed(tmp_path, capsys):
    file = write(tmp_path / "a.csv", rows=[("soup", "1"), ("soup", "1"), ("tea", "")])
    show_corpus(read(file, tmp_path / "corpus", text_column="review", label_column="stars"))
    said = capsys.readouterr().out
    assert "Left out: 1 no label, 1 duplicate" in said
    assert "broken" not in said


def test_where_broken_rows_are_kept_is_printed(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("id,text\n1,soup\n2,tea,cold\n", encoding="utf-8")
    show_corpus(read(tmp_path / "a.csv", tmp_path / "corpus", text_column="text", maximum_broken_share=1))
    assert f"Left out: 1 broken, in {Path('corpus', 'rejected.jsonl')}" in capsys.readouterr().out


def test_the_prompt_that_is_kept_is_named_from_here(tmp_path, monkeypatch):
    RunResults(summary={}, best="MetaPT seed 3").save(tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    assert kept(tmp_path / "runs") == f"Kept for export: {Path('runs', 'prompt.safetensors')} (MetaPT seed 3)"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert str(tmp_path / "runs" / "prompt.safetensors") in kept(tmp_path / "runs")
