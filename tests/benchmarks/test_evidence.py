"""The tables of the evidence page are what the files of results say."""

from __future__ import annotations

import pytest

from benchmarks import evidence
from benchmarks.paper.report import markdown, spread


def test_the_pages_show_the_figures_of_the_results():
    pages = evidence.pages()
    assert evidence.rewritten(pages) == pages, "run python -m benchmarks.evidence"


def test_a_table_is_made_anew_and_the_text_around_it_stays(monkeypatch):
    monkeypatch.setattr(evidence, "TABLES", {"speed": lambda: markdown(["a"], [["1"]])})
    pages = {"one.md": "# One\n", "two.md": "before\n\n<!-- speed -->\n\n| old |\n|---|\n| 7 |\n\nafter\n"}
    new = "before\n\n<!-- speed -->\n\n| a |\n|---|\n| 1 |\n\nafter\n"
    assert evidence.rewritten(pages) == {"one.md": "# One\n", "two.md": new}
    with pytest.raises(ValueError, match="have 0 tables below <!-- speed -->"):
        evidence.rewritten({"one.md": "no table"})
    with pytest.raises(ValueError, match="have 2 tables below <!-- speed -->"):
        evidence.rewritten(pages | {"one.md": new})


def test_the_best_of_a_column_is_bold_and_what_is_missing_is_empty():
    figures = [
        {"A": {"0": {"x": 0.5}, "1": {"x": 0.7}}, "B": {"0": {"x": 0.8}, "1": {"x": 0.8}}},
        {"A": {"0": {"x": 1}}},
    ]
    figures[1]["A"]["1"] = {"x": 1}
    figures.append({"B": {"0": {"x": 0.25}}})
    text = spread(figures, {"A": "a", "B": "b"}, "x", ["one", "two", "three"])
    assert text.splitlines()[2:] == [
        "| a | 60.0 ± 14.1 | **100.0 ± 0.0** |  |",
        "| b | **80.0 ± 0.0** |  | **25.0** |",
    ]
