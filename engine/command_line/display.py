"""What a person or a program sees of a running job: a live bar, plain lines, or one JSON event a line."""

from __future__ import annotations

import sys
import time
from io import TextIOWrapper
from typing import Protocol, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from engine import wording
from engine.events import Checkpointed, Event, Finished, Metric, Notice, Progress, to_json


class Display(Protocol):
    """Shows the events of one step after another."""

    def show(self, role: str, event: Event) -> None:
        """Show an event of the step ``role``."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was."""
        ...


class JsonDisplay:
    """Writes one JSON object a line on standard output, with the name of the step as ``role``."""

    def show(self, role: str, event: Event) -> None:
        line = to_json(event)
        print(f'{{"role": "{role}", {line[1:]}', flush=True)

    def close(self) -> None:
        pass


class TextDisplay:
    """A live line on a terminal; elsewhere a line when a step begins, every ten seconds, and when it ends."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=8, transient=True) if console.is_terminal else None
        if self._live is not None:
            self._live.start()
        self._role = ""
        self._began = self._printed = time.monotonic()
        self._accuracy = ""

    def show(self, role: str, event: Event) -> None:
        if role != self._role:
            self._role, self._accuracy = role, ""
            self._began = self._printed = time.monotonic()
        if isinstance(event, Metric) and event.name == "validation accuracy" and not event.group:
            self._accuracy = f"   validation accuracy {wording.percent(event.value)}"
        elif isinstance(event, Progress):
            said = "   ".join(filter(None, [wording.progress(event, share=True), event.message]))
            self._progress(f"{role}: {said}{self._accuracy}")
        elif isinstance(event, Notice):
            style = "yellow" if event.level == "warning" else ""
            self._console.print(Text(f"{role}: {event.text}", style=style), soft_wrap=True)
        elif isinstance(event, Finished):
            took = wording.duration(time.monotonic() - self._began)
            how = "done before" if event.summary.get("reused") else f"{event.outcome} in {took}"
            self._console.print(Text(f"{role}: {how}{_in_brief(event)}", style="bold"), soft_wrap=True)
        elif isinstance(event, Checkpointed):
            self._accuracy = self._accuracy.split("   saved")[0] + f"   saved at {event.step:,}"

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()

    def _progress(self, line: str) -> None:
        now = time.monotonic()
        if self._live is not None:
            self._live.update(Text(line))
        elif now - self._printed > 10:
            self._console.print(Text(line), soft_wrap=True)
            self._printed = now


def _in_brief(event: Finished) -> str:
    """Return the numbers of the summary that fit into a line."""
    shown = []
    for name, value in event.summary.items():
        label = name.replace("_", " ")
        if isinstance(value, bool) or name == "reused":
            continue
        if isinstance(value, float):
            shown.append(f"{label} {value:.4g}")
        elif isinstance(value, int):
            shown.append(f"{label} {value:,}")
    return (": " + ", ".join(shown[:6])) if shown else ""


def write_utf8(*streams: TextIO) -> None:
    """Let what is not a terminal take every text: a system's code page may know no Japanese, and no emoji."""
    for stream in streams:
        if isinstance(stream, TextIOWrapper) and not stream.isatty():
            stream.reconfigure(encoding="utf-8")


def make_display(json: bool) -> Display:
    """Return the display for ``--json`` or for a person."""
    return JsonDisplay() if json else TextDisplay(Console(file=sys.stdout, highlight=False))
