"""Stages with their tensors on a second device: nothing is left behind on the processor, and the outcome is the same.

It stands in for a GPU where there is none (`second_device`); kernels, precision and memory of a real one are not seen.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faults.stages import STAGES, FastSession, Inputs, begin, run_here
from safetensors.torch import load_file
from second_device import SECOND, Elsewhere, second_device

from engine.backbones import load
from engine.events import Finished, Metric
from engine.jobs.job import Job
from engine.pretraining import stage as pretraining
from engine.running.perform import perform
from engine.stage import StopToken, result_of
from engine.storage import read_json

WORDS = {"unhappy": "not happy", "happy": "good"}
WAYS: list[tuple[str, dict[str, Any]]] = [
    ("meta-train", {}),
    ("meta-train", {"settings": {"gradient": "first_order", "learn_inner_rates": True, "tasks_per_pass": 2}}),
    ("meta-train", {"settings": {"gradient": "exact", "inner_steps": 2, "initialisation": "label_text"}}),
    ("meta-train", {"settings": {"gradient": "reptile"}, "prompt": {"loss": "label_words"}}),
    ("pretrain-prompt", {}),
    ("tune", {}),
    ("tune", {"words": WORDS, "prompt": {"answer": "first"}}),
    ("tune-full-model", {}),
    ("pretrain-backbone", {}),
]
"""Stages that are gone on with when they were stopped, with what is changed in the jobs of `STAGES`."""


def changed(job: Job, changes: dict[str, Any]) -> Job:
    """Return the job with some of its values, and some of its settings, replaced."""
    document = job.model_dump()
    for name, value in changes.items():
        document[name] = document[name] | value if isinstance(value, dict) else value
    return type(job)(**document)


def numbers(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors that a run has left, but for a model folder: transformers does not save what is on ``meta``."""
    return {
        f"{path.relative_to(folder)} {name}": tensor.double()
        for path in sorted(folder.rglob("*.safetensors"))
        if path.parent.name != "model"
        for name, tensor in load_file(path).items()
        if "random_state" not in name
    }


@pytest.mark.parametrize(("stage", "changes"), WAYS)
def test_training_goes_on_and_comes_to_the_same(
    stage: str, changes: dict[str, Any], inputs: Inputs, tmp_path: Path
) -> None:
    job = changed(STAGES[stage](inputs, tmp_path), changes)
    torch.set_num_threads(1)
    run_here(job, tmp_path / "first", FastSession())
    with second_device(load, pretraining):
        session, stop = FastSession(), StopToken()
        for event in perform(job, tmp_path / "second", session, stop):
            if isinstance(event, Metric) and event.step == 3:
                stop.request()
        assert isinstance(event, Finished), event
        assert event.outcome == "stopped"
        run_here(job, tmp_path / "second", session)
        if stage != "pretrain-backbone":
            assert isinstance(result_of(session.backbone(inputs.backbone)).model.shared.weight, Elsewhere)
    expected, found = numbers(tmp_path / "first"), numbers(tmp_path / "second")
    assert expected.keys() == found.keys()
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values, rtol=1e-3, atol=1e-4 * float(values.abs().max()))


@pytest.mark.parametrize("stage", ["predict", "evaluate"])
def test_predictions_are_the_same(stage: str, inputs: Inputs, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    run_here(STAGES[stage](inputs, first), begin(first, STAGES[stage](inputs, first)), FastSession())
    with second_device(load):
        run_here(STAGES[stage](inputs, second), begin(second, STAGES[stage](inputs, second)), FastSession())
    if stage == "predict":
        expected, found = (
            list(csv.reader((project / "predictions.csv").read_text(encoding="utf-8-sig").splitlines()))
            for project in (first, second)
        )
        at = [number for number, name in enumerate(expected[0]) if name.startswith("p(")]
        others = [
            [[cell for number, cell in enumerate(row) if number not in at] for row in rows]
            for rows in (found, expected)
        ]
        assert others[0] == others[1]
        chances = [np.array([[row[number] for number in at] for row in rows[1:]], float) for rows in (found, expected)]
        np.testing.assert_allclose(*chances, atol=1e-5)
    else:
        expected, found = (read_json(next(project.rglob("evaluation.json"))) for project in (first, second))
        assert found["accuracy"] == expected["accuracy"]
        assert found["expected_calibration_error"] == pytest.approx(expected["expected_calibration_error"], abs=1e-5)


def test_a_text_is_classified(inputs: Inputs) -> None:
    backbone = inputs.backbone.model_dump()
    asked = (backbone, inputs.run("tuned") + "/prompt.safetensors", "parcel came early")
    expected = FastSession().classify(*asked)
    with second_device(load):
        assert FastSession().classify(*asked) == pytest.approx(expected, abs=1e-5)


# The second device itself ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mixed",
    [
        lambda here, there: here + there,
        lambda here, there: there @ here.T,
        lambda here, there: torch.cat([there, here]),
        lambda here, there: here[torch.tensor([0], device=SECOND)],
        lambda here, there: torch.nn.Linear(4, 2)(there),
        lambda here, there: there.numpy(),
        lambda here, there: np.asarray(there),
    ],
)
def test_what_mixes_devices_fails(mixed: Any) -> None:
    with second_device(), pytest.raises((RuntimeError, TypeError), match="second device"):
        mixed(torch.ones(3, 4), torch.ones(3, 4, device=SECOND))


def test_what_a_gpu_allows_is_allowed() -> None:
    with second_device():
        there = torch.arange(12.0).view(3, 4).to(SECOND)
        assert there[torch.tensor([1])].cpu().numpy().tolist() == [[4, 5, 6, 7]]
        assert (there * torch.tensor(2.0)).sum().item() == 132
        here = torch.zeros(3, 4)
        here.copy_(there)
        assert here.sum() == 66
        assert torch.tensor([1, 2], device=SECOND).device == SECOND
        weight = torch.nn.Linear(4, 2).to(SECOND)(there).sum()
        weight.backward()
