"""What an import tells of what nobody said, and of what it could not use."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from engine.command_line.options import mapping
from engine.command_line.tables import show_plain_map
from engine.corpus.importing import import_corpus
from engine.corpus.store import Corpus
from engine.errors import DataError
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


@pytest.mark.parametrize(
    ("labels", "settings", "told"),
    [
        (["glad", "glad", "Glad", "sad"], {}, "'Glad' (1), 'glad' (2) differ only in capitals. "),
        (["glad", "sad", "n/a"], {}, "'n/a' (1) looks like no label. "),
        (["glad", "sad", "NaN", "-"], {}, "'-' (1), 'NaN' (1) look like no label. "),
        (["glad", "Glad", "sad", "None"], {}, "'glad' (1) differ only in capitals; 'None' (1) looks like no label. "),
        (["glad", "sad", "nanny"], {}, ""),
        (["glad", "sad", "none"], {"words": {"none": "neither"}}, ""),
        (["glad", "Glad", "sad"], {"label_map": {"glad": "glad", "Glad": "Glad", "sad": "sad"}}, ""),
    ],
)
def test_labels_that_are_hardly_meant_as_classes_are_told(tmp_path, labels, settings, told):
    rows = "".join(f"text {number},{label}\n" for number, label in enumerate(labels))
    found = notices(tmp_path, f"text,mood\n{rows}", text_column="text", label_column="mood", **settings)
    assert [told in notice.text for notice in found] == [True] * bool(told)
    assert all(notice.level == "warning" for notice in found)


def test_the_map_that_joins_labels_can_be_pasted(tmp_path, capsys):
    rows = "text 1,not bad\ntext 2,not bad\ntext 3,Not bad\ntext 4,sad\ntext 5,null\n"
    reading = {"text_column": "text", "label_column": "mood"}
    (found,) = notices(tmp_path, f"text,mood\n{rows}", **reading)
    assert "--" not in found.text, "the window shows it, too"
    show_plain_map(Corpus.open(tmp_path / "out"), ImportSettings(**reading))
    command = capsys.readouterr().out.partition("import with ")[2]
    pairs = mapping("label_map", [word for word in shlex.split(command) if word != "--label-map"])
    assert pairs == {"Not bad": "not bad", "not bad": "not bad", "sad": "sad"}
    assert not notices(tmp_path, f"text,mood\n{rows}", **reading, label_map=pairs)
    assert Corpus.open(tmp_path / "out").classes == ("not bad", "sad")
    show_plain_map(Corpus.open(tmp_path / "out"), ImportSettings(**reading))
    assert capsys.readouterr().out == ""


def test_too_many_broken_rows_are_named_with_what_is_wrong_with_them(tmp_path):
    rows = "".join(f"{number},soup,{number},too many\n" for number in range(5))
    with pytest.raises(DataError) as error:
        notices(tmp_path, f"id,text,stars\n1,tea,5\n{rows}", text_column="text")
    said = str(error.value)
    assert "5 of 6 rows are broken" in said
    assert all(f"0.csv, line {line}: " in said for line in (3, 4, 5))
    assert "line 6" not in said
    assert "--maximum-broken-share" not in said, "the window shows it, too"
    assert "raise the maximum broken share" in said
