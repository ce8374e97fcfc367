"""Text that is prepared once for a pre-training, and again when what its files hold has changed."""

from __future__ import annotations

import csv
import hashlib
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from engine.corpus import contents
from engine.corpus.contents import content_hashes
from engine.errors import StorageError
from engine.events import Event, Notice, Progress
from engine.pretraining.text import PreparedText, prepare_text
from engine.settings import PretrainBackboneSettings, PretrainingPhase
from engine.stage import Stage, StopToken, result_of
from engine.storage import read_json, write_json
from resources import resource


class NoTeacher:
    """Is not asked for anything where there are no passages."""

    def layer_means(self, texts: Sequence[str], layers: Sequence[int]) -> np.ndarray:
        raise AssertionError("there are no passages")

    def word_vectors(self, pieces: Sequence[str]) -> np.ndarray:
        raise AssertionError("nobody begins with word vectors")


with open(resource("sample", "reviews.csv"), encoding="utf-8") as reviews:
    TEXTS = [row["review"] for row in itertools.islice(csv.DictReader(reviews), 300)]


@pytest.fixture
def recipe(tmp_path: Path) -> PretrainBackboneSettings:
    write_texts(tmp_path / "train.txt", TEXTS)
    write_texts(tmp_path / "test.txt", ["Nothing of this is there"])
    return PretrainBackboneSettings(
        files=[str(tmp_path / "train.txt")],
        keep_out=[str(tmp_path / "test.txt")],
        pieces=200,
        words=[],
        passages=0,
        word_vectors=False,
        phases=[PretrainingPhase(steps=1)],
        validation_rows=10,
        device="cpu",
    )


def write_texts(path: Path, texts: Sequence[str]) -> None:
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")


def prepare(recipe: PretrainBackboneSettings, folder: Path) -> tuple[PreparedText, list[Event]]:
    found: list[PreparedText | None] = []

    def whole() -> Stage:
        found.append((yield from prepare_text(recipe, folder, teacher=NoTeacher(), stop=StopToken())))

    events = list(whole())
    (text,) = found
    assert text is not None
    return text, events


def made_anew(events: Sequence[Event]) -> bool:
    return any(isinstance(event, Notice) and event.text == "Training the vocabulary" for event in events)


def test_rows_that_are_added_to_a_file_are_read(recipe: PretrainBackboneSettings, tmp_path: Path) -> None:
    before, events = prepare(recipe, tmp_path / "prepared")
    assert made_anew(events)
    same, events = prepare(recipe, tmp_path / "prepared")
    assert not made_anew(events)
    assert same.fingerprint == before.fingerprint
    write_texts(tmp_path / "train.txt", [*TEXTS, "The last kitchen of all served the soup late at night."])
    after, events = prepare(recipe, tmp_path / "prepared")
    assert made_anew(events)
    assert len(after.texts) == len(before.texts) + 1
    assert not made_anew(prepare(recipe, tmp_path / "prepared")[1])


def test_sentences_that_are_added_to_a_test_set_leave_the_training(
    recipe: PretrainBackboneSettings, tmp_path: Path
) -> None:
    before, _ = prepare(recipe, tmp_path / "prepared")
    assert before.removed == 0
    write_texts(tmp_path / "test.txt", ["Nothing of this is there", TEXTS[3].split(".")[0]])
    after, _ = prepare(recipe, tmp_path / "prepared")
    assert after.removed == 1


def test_a_folder_that_was_carried_to_where_the_texts_are_not_is_used(
    recipe: PretrainBackboneSettings, tmp_path: Path
) -> None:
    before, _ = prepare(recipe, tmp_path / "prepared")
    (tmp_path / "train.txt").unlink()
    after, events = prepare(recipe, tmp_path / "prepared")
    assert after.fingerprint == before.fingerprint
    told = [event.text for event in events if isinstance(event, Notice)]
    assert told == [
        "1 of 2 files of texts are not on this computer; what was prepared from them before is used.",
    ]
    write_texts(tmp_path / "test.txt", [TEXTS[3]])
    with pytest.raises(StorageError, match=r"no such file.*train\.txt"):  # better than to train on a test set
        prepare(recipe, tmp_path / "prepared")


def test_what_an_older_metapt_prepared_is_made_anew_only_where_the_texts_are(
    recipe: PretrainBackboneSettings, tmp_path: Path
) -> None:
    prepare(recipe, tmp_path / "prepared")
    marker = tmp_path / "prepared" / "prepared.json"
    older = {name: value for name, value in read_json(marker).items() if name != "contents"}
    write_json(marker, older)
    assert made_anew(prepare(recipe, tmp_path / "prepared")[1])
    write_json(marker, older)
    for name in ("train.txt", "test.txt"):
        (tmp_path / name).unlink()
    assert not made_anew(prepare(recipe, tmp_path / "prepared")[1])


def test_contents_are_hashed_by_name_with_progress_and_can_be_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "BLOCK", 4)
    (tmp_path / "a.txt").write_bytes(b"soup and")
    (tmp_path / "b.txt").write_bytes(b"bread")
    names = [str(tmp_path / "*.txt"), str(tmp_path / "b.txt"), str(tmp_path / "c.txt")]

    def digest(*parts: bytes) -> str:
        joined = "".join(hashlib.sha256(part).hexdigest() for part in parts)
        return hashlib.sha256(joined.encode()).hexdigest()

    found = result_of(content_hashes(names, "reading", stop=StopToken()))
    assert found == dict(zip(names, [digest(b"soup and", b"bread"), digest(b"bread"), None], strict=True))
    stop, done = StopToken(), []
    for event in content_hashes(names, "reading", stop=stop):
        assert isinstance(event, Progress)
        done.append((event.done, event.total))
        if event.done == 8:
            stop.request()
    assert done == [(4, 13), (8, 13)]
    assert result_of(content_hashes(names, "reading", stop=stop)) is None
