"""Checkpoints that resume bit for bit on the CPU: one safetensors file, tensors and a JSON state, no pickle."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from engine.errors import CheckpointError
from engine.events import Checkpointed, Notice
from engine.stage import Part
from engine.storage import save_tensors

NAME = "checkpoint.safetensors"


KEEP_SECONDS = 300.0
"""So long a loop whose checkpoint holds all weights may go on without one."""


class Every:
    """Says when that many seconds have passed since it last said so."""

    def __init__(self, seconds: float = KEEP_SECONDS) -> None:
        self._seconds, self._last = seconds, time.monotonic()

    def due(self) -> bool:
        """Whether they have passed; the next ones begin if so."""
        now = time.monotonic()
        passed = now - self._last >= self._seconds
        if passed:
            self._last = now
        return passed


@dataclass(frozen=True)
class Checkpoint:
    """What a loop needs to go on: named tensors, a JSON-able state, and notices about a changed environment."""

    tensors: dict[str, torch.Tensor]
    state: dict[str, Any]
    notices: tuple[str, ...] = ()


def fingerprint(*parts: Any) -> str:
    """Return a short hash of JSON-able values and arrays: what a run was started with."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.tobytes() if hasattr(part, "tobytes") else json.dumps(part, sort_keys=True).encode())
    return digest.hexdigest()[:16]


def save_checkpoint(folder: Path, tensors: Mapping[str, torch.Tensor], state: dict[str, Any], run: str) -> Checkpointed:
    """Write ``folder/checkpoint.safetensors`` atomically, with torch's random state, version and threads; tell of it.

    Parameters
    ----------
    tensors, state
        What the loop needs; ``state["step"]`` is where it stands.
    run
        Fingerprint of the run that it belongs to.

    Raises
    ------
    StorageError
        If it cannot be written; the checkpoint before it stays.
    """
    path = folder / NAME
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    held["torch_random_state"] = torch.get_rng_state()
    document = {"run": run, "environment": _environment(), "state": state}
    save_tensors(path, held, {"metapt": json.dumps(document)})
    return Checkpointed(str(path), state["step"])


def resume(folder: Path, run: str, optimizer: torch.optim.Optimizer) -> Part[Checkpoint | None]:
    """Do as `load_checkpoint`, put back what `optimizer_tensors` returned, and tell of both."""
    saved = load_checkpoint(folder, run)
    if saved is not None:
        restore_optimizer(optimizer, saved.tensors)
        for notice in saved.notices:
            yield Notice(notice, "warning")
        yield Checkpointed(str(folder / NAME), saved.state["step"])
    return saved


@torch.no_grad()
def put_back(weights: Mapping[str, torch.Tensor], tensors: Mapping[str, torch.Tensor], prefix: str = "") -> None:
    """Let weights be as the tensors of their names, behind ``prefix``."""
    for name, weight in weights.items():
        weight.copy_(tensors[prefix + name])


def load_checkpoint(folder: Path, run: str) -> Checkpoint | None:
    """Read the checkpoint in ``folder`` and set torch's random state; ``None`` if there is none.

    Raises
    ------
    CheckpointError
        If it is damaged, or belongs to a run with other settings, data or backbone.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as stream:
            document = json.loads((stream.metadata() or {})["metapt"])
            # Copies: as long as views of it live, Windows lets nobody put the next checkpoint in the file's place.
            tensors = {name: stream.get_tensor(name).clone() for name in stream.keys()}  # noqa: SIM118
        state, environment, belongs = document["state"], document["environment"], document["run"]
        random_state = tensors.pop("torch_random_state")
        if not isinstance(state, dict) or not isinstance(environment, dict):
            raise TypeError("not the parts of a checkpoint")
        torch.Generator().set_state(random_state)
    except (SafetensorError, OSError, LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise CheckpointError(
            "The checkpoint is damaged", where=path, remedy="Delete it to start the run from the beginning."
        ) from error
    if belongs != run:
        raise CheckpointError(
            "The checkpoint belongs to a run with other settings, data or backbone",
            where=path,
            remedy="Start a new run, or go back to the settings that the run was started with.",
        )
    torch.set_rng_state(random_state)
    now = _environment()
    notices = tuple(
        f"{name} was {environment.get(name)} when the run was stopped and is {value} now: the rest of the run can "
        "differ in the last digits from an uninterrupted one."
        for name, value in now.items()
        if environment.get(name) != value
    )
    return Checkpoint(tensors, state, notices)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Return the optimiser's per-parameter state as named tensors."""
    state = optimizer.state_dict()["state"]
    return {
        f"optimizer.{number}.{name}": torch.as_tensor(value)
        for number, entry in state.items()
        for name, value in entry.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    """Put back what `optimizer_tensors` returned.

    Raises
    ------
    CheckpointError
        If it is not the state of such an optimiser over such parameters.
    """
    document = optimizer.state_dict()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    entries: dict[int, dict[str, torch.Tensor]] = {}
    try:
        for name, tensor in tensors.items():
            if name.startswith("optimizer."):
                _, number, part = name.split(".", 2)
                if tensor.shape not in (parameters[int(number)].shape, torch.Size()):
                    raise ValueError(f"{name} has another shape than its parameter")
                entries.setdefault(int(number), {})[part] = tensor
        document["state"] = entries
        optimizer.load_state_dict(document)
    except (LookupError, ValueError, TypeError, RuntimeError) as error:
        raise CheckpointError(
            "The state of the optimiser in the checkpoint is damaged",
            remedy="Delete the checkpoint to start the run from the beginning.",
        ) from error


def _environment() -> dict[str, Any]:
    return {"torch": torch.__version__, "threads": torch.get_num_threads()}
