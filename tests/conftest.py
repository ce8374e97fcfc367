"""Fixtures of all tests: everything offline, small backbones that the tests make themselves."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
if "PYTEST_XDIST_WORKER" in os.environ:  # the workers share the cores: one thread each
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from loading import load

from engine.settings import PromptSettings

# Qt needs libraries of the system (libEGL on Linux). Where they are missing, the tests of the window are left out and
# the header says so; pytest-qt is loaded here and not by its entry point, so that all the others run.
try:
    import PySide6.QtWidgets  # noqa: F401
except ImportError as _error:
    QT_PROBLEM = str(_error)
    collect_ignore = ["gui"]
else:
    QT_PROBLEM = ""
    pytest_plugins = ["pytestqt.plugin"]


def pytest_report_header() -> str:
    """Say whether the window is tested."""
    return f"The tests of the window are left out: {QT_PROBLEM}" if QT_PROBLEM else "The window is tested offscreen."


@pytest.fixture(scope="session")
def tiny_t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a T5 of 0.4M random weights and the bundled tokenizer."""
    return _make_t5(tmp_path_factory.mktemp("tiny-t5"), seed=0)


@pytest.fixture(scope="session")
def other_tiny_t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same shape with other weights."""
    return _make_t5(tmp_path_factory.mktemp("other-tiny-t5"), seed=1)


def _make_t5(folder: Path, seed: int, **changes: object) -> Path:
    import torch
    from transformers import AutoTokenizer, T5Config, T5ForConditionalGeneration

    from resources import BUNDLED_BACKBONE, resource

    tokenizer = AutoTokenizer.from_pretrained(resource("backbones", BUNDLED_BACKBONE))
    torch.manual_seed(seed)
    shape = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 4}
    config = T5Config(vocab_size=12128, decoder_start_token_id=0, **(shape | changes))
    model = T5ForConditionalGeneration(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def fork_server(tiny_t5: Path) -> None:
    """The server that processes are forked from (`forking`)."""
    import forking

    forking.start_server(tiny_t5)


@pytest.fixture(scope="session")
def make_t5() -> Callable[..., Path]:
    """Make a T5 folder: ``make_t5(folder, seed, **config)``."""
    return _make_t5


@pytest.fixture(scope="session")
def smooth_tiny_t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with GELU: with ReLU the inner gradient jumps, and finite differences see the jumps."""
    return _make_t5(tmp_path_factory.mktemp("smooth-tiny-t5"), seed=0, feed_forward_proj="gelu")


@pytest.fixture
def backbone(tiny_t5: Path):
    """The tiny T5, loaded in float32 on the CPU."""
    return load(tiny_t5)


@pytest.fixture
def make_scorer(request: pytest.FixtureRequest):
    """Make a scorer for classes ``0..C-1`` with the paper's words, on the tiny T5 or on ``float64_backbone``."""
    name = "float64_backbone" if "float64_backbone" in request.fixturenames else "backbone"
    backbone = request.getfixturevalue(name)
    from engine.prompting.scorer import PromptScorer
    from engine.prompting.verbalizer import make_verbalizer

    def make(classes: int = 5, words: dict[str, str] | None = None, **settings: object) -> PromptScorer:
        names = tuple(str(number) for number in range(classes))
        chosen = PromptSettings(**({"soft_tokens": 4, "text_tokens": 32} | settings))
        return PromptScorer(backbone, make_verbalizer(names, words or {}, backbone.tokenizer), chosen)

    return make


@pytest.fixture
def make_examples():
    """Make labelled examples whose texts tell their class: ``make_examples(scorer, rows)``."""
    from engine.training.examples import Examples

    vocabulary = [
        "awful cold broken rude",
        "weak slow dull",
        "plain usual table",
        "nice warm fresh",
        "superb lovely best",
    ]

    def make(scorer, rows: int = 60, seed: int = 0) -> Examples:
        random = np.random.default_rng(seed)
        classes = len(scorer.verbalizer.classes)
        labels = np.arange(rows) % classes
        texts = []
        for label in labels:
            words = vocabulary[label * len(vocabulary) // classes].split()
            texts.append(" ".join(random.choice(words, random.integers(2, 9))))
        return Examples(scorer.template.encode(texts), labels.astype(np.int64))

    return make


@pytest.fixture
def float64_backbone(smooth_tiny_t5: Path, monkeypatch: pytest.MonkeyPatch):
    """A smooth tiny T5 in float64 throughout; transformers' T5LayerNorm would compute its variance in float32."""
    from transformers.models.t5.modeling_t5 import T5LayerNorm

    def forward(self, states):
        variance = states.pow(2).mean(-1, keepdim=True)
        return self.weight * (states * (variance + self.variance_epsilon).rsqrt())

    monkeypatch.setattr(T5LayerNorm, "forward", forward)
    backbone = load(smooth_tiny_t5)
    backbone.model.double()
    return backbone
