"""The reference pages of the documentation as Markdown, made from the settings, the command line and the errors.

Nothing in them is written by hand that stands somewhere in the code already: types, defaults, ranges, units and help
come from the settings models, commands and options from the command line, exit codes from the errors.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import typer

import engine.errors
import engine.running.pipeline
import engine.settings
from engine.cli import app
from engine.command_line.template import pipeline_template
from engine.errors import MetaPTError
from engine.presets import DESCRIPTIONS, PARTS, preset
from engine.running.pipeline import PipelineSettings
from engine.schema import Setting, settings_of
from engine.settings import Settings

SETTINGS_HEAD = """\
# Settings

Every setting of MetaPT: the forms of the window, the options of the [command line](command-line.md) and the keys of a
[pipeline file](pipeline-file.md) are made from the same list, and so is this page. The defaults are the paper's where
the paper gives a value; the [explanation of the method](../explanation/method.md) says where it does not. *Advanced*
settings are folded away in the window.

A setting `some_name` is the option `--some-name` of a command and the key `some_name` in a file. Settings that are on
or off are given as `--some-name` and `--no-some-name`. Those of the kind *name = value* are given once for each name:
`--label-map 1=bad --label-map 5=good`.
"""
COMMANDS_HEAD = """\
# Command line

The commands of `metapt`, made from the command line itself; `metapt COMMAND --help` says the same in the terminal.
`python -m engine` is another way to call it. Exit codes are on the page [Errors and exit codes](errors.md).
"""
ERRORS_HEAD = """\
# Errors and exit codes

Every failure that a person can cause or meet is a sentence: what happened, to which file, row or setting, and what to
do about it. The command line prints it on standard error and ends with an exit code; the window shows it in a dialog.
In Python they are the classes below, all of `engine.errors`; each has `what`, `where` and `remedy`.

[Troubleshooting](../troubleshooting.md) goes through the ones that are met most often.
"""
PIPELINE_HEAD = """\
# Pipeline file

What `metapt run FILE.toml` reads. `metapt template` prints the file below: every option, its default and what it does.
An option behind a `#` has the default that is shown. Relative file names start at the folder of the pipeline file;
`{data}` in them stands for the folder that is given with `--data` or in the environment variable `METAPT_DATA`.
"""
FIXED_CODES = (
    (0, "", "Done."),
    (1, "", "Another failure; `metapt doctor` found something missing."),
    (130, "", "Stopped by Ctrl-C. Run the same command again to go on."),
)
_KINDS = {str: "text", int: "whole number", float: "number", bool: "yes or no"}


def settings_models() -> list[type[Settings]]:
    """Return the public settings models in the order in which they are declared."""
    return [
        kind
        for module in (engine.settings, engine.running.pipeline)
        for name, kind in vars(module).items()
        if isinstance(kind, type)
        and issubclass(kind, Settings)
        and kind is not Settings
        and kind.__module__ == module.__name__
        and not name.startswith("_")
    ]


def settings_reference() -> str:
    """Return the page of all settings: name, default, unit, range, choices and help, grouped by model."""
    lines = [SETTINGS_HEAD]
    for model in settings_models():
        lines += [f"## {model.__name__}", "", _docstring(model), "", _where(model), ""]
        lines += ["| setting | default | unit | values | what it does |", "|---|---|---|---|---|"]
        own = inspect.get_annotations(model)  # what it inherits stands with its base
        lines += [_setting_row(model, setting) for name, setting in settings_of(model).items() if name in own]
        lines.append("")
    return "\n".join([*lines, _presets()])


def command_reference() -> str:
    """Return the page of all commands with their arguments and options."""
    group: Any = typer.main.get_command(app)
    lines = [COMMANDS_HEAD, group.help or "", "", *_option_table(group.params)]
    for name, command in group.commands.items():
        models = _models_of(name)
        from_models = {field for model in models for field in model.model_fields}
        options = {parameter.name for parameter in command.params}
        own = [parameter for parameter in command.params if parameter.name not in from_models]
        lines += [f"## metapt {name}", "", command.help or "", "", "```text", _usage(name, command), "```", ""]
        lines += _option_table(own)
        for model in models:
            shown = [_option_link(model, field) for field in model.model_fields if field in options]
            lines += [f"Settings of [{model.__name__}](settings.md#{_anchor(model)}): {', '.join(shown)}.", ""]
    return "\n".join(lines)


def error_reference() -> str:
    """Return the page of errors and exit codes."""
    found = [
        kind
        for kind in vars(engine.errors).values()
        if isinstance(kind, type) and issubclass(kind, MetaPTError) and kind is not MetaPTError
    ]
    rows = [*FIXED_CODES, *((kind.exit_code, kind.__name__, _docstring(kind)) for kind in found)]
    lines = [ERRORS_HEAD, "| exit code | error | when |", "|---|---|---|"]
    for code, name, text in sorted(rows, key=lambda row: row[0]):
        lines.append(f"| {code} | {f'`{name}`' if name else ''} | {_cell(text)} |")
    return "\n".join(lines) + "\n"


def pipeline_reference() -> str:
    """Return the page of the pipeline file with every option."""
    return f"{PIPELINE_HEAD}\n```toml\n{pipeline_template()}```\n"


REFERENCE: dict[str, Callable[[], str]] = {
    "reference/settings.md": settings_reference,
    "reference/command-line.md": command_reference,
    "reference/errors.md": error_reference,
    "reference/pipeline-file.md": pipeline_reference,
}
"""Page of the documentation -> what makes its Markdown."""


def _docstring(kind: type) -> str:
    """Return the first paragraph of a class's docstring on one line."""
    return " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())


def _anchor(model: type[Settings], setting: str = "") -> str:
    return f"{model.__name__}-{setting}".lower() if setting else model.__name__.lower()


def _models_of(command: str) -> list[type[Settings]]:
    """Return the settings models whose settings are options of a command."""
    for info in app.registered_commands:
        function: Any = info.callback
        if (info.name or function.__name__.replace("_", "-")) == command:
            hints = get_type_hints(inspect.unwrap(function))
            return [kind for kind in hints.values() if isinstance(kind, type) and issubclass(kind, Settings)]
    return []


def _where(model: type[Settings]) -> str:
    """Return a sentence that says which commands and sections of a pipeline file take the settings."""
    group: Any = typer.main.get_command(app)
    commands = [
        f"[`metapt {name}`](command-line.md#metapt-{name})" for name in group.commands if model in _models_of(name)
    ]
    sections = [f"`[{name}]`" for name, section in settings_of(PipelineSettings).items() if section.kind is model]
    parts = []
    if commands:
        parts.append(f"Options of {', '.join(commands)}.")
    if sections:
        parts.append(f"In a pipeline file: {', '.join(sections)}.")
    bases = [base for base in model.__bases__ if base in settings_models()]
    parts += [f"Has the settings of [{base.__name__}](#{_anchor(base)}) too." for base in bases]
    return " ".join(parts)


def _setting_row(model: type[Settings], setting: Setting) -> str:
    shown = f"`{setting.name}`{{ #{_anchor(model, setting.name)} }}" + (" *advanced*" if setting.advanced else "")
    cells = (_default(setting), setting.unit, _values(setting), setting.help or _docstring(setting.kind))
    return f"| {shown} | " + " | ".join(_cell(cell) for cell in cells) + " |"


def _default(setting: Setting) -> str:
    default = setting.default
    if setting.required or (default == [] and "min_length" in setting.limits):
        return "must be given"
    if setting.empty:
        return "empty"
    if isinstance(default, Settings):
        return "its defaults"
    if isinstance(default, bool):
        return "yes" if default else "no"
    if isinstance(default, list):
        return ", ".join(f"`{item}`" for item in default)
    return f"`{default}`"


def _values(setting: Setting) -> str:
    """Return kind and range, or the choices."""
    if setting.choices:
        return ("some of " if setting.many else "") + ", ".join(f"`{choice}`" for choice in setting.choices)
    if issubclass(setting.kind, Settings):
        return ("list of " if setting.many else "") + f"[{setting.kind.__name__}](#{_anchor(setting.kind)})"
    shown = _KINDS[setting.kind]
    if setting.many is dict:
        shown = f"name = {shown}"
    elif setting.many is list:
        shown = f"list of {shown}s".replace("texts", "text")
    words = {"ge": "at least {}", "gt": "more than {}", "le": "at most {}", "lt": "less than {}"}
    words["min_length"] = "at least {} of them"
    limits = setting.limits
    return ", ".join([shown, *(text.format(limits[sign]) for sign, text in words.items() if sign in limits)])


def _presets() -> str:
    """Return a table of what each preset of the window sets, where it differs from the defaults."""
    values = {name: preset(name) for name in DESCRIPTIONS}
    lines = ["## Presets", "", "What the presets of the page Meta-train set for the bundled backbone:", ""]
    lines += [f"- *{name}*: {text}" for name, text in DESCRIPTIONS.items()]
    lines += ["", "| setting | " + " | ".join(values) + " |", "|---|" + "---|" * len(values)]
    for part, model in PARTS.items():
        for name, field in model.model_fields.items():
            row = [chosen[part][name] for chosen in values.values()]
            if any(value != field.default for value in row):
                shown = f"[`{name}`](#{_anchor(model, name)}) of {model.__name__}"
                lines.append(f"| {shown} | " + " | ".join(f"`{value}`" for value in row) + " |")
    lines += ["", "With another backbone than the bundled one, *quick* and *laptop* keep the paper's rates."]
    return "\n".join(lines) + "\n"


def _usage(name: str, command: Any) -> str:
    arguments = []
    for parameter in command.params:
        if not _is_option(parameter):
            shown = (parameter.metavar or parameter.name).upper() + ("..." if parameter.nargs == -1 else "")
            arguments.append(shown if parameter.required else f"[{shown}]")
    return " ".join(["metapt", name, "[OPTIONS]", *arguments])


def _is_option(parameter: Any) -> bool:
    return bool(parameter.opts[0].startswith("-"))


def _option_table(parameters: list[Any]) -> list[str]:
    shown = [parameter for parameter in parameters if parameter.name != "help"]
    if not shown:
        return []
    lines = ["| argument or option | default | what it does |", "|---|---|---|"]
    for parameter in shown:
        names = parameter.opts + parameter.secondary_opts if _is_option(parameter) else [parameter.name.upper()]
        default = parameter.default
        if parameter.required:
            said = "must be given"
        elif isinstance(default, bool):
            said = "yes" if default else "no"
        else:
            said = "" if default in (None, "", []) else f"`{default}`"
        help = parameter.help or ""
        if parameter.envvar:
            help += f" Environment variable: `{parameter.envvar}`."
        if parameter.multiple:
            help += " May be given several times."
        lines.append(f"| {', '.join(f'`{name}`' for name in names)} | {_cell(said)} | {_cell(help)} |")
    return [*lines, ""]


def _option_link(model: type[Settings], name: str) -> str:
    kind = next(base for base in model.__mro__ if name in inspect.get_annotations(base))
    return f"[`--{name.replace('_', '-')}`](settings.md#{_anchor(kind, name)})"


def _cell(text: Any) -> str:
    """Return text that may stand in a cell of a table: no bar, no line break, angle brackets and braces as they are."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")
