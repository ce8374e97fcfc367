"""What a run on the target task measured, as ``results.json`` of its folder keeps it. Importing this is light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from engine.errors import SettingsError, StorageError
from engine.settings import Settings, validated
from engine.storage import read_json, write_json

NAME = "results.json"
ALONE = "backbone alone"
"""What the backbone's answers to the template are called, without a prompt and a label."""
PROBE, PROBE_WITH_SOURCE = "Sentence-BERT probe", "Sentence-BERT probe + source"
PROBE_FILES = {PROBE: "probe.safetensors", PROBE_WITH_SOURCE: "probe-with-source.safetensors"}
"""What a run of linear probes leaves of each kind: that of the seed with the best cross-validation."""


@dataclass(frozen=True)
class ClassFigures:
    """Precision, recall and F1 of one class (0 where undefined), and how many rows have it."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Evaluation:
    """Figures of one set of predictions.

    Attributes
    ----------
    accuracy, macro_f1
        Shares; macro-F1 is the plain mean over the classes that occur, among labels or predictions.
    expected_calibration_error
        Mean of |accuracy - confidence| over 15 bins of confidence, weighted by rows (Guo et al. 2017).
    majority_accuracy
        What always answering the most frequent class would reach.
    largest_predicted_share
        Share of rows that get the most predicted class; near 1 the prompt tells nothing apart.
    per_class
        Class -> figures.
    confusion
        Rows by true (first) and predicted class.
    """

    accuracy: float
    macro_f1: float
    expected_calibration_error: float
    majority_accuracy: float
    largest_predicted_share: float
    per_class: dict[str, ClassFigures]
    confusion: list[list[int]]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return asdict(self)


class Figures(TypedDict):
    """Figures of a method over its seeds: means and sample standard deviations, ``None`` for a single seed."""

    seeds: int
    accuracy_mean: float
    accuracy_std: float | None
    macro_f1_mean: float
    macro_f1_std: float | None
    expected_calibration_error_mean: float
    expected_calibration_error_std: float | None
    majority_accuracy: float
    largest_predicted_share_max: float


def better_probe(best: str, summary: Mapping[str, Figures]) -> str:
    """Return the probe that no method is more accurate than, if the method of the run ``best`` is less so; else empty.

    Parameters
    ----------
    best
        A run, as `RunResults` names the one whose prompt was kept.
    summary
        Method -> figures.
    """
    accuracy = {name: figures["accuracy_mean"] for name, figures in summary.items()}
    method = best.rsplit(" seed ", 1)[0]
    name = max(accuracy, key=lambda name: accuracy[name], default="")
    return name if name in PROBE_FILES and method in accuracy and accuracy[name] > accuracy[method] else ""


class DrawnRows(Settings):
    """Rows that a seed learned from, and those that early stopping looked at."""

    training: list[int]
    validation: list[int]


class RunResults(Settings):
    """Figures of a run: of tunings, linear probes or full models.

    Attributes
    ----------
    summary
        Method -> figures on the texts to test on; empty if nothing was tested.
    validation_summary
        The same on what early stopping has seen, which is no measure of a prompt; probes have not seen it.
    evaluations
        Run, or seed of a full model or a probe -> figures on the texts of ``measured_on``.
    best
        The run whose prompt was kept; empty where no prompt is tuned.
    draws
        Seed -> rows.
    runs
        Run -> what is kept of it: ``best_step`` and others.
    """

    model_config = ConfigDict(extra="ignore")  # a later MetaPT may say more

    summary: dict[str, Figures]
    validation_summary: dict[str, Figures] = Field(default_factory=dict)
    evaluations: dict[str, Evaluation] = Field(default_factory=dict)
    measured_on: Literal["test", "validation"] = "test"
    best: str = ""
    draws: dict[str, DrawnRows] = Field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path) -> RunResults:
        """Read what the run in ``folder`` measured.

        Raises
        ------
        StorageError
            If it is missing or damaged.
        """
        path = folder / NAME
        document = read_json(path)
        try:
            return validated(cls, document if isinstance(document, dict) else {})
        except SettingsError as error:
            raise StorageError("What a run measured is damaged", where=path, remedy="Run that step again.") from error

    def save(self, folder: Path) -> None:
        """Write ``results.json``."""
        write_json(folder / NAME, self.model_dump(mode="json", exclude_unset=True))
