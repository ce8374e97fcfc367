"""Clean one text: tags and entities, Unicode form, control characters, white space."""

from __future__ import annotations

import html
import re
import unicodedata

# A tag begins with a letter, a slash or an exclamation mark: "<3" and "a < b" are no tags.
_COMMENT_OR_CODE = re.compile(r"<!--|<(script|style)\b[^>]{0,2000}>", re.IGNORECASE)
_ENDS = {
    "": re.compile("-->"),
    "script": re.compile(r"</script\s*>", re.IGNORECASE),
    "style": re.compile(r"</style\s*>", re.IGNORECASE),
}
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,2000}>|<![a-zA-Z][^<>]{0,2000}>")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060\ufeff]")
NOT_PLAIN = r"[^ -~]|^ | $|  "
NOT_PLAIN_OR_MARKUP = NOT_PLAIN + "|[<&]"
"""What `clean` may change, as a regular expression for Arrow: a text without a match is returned as it is."""


def clean(text: str, *, strip_html: bool) -> str:
    """Return ``text`` without markup (if asked), in NFC, without control characters, with single spaces.

    Raises
    ------
    UnicodeEncodeError
        If it holds bytes that could not be decoded (lone surrogates).
    """
    if strip_html:
        if "<" in text:
            text = _TAG.sub(" ", _without_comments_and_code(text))
        if "&" in text:
            text = html.unescape(text)
    if not text.isascii():
        text.encode("utf-8")
        text = unicodedata.normalize("NFC", text)
    if text.isprintable():  # its only white space is the plain space
        if "  " not in text:
            return text.strip(" ")
    else:
        text = _CONTROL.sub("", text)
    return " ".join(text.split())


def _without_comments_and_code(text: str) -> str:
    """Return ``text`` with a space for each comment, script and style that ends; one walk, however many do not."""
    parts, place = [], 0
    endless: set[str] = set()
    for begin in _COMMENT_OR_CODE.finditer(text):
        kind = (begin[1] or "").lower()
        if begin.start() < place or kind in endless:
            continue
        end = _ENDS[kind].search(text, begin.end())
        if end is None:
            endless.add(kind)
            continue
        parts.append(text[place : begin.start()])
        place = end.end()
    return " ".join([*parts, text[place:]])
