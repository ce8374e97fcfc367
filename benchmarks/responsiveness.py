"""Does the window stay awake? Lateness of a 20 ms timer while the engine works, time to the first window, pan frames.

    python -m benchmarks.responsiveness [--rows 1000000] [--out benchmarks/results/responsiveness.json]

A timer of the event loop is due every 20 ms; how much later it comes is what a person feels. It is measured in an idle
window first, then in the same window during each kind of job, with the page of the job in front and its live plots
drawing. Texts are made up. Every phase runs for ``--seconds`` or until its job is over.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.provenance import RESULTS, provenance
from engine.storage import write_json

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

PERIOD = 20.0
FIRST_WINDOW = """
import sys, time
began = time.perf_counter()
import os
from pathlib import Path
from PySide6.QtWidgets import QApplication
from metapt_gui.crash import CrashReports
from metapt_gui.main_window import MainWindow
from metapt_gui.theme import ThemeKeeper
from metapt_gui.user_settings import UserSettings
application = QApplication([])
themes = ThemeKeeper("light")
themes.apply()
folder = Path(sys.argv[1])
window = MainWindow(UserSettings(folder), themes, CrashReports(folder))
window.show()
while not window.windowHandle().isExposed():
    application.processEvents()
window.grab()
print(time.perf_counter() - began)
window.close()
"""
WORDS = ("soup", "table", "waiter", "phone", "screen", "story", "film", "room", "bed", "train", "seat", "shirt")
VERDICTS = ("terrible and late", "rather poor", "fine I suppose", "good and quick", "simply superb")


class Lateness:
    """How late a 20 ms timer of the event loop comes, in milliseconds."""

    def __init__(self) -> None:
        from PySide6.QtCore import Qt, QTimer

        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(int(PERIOD))
        self._timer.timeout.connect(self._tick)
        self._last = 0.0
        self.values: list[float] = []

    def start(self) -> None:
        """Begin."""
        self.values = []
        self._last = time.perf_counter()
        self._timer.start()

    def stop(self) -> dict[str, float]:
        """End, and return the figures."""
        self._timer.stop()
        values = np.array(self.values)
        return {
            "ticks": len(values),
            "median_ms": float(np.median(values)),
            "p99_ms": float(np.percentile(values, 99)),
            "maximum_ms": float(values.max()),
        }

    def _tick(self) -> None:
        now = time.perf_counter()
        self.values.append(max(0.0, 1000 * (now - self._last) - PERIOD))
        self._last = now


def write_texts(path: Path, rows: int) -> None:
    """Write made-up reviews with stars."""
    random = np.random.default_rng(0)
    nouns, stars = random.integers(0, len(WORDS), (rows, 3)), random.integers(0, 5, rows)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write("review,stars\n")
        for number, (places, star) in enumerate(zip(nouns.tolist(), stars.tolist(), strict=True)):
            first, second, third = (WORDS[place] for place in places)
            stream.write(
                f"The {first} of visit {number} with the {second} and {third} was {VERDICTS[star]},{star + 1}\n"
            )


def measure(rows: int, embedded: int, seconds: float, folder: Path) -> dict[str, dict[str, float]]:
    """Return phase -> figures."""
    from PySide6.QtWidgets import QApplication

    from engine.project import Project
    from metapt_gui.crash import CrashReports
    from metapt_gui.main_window import MainWindow
    from metapt_gui.theme import ThemeKeeper
    from metapt_gui.tour import Tour
    from metapt_gui.user_settings import UserSettings

    application = QApplication.instance() or QApplication([])
    themes = ThemeKeeper("light")
    themes.apply()
    window = MainWindow(UserSettings(folder / "settings"), themes, CrashReports(folder / "logs"))
    window.resize(1280, 800)
    window.show()
    tour, late, found = Tour(window), Lateness(), {}
    many, few, target = folder / "many.csv", folder / "few.csv", folder / "target.csv"
    write_texts(many, rows)
    write_texts(few, embedded)
    write_texts(target, 400)

    def phase(name: str, begin: Callable[[], object], *, whole: bool) -> None:
        begin()
        tour.wait(lambda: window.runner.current is not None, name, 120)
        late.start()
        clock = time.perf_counter()
        over = lambda: window.runner.current is None or (not whole and time.perf_counter() - clock > seconds)  # noqa: E731
        tour.wait(over, name, 3600)
        tour.rest(1.0)  # what is read and drawn at the end counts too
        found[name] = late.stop()
        print(name, {key: round(value, 1) for key, value in found[name].items()}, flush=True)

    def imported(role: str, path: Path) -> Callable[[], None]:
        page = window.pages[0]

        def begin() -> None:
            window.show_step(0)
            page.roles[role].click()
            page.set_files([str(path)])
            tour.wait(page.primary.isEnabled, "the preview", 120)
            page.primary.click()

        return begin

    def pressed(number: int) -> Callable[[], None]:
        def begin() -> None:
            window.show_step(number)
            tour.wait(window.pages[number].primary.isEnabled, "the button", 120)
            window.pages[number].primary.click()

        return begin

    window.document.open(Project.create(folder / "bench.metapt"))
    tour.rest(3.0)
    late.start()
    tour.rest(seconds)
    found["idle"] = late.stop()
    print("idle", {key: round(value, 1) for key, value in found["idle"].items()}, flush=True)
    phase(f"import of {rows:,} rows", imported("source", many), whole=True)
    window.document.set_value("cluster", {"method": "random", "projection": "none"})
    imported("source", few)()
    tour.finish("import")
    imported("target", target)()
    tour.finish("import")
    window.document.set_value("cluster", {"tsne_iterations": 250})
    window.pages[2].refresh("opened")
    phase(f"embedding and clustering of {embedded:,} rows", pressed(2), whole=True)
    phase("meta-training", pressed(3), whole=False)
    window.pages[3].stop.click()
    tour.finish("stopping")
    phase("tuning", pressed(4), whole=False)
    window.runner.cancel()
    tour.rest()
    window.close()
    del application
    return found


def first_window(times: int) -> list[float]:
    """Return the seconds from the start of the imports to a painted window, of warm starts."""
    found = []
    for _ in range(times + 1):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [sys.executable, "-c", FIRST_WINDOW, folder], capture_output=True, text=True, check=True, timeout=120
            )
        found.append(float(done.stdout))
    return found[1:]


def main() -> None:
    """Measure, print the table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--embedded", type=int, default=5_000)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--out", type=Path, default=RESULTS / "responsiveness.json")
    chosen = parser.parse_args()
    starts = first_window(5)
    with tempfile.TemporaryDirectory(prefix="metapt-bench-") as folder:
        phases = measure(chosen.rows, chosen.embedded, chosen.seconds, Path(folder))
    frames = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("scatter_frames.py"))], capture_output=True, text=True, check=True
    )
    idle = phases["idle"]
    print("\n| phase | p99 over idle (limit 16 ms) | maximum over idle (limit 50 ms) |\n|---|---|---|")
    for name, figures in phases.items():
        over = [figures[key] - idle[key] for key in ("p99_ms", "maximum_ms")]
        print(f"| {name} | {over[0]:.1f} ms | {over[1]:.1f} ms |")
    print(f"\nwindow visible after {np.median(starts):.2f} s (limit 1.5 s), of {', '.join(f'{s:.2f}' for s in starts)}")
    print(f"pan frames (limit 33 ms): {frames.stdout}")
    results: dict[str, Any] = {
        **provenance("PySide6-Essentials", "pyqtgraph"),
        "rows": chosen.rows,
        "embedded": chosen.embedded,
        "seconds": chosen.seconds,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB, "
        f"{platform.system()}, Python {platform.python_version()}, offscreen",
        "window_visible_s": starts,
        "lateness": phases,
        "scatter": json.loads(frames.stdout),
    }
    write_json(chosen.out, results)


if __name__ == "__main__":
    main()
