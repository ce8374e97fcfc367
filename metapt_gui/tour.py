"""``python -m metapt_gui.tour --out DIR``: the real window on every page of the sample project, as pictures.

The tour works through the pages as a person does, with real runs (or opens ``--project``, where they were done before),
then shows every page in each theme and size and saves a PNG of each.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from PySide6.QtCore import QElapsedTimer, QEventLoop, QTimer
from PySide6.QtWidgets import QApplication

from engine.events import Event, Failed
from engine.project import Project
from metapt_gui.crash import CrashReports
from metapt_gui.job_runner import Run
from metapt_gui.main_window import MainWindow
from metapt_gui.pages.cluster import ClusterPage
from metapt_gui.pages.import_corpus import ImportPage
from metapt_gui.pages.page import Page
from metapt_gui.pages.use import UsePage
from metapt_gui.sample import create_sample
from metapt_gui.theme import Choice, ThemeKeeper
from metapt_gui.user_settings import UserSettings

SIZES = ((1280, 800), (1920, 1080))
THEMES: tuple[Choice, ...] = ("light", "dark")
NAMES = ("welcome", "import", "pseudo-label", "cluster", "meta-train", "tune", "use")
SENTENCE = "The refund came through this morning, and the lady on the phone was lovely."


class Tour:
    """Drives a window.

    Parameters
    ----------
    window
        Shown already.
    patience
        Seconds that a run may take.
    """

    def __init__(self, window: MainWindow, *, patience: float = 1800) -> None:
        self.window, self._patience = window, patience
        self._started = 0
        self._failed = ""
        window.runner.started.connect(self._on_started)
        window.runner.ended.connect(self._on_ended)

    def _on_started(self) -> None:
        self._started += 1

    def _on_ended(self, run: Run, event: Event) -> None:
        if isinstance(event, Failed):
            self._failed = f"{run.job.stage}: {event.what}"

    def wait(self, done: Callable[[], bool], what: str, seconds: float | None = None) -> None:
        """Let the window work until ``done``.

        Raises
        ------
        TimeoutError
            If it takes too long.
        RuntimeError
            If a run fails meanwhile.
        """
        loop, timer, clock = QEventLoop(), QTimer(), QElapsedTimer()
        limit = 1000 * (self._patience if seconds is None else seconds)
        timer.timeout.connect(lambda: loop.quit() if done() or self._failed or clock.elapsed() > limit else None)
        timer.start(20)
        clock.start()
        loop.exec()
        if self._failed:
            raise RuntimeError(self._failed)
        if not done():
            raise TimeoutError(f"{what} took longer than {limit / 1000:.0f} s")

    def rest(self, seconds: float = 0.4) -> None:
        """Let plots and previews settle."""
        clock = QElapsedTimer()
        clock.start()
        self.wait(lambda: clock.elapsed() > 1000 * seconds, "resting")

    def press(self, page: Page) -> None:
        """Press the primary button of a page, and wait for the end of its run."""
        try:
            self.wait(page.primary.isEnabled, f"the button of {page.step.title}", 120)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {page.primary.toolTip()}") from error
        before = self._started
        page.primary.click()
        self.wait(lambda: self._started > before, f"the start of {page.step.title}", 60)
        self.finish(page.step.title)

    def finish(self, what: str) -> None:
        """Wait until nothing runs for a moment (one run may be followed by another)."""
        for _ in range(3):
            self.wait(lambda: self.window.runner.current is None, what)
            self.rest(0.3)

    def work(self) -> None:
        """Take every step of the project that is open."""
        window = self.window
        self.import_all()
        for number in (1, 2):
            window.show_step(number)
            self.press(window.pages[number])
        window.show_step(3)
        self.press(window.pages[3])
        window.show_step(4)
        self.press(window.pages[4])
        self.finish("the linear probe")

    def import_all(self) -> None:
        """Import each kind of texts that has files; show the first kind at the end."""
        importing = self.window.pages[0]
        assert isinstance(importing, ImportPage)
        for button in importing.roles.values():
            button.click()
            if importing.files():
                self.press(importing)
        importing.roles["source"].click()

    def pictures(
        self, out: Path, sizes: Sequence[tuple[int, int]] = SIZES, themes: Sequence[Choice] = THEMES
    ) -> Iterator[Path]:
        """Show every page in every theme and size, save a picture of each, and yield it while the page is shown.

        The welcome page comes last: it is what a person sees without a project, which is closed for it.
        """
        window = self.window
        out.mkdir(parents=True, exist_ok=True)
        self._fill()
        looks = [(size, theme) for size in sizes for theme in themes]
        for size, theme in looks:
            self._look(size, theme)
            for number in range(1, len(NAMES)):
                window.show_step(number - 1)
                yield self._picture(out, number)
        window.document.close()
        for size, theme in looks:
            self._look(size, theme)
            yield self._picture(out, 0)

    def _look(self, size: tuple[int, int], theme: Choice) -> None:
        self.window.themes.choose(theme)
        self.window.resize(*size)

    def _picture(self, out: Path, number: int) -> Path:
        self.rest()
        size = f"{self.window.width()}x{self.window.height()}"
        path = out / f"{number}-{NAMES[number]}-{self.window.themes.choice}-{size}.png"
        self.window.grab().save(str(path))
        return path

    def _fill(self) -> None:
        """Choose a group and ask about a sentence, so that there is something to see."""
        clustering, use = self.window.pages[2], self.window.pages[5]
        assert isinstance(clustering, ClusterPage)
        assert isinstance(use, UsePage)
        self.window.show_step(2)
        self.wait(lambda: clustering.groups.table.rowCount() > 0, "the groups", 120)
        clustering.groups.select([0])
        self.window.show_step(5)
        use.sentence.setPlainText(SENTENCE)
        self.wait(lambda: bool(use.answer.text()), "an answer", 120)


@contextmanager
def plain_folder() -> Iterator[Path]:
    """Make a temporary folder and delete it at the end; its name is a plain one, because pictures show its path."""
    parent = Path(tempfile.gettempdir())
    for number in count(1):
        folder = parent / ("metapt" if number == 1 else f"metapt {number}")
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            continue
        break
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """Take the tour; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="Folder for the pictures.")
    parser.add_argument("--project", type=Path, help="A project in which every step has been done.")
    chosen = parser.parse_args(arguments)
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    application = QApplication.instance() or QApplication(sys.argv[:1])
    with plain_folder() as scratch:
        themes = ThemeKeeper("light")
        themes.apply()
        window = MainWindow(UserSettings(scratch / "settings"), themes, CrashReports(scratch / "logs"))
        window.show()
        tour = Tour(window)
        window.document.open(
            Project.open(chosen.project) if chosen.project else create_sample(scratch / "support.metapt")
        )
        if chosen.project is None:
            tour.work()
        for path in tour.pictures(chosen.out):
            print(path, flush=True)
        window.close()
    del application
    return 0


if __name__ == "__main__":
    sys.exit(main())
