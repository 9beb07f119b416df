"""A training's log, read back as TensorBoard itself reads it."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from search.errors import SearchError
from search.supernet import Supernet, TrainSettings, train, train_alone
from search.supernet.tensorboard import ProgressLog

pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
SHORT = TrainSettings(epochs=1, batch=40)


def read(folder):
    """(step, value) of each figure."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder)).Reload()
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_every_step_of_a_training_is_there_once_those_of_its_next_life_too(data, space, tmp_path):
    settings, path, seen = replace(SHORT, epochs=2), tmp_path / "state", []
    train(
        Supernet(space),
        data,
        settings,
        checkpoint=path,
        progress=ProgressLog(tmp_path / "log", seen.append),
        stop=lambda: len(seen) == 4,
    )
    train(Supernet(space), data, settings, checkpoint=path, progress=ProgressLog(tmp_path / "log", seen.append))
    assert [entry.step for entry in seen] == list(range(1, 11))
    logged = read(tmp_path / "log")
    assert set(logged) == {"loss", "accuracy", "learning_rate", "images_per_s"}
    for name, noted in logged.items():
        assert noted == [(told.step, pytest.approx(getattr(told, name))) for told in seen]


def test_steps_that_are_done_again_take_the_place_of_those_that_were_lost(data, space, tmp_path):
    seen = []
    for _ in range(2):
        train(Supernet(space), data, SHORT, progress=ProgressLog(tmp_path, seen.append))
    assert [step for step, _ in read(tmp_path)["loss"]] == list(range(1, 6))


def test_the_learning_rate_is_that_of_the_step(data, space):
    seen = []
    train_alone(space, space.smallest(np.random.default_rng(0)), data, SHORT, seed=0, progress=seen.append)
    assert [entry.learning_rate for entry in seen] == [SHORT.rate(step, 5) for step in range(5)]


def test_without_tensorboard_one_line_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(SearchError, match="not installed") as caught:
        ProgressLog(tmp_path)
    assert "leave the key out" in caught.value.remedy


def test_a_folder_that_cannot_be_written_to_is_named(data, space, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        train(Supernet(space), data, SHORT, progress=ProgressLog(tmp_path / "file" / "below"))
