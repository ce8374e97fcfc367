"""A soft prompt as a file: one safetensors file that knows what it was made for.

The file holds one tensor ``prompt_embeddings`` [n, d] float32 and, as metadata, one JSON document: format version,
backbone, classes and label words, template, how it was trained and how well it did. A PEFT adapter folder
(``adapter_config.json``, ``adapter_model.safetensors``) with the same document beside it as ``metapt.json`` is written
and read too.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from engine.backbones.load import Backbone, BackboneIdentity
from engine.errors import PromptFileError, SettingsError, storage_errors
from engine.prompting.scorer import PromptScorer
from engine.prompting.verbalizer import make_verbalizer
from engine.settings import PromptSettings, validated
from engine.storage import read_json, save_tensors, write_json

FORMAT = 1
TENSOR = "prompt_embeddings"


@dataclass(frozen=True)
class Prompt:
    """A soft prompt and everything needed to use it.

    Attributes
    ----------
    vectors
        float32 [n, d] on the CPU.
    backbone
        The model that it was made for; ``None`` for a bare PEFT folder of somebody else's.
    words
        Class -> label word, in order of the classes; empty where unknown.
    settings
        Template, length and place of the answer.
    metrics, training
        What it reached, and the settings it was trained with; for the reader.
    """

    vectors: torch.Tensor
    backbone: BackboneIdentity | None
    words: dict[str, str]
    settings: PromptSettings
    metrics: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)

    def scorer(self, backbone: Backbone) -> PromptScorer:
        """Return a scorer for this prompt on ``backbone``.

        Raises
        ------
        PromptFileError
            If it was made for another backbone or tokenizer, or has no label words.
        """
        check_backbone(self, backbone)
        if not self.words:
            raise PromptFileError(
                "The prompt does not say which classes and words it was made for",
                remedy="Give the words, such as 1=bad 2=good.",
            )
        return PromptScorer(backbone, make_verbalizer(tuple(self.words), self.words, backbone.tokenizer), self.settings)


def describe_prompt(
    vectors: torch.Tensor, scorer: PromptScorer, *, metrics: dict[str, Any], training: dict[str, Any]
) -> Prompt:
    """Return ``vectors`` as a prompt that knows the backbone, words and template of ``scorer``."""
    return Prompt(
        vectors.detach().to("cpu", torch.float32).contiguous().clone(),
        scorer.backbone.identity,
        scorer.verbalizer.as_mapping(),
        scorer.settings,
        metrics,
        training,
    )


def check_backbone(prompt: Prompt, backbone: Backbone) -> None:
    """Refuse a prompt that was made for another backbone or tokenizer.

    Raises
    ------
    PromptFileError
        Naming both.
    """
    if prompt.backbone is None:
        if prompt.vectors.shape[1] != backbone.width:
            raise PromptFileError(
                f"The prompt's vectors have length {prompt.vectors.shape[1]}, the backbone's {backbone.width}",
                remedy="Load the backbone that the prompt was made for.",
            )
    elif not prompt.backbone.same_model(backbone.identity):
        part = "tokenizer" if prompt.backbone.tokenizer_hash != backbone.identity.tokenizer_hash else "backbone"
        raise PromptFileError(
            f"The prompt was made for the backbone {prompt.backbone.name}, and the {part} of {backbone.identity.name} "
            "is another one",
            remedy=f"Load {prompt.backbone.name}, or tune a prompt for this backbone.",
        )


def save_prompt(prompt: Prompt, path: Path) -> None:
    """Write the prompt's own file atomically.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    save_tensors(path, {TENSOR: prompt.vectors}, {"metapt": json.dumps(_document(prompt))})


def load_prompt(path: Path) -> Prompt:
    """Read a prompt's own file or a PEFT adapter folder.

    Raises
    ------
    PromptFileError
        If it is damaged, of a newer format, or no prompt.
    StorageError
        If it cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        return _load_peft(path)
    vectors, metadata = _read_tensor(path)
    if "metapt" not in metadata:
        raise PromptFileError(
            "The file holds a tensor but not MetaPT's description of it", where=path, remedy="Choose another file."
        )
    try:
        document = json.loads(metadata["metapt"])
    except (ValueError, RecursionError) as error:
        raise PromptFileError("The prompt's description is damaged", where=path, remedy="Restore a copy.") from error
    return _prompt(vectors, document, path)


def save_peft(prompt: Prompt, folder: Path) -> None:
    """Write a PEFT adapter folder that ``PeftModel.from_pretrained`` loads, with ``metapt.json`` beside it.

    PEFT has no place for template, words and decoder prefix, hence the third file. The number of transformer submodules
    is written as 1: with PEFT's own default for sequence-to-sequence models (2) the encoder's prompt would be cut.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    tokens, width = prompt.vectors.shape
    save_tensors(folder / "adapter_model.safetensors", {TENSOR: prompt.vectors}, {"format": "pt"})
    write_json(
        folder / "adapter_config.json",
        {
            "peft_type": "PROMPT_TUNING",
            "task_type": "SEQ_2_SEQ_LM",
            "base_model_name_or_path": prompt.backbone.name if prompt.backbone else None,
            "revision": (prompt.backbone.revision or None) if prompt.backbone else None,
            "inference_mode": True,
            "num_virtual_tokens": tokens,
            "token_dim": width,
            "num_transformer_submodules": 1,
            "prompt_tuning_init": "RANDOM",
        },
    )
    write_json(folder / "metapt.json", _document(prompt))


def _load_peft(folder: Path) -> Prompt:
    config = read_json(folder / "adapter_config.json")
    if not isinstance(config, dict) or config.get("peft_type") != "PROMPT_TUNING":
        raise PromptFileError("The folder is not a PEFT prompt", where=folder, remedy="Choose a prompt-tuning adapter.")
    vectors, _ = _read_tensor(folder / "adapter_model.safetensors")
    tokens = config.get("num_virtual_tokens")
    if type(tokens) is not int or not 1 <= tokens <= len(vectors):
        raise PromptFileError(
            f"The adapter's configuration names {tokens!r} soft tokens, its file holds {len(vectors)}",
            where=folder,
            remedy="Restore the folder from a copy.",
        )
    # With two submodules the file holds [2n, d]; the model only ever reads the first n rows.
    vectors = vectors[:tokens].clone()
    if (folder / "metapt.json").is_file():
        return _prompt(vectors, read_json(folder / "metapt.json"), folder)
    try:
        settings = validated(PromptSettings, {"soft_tokens": tokens})
    except SettingsError as error:
        raise PromptFileError(
            f"The adapter has {tokens:,} soft tokens, more than MetaPT uses", where=folder, remedy="Choose another one."
        ) from error
    return Prompt(vectors, None, {}, settings)


def _read_tensor(path: Path) -> tuple[torch.Tensor, dict[str, str]]:
    with storage_errors(path):
        path.open("rb").close()
    try:
        with safe_open(path, framework="pt") as stream:
            metadata = stream.metadata() or {}
            if TENSOR not in stream.keys():  # noqa: SIM118  (a safetensors handle is no mapping)
                raise PromptFileError("The file holds no soft prompt", where=path, remedy="Choose another file.")
            vectors = stream.get_tensor(TENSOR).clone()  # as in `load_checkpoint`
    except SafetensorError as error:
        raise PromptFileError(
            "The file is damaged or is not a safetensors file", where=path, remedy="Restore it from a copy."
        ) from error
    if vectors.ndim != 2 or 0 in vectors.shape or not vectors.is_floating_point():
        raise PromptFileError(f"A soft prompt has two dimensions, this is {list(vectors.shape)}", where=path)
    vectors = vectors.to(torch.float32)
    if not torch.isfinite(vectors).all():
        raise PromptFileError("The soft prompt holds values that are not numbers", where=path)
    return vectors, metadata


def _document(prompt: Prompt) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "backbone": asdict(prompt.backbone) if prompt.backbone else None,
        "classes": list(prompt.words),
        "words": prompt.words,
        "settings": prompt.settings.model_dump(),
        "metrics": prompt.metrics,
        "training": prompt.training,
    }


def _prompt(vectors: torch.Tensor, document: Any, path: Path) -> Prompt:
    if isinstance(document, dict) and isinstance(document.get("format"), int) and document["format"] > FORMAT:
        raise PromptFileError(
            f"The prompt's format is {document['format']}, this MetaPT knows up to {FORMAT}",
            where=path,
            remedy="Update MetaPT.",
        )
    try:
        identity = document["backbone"]
        settings = validated(PromptSettings, document["settings"])
        prompt = Prompt(
            vectors,
            BackboneIdentity(**{key: str(value) for key, value in identity.items()}) if identity is not None else None,
            {str(name): str(document["words"][name]) for name in document["classes"]},
            settings,
            dict(document["metrics"]),
            dict(document["training"]),
        )
        json.dumps(_document(prompt), ensure_ascii=False).encode()  # what cannot be written again is refused now
    except Exception as error:  # whatever is wrong with somebody's JSON, the answer is the same
        raise PromptFileError("The prompt's description is damaged", where=path, remedy="Restore a copy.") from error
    if settings.soft_tokens != len(vectors):
        raise PromptFileError(
            f"The prompt says that it has {settings.soft_tokens} soft tokens, the file holds {len(vectors)}", where=path
        )
    return prompt
