"""Rank tests over seeds, by hand, by properties and on noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.ranking import holm, rank_test


def test_friedmans_statistic_of_a_clear_order() -> None:
    scores = {"a": np.array([1.0, 2, 3, 4]), "b": np.array([2.0, 3, 4, 5]), "c": np.array([3.0, 4, 5, 6])}
    found = rank_test(scores, "costs")
    # Rank sums 4, 8, 12: χ² = 12 / (4 · 3 · 4) · 224 - 3 · 4 · 4 = 8 with two degrees: p = exp(-4).
    assert found.p == pytest.approx(math.exp(-4))
    assert dict(found.mean_rank) == {"a": 1, "b": 2, "c": 3}
    # Four equal signs: p = 2 / 2**4 each for itself, times three by Holm.
    assert [(pair.better, pair.worse) for pair in found.pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert found.pairs[0].p == pytest.approx(0.375)


def test_equal_strategies_are_not_told_apart() -> None:
    found = rank_test({name: np.ones(8) for name in "abc"}, "costs")
    assert found.p == 1.0
    assert {pair.p for pair in found.pairs} == {1.0}
    assert dict(found.mean_rank) == {"a": 2, "b": 2, "c": 2}


def test_two_strategies_need_no_friedman_and_one_seed_tests_nothing() -> None:
    assert rank_test({"a": np.arange(6.0), "b": np.arange(6.0) + 1}, "costs").p is None
    single = rank_test({name: np.array([1.0]) for name in "abc"}, "costs")
    assert (single.p, single.pairs) == (None, ())


def test_holms_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_keeps_the_order_and_lies_between_no_correction_and_bonferroni(chances: list[float]) -> None:
    corrected = holm(chances)
    order = np.argsort(chances, kind="stable")
    assert (np.diff(np.array(corrected)[order]) >= 0).all()
    assert all(a <= b <= min(1, len(chances) * a) + 1e-12 for a, b in zip(chances, corrected, strict=True))


def test_chance_alone_is_seldom_called_a_difference() -> None:
    random = np.random.default_rng(3)
    found = [rank_test({name: random.random(12) for name in "abc"}, "noise") for _ in range(200)]
    assert sum(ranking.p is not None and ranking.p < 0.05 for ranking in found) <= 20
    assert sum(any(pair.p < 0.05 for pair in ranking.pairs) for ranking in found) <= 20


def test_the_words_name_who_is_better_and_who_is_not_told_apart() -> None:
    seeds = np.arange(12.0)
    scores = {"random": seeds + 9, "guided": seeds, "nsga2": seeds + np.where(seeds % 2, 0.5, -0.4)}
    assert rank_test(scores, "queries").sentences() == [
        "Mean ranks over 12 seeds by queries: guided 1.5, nsga2 1.5, random 3.",
        "Together the strategies differ (Friedman, p < 0.001).",
        "guided is better than random (p = 0.0015).",
        "guided is not told apart from nsga2 (p = 0.17).",
        "Pairs by Wilcoxon's signed ranks, corrected by Holm's method for all of them.",
    ]


def test_too_few_seeds_tell_no_pair_apart_and_say_so() -> None:
    said = rank_test({"a": np.arange(5.0), "b": np.arange(5.0) + 1}, "queries").sentences()
    assert said[-1] == "5 seeds are too few to tell 2 strategies apart in pairs."


def test_of_a_strategy_alone_there_is_nothing_to_say() -> None:
    assert rank_test({"a": np.arange(5.0)}, "queries").sentences() == []
