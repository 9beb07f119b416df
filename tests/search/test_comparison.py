"""Statistics of runs over paired seeds, by hand, by properties and by simulation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search import comparison
from search.comparison import Comparison, ComparisonError, Mean, Queries, Ratio, median_interval


def reaching(query: int, length: int = 100) -> list[float]:
    """A run that reaches 0.9 with this query; one beyond its length never does."""
    return [0.9 if number >= query else 0.5 for number in range(1, length + 1)]


def compared(runs: Mapping[str, Sequence[Sequence[float]]], **settings: Any) -> Comparison:
    settings = {"budget": 100, "target": 0.9, **settings}
    return Comparison("a problem", {name: dict(enumerate(series)) for name, series in runs.items()}, **settings)


def taking(**queries: Sequence[int]) -> Comparison:
    return compared({name: [reaching(query) for query in taken] for name, taken in queries.items()})


# --- queries to a target


def test_the_median_of_queries_and_its_order_statistics() -> None:
    found = taking(ours=[10, 70, 30, 20, 60, 50, 40]).queries("ours")
    assert found is not None
    # 1 - 2 / 2**7 = 98.4 % for the extremes; the second and the sixth would give 87.5 %.
    assert (found.value, found.low, found.high, found.reached, found.seeds) == (40, 10, 70, 7, 7)


def test_fewer_than_six_seeds_have_no_interval() -> None:
    found = taking(ours=[10, 20, 30, 40, 50]).queries("ours")
    assert found is not None
    assert (found.value, found.low, found.high) == (30, None, None)


def test_a_median_that_was_not_reached_is_more_than_the_queries_there_were() -> None:
    found = taking(ours=[10, 999, 999]).queries("ours")
    assert found is not None
    assert (found.value, found.beyond, found.reached) == (math.inf, 100, 1)


def test_the_target_counts_from_the_query_that_reached_it() -> None:
    found = compared({"ours": [[0.1, 0.9, 0.9]]}, budget=3).queries("ours")
    assert found is not None
    assert found.value == 2


def test_without_a_target_there_are_no_queries_to_it() -> None:
    made = compared({"ours": [[0.1]], "peer": [[0.2]]}, target=None, budget=1)
    assert (made.queries("ours"), made.ratio("ours", "peer"), made.best_peer("ours")) == (None, None, "peer")


# --- ratios


def test_ratios_are_paired_by_seed() -> None:
    found = taking(ours=[10, 20, 30], peer=[20, 80, 40]).ratio("ours", "peer")
    assert found is not None
    assert found.value == 0.5


def test_a_peer_that_never_arrived_enters_with_the_queries_it_had() -> None:
    found = taking(ours=[50], peer=[999]).ratio("ours", "peer")
    assert found is not None
    assert (found.value, found.high) == (0.5, None)


def test_a_run_of_ours_that_never_arrived_is_infinitely_slow_even_if_the_peer_did_not_either() -> None:
    found = taking(ours=[999, 999, 999, 10, 10, 10, 999], peer=[999, 50, 50, 50, 50, 50, 50]).ratio("ours", "peer")
    assert found is not None
    assert (found.value, found.high) == (math.inf, math.inf)


@given(st.lists(st.tuples(st.integers(1, 150), st.integers(1, 150)), min_size=1, max_size=20))
def test_censoring_never_flatters_a_ratio(pairs: list[tuple[int, int]]) -> None:
    ours, peer = zip(*pairs, strict=True)
    found = taking(ours=ours, peer=peer).ratio("ours", "peer")
    assert found is not None
    assert found.value >= np.median(np.array(ours) / np.array(peer)) - 1e-12


@given(st.lists(st.integers(1, 150), min_size=2, max_size=12), st.randoms())
def test_the_order_of_seeds_makes_no_difference(queries: list[int], random: Any) -> None:
    numbered = {seed: reaching(query) for seed, query in enumerate(queries)}
    shuffled = list(numbered.items())
    random.shuffle(shuffled)
    made = [Comparison("", {"ours": runs}, 100, 0.9) for runs in (numbered, dict(shuffled))]
    assert made[0].queries("ours") == made[1].queries("ours")
    assert made[0].area("ours") == made[1].area("ours")


def test_the_interval_of_a_median_ratio_holds_it_as_often_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "_RESAMPLES", 1000)
    random = np.random.default_rng(5)
    samples = 0.6 * np.exp(random.normal(0, 0.5, size=(400, 30)))
    held = 0
    for sample in samples:
        low, high = median_interval(sample)
        assert low is not None
        assert high is not None
        held += low <= 0.6 <= high
    # 380 expected; ± 3 standard deviations of the count, and the percentile method's own bias on the low side.
    assert 360 <= held <= 397


# --- curves


def test_hypervolume_after_a_query_with_students_interval() -> None:
    made = compared({"ours": [[0.2, 0.4], [0.4, 0.6], [0.6, 0.8]]}, budget=2)
    found = made.hypervolume("ours", 1)
    # 0.4 ± 4.303 · 0.2 / √3, cut off at 0.
    assert found.value == pytest.approx(0.4)
    assert found.low == 0.0
    assert found.high == pytest.approx(0.4 + 4.30265 * 0.2 / math.sqrt(3), abs=1e-5)
    assert made.area("ours").value == pytest.approx(0.5)


def test_one_seed_has_no_interval() -> None:
    found = compared({"ours": [[0.5]]}, budget=1).hypervolume("ours", 1)
    assert (found.value, found.low, found.high) == (0.5, None, None)


def test_a_run_that_ended_early_keeps_what_it_had_and_is_counted() -> None:
    made = compared({"ours": [[0.3, 0.5], [0.3, 0.4, 0.8, 0.8]]}, budget=4)
    assert made.curves["ours"].tolist() == [[0.3, 0.5, 0.5, 0.5], [0.3, 0.4, 0.8, 0.8]]
    assert made.remarks() == ["ours: 1 run of 2 ended before 4 queries and kept what they had"]


def test_a_run_that_went_on_is_cut_at_the_budget_but_for_the_queries_to_the_target() -> None:
    made = compared({"ours": [reaching(150, 200)]}, budget=100)
    found = made.queries("ours")
    assert made.curves["ours"].shape == (1, 100)
    assert found is not None
    assert found.value == 150


def test_the_band_around_the_median() -> None:
    made = compared({"ours": [[value / 10] for value in range(1, 10)]}, budget=1)
    # Of nine, the second and the eighth enclose the median with 96.1 %.
    assert [end.tolist() for end in made.band("ours")] == [[0.5], [pytest.approx(0.2)], [pytest.approx(0.8)]]
    few = compared({"ours": [[0.1], [0.2], [0.6]]}, budget=1)
    assert [end.tolist() for end in few.band("ours")] == [[0.2], [0.1], [0.6]]


@given(st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=8).map(sorted), min_size=1, max_size=6))
def test_bands_hold_their_medians_and_nothing_falls(runs: list[list[float]]) -> None:
    median, low, high = compared({"ours": runs}, budget=8).band("ours")
    assert (low <= median + 1e-12).all()
    assert (median <= high + 1e-12).all()
    assert all((np.diff(line) >= 0).all() for line in (median, low, high))


# --- ranks


def test_who_never_arrived_is_last_and_level_with_the_like() -> None:
    ranks = taking(a=[10, 10], b=[100, 100], c=[999, 999], d=[101, 500]).ranking.mean_rank
    assert dict(ranks) == {"a": 1, "b": 2, "c": 3.5, "d": 3.5}


def test_without_a_target_the_area_ranks() -> None:
    made = compared({"worse": [[0.1, 0.2]], "better": [[0.1, 0.3]]}, target=None, budget=2)
    assert list(made.ranking.mean_rank) == ["better", "worse"]
    assert "area" in made.ranking.of


# --- what cannot be compared


def test_the_best_peer_takes_the_fewest_queries() -> None:
    assert taking(ours=[1], slow=[40], quick=[20], never=[999]).best_peer("ours") == "quick"
    assert taking(ours=[1]).best_peer("ours") is None


def test_only_common_seeds_are_compared() -> None:
    made = Comparison("", {"a": {0: [0.1], 1: [0.2]}, "b": {1: [0.3], 2: [0.4]}}, 1)
    assert made.seeds == (1,)
    assert made.remarks() == ["left out, for not every strategy has them: seeds 0, 2"]
    assert made.hypervolume("a", 1).value == 0.2


@pytest.mark.parametrize(
    ("runs", "settings", "message"),
    [
        ({}, {}, "nothing to compare"),
        ({"a": {}}, {}, "no run of a"),
        ({"a": {0: [0.1]}, "b": {1: [0.1]}}, {}, "no seed is common"),
        ({"a": {0: []}}, {}, "a, seed 0: no hypervolume"),
        ({"a": {0: [0.3, 0.2]}}, {}, "falls after query 1"),
        ({"a": {0: [0.3, math.nan]}}, {}, "no share"),
        ({"a": {0: [1.5]}}, {}, "no share"),
        ({"a": {0: [0.1]}}, {"budget": 0}, "budget of 0"),
        ({"a": {0: [0.1]}}, {"at": (9,)}, "looked at after"),
        ({"a": {0: [0.1]}}, {"target": 95.0}, "target of 95"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_a_remedy(
    runs: dict[str, dict[int, list[float]]], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ComparisonError, match=message) as caught:
        Comparison("", runs, **{"budget": 2, **settings})
    assert caught.value.remedy


# --- in words


def test_what_is_not_known_is_not_written() -> None:
    assert str(Mean(0.9641, 0.9601, 0.9681)) == "0.964 ± 0.004"
    assert str(Mean(0.9641, None, None)) == "0.964"
    assert str(Queries(225, 180, 260, 600, 30, 30)) == "225 (180–260)"
    assert str(Queries(math.inf, 410, math.inf, 600, 12, 30)) == "> 600 (410–∞)"
    assert str(Queries(math.inf, math.inf, math.inf, 600, 0, 30)) == "> 600"
    assert str(Queries(225, None, None, 225, 3, 3)) == "225"
    assert str(Ratio(0.5312, 0.47, 0.61)) == "0.53 (0.47–0.61)"
    assert str(Ratio(math.inf, 2.0, math.inf)) == "∞ (2.00–∞)"
