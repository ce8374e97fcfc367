"""A T5 as it begins: the word vectors of Sentence-BERT, each at the place of its own piece."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch

from engine.pretraining.beginning import _principal_components, new_backbone
from engine.settings import PretrainBackboneSettings, PretrainingPhase


class Spelling:
    """Word vectors made of the letters of each piece."""

    def word_vectors(self, pieces: Sequence[str]) -> np.ndarray:
        return np.stack([np.random.default_rng(zlib.crc32(piece.encode())).normal(size=6) for piece in pieces])

    def layer_means(self, texts: Sequence[str], layers: Sequence[int]) -> np.ndarray:
        raise AssertionError("nothing is matched here")


def test_the_table_begins_as_the_principal_components_of_the_word_vectors(backbone) -> None:
    pieces = 500
    settings = PretrainBackboneSettings(
        files=["a"], phases=[PretrainingPhase()], pieces=pieces, width=8, heads=2, feed_forward=8
    )
    table = new_backbone(backbone.tokenizer, settings, Spelling()).get_input_embeddings().weight.detach()[3:pieces]
    assert abs(float(table.std()) - 1) < 1e-2
    assert torch.equal(table[:, 6:], torch.zeros(pieces - 3, 2)), "there are six directions"
    vectors = Spelling().word_vectors([backbone.tokenizer.convert_ids_to_tokens(row) for row in range(3, pieces)])
    centred = torch.from_numpy(vectors - vectors.mean(0)).float()
    likeness, expected = (torch.nn.functional.normalize(rows) for rows in (table, centred))
    assert torch.allclose(likeness @ likeness.T, expected @ expected.T, atol=1e-4), (
        "a turn of the space changes no angle"
    )


def test_the_first_components_are_the_widest() -> None:
    vectors = np.random.default_rng(0).normal(size=(200, 4)) * [1, 5, 2, 0.1]
    kept = _principal_components(vectors, 2)
    assert np.allclose(kept.std(0), np.sort(vectors.std(0))[:1:-1], rtol=0.05)
