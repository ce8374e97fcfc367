"""What transformers, tokenizers and safetensors raise for a damaged model, each its own kinds, as one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.backbones.memory import is_device_lost, is_out_of_memory
from engine.errors import BackboneError, MetaPTError


@contextmanager
def library_errors(what: str, *, where: str | Path, remedy: str) -> Iterator[None]:
    """Turn whatever a library raises while it loads ``what`` into a sentence.

    An exhausted memory, a lost device and what MetaPT itself has found are told as what they are: to fetch the model
    again would not help.

    Raises
    ------
    BackboneError
        For any other error inside the block.
    """
    try:
        yield
    except BaseException as error:
        of_a_library = isinstance(error, Exception) or type(error).__name__ == "PanicException"  # Rust's, in tokenizers
        if not of_a_library or isinstance(error, MetaPTError) or is_out_of_memory(error) or is_device_lost(error):
            raise
        said = " ".join(str(error).split())[:200]
        raise BackboneError(
            f"{what} cannot be loaded ({type(error).__name__}: {said})", where=where, remedy=remedy
        ) from error
