"""What the training loops draw, their schedules, and when they stop early."""

from __future__ import annotations

import numpy as np
import pytest

from engine.corpus.drawing import draw_few_shot, few_shot_draws
from engine.errors import DataError
from engine.schedules import EarlyStopping, linear_warmup_decay
from engine.settings import TuneSettings
from engine.training.examples import make_meta_tasks, support_and_query

# Drawing --------------------------------------------------------------------------------------------------------------


def test_support_query_and_validation_rows_never_overlap():
    groups = [("a", np.arange(0, 40)), ("b", np.arange(40, 52)), ("tiny", np.arange(52, 60))]
    tasks, notices = make_meta_tasks(groups, shots=4, validation_share=0.1, validation_rows=100, seed=3)
    assert [task.name for task in tasks] == ["a", "b"]
    assert "tiny" in notices[0]
    for number, task in enumerate(tasks):
        assert not set(task.training) & set(task.validation)
        assert set(task.training) | set(task.validation) == set(groups[number][1])
        for step in range(50):
            support, query = support_and_query(task, 4, 3, step, number)
            assert len({*support, *query}) == 8
            assert {*support, *query} <= set(task.training)
            again = support_and_query(task, 4, 3, step, number)
            assert np.array_equal(support, again[0])
            assert np.array_equal(query, again[1])
    seen = {tuple(support_and_query(tasks[0], 4, 3, step, 0)[0]) for step in range(50)}
    assert len(seen) > 40, "every step draws anew"


def test_a_group_of_just_enough_rows_is_a_task_and_a_tenth_of_it_is_held_out():
    groups = [("just enough", np.arange(9)), ("too few", np.arange(8)), ("rounded", np.arange(17))]
    options = {"shots": 4, "validation_share": 0.1, "seed": 0}
    tasks, told = make_meta_tasks([*groups, ("many", np.arange(5000))], validation_rows=100, **options)
    assert [task.name for task in tasks] == ["just enough", "rounded", "many"]
    assert [len(task.validation) for task in tasks] == [1, 2, 100]
    assert "8 rows, fewer than the 9" in told[0]


def test_tasks_steps_and_seeds_draw_differently():
    task = make_meta_tasks([("a", np.arange(100))], shots=4, validation_share=0.1, validation_rows=100, seed=0)[0][0]
    places = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]  # seed, step and number of the task
    assert len({tuple(support_and_query(task, 4, *place)[0]) for place in places}) == 4
    held_out = [
        make_meta_tasks([("a", np.arange(100))], shots=4, validation_share=0.1, validation_rows=100, seed=seed)[0][0]
        for seed in range(3)
    ]
    assert len({tuple(task.validation) for task in held_out}) == 3


def test_no_group_large_enough_is_an_error():
    with pytest.raises(DataError, match="enough rows"):
        make_meta_tasks([("a", np.arange(5))], shots=4, validation_share=0.1, validation_rows=10, seed=0)


def test_few_shot_draws_as_in_the_paper_and_with_fewer_labels():
    settings = TuneSettings()
    labels = np.arange(200) % 3
    draw = draw_few_shot(labels, settings, 1)
    assert (len(draw.training), len(draw.validation)) == (40, 40)
    assert not set(draw.training) & set(draw.validation)
    assert not np.array_equal(draw.training, draw_few_shot(labels, settings, 2).training)
    few = np.full(200, -1)
    few[:11], few[11:20] = 0, 1
    draw = draw_few_shot(few, settings, 1)
    assert np.bincount(few[draw.training]).tolist() == [6, 5]
    assert np.bincount(few[draw.validation]).tolist() == [5, 4]
    uneven = draw_few_shot(few, TuneSettings(training_rows=10, validation_rows=40), 1)
    assert np.bincount(few[uneven.training]).tolist() == [3, 2]
    few[17:20] = -1
    few[14:17] = -1
    assert len(draw_few_shot(few, settings, 1).validation) == 0, "three rows of a class are too few to hold any out"
    few[11:14] = -1
    with pytest.raises(DataError, match="at least two classes"):
        draw_few_shot(few, settings, 1)


def test_just_enough_labels_are_drawn_without_regard_to_their_class():
    labels = np.arange(80) % 2
    counts = {int(labels[draw_few_shot(labels, TuneSettings(), seed).training].sum()) for seed in range(10)}
    assert len(counts) > 1, "a draw that is stratified has twenty of each"


def test_four_labels_of_a_class_are_halved():
    draw = draw_few_shot(np.array([0, 0, 0, 0, 1, 1, 1, 1]), TuneSettings(), 0)
    assert (len(draw.training), len(draw.validation)) == (4, 4)


def test_draws_stay_inside_the_pool():
    labels = np.arange(300) % 2
    for _, draw in few_shot_draws(labels, np.arange(100, 220), TuneSettings(seeds=3)):
        assert {*draw.training, *draw.validation} <= set(range(100, 220))


# Schedules ------------------------------------------------------------------------------------------------------------


def test_linear_schedule_by_hand():
    factors = [linear_warmup_decay(step, 4, 12) for step in (0, 1, 3, 4, 8, 11, 12)]
    assert factors == [0, 0.25, 0.75, 1, 0.5, 0.125, 0]
    assert linear_warmup_decay(0, 0, 10) == 1


def test_early_stopping_by_hand():
    stopping = EarlyStopping(patience=2)
    history = [
        (0.5, 1.0, True),
        (0.5, 0.9, True),
        (0.5, 0.95, False),
        (0.6, 2.0, True),
        (0.55, 0.1, False),
        (0.6, 2.0, False),
    ]
    for step, (accuracy, loss, improved) in enumerate(history):
        assert not stopping.exhausted
        assert stopping.update(step, accuracy, loss) is improved
    assert stopping.exhausted
    assert (stopping.best_step, stopping.best_accuracy) == (3, 0.6)
    assert EarlyStopping.from_state(stopping.state()) == stopping
    assert EarlyStopping.from_state(EarlyStopping(3).state()) == EarlyStopping(3)


def test_early_stopping_by_loss_by_hand():
    stopping = EarlyStopping(patience=2, improvement="loss")
    for step, (accuracy, loss, improved) in enumerate([(0.5, 1.0, True), (0.9, 1.0, False), (0.4, 0.9, True)]):
        assert stopping.update(step, accuracy, loss) is improved
    assert (stopping.best_step, stopping.best_accuracy, stopping.merit) == (2, 0.4, (-0.9,))
    assert EarlyStopping.from_state(stopping.state()) == stopping
