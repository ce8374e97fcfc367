"""The fuzzer that follows coverage (`hostile.fuzz`) runs, and sees a bug that was planted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("atheris")

TESTS = Path(__file__).parents[1]
PLANTED = """
import hostile.fuzz
import engine.corpus.importing

def choose_columns(columns, *rest):
    raise KeyError("planted")

engine.corpus.importing.choose_columns = choose_columns
hostile.fuzz.main()
"""


def fuzz(*arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    return subprocess.run(
        # Linux hands the peak memory of these tests on to the process, and libFuzzer would take it for its own.
        [sys.executable, *arguments, "-rss_limit_mb=0"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_inputs_are_made_and_none_of_them_fails(tmp_path: Path) -> None:
    done = fuzz("-m", "hostile.fuzz", "csv", "-runs=200", "-seed=1", f"-artifact_prefix={tmp_path}/")
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    accepted, refused = (int(part.split()[0].replace(",", "")) for part in done.stdout.splitlines()[-1].split(", "))
    assert accepted
    assert refused
    assert not list(tmp_path.iterdir())


def test_a_planted_bug_is_found_and_its_input_kept(tmp_path: Path) -> None:
    done = fuzz("-c", PLANTED, "csv", "-runs=200", f"-artifact_prefix={tmp_path}/")
    assert done.returncode != 0
    assert "KeyError: 'planted' at importing.py" in done.stdout + done.stderr
    assert [path.name[:5] for path in tmp_path.iterdir()] == ["crash"]
