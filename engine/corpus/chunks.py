"""From rows as they were read to texts and classes that are worth keeping, a chunk at a time."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.corpus.cleaning import NOT_PLAIN, NOT_PLAIN_OR_MARKUP, clean
from engine.corpus.columns import label_value
from engine.corpus.report import Report
from engine.corpus.rows import LONE_SURROGATE, UNREADABLE, Broken, Columns, Row, python_values
from engine.corpus.sources import Source
from engine.settings import ImportSettings


@dataclass(frozen=True)
class Kept:
    """Texts, as Python's and as Arrow's strings, with their classes (``None``: no label) and lines.

    ``others`` has what the other columns hold, as JSON, if that is kept.
    """

    texts: Sequence[str]
    labels: Sequence[str | None]
    lines: np.ndarray
    array: pa.StringArray
    others: Sequence[str] | None = None

    def only(self, chosen: np.ndarray) -> Kept:
        """Return the rows where ``chosen``, bool [rows]."""
        if chosen.all():
            return self
        texts, labels = list(itertools.compress(self.texts, chosen)), list(itertools.compress(self.labels, chosen))
        others = None if self.others is None else list(itertools.compress(self.others, chosen))
        return Kept(texts, labels, self.lines[chosen], self.array.filter(pa.array(chosen)), others)


class _Meaning(NamedTuple):
    """What a value of the label column stands for: a class, none, or (with a reason) nothing that can be kept."""

    value: str
    name: str | None
    reason: str = ""


NO_LABEL = _Meaning("", None)


class ChunkCleaner:
    """Cleans the chunks of one source; what is not kept is told to the report.

    Parameters
    ----------
    text, label
        Numbers of the columns.
    rejected
        Where the rows that are broken are written down.
    others
        Numbers and names of the other columns that are kept; ``None`` if they are not.
    """

    def __init__(
        self,
        source: Source,
        text: int,
        label: int | None,
        settings: ImportSettings,
        report: Report,
        rejected: TextIO,
        others: Mapping[int, str] | None = None,
    ) -> None:
        self._source, self._text, self._label = source, text, label
        self._settings, self._report, self._rejected, self._others = settings, report, rejected, others
        self._map = {label_value(value): name for value, name in settings.label_map.items()}

    def rows(self, chunk: Sequence[Row | Broken]) -> Kept:
        """Clean rows of any values, some of them broken."""
        texts, labels, lines = [], [], []
        others: list[str] | None = None if self._others is None else []
        known: dict[str, _Meaning] = {}
        self._report.read += len(chunk)
        for row in chunk:
            if isinstance(row, Broken):
                self._report.set_aside(row, self._source, self._rejected)
                continue
            raw = row.values[self._text]
            try:
                text = self._clean(raw if isinstance(raw, str) else "" if raw is None else str(raw))
            except UnicodeEncodeError:
                self._unreadable(str(raw), row.line)
                continue
            meaning = self._meaning(row.values[self._label], known) if self._label is not None else NO_LABEL
            if self._keeps(text, meaning, row.line):
                texts.append(text)
                labels.append(meaning.name)
                lines.append(row.line)
                if others is not None and self._others is not None:
                    others.append(_as_json({name: row.values[at] for at, name in self._others.items()}))
        return Kept(texts, labels, np.array(lines, np.int64), pa.array(texts, pa.string()), others)

    def columns(self, columns: Columns) -> Kept:
        """Clean rows that came as columns: only the texts that have something to clean are looked at one by one."""
        array = columns.batch.column(self._text)
        if not pa.types.is_string(array.type) or array.null_count or self._others is not None:
            return self.rows(list(columns.rows()))
        try:
            texts = array.to_pylist()
            meanings, codes = self._meanings(columns)
        except (UnicodeDecodeError, pa.ArrowNotImplementedError):
            return self.rows(list(columns.rows()))
        self._report.read += len(texts)
        pattern = NOT_PLAIN_OR_MARKUP if self._settings.strip_html else NOT_PLAIN
        unclean = pc.match_substring_regex(array, pattern)
        if places := np.flatnonzero(unclean).tolist():
            cleaned = [self._clean(texts[place]) for place in places]
            for place, text in zip(places, cleaned, strict=True):
                texts[place] = text
            array = pc.replace_with_mask(array, unclean, pa.array(cleaned, pa.string()))
        chosen = pc.utf8_length(array).to_numpy() >= self._settings.minimum_characters
        chosen &= np.array([not meaning.reason for meaning in meanings])[codes]
        for place in np.flatnonzero(~chosen).tolist():
            self._keeps(texts[place], meanings[codes[place]], int(columns.lines[place]))
        names = [meaning.name for meaning in meanings]
        labels = [names[code] for code in codes.tolist()]
        return Kept(texts, labels, columns.lines, array).only(chosen)

    def _clean(self, text: str) -> str:
        return clean(text, strip_html=self._settings.strip_html)

    def _meanings(self, columns: Columns) -> tuple[list[_Meaning], np.ndarray]:
        """Return what the different labels stand for, and which of them each row has, int64 [rows]."""
        if self._label is None:
            return [NO_LABEL], np.zeros(len(columns), np.int64)
        found = columns.batch.column(self._label).dictionary_encode()
        values = [*python_values(found.dictionary), None]
        codes = found.indices.cast(pa.int64()).fill_null(len(values) - 1).to_numpy(zero_copy_only=False)
        known: dict[str, _Meaning] = {}
        return [self._meaning(value, known) for value in values], codes

    def _meaning(self, given: Any, known: dict[str, _Meaning]) -> _Meaning:
        if isinstance(given, str) and given in known:
            return known[given]
        settings = self._settings
        value = label_value(given)
        name = self._map.get(value) if self._map else value or None
        shown = value + (name or "")
        reason = ""
        if not shown.isascii() and LONE_SURROGATE.search(shown):
            reason = UNREADABLE
        elif name is None and (value or not settings.keep_unlabelled):
            reason = "label not in the map" if settings.label_map else "no label"
        meaning = _Meaning(value, name, reason)
        if isinstance(given, str):
            known[given] = meaning
        return meaning

    def _keeps(self, text: str, meaning: _Meaning, line: int) -> bool:
        """Return whether a row is worth keeping; count it if it is not."""
        if len(text) < self._settings.minimum_characters:
            self._report.drop("too short" if text else "empty", text)
        elif meaning.reason == UNREADABLE:
            self._unreadable(meaning.value, line)
        elif meaning.reason:
            self._report.drop(meaning.reason, f"{meaning.value}: {text}" if self._settings.label_map else text)
        else:
            return True
        return False

    def _unreadable(self, value: str, line: int) -> None:
        shown = value.encode("utf-8", "backslashreplace").decode()
        self._report.set_aside(Broken(line, UNREADABLE, shown[:200]), self._source, self._rejected)


def _as_json(values: Mapping[str, Any]) -> str:
    """Write down what cells hold: what JSON does not know, dates for instance, as text."""
    plain = {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in values.items()}
    try:
        return json.dumps(plain, default=str)
    except RecursionError:
        return json.dumps({name: str(value) for name, value in plain.items()})
