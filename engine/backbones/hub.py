"""Fetch a model from the Hugging Face hub with progress; only ever when the person asks for one by name."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from engine.errors import BackboneError
from engine.stage import Part, ProgressMeter

PATTERNS = ["config.json", "*.safetensors", "*.safetensors.index.json", "tokenizer*", "spiece.model", "*.json", "*.txt"]


STAGE = "download"


class _Cancelled(Exception):
    """Raised inside the download when the person cancelled it."""


def fetch_from_hub(name: str, *, offline: bool) -> Part[Path]:
    """Download the safetensors, configuration and tokenizer of ``name`` into the hub's cache; return the folder.

    A copy that is in the cache already is used without touching the network, unless only parts of it are there:
    another program may have asked for no more than the tokenizer.

    Raises
    ------
    BackboneError
        If the name is unknown, the network cannot be reached, or ``offline`` forbids trying.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import HF_HUB_OFFLINE
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    in_part = False
    try:
        local = Path(snapshot_download(name, allow_patterns=PATTERNS, local_files_only=True))
        if _is_whole(local):
            return local
        in_part = True
    except HFValidationError as error:
        raise BackboneError(
            "This is neither a folder nor a name on the hub", where=name, remedy="Check the spelling."
        ) from error
    except LocalEntryNotFoundError as error:
        in_part = hasattr(error, "snapshot_path")  # the hub's own library knows that files are missing
    if offline or HF_HUB_OFFLINE:
        raise BackboneError(
            f"{'Only a part of the model is' if in_part else 'The model is not'} on this computer and the network is "
            "switched off",
            where=name,
            remedy="Switch offline mode off, choose a folder, or use the bundled backbone.",
        )

    state: dict[str, Any] = {"bytes": 0, "cancelled": False, "total": None}

    def download() -> None:
        try:
            files = snapshot_download(name, allow_patterns=PATTERNS, dry_run=True)
            state["total"] = sum(file.file_size or 0 for file in files if file.will_download)
            state["folder"] = Path(snapshot_download(name, allow_patterns=PATTERNS, tqdm_class=_byte_counter(state)))
        except BaseException as error:  # handed to the stage below, whatever it is
            state["error"] = error

    thread = threading.Thread(target=download, name="hub download", daemon=True)
    thread.start()
    meter = ProgressMeter(STAGE, None, "bytes")
    try:
        while thread.is_alive():
            meter.total = state["total"]
            yield meter.at(state["bytes"], f"Downloading {name}")
            thread.join(0.25)
    finally:
        state["cancelled"] = True
    if "error" in state:
        raise BackboneError(
            f"The model could not be fetched from the hub ({type(state['error']).__name__})",
            where=name,
            remedy="Check the name and the network, choose a folder, or use the bundled backbone.",
        ) from state["error"]
    folder: Path = state["folder"]
    return folder


def _is_whole(folder: Path) -> bool:
    """Whether there are a configuration and weights, and of weights in several files all that their list names."""
    try:
        lists = [json.loads(path.read_bytes())["weight_map"] for path in folder.glob("*.safetensors.index.json")]
        named = {str(part) for parts in lists for part in parts.values()}
        weights = any(path.is_file() for path in folder.glob("*.safetensors"))
        return weights and all((folder / name).is_file() for name in ("config.json", *named))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):  # a list that is none
        return False


def _byte_counter(state: dict[str, Any]) -> Any:
    """Return a progress-bar class that counts bytes into ``state``, draws nothing and ends a cancelled download."""
    from tqdm.auto import tqdm

    class ByteCounter(tqdm):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            self._counts_bytes = options.get("unit") == "B"
            options["disable"] = True
            options.pop("name", None)
            super().__init__(*arguments, **options)

        def update(self, n: float | None = 1) -> bool | None:
            if state["cancelled"]:
                raise _Cancelled
            if self._counts_bytes:
                state["bytes"] += int(n or 0)
            return super().update(n)

    return ByteCounter
