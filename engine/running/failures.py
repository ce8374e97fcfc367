"""Errors as events and back: an exception does not cross a pipe, its sentences do."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

from engine import errors
from engine.errors import DeviceError, DeviceLostError, EngineProcessError, MetaPTError, storage_error, system_error
from engine.events import Failed


def failed(error: Exception, where: Path | None = None, *, step: int | None = None) -> Failed:
    """Return the event for an error; one that nobody foresaw is a bug, and carries its traceback.

    Parameters
    ----------
    where
        The folder of the run.
    step
        Of the run's last checkpoint, if it has one.
    """
    told = error if isinstance(error, MetaPTError) else _explained(error, where, step)
    if told is not None:
        details = told.details if isinstance(told, EngineProcessError) else ""
        return Failed(type(told).__name__, told.what, told.where, told.remedy, details)
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


def _explained(error: Exception, where: Path | None, step: int | None) -> MetaPTError | None:
    """Return the sentence for what disk, memory or device did to a stage; ``None`` if it was none of them."""
    told = system_error(error)
    if told is not None:
        return storage_error(told, told.filename or where)
    if isinstance(error, MemoryError):
        return _exhausted("the computer", where)
    if not isinstance(error, RuntimeError) or "torch" not in sys.modules:
        return None
    from engine.backbones.memory import is_device_lost, is_out_of_memory

    if is_out_of_memory(error):
        return _exhausted("the device", where)
    if is_device_lost(error):
        reached = "from the beginning" if step is None else f"from its last checkpoint, at step {step:,}"
        return DeviceLostError(
            f"The device was lost ({str(error).splitlines()[0][:200]})",
            where=where,
            remedy=f"Resume the run: it goes on {reached}. If it happens again, restart the computer, or choose the "
            "device cpu.",
        )
    return None


def _exhausted(whose: str, where: Path | None) -> DeviceError:
    return DeviceError(
        f"The memory of {whose} is exhausted",
        where=where,
        remedy="Close other programs, choose smaller settings or a smaller model, and run it again.",
    )
