"""Values of a label column are counted to the end of a file, which may be sorted by them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.corpus.preview import preview_file
from engine.corpus.values import values_of
from engine.settings import ImportSettings

ROWS = 3000
"""Rows of each of five ratings, one rating after the other."""
RATINGS = {str(stars): ROWS for stars in range(1, 6)}


def lines(stars: int) -> list[str]:
    return [f"review number {number} of {stars} stars" for number in range(ROWS)]


@pytest.fixture(params=["csv", "jsonl", "parquet"])
def by_rating(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Reviews that are sorted by their stars."""
    path = tmp_path / f"sorted.{request.param}"
    rows = [(stars, text) for stars in range(1, 6) for text in lines(stars)]
    if request.param == "csv":
        path.write_text("stars,text\n" + "".join(f"{stars},{text}\n" for stars, text in rows), encoding="utf-8")
    elif request.param == "jsonl":
        path.write_text("\n".join(json.dumps({"stars": stars, "text": text}) for stars, text in rows), encoding="utf-8")
    else:
        pq.write_table(pa.table({"stars": [row[0] for row in rows], "text": [row[1] for row in rows]}), path)
    return path


def test_a_sorted_file_is_counted_to_its_end(by_rating: Path) -> None:
    found = preview_file(str(by_rating), ImportSettings())
    assert found["label_values"] == {"stars": RATINGS}
    assert (found["counted"], found["whole"], found["label_column"]) == (5 * ROWS, True, "stars")
    assert len(found["rows"]) == 200


def test_what_is_broken_further_down_keeps_nobody_from_seeing_the_first_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.corpus.delimited.BLOCK", 2**18)
    path = tmp_path / "sorted.csv.gz"
    text = "stars,text\n" + "".join(f"{1 + n // 20_000},review number {n * 7919 % 99_991}\n" for n in range(60_000))
    whole = gzip.compress(text.encode())
    path.write_bytes(whole[: len(whole) - len(whole) // 4])
    found = preview_file(str(path), ImportSettings())
    assert len(found["rows"]) == 200
    assert not found["whole"]
    assert found["label_values"]["stars"]["1"] == 20_000


def test_the_values_of_several_files_are_added_up(tmp_path: Path) -> None:
    for stars in (1, 2, 3):
        text = "stars,text\n" + "".join(f"{stars}.0,{line}\n" for line in lines(stars)[:100])
        (tmp_path / f"{stars}.csv").write_text(text, encoding="utf-8")
    (tmp_path / "4.csv").write_text("mood,text\n5,of another kind\n", encoding="utf-8")
    files = [str(tmp_path / f"{number}.csv") for number in (1, 2, 3, 4)]
    settings = ImportSettings(label_column="stars")
    assert values_of(files, settings, seconds=60) == {"1": 100, "2": 100, "3": 100}
    assert values_of(files, settings, seconds=-1) == {}


def test_a_column_of_many_values_has_none(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    # Few at first, as in a file that is sorted by them.
    lines = (f"{n // 500},{n // 10},text number {n}\n" for n in range(20_000))
    path.write_text("kind,number,text\n" + "".join(lines), encoding="utf-8")
    assert list(preview_file(str(path), ImportSettings())["label_values"]) == ["kind"]
    assert len(values_of([str(path)], ImportSettings(label_column="kind"), seconds=60)) == 40
    assert values_of([str(path)], ImportSettings(label_column="number"), seconds=60) == {}


def test_values_that_are_long_in_all_are_no_labels(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    lines = (f"{'word ' * 100}{n % 300},{n % 300} and some words\n" for n in range(900))
    path.write_text("notes,text\n" + "".join(lines), encoding="utf-8")
    assert list(preview_file(str(path), ImportSettings())["label_values"]) == ["text"]


def test_hundreds_of_labels_can_be_chosen_and_joined(tmp_path: Path) -> None:
    """Only a column that says so is taken for labels then."""
    path = tmp_path / "texts.csv"
    lines = (f"{n % 300},{n % 300},some words that are number {n}\n" for n in range(3000))
    path.write_text("size,score,text\n" + "".join(lines), encoding="utf-8")
    found = preview_file(str(path), ImportSettings())
    assert (found["text_column"], found["label_column"], found["label_named"]) == ("text", "score", True)
    assert len(found["label_values"]["score"]) == 300


@pytest.mark.parametrize(("name", "text"), [("label", "text"), ("Intent", "text"), ("long", "long")])
def test_long_labels_are_not_taken_for_the_text(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / "texts.csv"
    lines = (f"soup {n},a much longer name of the kind {n % 2}\n" for n in range(50))
    path.write_text(f"text,{name}\n" + "".join(lines), encoding="utf-8")
    assert preview_file(str(path), ImportSettings())["text_column"] == text
