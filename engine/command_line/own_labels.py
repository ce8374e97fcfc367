"""The command that lets a person's own labels teach."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.command_line import tables
from engine.command_line.options import DEFAULT_PROJECT, AsJson, ProjectFolder
from engine.command_line.steps import engine_steps
from engine.corpus.store import Corpus
from engine.jobs.own_labels import ANNOTATION, FOLDER, write_own_labels
from engine.jobs.target_task import task_from
from engine.running.pipeline import import_job
from engine.running.runs import tested_on
from engine.settings import TuneSettings

TestRows = Annotated[int, typer.Option(min=0, help="Labelled texts to leave out, so that a tuning can test on them.")]


def own_labels(test_rows: TestRows = 0, project: ProjectFolder = DEFAULT_PROJECT, json: AsJson = False) -> None:
    """Without a labelled source: import the target's labelled texts as the source, and its others as open text."""
    with engine_steps(project, json) as steps:
        opened = steps.project
        corpus = Corpus.open(opened.role("target"))
        tune = TuneSettings(test_rows=0 if tested_on(opened) else test_rows)
        task, labels = task_from(opened.value("task")), opened.labels(corpus.content_hash)
        written = write_own_labels(corpus, task, labels, tune, opened.folder / FOLDER)
        for role, (file, settings) in written.items():
            folder = steps.run(role, import_job([str(file)], settings))
            if not json:
                tables.show_corpus(Corpus.open(folder))
        if not json:
            chosen = f"--confidence {ANNOTATION.confidence} --out-of-domain-share {ANNOTATION.out_of_domain_share:g}"
            tables.out.print(f"Next: metapt annotate {chosen}", markup=False)
