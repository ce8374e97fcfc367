"""Sentence-BERT and the cache of its vectors."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_encoder import FakeEncoder
from second_device import SECOND, second_device

from engine.backbones import devices
from engine.embedding import cache as cache_module
from engine.embedding.cache import embed, remember
from engine.embedding.sentence_bert import SentenceEncoder, _bundled_folder
from engine.errors import BackboneError, DeviceError, StorageError
from engine.events import Notice, Progress
from engine.stage import StopToken, result_of

TEXTS = [" ".join(f"word{(7 * row + place) % 50}" for place in range(1 + row % 9)) for row in range(60)]


@pytest.fixture(autouse=True)
def every_batch_is_a_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "SLICE_SECONDS", 0.0)


def direct() -> np.ndarray:
    return FakeEncoder().encode(TEXTS)


def run(cache: Path, encoder: FakeEncoder | None = None, texts: list[str] = TEXTS, **options):
    return result_of(embed(texts, encoder or FakeEncoder(), cache, stop=options.pop("stop", StopToken()), **options))


def test_vectors_are_those_of_the_encoder_in_the_order_of_the_texts(tmp_path):
    vectors = run(tmp_path / "new" / "folder")
    np.testing.assert_array_equal(vectors, direct())
    assert isinstance(vectors, np.memmap)
    assert not vectors.flags.writeable
    assert [path.suffix for path in (tmp_path / "new" / "folder").iterdir()] == [".npy"]


def test_windows_do_not_mix_up_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(cache_module, "WINDOW", 8)
    np.testing.assert_array_equal(run(tmp_path), direct())


def test_second_call_encodes_nothing(tmp_path):
    run(tmp_path)
    encoder = FakeEncoder()
    np.testing.assert_array_equal(run(tmp_path, encoder), direct())
    assert encoder.encoded == []


@pytest.mark.parametrize(
    ("texts", "identity"),
    [(["other", *TEXTS[1:]], "fake"), (TEXTS[::-1], "fake"), (TEXTS, "another model")],
    ids=["changed text", "other order", "other encoder"],
)
def test_changed_content_has_its_own_file(tmp_path, texts, identity):
    run(tmp_path)
    encoder = FakeEncoder(identity)
    run(tmp_path, encoder, texts)
    assert len(encoder.encoded) == len(texts)
    assert len(list(tmp_path.glob("*.npy"))) == 2


def test_key_tells_texts_apart_that_join_to_the_same(tmp_path):
    run(tmp_path, texts=["ab", "c"])
    run(tmp_path, texts=["a", "bc"])
    assert len(list(tmp_path.glob("*.npy"))) == 2


def test_progress_reaches_the_total(tmp_path):
    events = list(embed(TEXTS, FakeEncoder(), tmp_path, stop=StopToken(), stage="cluster"))
    assert all(isinstance(event, Progress) and event.stage == "cluster" and event.unit == "rows" for event in events)
    assert (events[-1].done, events[-1].total) == (60, 60)
    assert events[-1].rate is not None
    assert len(events) >= 60 // 4


def test_a_kill_in_the_middle_goes_on_and_equals_the_uncut_result(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, FakeEncoder(explode_after=30))
    assert not list(tmp_path.glob("*.npy"))
    encoder = FakeEncoder()
    np.testing.assert_array_equal(run(tmp_path, encoder), direct())
    assert len(encoder.encoded) == 60 - 28  # seven whole batches of four were on disk
    assert [path.suffix for path in tmp_path.iterdir()] == [".npy"]


def test_stop_keeps_what_is_done_and_returns_none(tmp_path):
    stop, seen = StopToken(), 0
    part = embed(TEXTS, FakeEncoder(), tmp_path, stop=stop)
    result: object = "running"
    while result == "running":
        try:
            event = next(part)
            seen = event.done
            if seen >= 20:
                stop.request()
        except StopIteration as end:
            result = end.value
    assert result is None
    encoder = FakeEncoder()
    np.testing.assert_array_equal(run(tmp_path, encoder), direct())
    assert len(encoder.encoded) == 60 - seen


def test_cancel_closes_the_partial_file(tmp_path):
    part = embed(TEXTS, FakeEncoder(), tmp_path, stop=StopToken())
    for _ in range(5):
        next(part)
    part.close()
    np.testing.assert_array_equal(run(tmp_path), direct())


@pytest.mark.parametrize("damage", ["cut off", "no header", "empty", "other shape", "pickle"])
def test_damaged_file_is_made_again(tmp_path, damage):
    run(tmp_path)
    (path,) = tmp_path.glob("*.npy")
    raw = path.read_bytes()
    match damage:
        case "cut off":
            path.write_bytes(raw[:-40])
        case "no header":
            path.write_bytes(b"?" * len(raw))
        case "empty":
            path.write_bytes(b"")
        case "other shape":
            np.save(path, np.zeros((59, 64), np.float32))
        case "pickle":
            np.save(path, np.array([{"a": 1}], object), allow_pickle=True)
    encoder = FakeEncoder()
    np.testing.assert_array_equal(run(tmp_path, encoder), direct())
    assert len(encoder.encoded) == 60


@pytest.mark.parametrize("note", ['{"rows": 999}', '{"rows": "4"}', "[]", "?", None])
def test_damaged_note_starts_anew(tmp_path, note):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, FakeEncoder(explode_after=30))
    (path,) = tmp_path.glob("*.json")
    assert json.loads(path.read_text())["rows"] == 28
    path.unlink() if note is None else path.write_text(note)
    np.testing.assert_array_equal(run(tmp_path), direct())


def test_damaged_partial_file_starts_anew(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, FakeEncoder(explode_after=30))
    (path,) = tmp_path.glob("*.part")
    path.write_bytes(path.read_bytes()[:-1])
    np.testing.assert_array_equal(run(tmp_path), direct())


def test_a_full_disk_is_a_sentence_and_what_was_done_stays(tmp_path, monkeypatch):
    calls = []

    def fsync(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 7:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("engine.arrays.os.fsync", fsync)
    with pytest.raises(StorageError, match="The disk is full"):
        run(tmp_path)
    encoder = FakeEncoder()
    np.testing.assert_array_equal(run(tmp_path, encoder), direct())
    assert 0 < len(encoder.encoded) < 60


def test_every_row_is_shown_once_new_resumed_or_cached(tmp_path):
    seen: dict[int, np.ndarray] = {}

    def observe(rows: np.ndarray, vectors: np.ndarray):
        assert not seen.keys() & set(rows.tolist())
        seen.update(zip(rows.tolist(), np.array(vectors), strict=True))
        yield Notice("shown")

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, FakeEncoder(explode_after=30), observe=observe)
    for _ in ("resumed", "cached"):
        seen.clear()
        events = list(embed(TEXTS, FakeEncoder(), tmp_path, stop=StopToken(), observe=observe))
        np.testing.assert_array_equal([seen[row] for row in range(60)], direct())
        assert Notice("shown") in events


def test_known_vectors_are_not_written_over_what_may_be_mapped(tmp_path):
    texts, encoder = ["a", "b"], FakeEncoder()
    vectors = result_of(embed(texts, encoder, tmp_path, stop=StopToken()))
    (path,) = tmp_path.glob("*.npy")
    before = path.stat().st_ino
    remember(texts, np.array(vectors), encoder, tmp_path)
    assert path.stat().st_ino == before


def test_no_texts(tmp_path):
    assert run(tmp_path, texts=[]).shape == (0, 64)


# Sentence-BERT itself ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    return SentenceEncoder(device="cpu")


def test_bundled_weights_load_offline_and_know_a_paraphrase(encoder):
    texts = [
        "The food was delicious.",
        "Interest rates rose again last month.",
        "We had a very tasty meal.",
        "",
    ]
    vectors = encoder.encode(texts)
    assert (vectors.shape, vectors.dtype, encoder.dimensions) == ((4, 384), np.float32, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[2] > vectors[0] @ vectors[1] + 0.3
    assert (encoder.name, len(encoder.identity)) == ("all-MiniLM-L6-v2", 16)


def test_batches_keep_the_order_of_the_texts():
    encoder = SentenceEncoder(device="cpu", precision="float32")
    texts = [text.replace("word", "number ") for text in TEXTS[:20]]
    together = encoder.encode(texts)
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("fast", [True, False])
def test_bfloat16_where_the_device_multiplies_it_turns_vectors_by_less_than_a_degree(monkeypatch, fast):
    """The whole model and its mean states; what comes out is float32 and of length one all the same."""
    monkeypatch.setattr("engine.backbones.devices.multiplies_bfloat16", lambda device: fast)
    found, exact = SentenceEncoder(device="cpu"), SentenceEncoder(device="cpu", precision="float32")
    assert found.identity == exact.identity, "vectors that were made on another computer are not made again"
    texts = ["The soup was cold.", "What a lovely evening! " * 30, "Nobody answers the phone.", ""]
    vectors, expected = found.encode(texts), exact.encode(texts)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert (vectors * expected).sum(1).min() > np.cos(np.radians(1))
    states, exactly = (one.layer_means(texts, [0, 6]) for one in (found, exact))
    np.testing.assert_allclose(states, exactly, atol=0.05)
    weights = found._model[0].auto_model.encoder.layer[0].attention.self.query.weight
    assert weights.dtype == (torch.bfloat16 if fast else torch.float32)
    assert np.array_equal(vectors, expected) == (not fast)


def test_a_second_device_gives_the_same_vectors(encoder):
    """As a GPU would: nothing stays behind on the processor."""
    texts = ["The soup was cold.", "What a lovely evening! " * 30, "Nobody answers the phone.", ""]
    here = SentenceEncoder(device="cpu", precision="float32")
    with second_device(devices):
        there = SentenceEncoder(precision="float32")
        np.testing.assert_allclose(there.encode(texts), here.encode(texts), atol=1e-5)
        assert there._model.device == SECOND
        np.testing.assert_allclose(there.layer_means(texts, [0, 6]), here.layer_means(texts, [0, 6]), atol=1e-2)
        np.testing.assert_allclose(there.word_vectors(["soup", "\u2581ing"]), here.word_vectors(["soup", "\u2581ing"]))


def test_real_vectors_do_not_depend_on_where_a_run_was_cut(encoder, tmp_path):
    texts = [f"{text} and nothing else" for text in TEXTS]
    whole = run(tmp_path / "whole", encoder, texts)
    stop = StopToken()
    for event in embed(texts, encoder, tmp_path / "cut", stop=stop):
        if event.done:
            stop.request()
    np.testing.assert_array_equal(run(tmp_path / "cut", encoder, texts), whole)


def copy_of_the_bundle(folder: Path) -> Path:
    target = folder / "model"
    shutil.copytree(_bundled_folder(), target)
    return target


def test_wrong_hash_is_refused_before_anything_is_loaded(tmp_path, monkeypatch):
    folder = copy_of_the_bundle(tmp_path)
    with open(folder / "model.safetensors", "r+b") as stream:
        stream.seek(50_000_000)
        stream.write(b"\x00\x01\x02\x03")
    monkeypatch.setattr("engine.embedding.sentence_bert._bundled_folder", lambda: folder)
    with pytest.raises(BackboneError, match="not the ones they should be"):
        SentenceEncoder(device="cpu")
    assert SentenceEncoder(folder, device="cpu").identity != SentenceEncoder(_bundled_folder()).identity


def test_local_folder_gives_the_same_vectors(tmp_path, encoder):
    own = SentenceEncoder(copy_of_the_bundle(tmp_path), device="cpu")
    assert (own.name, own.identity) == ("model", encoder.identity)
    np.testing.assert_array_equal(own.encode(["a text"]), encoder.encode(["a text"]))


def test_folder_with_code_of_its_own_is_refused(tmp_path):
    folder = copy_of_the_bundle(tmp_path)
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["type"] = "custom_st.Transformer"
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(BackboneError, match="code of its own"):
        SentenceEncoder(folder)


def test_pickled_weights_are_refused(tmp_path):
    folder = copy_of_the_bundle(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(BackboneError, match="pickle"):
        SentenceEncoder(folder)


def test_folder_without_a_model_is_a_sentence(tmp_path):
    with pytest.raises(BackboneError, match=r"cannot be read.*sentence-transformers saved"):
        SentenceEncoder(tmp_path)
    folder = copy_of_the_bundle(tmp_path)
    (folder / "config.json").write_text("{}")
    with pytest.raises(BackboneError, match="cannot be loaded"):
        SentenceEncoder(folder, device="cpu").encode(["a text"])


def test_missing_package_is_a_sentence(monkeypatch):
    monkeypatch.setattr("engine.embedding.sentence_bert.BUNDLED_PACKAGE", "there_is_no_such_package")
    with pytest.raises(BackboneError, match="not installed"):
        SentenceEncoder()


def test_missing_device_is_told_at_the_first_text():
    with pytest.raises(DeviceError):
        SentenceEncoder(device="toaster").encode(["a text"])


def test_memory_that_runs_out_is_not_taken_for_a_damaged_model(encoder, monkeypatch):
    import sentence_transformers

    def exhausted(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(sentence_transformers, "SentenceTransformer", exhausted)
    with pytest.raises(torch.OutOfMemoryError):
        SentenceEncoder().encode(["a"])


def test_mean_states_of_the_last_layer_point_where_the_sentence_vectors_do(encoder):
    texts = ["Short.", "A longer sentence about trains that never come on time.", "The soup was cold."]
    states = encoder.layer_means(texts, [0, 6]).astype(np.float32)
    assert states.shape == (3, 2 * 384)
    last = states[:, 384:] / np.linalg.norm(states[:, 384:], axis=1, keepdims=True)
    assert (last * encoder.encode(texts)).sum(1).min() > 0.999
    assert not np.allclose(states[:, :384], states[:, 384:], atol=0.1)
    assert np.allclose(
        encoder.layer_means(texts[::-1], [6])[::-1], states[:, 384:], atol=0.03
    )  # padding does not matter
    with pytest.raises(BackboneError, match="only 6 layers"):
        encoder.layer_means(texts, [7])


def test_word_vectors_tell_the_beginning_of_a_word_from_its_inside(encoder):
    begins, inside, split, unknown = encoder.word_vectors(["\u2581ing", "ing", "\u2581terriblegreat", "\u2581"])
    great, good, soup = encoder.word_vectors(["\u2581great", "\u2581good", "\u2581soup"])

    def likeness(one, other):
        return one @ other / np.linalg.norm(one) / np.linalg.norm(other)

    assert not np.allclose(begins, inside)
    assert likeness(great, good) > likeness(great, soup)
    assert likeness(split, great) > likeness(soup, great)
    assert np.isfinite(unknown).all()


def test_of_a_very_long_text_the_beginning_is_tokenized(encoder, monkeypatch):
    """The tokenizer would go over all of it before it cuts."""
    words = "a long tale of soup and trains and of people who wait "
    long = words * 20_000
    whole, begun = encoder.encode([long]), encoder.encode([words * 200])
    np.testing.assert_array_equal(whole, begun)
    seen = []
    plain = encoder._model[0].preprocess
    monkeypatch.setattr(
        encoder._model[0], "preprocess", lambda given, *a, **b: seen.extend(given) or plain(given, *a, **b)
    )
    encoder.encode([long])
    assert [len(text) for text in seen] == [64 * 256]
