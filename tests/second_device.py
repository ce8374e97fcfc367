"""A second device on a computer that has none: tensors that say they are elsewhere and are computed by the processor.

What mixes tensors of both devices, or reads one of the second without bringing it back, fails as it would with a GPU.
torch has no device to spare for it but ``meta``, so that is its name here. Autocast does not know it: float32 only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

SECOND = torch.device("meta")
COPIES = ("aten::_to_copy", "aten::copy_")


class Elsewhere(torch.Tensor):
    """A tensor of the second device; ``held`` has its numbers."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> Elsewhere:
        wrapper: Any = torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=SECOND,
            requires_grad=held.requires_grad,
        )
        wrapper.held = held
        return wrapper  # type: ignore[no-any-return]

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"Elsewhere({self.held!r})"

    def numpy(self, *, force: bool = False) -> Any:
        """Refuse, as a GPU's tensors do."""
        raise TypeError("can't convert a tensor of the second device to numpy")

    def tolist(self) -> Any:
        """Bring the numbers back, as a GPU's tensors do."""
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, call: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _dispatched(call, args, kwargs or {})


def _dispatched(call: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    name = call._schema.name
    tensors = [some for some in tree_leaves((args, kwargs)) if isinstance(some, torch.Tensor)]
    wanted = kwargs.get("device")
    if wanted is not None:  # where what is made or copied shall be
        elsewhere = torch.device(wanted) == SECOND
        kwargs = kwargs | {"device": torch.device("cpu")}
    elif name == "aten::copy_":
        elsewhere = isinstance(args[0], Elsewhere)
    else:
        elsewhere = any(isinstance(some, Elsewhere) for some in tensors)
    if elsewhere and name not in COPIES:
        left = [some for some in tensors if not isinstance(some, Elsewhere) and some.dim()]
        indices = name.startswith("aten::index") and isinstance(args[0], Elsewhere)  # may be on the processor
        if left and not indices:
            raise RuntimeError(f"{name}: expected all tensors to be on the second device, but some are not")
    bare, named = tree_map(lambda some: some.held if isinstance(some, Elsewhere) else some, (args, kwargs))
    found = call(*bare, **named)
    if not elsewhere:
        return found
    found = tree_map(lambda some: Elsewhere(some) if isinstance(some, torch.Tensor) else some, found)
    return return_and_correct_aliasing(call, args, kwargs, found)


class _Dispatch(TorchDispatchMode):
    """Sees the calls in which no tensor of the second device takes part yet."""

    def __torch_dispatch__(self, call: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _dispatched(call, args, kwargs or {})


class _Functions(TorchFunctionMode):
    """Makes ``torch.tensor(..., device=...)`` in two steps: inside, it is out of the dispatcher's sight."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if function in (torch.tensor, torch.as_tensor) and kwargs.get("device") is not None:
            device = kwargs.pop("device")
            return function(*args, **kwargs).to(device)
        return function(*args, **kwargs)


@contextmanager
def second_device(*modules: Any) -> Iterator[None]:
    """Let there be a second device, in this thread, and let ``modules`` choose it whatever they are asked for."""
    autocast = torch.autocast

    def known(device: str, *options: Any, **named: Any) -> torch.autocast:
        return autocast("cpu" if device == SECOND.type else device, *options, **named)

    def without_gradients(self: Any) -> None:  # tensors of the inference mode have no counter of versions
        self._inference_mode_context = torch.no_grad()
        self._inference_mode_context.__enter__()

    swapped = torch.__future__.get_swap_module_params_on_conversion()
    with ExitStack() as stack:
        torch.__future__.set_swap_module_params_on_conversion(True)  # keeps tied weights tied, as on the way to a GPU
        stack.callback(torch.__future__.set_swap_module_params_on_conversion, swapped)
        stack.enter_context(mock.patch.object(torch.inference_mode, "__enter__", without_gradients))
        for module in modules:
            stack.enter_context(mock.patch.object(module, "resolve_device", return_value=SECOND))
        stack.enter_context(mock.patch.object(torch, "autocast", known))
        stack.enter_context(_Functions())
        stack.enter_context(_Dispatch())
        yield
