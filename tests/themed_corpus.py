"""Corpora of texts on three themes for tests, and their clustering."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from fake_encoder import FakeEncoder

from engine.clustering.stage import cluster
from engine.corpus.store import Corpus
from engine.events import Event, Metric
from engine.settings import ClusterSettings
from engine.stage import StopToken

THEMES = (
    ("soup", "waiter", "dessert", "kitchen", "menu", "chef", "table", "wine"),
    ("battery", "screen", "keyboard", "laptop", "charger", "pixels", "speaker", "cable"),
    ("goalkeeper", "referee", "stadium", "penalty", "striker", "league", "coach", "derby"),
)
CLASSES = ("bad", "good")


def themed_texts(rows: int, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Texts of four words of one of three themes, and the themes."""
    generator = np.random.default_rng(seed)
    themes = np.arange(rows) % 3
    return [" ".join(["the", *generator.choice(THEMES[theme], 4, replace=False)]) for theme in themes], themes


def start(
    corpus: Corpus, tmp_path: Path, *, encoder: FakeEncoder | None = None, stop: StopToken | None = None, **settings
):
    """Return the stage that clusters a corpus into ``run``, not begun."""
    chosen = ClusterSettings(**({"clusters": 3, "tsne_iterations": 60} | settings))
    return cluster(
        corpus,
        tmp_path / "run",
        chosen,
        encoder=encoder or FakeEncoder(),
        cache=tmp_path / "cache",
        stop=stop or StopToken(),
    )


def events_of(corpus: Corpus, tmp_path: Path, **options) -> list[Event]:
    """Cluster a corpus and return all events."""
    return list(start(corpus, tmp_path, **options))


def metrics(events: list[Event], name: str, group: str = "") -> dict[int, float]:
    """Return the values of a metric by step."""
    return {
        event.step: event.value
        for event in events
        if isinstance(event, Metric) and event.name == name and event.group == group
    }
