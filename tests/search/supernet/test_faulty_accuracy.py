"""Accuracy under faults on the host: what is struck, by which patterns, and how bad input is told."""

import numpy as np
import pytest
import torch
from torch import nn

from search.errors import SearchError
from search.spaces import MobileSpace
from search.spaces.ftt import FttSpace
from search.spaces.nb201 import Nb201Space
from search.supernet import TrainSettings, evaluate, evaluate_under, train_alone


@pytest.fixture(scope="module")
def network(data, space):
    architecture = space.sample(np.random.default_rng(1))
    return train_alone(space, architecture, data, TrainSettings(epochs=4, batch=40, learning_rate=0.1), seed=0)


def test_without_faults_it_is_the_clean_accuracy(network, data):
    found = evaluate_under(network, data.validation, "iBF(p=0)", seed=0, patterns=3)
    assert found.mean == found.low == found.high == evaluate(network, data.validation).value
    assert found.patterns == 3


@pytest.mark.parametrize("condition", ["iBF(p=0.1)", "adSAF(p=0.2)", "MiBB(p_m=0.3)"])
def test_more_faults_cost_more(network, data, condition):
    found = evaluate_under(network, data.validation, condition, seed=0, patterns=6)
    assert found.low < found.mean < evaluate(network, data.validation).value - 0.05
    assert 0 <= found.low <= found.mean <= found.high <= 1


def test_the_same_seed_is_the_same_patterns_and_another_seed_others(network, data):
    found = [evaluate_under(network, data.validation, "adSAF(p=0.1)", seed=seed, patterns=4) for seed in (5, 5, 6)]
    assert found[0] == found[1] != found[2]


def test_batches_change_nothing_but_speed(network, data):
    def under(batch):
        return evaluate_under(network, data.validation, "MiBB(p_m=0.01)", seed=1, patterns=2, batch=batch)

    assert under(64) == under(150)


def test_the_network_stays_as_it_is(network, data):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    evaluate_under(network, data.validation, "adSAF(p=0.2)", seed=0, patterns=2)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not network.training


@pytest.mark.parametrize(
    "space",
    [MobileSpace((3, 8, 8), 3), Nb201Space((3, 8, 8), 3, channels=4, cells=1), FttSpace((3, 8, 8), 3, 4, 3, 2)],
    ids=lambda space: type(space).__name__,
)
def test_networks_of_all_spaces_can_be_struck(space, data):
    network = space.module(space.sample(np.random.default_rng(0)))
    images = data.validation.head(20)
    split = type(images)(images.images.expand(-1, 3, -1, -1), images.labels)
    assert 0 <= evaluate_under(network, split, "iBF(p=0.01)", seed=0, patterns=2).mean <= 1


@pytest.mark.parametrize("condition", ["no fault", "iBF(p=2)"])
def test_what_is_no_fault_is_told_in_a_line(network, data, condition):
    with pytest.raises(SearchError, match="accuracy under") as error:
        evaluate_under(network, data.validation, condition, seed=0, patterns=2)
    assert error.value.remedy


def test_a_network_that_cannot_be_traced_is_told_in_a_line(data):
    class Branching(nn.Module):
        def forward(self, x):
            return x.mean((2, 3)) if x.sum() > 0 else -x.mean((2, 3))

    with pytest.raises(SearchError, match="Branching cannot be traced"):
        evaluate_under(Branching(), data.validation, "iBF(p=0.1)", seed=0, patterns=2)


def test_one_pattern_is_refused(network, data):
    with pytest.raises(ValueError, match="2 or more"):
        evaluate_under(network, data.validation, "iBF(p=0.1)", seed=0, patterns=1)
