"""What an import tells of what nobody said, and of what it could not use."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.corpus.importing import import_corpus
from engine.corpus.store import Corpus
from engine.events import Notice
from engine.settings import ImportSettings
from engine.stage import StopToken

LONG, SHORT = "a comment that is longer than the message", "the message"


def notices(folder: Path, *files: str, **settings: object) -> list[Notice]:
    """Import files whose lines are given, and return what is told."""
    for number, text in enumerate(files):
        (folder / f"{number}.csv").write_text(text, encoding="utf-8")
    paths = [folder / f"{number}.csv" for number in range(len(files))]
    events = import_corpus(paths, folder / "out", ImportSettings(**settings), stop=StopToken())
    return [event for event in events if isinstance(event, Notice)]


@pytest.mark.parametrize(
    ("text", "settings", "told"),
    [
        (f"id,note,message\n1,{SHORT},{LONG}\n", {}, True),
        (f"id,note,message\n1,{SHORT},{LONG}\n", {"text_column": "note"}, False),
        (f"message\n{LONG}\n", {}, False),
        (f"message,mood\n{LONG},sad\n{LONG}!,glad\n", {"label_column": "mood"}, False),
    ],
)
def test_a_column_that_was_guessed_is_named(tmp_path, text, settings, told):
    found = notices(tmp_path, text, **settings)
    assert [notice.text.startswith("Texts are read from the column 'message'") for notice in found] == [True] * told
    assert [notice.level for notice in found] == ["info"] * told


def test_files_of_the_same_columns_are_read_from_the_same_one(tmp_path):
    found = notices(
        tmp_path, f"note,message\n{SHORT} A,{LONG} 1\n", f"note,message\n{LONG} B,{SHORT} 2\n", f"id,body\n7,{LONG} 3\n"
    )
    assert Corpus.open(tmp_path / "out").texts == [f"{LONG} 1", f"{SHORT} 2", f"{LONG} 3"]
    assert len(found) == 1
    assert "the columns 'message' (0.csv, ...), 'body' (2.csv)" in found[0].text


def test_what_one_file_names_itself_goes_for_the_others(tmp_path):
    notices(tmp_path, f"text\n{SHORT} A\n", f"note,text\n{LONG} B,{SHORT} 2\n")
    assert Corpus.open(tmp_path / "out").texts == [f"{SHORT} A", f"{SHORT} 2"]
