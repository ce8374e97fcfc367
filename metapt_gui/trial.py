"""How long a run will take, from timing a few steps of it."""

from __future__ import annotations

import time

from engine.events import Event, Metric, Progress
from engine.settings import MetaTrainSettings, PretrainSettings
from metapt_gui import wording

STEPS = 3


class TrialTimer:
    """Times the steps and the validation of a short trial of learning a prompt.

    Parameters
    ----------
    settings
        Those of the run that is asked about.
    """

    def __init__(self, settings: MetaTrainSettings | PretrainSettings) -> None:
        self._settings = settings
        self._steps: list[float] = []
        self._validated = 0.0

    def trial(self) -> dict[str, int]:
        """Return the settings that make a trial of the run: a few steps, one validation at the end."""
        steps = min(STEPS, self._settings.steps)
        return {"steps": steps, "validate_every": steps, "checkpoint_every": 10**6}

    def see(self, event: Event) -> None:
        """Note when a step or the validation was done."""
        if isinstance(event, Progress) and event.unit == "steps":
            self._steps.append(time.monotonic())
        elif isinstance(event, Metric) and event.name == "validation accuracy":
            self._validated = time.monotonic()

    def verdict(self) -> str:
        """Return a sentence about the expected duration of the whole run."""
        if len(self._steps) < 2:
            return "Expected duration: the trial was too short to tell."
        step = (self._steps[-1] - self._steps[0]) / (len(self._steps) - 1)
        validation = max(0.0, self._validated - self._steps[-1])
        total = self._settings.steps * step + self._settings.steps / self._settings.validate_every * validation
        return (
            f"Expected duration: at most {wording.duration(total)} ({step:.2f} s a step, {validation:.1f} s a "
            "validation); early stopping may end it sooner."
        )
