"""Options of a command, made from settings models: a command declares ``settings: TuneSettings`` and gets them all."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from engine.errors import SettingsError
from engine.presets import DESCRIPTIONS, PARTS, preset
from engine.schema import Setting, settings_of
from engine.settings import Settings, validated

ProjectFolder = Annotated[Path, typer.Option("--project", "-p", help="Project folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON event a line on standard output.")]
Words = Annotated[
    list[str] | None, typer.Option("--word", help="Label word of a class, such as 1=bad; default: the corpus's words.")
]
Texts = Annotated[str, typer.Option(help="Which texts to learn from, from now on: source or annotated.")]
Data = Annotated[
    Path | None, typer.Option(envvar="METAPT_DATA", help="Folder that {data} stands for in the file names.")
]
DEFAULT_PROJECT = Path("project.metapt")
PresetName = Annotated[
    str,
    typer.Option("--preset", help="Settings that go together: quick, laptop or paper; others are set on top of it."),
]


class Without(tuple[str, ...]):
    """Names of settings that a command has no use for: ``Annotated[ImportSettings, Without(["balance"])]``."""


EVERY_ROW = Without(
    ("label_column", "label_map", "words", "keep_unlabelled", "drop_duplicates", "minimum_characters", "balance")
)
"""What says which rows of a file are kept as examples: those to classify are all kept."""


def settings_as_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Replace each parameter that is annotated with a `Settings` model by one option a field.

    Types, defaults, ranges, units and help come from the model; a mapping is given as ``--label-map 1=bad --label-map
    2=good``. What the person leaves out, and what is `Without` an option, keeps its default.

    A command that also declares ``preset: PresetName`` takes the values of that preset (`engine.presets`) where the
    person gives none.

    Raises
    ------
    SettingsError
        When the command is called with a value that the model refuses, or names no preset.
    """
    hints = get_type_hints(command, include_extras=True)
    models: dict[str, tuple[type[Settings], list[Setting]]] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        kind = hints.get(parameter.name)
        model = get_args(kind)[0] if get_origin(kind) is Annotated else kind
        if isinstance(model, type) and issubclass(model, Settings):
            left_out = {
                name for mark in getattr(kind, "__metadata__", ()) if isinstance(mark, Without) for name in mark
            }
            settings = [setting for name, setting in settings_of(model).items() if name not in left_out]
            models[parameter.name] = model, settings
            parameters += [_option(setting, model.__doc__ or "") for setting in settings]
        else:
            parameters.append(parameter.replace(annotation=kind, kind=inspect.Parameter.KEYWORD_ONLY))
    names = [parameter.name for parameter in parameters]
    clashes = {name for name in names if names.count(name) > 1}
    if clashes:
        raise TypeError(f"two settings of {command.__name__} share the name {', '.join(clashes)}")

    @functools.wraps(command)
    def call(**given: Any) -> Any:
        named = _preset(given.get("preset") or "", given.get("backbone"))
        for parameter, (model, settings) in models.items():
            chosen = {}
            for setting in settings:
                value = given.pop(setting.name)
                if value is not None and value != []:
                    chosen[setting.name] = mapping(setting.name, value) if setting.many is dict else value
            given[parameter] = validated(model, named.get(model, {}) | chosen)
        return command(**given)

    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call


def _preset(name: str, backbone: str | None) -> Mapping[type[Settings], dict[str, Any]]:
    if not name:
        return {}
    if name not in DESCRIPTIONS:
        raise SettingsError(
            f"There is no preset '{name}'", where="--preset", remedy=f"Choose {', '.join(DESCRIPTIONS)}."
        )
    values = preset(name, backbone or "bundled")
    return {model: values[part] for part, model in PARTS.items()}


def _option(setting: Setting, group: str) -> inspect.Parameter:
    notes = [setting.help]
    if setting.many is dict:
        notes.append("Give the option once for each pair.")
    if setting.choices:
        notes.append(f"One of: {', '.join(setting.choices)}.")
    if not setting.empty:
        shown = ("yes" if setting.default else "no") if setting.kind is bool else setting.default
        notes.append(f"Default: {shown} {setting.unit}".rstrip() + ".")
    annotation: Any = list[str] if setting.many else setting.kind
    panel = group.split("\n")[0].split(" (")[0].rstrip(".:") + (" (advanced)" if setting.advanced else "")
    option = typer.Option(None, help=" ".join(notes), show_default=False, rich_help_panel=panel)
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(setting.name, kind, default=option, annotation=annotation | None)


def mapping(name: str, pairs: list[str]) -> dict[str, str]:
    """Return key -> value of an option that is given once for each pair ``key=value``.

    Raises
    ------
    SettingsError
        If one is of another form, or several are written as one.
    """
    found = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        where = f"--{name.replace('_', '-')}"
        if not sign or not key.strip():
            raise SettingsError(f"'{pair}' is not of the form key=value", where=where, remedy="Write 1=bad, say.")
        if "=" in value.partition(",")[2]:
            again = " ".join(f"{where} {part.strip()}" for part in pair.split(","))
            raise SettingsError(
                f"'{pair}' holds more than one pair",
                where=where,
                remedy=f"Give the option once for each pair: {again}.",
            )
        found[key.strip()] = value.strip()
    return found
