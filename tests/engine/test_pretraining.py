"""Pre-training a backbone of one's own: text without test sentences, vocabulary, loop, resuming, command."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from loading import load
from typer.testing import CliRunner

from engine.cli import app
from engine.errors import CheckpointError, DataError, SettingsError, TrainingError
from engine.events import Checkpointed, Event, Finished, Metric, Notice
from engine.pretraining.objectives import Batch
from engine.pretraining.stage import _Trainer, pretrain_backbone, warmup_cosine
from engine.pretraining.text import Tokens, draw_passages, prepare_text, sentence_keys
from engine.pretraining.vocabulary import train_vocabulary
from engine.settings import LabelledTask, PretrainBackboneSettings, PretrainingPhase, validated
from engine.stage import StopToken, result_of
from resources import resource

WORDS = ("terrible", "bad", "maybe", "good", "great")
PHASES = [
    PretrainingPhase(steps=4, tokens_per_step=256, spans=0.5, chosen_words=0.2, vectors=0.3),
    PretrainingPhase(steps=4, tokens_per_step=256, spans=0.3, prefix=0.2, vectors=0.2, answers=0.2, verdicts=0.2),
]


class FakeTeacher:
    """Vectors that count letters; counts how many texts it saw."""

    def __init__(self) -> None:
        self.seen = 0

    def layer_means(self, texts: Sequence[str], layers: Sequence[int]) -> np.ndarray:
        self.seen += len(texts)
        counts = np.array([[text.count(letter) for letter in "aeiou"] for text in texts], np.float16)
        return np.tile(counts, (1, len(layers)))

    def word_vectors(self, pieces: Sequence[str]) -> np.ndarray:
        return np.random.default_rng(0).normal(size=(len(pieces), 5)).astype(np.float32)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of JSON lines: the sample's reviews with a label, and a test set of two."""
    folder = tmp_path_factory.mktemp("texts")
    with (
        open(resource("sample", "reviews.csv"), encoding="utf-8") as reviews,
        open(folder / "train.jsonl", "w", encoding="utf-8") as stream,
    ):
        for number, row in enumerate(csv.DictReader(reviews)):
            text = f"{row['review']} It was {WORDS[number % 5]}, all in all."
            stream.write(json.dumps({"text": text, "label": "no" if number % 2 else "yes"}) + "\n")
        stream.write(json.dumps({"text": "A quiet start. It WAS,  great-fun  indeed! And so.", "label": "no"}) + "\n")
        stream.write(json.dumps({"text": "Fun. A short word in common is no sentence here.", "label": "no"}) + "\n")
    rows = ["It was great fun indeed", "Fun."]
    (folder / "test.jsonl").write_text("".join(json.dumps({"text": row}) + "\n" for row in rows), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def settings(texts: Path) -> PretrainBackboneSettings:
    question = LabelledTask(
        files=[str(texts / "train.jsonl")],
        words={"yes": "time", "no": "staff"},
        questions=["So: {mask}", "Is it {mask}?"],
    )
    return PretrainBackboneSettings(
        files=[str(texts / "train.jsonl")],
        keep_out=[str(texts / "test.jsonl")],
        pieces=500,
        width=32,
        feed_forward=64,
        heads=2,
        encoder_layers=1,
        decoder_layers=1,
        length=32,
        chosen_words=["good", "bad", "great", "terrible"],
        verdict_words=["good", "bad", "great", "terrible"],
        passages=100,
        teacher_layers=[0, 1],
        tasks=[question],
        phases=PHASES,
        validation_rows=40,
        validate_every=4,
        checkpoint_every=4,
        device="cpu",
        precision="float32",
    )


@pytest.fixture(scope="module")
def prepared(settings: PretrainBackboneSettings, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("prepared")
    text = result_of(prepare_text(settings, folder, teacher=FakeTeacher(), stop=StopToken()))
    assert text is not None
    return text


def _run(prepared, folder: Path, settings: PretrainBackboneSettings, stop_at: int | None = None) -> list[Event]:
    stop = StopToken()
    events = []
    for event in pretrain_backbone(prepared, None, folder, settings, teacher=FakeTeacher(), stop=stop):
        events.append(event)
        if isinstance(event, Metric) and event.name == "loss of spans" and event.step == stop_at:
            stop.request()
    return events


def test_rows_that_share_a_sentence_with_a_test_set_are_removed_whatever_their_case_and_punctuation(prepared) -> None:
    everything = [
        prepared.tokenizer.decode(row) for part in (prepared.texts, prepared.validation) for row in _rows(part)
    ]
    assert not any("quiet start" in text for text in everything)
    assert any("in common" in text for text in everything)  # one word is no sentence
    assert len(everything) == 1054
    assert prepared.removed == 2  # once as text, once as a row of the task
    assert list(sentence_keys("It was GREAT. Fun!\nNo, no")) == ["itwasgreat", "nono"]


def _rows(tokens: Tokens) -> list[np.ndarray]:
    return [tokens[number] for number in range(len(tokens))]


def test_held_out_texts_are_not_trained_on(prepared) -> None:
    assert len(prepared.validation) == 40
    trained = {row.tobytes() for row in _rows(prepared.texts)}
    assert not any(row.tobytes() in trained for row in _rows(prepared.validation))


def test_passages_are_whole_sentences_of_the_texts() -> None:
    texts = [f"Here is text number {number} of all. It has a second sentence {number}! Third." for number in range(50)]
    found = draw_passages(texts, 120, seed=0)
    assert len(found) == len(set(found)) == 120
    assert all(any(passage in text for text in texts) for passage in found)
    assert all(passage[-1] in ".!" for passage in found)
    assert found == draw_passages(texts, 120, seed=0) != draw_passages(texts, 120, seed=1)


def test_what_is_prepared_is_not_prepared_again_unless_the_recipe_changes(settings, tmp_path: Path) -> None:
    teacher = FakeTeacher()
    result_of(prepare_text(settings, tmp_path, teacher=teacher, stop=StopToken()))
    seen = teacher.seen
    assert seen == 101
    result_of(prepare_text(settings, tmp_path, teacher=teacher, stop=StopToken()))
    assert teacher.seen == seen
    longer = settings.model_copy(update={"phases": PHASES[:1]})
    result_of(prepare_text(longer, tmp_path, teacher=teacher, stop=StopToken()))
    assert teacher.seen == seen
    fewer = settings.model_copy(update={"passages": 50})
    text = result_of(prepare_text(fewer, tmp_path, teacher=teacher, stop=StopToken()))
    assert text is not None
    assert text.vectors is not None
    assert text.vectors.shape == (50, 10)
    assert teacher.seen > seen


def test_preparing_can_be_stopped(settings, tmp_path: Path) -> None:
    stop = StopToken()
    stop.request()
    assert result_of(prepare_text(settings, tmp_path, teacher=FakeTeacher(), stop=stop)) is None
    assert result_of(prepare_text(settings, tmp_path, teacher=FakeTeacher(), stop=StopToken())) is not None


def test_too_few_texts_are_refused(settings, tmp_path: Path) -> None:
    greedy = settings.model_copy(update={"validation_rows": 5000})
    with pytest.raises(DataError, match="too few to hold out"):
        result_of(prepare_text(greedy, tmp_path, teacher=FakeTeacher(), stop=StopToken()))


def test_vocabulary_has_the_label_words_the_sentinels_and_no_capitals(prepared) -> None:
    tokenizer = prepared.tokenizer
    assert len(tokenizer) == 600
    for word in ("terrible", "bad", "maybe", "good", "great", "Great"):
        assert len(tokenizer(word, add_special_tokens=False).input_ids) == 1
    assert tokenizer.convert_tokens_to_ids("<extra_id_0>") == 599
    assert tokenizer.convert_tokens_to_ids("<extra_id_99>") == 500
    ids = tokenizer("It was <extra_id_0>.").input_ids
    assert 599 in ids
    assert ids[-1] == tokenizer.eos_token_id == 1
    assert tokenizer.pad_token_id == 0


def test_vocabulary_refuses_too_little_text_and_words_that_it_would_split(texts: Path, tmp_path: Path) -> None:
    some = (texts / "train.jsonl").read_text(encoding="utf-8").splitlines()
    with pytest.raises(DataError, match=r"do not yield 5,000 pieces"):
        train_vocabulary(["a little text"], tmp_path, pieces=5000, words=[])
    with pytest.raises(DataError, match=r"not one token.*extraordinary"):
        train_vocabulary(some, tmp_path, pieces=500, words=["extraordinary"])


def test_training_lowers_every_held_out_loss(prepared, settings, tmp_path: Path) -> None:
    longer = [phase.model_copy(update={"steps": 60, "learning_rate": 0.02}) for phase in PHASES]
    events = _run(prepared, tmp_path, settings.model_copy(update={"phases": longer, "validate_every": 20}))
    curves: dict[str, list[float]] = {}
    for event in events:
        if isinstance(event, Metric) and event.name == "validation loss":
            curves.setdefault(event.group, []).append(event.value)
    assert set(curves) == {"spans", "prefix", "chosen words", "vectors", "verdicts"}
    for name, curve in curves.items():
        assert len(curve) == 6
        assert curve[-1] < curve[0], name
    assert isinstance(events[-1], Finished)
    assert events[-1].outcome == "completed"


def test_a_trainer_learns_from_one_text_at_the_rate_of_its_step_and_validates_on_another(prepared, settings) -> None:
    trainer, other = (
        _Trainer(prepared, None, settings.model_copy(update={"seed": seed}), FakeTeacher()) for seed in (0, 1)
    )
    for name in ("spans", "prefix", "chosen_words", "verdicts"):
        assert trainer._objectives[name]._stream is prepared.texts.values
        assert trainer._validation[name]._stream is prepared.validation.values
    assert not set(trainer._objectives["vectors"]._part) & set(trainer._validation["vectors"]._part)
    assert not np.array_equal(*(some.batches(0)["spans"].inputs for some in (trainer, other)))
    quick = trainer.settings.phases[0]
    for step in range(2):
        result_of(trainer.train(trainer.batches(step)))
        factor = warmup_cosine(step, quick.warmup_steps, quick.steps, quick.final_rate)
        assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(quick.learning_rate * factor)


def test_result_is_a_backbone_in_bfloat16_that_loads_and_is_the_trained_one(prepared, settings, tmp_path: Path) -> None:
    _run(prepared, tmp_path, settings)
    backbone = load(tmp_path / "model")
    assert backbone.width == 32
    assert len(backbone.tokenizer) == 600
    from safetensors import safe_open

    with safe_open(tmp_path / "model" / "model.safetensors", "pt") as stream:
        names = list(stream.keys())
        assert {stream.get_tensor(name).dtype for name in names} == {torch.bfloat16}
    assert "shared.weight" in names
    assert (tmp_path / "model" / "spiece.model").exists()
    assert "lm_head.weight" not in names
    with safe_open(tmp_path / "checkpoint.safetensors", "pt") as stream:
        trained = stream.get_tensor("model.encoder.block.0.layer.1.DenseReluDense.wi.weight")
    kept = backbone.model.encoder.block[0].layer[1].DenseReluDense.wi.weight
    assert torch.equal(kept, trained.bfloat16().float())
    summary = json.loads((tmp_path / "training.json").read_text(encoding="utf-8"))
    assert summary["steps"] == 8
    assert summary["tokens"] > 8 * 256 * 0.8
    assert [point["step"] for point in summary["validation"]] == [4, 8]


@pytest.mark.parametrize("stop_at", [2, 4, 6])
def test_a_stopped_run_goes_on_bit_for_bit(prepared, settings, tmp_path: Path, stop_at: int) -> None:
    _run(prepared, tmp_path / "whole", settings)
    first = _run(prepared, tmp_path / "parts", settings, stop_at=stop_at)
    assert isinstance(first[-1], Finished)
    assert first[-1].outcome == "stopped"
    assert isinstance(first[-2], Checkpointed)
    assert first[-2].step == stop_at
    assert not (tmp_path / "parts" / "model").exists()
    _run(prepared, tmp_path / "parts", settings)
    whole, parts = (load(tmp_path / name / "model").model.state_dict() for name in ("whole", "parts"))
    for name, weight in whole.items():
        assert torch.equal(weight, parts[name]), name


def test_a_checkpoint_of_another_recipe_is_refused(prepared, settings, tmp_path: Path) -> None:
    _run(prepared, tmp_path, settings, stop_at=2)
    with pytest.raises(CheckpointError, match="other settings"):
        _run(prepared, tmp_path, settings.model_copy(update={"seed": 1}))


def test_phases_can_be_added_to_a_run_but_not_changed_under_it(prepared, settings, tmp_path: Path) -> None:
    first, second = PHASES
    _run(prepared, tmp_path / "whole", settings)
    _run(prepared, tmp_path / "parts", settings.model_copy(update={"phases": [first]}))
    assert (tmp_path / "parts" / "model").exists()
    _run(prepared, tmp_path / "parts", settings)
    whole, parts = (load(tmp_path / name / "model").model.state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(weight, parts[name]) for name, weight in whole.items())
    for changed in ([second, second], [first, second.model_copy(update={"spans": 0.9})], [first]):
        with pytest.raises(CheckpointError, match="other phases"):
            _run(prepared, tmp_path / "parts", settings.model_copy(update={"phases": changed}))


def test_a_run_can_go_on_from_another_model(prepared, settings, tmp_path: Path) -> None:
    _run(prepared, tmp_path / "first", settings)
    start = load(tmp_path / "first" / "model").model
    phase = PretrainingPhase(steps=1, tokens_per_step=64, learning_rate=1e-9, warmup_steps=0)
    again = settings.model_copy(update={"phases": [phase]})
    for _ in pretrain_backbone(prepared, start, tmp_path / "second", again, teacher=FakeTeacher(), stop=StopToken()):
        pass
    one, two = (load(tmp_path / name / "model").model.state_dict() for name in ("first", "second"))
    assert all(torch.allclose(one[name], two[name], atol=1e-6) for name in one)


def test_a_gradient_that_is_no_number_ends_the_run_with_a_sentence(prepared, settings, tmp_path: Path) -> None:
    wild = [PretrainingPhase(steps=50, tokens_per_step=64, learning_rate=1e30, warmup_steps=0)]
    with pytest.raises(TrainingError, match="no longer a number at step"):
        _run(prepared, tmp_path, settings.model_copy(update={"phases": wild}))


def test_phases_that_have_nothing_to_train_on_are_refused(prepared, settings, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="all shares are 0"):
        validated(PretrainingPhase, {"spans": 0})
    unknown = settings.model_copy(update={"chosen_words": ["antidisestablishmentarianism"]})
    with pytest.raises(SettingsError, match="None of the chosen words"):
        _run(prepared, tmp_path, unknown)
    alone = settings.model_copy(update={"phases": [PretrainingPhase(answers=1.0)]})
    with pytest.raises(SettingsError, match="there are none"):
        _run(dataclasses.replace(prepared, tasks=None), tmp_path, alone)


def test_held_out_texts_that_lack_the_words_or_are_too_short_are_no_obstacle(
    prepared, settings, tmp_path: Path
) -> None:
    few = Tokens.of([prepared.tokenizer("It rained.").input_ids])
    events = _run(dataclasses.replace(prepared, validation=few), tmp_path, settings)
    assert {event.group for event in events if isinstance(event, Metric) and event.name == "validation loss"} == {
        "vectors"
    }
    with pytest.raises(DataError, match="fewer than the"):
        _run(dataclasses.replace(prepared, texts=few), tmp_path / "short", settings)


def test_rate_rises_falls_and_ends_where_it_should() -> None:
    factors = [warmup_cosine(step, 10, 110, 0.1) for step in range(111)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9] == factors[10] == 1.0
    assert factors[60] == pytest.approx(0.55)
    assert factors[110] == pytest.approx(0.1)
    assert all(later <= before for before, later in itertools.pairwise(factors[10:]))


def test_command_trains_a_backbone_from_a_file(texts: Path, settings, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        """
files = ["{data}/train.jsonl"]
keep_out = ["{data}/test.json*"]
pieces = 500
width = 16
feed_forward = 32
heads = 2
encoder_layers = 1
decoder_layers = 1
length = 32
passages = 0
word_vectors = false
validation_rows = 40
device = "cpu"
[[phases]]
steps = 3
tokens_per_step = 128
""",
        encoding="utf-8",
    )
    out = tmp_path / "run"
    command = ["pretrain-backbone", str(recipe), "--data", str(texts), "--out", str(out), "--json"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["outcome"] == "completed"
    removed = [event["text"] for event in events if "share a sentence" in event.get("text", "")]
    assert removed == ["1 of 1,055 rows share a sentence with a test set and were removed"]
    assert load(out / "model").width == 16
    missing = CliRunner().invoke(app, ["pretrain-backbone", str(recipe), "--out", str(out)], env={"METAPT_DATA": ""})
    assert missing.exit_code != 0


def test_what_does_not_fit_into_memory_is_taken_in_parts_with_the_same_gradient(
    prepared, settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = _run(prepared, tmp_path / "enough", settings)
    loss = _Trainer._loss

    def limited(self: _Trainer, batch: Batch) -> torch.Tensor:
        if self.model.training and len(batch.inputs) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return loss(self, batch)

    monkeypatch.setattr(_Trainer, "_loss", limited)
    found = _run(prepared, tmp_path / "small", settings)
    warnings = [event.text for event in found if isinstance(event, Notice) and event.level == "warning"]
    assert warnings[-1] == "The memory was exhausted; 2 texts are taken at a time from now on."
    assert len(set(warnings)) == len(warnings), "it is known by then what fits"

    def losses(events: list[Event]) -> list[float]:
        return [event.value for event in events if isinstance(event, Metric)]

    assert losses(found) == pytest.approx(losses(expected), rel=1e-4)
