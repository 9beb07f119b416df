"""The statistics of an audit, against scipy and against problems whose answer is known."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.spaces import Architecture
from search.supernet import Accuracy, AuditedSubnet, Supernet, TrainSettings, audit, rank_quality, train, wilson
from search.supernet.audit import kendall_tau


def sample(n=20, noise=0.0, seed=0, seeds=2, spread=0.1):
    rng = np.random.default_rng(seed)
    truth = 0.8 + spread * rng.random(n)
    return [
        AuditedSubnet(
            Architecture(str(index)),
            float(value - 0.1 + rng.normal(0, noise)),
            tuple(value + rng.normal(0, noise, seeds)),
        )
        for index, value in enumerate(truth)
    ]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=30))
def test_tau_is_scipys(pairs):
    stats = pytest.importorskip("scipy.stats")
    first, second = np.array(pairs, float).T
    expected = stats.kendalltau(first, second).statistic
    found = kendall_tau(first, second)
    assert found is None if np.isnan(expected) else found == pytest.approx(expected, abs=1e-12)


def test_a_perfect_ranking():
    found = rank_quality(sample(), 3000)
    assert (found.tau, found.ceiling, found.verdict) == (1, 1, "ranks")
    assert found.tau_interval == (1, 1)
    assert found.inherited_range[1] < found.standalone_range[1]


def test_a_weak_ranking():
    found = rank_quality(sample(noise=0.025, seed=1), 3000)
    assert 0 < found.tau_interval[0] < found.tau < found.tau_interval[1] < 1
    assert found.verdict == "ranks weakly"
    assert 0 < found.ceiling < 1


def test_no_ranking():
    rng = np.random.default_rng(1)
    found = rank_quality([replace(row, inherited=float(rng.random())) for row in sample()], 3000)
    assert found.tau_interval[0] < 0 < found.tau_interval[1]
    assert found.verdict == "does not rank"


def test_too_few_networks_allow_no_statement():
    found = rank_quality(sample(n=7), 3000)
    assert found.verdict == "insufficient"
    assert "7 networks" in found.reason


def test_a_spread_within_the_noise_allows_no_statement():
    found = rank_quality(sample(spread=0.01), 300)
    assert found.verdict == "insufficient"
    assert "nothing to rank" in found.reason


def test_accuracies_that_do_not_vary_have_no_tau():
    found = rank_quality([AuditedSubnet(Architecture(str(i)), 0.9, (0.95, 0.95)) for i in range(10)], 3000)
    assert (found.tau, found.tau_interval, found.ceiling) == (None, None, None)
    assert found.verdict == "insufficient"


def test_one_seed_has_no_ceiling():
    assert rank_quality(sample(seeds=1), 3000).ceiling is None


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """Normal values with correlation r have τ = 2/π · asin r (Kendall and Gibbons 1990)."""
    truth, hits = 2 / math.pi * math.asin(0.8), 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        first = rng.normal(size=20)
        second = 0.8 * first + 0.6 * rng.normal(size=20)
        first, second = 0.5 + 0.05 * first, 0.5 + 0.05 * second
        rows = [
            AuditedSubnet(Architecture(str(i)), a, (b,)) for i, (a, b) in enumerate(zip(first, second, strict=True))
        ]
        low, high = rank_quality(rows, 3000).tau_interval
        hits += low <= truth <= high
    assert hits >= 88


def test_an_audit_trains_its_sample(data, space):
    supernet, seen = Supernet(space), []
    train(supernet, data, TrainSettings(epochs=2, batch=40))
    brief = TrainSettings(epochs=1, batch=100)
    found = audit(supernet, data, subnets=3, seeds=2, settings=brief, progress=lambda *done: seen.append(done))
    assert seen == [(n, 6) for n in range(1, 7)]
    assert len({subnet.architecture for subnet in found.subnets}) == 3
    assert all(len(subnet.standalone) == 2 for subnet in found.subnets)
    assert found.verdict == "insufficient"
    assert found == audit(supernet, data, subnets=3, seeds=2, settings=brief)


@pytest.mark.parametrize(
    ("correct", "images", "expected"),
    [(0, 10, (0, 0.2775)), (10, 10, (0.7225, 1)), (81, 263, (0.2553, 0.3662))],  # the last: Newcombe 1998, table I
)
def test_wilsons_interval(correct, images, expected):
    assert wilson(correct, images) == pytest.approx(expected, abs=1e-4)
    assert Accuracy(correct, images).interval == wilson(correct, images)
