"""The benchmark of suggestions labels only its pool, and writes what it prints."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake_encoder import FakeEncoder

from benchmarks import suggestions
from engine.storage import read_json


def test_the_table_and_the_file_say_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    folder = tmp_path / "downstream"
    folder.mkdir()
    texts = [f"{'a dull film' if number % 2 else 'a bright one'} number {number}" for number in range(60)]
    labels = pa.array([number % 2 for number in range(60)], pa.int64())
    pq.write_table(pa.table({"text": texts, "label": labels}), folder / "made_up_train.parquet")
    for name, value in {"TARGETS": ("made_up",), "POOL": 40, "HELD": 20, "CANDIDATES": 30, "DRAWS": 3}.items():
        monkeypatch.setattr(suggestions, name, value)
    monkeypatch.setattr(suggestions, "SIZES", (10, 20))
    monkeypatch.setattr(suggestions, "SentenceEncoder", FakeEncoder)
    out = tmp_path / "suggestions.json"
    monkeypatch.setattr(sys, "argv", ["suggestions", "--data", str(tmp_path), "--out", str(out)])
    suggestions.main()
    found = read_json(out)
    assert found["commit"]
    assert found["date"]
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| made_up")]
    for row, way in zip(rows, ("suggested", "at random"), strict=True):
        values = 100 * np.array([found["figures"]["made_up"][way][size] for size in ("10", "20")])
        assert values.shape == (2, 3)
        cells = [f"{draws.mean():.1f} ± {draws.std(ddof=1) / 3**0.5:.1f}" for draws in values]
        assert row == f"| made_up | {way} | " + " | ".join(cells) + " |"
