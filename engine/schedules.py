"""Learning-rate schedule and early stopping, the same for every loop."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from engine.settings import Improvement


def linear_warmup_decay(step: int, warmup: int, total: int) -> float:
    """Return the factor of the rate at ``step`` (from 0): up over ``warmup`` steps, then down to 0 at ``total``."""
    if step < warmup:
        return step / warmup
    return max(0.0, (total - step) / max(1, total - warmup))


@dataclass
class EarlyStopping:
    """Stop after ``patience`` validations without improvement.

    Attributes
    ----------
    improvement
        ``accuracy``: a higher accuracy, or an equal one with a lower loss. ``loss``: a lower loss.
    best_accuracy, best_loss, best_step
        Of the best validation so far; the step is -1 before the first.
    waited
        Validations since.
    """

    patience: int
    best_accuracy: float = -1.0
    best_loss: float = float("inf")
    best_step: int = -1
    waited: int = 0
    improvement: Improvement = "accuracy"

    @property
    def merit(self) -> tuple[float, ...]:
        """How good the best validation is; the higher the better."""
        return self._merit(self.best_accuracy, self.best_loss)

    def _merit(self, accuracy: float, loss: float) -> tuple[float, ...]:
        return (-loss,) if self.improvement == "loss" else (accuracy, -loss)

    def update(self, step: int, accuracy: float, loss: float) -> bool:
        """Take in a validation and return whether it is the best so far."""
        if self._merit(accuracy, loss) > self.merit:
            self.best_accuracy, self.best_loss, self.best_step, self.waited = accuracy, loss, step, 0
            return True
        self.waited += 1
        return False

    @property
    def exhausted(self) -> bool:
        """Whether it is time to stop."""
        return self.waited >= self.patience

    def figures(self, steps: int) -> dict[str, Any]:
        """Return step, accuracy and loss of the best validation; without any, the ``steps`` that were taken."""
        names = ("best_step", "validation_accuracy", "validation_loss")
        found = (self.best_step, self.best_accuracy, self.best_loss) if self.best_step >= 0 else (steps, None, None)
        return dict(zip(names, found, strict=True))

    def state(self) -> dict[str, Any]:
        """Return everything as JSON-able values."""
        return {name: None if value == float("inf") else value for name, value in asdict(self).items()}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> EarlyStopping:
        """Return what `state` described."""
        return cls(**{**state, "best_loss": float("inf") if state["best_loss"] is None else state["best_loss"]})
