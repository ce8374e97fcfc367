"""The command line: the window's twin. Every command runs its stage in an engine process and shows its events.

Exit codes: 0 done; 1 other failure; 2 a setting or option is wrong; 3 the data cannot be used; 4 a backbone or prompt
file cannot be used; 5 the device is missing or out of memory; 6 a file cannot be read or written; 7 training failed;
8 the engine process died or met a bug; 130 stopped by Ctrl-C, with a checkpoint where the stage has one.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from engine import __version__, jobs
from engine.clustering.edits import task_fields
from engine.command_line import tables
from engine.command_line.display import write_utf8
from engine.command_line.options import (
    DEFAULT_PROJECT,
    EVERY_ROW,
    AsJson,
    Data,
    PresetName,
    ProjectFolder,
    Texts,
    Words,
    mapping,
    settings_as_options,
)
from engine.command_line.own_labels import own_labels
from engine.command_line.status import status
from engine.command_line.steps import (
    DEMO_SENTENCES,
    as_learned,
    classify_files,
    classify_sentences,
    engine_alone,
    engine_steps,
    known_starts,
    named_starts,
    target_fields,
    training_corpus,
    tuned_prompt,
    tuned_prompt_in,
    which_prompt,
)
from engine.corpus.store import Corpus
from engine.errors import MetaPTError, SettingsError
from engine.jobs.session import Session
from engine.roles import IMPORTED
from engine.running.pipeline import import_job, merged_summaries, read_pipeline, read_pretraining, run_pipeline
from engine.settings import (
    AnnotateSettings,
    BackboneSettings,
    ClusterSettings,
    ImportSettings,
    MetaTrainSettings,
    PretrainSettings,
    PromptSettings,
    TuneSettings,
)
from engine.stage import Stopped
from engine.storage import read_json, write_json
from resources import resource

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)

KINDS = f"{', '.join(IMPORTED[:-1])} or {IMPORTED[-1]}"


def _version(asked: bool) -> None:
    if asked:
        print(f"MetaPT {__version__} at {Path(__file__).parent}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Learn where a soft prompt should start from a pile of text, tune it on a handful of labels, take it away."""


@app.command("import")
@settings_as_options
def import_(
    files: Annotated[list[str], typer.Argument(help="Files, folders or globs.")],
    settings: ImportSettings,
    role: Annotated[str, typer.Option("--as", help=f"What it is: {KINDS}.")] = "source",
    project: Annotated[
        Path, typer.Option("--project", "-p", help="Project folder; made where there is none.")
    ] = DEFAULT_PROJECT,
    json: AsJson = False,
) -> None:
    """Read and clean texts from CSV, TSV, JSONL, JSON, Parquet, XLSX or plain text (also gzip, zip, zstd)."""
    if role not in IMPORTED:
        raise SettingsError(f"'{role}' is no role of a corpus", remedy=f"Choose {KINDS}.")
    with engine_steps(project, json, create=True) as steps:
        folder = steps.run(role, import_job(files, settings))
        if not json:
            tables.show_corpus(corpus := Corpus.open(folder))
            tables.show_plain_map(corpus, settings)


@app.command()
@settings_as_options
def annotate(settings: AnnotateSettings, project: ProjectFolder = DEFAULT_PROJECT, json: AsJson = False) -> None:
    """Give the open-domain text pseudo-labels learnt from the source."""
    with engine_steps(project, json) as steps:
        opened = steps.project
        job = jobs.AnnotateJob(
            labelled=str(opened.role("source")),
            unlabelled=str(opened.role("open-text")),
            cache=str(opened.cache.resolve()),
            settings=settings,
        )
        folder = steps.run("annotated", job)
        if not json:
            tables.show_corpus(Corpus.open(folder))


@app.command()
@settings_as_options
def cluster(
    settings: ClusterSettings, texts: Texts = "", project: ProjectFolder = DEFAULT_PROJECT, json: AsJson = False
) -> None:
    """Group the training texts (pseudo-labelled ones if there are any, the source otherwise) into meta tasks."""
    with engine_steps(project, json) as steps:
        cache = str(steps.project.cache.resolve())
        folder = steps.run(
            "clusters", jobs.ClusterJob(corpus=training_corpus(steps, texts), cache=cache, settings=settings)
        )
        if not json:
            tables.show_clusters(folder)


@app.command("meta-train")
@settings_as_options
def meta_train(
    settings: MetaTrainSettings,
    prompt: PromptSettings,
    backbone: BackboneSettings,
    preset: PresetName = "",
    word: Words = None,
    start: Annotated[str, typer.Option(help="Prompt file to start from.")] = "",
    texts: Texts = "",
    project: ProjectFolder = DEFAULT_PROJECT,
    json: AsJson = False,
) -> None:
    """Learn where a soft prompt should start, from the groups (Prompt-MAML)."""
    with engine_steps(project, json) as steps:
        clusters = steps.project.role("clusters")
        job = jobs.MetaTrainJob(
            corpus=training_corpus(steps, texts),
            clusters=str(clusters),
            **task_fields(steps.project.cluster_edits(clusters)),
            start=start,
            settings=settings,
            prompt=as_learned(prompt, [start]),
            backbone=backbone,
            words=mapping("word", word or []),
        )
        steps.run("meta-train", job)


@app.command("pretrain-prompt")
@settings_as_options
def pretrain_prompt(
    settings: PretrainSettings,
    prompt: PromptSettings,
    backbone: BackboneSettings,
    preset: PresetName = "",
    word: Words = None,
    texts: Texts = "",
    project: ProjectFolder = DEFAULT_PROJECT,
    json: AsJson = False,
) -> None:
    """Pre-train a prompt on all training texts without tasks (PPT), to compare with."""
    with engine_steps(project, json) as steps:
        job = jobs.PretrainJob(
            corpus=training_corpus(steps, texts),
            settings=settings,
            prompt=prompt,
            backbone=backbone,
            words=mapping("word", word or []),
        )
        steps.run("pretrain-prompt", job)


@app.command()
@settings_as_options
def tune(
    tune: TuneSettings,
    prompt: PromptSettings,
    backbone: BackboneSettings,
    preset: PresetName = "",
    word: Words = None,
    start: Annotated[
        list[str] | None,
        typer.Option(help="NAME=START, START a prompt file, random, vocabulary or label_text; default: what is there."),
    ] = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Compare with Sentence-BERT probes on the same texts.")
    ] = False,
    project: ProjectFolder = DEFAULT_PROJECT,
    json: AsJson = False,
) -> None:
    """Tune prompts on a few labelled texts of the target, several seeds and starts side by side."""
    with engine_steps(project, json) as steps:
        opened = steps.project
        starts = named_starts(start) or known_starts(opened)
        task = {**target_fields(opened, word), "tune": tune}
        settings = as_learned(prompt, starts.values())
        done = [steps.run("tune", jobs.TuneJob(starts=starts, prompt=settings, backbone=backbone, **task))]
        if probe:
            source = str(opened.role("source")) if opened.has_role("source") and not task["taught"] else ""
            job = jobs.ProbeJob(source=source, cache=str(opened.cache.resolve()), device=backbone.device, **task)
            done.append(steps.run("linear-probe", job))
        if not json:
            tables.show_comparison(merged_summaries(done), opened, probed=probe)


@app.command()
@settings_as_options
def evaluate(
    backbone: BackboneSettings,
    prompt: Annotated[Path | None, typer.Option(help="Prompt's or probe's file; default: the tuned prompt.")] = None,
    role: Annotated[str, typer.Option("--on", help="source, target or test; default: test, or else target.")] = "",
    project: ProjectFolder = DEFAULT_PROJECT,
    json: AsJson = False,
) -> None:
    """Measure a prompt, or a probe, on a labelled corpus."""
    with engine_steps(project, json) as steps:
        opened = steps.project
        role = role or ("test" if opened.has_role("test") else "target")
        job = jobs.EvaluateJob(prompt=tuned_prompt(opened, prompt), corpus=str(opened.role(role)), backbone=backbone)
        folder = steps.run("evaluation", job)
        if not json:
            tables.show_evaluation(read_json(folder / "evaluation.json"))
            if role == "target" and prompt is None:
                tables.out.print(tables.SEEN)


@app.command()
@settings_as_options
def predict(
    reading: Annotated[ImportSettings, EVERY_ROW],
    files: Annotated[list[str] | None, typer.Argument(help="Files to classify.")] = None,
    text: Annotated[list[str] | None, typer.Option(help="A sentence to classify, instead of files.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Ends with .csv, .parquet or .jsonl.")] = Path(
        "predictions.csv"
    ),
    prompt: Annotated[Path | None, typer.Option(help="Prompt's or probe's file; default: the tuned prompt.")] = None,
    backbone: Annotated[str, typer.Option(help="bundled, a T5 folder, or a name on the hub.")] = "bundled",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    plain_cells: Annotated[bool, typer.Option(help="CSV for programs: cells as they are, no byte order mark.")] = False,
    project: ProjectFolder = DEFAULT_PROJECT,
    json: AsJson = False,
) -> None:
    """Classify sentences or files with a prompt or a probe; with --prompt there need be no project."""
    where = BackboneSettings(backbone=backbone, device=device)
    if not files and not text:
        raise SettingsError("There is nothing to classify", remedy="Name a file, or give --text 'a sentence'.")
    if files and text:
        raise SettingsError("There are files and sentences to classify", remedy="Give either files or --text.")
    if text:
        classify_sentences(text, str(prompt) if prompt is not None else tuned_prompt_in(project), where, json)
        return
    job = jobs.PredictJob(
        prompt=str(prompt.resolve()) if prompt is not None else "",
        files=[str(Path(name).resolve()) for name in files or []],
        output=str(output.resolve()),
        backbone=where,
        reading=reading,
        spreadsheet=not plain_cells,
    )
    classify_files(job, project, json)
    if not json:
        tables.out.print(f"The predictions are in {output}", soft_wrap=True)


@app.command()
def export(
    output: Annotated[Path, typer.Argument(help="File to write, or folder with --peft.")],
    peft: Annotated[bool, typer.Option("--peft", help="Write a PEFT adapter folder.")] = False,
    prompt: Annotated[Path | None, typer.Option(help="Prompt's or probe's file; default: the tuned prompt.")] = None,
    project: ProjectFolder = DEFAULT_PROJECT,
) -> None:
    """Take a prompt, or a probe, away as a small file, or a prompt as a folder that PEFT loads."""
    path = prompt if prompt is not None else Path(tuned_prompt_in(project))
    Session().export_prompt(str(path), str(output), peft)
    tables.out.print(f"Wrote {output}: {which_prompt(path) if prompt is None else prompt}", soft_wrap=True)


@app.command()
def run(
    config: Annotated[Path, typer.Argument(help="TOML file; `metapt template` prints one with every option.")],
    data: Data = None,
    project: Annotated[
        Path | None, typer.Option("--project", "-p", help="Project folder, instead of the file's.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Run a whole pipeline; run again to resume, finished steps are passed over."""
    settings = read_pipeline(config, data=data)
    folder = project if project is not None else Path(settings.project)
    with engine_steps(folder, json, create=True) as steps:
        summary = run_pipeline(settings, steps)
        write_json(folder / "comparison.json", summary)
        if not json:
            tables.show_comparison(summary, steps.project, probed="linear probe" in settings.compare)


@app.command()
def demo(
    project: Annotated[Path, typer.Option("--project", "-p", help="Project folder; made where there is none.")] = Path(
        "demo.metapt"
    ),
    json: AsJson = False,
) -> None:
    """Run the whole method on the sample project: 1,053 reviews, 220 support messages, the bundled backbone."""
    run(resource("sample") / "pipeline.toml", None, project, json)
    classify_sentences(DEMO_SENTENCES, tuned_prompt_in(project), BackboneSettings(), json)


app.command()(own_labels)
app.command()(status)


@app.command("pretrain-backbone")
def pretrain_backbone(
    config: Annotated[Path, typer.Argument(help="TOML file with the texts, the shape and the phases.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run; the backbone is its folder 'model'.")],
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Pre-train a small T5 on texts of your own; run again to go on where it was stopped."""
    settings = read_pretraining(config, data=data)
    with engine_alone(json) as run:
        run(jobs.PretrainBackboneJob(settings=settings), out)
    if not json:
        tables.out.print(f"The backbone is {out / 'model'}; give it to other commands with --backbone", soft_wrap=True)


@app.command()
def template() -> None:
    """Print a pipeline file with every option, its default and what it does."""
    from engine.command_line.template import pipeline_template

    print(pipeline_template(), end="")


@app.command()
def doctor() -> None:
    """Say what is installed, what this machine has, and what is missing."""
    from engine.command_line.doctor import examine

    findings = examine()
    tables.show_findings(findings)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def main() -> None:
    """Entry point: every failure becomes one sentence on standard error and an exit code."""
    multiprocessing.freeze_support()  # in a frozen application the engine process begins here, and never returns
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    write_utf8(sys.stdout, sys.stderr)
    try:
        app()
    except Stopped as stopped:
        print(f"Stopped. Run the same command again to resume. {stopped}".strip(), file=sys.stderr)
        sys.exit(130)
    except KeyboardInterrupt:
        sys.exit(130)
    except MetaPTError as error:
        print(f"metapt: {error}", file=sys.stderr)
        details = getattr(error, "details", "")
        if details:
            print(details, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
