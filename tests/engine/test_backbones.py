"""Where backbones come from, and what is said when they cannot be had."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from loading import load
from transformers import T5ForConditionalGeneration

from engine.backbones import cuda, devices
from engine.backbones.devices import available_devices, resolve_device, resolve_precision
from engine.backbones.hub import fetch_from_hub
from engine.backbones.library_errors import library_errors
from engine.backbones.load import load_backbone
from engine.errors import BackboneError, DeviceError, StorageError
from engine.events import Progress
from engine.jobs import BackboneJob
from engine.jobs.session import Session
from engine.running.perform import perform
from engine.settings import BackboneSettings
from engine.stage import StopToken, result_of


def test_the_bundled_backbone_knows_its_words_and_every_default_word_is_one_token():
    from engine.prompting.verbalizer import make_verbalizer
    from engine.words import PAPER_WORDS

    backbone = result_of(load_backbone(BackboneSettings(device="cpu", precision="float32")))
    for classes in PAPER_WORDS:
        names = tuple(str(number) for number in range(classes))
        assert make_verbalizer(names, {}, backbone.tokenizer).single_tokens
    assert not any(weight.requires_grad for weight in backbone.model.parameters())
    assert not backbone.model.training
    assert {weight.dtype for weight in backbone.model.parameters()} == {torch.float32}


def test_identity_is_the_same_for_a_copy_and_another_for_other_weights(tiny_t5, other_tiny_t5, tmp_path):
    shutil.copytree(tiny_t5, tmp_path / "copy")
    first, copy, other = (load(folder).identity for folder in (tiny_t5, tmp_path / "copy", other_tiny_t5))
    assert first.same_model(copy)
    assert first.name != copy.name
    assert not first.same_model(other)
    assert first.config_hash == other.config_hash


@pytest.fixture
def copy(tiny_t5: Path, tmp_path: Path) -> Path:
    shutil.copytree(tiny_t5, tmp_path / "t5")
    return tmp_path / "t5"


def _refused(folder: Path, words: str) -> None:
    with pytest.raises(BackboneError, match=words):
        load(folder)


def test_folders_that_are_no_backbone(copy, tmp_path):
    _refused(tmp_path / "nowhere" / "at" / "all", "no such backbone folder")
    (tmp_path / "empty").mkdir()
    _refused(tmp_path / "empty", r"no config\.json")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))
    _refused(copy, "type 'bert', not a T5")
    (copy / "config.json").write_text("{")
    _refused(copy, "cannot be loaded")


def test_weights_that_are_damaged_missing_or_pickled(copy):
    weights = copy / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    _refused(copy, "cannot be loaded")
    weights.unlink()
    (copy / "pytorch_model.bin").write_bytes(b"pickle")
    _refused(copy, r"no \.safetensors file")


def test_what_no_new_copy_would_mend_is_told_as_what_it_is(copy, monkeypatch):
    """An exhausted memory is not a damaged folder, and a list that cannot be read is named."""
    memory = MemoryError(), torch.OutOfMemoryError("CUDA out of memory")
    for error in (*memory, RuntimeError("CUDA error"), StorageError("It is damaged"), KeyboardInterrupt()):
        with pytest.raises(type(error)), library_errors("The model", where="here", remedy="Fetch it again."):
            raise error

    def exhausted(*_: object, **__: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(T5ForConditionalGeneration, "from_pretrained", exhausted)
        with pytest.raises(MemoryError):
            load(copy)
    (copy / "model.safetensors.index.json").write_text("{")
    with pytest.raises(StorageError, match=r"not JSON.*index\.json"):
        load(copy)


def test_weights_that_lack_parts(copy):
    from safetensors.torch import load_file, save_file

    weights = load_file(copy / "model.safetensors")
    del weights["encoder.final_layer_norm.weight"]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    _refused(copy, r"lack 1 parts, such as encoder\.final_layer_norm\.weight")


def test_a_folder_with_spiece_model_only_loads(copy):
    from resources import BUNDLED_BACKBONE, resource

    (copy / "tokenizer.json").unlink()
    bundled = resource("backbones", BUNDLED_BACKBONE)
    shutil.copy(bundled / "spiece.model", copy)
    text = "A Good soup, ÄNOTHER <extra_id_0>!"
    assert load(copy).tokenizer(text).input_ids == load(bundled).tokenizer(text).input_ids


# The hub, without a network -------------------------------------------------------------------------------------------


def test_offline_names_are_refused_with_a_sentence():
    with pytest.raises(BackboneError, match="network is switched off"):
        result_of(fetch_from_hub("google-t5/t5-base", offline=True))
    with pytest.raises(BackboneError, match="neither a folder nor a name"):
        result_of(fetch_from_hub("not a name!", offline=True))


@pytest.fixture
def fake_hub(monkeypatch: pytest.MonkeyPatch, tiny_t5: Path):
    """A hub whose download reports 40 chunks of 25 bytes and then hands over the tiny T5 (or fails)."""
    import time
    from types import SimpleNamespace

    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    state = {"chunks": 0, "fail": False, "local": None}

    def snapshot_download(name, *, local_files_only=False, dry_run=False, tqdm_class=None, **_):
        if local_files_only:
            if state["local"] is None:
                raise LocalEntryNotFoundError("not there")
            return str(state["local"])
        if dry_run:
            return [
                SimpleNamespace(file_size=1000, will_download=True),
                SimpleNamespace(file_size=5, will_download=False),
            ]
        bar = tqdm_class(unit="B", total=1000)
        for _ in range(40):
            time.sleep(0.02)
            if state["fail"]:
                raise ConnectionError("cable pulled")
            bar.update(25)
            state["chunks"] += 1
        return str(tiny_t5)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    return state


@pytest.mark.parametrize("name", ["~nosuchuser/t5", "x" * 300])
def test_a_name_that_no_folder_can_have_is_a_sentence(name):
    with pytest.raises(BackboneError, match="There is no such backbone folder"):
        result_of(load_backbone(BackboneSettings(backbone=name, device="cpu", offline=True)))


def test_a_download_shows_its_bytes(fake_hub):
    names = []

    def whole():
        loaded = yield from load_backbone(BackboneSettings(backbone="somebody/tiny-t5", device="cpu"))
        names.append(loaded.identity.name)

    events = list(whole())
    assert names == ["somebody/tiny-t5"]
    shown = [event for event in events if isinstance(event, Progress)]
    assert shown[-1].total == 1000
    assert 0 < shown[-1].done <= 1000
    assert shown[-1].unit == "bytes"


def test_a_download_can_be_cancelled(fake_hub):
    import time

    part = fetch_from_hub("somebody/tiny-t5", offline=False)
    next(part)
    part.close()
    time.sleep(0.1)
    reached = fake_hub["chunks"]
    time.sleep(0.2)
    assert fake_hub["chunks"] == reached < 40


def test_a_job_that_is_stopped_ends_its_download(fake_hub, tmp_path):
    job, stop, seen = BackboneJob(backbone=BackboneSettings(backbone="somebody/tiny-t5", device="cpu")), StopToken(), 0
    for event in perform(job, tmp_path / "run", Session(), stop):
        if isinstance(event, Progress):
            seen += 1
            stop.request()
    assert (seen, event.outcome) == (1, "stopped")
    assert fake_hub["chunks"] < 40


def test_a_download_that_fails_is_a_sentence(fake_hub):
    fake_hub["fail"] = True
    with pytest.raises(BackboneError, match=r"could not be fetched from the hub \(ConnectionError\)"):
        result_of(fetch_from_hub("somebody/tiny-t5", offline=False))


@pytest.mark.parametrize("part", ["tokenizer", "no configuration", "one of two shards", "a damaged list"])
def test_a_model_that_is_here_in_part_is_fetched(fake_hub, tmp_path, tiny_t5, part):
    local = tmp_path / "snapshot"
    local.mkdir()
    fake_hub["local"] = local
    (local / "tokenizer.json").write_text("{}")
    if part != "no configuration":
        (local / "config.json").write_text("{}")
    if part != "tokenizer":
        (local / "model-1.safetensors").touch()
    if part == "one of two shards":
        shards = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
        (local / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    elif part == "a damaged list":
        (local / "model.safetensors.index.json").write_text("[")
    with pytest.raises(BackboneError, match="Only a part of the model is on this computer and the network is switched"):
        result_of(fetch_from_hub("somebody/tiny-t5", offline=True))
    assert result_of(fetch_from_hub("somebody/tiny-t5", offline=False)) == tiny_t5
    assert fake_hub["chunks"] == 40


def test_a_model_that_is_here_is_not_fetched(fake_hub, tmp_path):
    for name in ("config.json", "model-1.safetensors", "model-2.safetensors"):
        (tmp_path / name).touch()
    shards = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    fake_hub["local"] = tmp_path
    assert result_of(fetch_from_hub("somebody/tiny-t5", offline=True)) == tmp_path
    assert result_of(fetch_from_hub("somebody/tiny-t5", offline=False)) == tmp_path
    assert fake_hub["chunks"] == 0


# Devices --------------------------------------------------------------------------------------------------------------


def test_devices_that_are_not_there(monkeypatch):
    with pytest.raises(DeviceError, match="is not a device"):
        resolve_device("toaster")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_device("auto").type == "cpu"
    monkeypatch.setattr(devices, "nvidia_gpus", list)
    with pytest.raises(DeviceError, match="Choose auto or cpu"):
        resolve_device("cuda")
    monkeypatch.setattr(devices, "nvidia_gpus", lambda: ["NVIDIA X"])
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(DeviceError, match="this torch is CPU-only"):
        resolve_device("cuda")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with pytest.raises(DeviceError, match=r"driver does not serve CUDA 13\.0"):
        resolve_device("cuda")
    with pytest.raises(DeviceError, match="Apple"):
        resolve_device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(cuda, "has_kernels", lambda number: True)
    with pytest.raises(DeviceError, match="no GPU number 3"):
        resolve_device("cuda:3")
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: not including_emulation)
    assert resolve_precision("auto", torch.device("cuda")) is torch.bfloat16
    assert resolve_precision("bfloat16", torch.device("cpu")) is torch.bfloat16


@pytest.mark.parametrize(
    ("built_for", "usable"),
    [
        (["sm_75", "sm_80", "sm_90"], {(7, 5), (8, 0), (8, 6), (8, 9), (9, 0)}),
        (["sm_86", "compute_86"], {(8, 6), (8, 9), (9, 0), (12, 0)}),
        (["sm_50", "sm_90a", "compute_120"], {(6, 1), (9, 0), (12, 0)} - {(6, 1)}),
    ],
)
def test_a_gpu_that_torch_has_no_kernels_for_is_not_chosen(monkeypatch, built_for, usable):
    """A card that is too old for the installed wheel stands first; what is chosen is one that works, or the CPU."""
    cards = [(6, 1), (7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (12, 0)]
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(cards))
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: built_for)
    monkeypatch.setattr(torch.cuda, "get_device_capability", cards.__getitem__)
    monkeypatch.setattr(devices, "nvidia_gpus", lambda: ["NVIDIA X"])
    assert {cards[number] for number in cuda.usable_gpus()} == usable
    assert cards[resolve_device("auto").index] == min(usable)
    with pytest.raises(DeviceError, match=r"no kernels .* CUDA 13\.0"):
        resolve_device("cuda:0")
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_100"])
    assert resolve_device("auto").type in ("cpu", "mps")


def test_what_is_set_before_a_gpu_is_used(monkeypatch):
    before, set_to = torch.backends.cuda.cudnn_sdp_enabled(), []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (6 << 30, 8 << 30))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda index: 1 << 30)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda *values: set_to.append(values))
    try:
        cuda.prepare(torch.device("cuda:1"))
        assert not torch.backends.cuda.cudnn_sdp_enabled()
        assert not set_to, "Linux says by itself when a GPU is full"
        monkeypatch.setattr(cuda.sys, "platform", "win32")
        cuda.prepare(torch.device("cuda:1"))
        assert set_to == [(7 / 8 - cuda.SPARED, 1)]
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)


def test_available_devices_end_with_the_cpu():
    assert available_devices()[-1].name == "cpu"


def test_the_rate_of_multiplication_is_measured():
    cpu = torch.device("cpu")
    rate = devices.multiply_rate(cpu, torch.float32, size=256, seconds=0.01)
    assert 1e8 < rate < 1e14


@pytest.mark.parametrize("has", [{}, {"avx512_bf16": True}, {"amx_bf16": True}, {"avx512_bf16": False, "avx2": True}])
def test_auto_computes_in_bfloat16_where_the_processor_has_it(monkeypatch, has):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has, raising=False)
    expected = torch.bfloat16 if any(has.get(name) for name in ("avx512_bf16", "amx_bf16")) else torch.float32
    assert resolve_precision("auto", torch.device("cpu")) is expected
    assert resolve_precision("float32", torch.device("cpu")) is torch.float32
