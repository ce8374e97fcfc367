"""Entry point of the window. Qt is imported in `main` only: the engine process imports this module too."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from engine import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Show the window; return the exit code."""
    multiprocessing.freeze_support()  # in a frozen application the engine process begins here, and never returns
    chosen = _parser().parse_args(arguments)
    path = chosen.path.expanduser().absolute() if chosen.path is not None else None
    if getattr(sys, "frozen", False):  # else file dialogs would begin where the program lies
        os.chdir(Path.home())
    if chosen.selftest:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    if sys.platform.startswith("linux") and not any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    ):
        print("There is no display for a window here. In a terminal, start with: metapt demo", file=sys.stderr)
        return 5
    from metapt_gui.application import Application
    from metapt_gui.crash import CrashReports
    from metapt_gui.main_window import MainWindow
    from metapt_gui.theme import ThemeKeeper
    from metapt_gui.user_settings import UserSettings

    application = Application(sys.argv[:1])
    application.setApplicationName("MetaPT")
    application.setApplicationDisplayName("MetaPT")
    application.setApplicationVersion(__version__)
    application.setDesktopFileName("metapt")
    if chosen.selftest:
        from metapt_gui.selftest import selftest

        return selftest(chosen.selftest)
    crashes = CrashReports()
    crashes.install()
    settings = UserSettings()
    themes = ThemeKeeper(settings.get("theme", "system"))
    themes.apply()
    window = MainWindow(settings, themes, crashes)
    window.show()
    window.help.offer_crash_report()
    application.asked_to_open.connect(lambda name: window.open_path(Path(name)))
    if path is not None:
        window.open_path(path)
    code = application.exec()
    crashes.close()
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="MetaPT", description="Learn, tune and export soft prompts by point and click."
    )
    parser.add_argument(
        "path", nargs="?", type=Path, help="a project (or its project.json), a prompt file, or texts to import"
    )
    parser.add_argument(
        "--selftest",
        nargs="?",
        const="-",
        metavar="FILE",
        help="work through a small project without a screen and write one line of JSON, into FILE if one is named",
    )
    parser.add_argument("--version", action="version", version=f"MetaPT {__version__}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
