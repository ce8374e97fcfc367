"""Prompt files: what is written is read, PEFT reads it too, and nothing else gets in."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loading import load
from safetensors.torch import save_file

from engine.errors import MetaPTError, PromptFileError, StorageError
from engine.prompting.prompt_file import describe_prompt, load_prompt, save_peft, save_prompt


@pytest.fixture
def prompt(make_scorer):
    scorer = make_scorer(2)
    torch.manual_seed(0)
    return describe_prompt(torch.randn(4, 32), scorer, metrics={"accuracy": 0.5}, training={"alpha": 0.08})


def test_own_file_comes_back_whole(prompt, tmp_path):
    save_prompt(prompt, tmp_path / "p.safetensors")
    found = load_prompt(tmp_path / "p.safetensors")
    assert torch.equal(found.vectors, prompt.vectors)
    assert (found.backbone, found.words, found.settings) == (prompt.backbone, prompt.words, prompt.settings)
    assert (found.metrics, found.training) == (prompt.metrics, prompt.training)
    assert list(tmp_path.iterdir()) == [tmp_path / "p.safetensors"], "no temporary file stays"


def test_peft_gives_the_same_logits(prompt, make_scorer, tiny_t5, tmp_path):
    from peft import PeftModel
    from transformers import T5ForConditionalGeneration

    save_peft(prompt, tmp_path / "peft")
    model = T5ForConditionalGeneration.from_pretrained(tiny_t5, dtype=torch.float32)
    wrapped = PeftModel.from_pretrained(model, tmp_path / "peft").eval()
    scorer = make_scorer(2)
    texts = scorer.template.encode(["soup of the day", "cold tea and a long wait for everybody"])
    batch = texts.batch(np.arange(2), torch.device("cpu"))
    mask = scorer.backbone.tokenizer.convert_tokens_to_ids("<extra_id_0>")
    with torch.no_grad():
        decoder = torch.tensor([[0, mask]] * 2)
        logits = wrapped(input_ids=batch.ids, attention_mask=batch.mask, decoder_input_ids=decoder).logits[:, -1]
        found = scorer.scores(prompt.vectors[None], batch, torch.zeros(2, dtype=torch.long))
    expected = logits[:, [ids[0] for ids in scorer.verbalizer.tokens]]
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-6)
    again = load_prompt(tmp_path / "peft")
    assert torch.equal(again.vectors, prompt.vectors)
    assert again.words == prompt.words


def test_a_foreign_peft_folder_uses_its_first_rows(tmp_path):
    vectors = torch.randn(8, 32)
    save_file({"prompt_embeddings": vectors}, tmp_path / "adapter_model.safetensors")
    config = {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 4, "num_transformer_submodules": 2}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    found = load_prompt(tmp_path)
    assert torch.equal(found.vectors, vectors[:4])
    assert found.backbone is None


def test_no_local_path_is_written(prompt, tiny_t5, tmp_path):
    save_peft(prompt, tmp_path / "peft")
    save_prompt(prompt, tmp_path / "p.safetensors")
    for file in [*(tmp_path / "peft").iterdir(), tmp_path / "p.safetensors"]:
        assert str(tiny_t5.parent).encode() not in file.read_bytes()


def test_another_backbone_is_refused(prompt, other_tiny_t5, backbone):
    with pytest.raises(PromptFileError, match="made for the backbone"):
        prompt.scorer(load(other_tiny_t5))
    assert prompt.scorer(backbone).verbalizer.words == ("bad", "good")


def test_another_tokenizer_is_refused(prompt, make_t5, tmp_path):
    folder = make_t5(tmp_path / "t5", 0)
    document = json.loads((folder / "tokenizer.json").read_text())
    pieces = document["model"]["vocab"]
    pieces[500][0], pieces[501][0] = pieces[501][0], pieces[500][0]
    (folder / "tokenizer.json").write_text(json.dumps(document))
    with pytest.raises(PromptFileError, match="tokenizer"):
        prompt.scorer(load(folder))


def test_a_newer_format_is_refused(prompt, tmp_path):
    from engine.prompting import prompt_file

    document = prompt_file._document(prompt) | {"format": 99}
    save_file(
        {"prompt_embeddings": prompt.vectors}, tmp_path / "p.safetensors", metadata={"metapt": json.dumps(document)}
    )
    with pytest.raises(PromptFileError, match="Update MetaPT"):
        load_prompt(tmp_path / "p.safetensors")


def test_missing_truncated_and_foreign_files(prompt, tmp_path):
    with pytest.raises(StorageError, match="no such file"):
        load_prompt(tmp_path / "nothing.safetensors")
    path = tmp_path / "p.safetensors"
    save_prompt(prompt, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PromptFileError, match="damaged"):
        load_prompt(path)
    save_file({"weights": torch.zeros(2)}, path)
    with pytest.raises(PromptFileError, match="no soft prompt"):
        load_prompt(path)
    save_file({"prompt_embeddings": torch.full((4, 32), float("nan"))}, path)
    with pytest.raises(PromptFileError, match="not numbers"):
        load_prompt(path)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=400))
def test_no_bytes_raise_anything_but_our_errors(tmp_path, data):
    path = tmp_path / "p.safetensors"
    path.write_bytes(data)
    with pytest.raises(MetaPTError):
        load_prompt(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.sampled_from(["format", "backbone", "classes", "words", "settings", "metrics", "training"]), value=_json)
def test_no_description_raises_anything_but_our_errors(prompt, tmp_path, key, value):
    from engine.prompting import prompt_file

    document = prompt_file._document(prompt) | {key: value}
    path = tmp_path / "p.safetensors"
    save_file({"prompt_embeddings": prompt.vectors}, path, metadata={"metapt": json.dumps(document)})
    with contextlib.suppress(MetaPTError):
        assert len(load_prompt(path).vectors) == 4
