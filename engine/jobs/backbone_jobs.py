"""Jobs that end with a backbone: fetch one, or pre-train one."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from engine.events import Finished
from engine.jobs.job import Job
from engine.jobs.session import Session
from engine.settings import BackboneSettings, PretrainBackboneSettings
from engine.stage import Stage, StopToken


class BackboneJob(Job):
    """Load a backbone, fetching it first if need be."""

    stage = "backbone"
    backbone: BackboneSettings = Field(default_factory=BackboneSettings)

    def run(self, session: Session, folder: Path, stop: StopToken) -> Stage:
        backbone = yield from session.backbone(self.backbone)
        facts = {"name": backbone.identity.name, "parameters": backbone.parameters, "width": backbone.width}
        yield Finished(str(folder), "completed", {**facts, "device": str(backbone.device)})


class PretrainBackboneJob(Job):
    """Pre-train a T5 of one's own."""

    stage = "pretrain-backbone"
    settings: PretrainBackboneSettings

    def run(self, session: Session, folder: Path, stop: StopToken) -> Stage:
        from engine.backbones.load import load_backbone
        from engine.pretraining.stage import pretrain_backbone
        from engine.pretraining.text import prepare_text

        teacher = session.sentence_encoder(self.settings.device)
        text = yield from prepare_text(self.settings, folder / "prepared", teacher=teacher, stop=stop)
        if text is None:
            yield Finished(str(folder), "stopped")
            return
        start = None
        if self.settings.start:
            chosen = BackboneSettings(backbone=self.settings.start, device="cpu", precision="float32")
            start = (yield from load_backbone(chosen)).model
        yield from pretrain_backbone(text, start, folder, self.settings, teacher=teacher, stop=stop)
