"""Running out of memory is met by taking less at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from engine.errors import DeviceError
from engine.events import Notice
from engine.stage import Part

Result = TypeVar("Result")
EXHAUSTED = ("out of memory", "can't allocate memory", "not enough memory", "STATUS_ALLOC_FAILED")
"""What torch says: of a GPU, of a processor on Linux and macOS, of one on Windows, and cuBLAS."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` is a device or the computer running out of memory."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and any(sign in text for sign in EXHAUSTED)


def is_device_lost(error: BaseException) -> bool:
    """Whether ``error`` says that the GPU cannot be used any more: its driver, a kernel or the machine failed."""
    if is_out_of_memory(error):
        return False
    if isinstance(error, torch.AcceleratorError):
        return True
    signs = ("CUDA error", "CUDA driver error", "MPS error")
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)


def fitting(work: Callable[[int], Result], at_a_time: int, unit: str) -> Part[tuple[Result, int]]:
    """Do ``work(at_a_time)``, and again with half as many, telling the person, whenever the memory is exhausted.

    Parameters
    ----------
    work
        Takes so many ``unit`` at a time, and must come to the same whatever the number.
    at_a_time
        What has fitted so far.
    unit
        Plural noun: ``"texts"``, ``"tasks"``.

    Returns
    -------
    result, at_a_time
        What ``work`` returned, and what fits.

    Raises
    ------
    DeviceError
        If not even one at a time fits.
    """
    while True:
        try:
            return work(at_a_time), at_a_time
        except (RuntimeError, MemoryError) as error:
            at_a_time = halved(at_a_time, error, unit)
        # Only now: the error held the frames, and they the tensors, of what did not fit.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        yield Notice(f"The memory was exhausted; {at_a_time} {unit} are taken at a time from now on.", "warning")


def halved(at_a_time: int, error: BaseException, unit: str) -> int:
    """Return half of ``at_a_time``, rounded up.

    Raises
    ------
    DeviceError
        If it is one already.
    BaseException
        ``error`` itself, if it is not about memory.
    """
    if not is_out_of_memory(error):
        raise error
    if at_a_time <= 1:
        raise DeviceError(
            f"The memory does not suffice even for one of the {unit} at a time",
            remedy="Lower the shots, the text length or the prompt length, or choose a smaller backbone.",
        ) from error
    return (at_a_time + 1) // 2
