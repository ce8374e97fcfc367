"""SIGKILL of the engine at random moments of every stage: nothing half-written is whole, and every run goes on."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable
from pathlib import Path

import forking
import pytest
from faults.conftest import CI_KILLS, SOAK_KILLS, Reference
from faults.stages import STAGES, Inputs, begin, check_whole, fast_engine, results

from engine.events import Finished
from engine.project import Project
from engine.running.process import EngineProcess
from engine.storage import UNFINISHED

ATTEMPTS = 5
"""Times that a moment is drawn again for a kill that came too late, on a machine that is busy with other things."""


def kill_and_go_on(
    stage: str, kills: int, inputs: Inputs, undisturbed: Reference, warm: EngineProcess, folder: Path
) -> int:
    """Kill a stage at random moments, each in a project of its own; return how many kills met it."""
    moments = random.Random(stage)
    met, seconds = 0, undisturbed.seconds
    for number in itertools.count():
        if met == kills or number == kills * ATTEMPTS:
            break
        project = folder / f"{number}.metapt"
        job = STAGES[stage](inputs, project)
        run = begin(project, job)
        with fast_engine() as process:
            began = time.monotonic()
            if forking.killed(process, job, run, moments.uniform(0, seconds)) is None:
                seconds = min(seconds, time.monotonic() - began)  # the machine is less busy than it was
                continue
        met += 1
        check_whole(project)
        with Project.open(project) as opened:
            found, done = opened.run_folder(job)
        # Predictions that are there already, whatever became of their run, make another job of the same words.
        assert found == run or (project / "predictions.csv").exists(), "the same job goes on where it was"
        if not done:
            last = list(warm.run(job, found))[-1]
            assert isinstance(last, Finished), last
            assert last.outcome == "completed"
        check_whole(project)
        left = {name.replace(found.name, run.name): digest for name, digest in results(project).items()}
        assert left == undisturbed.results
        assert not list(found.rglob(f".*{UNFINISHED}")), "what the killed run was writing is cleared away"
    return met


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_stage_goes_on_to_the_same_end(
    stage: str, inputs: Inputs, reference: Callable[[str], Reference], warm: EngineProcess, tmp_path: Path
) -> None:
    assert kill_and_go_on(stage, CI_KILLS, inputs, reference(stage), warm, tmp_path) == CI_KILLS


@pytest.mark.soak
@pytest.mark.parametrize("stage", STAGES)
def test_soak_a_killed_stage_goes_on_to_the_same_end(
    stage: str,
    inputs: Inputs,
    reference: Callable[[str], Reference],
    warm: EngineProcess,
    tmp_path: Path,
    record: dict[str, dict[str, float]],
) -> None:
    began = time.monotonic()
    figures = record.setdefault(f"kills: {stage}", {"failures": 1})
    figures["kills"] = kill_and_go_on(stage, SOAK_KILLS, inputs, reference(stage), warm, tmp_path)
    figures |= {"failures": 0, "seconds": round(time.monotonic() - began, 1)}
    assert figures["kills"] == SOAK_KILLS
