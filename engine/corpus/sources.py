"""From what the person named to streams of bytes: folders, globs, compression, format, encoding, delimiter."""

from __future__ import annotations

import codecs
import csv
import glob
import gzip
import io
import lzma
import os
import re
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath
from typing import IO, BinaryIO

from engine.corpus.encodings import guess_encoding, mostly_utf8
from engine.corpus.header import LOOKED_AT, title_rows
from engine.errors import DataError, StorageError, storage_errors
from engine.settings import ImportSettings

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".xlsx": "xlsx",
    ".txt": "txt",
    ".text": "txt",
    ".md": "txt",
}
COMPRESSIONS = (".gz", ".zst", ".zip")
SAMPLE = 256 * 1024
EXPANSION = 200
BOMB = 2**28
"""An archive that grows more than `EXPANSION` times, to more than `BOMB` bytes, is taken for a bomb."""


class Archive:
    """A zip file that stays open from one member to the next: its list of members may be long."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: zipfile.ZipFile | None = None

    def open(self, member: str) -> IO[bytes]:
        """Open a member for reading; raises whatever zipfile does."""
        if self._file is None:
            self._file = zipfile.ZipFile(self._path)
        return self._file.open(member)

    def close(self) -> None:
        """Close the file; `open` opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None


@dataclass(frozen=True)
class Source:
    """One table of rows: a file, or a member of a zip archive, which the members share."""

    path: Path
    member: str = ""
    archive: Archive | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """Name for the reader and for the ``source`` column."""
        name = f"{self.path.name}/{self.member}" if self.member else self.path.name
        return os.fsencode(name).decode("utf-8", "replace")  # a file system's names may be any bytes

    @property
    def suffix(self) -> str:
        """Ending without the compression, lower case."""
        inner = Path(self.member or self.path.name)
        return Path(inner.stem).suffix.lower() if inner.suffix.lower() in COMPRESSIONS else inner.suffix.lower()


def find_sources(names: Sequence[str | Path]) -> list[Source]:
    """Expand files, folders and globs, each sorted, archives into their members.

    Raises
    ------
    StorageError
        If a name matches nothing.
    DataError
        If no file of a known format is among them, or one is a pipe or a device, or an archive expands without end.
    """
    sources: list[Source] = []
    for name in names:
        try:
            path = Path(name).expanduser()
        except RuntimeError as error:
            raise StorageError("There is no such home folder", where=name, remedy="Check the path.") from error
        with storage_errors(str(name)[:200]):  # a name may be too long for the system to look for it
            path.exists()
        if path.is_dir():
            inside = sorted(item for item in path.rglob("*") if item.is_file())
            found = [item for item in inside if not _is_hidden(item.relative_to(path))]
            known = [item for item in found if Source(item).suffix in FORMATS or item.suffix.lower() == ".zip"]
            if not known:
                raise DataError("The folder holds no file of a known format", where=path, remedy=_KNOWN)
            paths = known
        elif path.exists():
            if not path.is_file():  # reading a pipe or a device may never end
                raise DataError("This is not a file", where=path, remedy="Choose a file or a folder.")
            paths = [path]
        else:
            paths = sorted(Path(match) for match in glob.glob(str(path), recursive=True) if Path(match).is_file())
            if not paths:
                raise StorageError("There is no such file", where=name, remedy="Check the path.")
        for item in paths:
            sources += _members(item) if item.suffix.lower() == ".zip" else [Source(item)]
    return sources


@contextmanager
def closing(sources: Sequence[Source]) -> Iterator[None]:
    """Close the archives of ``sources`` at the end."""
    try:
        yield
    finally:
        for archive in {source.archive for source in sources if source.archive is not None}:
            archive.close()


def _is_hidden(path: PurePath) -> bool:
    """Whether it is a system's or a program's own: of the Finder, or a note of Office that a document is open."""
    hidden = (part == "__MACOSX" or (part[:1] == "." and part[:2] != "..") for part in path.parts)
    return path.name.startswith("~$") or any(hidden)


_KNOWN = "MetaPT reads CSV, TSV, JSONL, JSON, Parquet, XLSX and plain text, also as .gz, .zst or .zip."


def _members(path: Path) -> list[Source]:
    with storage_errors(path), _archive_errors(path), zipfile.ZipFile(path) as archive:
        members = {item.filename: item.file_size for item in archive.infolist() if not item.is_dir()}
    shared = Archive(path)
    names = (name for name in sorted(members) if not _is_hidden(PurePosixPath(name)))
    known = [Source(path, name, shared) for name in names if PurePosixPath(name).suffix.lower() in FORMATS]
    # No member gives more bytes than it says here, and several may share the same packed ones.
    if sum(members[source.member] for source in known) > largest(path):
        raise _bomb(path)
    if not known:
        raise DataError("The archive holds no file of a known format", where=path, remedy=_KNOWN)
    return known


# What the standard library raises for archives that are cut off, lie about lengths, or want a password.
_ARCHIVE_ERRORS = (
    zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, RuntimeError, ValueError,
    LookupError, OverflowError,
)  # fmt: skip


def largest(path: Path) -> int:
    """Return how many bytes an archive may expand to."""
    return max(BOMB, EXPANSION * path.stat().st_size)


def _bomb(path: Path) -> DataError:
    return DataError(f"The archive grows to more than {EXPANSION} times its size", where=path, remedy="Unpack it.")


@contextmanager
def _archive_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except _ARCHIVE_ERRORS as error:
        raise StorageError(
            "The compressed file is damaged, cut off or protected", where=path, remedy="Unpack it, or fetch it again."
        ) from error


class _Guarded(io.RawIOBase):
    """A decompressed stream whose errors are the project's own and whose growth is limited."""

    def __init__(self, stream: BinaryIO, source: Source) -> None:
        self._stream, self._source, self._read = stream, source, 0
        self._limit = largest(source.path)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        import zstandard

        try:
            with _archive_errors(self._source.path):
                data = self._stream.read(len(view))
        except zstandard.ZstdError as error:
            raise StorageError(
                "The compressed file is damaged or cut off", where=self._source.path, remedy="Fetch it again."
            ) from error
        self._read += len(data)
        if self._read > self._limit:
            raise _bomb(self._source.path)
        view[: len(data)] = data
        return len(data)


@contextmanager
def open_bytes(source: Source) -> Iterator[BinaryIO]:
    """Open a source for reading, decompressed.

    Raises
    ------
    StorageError
        If it cannot be read or is damaged.
    DataError
        If it expands without end.
    """
    path = source.path
    with storage_errors(path):
        if source.member:
            archive = source.archive or Archive(path)
            with ExitStack() as stack:
                if source.archive is None:
                    stack.callback(archive.close)
                with _archive_errors(path):  # not around what the reader does with the stream
                    member = stack.enter_context(archive.open(source.member))
                yield io.BufferedReader(_Guarded(member, source), SAMPLE)  # type: ignore[arg-type]
        elif path.suffix.lower() == ".gz":
            with gzip.open(path, "rb") as inner:
                yield io.BufferedReader(_Guarded(inner, source), SAMPLE)  # type: ignore[arg-type]
        elif path.suffix.lower() == ".zst":
            import zstandard

            with (
                open(path, "rb") as raw,
                zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True) as inner,
            ):
                yield io.BufferedReader(_Guarded(inner, source), SAMPLE)
        else:
            with open(path, "rb", SAMPLE) as stream:
                yield stream


SEPARATOR_LINE = re.compile('"?sep=([^"\\s\\w]|\t)"?', re.IGNORECASE)
"""What Excel writes into the first line to say what the delimiter is."""


@dataclass(frozen=True)
class Detected:
    """How a source is read: format, for text its encoding, for CSV its delimiter and the rows above its table."""

    format: str
    encoding: str = ""
    delimiter: str = ""
    skipped: int = 0

    def guessed(self, settings: ImportSettings) -> bool:
        """Whether nothing said what the encoding is: neither the settings nor the bytes."""
        return settings.encoding == "auto" and self.encoding not in ("", "utf-8-sig", "utf-16")


def detect(source: Source, settings: ImportSettings) -> Detected | None:
    """Look at the beginning of a source; what the settings say goes before what is seen. ``None`` if it is empty.

    Raises
    ------
    DataError
        If it is binary, or the encoding or delimiter asked for does not exist.
    """
    with open_bytes(source) as stream:
        sample = stream.read(SAMPLE)
    if not sample.removeprefix(codecs.BOM_UTF8).strip():
        return None
    kind = settings.format if settings.format != "auto" else FORMATS.get(source.suffix) or _format_of(sample)
    if kind in ("parquet", "xlsx"):
        return Detected(kind)
    encoding = _encoding(sample, settings.encoding, source)
    if kind not in ("csv", "tsv"):
        return Detected(kind, encoding)
    if settings.delimiter != "auto" and (len(settings.delimiter) != 1 or settings.delimiter in '"\r\n'):
        raise DataError(
            "A delimiter is one character", where=settings.delimiter, remedy="Use a comma, semicolon or tab."
        )
    told = settings.delimiter if settings.delimiter != "auto" else "\t" if kind == "tsv" else ""
    delimiter, titles = _delimiter(sample.decode(encoding, "replace"), told)
    return Detected("csv", encoding, delimiter, titles if settings.skip_rows is None else settings.skip_rows)


def nothing_in(sources: Sequence[Source]) -> DataError:
    """Return the sentence for sources that are all empty."""
    what = "The file is empty" if len(sources) == 1 else f"All {len(sources):,} files are empty"
    where = ", ".join(dict.fromkeys(str(source.path) for source in sources[:3]))
    return DataError(what, where=where, remedy="Choose another file.")


def _format_of(sample: bytes) -> str:
    if sample.startswith(b"PAR1"):
        return "parquet"
    if sample.startswith(b"PK\x03\x04"):
        return "xlsx"
    start = sample.lstrip()[:1]
    if start == b"[":
        return "json"
    return "jsonl" if start == b"{" else "csv" if _delimited(sample) else "txt"


def _delimited(sample: bytes) -> bool:
    lines = sample.decode("utf-8", "replace").splitlines()[:20]
    return len(lines) > 1 and any(min(line.count(mark) for line in lines) > 0 for mark in ",;\t|")


def _encoding(sample: bytes, wanted: str, source: Source) -> str:
    if wanted != "auto":
        try:
            "".encode(wanted)
            if wanted.lower().replace("_", "-") in ("utf-8", "utf8"):
                return "utf-8-sig"
            codecs.getincrementaldecoder(wanted)("replace").decode(sample)
        except (LookupError, ValueError) as error:
            raise DataError(
                f"The file cannot be read as '{wanted[:40]}'", where=source.path, remedy="Use utf-8 or cp1252."
            ) from error
        return wanted
    if sample.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\x00" in sample[:4096]:
        raise DataError("This is a binary file, not a text", where=source.path, remedy=_KNOWN)
    whole = sample[:-4] if len(sample) == SAMPLE else sample  # it may end inside a character
    return "utf-8-sig" if mostly_utf8(whole) else guess_encoding(sample)


def _delimiter(sample: str, told: str) -> tuple[str, int]:
    """Return the mark between columns, and how many rows come before their names.

    It is the one that was ``told``, else the one that splits most of the first lines into as many parts as the names,
    and those into most.
    """
    lines = re.split(r"\r\n|\r|\n", sample[: 64 * 1024])[:LOOKED_AT]
    if line := SEPARATOR_LINE.fullmatch(lines[0]):
        lines, told = lines[1:], told or line[1]
    best, most, titles = told or ",", (0.0, 0), 0
    for mark in told or ",;\t|":
        try:
            rows = list(csv.reader(lines, delimiter=mark))
        except (csv.Error, TypeError):
            continue
        skipped = title_rows(rows)
        widths = [len(row) for row in rows[skipped:] if row]
        if (
            widths
            and (told or widths[0] > 1)
            and (score := (Counter(widths)[widths[0]] / len(widths), widths[0])) > most
        ):
            best, most, titles = mark, score, skipped
    return best, titles
