"""What the header of a prompt file says: read without the vectors, and without torch."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open

from engine.errors import PromptFileError, storage_errors


def soft_tokens(prompt: Path) -> int:
    """Return the length of the prompt in a file.

    Raises
    ------
    PromptFileError
        If it is no prompt.
    StorageError
        If it cannot be read.
    """
    try:
        with storage_errors(prompt), safe_open(prompt, framework="np") as stream:
            (name,) = stream.keys()
            length, _width = stream.get_slice(name).get_shape()
            return int(length)
    except (SafetensorError, ValueError) as error:
        raise PromptFileError("The file holds no soft prompt", where=prompt, remedy="Choose another file.") from error
