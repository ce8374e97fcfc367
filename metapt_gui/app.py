"""Entry point of the window. Qt is imported in `main` only: the engine process imports this module too."""

from __future__ import annotations

import multiprocessing
import os
import sys


def main() -> int:
    """Show the window; return the exit code."""
    multiprocessing.freeze_support()  # in a frozen application the engine process begins here, and never returns
    if sys.platform.startswith("linux") and not any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    ):
        print("There is no display for a window here. In a terminal, start with: metapt demo", file=sys.stderr)
        return 5
    from PySide6.QtWidgets import QApplication

    from engine import __version__
    from metapt_gui.crash import CrashReports
    from metapt_gui.main_window import MainWindow
    from metapt_gui.theme import ThemeKeeper
    from metapt_gui.user_settings import UserSettings

    crashes = CrashReports()
    crashes.install()
    application = QApplication(sys.argv)
    application.setApplicationName("MetaPT")
    application.setApplicationDisplayName("MetaPT")
    application.setApplicationVersion(__version__)
    settings = UserSettings()
    themes = ThemeKeeper(settings.get("theme", "system"))
    themes.apply()
    window = MainWindow(settings, themes, crashes)
    window.show()
    window.offer_crash_report()
    code = application.exec()
    crashes.close()
    return code


if __name__ == "__main__":
    sys.exit(main())
