"""A T5 as it begins, and as it is written."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase, T5Config, T5ForConditionalGeneration

from engine.pretraining.text import Teacher
from engine.settings import PretrainBackboneSettings
from engine.storage import replacing_files, save_tensors


def new_backbone(
    tokenizer: PreTrainedTokenizerBase, settings: PretrainBackboneSettings, teacher: Teacher
) -> T5ForConditionalGeneration:
    """Return an untrained T5 of the shape of ``settings``; its embedding table begins as the teacher's word vectors.

    The vectors are projected onto their first principal components and scaled to a deviation of one
    (``settings.word_vectors``); the sentinels and the special tokens keep their random ones.
    """
    shape: dict[str, Any] = {
        "vocab_size": -(-len(tokenizer) // 64) * 64,  # a multiple of 64 multiplies fastest
        "d_model": settings.width,
        "d_kv": settings.width // settings.heads,
        "d_ff": settings.feed_forward,
        "num_layers": settings.encoder_layers,
        "num_decoder_layers": settings.decoder_layers,
        "num_heads": settings.heads,
        "dropout_rate": 0.0,
        "decoder_start_token_id": 0,
    }
    model = T5ForConditionalGeneration._from_config(T5Config(**shape), attn_implementation="sdpa")
    if settings.word_vectors:
        table = model.get_input_embeddings().weight
        pieces = [str(tokenizer.convert_ids_to_tokens(number)) for number in range(settings.pieces)]
        vectors = _principal_components(teacher.word_vectors(pieces[3:]), settings.width)
        with torch.no_grad():
            table[3 : settings.pieces] = torch.from_numpy(vectors / vectors.std())
    return model


def _principal_components(vectors: np.ndarray, width: int) -> np.ndarray:
    """Project ``vectors`` [n, d] onto their first ``width`` principal components (all, and zeros, if d is less)."""
    centred = vectors - vectors.mean(0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    kept = centred @ directions[:, ::-1][:, :width]
    return np.pad(kept, ((0, 0), (0, width - kept.shape[1]))).astype(np.float32)


def save_backbone(model: T5ForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write weights in bfloat16, configuration and vocabulary, as transformers loads them."""
    with replacing_files(folder) as temporary:
        tokenizer.save_pretrained(temporary)
        pieces = Path(tokenizer.name_or_path) / "spiece.model"  # transformers leaves it out; other programs need it
        if pieces.is_file():
            shutil.copyfile(pieces, temporary / pieces.name)
        model.config.save_pretrained(temporary)
        model.generation_config.save_pretrained(temporary)
    shared = model.get_input_embeddings().weight.data_ptr()
    tensors = {
        name: weight.detach().to("cpu", torch.bfloat16).contiguous()
        for name, weight in model.state_dict().items()
        if name == "shared.weight" or weight.data_ptr() != shared
    }
    save_tensors(folder / "model.safetensors", tensors, {"format": "pt"})
