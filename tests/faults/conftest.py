"""Fixtures of the faults: what the stages start from, what they leave when nothing happens, and the soak's record."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import forking
import pytest
from faults.stages import STAGES, FastSession, Inputs, begin, fast_engine, make_inputs, results, run_here

from engine.events import Finished
from engine.running.process import EngineProcess

CI_KILLS = 2
SOAK_KILLS = int(os.environ.get("METAPT_SOAK_KILLS", "50"))
RECORD = forking.ROOT / "benchmarks" / "results" / "faults.json"


@dataclass(frozen=True)
class Reference:
    """A run that nothing happened to: its results, and how long it took in a new process, seconds."""

    results: dict[str, str]
    seconds: float


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory, tiny_t5: Path) -> Inputs:
    """What the jobs of all stages start from."""
    return make_inputs(tmp_path_factory.mktemp("inputs"), tiny_t5)


@pytest.fixture(scope="session")
def session() -> FastSession:
    """The models of the jobs that run in this process."""
    return FastSession()


@pytest.fixture(scope="module", autouse=True)
def threads() -> Iterator[None]:
    """The jobs ask for one thread; the tests after them get back what there was."""
    torch = sys.modules.get("torch")  # whoever has not imported it yet has not set its threads either
    before = torch.get_num_threads() if torch is not None else None
    yield
    if torch is not None:
        torch.set_num_threads(before)


@pytest.fixture(scope="module")
def warm(fork_server: None) -> Iterator[EngineProcess]:
    """An engine process that has its models already, for what is not killed."""
    with fast_engine() as process:
        yield process


@pytest.fixture(scope="session")
def reference(
    inputs: Inputs, fork_server: None, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Reference]:
    """Return what a stage leaves when nothing happens; each is run once."""
    known: dict[str, Reference] = {}
    folder = tmp_path_factory.mktemp("undisturbed")

    def find(stage: str) -> Reference:
        if stage not in known:
            project = folder / f"{stage}.metapt"
            job = STAGES[stage](inputs, project)
            with fast_engine() as process:
                events, seconds = forking.timed(process, job, begin(project, job))
            assert isinstance(events[-1], Finished), events[-1]
            known[stage] = Reference(results(project), seconds)
        return known[stage]

    return find


@dataclass(frozen=True)
class Here:
    """A run in this process that nothing happened to: its results, the files it synced, and the size of the largest."""

    results: dict[str, str]
    writes: int
    largest: int


@pytest.fixture(scope="session")
def here(inputs: Inputs, session: FastSession, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Here]:
    """Return what a stage leaves in this process when nothing happens; its threads can make the last digits others."""
    known: dict[str, Here] = {}
    folder = tmp_path_factory.mktemp("undisturbed-here")

    def find(stage: str) -> Here:
        if stage not in known:
            project = folder / f"{stage}.metapt"
            job = STAGES[stage](inputs, project)
            run = begin(project, job)
            with mock.patch.object(os, "fsync", wraps=os.fsync) as synced:
                run_here(job, run, session)
            written = [path for path in project.rglob("*") if path.is_file()]
            sizes = [path.stat().st_size for path in written if path.name not in ("job.json", "events.jsonl")]
            known[stage] = Here(results(project), synced.call_count, max(sizes))
        return known[stage]

    return find


@pytest.fixture(scope="session")
def record(request: pytest.FixtureRequest) -> Iterator[dict[str, dict[str, float]]]:
    """What -> its figures; those of the soak are written to ``benchmarks/results``, beside what is there."""
    figures: dict[str, dict[str, float]] = {}
    yield figures
    if not request.session.testsfailed:  # what has no time was cut off from outside, and has not failed
        figures = {name: found for name, found in figures.items() if "seconds" in found}
    if figures:
        before = json.loads(RECORD.read_text(encoding="utf-8"))["faults"] if RECORD.exists() else {}
        threads = os.environ.get("OMP_NUM_THREADS", os.cpu_count())
        document = {
            "command": "python -m pytest -m soak tests/faults",
            "date": time.strftime("%Y-%m-%d"),
            "machine": f"{platform.machine()}, {os.cpu_count()} threads ({threads} for the engine)",
            "faults": before | figures,
        }
        RECORD.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
