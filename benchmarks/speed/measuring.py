"""Seconds, memory and the share of the processor's rate, of both sides of a case."""

from __future__ import annotations

import multiprocessing
import resource as system
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed.cases import CASES, MEMORY, Case, Setting
from engine.backbones.devices import multiply_rate


def seconds(run: Callable[[], Any]) -> float:
    """Return how long ``run`` takes, its kernels on the GPUs included."""
    began = time.perf_counter()
    run()
    for number in range(torch.cuda.device_count()):
        torch.cuda.synchronize(number)
    return time.perf_counter() - began


def compared(case: Case, repeats: int) -> dict[str, Any]:
    """Time the sides in turn (ours, theirs, ours ...): medians, spreads, and the median of the neighbours' ratios."""
    sides = {"ours": case.ours, "theirs": case.theirs, "careful": case.careful}
    times: dict[str, list[float]] = {name: [] for name, side in sides.items() if side is not None}
    if case.careful is not None:
        case.careful()  # the others have run once, when their results were compared
    for _ in range(repeats):
        for name in times:
            times[name].append(seconds(sides[name]))
    found: dict[str, Any] = {"repeats": repeats}
    for name, taken in times.items():
        found[f"{name}_seconds"] = round(statistics.median(taken), 4)
        found[f"{name}_spread"] = round(max(taken) - min(taken), 4)
    for name, key in (("theirs", "ratio"), ("careful", "careful_ratio")):
        if name in times:
            ratios = [their / our for our, their in zip(times["ours"], times[name], strict=True)]
            found[key] = round(statistics.median(ratios), 3)
    return found


def counted(run: Callable[[], Any]) -> tuple[Any, int]:
    """Return what ``run`` returns, and the operations that torch counts: matrix products and the attention it knows.

    It counts in the thread that asks it to, so everything is done in that one.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with FlopCounterMode(display=False) as counter:
            result = run()
    finally:
        torch.set_num_threads(threads)
    return result, int(counter.get_total_flops())


def matrix_rates(device: torch.device) -> dict[str, float]:
    """Return the measured rates of matrix multiplication, operations a second: the best of five tries."""
    return {
        str(dtype): max(multiply_rate(device, dtype) for _ in range(5)) for dtype in (torch.float32, torch.bfloat16)
    }


def peak_memory(name: str, setting: Setting) -> dict[str, int]:
    """Return megabytes: the most that a process of its own held, made for the case, then running one side once."""
    context = multiprocessing.get_context("spawn")
    found = {}
    for side in ("ours", "theirs"):
        with ProcessPoolExecutor(1, mp_context=context) as child:
            own = replace(setting, folder=setting.folder / MEMORY / side)
            before, after = child.submit(_peak, name, side, own).result()
        found[f"{side}_peak_mb"], found[f"{side}_before_mb"] = after, before
    return found


def _peak(name: str, side: str, setting: Setting) -> tuple[int, int]:
    setting.folder.mkdir(parents=True, exist_ok=True)
    case = CASES[name].make(setting)
    before = _resident()
    if setting.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(setting.device)
        held = torch.cuda.memory_allocated(setting.device)
    getattr(case, side)()
    if setting.device.type == "cuda" and torch.cuda.max_memory_allocated(setting.device):
        return round(held / 2**20), round(torch.cuda.max_memory_allocated(setting.device) / 2**20)
    return before, _resident()


def _resident() -> int:
    """Megabytes of the most that this process has held.

    Linux hands ``ru_maxrss`` on to a child, so that it would be the parent's; what it writes into ``/proc`` is not.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return round(int(line.split()[1]) / 1024)
    return round(system.getrusage(system.RUSAGE_SELF).ru_maxrss / 1024)
