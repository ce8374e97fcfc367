"""The speed benchmark: both sides compute the same, and its table never guesses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.speed import cases
from benchmarks.speed.__main__ import table
from benchmarks.speed.measuring import counted
from engine.backbones.side_by_side import side_by_side

SMALL = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}


@pytest.mark.parametrize("gradient", ["first_order", "exact"])
def test_the_meta_gradient_is_that_of_peft_in_a_loop(
    gradient: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(cases.SHAPES, "cpu", SMALL)
    case = cases.meta_case(gradient, cases.Setting(torch.device("cpu"), tmp_path, quick=True))
    found = case.compare(case.ours(), case.theirs())
    assert found["difference"] < 1e-5
    assert found["cosine in its own precision"] > 0.99


def test_operations_are_counted() -> None:
    product, operations = counted(lambda: torch.ones(3, 5) @ torch.ones(5, 7))
    assert product.shape == (3, 7)
    assert operations == 2 * 3 * 5 * 7


def test_operations_of_parts_side_by_side_are_counted_too() -> None:
    def run() -> None:
        side_by_side(
            torch.device("cpu"), lambda part: torch.ones(part.stop - part.start, 5) @ torch.ones(5, 7), [900] * 4
        )

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert counted(run)[1] == 2 * 4 * 5 * 7
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_what_was_not_measured_is_said() -> None:
    found = {
        "ratio": 1.3,
        "careful_ratio": 1.1,
        "target": 1.2,
        "reached": True,
        "ours_seconds": 2.0,
        "theirs_seconds": 2.6,
        "share_of_matrix_rate": 0.5,
        "ours_peak_mb": 1200,
        "theirs_peak_mb": 1300,
    }
    lines = table({"cpu x, 2 threads": {"meta-exact": found}}).splitlines()
    assert len(lines) == 2 + len(cases.CASES)
    assert "| meta-exact | cpu x, 2 threads | 1.30 (1.2: reached) | 1.10 | 2.00 | 2.60 | 50% | 1,200, 1,300 |" in lines
    assert sum("not measured" in line for line in lines) == len(cases.CASES) - 1
