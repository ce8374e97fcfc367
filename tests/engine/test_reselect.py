"""Thresholds that are moved, pseudo-labels that are corrected, and a dry run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from fake_encoder import FakeEncoder
from hypothesis import given
from hypothesis import strategies as st
from made_corpora import corpus_of

from engine.annotation.dry_run import dry_run
from engine.annotation.reselect import reselect
from engine.annotation.selection import LiveCounts, live_counts, select
from engine.annotation.stage import annotate
from engine.corpus.store import Corpus
from engine.errors import DataError, SettingsError
from engine.events import Finished
from engine.jobs import AnnotateJob, SelectJob, job_from
from engine.running.perform import perform
from engine.settings import AnnotateSettings
from engine.stage import StopToken
from engine.storage import read_json

LOOSE = AnnotateSettings(confidence=0, out_of_domain_share=0, balance=False)


@pytest.fixture
def corpora(tmp_path: Path) -> tuple[Corpus, Corpus]:
    random = np.random.default_rng(0)
    words = {"bad": ["cold", "rude", "slow"], "good": ["warm", "kind", "fresh"]}
    names = ["bad", "good"] * 40
    taught = [" ".join(random.choice(words[name], 3)) + f" t{number}" for number, name in enumerate(names)]
    mixed = [*words["bad"], *words["good"]]
    asked = [" ".join(random.choice(mixed, 3)) + f" a{number}" for number in range(60)]
    return corpus_of(tmp_path / "taught", taught, names), corpus_of(tmp_path / "asked", asked, [None] * 60)


@pytest.fixture
def annotated(corpora: tuple[Corpus, Corpus], tmp_path: Path) -> Path:
    folder = tmp_path / "annotated"
    encoder, cache = FakeEncoder(), tmp_path / "cache"
    events = list(annotate(*corpora, folder, LOOSE, encoder=encoder, cache=cache, stop=StopToken()))
    assert isinstance(events[-1], Finished)
    return folder


def again(
    annotated: Path, corpora: tuple[Corpus, Corpus], folder: Path, settings: AnnotateSettings, **edits: object
) -> Corpus:
    changes = {int(row.removeprefix("row")): name for row, name in edits.items()}
    events = list(reselect(annotated, *corpora, folder, settings, edits=changes, stop=StopToken()))  # type: ignore[arg-type]
    assert isinstance(events[-1], Finished), events[-1]
    return Corpus.open(folder)


CONFIDENCES = st.sampled_from([0.1, 0.7, 0.9]) | st.floats(0, 1)
"""Often the very same values: a float32 confidence of 0.7 is not the threshold 0.7."""


@given(
    rows=st.lists(st.tuples(st.integers(0, 2), CONFIDENCES, st.booleans()), min_size=1, max_size=60),
    bars=st.tuples(*[CONFIDENCES] * 3),
    balance=st.booleans(),
    maximum=st.none() | st.integers(1, 60),
)
def test_live_counts_are_what_selection_keeps(rows, bars, balance, maximum) -> None:
    predicted = np.array([row[0] for row in rows])
    confidence = np.array([row[1] for row in rows], np.float32)
    eligible = np.array([row[2] for row in rows])
    classes = ("a", "b", "c")
    settings = AnnotateSettings(
        class_confidence=dict(zip(classes, map(float, bars), strict=True)), balance=balance, maximum_rows=maximum
    )
    domain = np.ones(len(rows), np.float32)
    chosen = select(predicted, confidence, domain, ~eligible, classes, settings, domain_threshold=0.0)
    kept = LiveCounts(predicted, confidence, eligible, 3).kept(np.array(bars), balance=balance, maximum_rows=maximum)
    assert kept.tolist() == np.bincount(predicted[chosen.rows], minlength=3).tolist()


def test_selecting_anew_keeps_what_annotating_anew_would(annotated: Path, corpora, tmp_path: Path) -> None:
    settings = AnnotateSettings(confidence=0.7, out_of_domain_share=0.2, balance=True)
    made = again(annotated, corpora, tmp_path / "anew", settings)
    encoder, cache = FakeEncoder(), tmp_path / "cache"
    list(annotate(*corpora, tmp_path / "direct", settings, encoder=encoder, cache=cache, stop=StopToken()))
    direct = Corpus.open(tmp_path / "direct")
    assert made.texts == direct.texts
    assert made.labels.tolist() == direct.labels.tolist()
    for name in ("kept", "dropped", "thresholds", "domain_threshold"):
        assert (
            read_json(tmp_path / "anew" / "annotation.json")[name] == read_json(direct.folder / "annotation.json")[name]
        )
    counts = live_counts(made.folder / "scores.parquet", read_json(made.folder / "annotation.json"), made.classes)
    kept = counts.kept(np.array([0.7, 0.7]), balance=True, maximum_rows=None)
    assert kept.tolist() == np.bincount(made.labels, minlength=2).tolist()


def test_corrections_go_before_the_annotator_and_can_be_built_upon(annotated: Path, corpora, tmp_path: Path) -> None:
    asked = corpora[1]
    scores = pq.read_table(annotated / "scores.parquet").to_pydict()
    wrong = "good" if scores["label"][3] == "bad" else "bad"
    strict = AnnotateSettings(confidence=0.999999, out_of_domain_share=0, balance=False)
    made = again(annotated, corpora, tmp_path / "once", strict, row3=wrong, row5="")
    place = made.texts.index(asked.texts[3])
    assert made.classes[made.labels[place]] == wrong
    assert made.confidence is not None
    assert made.confidence[place] == 1.0
    assert asked.texts[5] not in made.texts
    loose = again(tmp_path / "once", corpora, tmp_path / "twice", LOOSE, row5="")
    assert loose.rows == 59
    assert loose.classes[loose.labels[loose.texts.index(asked.texts[3])]] == scores["label"][3]
    with pytest.raises(DataError, match="Row 4"):
        again(annotated, corpora, tmp_path / "none", LOOSE, row3="ugly")


def test_every_row_is_kept_or_dropped_once_with_its_true_reason(annotated: Path, corpora, tmp_path: Path) -> None:
    labels = pq.read_table(annotated / "scores.parquet").column("label").to_pylist()
    settings = AnnotateSettings(confidence=0.7, out_of_domain_share=0.2, balance=True)
    made = again(annotated, corpora, tmp_path / "anew", settings, row3="good", row5="", row6="")
    report = read_json(made.folder / "annotation.json")
    rejected = report["dropped"]["rejected by hand"]
    assert rejected == {name: [labels[5], labels[6]].count(name) for name in made.classes}
    assert sum(report["dropped"]["already labelled"].values()) == 0, "no text stands in the labelled corpus"
    dropped = sum(count for counts in report["dropped"].values() for count in counts.values())
    assert sum(report["kept"].values()) == made.rows
    assert made.rows + dropped == 60
    assert report["edits"] == 3


def test_the_annotators_word_and_its_figures_are_passed_on(annotated: Path, corpora, tmp_path: Path) -> None:
    made = again(annotated, corpora, tmp_path / "anew", LOOSE, row3="good", row4="bad", row5="")
    assert pq.read_table(made.folder / "scores.parquet") == pq.read_table(annotated / "scores.parquet")
    before, after = (read_json(folder / "annotation.json") for folder in (annotated, made.folder))
    for name in ("annotator", "temperature", "held_out_rows", "held_out_before", "held_out_after", "reliability"):
        assert after[name] == before[name]
    assert (made.folder / "audit.csv").exists()


def test_an_edited_row_stands_beside_the_balance(annotated: Path, corpora, tmp_path: Path) -> None:
    balanced = LOOSE.model_copy(update={"balance": True})
    labels = pq.read_table(annotated / "scores.parquet").column("label").to_pylist()
    moved = [row for row, label in enumerate(labels) if label == "good"][:4]
    made = again(annotated, corpora, tmp_path / "anew", balanced, **{f"row{row}": "bad" for row in moved})
    others = min(labels.count("bad"), labels.count("good") - len(moved))
    assert np.bincount(made.labels, minlength=2).tolist() == [others + len(moved), others]


def test_texts_that_are_labelled_already_are_marked(corpora, tmp_path: Path) -> None:
    taught, asked = corpora
    mixed = corpus_of(tmp_path / "mixed", [*asked.texts[:20], *taught.texts[:3]], [None] * 23)
    folder, cache = tmp_path / "marked", tmp_path / "cache"
    list(annotate(taught, mixed, folder, LOOSE, encoder=FakeEncoder(), cache=cache, stop=StopToken()))
    marked = pq.read_table(folder / "scores.parquet").column("already_labelled").to_pylist()
    assert marked == [False] * 20 + [True] * 3


def test_a_threshold_for_no_class_is_refused(annotated: Path, corpora, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no class ugly"):
        again(annotated, corpora, tmp_path / "none", AnnotateSettings(class_confidence={"ugly": 0.5}))


def test_selecting_stops_when_asked(annotated: Path, corpora, tmp_path: Path) -> None:
    stop = StopToken()
    stop.request()
    events = list(reselect(annotated, *corpora, tmp_path / "none", LOOSE, edits={}, stop=stop))
    assert events[-1].outcome == "stopped"
    assert not (tmp_path / "none").exists()


def test_a_select_job_crosses_a_pipe_with_its_edits(annotated: Path, corpora, tmp_path: Path) -> None:
    taught, asked = (str(corpus.folder) for corpus in corpora)
    job = SelectJob(annotated=str(annotated), labelled=taught, unlabelled=asked, edits={5: ""}, settings=LOOSE)
    events = list(perform(job_from(json.loads(json.dumps(job.document()))), tmp_path / "run", None, StopToken()))  # type: ignore[arg-type]
    assert isinstance(events[-1], Finished), events[-1]
    assert Corpus.open(tmp_path / "run").rows == 59


def test_nothing_kept_is_said(annotated: Path, corpora, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="None of 60 texts is kept: 60 rejected by hand"):
        again(annotated, corpora, tmp_path / "none", LOOSE, **{f"row{row}": "" for row in range(60)})


def test_a_dry_run_labels_few_texts_taught_by_few(corpora, tmp_path: Path) -> None:
    class Session:
        def sentence_encoder(self, device: str) -> FakeEncoder:
            return FakeEncoder()

    taught, asked = (str(corpus.folder) for corpus in corpora)
    strict = AnnotateSettings(confidence=0.99)
    job = AnnotateJob(labelled=taught, unlabelled=asked, cache=str(tmp_path / "cache"), settings=strict, sample=7)
    events = list(job.run(Session(), tmp_path / "dry", StopToken()))  # type: ignore[arg-type]
    assert isinstance(events[-1], Finished)
    made = Corpus.open(tmp_path / "dry")
    assert made.rows == 7
    scores = pq.read_table(tmp_path / "dry" / "scores.parquet").to_pydict()
    assert made.texts == [corpora[1].texts[row] for row in scores["row"]]
    assert scores["row"] != list(range(7)), "not the first ones"


def test_a_dry_run_is_taught_by_labelled_rows_of_every_class(corpora, tmp_path: Path) -> None:
    names = ["bad", "good"] * 150 + ["rare"] * 3
    texts = [f"{name} text {number}" for number, name in enumerate(names)]
    taught = corpus_of(
        tmp_path / "many", [*texts, *(f"nothing {number}" for number in range(900))], names + [None] * 900
    )
    folder, cache = tmp_path / "dry", tmp_path / "cache"
    stop, encoder = StopToken(), FakeEncoder()
    list(dry_run(taught, corpora[1], folder, AnnotateSettings(), sample=4, encoder=encoder, cache=cache, stop=stop))
    counts = np.bincount(Corpus.open(folder / "labelled").labels, minlength=3)
    assert counts.sum() == Corpus.open(folder / "labelled").rows == 200
    assert counts[2] >= 2
    assert pq.read_table(folder / "scores.parquet").num_rows == 4


def test_a_dry_run_without_labels_says_what_is_missing(corpora, tmp_path: Path) -> None:
    asked, folder, cache = corpora[1], tmp_path / "dry", tmp_path / "cache"
    with pytest.raises(DataError, match="at least two classes"):
        list(dry_run(asked, asked, folder, LOOSE, sample=4, encoder=FakeEncoder(), cache=cache, stop=StopToken()))
