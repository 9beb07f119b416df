"""Statistics of an audit: against scipy, against what must not change them, and where the answer is known."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.supernet.agreement import (
    equal_bins,
    kendall,
    kendall_between,
    kendall_gain,
    kendall_tau,
    mean_estimate,
    pairs_within,
    precision_at,
    slope,
)

few = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=30)
judged = st.integers(3, 25).flatmap(
    lambda n: st.tuples(
        *[st.lists(st.integers(0, 8).map(float), min_size=n, max_size=n).map(np.array) for _ in range(3)],
        st.permutations(range(n)).map(np.array),
    )
)


def correlated(rng, n, *correlations):
    """A normal truth, and judgements that correlate with it."""
    truth = rng.normal(size=n)
    return truth, *(r * truth + math.sqrt(1 - r * r) * rng.normal(size=n) for r in correlations)


def tau_of(correlation):
    """Of normal values (Kendall and Gibbons 1990)."""
    return 2 / math.pi * math.asin(correlation)


@settings(deadline=None)
@given(few)
def test_tau_is_scipys(pairs):
    stats = pytest.importorskip("scipy.stats")
    first, second = np.array(pairs, float).T
    expected = stats.kendalltau(first, second).statistic
    found = kendall_tau(first, second)
    assert found is None if np.isnan(expected) else found == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(judged)
def test_leaving_out_is_what_it_says(values):
    """The jackknife's interval, with each network really left out."""
    first, second, _, _ = values
    found = kendall(first, second)
    left = [kendall_tau(np.delete(first, i), np.delete(second, i)) for i in range(len(first))]
    if found is None or found.interval is None or abs(found.value) > 1 - 1e-9:
        assert kendall_tau(first, second) is None or None in left or abs(found.value) > 1 - 1e-9
        return
    stats = pytest.importorskip("scipy.stats")
    n = len(first)
    half = stats.t.ppf(0.975, n - 1) * math.sqrt((n - 1) / n * np.sum((np.array(left) - np.mean(left)) ** 2))
    assert found.interval.low == pytest.approx(max(-1, found.value - half), abs=1e-9)
    assert found.interval.high == pytest.approx(min(1, found.value + half), abs=1e-9)


def same(one, two):
    if one is None or two is None or one.interval is None or two.interval is None:
        return (one is None, one and one.interval) == (two is None, two and two.interval)
    return np.allclose(
        [one.value, one.interval.low, one.interval.high], [two.value, two.interval.low, two.interval.high]
    )


@settings(deadline=None)
@given(judged)
def test_only_the_order_counts(values):
    first, second, third, _ = values
    bins = equal_bins(third, 4)
    assert same(kendall(first, second, bins), kendall(np.exp(first), 3 * second - 7, bins))
    assert same(kendall_gain(first, third, second), kendall_gain(np.exp(first), third**3, second / 9))


@settings(deadline=None)
@given(judged)
def test_the_networks_places_do_not_count(values):
    first, second, third, places = values
    bins = equal_bins(third, 4)
    moved = [value[places] for value in (first, second, third)]
    assert np.array_equal(equal_bins(moved[2], 4), bins[places])
    assert same(kendall(first, second, bins), kendall(moved[0], moved[1], bins[places]))
    assert same(kendall_gain(first, third, second), kendall_gain(moved[0], moved[2], moved[1]))
    assert precision_at(first, second, 2) == pytest.approx(precision_at(moved[0], moved[1], 2))


@settings(deadline=None)
@given(judged)
def test_the_other_way_round_is_the_opposite(values):
    first, second, _, _ = values
    one, two = kendall(first, second), kendall(first, -second)
    if one is None or one.interval is None:
        assert same(one, two) or two.value == -one.value
        return
    assert (two.value, two.interval.low, two.interval.high) == pytest.approx(
        (-one.value, -one.interval.high, -one.interval.low)
    )


def test_a_perfect_order_is_as_sure_as_its_disjoint_pairs():
    found = kendall(np.arange(30.0), np.arange(30.0))
    assert (found.value, found.interval.high) == (1, 1)
    # 15 pairs agree, each with a chance of (1 + τ) / 2.
    assert ((1 + found.interval.low) / 2) ** 15 == pytest.approx(0.025)


def test_what_does_not_vary_has_no_tau():
    flat, rising = np.ones(10), np.arange(10.0)
    assert kendall(flat, rising) is None
    assert kendall_gain(rising, flat, rising) is None
    assert kendall_between(np.column_stack([flat, flat])) is None
    assert kendall_between(rising[:, None]) is None
    assert kendall(rising, rising, np.arange(10)) is None  # no two share a bin


def test_one_network_that_decides_leaves_no_interval():
    first = np.array([0.0, 0, 0, 1])
    found = kendall(first, np.array([0.0, 2, 1, 1.5]))
    assert found.value is not None
    assert found.interval is None


def test_within_bins_is_the_pairs_within_bins():
    """By hand: (1, 2), (1, 3), (2, 3) agree, agree, disagree; (4, 5) agrees; what is between bins does not count."""
    first, second = np.array([1.0, 2, 3, 9, 8]), np.array([1.0, 3, 2, -4, -5])
    assert kendall(first, second, np.array([0, 0, 0, 1, 1])).value == pytest.approx((3 - 1) / 4)


@pytest.mark.parametrize(("n", "size", "expected"), [(30, 6, [6] * 5), (31, 6, [6, 6, 6, 6, 7]), (5, 6, [5])])
def test_bins_are_as_equal_as_can_be(n, size, expected):
    bins = equal_bins(np.random.default_rng(0).permutation(n).astype(float), size)
    assert sorted(np.bincount(bins)) == expected
    assert pairs_within(bins) == sum(k * (k - 1) // 2 for k in expected)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(2, 8))
def test_equals_share_a_bin_and_bins_rise(values, size):
    values = np.array(values, float)
    bins = equal_bins(values, size)
    for one, other in itertools.combinations(range(len(values)), 2):
        rise = values[one] - values[other]
        assert bins[one] == bins[other] if rise == 0 else (bins[one] - bins[other]) * rise >= 0


def test_precision_of_the_best():
    truth = np.array([5.0, 4, 3, 2, 1])
    assert precision_at(truth, truth, 2) == 1
    assert precision_at(-truth, truth, 2) == 0
    assert precision_at(np.array([5.0, 1, 4, 3, 2]), truth, 3) == pytest.approx(2 / 3)
    assert precision_at(np.zeros(5), truth, 2) == pytest.approx(2 / 5)  # nothing is known: chance
    assert precision_at(np.array([9.0, 4, 4, 4, 0]), truth, 2) == pytest.approx((1 + 1 / 3) / 2)


@settings(deadline=None)
@given(judged)
def test_precision_is_a_share_and_symmetric(values):
    first, second, _, _ = values
    for k in (1, 2, len(first)):
        assert 0 <= precision_at(first, second, k) <= 1 + 1e-9
        assert precision_at(first, second, k) == pytest.approx(precision_at(second, first, k))
    assert precision_at(first, second, len(first)) == pytest.approx(1)


def test_the_slope_is_scipys():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=12), rng.normal(size=12)
    expected, found = stats.linregress(x, y), slope(x, y)
    half = stats.t.ppf(0.975, 10) * expected.stderr
    assert found.value == pytest.approx(expected.slope)
    assert found.interval.high - found.value == pytest.approx(half)
    assert slope(np.ones(12), y) is None
    assert slope(x[:2], y[:2]) is None


def test_a_mean_of_one_has_no_interval():
    assert mean_estimate(np.array([0.2])).interval is None
    assert mean_estimate(np.array([0.1, 0.3])).value == pytest.approx(0.2)


def coverage(truth, estimates):
    found = list(estimates)
    return sum(e.interval.low <= truth <= e.interval.high for e in found) / len(found)


@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.95])
def test_intervals_of_tau_cover_the_truth(correlation):
    rng = np.random.default_rng(1)
    drawn = (kendall(*correlated(rng, 30, correlation)) for _ in range(300))
    assert 0.92 <= coverage(tau_of(correlation), drawn) <= 0.98


def test_intervals_of_a_gain_cover_the_truth():
    rng, drawn = np.random.default_rng(2), []
    for _ in range(300):
        truth, better, worse = correlated(rng, 30, 0.9, 0.5)
        drawn.append(kendall_gain(better, worse, truth))
    assert 0.92 <= coverage(tau_of(0.9) - tau_of(0.5), drawn) <= 0.98


def test_intervals_within_bins_cover_the_truth():
    """Cost decides accuracy between bins, and the judgement sees little but the cost: within bins it knows less."""
    rng, drawn, seen = np.random.default_rng(3), [], []
    for _ in range(300):
        cost = rng.normal(size=30)
        truth, judgement = correlated(rng, 30, 0.7)
        bins = equal_bins(cost, 6)
        drawn.append(kendall(10 * bins + judgement, 10 * bins + truth, bins))
        seen.append(kendall(10 * bins + judgement, 10 * bins + truth).value)
    assert 0.92 <= coverage(tau_of(0.7), drawn) <= 0.98
    assert np.mean(seen) > 0.85 > tau_of(0.7)


def test_intervals_of_the_ceiling_cover_the_truth():
    rng, drawn = np.random.default_rng(4), []
    for _ in range(300):
        truth = rng.normal(size=30)
        drawn.append(kendall_between(truth[:, None] + 0.5 * rng.normal(size=(30, 3))))
    assert 0.92 <= coverage(tau_of(1 / 1.25), drawn) <= 0.98
