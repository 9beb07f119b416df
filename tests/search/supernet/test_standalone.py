"""A training as work for another process: the same bits come out, from wherever it begins and however it is torn."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from search.data import Augmentation, load
from search.executors import executor
from search.spaces import MobileSpace
from search.supernet import (
    CheckpointError,
    FaultTraining,
    Supernet,
    TrainingDivergedError,
    TrainSettings,
    evaluate,
    evaluate_under,
    train_alone,
)
from search.supernet.standalone import (
    DataSource,
    FaultJudgement,
    Training,
    carry_out,
    read_weights,
    write_weights,
)

SHORT = TrainSettings(
    epochs=1, batch=60, learning_rate=0.1, faults=FaultTraining("adSAF(p=0.05)"), augment=Augmentation(crop=1)
)
JUDGED = FaultJudgement("adSAF(p=0.08)", seed=5, patterns=3, images=50)
DIGITS = DataSource("digits", seed=2, limit=300)


@pytest.fixture
def training():
    space = MobileSpace((1, 8, 8), 10, stem=4, widths=((4, 8), (8, 12)), depth=1, expansions=(1, 2))
    return Training(space, space.sample(np.random.default_rng(0)), DIGITS, SHORT, seed=3, faults=(JUDGED,))


def network_of(training, weights):
    network = training.space.module(training.architecture)
    network.load_state_dict(read_weights(weights))
    return network.eval()


def same(one, two):
    return all(torch.equal(value, two[name]) for name, value in one.items()) and one.keys() == two.keys()


def test_it_is_trained_and_judged_as_it_would_be_here(training):
    found = carry_out(training)
    data = load("digits", 2, limit=300)
    network = train_alone(training.space, training.architecture, data, SHORT, seed=3)
    assert same(read_weights(found.weights), network.state_dict())
    assert found.accuracy == evaluate(network, data.validation)
    part = data.validation.head(50)
    assert found.faulty == {"adSAF(p=0.08)": evaluate_under(network, part, "adSAF(p=0.08)", seed=5, patterns=3)}
    assert found.seconds > 0
    on_test = carry_out(replace(training, judged_on="test", faults=()))
    assert on_test.accuracy == evaluate(network, data.test)
    assert not on_test.faulty


def test_another_process_makes_the_same_network(training):
    with executor(1) as pool:
        there = pool.submit(carry_out, training).result()
    here = carry_out(training)
    assert same(read_weights(there.weights), read_weights(here.weights))
    assert (there.accuracy, there.faulty) == (here.accuracy, here.faulty)


def test_it_begins_with_the_weights_in_a_file(training, tmp_path):
    inherited = Supernet(training.space, seed=1).subnet(training.architecture, DIGITS.load().train.images[:64])
    path = tmp_path / "inherited.pt"
    path.write_bytes(write_weights(inherited))
    found = carry_out(replace(training, weights=path))
    begun = dict(inherited.state_dict())
    expected = train_alone(training.space, training.architecture, DIGITS.load(), SHORT, seed=3, weights=begun)
    assert same(read_weights(found.weights), expected.state_dict())
    assert not same(read_weights(found.weights), read_weights(carry_out(training).weights))


def test_a_finished_training_is_not_done_again(training, tmp_path):
    checkpoint = tmp_path / "state.pt"
    first = carry_out(replace(training, checkpoint=checkpoint))
    written = checkpoint.stat().st_mtime_ns
    again = carry_out(replace(training, checkpoint=checkpoint))
    assert same(read_weights(first.weights), read_weights(again.weights))
    assert checkpoint.stat().st_mtime_ns == written


def test_data_is_read_once_for_all_trainings_of_a_process():
    assert DIGITS.load() is DataSource("digits", 2, limit=300).load()
    assert len(DIGITS.load().train) == 300


def test_what_is_sent_is_small(training):
    assert len(pickle.dumps(training)) < 4000


@pytest.mark.parametrize(
    ("content", "words"), [(None, "No such file"), (b"weights", "no weights"), (b"", "no weights")]
)
def test_weights_that_cannot_be_read(training, tmp_path, content, words):
    path = tmp_path / "inherited.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=words) as wrong:
        carry_out(replace(training, weights=path))
    assert str(path) in str(wrong.value)


def test_weights_of_another_network_are_refused(training, tmp_path):
    path, rng = tmp_path / "other.pt", np.random.default_rng(1)
    other = next(a for a in iter(lambda: training.space.sample(rng), None) if a != training.architecture)
    path.write_bytes(write_weights(training.space.module(other)))
    with pytest.raises(ValueError, match="not those of"):
        carry_out(replace(training, weights=path))
    path.write_bytes(b"")
    torch.save([1, 2], path)
    with pytest.raises(CheckpointError, match="no weights"):
        carry_out(replace(training, weights=path))


def test_a_loss_that_is_not_finite_comes_back_from_another_process(training):
    wild = replace(training, settings=TrainSettings(epochs=1, batch=60, learning_rate=1e30), faults=())
    with executor(1) as pool, pytest.raises(TrainingDivergedError, match="training stopped in step"):
        pool.submit(carry_out, wild).result()
