"""Load a T5 from the bundle, a folder or the hub, as a frozen backbone that knows who it is."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import safe_open
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase, T5ForConditionalGeneration

from engine.backbones.bfloat16 import multiply_in_bfloat16
from engine.backbones.cross_attention import ask_few
from engine.backbones.devices import available_memory, resolve_device, resolve_precision
from engine.backbones.first_layer import look_up
from engine.backbones.hub import fetch_from_hub
from engine.backbones.library_errors import library_errors
from engine.errors import BackboneError
from engine.settings import BackboneSettings
from engine.stage import Part
from engine.storage import read_json
from resources import BUNDLED_BACKBONE, resource

MASK = "<extra_id_0>"


@dataclass(frozen=True)
class BackboneIdentity:
    """What tells one backbone from another.

    Attributes
    ----------
    name
        Name for the reader: of the bundle, the folder or the hub; never a local path.
    revision
        Commit on the hub, or ``""``.
    config_hash, tokenizer_hash, weights_hash
        SHA-256, shortened to 16 hexadecimal digits, of the shape-giving configuration, of the vocabulary, and of the
        names, shapes and first 64 values of all weights.
    """

    name: str
    revision: str
    config_hash: str
    tokenizer_hash: str
    weights_hash: str

    def same_model(self, other: BackboneIdentity) -> bool:
        """Whether a prompt made for ``other`` may run on this backbone (names and revisions may differ)."""
        mine = (self.config_hash, self.tokenizer_hash, self.weights_hash)
        return mine == (other.config_hash, other.tokenizer_hash, other.weights_hash)


@dataclass(frozen=True)
class Backbone:
    """A frozen T5 and its tokenizer on a device.

    Attributes
    ----------
    model
        In ``eval`` mode, no weight requires a gradient.
    tokenizer
        Knows ``<extra_id_0>``.
    device, precision
        Where and in which dtype it computes; prompts, residual stream and losses stay float32.
    identity
        See `BackboneIdentity`.
    """

    model: T5ForConditionalGeneration
    tokenizer: PreTrainedTokenizerBase
    device: torch.device
    precision: torch.dtype
    identity: BackboneIdentity

    @property
    def width(self) -> int:
        """Length d of an embedding vector."""
        return int(self.model.config.d_model)

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(weight.numel() for weight in self.model.parameters())

    def rows_that_fit(self, tokens: int, *, twice_differentiated: bool) -> int:
        """Return about how many texts of ``tokens`` tokens can be trained on at a time in half of the free memory.

        A rough count of the activations that a backward pass keeps; it is there so that a computer without a GPU is
        not driven into swapping or killed. A CUDA GPU is tried with everything and answers by itself; Apple's shares
        the computer's memory.
        """
        if self.device.type not in ("cpu", "mps"):
            return 1 << 30
        config = self.model.config
        of_attention = 4 * config.num_heads * (config.d_kv + tokens)
        layer = 12 * config.d_model + of_attention + 3 * config.d_ff
        bytes_a_text = 4 * tokens * layer * config.num_layers * (3 if twice_differentiated else 1)
        return max(1, int(available_memory() / 2 / bytes_a_text))


def load_backbone(settings: BackboneSettings) -> Part[Backbone]:
    """Find, fetch if need be, and load the backbone.

    Raises
    ------
    BackboneError
        If there is no such model, it is not a T5, it is damaged or has no safetensors, or the hub cannot be reached.
    DeviceError
        If the device is not there.
    StorageError
        If a list of its files cannot be read.
    """
    device = resolve_device(settings.device)
    precision = resolve_precision(settings.precision, device)
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    folder, name, revision = yield from locate(settings.backbone, offline=settings.offline)
    model, tokenizer = _load_folder(folder, settings.backbone)
    ask_few(model)
    look_up(model)
    identity = BackboneIdentity(name, revision, _config_hash(model), _tokenizer_hash(tokenizer), _weights_hash(model))
    if precision is torch.bfloat16:
        multiply_in_bfloat16(model, device)
    try:
        torch.nn.Module.to(model, device)
    except torch.OutOfMemoryError as error:
        raise BackboneError(
            f"The backbone does not fit into the memory of {device}", where=name, remedy="Choose a smaller one, or cpu."
        ) from error
    return Backbone(model, tokenizer, device, precision, identity)


def locate(backbone: str, *, offline: bool) -> Part[tuple[Path, str, str]]:
    """Return the folder, the name for the reader and the revision of ``bundled``, a folder or a hub name."""
    if backbone in ("bundled", BUNDLED_BACKBONE):
        return resource("backbones", BUNDLED_BACKBONE), BUNDLED_BACKBONE, ""
    try:
        folder = Path(backbone).expanduser()
        if folder.is_dir():
            return folder, folder.resolve().name, ""
        is_path = folder.exists()
    except (OSError, RuntimeError):  # a name that no file can have, or a home folder that there is not
        is_path = True
    if is_path or backbone.count("/") > 1 or backbone.startswith((".", "~", "/")) or "\\" in backbone:
        raise BackboneError(
            "There is no such backbone folder", where=backbone, remedy="Choose the folder that holds config.json."
        )
    folder = yield from fetch_from_hub(backbone, offline=offline)
    return folder, backbone, folder.name


def _load_folder(folder: Path, name: str) -> tuple[T5ForConditionalGeneration, PreTrainedTokenizerBase]:
    if not (folder / "config.json").is_file():
        raise BackboneError(
            "The folder holds no config.json, so it is not a model", where=name, remedy="Choose the folder of a T5."
        )
    if not any(folder.glob("*.safetensors")):
        raise BackboneError(
            "The folder holds no .safetensors file; other weight formats can run code and are not read",
            where=name,
            remedy="Save the model again with save_pretrained of a recent transformers.",
        )
    if (folder / "adapter_config.json").exists():  # transformers would load the model that it names instead
        raise BackboneError(
            "The folder holds an adapter, not a whole model", where=name, remedy="Choose the folder of a T5 itself."
        )
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()  # what is wrong is said here, in a sentence
    with library_errors("The model", where=name, remedy="Check that the folder is complete, or fetch it again."):
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        if config.model_type != "t5":
            raise BackboneError(
                f"This is a model of type '{config.model_type}', not a T5",
                where=name,
                remedy="Choose a T5, T5 v1.1, LM-adapted T5 or Flan-T5.",
            )
        _check_size(config, folder, name)
        loaded: Any = T5ForConditionalGeneration.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            attn_implementation="sdpa",
            output_loading_info=True,
        )
        model: T5ForConditionalGeneration = loaded[0]
        missing = sorted(loaded[1]["missing_keys"])
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        tokenizer.get_vocab()
    if missing:
        raise BackboneError(
            f"The weights lack {len(missing)} parts, such as {missing[0]}",
            where=name,
            remedy="Fetch the model again.",
        )
    if tokenizer.convert_tokens_to_ids(MASK) in (None, tokenizer.unk_token_id):
        raise BackboneError(
            f"The tokenizer does not know {MASK}", where=name, remedy="Use the tokenizer that belongs to the T5."
        )
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        raise BackboneError(
            f"The tokenizer has {len(tokenizer)} tokens but the model only "
            f"{model.get_input_embeddings().num_embeddings} vectors",
            where=name,
            remedy="Use the tokenizer that belongs to the T5.",
        )
    model.requires_grad_(False)
    model.eval()
    return model, tokenizer


def _check_size(config: Any, folder: Path, name: str) -> None:
    """Refuse, before anything of its size is made, a model that its files do not hold or the memory does not.

    A configuration is a few numbers: one digit more would make transformers build a model that nothing can hold.
    """
    index = folder / "model.safetensors.index.json"
    if index.exists():
        parts = {str(part) for part in read_json(index)["weight_map"].values()}
        if any(part != Path(part).name for part in parts):
            raise BackboneError(
                "The list of the weights names files outside the folder", where=index, remedy="Fetch the model again."
            )
    held = 0
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as stream:
            held += sum(math.prod(stream.get_slice(key).get_shape()) for key in stream.keys())  # noqa: SIM118
    sizes = [getattr(config, field) for field in _SIZE_FIELDS]
    if not all(type(size) is int and size > 0 for size in sizes):
        raise ValueError("a size in config.json is not a positive whole number")
    vocabulary, width, head, feed_forward, encoder, decoder, heads, buckets = sizes
    attention = 4 * width * heads * head
    layer = attention + (3 if str(config.feed_forward_proj).startswith("gated") else 2) * width * feed_forward
    needed = vocabulary * width + encoder * layer + decoder * (layer + attention) + 2 * buckets * heads
    if needed > held:
        raise BackboneError(
            f"The configuration is of a model with {needed:,} weights, the files hold {held:,}",
            where=name,
            remedy="Check that the folder is complete, or fetch it again.",
        )
    free = available_memory()
    if 4 * needed > free:
        raise BackboneError(
            f"The backbone needs {4 * needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free",
            where=name,
            remedy="Close other programs, or choose a smaller one.",
        )


_SIZE_FIELDS = (
    "vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_decoder_layers", "num_heads",
    "relative_attention_num_buckets",
)  # fmt: skip
_SHAPE_FIELDS = (
    "d_model", "d_kv", "d_ff", "num_layers", "num_decoder_layers", "num_heads", "vocab_size", "feed_forward_proj",
    "relative_attention_num_buckets", "relative_attention_max_distance", "layer_norm_epsilon", "scale_decoder_outputs",
    "decoder_start_token_id",
)  # fmt: skip


def _config_hash(model: T5ForConditionalGeneration) -> str:
    fields = {name: getattr(model.config, name, None) for name in _SHAPE_FIELDS}
    return _short_hash(json.dumps(fields, sort_keys=True).encode())


def _tokenizer_hash(tokenizer: PreTrainedTokenizerBase) -> str:
    return _short_hash(json.dumps(sorted(tokenizer.get_vocab().items()), ensure_ascii=True).encode())


def _weights_hash(model: T5ForConditionalGeneration) -> str:
    digest = hashlib.sha256()
    for name, weight in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(weight.shape)}".encode())
        digest.update(weight.flatten()[:64].to(torch.float32).cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def _short_hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
