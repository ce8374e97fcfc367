"""One look at a real window: an X server, a window manager, keys that come from outside."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROGRAMS = ("Xvfb", "xdotool", "openbox")
MISSING = [name for name in PROGRAMS if shutil.which(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")


@pytest.fixture
def display() -> Iterator[str]:
    """A display of its own, with a window manager."""
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1400x900x24", "-nolisten", "tcp"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    with os.fdopen(reading) as stream:
        name = f":{stream.readline().strip()}"
    manager = subprocess.Popen(["openbox"], env={**os.environ, "DISPLAY": name}, stderr=subprocess.DEVNULL)
    yield name
    for process in (manager, server):
        process.terminate()
        process.wait(10)


def test_the_window_comes_up_takes_keys_and_leaves(display: str, own_folders: Path) -> None:
    environment = {**os.environ, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb"}

    def xdotool(*arguments: str) -> str:
        done = subprocess.run(["xdotool", *arguments], env=environment, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def until(what: Callable[[], str], seconds: float = 60) -> str:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := what():
                return found
            time.sleep(0.2)
        raise AssertionError("it did not come")

    application = subprocess.Popen(
        [sys.executable, "-m", "metapt_gui"], env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        window = until(lambda: xdotool("search", "--onlyvisible", "--name", "^MetaPT$"))
        xdotool("windowfocus", "--sync", window)
        xdotool("key", "F1")
        help_ = until(lambda: xdotool("search", "--onlyvisible", "--name", "^Help"))
        xdotool("windowfocus", "--sync", help_)
        xdotool("key", "Escape")
        until(lambda: "" if xdotool("search", "--onlyvisible", "--name", "^Help") else "gone")
        for _ in range(10):  # a key that comes before the window has the focus again is lost
            xdotool("windowfocus", "--sync", window)
            xdotool("key", "alt+s")
            time.sleep(2)
            if xdotool("search", "--onlyvisible", "--name", "^sample"):
                break
        until(lambda: xdotool("search", "--onlyvisible", "--name", "^sample"))
        assert (own_folders / "sample 1.metapt" / "project.json").exists()
        xdotool("windowfocus", "--sync", window)
        xdotool("key", "ctrl+q")
        assert application.wait(30) == 0
        assert application.stderr is not None
        problems = [line for line in application.stderr.read().splitlines() if "Traceback" in line or "QThread" in line]
        assert problems == []
    finally:
        if application.poll() is None:
            application.kill()
            application.wait()
