"""Labels that an import takes for classes, and that are perhaps none, or one class twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.settings import ImportSettings
from engine.words import PAPER_WORDS, is_rating

NO_LABELS = ("", "-", "--", "?", "n/a", "#n/a", "na", "nan", "null", "none", "nil")
"""What programs and people write where there is no label, in small letters."""


def doubtful_labels(classes: Mapping[str, int], settings: ImportSettings) -> Iterator[str]:
    """Yield a sentence for the person about each kind of label that is hardly meant as a class of its own.

    Parameters
    ----------
    classes
        Class -> rows.
    settings
        Classes that they map labels to, or have a word for, are meant.
    """
    if settings.label_map:
        return
    if not settings.words and (odd := _odd_among_ratings(classes)):
        yield odd
    none, alike = _doubtful(classes, settings)
    parts = [f"{_listed(names, classes)} differ only in capitals" for names in alike]
    if none:
        parts.append(f"{_listed(none, classes)} {'looks' if len(none) == 1 else 'look'} like no label")
    if parts:
        yield f"{'; '.join(parts)}. Each is a class now; a map of labels joins them or leaves them out."


def plain_map(classes: Mapping[str, int], settings: ImportSettings) -> dict[str, str]:
    """Return the map of labels that mends what `doubtful_labels` tells; empty if that is nothing."""
    none, alike = _doubtful(classes, settings)
    if settings.label_map or not (none or alike):
        return {}
    usual = {name: max(names, key=lambda name: classes[name]) for names in alike for name in names}
    return {name: usual.get(name, name) for name in classes if name not in none}


def _doubtful(classes: Mapping[str, int], settings: ImportSettings) -> tuple[list[str], list[list[str]]]:
    """Return the classes that look like no label, and those that differ only in capitals."""
    none = [name for name in classes if name.casefold() in NO_LABELS and name not in settings.words]
    spellings: dict[str, list[str]] = {}
    for name in classes:
        if name not in none:
            spellings.setdefault(name.casefold(), []).append(name)
    return none, [names for names in spellings.values() if len(names) > 1 and not settings.words.keys() & set(names)]


def _listed(names: list[str], classes: Mapping[str, int]) -> str:
    return ", ".join(f"'{name}' ({classes[name]:,})" for name in names)


def _odd_among_ratings(classes: Mapping[str, int]) -> str:
    """Say which classes keep the others, which are ratings, from having the words of ratings; empty if none do."""
    others = [name for name in classes if not is_rating(name)]
    if not others or len(classes) - len(others) not in PAPER_WORDS:
        return ""
    verb = "is no rating" if len(others) == 1 else "are no ratings"
    return (
        f"{_listed(others, classes)} {verb} as the other labels are, so the label words are not those of ratings. If "
        "it is no class, leave it out with a map of labels that names the others."
    )
