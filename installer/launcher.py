"""What the installed programs start: the command line under the names metapt and metapt-cli, else the window."""

import multiprocessing
import sys
from pathlib import Path

if __name__ == "__main__":
    multiprocessing.freeze_support()  # the engine process begins here, and never returns
    if Path(sys.argv[0]).stem in ("metapt", "metapt-cli"):
        from engine.cli import main as command_line

        command_line()
    else:
        from metapt_gui.app import main as window

        sys.exit(window())
