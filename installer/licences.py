"""The licence files of what the installer's folder redistributes, found where it is built; for build_installer.spec.

Nothing is fetched: Python and the installed distributions bring their own, Debian and its relatives have those of their
libraries and the texts that some wheels only name.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

BEGINNINGS = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "AUTHORS")
FOLDER = "licenses"
"""Where they go, below PyInstaller's ``_internal``."""
COMMON = Path("/usr/share/common-licenses")
NAMED_ONLY = {"PySide6_Essentials": ("LGPL-3", "GPL-3"), "shiboken6": ("LGPL-3", "GPL-3")}
"""Distribution -> texts of its licence, by their names in Debian, where its wheel has none and they must be given."""


def of_distributions() -> list[tuple[str, str]]:
    """Return file -> folder below ``_internal`` for the licence files of every installed distribution."""
    found = []
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        for file in distribution.files or []:
            path = Path(str(distribution.locate_file(file))).absolute()
            if file.name.upper().startswith(BEGINNINGS) and file.suffix not in (".py", ".pyc") and path.is_file():
                below = file.parts[:-1]
                if below and below[0].endswith(".dist-info"):  # NAME.dist-info/, or NAME.dist-info/licenses/
                    below = below[2:] if below[1:2] == (FOLDER,) else below[1:]
                found.append((str(path), "/".join([FOLDER, name, *below])))
    return found


def of_python() -> list[tuple[str, str]]:
    """Return the same for Python itself."""
    places = (Path(sysconfig.get_path("stdlib")), Path(sys.base_prefix))
    return [(str(place / "LICENSE.txt"), f"{FOLDER}/Python") for place in places if (place / "LICENSE.txt").is_file()]


def named_only() -> list[tuple[str, str]]:
    """Return the same for distributions that name their licence without its text.

    Raises
    ------
    SystemExit
        If a text that has to be given with the folder is not on this computer.
    """
    found = [(COMMON / text, f"{FOLDER}/{name}") for name, texts in NAMED_ONLY.items() for text in texts]
    missing = sorted({path.name for path, _ in found if not path.is_file()})
    if missing:
        raise SystemExit(
            f"The texts of {' and '.join(missing)} have to come with Qt, and {COMMON} has none. "
            "Put them there, or let COMMON in installer/licences.py name the folder that has them."
        )
    return [(str(path), folder) for path, folder in found]


def of_system(libraries: Iterable[str]) -> list[tuple[str, str]]:
    """Return the same for shared libraries that were taken from the system, where dpkg knows the package of each."""
    names = sorted({f"*/{Path(library).resolve().name}" for library in libraries})
    if not names or shutil.which("dpkg") is None:
        return []
    asked = subprocess.run(["dpkg", "--search", *names], capture_output=True, text=True, check=False)
    packages = {line.split(":", 1)[0] for line in asked.stdout.splitlines()}
    files = {package: Path("/usr/share/doc") / package / "copyright" for package in sorted(packages)}
    return [(str(path), f"{FOLDER}/system/{package}") for package, path in files.items() if path.is_file()]
