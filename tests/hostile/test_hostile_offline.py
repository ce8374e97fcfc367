"""The network is touched only when a person asks for a model of the hub, and never in offline mode."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hostile import seeds

from engine.errors import BackboneError
from engine.events import Finished
from engine.settings import AnnotateSettings, BackboneSettings, ClusterSettings, ImportSettings, PromptSettings
from engine.stage import StopToken, result_of

ROOT = Path(__file__).parents[2]


class Touched(AssertionError):
    """The network was touched."""


@pytest.fixture(autouse=True)
def touched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Fail on any socket; also tell of those whose error somebody swallowed."""
    found: list[str] = []

    def refuse(*arguments: object, **options: object) -> None:
        found.append(f"{arguments!r:.200}")
        raise Touched(f"the network was touched: {arguments!r:.200}")

    for name in ("connect", "connect_ex", "sendto", "bind"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    return found


def test_the_trap_works(touched: list[str]) -> None:
    with pytest.raises(Touched):
        socket.create_connection(("127.0.0.1", 9))
    with pytest.raises(Touched), socket.socket() as one:
        one.connect(("127.0.0.1", 9))
    assert len(touched) == 2


def test_the_whole_way_needs_no_network(tmp_path: Path, touched: list[str]) -> None:
    """Import, embed, group, load a backbone, classify a file, export: not one socket."""
    import torch

    from engine.backbones.load import load_backbone
    from engine.clustering.stage import cluster
    from engine.corpus.store import Corpus
    from engine.embedding.sentence_bert import SentenceEncoder
    from engine.evaluation.prediction import predict_files
    from engine.prompting.prompt_file import Prompt, load_prompt, save_peft, save_prompt

    corpus = Corpus.open(seeds.make_corpus(tmp_path / "corpus"))
    encoder = SentenceEncoder(device="cpu")
    grouping = ClusterSettings(clusters=2, projection="pca")
    list(cluster(corpus, tmp_path / "groups", grouping, encoder=encoder, cache=tmp_path / "cache", stop=StopToken()))
    folder = seeds.make_backbone(tmp_path / "t5")
    backbone = result_of(load_backbone(BackboneSettings(backbone=str(folder), device="cpu", precision="float32")))
    pieces = [piece for piece in backbone.tokenizer.get_vocab() if piece.strip("▁").isalpha()]
    words = {str(number): piece.strip("▁") for number, piece in enumerate(pieces[:2])}
    made = Prompt(torch.zeros(4, 8), backbone.identity, {}, PromptSettings(soft_tokens=4, text_tokens=16))
    save_prompt(made, tmp_path / "p.safetensors")
    save_peft(made, tmp_path / "peft")
    load_prompt(tmp_path / "p.safetensors")
    source = tmp_path / "a.txt"
    source.write_text("soup and bread\ntea and cake\n")
    from test_hostile_formulas import FirstClass

    stage = predict_files(
        FirstClass(*words), [str(source)], tmp_path / "out.csv", ImportSettings(), tmp_path / "run",
        spreadsheet=True, stop=StopToken(),
    )  # fmt: skip
    assert isinstance(list(stage)[-1], Finished)
    assert touched == []


def test_importing_every_module_opens_nothing() -> None:
    """Also not the window's, and huggingface_hub finds its telemetry switched off."""
    code = f"""
import socket, sys, pkgutil, importlib
def refuse(*arguments, **options): raise SystemExit('touched')
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
sys.path.insert(0, {str(ROOT)!r})
import engine
for item in pkgutil.walk_packages(engine.__path__, 'engine.'):
    if not item.name.endswith('__main__'):
        importlib.import_module(item.name)
import huggingface_hub.constants as constants
assert constants.HF_HUB_DISABLE_TELEMETRY
try:
    import PySide6.QtWidgets
except ImportError:
    pass
else:
    import metapt_gui
    for item in pkgutil.walk_packages(metapt_gui.__path__, 'metapt_gui.'):
        if not item.name.endswith('__main__'):
            importlib.import_module(item.name)
    assert 'PySide6.QtNetwork' not in sys.modules
print('quiet')
"""
    environment = {
        name: value for name, value in os.environ.items() if "TELEMETRY" not in name and name != "DO_NOT_TRACK"
    }
    environment |= {"QT_QPA_PLATFORM": "offscreen"}
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=300)
    assert answer.stdout.strip().endswith("quiet"), answer.stderr[-2000:]


def test_offline_mode_refuses_a_model_of_the_hub(monkeypatch: pytest.MonkeyPatch, touched: list[str]) -> None:
    from engine.backbones.load import load_backbone

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with pytest.raises(BackboneError, match="network is switched off"):
        result_of(load_backbone(BackboneSettings(backbone="somebody/t5-of-no-one", device="cpu", offline=True)))
    assert touched == []


def test_only_a_name_of_the_hub_reaches_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.backbones.load import load_backbone

    asked = []

    def fetch(name: str, *, offline: bool):
        asked.append((name, offline))
        raise BackboneError("asked")
        yield

    monkeypatch.setattr("engine.backbones.load.fetch_from_hub", fetch)
    for name in (str(tmp_path / "nowhere"), "./nowhere", "a/b/c", "~/nowhere", "a\\b", "bundled"):
        try:
            settings = BackboneSettings(backbone=name, device="cpu")
            next(load_backbone(settings)) if name != "bundled" else None
        except (BackboneError, StopIteration):
            pass
    assert asked == []
    with pytest.raises(BackboneError, match="asked"):
        result_of(load_backbone(BackboneSettings(backbone="google-t5/t5-base", device="cpu")))
    assert asked == [("google-t5/t5-base", False)]


def test_the_annotator_obeys_offline_mode() -> None:
    assert "offline" in AnnotateSettings.model_fields
