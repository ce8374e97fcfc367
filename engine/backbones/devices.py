"""Devices and precision: what the person asked for, what the machine has."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
import torch

from engine.errors import DeviceError

CPU_ONLY_TORCH = (
    "A GPU was found, but this torch is CPU-only. To use it: pip uninstall torch, then pip install torch --index-url "
    "with the address that pytorch.org gives for your CUDA version."
)

CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class DeviceInfo:
    """A device that torch can use; ``memory`` in bytes, ``None`` where it shares the computer's."""

    name: str
    description: str
    memory: int | None


def resolve_device(name: str) -> torch.device:
    """Return the device for ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises
    ------
    DeviceError
        If the machine has no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"'{name}' is not a device", remedy="Use auto, cpu, cuda, cuda:1 or mps.") from error
    if device.type == "cuda":
        if not torch.cuda.is_available():
            remedy = CPU_ONLY_TORCH if nvidia_gpus() else "Choose auto or cpu."
            raise DeviceError("There is no CUDA GPU that torch can use", where=f"device {name}", remedy=remedy)
        if device.index is not None and device.index >= torch.cuda.device_count():
            raise DeviceError(
                f"There is no GPU number {device.index}",
                where=f"device {name}",
                remedy=f"This machine has {torch.cuda.device_count()}, counted from 0.",
            )
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


def multiply_rate(device: torch.device, precision: torch.dtype, size: int = 1024, seconds: float = 0.1) -> float:
    """Measure how many floating-point operations a second the device does in products of square matrices."""
    left, right = (torch.ones(size, size, device=device, dtype=precision) for _ in range(2))
    done, began, elapsed = 0, 0.0, 0.0
    while elapsed < seconds:
        if done == 2:  # the first two find the kernel and warm up
            began = time.perf_counter()
        left @ right
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        done += 1
        elapsed = time.perf_counter() - began if done > 2 else 0.0
    return 2 * size**3 * (done - 2) / elapsed


def available_devices() -> list[DeviceInfo]:
    """Return the devices that torch can use here, the fastest first."""
    found = []
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        properties = torch.cuda.get_device_properties(index)
        found.append(DeviceInfo(f"cuda:{index}", properties.name, properties.total_memory))
    if torch.backends.mps.is_available():
        found.append(DeviceInfo("mps", "Apple GPU", None))
    found.append(DeviceInfo("cpu", f"threads: {torch.get_num_threads()}", None))
    return found


def nvidia_gpus() -> list[str]:
    """Return the names of NVIDIA GPUs that the driver reports, whether or not torch can use them."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        answer = subprocess.run(
            [program, "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]


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
