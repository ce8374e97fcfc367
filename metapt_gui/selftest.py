"""``MetaPT --selftest``: the whole way in the real window, small, to see that an installation works.

The window shows the sample project and does what its buttons do: imports, labels, groups, takes three meta steps,
tunes, classifies a file, exports the prompt, asks it about a sentence. One line of JSON says what was done and how long
each part took; the exit code is 0 only if all went well. The network is not touched, and nothing is left behind.
"""

from __future__ import annotations

import csv
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PySide6.QtWidgets import QApplication

from engine import __version__
from engine.errors import MetaPTError
from engine.presets import preset
from engine.storage import write_text
from metapt_gui.crash import CrashReports
from metapt_gui.main_window import MainWindow
from metapt_gui.pages.use import UsePage
from metapt_gui.sample import create_sample
from metapt_gui.theme import ThemeKeeper
from metapt_gui.tour import SENTENCE, Tour
from metapt_gui.user_settings import UserSettings

META_STEPS = 3
PATIENCE = 900.0


def selftest(target: str = "-") -> int:
    """Take the way and write the line to the file ``target`` (``-``: print it); return the exit code.

    A windowed program on Windows has nothing to print to, hence the file.
    """
    seconds: dict[str, float] = {}
    report: dict[str, Any] = {"version": __version__, "frozen": bool(getattr(sys, "frozen", False)), "seconds": seconds}
    try:
        with tempfile.TemporaryDirectory(prefix="metapt-selftest-", ignore_cleanup_errors=True) as scratch:
            report |= _take(Path(scratch), seconds)
        report["ok"] = True
    except (MetaPTError, TimeoutError, RuntimeError) as error:
        report |= {"ok": False, "failed": str(error)}
    line = json.dumps(report, ensure_ascii=False)
    if target == "-":
        print(line, flush=True)
    else:
        write_text(Path(target), line + "\n")
    return 0 if report["ok"] else 1


def _take(scratch: Path, seconds: dict[str, float]) -> dict[str, Any]:
    themes = ThemeKeeper("light")
    themes.apply()
    began = time.monotonic()
    window = MainWindow(UserSettings(scratch / "settings"), themes, CrashReports(scratch / "logs"))
    window.show()
    QApplication.processEvents()
    seconds["window"] = round(time.monotonic() - began, 2)
    try:
        return _steps(window, Tour(window, patience=PATIENCE), scratch, seconds)
    finally:
        window.close()


def _steps(window: MainWindow, tour: Tour, scratch: Path, seconds: dict[str, float]) -> dict[str, Any]:
    @contextmanager
    def timed(name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        seconds[name] = round(time.monotonic() - began, 2)

    project = create_sample(scratch / "sample.metapt")
    quick = preset("quick")
    meta = {"steps": META_STEPS, "validate_every": META_STEPS, "validation_rows": 4}
    project.set_value("meta_train", quick["meta_train"] | meta)
    project.set_value("prompt", quick["prompt"])
    project.set_value("tune", quick["tune"] | {"seeds": 2, "epochs": 2})
    window.document.open(project)
    with timed("import, label, group, train, tune"):
        tour.work()
    window.show_step(5)
    using = window.pages[5]
    assert isinstance(using, UsePage)
    answers, prompt = scratch / "answers.csv", scratch / "mood.safetensors"
    texts = scratch / "texts.csv"
    texts.write_text(f"text\n{SENTENCE.replace(',', ' ')}\nThe box was crushed.\n", encoding="utf-8")
    tour.wait(using.primary.isEnabled, "the tuned prompt", 60)
    with timed("classify a file"):
        using.classify_files([texts], answers)
        tour.finish("classifying")
    with timed("export"):
        using.export(prompt, peft=False)
        tour.wait(prompt.exists, "the exported prompt", 60)
    with timed("ask"):
        using.sentence.setPlainText(SENTENCE)
        tour.wait(lambda: bool(using.answer.text()), "an answer", 60)
    with open(answers, newline="", encoding="utf-8") as stream:
        predicted = [row["prediction"] for row in csv.DictReader(stream)]
    if len(predicted) != 2 or not all(name in ("happy", "unhappy") for name in predicted):
        raise RuntimeError(f"The file was classified as {predicted}")
    training = project.role("meta-train")
    with open(training / "events.jsonl", encoding="utf-8") as events:
        steps = sum('"query loss"' in line for line in events)
    return {
        "meta_steps": steps,
        "predictions": predicted,
        "answer": using.answer.text(),
        "bytes": prompt.stat().st_size,
    }
