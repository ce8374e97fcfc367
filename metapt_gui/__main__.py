"""``python -m metapt_gui`` shows the window."""

import sys

from metapt_gui.app import main

if __name__ == "__main__":
    sys.exit(main())
