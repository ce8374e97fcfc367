"""Which encoding a text has that says nothing of it and is no UTF-8.

Files of a Latin alphabet have few letters beyond ASCII, too few for a detector of all the world's encodings. But each
language uses a handful of them: "déçu" is French in cp1252, while "déēu", which cp1257 makes of it, is of no language.
"""

from __future__ import annotations

import math
from collections import Counter
from functools import cache
from typing import NamedTuple

WESTERN = ("cp1252", "iso8859_15", "mac_roman", "cp850")
CENTRAL = ("cp1250", "iso8859_2", "cp852")
TURKISH = ("cp1254", "cp857")
BALTIC = ("cp1257",)
LATIN = {"Western European": WESTERN, "Central European": CENTRAL, "Turkish": TURKISH, "Baltic": BALTIC}
OTHERS = {
    "Greek": ("cp1253", "iso8859_7"),
    "Cyrillic": ("cp1251", "koi8_r", "koi8_u", "cp866"),
    "Hebrew": ("cp1255",),
    "Arabic": ("cp1256",),
    "Thai": ("cp874",),
    "Vietnamese": ("cp1258",),
    "Chinese": ("gb18030", "big5"),
    "Japanese": ("cp932", "euc_jp"),
    "Korean": ("cp949",),
}
"""Encodings by what is written in them; those written most often come first."""
ALPHABETS = (
    ("éèêëàâäáåçïîíñôöóøüæ", WESTERN),  # English, with words from everywhere
    ("éàèêçâîôûùëïüœæÿ", WESTERN),  # French
    ("àèéìòùíóúî", WESTERN),  # Italian
    ("áéíóúñü¿¡", WESTERN),  # Spanish
    ("àçèéíïòóúü", WESTERN),  # Catalan
    ("ãáàâçéêíóôõúü", WESTERN),  # Portuguese
    ("äöüßéàè", WESTERN),  # German
    ("ëéïöüóèêáíçñ", WESTERN),  # Dutch
    ("åäöé", WESTERN),  # Swedish, Finnish
    ("æøåéôòóê", WESTERN),  # Danish, Norwegian
    ("áðéíóúýþæö", ("cp1252", "iso8859_15")),  # Icelandic
    ("ëç", WESTERN),  # Albanian
    ("äöõüšž", ("cp1252", "cp1257", "iso8859_15")),  # Estonian
    ("ąćęłńóśźż", CENTRAL),  # Polish
    ("áčďéěíňóřšťúůýž", CENTRAL),  # Czech
    ("áäčďéíĺľňóôŕšťúýž", CENTRAL),  # Slovak
    ("áéíóöőúüű", CENTRAL),  # Hungarian
    ("ăâîşţ", CENTRAL),  # Romanian
    ("čćđšž", CENTRAL),  # Croatian, Slovene
    ("çğıöşüâîİ", TURKISH),
    ("ąčęėįšųūž", BALTIC),  # Lithuanian
    ("āčēģīķļņšūž", BALTIC),  # Latvian
)
"""Letters of a language beyond ASCII, and the encodings that its files have, the first most often."""
MARKS = "‘’“”„«»–—…€£°\xa0"
SELDOM = "‚‹›•·§©®™×´ªº²³½"
RARE, STRANGE = 0.05, 1e-3
"""How often a capital or a mark of `SELDOM`, and what does not belong to a language, come where a letter comes once."""
RARER = 2.0
"""How much less likely an encoding is than the one before it in `ALPHABETS`, the first than cp1252: nats."""
BELONGING = 0.9
"""Of what is not ASCII at least this share belongs: to the language of a text in a Latin alphabet, or to UTF-8."""


class _Reading(NamedTuple):
    encoding: str
    unlikely: float
    shares: dict[str, float]
    strange: float


@cache
def _readings() -> list[_Reading]:
    found = []
    for letters, encodings in ALPHABETS:
        weights = dict.fromkeys(SELDOM + letters.upper(), RARE) | dict.fromkeys(MARKS + letters, 1.0)
        total = sum(weights.values())
        shares = {character: math.log(weight / total) for character, weight in weights.items()}
        for number, encoding in enumerate(encodings):
            unlikely = RARER * (number + (encoding != "cp1252"))
            found.append(_Reading(encoding, unlikely, shares, math.log(STRANGE / total)))
    return found


def named(encoding: str) -> str:
    """Return an encoding with what is written in it: ``Western European (cp1252)``."""
    families = LATIN | OTHERS
    family = next((family for family, encodings in families.items() if encoding in encodings), "")
    return f"{family} ({encoding})" if family else encoding


def mostly_utf8(sample: bytes) -> bool:
    """Whether ``sample`` is UTF-8 but for some bytes, whose rows are set aside later."""
    text = sample.decode("utf-8", "ignore")
    wrong = len(sample) - len(text.encode())
    right = sum(not character.isascii() for character in text) if wrong else 0
    return wrong <= (1 - BELONGING) * (wrong + right)


def guess_encoding(sample: bytes) -> str:
    """Return the encoding in which ``sample``, which is not all ASCII, reads most like some language."""
    counts = Counter(byte for byte in sample if byte > 127)
    best, most, belonging = "", -math.inf, 0.0
    for encoding, unlikely, shares, strange in _readings():
        characters = [(bytes([byte]).decode(encoding, "replace"), count) for byte, count in counts.items()]
        score = sum(count * shares.get(character, strange) for character, count in characters) - unlikely
        if score > most:
            inside = sum(count for character, count in characters if character in shares)
            best, most, belonging = encoding, score, inside / counts.total()
    if belonging >= BELONGING:
        return best
    from charset_normalizer import from_bytes

    others = [encoding for encodings in OTHERS.values() for encoding in encodings]
    match = from_bytes(sample[: 64 * 1024], cp_isolation=[*others, "cp1252"]).best()
    return match.encoding if match is not None else "cp1252"
