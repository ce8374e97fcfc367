"""Where figures come from: what every file of results says besides them."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"
"""Where figures are kept."""


def commit() -> str:
    """Return the commit of the code that runs, marked when files were changed since."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def provenance(*packages: str) -> dict[str, Any]:
    """Return commit, date, device and the versions of ``packages``."""
    cpu = f"{platform.machine()}, {torch.get_num_threads()} CPU threads"
    return {
        "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else cpu,
        "versions": {name: version(name) for name in packages},
    }
