"""Devices and precision: what the person asked for, what the machine has."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
import torch

from engine.backbones.cuda import has_kernels, nvidia_gpus, prepare, usable_gpus, why_unusable
from engine.errors import DeviceError

CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class DeviceInfo:
    """A device that torch can use; ``memory`` in bytes, ``None`` where it shares the computer's."""

    name: str
    description: str
    memory: int | None


def resolve_device(name: str) -> torch.device:
    """Return the device for ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``, made ready for use.

    Raises
    ------
    DeviceError
        If the machine has no such device, or torch cannot use it.
    """
    device = _fastest() if name == "auto" else _named(name)
    if device.type == "cuda":
        prepare(device)
    return device


def _fastest() -> torch.device:
    for number in usable_gpus():
        return torch.device("cuda", number)
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _named(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"'{name}' is not a device", remedy="Use auto, cpu, cuda, cuda:1 or mps.") from error
    if device.type == "cuda":
        if not torch.cuda.is_available():
            remedy = why_unusable() if nvidia_gpus() else "Choose auto or cpu."
            raise DeviceError("There is no CUDA GPU that torch can use", where=f"device {name}", remedy=remedy)
        if device.index is not None and device.index >= torch.cuda.device_count():
            raise DeviceError(
                f"There is no GPU number {device.index}",
                where=f"device {name}",
                remedy=f"This machine has {torch.cuda.device_count()}, counted from 0.",
            )
        if not has_kernels(device.index or 0):
            raise DeviceError("This torch has no kernels for the GPU", where=f"device {name}", remedy=why_unusable())
    elif device.type == "mps":
        if not torch.backends.mps.is_available():
            raise DeviceError("There is no Apple GPU that torch can use", where=f"device {name}", remedy="Choose auto.")
    elif device.type != "cpu":
        raise DeviceError(f"'{name}' is not a device that MetaPT runs on", remedy="Use auto, cpu, cuda, cuda:1 or mps.")
    return device


def resolve_precision(name: Literal["auto", "float32", "bfloat16"], device: torch.device) -> torch.dtype:
    """Return the dtype to multiply in; ``auto`` is bfloat16 where the device has instructions for it, else float32."""
    if name == "auto":
        return torch.bfloat16 if multiplies_bfloat16(device) else torch.float32
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for products of bfloat16 matrices, which make them faster than float32."""
    if device.type == "cpu":
        # Asked and not measured: a busy machine must not choose otherwise when a run is resumed.
        has: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # torch 2.10
        return bool(has.get("avx512_bf16") or has.get("amx_bf16"))
    if device.type != "cuda":
        return False
    with torch.cuda.device(device):  # the question is about the present one
        return torch.cuda.is_bf16_supported(including_emulation=False)


def multiply_rate(device: torch.device, precision: torch.dtype, size: int | None = None, seconds: float = 0.1) -> float:
    """Measure how many floating-point operations a second the device does in products of square matrices.

    ``size`` is their width; ``None``: what keeps the device busy. A GPU is waited for once, at the end.
    """
    width = size or (1024 if device.type == "cpu" else 8192)
    left, right = (torch.randn(width, width, device=device).to(precision) for _ in range(2))
    for _ in range(2):  # find the kernel and warm up
        _multiply(left, right, 1)
    many = 1
    while True:
        elapsed = _multiply(left, right, many)
        if elapsed >= seconds:
            return 2 * width**3 * many / elapsed
        many = max(2 * many, round(1.2 * many * seconds / elapsed))


def _multiply(left: torch.Tensor, right: torch.Tensor, many: int) -> float:
    """Return how many seconds so many products take."""
    began = time.perf_counter()
    for _ in range(many):
        product = left @ right
    float(product[0, 0])  # waits for a GPU
    return time.perf_counter() - began


def available_devices() -> list[DeviceInfo]:
    """Return the devices that torch can use here, the fastest first."""
    found = []
    for index in usable_gpus():
        properties = torch.cuda.get_device_properties(index)
        found.append(DeviceInfo(f"cuda:{index}", properties.name, properties.total_memory))
    if torch.backends.mps.is_available():
        found.append(DeviceInfo("mps", "Apple GPU", None))
    found.append(DeviceInfo("cpu", f"threads: {torch.get_num_threads()}", None))
    return found


def available_memory() -> int:
    """Return the bytes of memory that may still be taken: what is free, or less where a container has a limit."""
    free = int(psutil.virtual_memory().available)
    with contextlib.suppress(OSError, ValueError):  # no such files, or "max": no limit
        limit = int((CGROUP / "memory.max").read_text())
        used = int((CGROUP / "memory.current").read_text())
        with contextlib.suppress(OSError, ValueError):  # files that were read stay in memory until it is wanted
            kept = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
            used -= sum(int(kept.get(f"{state}_file", 0)) for state in ("active", "inactive"))
        free = min(free, max(0, limit - max(0, used)))
    return free
