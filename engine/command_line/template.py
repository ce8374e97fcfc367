"""A pipeline file with every option, written from the settings."""

from __future__ import annotations

import textwrap
from typing import Any

from engine.running.pipeline import PipelineSettings
from engine.schema import Setting, settings_of
from engine.settings import Settings

HEAD = """\
# A MetaPT pipeline. Options behind a # have the default that is shown; take the # away to change one.
# Run it with: metapt run FILE.toml
"""


def pipeline_template() -> str:
    """Return TOML text: each option with its help, commented out at its default; what must be given is left open."""
    lines = [HEAD]
    settings = settings_of(PipelineSettings).values()
    for setting in settings:
        if not issubclass(setting.kind, Settings):
            lines += _option(setting, required=False)
    for section in settings:
        if issubclass(section.kind, Settings):
            summary = section.help or " ".join((section.kind.__doc__ or "").split("\n")[0].split())
            lines += ["", *_comment(summary), f"{'# ' if section.optional else ''}[{section.name}]"]
            for name, setting in settings_of(section.kind).items():
                lines += _option(setting, required=name == "files" and not section.optional)
    return "\n".join(lines) + "\n"


def _option(setting: Setting, *, required: bool) -> list[str]:
    unit = f" [{setting.unit}]" if setting.unit else ""
    if required:
        return [*_comment(f"{setting.help}{unit}"), f'{setting.name} = ["your-file.csv"]']
    plain = not (setting.many or setting.optional)
    choices = f" One of: {', '.join(setting.choices)}." if setting.choices and plain else ""
    value = None if setting.default is None else _toml(setting.default)
    shown = f"{setting.name} = {value}" if value is not None else f"({setting.name} is not set.)"
    return [*_comment(f"{setting.help}{choices}{unit}"), f"# {shown}"]


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, 108, initial_indent="# ", subsequent_indent="# ")


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
