"""Entry point of the window. The wizard is not built yet: this says so and points to the command line."""

from __future__ import annotations

import sys

from PySide6.QtWidgets import QApplication, QMessageBox

from engine import __version__


def main() -> int:
    """Show what is there; return the exit code."""
    application = QApplication(sys.argv)
    application.setApplicationName("MetaPT")
    QMessageBox.information(
        None,
        f"MetaPT {__version__}",
        "The window of MetaPT is still being built. Everything that it will do works from a terminal today: "
        "start with 'metapt demo', or 'metapt --help'.",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
