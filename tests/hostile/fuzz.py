"""Look for hostile inputs under the guidance of coverage, for as long as one likes.

    PYTHONPATH=tests python -m hostile.fuzz "prompt file" -max_total_time=600

Atheris changes the bytes that hypothesis draws an input from, and keeps those that reach new lines of ``engine``. Any
option of libFuzzer may follow the reader's name; the first failure ends the run and is printed.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import tempfile
import warnings
from pathlib import Path

import atheris
import numpy as np

with atheris.instrument_imports(include=["engine"]):
    import engine

    for module in pkgutil.walk_packages(engine.__path__, "engine."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    from hostile.targets import TARGETS, place
    from hostile.text_targets import Input
    from hostile.watch import Account, attempt

from hypothesis import HealthCheck, given, settings

LONGEST = 4096


def main() -> None:
    """Fuzz the reader that the first argument names."""
    name, *options = sys.argv[1:]
    target = TARGETS[name]
    warnings.simplefilter("ignore")
    account = Account()
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch) / "work"

        @settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))
        @given(target.inputs(Path(scratch)))
        def check(made: Input) -> None:
            files, chosen = made
            place(files, work / "in")
            attempt(target.steps(work, chosen), work, account)

        beginnings = Path(scratch) / "beginnings"  # long enough to draw whole inputs from
        beginnings.mkdir()
        rng = np.random.default_rng(0)
        for number in range(20):
            (beginnings / str(number)).write_bytes(rng.bytes(LONGEST))

        def one(content: bytes) -> None:
            before = account.inputs
            check.hypothesis.fuzz_one_input(content)
            if account.inputs > before and account.inputs % 50 == 0:
                print(f"{account.accepted:,} accepted, {account.refused:,} refused", flush=True)

        limits = [f"-max_len={LONGEST}", "-len_control=0"]
        atheris.Setup([sys.argv[0], *limits, *options, str(beginnings)], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
