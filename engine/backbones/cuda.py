"""CUDA GPUs: which of them this torch can use, why one cannot be used, and what is set before one is."""

from __future__ import annotations

import shutil
import subprocess
import sys

import torch

SPARED = 0.05
"""Share of a GPU's memory that is left to others on Windows."""


def usable_gpus() -> list[int]:
    """Return the numbers of the GPUs that this torch has kernels for."""
    if not torch.cuda.is_available():
        return []
    return [number for number in range(torch.cuda.device_count()) if has_kernels(number)]


def has_kernels(number: int) -> bool:
    """Whether this torch was built for GPUs like that one; each of its wheels leaves some generations out.

    Machine code serves the GPUs of its generation that are not older than it, and intermediate code all newer ones.
    """
    built_for = torch.cuda.get_arch_list()
    if torch.version.cuda is None or not built_for:
        return True  # another maker's: not told
    major, minor = torch.cuda.get_device_capability(number)
    for name in built_for:
        kind, _, version = name.rstrip("af").partition("_")
        built = int(version)
        if built <= 10 * major + minor and (kind == "compute" or built // 10 == major):
            return True
    return False


def why_unusable() -> str:
    """Return a sentence that says what to do about GPUs that the driver reports and torch cannot use."""
    other = "pip uninstall torch, then pip install torch --index-url with the address that pytorch.org gives for "
    if torch.version.cuda is None:
        return f"A GPU was found, but this torch is CPU-only. To use it: {other}your CUDA version."
    if torch.cuda.is_available():
        return (
            f"A GPU was found, but this torch (for CUDA {torch.version.cuda}) has no kernels for its generation. To "
            f"use it: {other}an older CUDA version; 12.6 serves the oldest GPUs."
        )
    return (
        f"A GPU was found, but its driver does not serve CUDA {torch.version.cuda}, which this torch is made for, or "
        f"CUDA_VISIBLE_DEVICES hides it. To use it: update the driver, or {other}an older CUDA version."
    )


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
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # a console would flash up on Windows
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]


def prepare(device: torch.device) -> None:
    """Set what holds for all work on a GPU, before a model comes onto it.

    cuDNN's attention, which newer builds prefer on data-centre GPUs, makes a plan for every new shape of a batch, and
    there are many; the other kernels need none. On Windows the driver would lend the computer's memory to whoever asks
    for more than the GPU has: many times as slow, and nobody would be told to take less at a time.
    """
    torch.backends.cuda.enable_cudnn_sdp(False)
    if sys.platform == "win32":
        index = torch.cuda.current_device() if device.index is None else device.index
        free, total = torch.cuda.mem_get_info(index)
        held = torch.cuda.memory_reserved(index)
        torch.cuda.set_per_process_memory_fraction(max(0.1, min(1.0, (free + held) / total - SPARED)), index)
