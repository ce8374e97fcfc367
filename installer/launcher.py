"""What the installed programs start: the command line under the names metapt and metapt-cli, else the window."""

import multiprocessing
import sys
from pathlib import Path

if __name__ == "__main__":
    multiprocessing.freeze_support()  # the engine process begins here, and never returns
    # Windows' cmd tells the name that was typed, which may be MetaPT's in other letters; the file says which it is.
    started = sys.executable if sys.platform == "win32" else sys.argv[0]
    if Path(started).stem in ("metapt", "metapt-cli"):
        from engine.cli import main as command_line

        command_line()
    else:
        from metapt_gui.app import main as window

        sys.exit(window())
