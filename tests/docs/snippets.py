"""Snippets of the documentation: found in the Markdown, run as a reader would, on small data and with small settings.

How a page is read
------------------
* A fence of Python is run; all of a page share one namespace and one folder.
* In a fence of shell (or without a language) each line that begins with ``metapt`` is run, and ``export`` is obeyed;
  any other line has to be marked as not run.
* A fence of TOML or CSV with a file name (``title="a.csv"``, or ``# a.toml`` in its first line) makes that file; where
  the tests have prepared a CSV of that name, the page's columns have to be those of the prepared one.
* ``<!-- not run: REASON -->`` before a fence: it is only checked against the real command line.
* ``<!-- exit code: N -->`` before a fence: its last command has to fail in this way.
* ``<!-- starts with: a tuned project -->`` anywhere in a page: its folder holds one, ``project.metapt``.
"""

from __future__ import annotations

import csv
import io
import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SHELL = ("sh", "bash", "console", "")
_FENCE = re.compile(r"^(\s*)(```+)\s*([\w+-]*)(.*)$")
_MARK = re.compile(r"^<!--\s*(not run|exit code):\s*(.+?)\s*-->$")
_NAMED = re.compile(r"^#\s*([\w./-]+\.(?:toml|csv))\s*$")
TUNED = "<!-- starts with: a tuned project -->"


@dataclass(frozen=True)
class Snippet:
    """A fence: where it begins, what it holds, and how it is marked."""

    page: Path
    line: int
    language: str
    title: str
    text: str
    not_run: str = ""
    exit_code: int = 0

    @property
    def where(self) -> str:
        """Page and line, for messages."""
        return f"{self.page.name}, line {self.line}"

    @property
    def file(self) -> str:
        """Name of the file that the fence shows, or nothing."""
        named = _NAMED.match(self.text.split("\n", 1)[0])
        return self.title or (named[1] if named else "")

    def commands(self) -> list[list[str]]:
        """Words of each command line of a fence of shell."""
        if self.language not in SHELL:
            return []
        lines = self.text.replace("\\\n", " ").splitlines()
        found = [shlex.split(line, comments=True) for line in lines]
        # A fence without a language may also hold output or a drawing; commands name one of these programs.
        if self.language == "" and not any(words and words[0] in ("metapt", "python", "python3") for words in found):
            return []
        return [words for words in found if words]

    def columns(self) -> list[str]:
        """Columns of a CSV."""
        return next(csv.reader(io.StringIO(self.text)))


def snippets(page: Path, *, under: str = "") -> Iterator[Snippet]:
    """Yield the fences of a page in order; with ``under``, those below that heading alone."""
    lines = page.read_text(encoding="utf-8").splitlines()
    heading, number = "", 0
    while number < len(lines):
        line = lines[number]
        opening = _FENCE.match(line)
        if opening is None:
            heading = line.lstrip("# ") if line.startswith("#") else heading
            number += 1
            continue
        first = number + 1
        last = next(n for n in range(first, len(lines)) if lines[n].strip() == opening[2])
        before = next((text.strip() for text in reversed(lines[:number]) if text.strip()), "")
        marked = _MARK.match(before)
        title = re.search(r'title="([^"]+)"', opening[4])
        if not under or heading == under:
            yield Snippet(
                page,
                first + 1,
                opening[3],
                title[1] if title else "",
                textwrap.dedent("\n".join(lines[first:last])),
                not_run=marked[2] if marked and marked[1] == "not run" else "",
                exit_code=int(marked[2]) if marked and marked[1] == "exit code" else 0,
            )
        number = last + 1
