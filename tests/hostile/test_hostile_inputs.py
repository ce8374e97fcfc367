"""Whatever a file holds, reading it ends soon, in bounded memory, with a result or one of the project's own errors."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import tempfile
import time
import warnings
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from hostile import counts
from hostile.targets import TARGETS, Input, Target, place
from hostile.watch import Account, attempt, peak
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as with_seed
from hypothesis import strategies as st

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "hostile.json"
_BATCH = 10
_WITHOUT_QT = importlib.util.find_spec("PySide6") is None


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory where there is one: half of the time would go into making and removing folders on a disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(name)


def feed(target: Target, folder: Path, inputs: int, account: Account, *, seed: int | None = None) -> Account:
    """Give a reader so many inputs: always the same ones, or, with ``seed``, others.

    Raises
    ------
    AssertionError
        Without a seed, at the first input that fails, made as small as hypothesis can; with one, failures are only
        counted in ``account``.
    """
    folder.mkdir(exist_ok=True)
    strategy = target.inputs(Path(tempfile.mkdtemp(prefix="seeds", dir=folder)))
    work = folder / "work"

    def check(batch: list[Input]) -> None:
        for files, options in batch:
            place(files, work / "in")
            try:
                attempt(target.steps(work, options), work, account)
            except AssertionError as failure:
                shown = {name: content[:300] for name, content in files.items()}
                account.failures[str(failure)] = f"{options} {shown}"
                if seed is None:
                    raise

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # libraries warn of odd values
        configured = settings(
            max_examples=-(-inputs // _BATCH),
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            derandomize=seed is None,
            suppress_health_check=list(HealthCheck),
        )
        # One example is several inputs: hypothesis' own work would otherwise take longer than the reading.
        test = configured(given(st.lists(strategy, min_size=_BATCH, max_size=_BATCH))(check))
        (test if seed is None else with_seed(seed)(test))()
    return account


@pytest.mark.parametrize("name", list(TARGETS))
def test_no_input_raises_anything_but_our_errors(name: str, folder: Path) -> None:
    target = TARGETS[name]
    if target.needs_qt and _WITHOUT_QT:
        pytest.skip("a part of the window, and Qt is not installed")
    account = feed(target, folder, counts.CI, Account())
    assert account.inputs >= counts.CI
    assert account.accepted, "if nothing is accepted, the mutations never get past the first check"
    assert account.refused, "if nothing is refused, they change nothing"
    assert account.grown() < counts.LEAK_MEGABYTES


@pytest.mark.soak
def test_a_hundred_thousand_inputs(folder: Path) -> None:
    """The full count, other inputs every time, in rounds over all readers; `RESULTS` is written after each."""
    names = [name for name, target in TARGETS.items() if not (target.needs_qt and _WITHOUT_QT)]
    budget = counts.soak_counts({name: TARGETS[name].cost for name in names})
    accounts = {name: Account() for name in names}
    seed = int(time.time())
    began = time.monotonic()
    for turn in range(counts.ROUNDS):
        for name in names:
            share = -(-budget[name] // counts.ROUNDS)
            feed(TARGETS[name], folder / name, share, accounts[name], seed=seed + turn)
        RESULTS.write_text(json.dumps(_document(accounts, seed, time.monotonic() - began), indent=2) + "\n", "utf-8")
    assert not {name: account.failures for name, account in accounts.items() if account.failures}
    assert sum(account.inputs for account in accounts.values()) >= counts.SOAK_IN_ALL
    assert min(account.inputs for account in accounts.values()) >= counts.SOAK_FLOOR


def _document(accounts: dict[str, Account], seed: int, seconds: float) -> dict[str, object]:
    """Return what is kept of a long run."""
    return {
        "command": "python -m pytest tests/hostile -m soak",
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} threads",
        "seed": seed,
        "inputs": sum(account.inputs for account in accounts.values()),
        "seconds": round(seconds),
        "limits": {"seconds": counts.SECONDS, "megabytes": counts.MEGABYTES},
        "readers": {
            name: {
                "inputs": account.inputs,
                "accepted": account.accepted,
                "refused": account.refused,
                "seconds": round(account.seconds, 1),
                "longest_seconds": round(account.longest, 2),
                "most_megabytes": round(account.most_megabytes),
                "grown_megabytes": round(account.grown()),
            }
            for name, account in accounts.items()
        },
        "failures": {name: account.failures for name, account in accounts.items() if account.failures},
    }


def test_a_planted_bug_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*arguments: object) -> None:
        raise KeyError("planted")

    monkeypatch.setattr("engine.corpus.importing.choose_columns", read)
    with pytest.raises(AssertionError, match=r"KeyError: 'planted' at importing\.py"):
        feed(TARGETS["csv"], folder, 20, Account())


def test_a_hang_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(time, "pthread_getcpuclockid"):
        pytest.skip("the system has no clock that interrupts")

    def read(*arguments: object) -> None:
        while True:
            pass

    monkeypatch.setattr(counts, "SECONDS", 0.3)
    monkeypatch.setattr("engine.corpus.preview.find_sources", read)
    with pytest.raises(AssertionError, match="hung"):
        attempt(TARGETS["csv"].steps(_written(folder), {}), folder, Account())


@pytest.mark.parametrize("bad", ["pickle", "socket", "write", "memory"])
def test_what_a_reader_has_no_business_to_do_is_seen(bad: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pickle
    import socket

    def misbehave() -> None:
        if bad == "pickle":
            pickle.loads(pickle.dumps(Path("a")))
        elif bad == "socket":
            with socket.socket() as one:
                one.connect_ex(("127.0.0.1", 9))
        elif bad == "write":
            (folder / "outside").write_text("x")
        else:
            monkeypatch.setattr(counts, "MEGABYTES", 1)
            most = peak()
            while peak() < most + 10 * 2**20:  # what the libraries give back meanwhile makes room below the peak
                held.append(bytearray(b"x") * 2**26)

    held: list[bytearray] = []
    words = {"pickle": "find_class", "socket": "socket.connect", "write": "open for writing", "memory": "grew by"}
    with pytest.raises(AssertionError, match=words[bad]):
        attempt([misbehave], folder / "inside", Account())


def _written(folder: Path) -> Path:
    place({"a.csv": b"text\nsoup\n"}, folder / "in")
    return folder
