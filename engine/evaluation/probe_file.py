"""A linear probe as a file: a few numbers on top of Sentence-BERT, which knows what they were made for.

The file is safetensors with two tensors, ``weights`` [C, d] and ``bias`` [C] in float32, and as metadata one JSON
document: format version, classes, the Sentence-BERT model, what the probe learned from and how well it did.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from scipy.special import softmax

from engine.embedding.sentence_bert import Encoder, SentenceEncoder, by_length
from engine.errors import PromptFileError, storage_errors
from engine.prompting.classifier import TextClassifier
from engine.stage import Part, ProgressMeter, StopToken
from engine.storage import save_tensors

FORMAT = 1
KEY = "metapt-probe"
"""Where the document stands among the metadata; a prompt's is elsewhere, which tells the two apart."""


@dataclass(frozen=True)
class Probe:
    """Logistic regression on sentence vectors, and everything needed to use it.

    Attributes
    ----------
    weights, bias
        float32 [C, d] and [C].
    classes
        Names of the C classes.
    encoder, identity
        Name and `Encoder.identity` of the Sentence-BERT model that makes the vectors.
    metrics, training
        What it reached, and what it learned from; for the reader.
    """

    weights: np.ndarray
    bias: np.ndarray
    classes: tuple[str, ...]
    encoder: str
    identity: str
    metrics: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)

    def probabilities(self, vectors: np.ndarray) -> np.ndarray:
        """Return the probability of each class for ``vectors`` [n, d], float32 [n, C]."""
        scores = vectors.astype(np.float64) @ self.weights.T.astype(np.float64) + self.bias
        return softmax(scores, axis=1).astype(np.float32)


class ProbeClassifier(TextClassifier):
    """Classifies texts with a linear probe.

    Raises
    ------
    PromptFileError
        If the probe was made for another Sentence-BERT model.
    """

    def __init__(self, probe: Probe, encoder: Encoder) -> None:
        if encoder.identity != probe.identity:
            raise PromptFileError(
                f"The probe was made for the Sentence-BERT model {probe.encoder}, which the {encoder.name} here is not",
                remedy="Install the version of MetaPT that it was made with, or fit it again.",
            )
        if encoder.dimensions != probe.weights.shape[1]:
            raise PromptFileError(
                f"The probe's numbers are for vectors of length {probe.weights.shape[1]}, not {encoder.dimensions}"
            )
        self._probe, self._encoder = probe, encoder
        self.classes_ = np.array(probe.classes)

    @classmethod
    def load(cls, path: str | Path, *, device: str = "auto") -> ProbeClassifier:
        """Load a probe's file, and Sentence-BERT on ``device``.

        Raises
        ------
        PromptFileError, StorageError
            If the file cannot be used or read.
        BackboneError, DeviceError
            If Sentence-BERT or the device is missing.
        """
        return cls(load_probe(Path(path)), SentenceEncoder(device=device))

    def probabilities(
        self, texts: Sequence[str], *, stop: StopToken | None = None, stage: str = "predict"
    ) -> Part[np.ndarray | None]:
        """Return the probe's probabilities."""
        from engine.backbones.memory import fitting

        result = np.empty((len(texts), len(self.classes_)), np.float32)
        meter = ProgressMeter(stage, len(texts), "rows")
        order, done, at_a_time = by_length(texts), 0, self._encoder.batch_size

        def encode(count: int) -> np.ndarray:
            return self._encoder.encode([texts[row] for row in order[done : done + count]])

        while done < len(order):
            if stop is not None and stop.requested:
                return None
            vectors, at_a_time = yield from fitting(encode, at_a_time, "texts")
            result[order[done : done + len(vectors)]] = self._probe.probabilities(vectors)
            done += len(vectors)
            yield meter.at(done)
        return result


def save_probe(probe: Probe, path: Path) -> None:
    """Write the probe's file atomically.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    import torch

    tensors = {"weights": torch.from_numpy(probe.weights), "bias": torch.from_numpy(probe.bias)}
    save_tensors(path, tensors, {KEY: json.dumps(_document(probe))})


def is_probe(path: Path) -> bool:
    """Whether a file says that it holds a probe."""
    try:
        with safe_open(path, framework="np") as stream:
            return KEY in (stream.metadata() or {})
    except (OSError, SafetensorError):
        return False


def load_probe(path: Path) -> Probe:
    """Read a probe's file.

    Raises
    ------
    PromptFileError
        If it is damaged, of a newer format, or no probe.
    StorageError
        If it cannot be read.
    """
    with storage_errors(path):
        path.open("rb").close()
    try:
        with safe_open(path, framework="np") as stream:
            document = json.loads((stream.metadata() or {})[KEY])
            weights, bias = (np.asarray(stream.get_tensor(name), np.float32) for name in ("weights", "bias"))
        if isinstance(document["format"], int) and document["format"] > FORMAT:
            raise PromptFileError(
                f"The probe's format is {document['format']}, this MetaPT knows up to {FORMAT}",
                where=path,
                remedy="Update MetaPT.",
            )
        probe = Probe(
            weights,
            bias,
            tuple(str(name) for name in document["classes"]),
            str(document["encoder"]),
            str(document["identity"]),
            dict(document["metrics"]),
            dict(document["training"]),
        )
        json.dumps(_document(probe), ensure_ascii=False).encode()  # what cannot be written again is refused now
    except PromptFileError:
        raise
    except Exception as error:  # whatever is wrong with somebody's file, the answer is the same
        raise PromptFileError("The file is damaged or holds no probe", where=path, remedy="Restore a copy.") from error
    if weights.ndim != 2 or 0 in weights.shape or not len(weights) == len(probe.classes) == bias.size == bias.shape[-1]:
        raise PromptFileError("The probe's numbers do not fit its classes", where=path, remedy="Restore a copy.")
    if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
        raise PromptFileError("The probe holds values that are not numbers", where=path, remedy="Restore a copy.")
    return probe


def _document(probe: Probe) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "classes": list(probe.classes),
        "encoder": probe.encoder,
        "identity": probe.identity,
        "metrics": probe.metrics,
        "training": probe.training,
    }
