"""Which encoding a text has that says nothing of it and is no UTF-8."""

from __future__ import annotations

LATIN = {
    "Western European": ("cp1252", "iso8859-15", "mac-roman", "cp850"),
    "Central European": ("cp1250", "iso8859-2", "cp852"),
    "Turkish": ("cp1254", "cp857"),
    "Baltic": ("cp1257",),
    "Vietnamese": ("cp1258",),
}
WRITTEN = LATIN | {
    "Greek": ("cp1253", "iso8859-7"),
    "Cyrillic": ("cp1251", "koi8-r", "koi8-u", "cp866"),
    "Hebrew": ("cp1255",),
    "Arabic": ("cp1256",),
    "Thai": ("cp874",),
    "Chinese": ("gb18030", "big5hkscs"),
    "Japanese": ("cp932", "euc-jp"),
    "Korean": ("cp949",),
}
"""What is written -> the encodings that files of it have; a detector knows many more that hardly any file has."""
USUAL, FEW, SCATTERED = "cp1252", 5, 0.03
"""What is taken where fewer bytes than so many are beyond ASCII; up to this share of them an alphabet is Latin."""
BELONGING = 0.9
"""At least this share of what is not ASCII is UTF-8 in a text that is read as UTF-8."""


def named(encoding: str) -> str:
    """Return an encoding with what is written in it: ``Western European (cp1252)``."""
    family = next((family for family, encodings in WRITTEN.items() if encoding in encodings), "")
    return f"{family} ({encoding})" if family else encoding


def mostly_utf8(sample: bytes) -> bool:
    """Whether ``sample`` is UTF-8 but for some bytes, whose rows are set aside later."""
    text = sample.decode("utf-8", "ignore")
    wrong = len(sample) - len(text.encode())
    right = sum(not character.isascii() for character in text) if wrong else 0
    return wrong <= (1 - BELONGING) * (wrong + right)


def guess_encoding(sample: bytes) -> str:
    """Return the encoding in which ``sample``, which is not all ASCII, reads most like some language."""
    import chardet

    beyond = sum(byte > 127 for byte in sample)
    if beyond < FEW:
        return USUAL
    written = WRITTEN if beyond > SCATTERED * len(sample) else LATIN
    likely = [encoding for encodings in written.values() for encoding in encodings]
    found = chardet.detect(sample, include_encodings=likely, compat_names=False)["encoding"] or USUAL
    alike = sample.decode(found, "replace") == sample.decode(USUAL, "replace")  # both read it the same
    return USUAL if alike else found
