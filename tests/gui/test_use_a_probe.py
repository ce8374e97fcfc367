"""A probe that tuning was compared with is used and taken away as the prompt is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from gui.driving import Hands
from made_runs import as_if_run
from PySide6.QtWidgets import QApplication

from engine.embedding.sentence_bert import SentenceEncoder
from engine.evaluation.probe_file import Probe, load_probe, save_probe
from engine.jobs import AnnotateJob, ClusterJob, ProbeJob, TuneJob
from engine.project import Project
from engine.prompting.prompt_file import Prompt, save_prompt
from engine.settings import PromptSettings
from engine.workflow import embedded_source, probe_files
from metapt_gui.pages.use import UsePage

CLASSES = ("unhappy", "happy")


@pytest.fixture
def compared(project_folder: Path) -> Path:
    """A project with a tuned prompt and a probe beside it, which finds everything happy."""
    with Project.open(project_folder) as project:
        target = {"corpus": str(project.role("target")), "classes": list(CLASSES)}
        folder = as_if_run(project, "tune", TuneJob(**target))
        prompt = Prompt(torch.zeros(3, 8), None, {"unhappy": "bad", "happy": "good"}, PromptSettings(soft_tokens=3))
        save_prompt(prompt, folder / "prompt.safetensors")
        folder = as_if_run(project, "linear-probe", ProbeJob(**target))
        encoder, bias = SentenceEncoder(device="cpu"), np.array([0, 3], np.float32)
        weights = np.zeros((2, 384), np.float32)
        probe = Probe(weights, bias, CLASSES, encoder.name, encoder.identity, {"test_accuracy": 0.75})
        save_probe(probe, folder / "probe.safetensors")
    return project_folder


def test_a_probe_is_chosen_asked_and_taken_away(hands: Hands, compared: Path, tmp_path: Path) -> None:
    hands.window.projects.open(compared)
    using = hands.to(UsePage)
    side = using.side
    hands.until(lambda: "unhappy (bad)" in side.about.text())
    assert [side.choice.itemText(row) for row in range(side.choice.count())] == [
        "The tuned prompt",
        "Sentence-BERT probe",
    ]
    assert "PromptClassifier" in side.python.toPlainText()

    side.choice.setCurrentIndex(1)
    side.choice.activated.emit(1)
    hands.until(lambda: "all-MiniLM-L6-v2" in side.about.text())
    assert side.about.text().splitlines()[-1] == "Right on test texts: 75.0 %"
    assert not side.save_peft.isEnabled()
    using.sentence.setPlainText("Nobody answered.")
    hands.until(lambda: using.answer.text().startswith("happy   95.3 %"))

    taken = tmp_path / "mood.safetensors"
    hands.next_file(taken)
    hands.click(side.save)
    hands.until(lambda: side.saved.text().startswith("Saved"))
    assert load_probe(taken).classes == CLASSES
    hands.click(side.copy)
    found: dict[str, object] = {}
    exec(QApplication.clipboard().text(), found)
    assert found["classifier"].predict(["Nobody answered."]).tolist() == ["happy"]

    using.use(str(taken))
    hands.until(lambda: side.choice.currentText() == "mood.safetensors, loaded")
    side.choice.activated.emit(0)
    hands.until(lambda: "unhappy (bad)" in side.about.text())
    assert side.choice.currentText() == "The tuned prompt"
    assert side.save_peft.isEnabled()


def test_a_probe_of_other_labels_is_not_offered(compared: Path) -> None:
    with Project.open(compared) as project:
        assert list(probe_files(project)) == ["probe.safetensors"]
        job = TuneJob(corpus=str(project.role("target")), classes=list(CLASSES), labels={0: "happy"})
        as_if_run(project, "tune", job)
        assert probe_files(project) == {}


def test_the_source_teaches_a_probe_if_its_vectors_are_there(compared: Path) -> None:
    with Project.open(compared) as project:
        source, target = str(project.role("source")), str(project.role("target"))
        assert embedded_source(project) == source, "the groups are of these texts"
        as_if_run(project, "clusters", ClusterJob(corpus=target, cache=""))
        assert embedded_source(project) == ""
        as_if_run(project, "annotated", AnnotateJob(labelled=source, unlabelled=target, cache=""))
        assert embedded_source(project) == source
