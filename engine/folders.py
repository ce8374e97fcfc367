"""Where settings and logs live on each platform (appdirs, wrapped here and nowhere else)."""

from __future__ import annotations

from pathlib import Path

import appdirs

_DIRECTORIES = appdirs.AppDirs("MetaPT", appauthor=False)


def user_folders() -> dict[str, Path]:
    """Return what each folder is for, and its path; none is made by asking."""
    return {
        "settings": Path(_DIRECTORIES.user_config_dir),
        "logs": Path(_DIRECTORIES.user_log_dir),
    }
