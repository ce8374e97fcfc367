"""Running out of memory is met by taking less at a time."""

from __future__ import annotations

import psutil
import torch

from engine.backbones.load import Backbone
from engine.errors import DeviceError


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` is a device or the computer running out of memory."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)


def halved(at_a_time: int, error: BaseException, unit: str) -> int:
    """Return half of ``at_a_time``, rounded up, after freeing what torch holds; for use in an ``except`` block.

    Raises
    ------
    DeviceError
        If it is one already.
    BaseException
        ``error`` itself, if it is not about memory.
    """
    if not is_out_of_memory(error):
        raise error
    if at_a_time <= 1:
        raise DeviceError(
            f"The memory does not suffice even for one of the {unit} at a time",
            remedy="Lower the shots, the text length or the prompt length, or choose a smaller backbone.",
        ) from error
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return (at_a_time + 1) // 2


def fitting_rows(backbone: Backbone, tokens: int, *, twice_differentiated: bool) -> int:
    """Return about how many texts of ``tokens`` tokens can be trained on at a time in half of the free memory.

    A rough count of the activations that a backward pass keeps; it is there so that a computer without a GPU is not
    driven into swapping or killed. A GPU is tried with everything and answers by itself.
    """
    if backbone.device.type != "cpu":
        return 1 << 30
    config = backbone.model.config
    layer = 12 * config.d_model + 4 * config.num_heads * config.d_kv + 3 * config.d_ff + 4 * config.num_heads * tokens
    bytes_a_text = 4 * tokens * layer * config.num_layers * (3 if twice_differentiated else 1)
    return max(1, int(psutil.virtual_memory().available / 2 / bytes_a_text))
