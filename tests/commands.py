"""The command line as a person runs it: in a process of its own, or one that is forked and so has begun already."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from forking import CONTEXT, ROOT, THERE

SECONDS = 300
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "COLUMNS": "200", "TOKENIZERS_PARALLELISM": "false"}

Answer = subprocess.CompletedProcess[str]


def metapt(*arguments: object, cwd: Path, root: Path = ROOT) -> Answer:
    """Run the command line of the packages in ``root``; everything is imported anew."""
    command = [sys.executable, "-m", "engine", *map(str, arguments)]
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": str(root)}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=SECONDS)


def quick(*arguments: object, cwd: Path) -> Answer:
    """Run the command line in a process that is forked from the server, as is its engine process."""
    if not THERE:
        return metapt(*arguments, cwd=cwd)
    with TemporaryDirectory() as folder:
        words = [str(argument) for argument in arguments]
        with mock.patch.dict(os.environ, ENVIRONMENT):
            process = CONTEXT.Process(target=_main, args=(words, cwd, Path(folder)))
        process.start()
        process.join(SECONDS)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(words, SECONDS)
        out, errors = (Path(folder, name).read_text(encoding="utf-8") for name in ("out", "errors"))
    return Answer(words, process.exitcode, out, errors)


def _main(words: list[str], cwd: Path, folder: Path) -> None:
    from engine import cli
    from engine.running import process

    process.CONTEXT = multiprocessing.get_context("fork")  # type: ignore[assignment]  # of this process, not the server
    os.chdir(cwd)
    for number, name in ((1, "out"), (2, "errors")):
        os.dup2(os.open(folder / name, os.O_CREAT | os.O_WRONLY), number)
    sys.argv = ["metapt", *words]
    cli.main()


def refused(answer: Answer, code: int, *words: str) -> None:
    """Assert that the command ended with ``code`` and one sentence that holds ``words``, no traceback."""
    assert answer.returncode == code, answer.stdout + answer.stderr
    assert "Traceback" not in answer.stderr
    sentence = answer.stderr.strip().splitlines()[-1]
    for word in words:
        assert word in sentence
    assert "Error" not in sentence.split()
