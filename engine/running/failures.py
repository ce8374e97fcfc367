"""Errors as events and back: an exception does not cross a pipe, its sentences do."""

from __future__ import annotations

import traceback
from pathlib import Path

from engine import errors
from engine.errors import EngineProcessError, MetaPTError
from engine.events import Failed


def failed(error: Exception, where: Path | None = None) -> Failed:
    """Return the event for an error; one that is not the project's own is a bug, and carries its traceback."""
    if isinstance(error, MetaPTError):
        details = error.details if isinstance(error, EngineProcessError) else ""
        return Failed(type(error).__name__, error.what, error.where, error.remedy, details)
    return Failed(
        EngineProcessError.__name__,
        f"Something went wrong inside MetaPT ({type(error).__name__}: {str(error)[:300]})",
        None if where is None else str(where),
        "Please report it with the details; nothing that was saved before is lost.",
        "".join(traceback.format_exception(error)),
    )


def error_from(event: Failed) -> MetaPTError:
    """Return the error that a `Failed` event tells of."""
    kind = getattr(errors, event.error, MetaPTError)
    made: MetaPTError = kind(event.what, where=event.where, remedy=event.remedy)
    if isinstance(made, EngineProcessError):
        made.details = event.details
    return made
