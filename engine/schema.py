"""What a settings model says of each of its settings, for the forms, options, files and pages that are made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from engine.settings import Settings

LIMITS = ("ge", "gt", "le", "lt", "min_length")


@dataclass(frozen=True)
class Setting:
    """A setting, as it was declared.

    Attributes
    ----------
    kind
        int, float, bool, str or a settings model: of the value, or of those in a list or a mapping.
    many
        list or dict, if it is one; else ``None``.
    choices
        The only values that it can have; empty if there are others.
    optional
        Whether it may be ``None``.
    limits
        Those of `LIMITS` that it has.
    """

    name: str
    help: str
    unit: str
    advanced: bool
    default: Any
    required: bool
    kind: type
    many: type | None
    choices: tuple[str, ...]
    optional: bool
    limits: dict[str, float]

    @property
    def empty(self) -> bool:
        """Whether there is nothing by default."""
        return self.default in (None, "", {}, [])


def settings_of(model: type[Settings]) -> dict[str, Setting]:
    """Return name -> setting, in the order in which they were declared."""
    return {name: _setting(name, field) for name, field in model.model_fields.items()}


def _setting(name: str, field: FieldInfo) -> Setting:
    kind: Any = field.annotation
    if optional := type(None) in get_args(kind):
        kind = next(part for part in get_args(kind) if part is not type(None))
    if many := get_origin(kind) if get_origin(kind) in (list, dict) else None:
        kind = get_args(kind)[-1]
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    extra: Any = field.json_schema_extra or {}
    found = {sign: getattr(limit, sign, None) for limit in field.metadata for sign in LIMITS if hasattr(limit, sign)}
    return Setting(
        name=name,
        help=field.description or "",
        unit=extra.get("unit", ""),
        advanced=extra.get("advanced", False),
        default=field.get_default(call_default_factory=True),
        required=field.is_required(),
        kind=str if choices else kind,
        many=many,
        choices=choices,
        optional=optional,
        limits={sign: value for sign, value in found.items() if value is not None},
    )
