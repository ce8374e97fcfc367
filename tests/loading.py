"""Backbones for tests, loaded without a stage around them."""

from __future__ import annotations

from pathlib import Path


def load(folder: Path):
    """Load a T5 folder in float32 on the CPU."""
    from engine.backbones.load import load_backbone
    from engine.settings import BackboneSettings
    from engine.stage import result_of

    return result_of(load_backbone(BackboneSettings(backbone=str(folder), device="cpu", precision="float32")))
