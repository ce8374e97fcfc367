"""A pipeline file with every option, written from the settings."""

from __future__ import annotations

import textwrap
import types
from typing import Any, Union, get_args, get_origin

from engine.running.pipeline import PipelineSettings
from engine.settings import Settings

HEAD = """\
# A MetaPT pipeline. Options behind a # have the default that is shown; take the # away to change one.
# Run it with: metapt run FILE.toml
"""


def pipeline_template() -> str:
    """Return TOML text: each option with its help, commented out at its default; what must be given is left open."""
    lines = [HEAD]
    sections = []
    for name, field in PipelineSettings.model_fields.items():
        model = _settings_model(field.annotation)
        if model is None:
            lines += _option(name, field, required=False)
        else:
            sections.append((name, field, model))
    for name, field, model in sections:
        optional = not field.is_required() and field.default is None
        summary = field.description or " ".join((model.__doc__ or "").split("\n")[0].split())
        lines += ["", *_comment(summary), f"{'# ' if optional else ''}[{name}]"]
        for key, inner in model.model_fields.items():
            lines += _option(key, inner, required=key == "files" and not optional)
    return "\n".join(lines) + "\n"


def _option(name: str, field: Any, *, required: bool) -> list[str]:
    extra = field.json_schema_extra or {}
    unit = f" [{extra['unit']}]" if extra.get("unit") else ""
    kind = field.annotation
    choices = (
        f" One of: {', '.join(map(str, get_args(kind)))}." if get_origin(kind) is not None and _literal(kind) else ""
    )
    default = field.get_default(call_default_factory=True)
    if required:
        return [*_comment(f"{field.description}{unit}"), f'{name} = ["your-file.csv"]']
    shown = f"{name} = {_toml(default)}" if default is not None else f"({name} is not set.)"
    return [*_comment(f"{field.description}{choices}{unit}"), f"# {shown}"]


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, 108, initial_indent="# ", subsequent_indent="# ")


def _literal(kind: Any) -> bool:
    return all(isinstance(choice, str) for choice in get_args(kind))


def _settings_model(kind: Any) -> type[Settings] | None:
    candidates = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    for candidate in candidates:
        if isinstance(candidate, type) and issubclass(candidate, Settings):
            return candidate
    return None


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }" if value else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return str(value)
