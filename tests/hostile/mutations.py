"""Hostile inputs: random bytes, and valid files that were flipped, cut, repeated, swapped and lied in.

Every strategy makes ``Files``: relative path -> content. What is drawn are the bytes of a few operations, so that a
failing input shrinks to the one operation that matters.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

Files = dict[str, bytes]

_CHUNK = 8
EDITS = st.binary(min_size=_CHUNK, max_size=6 * _CHUNK)
"""One draw for up to six operations; drawing them one by one would take longer than reading the file."""


def _operations(edits: bytes) -> list[tuple[int, int, int, int]]:
    """Return kind, place, size and the number of a payload for each operation."""
    chunks = [edits[start : start + _CHUNK] for start in range(0, len(edits) - _CHUNK + 1, _CHUNK)]
    return [(c[0], int.from_bytes(c[1:4]), int.from_bytes(c[4:6]), int.from_bytes(c[6:8])) for c in chunks]


# Bytes ----------------------------------------------------------------------------------------------------------------

TOKENS = (
    b"", b"\x00", b"\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\x80", b"\xed\xa0\x80", b"\r", b"\n", b"\r\n", b"\t",
    b'"', b'""', b"'", b",", b";", b"|", b"=1+1", b'=HYPERLINK("http://a")', b"@SUM(1)", b"-1", b"+1", b"<b>",
    b"</b>", b"&#0;", b"&#xD800;", b"&lt;" * 50, b"<" * 300, b"{", b"}", b"[", b"]", b"[" * 5000, b'{"a":' * 5000,
    b"null", b"true", b"NaN", b"Infinity", b"-Infinity", b"1e999", b"9" * 400, b"9" * 5000, b"\\ud800", b"\\u0000",
    b"../", b"/etc/passwd", b"C:\\", b"PAR1", b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"\x28\xb5\x2f\xfd",
    b"\xff" * 8, b"\x7f" * 8, b"\x00" * 64,
)  # fmt: skip
_KINDS = ("insert", "set", "flip", "delete", "cut", "repeat", "swap", "number")


def edited(whole: bytes, edits: bytes, tokens: Sequence[bytes] = TOKENS) -> bytes:
    """Return ``whole`` after the operations that ``edits`` stand for, one after the other."""
    data = bytearray(whole)
    for number, place, size, choice in _operations(edits):
        kind = _KINDS[number % len(_KINDS)]
        at = place % (len(data) + 1)
        length = 1 + size % 64
        payload = tokens[choice % len(tokens)]
        if kind == "insert":
            data[at:at] = payload
        elif kind == "set":
            data[at : at + len(payload)] = payload
        elif kind == "delete":
            del data[at : at + length]
        elif kind == "cut":
            del data[at:]
        elif kind == "repeat":
            data[at:at] = bytes(data[at : at + length]) * (1 + size % 20)
        elif kind == "swap":
            other = size % (len(data) + 1)
            data[at : at + 4], data[other : other + 4] = data[other : other + 4], data[at : at + 4]
        elif at < len(data):
            if kind == "flip":
                data[at] ^= 1 << size % 8
            else:  # a length or an offset, in either order of bytes
                width = (1, 2, 4, 8)[size % 4]
                value = (0, 1, 2 ** (8 * width - 1) - 1, 2 ** (8 * width) - 1)[size // 4 % 4]
                data[at : at + width] = value.to_bytes(width, "little" if size % 3 else "big")
    return bytes(data)


_TEXT = st.text(alphabet='a,";|\t\n\r{}[]:1é\x00\ud800=@', max_size=200)
JUNK = st.binary(max_size=300) | _TEXT.map(lambda text: text.encode("utf-8", "surrogatepass"))


def mutated_bytes(wholes: Sequence[bytes], tokens: Sequence[bytes] = TOKENS) -> st.SearchStrategy[bytes]:
    """Valid contents with random edits, and some junk."""
    changed = st.builds(edited, st.sampled_from(wholes), EDITS, st.just(tokens))
    return st.one_of(changed, changed, changed, changed, changed, JUNK)


# JSON -----------------------------------------------------------------------------------------------------------------

_RAW = {"raw:deep": "[" * 100_000 + "]" * 100_000, "raw:huge": "9" * 5000, "raw:infinite": "1e999", "raw:cut": '{"a": '}
"""Strings in a document that become what `json.dumps` would not write."""
_NESTED: Any = []
for _ in range(60):
    _NESTED = [_NESTED]
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 7, 1000, 2**31, 2**63, 2**64, 10**12, 10**300, 0.5, -0.5, 1e308, float("nan"),
    float("inf"), "", "x", "1", "\x00", "a\x00b", "\ud800", "é", "=1+1", "../../etc/passwd", "/etc/passwd",
    "~nobody/x", "~", "a" * 5000, "{text}{mask}", "{mask}", "\n", "con", "../..", "runs/../..", "bundled", "float16",
    [], {}, [[]], [None], {"": None}, ["x"] * 3, [1, 2], {"a": {"b": [1]}}, list(range(200)), _NESTED, *_RAW,
)  # fmt: skip
_JSON_KINDS = ("replace", "replace", "delete", "rename", "wrap", "add", "repeat", "copy")


def _places(document: Any) -> list[tuple[Any, Any]]:
    """Return every container with every one of its keys, the outermost first."""
    found: list[tuple[Any, Any]] = []
    waiting = [document]
    while waiting and len(found) < 2000:
        item = waiting.pop(0)
        keys: list[Any] = list(item) if isinstance(item, dict) else list(range(len(item)))
        for key in keys:
            found.append((item, key))
            if isinstance(item[key], (dict, list)) and item[key] is not _NESTED:
                waiting.append(item[key])
    return found


def edited_json(document: Any, edits: bytes) -> Any:
    """Return a copy of ``document`` after operations on its values and keys."""
    root = [json.loads(json.dumps(document))]
    for number, place, size, choice in _operations(edits):
        kind, value = _JSON_KINDS[number % len(_JSON_KINDS)], copy.deepcopy(VALUES[choice % len(VALUES)])
        places = _places(root)
        # The outer places are few and matter most, so half of the picks go there.
        holder, key = places[place % len(places) if size % 2 else place % min(len(places), 12)]
        if kind == "replace":
            holder[key] = value
        elif kind == "wrap":
            holder[key] = [holder[key]]
        elif kind == "copy":
            other, name = places[size % len(places)]
            holder[key] = copy.deepcopy(other[name])
        elif holder is root:
            continue
        elif kind == "delete":
            del holder[key]
        elif isinstance(holder, dict):
            moved = holder.pop(key) if kind == "rename" else value
            holder[f"{key}{size % 10}" if kind != "add" else str(value)[:50]] = moved
        else:
            holder.insert(key, holder[key] if kind == "repeat" else value)
    return root[0]


def json_bytes(document: Any) -> bytes:
    """Write a document as bytes, lone surrogates, infinities and all."""
    text = json.dumps(document)
    for mark, raw in _RAW.items():
        text = text.replace(f'"{mark}"', raw)
    return text.encode()


def mutated_json(
    documents: Sequence[Any], write: Callable[[Any], bytes] = json_bytes, *, also_bytes: bool = True
) -> st.SearchStrategy[bytes]:
    """Valid documents with wrong values, missing, renamed and new keys; some are then edited as bytes too."""
    changed = st.builds(edited_json, st.sampled_from(documents), EDITS).map(write)
    if not also_bytes:
        return changed
    return st.one_of(changed, changed, changed, mutated_bytes([write(document) for document in documents]))


# Folders --------------------------------------------------------------------------------------------------------------


def mutated_folder(whole: Files, parts: Mapping[str, st.SearchStrategy[bytes]]) -> st.SearchStrategy[Files]:
    """A valid folder of which one or two files were changed, are missing, empty, or hold what another one holds.

    Parameters
    ----------
    parts
        File -> how its content is changed; spaces after the name make it another, more frequent way. The other files
        are only taken away or exchanged.
    """
    names = sorted(whole)
    change = [st.tuples(st.just(name.strip()), parts[name]) for name in sorted(parts)]
    lose = st.tuples(st.sampled_from(names), st.sampled_from([None, b""]))
    exchange = st.tuples(st.sampled_from(names), st.sampled_from(names).map(lambda name: whole[name]))
    edit = st.one_of(*change * 6, lose, exchange)

    def apply(changes: list[tuple[str, bytes | None]]) -> Files:
        files = dict(whole)
        for name, content in changes:
            if content is None:
                files.pop(name, None)
            else:
                files[name] = content
        return files

    return st.lists(edit, min_size=1, max_size=2).map(apply)


# Containers whose insides are worth a look: an edit of a packed byte never gets past the checksum ---------------------


def safetensors_parts(whole: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the header and the data of a safetensors file; JSON in its metadata is opened."""
    size = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + size])
    metadata = header.get("__metadata__", {})
    if "metapt" in metadata:
        metadata["metapt"] = json.loads(metadata["metapt"])
    return header, whole[8 + size :]


def safetensors_bytes(header: Any, data: bytes) -> bytes:
    """Put the two together again, with a length that is right."""
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    if isinstance(metadata, dict) and "metapt" in metadata and not isinstance(metadata["metapt"], str):
        inner = json_bytes(metadata["metapt"]).decode()
        header = {**header, "__metadata__": {**metadata, "metapt": inner}}
    raw = json_bytes(header)
    return len(raw).to_bytes(8, "little") + raw + data


def mutated_safetensors(wholes: list[bytes]) -> st.SearchStrategy[bytes]:
    """Safetensors files with wrong headers, wrong documents in them, odd numbers, and edits of the bytes."""
    opened = [safetensors_parts(whole) for whole in wholes]
    header, data = opened[0]
    names = [name for name in header if name != "__metadata__"]

    def odd(number: int, kind: str) -> bytes:
        size = {"F64": 8, "I64": 8, "F32": 4, "F16": 2, "BF16": 2}.get(kind, 1)
        changed = json.loads(json.dumps(header))
        entry = changed[names[number % len(names)]]
        start, end = entry["data_offsets"]
        entry["dtype"], entry["shape"] = kind, [(end - start) // size]
        return safetensors_bytes(changed, data[:start] + b"\xff" * (end - start) + data[end:])

    kinds = ("F64", "F32", "F16", "BF16", "I64", "I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F4", "C64")
    return (
        mutated_json([item[0] for item in opened], lambda changed: safetensors_bytes(changed, data), also_bytes=False)
        | mutated_bytes(wholes)
        | st.builds(odd, st.integers(0, 9), st.sampled_from(kinds))
    )
