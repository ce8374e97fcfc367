"""Files that ship with MetaPT: the bundled backbone and the sample project; read through ``importlib.resources``."""

from __future__ import annotations

import atexit
from contextlib import ExitStack
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

_open_files = ExitStack()
atexit.register(_open_files.close)

BUNDLED_BACKBONE = "t5-metapt-small"
"""Name of the T5 that ships with MetaPT, a folder of ``resources/backbones``."""


@cache
def resource(*parts: str) -> Path:
    """Return the path of a bundled file or folder, also from a zipped package."""
    return _open_files.enter_context(as_file(files(__name__).joinpath(*parts)))
