"""Training learns, stops, resumes to the last bit, and gives up with the last good checkpoint."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from search.data import Data, Split
from search.spaces import MobileSpace
from search.supernet import (
    CheckpointError,
    FaultTraining,
    Supernet,
    TrainingDivergedError,
    TrainSettings,
    checkpoint,
    evaluate,
    load_weights,
    train,
    train_alone,
)

SHORT = TrainSettings(epochs=2, batch=40)


def weights(supernet):
    return {name: value.clone() for name, value in supernet.state_dict().items()}


def same(one, two):
    return all(torch.equal(one[name], two[name]) for name in one)


def after(steps):
    """A ``stop`` that is true after so many steps."""
    calls = iter(range(1, 10_000))
    return lambda: next(calls) >= steps


def test_every_network_learns(data, space):
    supernet = Supernet(space)
    assert train(supernet, data, TrainSettings(epochs=24, batch=40))
    rng = np.random.default_rng(0)
    for architecture in (space.largest(rng), space.smallest(rng), space.sample(rng)):
        subnet = supernet.subnet(architecture, data.train.images)
        assert evaluate(subnet, data.validation).interval[0] > 0.7


def test_training_alone_learns_and_repeats(data, space):
    architecture = space.sample(np.random.default_rng(0))
    one, two = (train_alone(space, architecture, data, TrainSettings(epochs=6), seed=3) for _ in range(2))
    assert same(one.state_dict(), two.state_dict())
    assert evaluate(one, data.validation).value > 0.9


@pytest.mark.parametrize("steps", [1, 4, 5, 6, 9])
def test_a_resumed_training_ends_bit_for_bit_like_an_uninterrupted_one(data, space, tmp_path, steps):
    straight = Supernet(space)
    train(straight, data, SHORT)
    torch.manual_seed(steps)  # nothing hangs on torch's own generator
    assert not train(Supernet(space), data, SHORT, checkpoint=tmp_path / "state", stop=after(steps))
    resumed, seen = Supernet(space, seed=99), []
    assert train(resumed, data, SHORT, checkpoint=tmp_path / "state", progress=seen.append)
    assert same(weights(straight), weights(resumed))
    assert [entry.step for entry in seen] == list(range(steps + 1, 11))


def test_a_training_that_was_torn_off_goes_on_from_its_last_checkpoint(data, space, tmp_path):
    straight, path = Supernet(space), tmp_path / "run" / "state"
    train(straight, data, SHORT)

    def tear(progress):
        if progress.step == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(Supernet(space), data, SHORT, checkpoint=path, checkpoint_every_s=0, progress=tear)
    resumed = Supernet(space)
    train(resumed, data, SHORT, checkpoint=path)
    assert same(weights(straight), weights(resumed))


def test_a_finished_training_is_not_repeated(data, space, tmp_path):
    first, seen = Supernet(space), []
    train(first, data, SHORT, checkpoint=tmp_path / "state")
    second = Supernet(space, seed=5)
    assert train(second, data, SHORT, checkpoint=tmp_path / "state", progress=seen.append)
    assert seen == []
    assert same(weights(first), weights(second))
    third = Supernet(space, seed=6)
    load_weights(tmp_path / "state", third)
    assert same(weights(first), weights(third))


def test_progress_adds_up(data, space):
    seen = []
    train(Supernet(space), data, SHORT, progress=seen.append)
    assert [(entry.step, entry.epoch) for entry in seen] == [(n, 1 if n <= 5 else 2) for n in range(1, 11)]
    assert {entry.steps for entry in seen} == {10}
    assert seen[-1].left_s == 0
    assert all(entry.images_per_s > 0 and 0 <= entry.accuracy <= 1 and entry.loss > 0 for entry in seen)


def test_a_batch_larger_than_the_data_is_all_of_it(data, space):
    seen = []
    train(Supernet(space), data, TrainSettings(epochs=2, batch=1000), progress=seen.append)
    assert len(seen) == 2


def test_torchs_threads_are_as_before(data, space):
    torch.set_num_threads(2)
    try:
        train(Supernet(space), data, TrainSettings(epochs=1, batch=200))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


# ----------------------------------------------------------------------------------------------------- trouble


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(data, space, tmp_path):
    path, seen = tmp_path / "state", []
    supernet = Supernet(space)

    def poison(progress):
        seen.append(weights(supernet))
        if progress.step == 3:
            with torch.no_grad():
                supernet.head.weight[0, 0] = float("nan")

    with pytest.raises(TrainingDivergedError, match=r"step 4: the loss of .* is nan; the last good checkpoint") as info:
        train(supernet, data, SHORT, checkpoint=path, checkpoint_every_s=0, progress=poison)
    assert info.value.step == 4
    assert info.value.checkpoint == path
    kept = Supernet(space)
    load_weights(path, kept)
    assert same(weights(kept), seen[1])


def test_a_last_step_that_ruins_the_weights_does_not_replace_the_checkpoint(data, space, tmp_path):
    supernet = Supernet(space)

    def poison(progress):
        if progress.step == progress.steps:
            with torch.no_grad():
                supernet.head.bias.fill_(float("inf"))

    with pytest.raises(TrainingDivergedError, match="step 10"):
        train(supernet, data, SHORT, checkpoint=tmp_path / "state", checkpoint_every_s=0, progress=poison)
    kept = Supernet(space)
    load_weights(tmp_path / "state", kept)
    assert all(value.isfinite().all() for value in kept.state_dict().values())


def test_extreme_images_are_trouble_that_is_named(data, space):
    wild = Data("wild", Split(data.train.images * 1e38, data.train.labels), data.validation, data.test, 3)
    with pytest.raises(TrainingDivergedError, match=r"step 1: .* no checkpoint was written"):
        train(Supernet(space), wild, SHORT)
    with pytest.raises(TrainingDivergedError, match="step 1"):
        train_alone(space, space.sample(np.random.default_rng(0)), wild, SHORT, seed=0)


def test_a_checkpoint_of_another_training_is_refused(data, space, tmp_path):
    path = tmp_path / "state"
    train(Supernet(space), data, SHORT, checkpoint=path)
    with pytest.raises(CheckpointError, match="another training: settings"):
        train(Supernet(space), data, replace(SHORT, learning_rate=0.1), checkpoint=path)
    other = Data("other", data.validation, data.train, data.test, 3)
    with pytest.raises(CheckpointError, match="another training: data"):
        train(Supernet(space), other, SHORT, checkpoint=path)
    elsewhere = Supernet(MobileSpace((1, 8, 8), 3))
    with pytest.raises(CheckpointError, match="another training: space"):
        train(elsewhere, data, SHORT, checkpoint=path)
    with pytest.raises(CheckpointError, match="another space"):
        load_weights(path, elsewhere)


def test_a_checkpoint_of_another_version_is_refused(data, space, tmp_path, monkeypatch):
    train(Supernet(space), data, SHORT, checkpoint=tmp_path / "state", stop=after(1))
    monkeypatch.setattr(checkpoint, "_VERSION", 2)
    with pytest.raises(CheckpointError, match="version 1, this program reads 2"):
        train(Supernet(space), data, SHORT, checkpoint=tmp_path / "state")


def test_a_checkpoint_from_before_there_were_further_settings_goes_on(data, space, tmp_path):
    path, seen, settings = tmp_path / "state", [], replace(SHORT, faults=FaultTraining("adSAF(p=0.1)"))
    train(Supernet(space), data, settings, checkpoint=path, progress=seen.append, stop=lambda: len(seen) == 4)
    content = torch.load(path, weights_only=True)
    for part in ("network", "begin", "steps"):
        del content["identity"][part]
    del content["state"]["scaler"]
    del content["identity"]["settings"]["mixed_precision"]
    for part in ("position", "scale"):
        del content["identity"]["settings"]["faults"][part]
    torch.save(content, path)
    straight, resumed = Supernet(space), Supernet(space)
    train(straight, data, settings)
    assert train(resumed, data, settings, checkpoint=path)
    assert same(weights(straight), weights(resumed))


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 not really"])
def test_a_file_that_is_no_checkpoint_is_refused(data, space, tmp_path, content):
    (tmp_path / "state").write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read"):
        train(Supernet(space), data, SHORT, checkpoint=tmp_path / "state")


def test_a_truncated_checkpoint_is_refused(data, space, tmp_path):
    path = tmp_path / "state"
    train(Supernet(space), data, SHORT, checkpoint=path, stop=after(1))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(CheckpointError, match="cannot be read"):
        train(Supernet(space), data, SHORT, checkpoint=path)


def test_a_torch_file_of_something_else_is_refused(data, space, tmp_path):
    torch.save({"weights": torch.zeros(3)}, tmp_path / "state")
    with pytest.raises(CheckpointError, match="no checkpoint of a training"):
        train(Supernet(space), data, SHORT, checkpoint=tmp_path / "state")


def test_a_failed_write_leaves_the_checkpoint_before_it(data, space, tmp_path, monkeypatch):
    path = tmp_path / "state"
    train(Supernet(space), data, SHORT, checkpoint=path, stop=after(2))
    before = path.read_bytes()

    def full(_content, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space"):
        train(Supernet(space), data, SHORT, checkpoint=path, stop=after(1))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch": 1},
        {"learning_rate": float("nan")},
        {"clip": 0.0},
        {"momentum": 1.0},
        {"label_share": 1.5},
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TrainSettings(**wrong)
