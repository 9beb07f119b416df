"""Fronts and hypervolume, against definitions written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.evaluations import Evaluation, Failure
from search.objectives import Constraint, Objective
from search.pareto import (
    REFERENCE,
    Points,
    Scale,
    constrained_ranks,
    costs,
    front,
    hypervolume,
    hypervolume_series,
    nondominated,
    ranks,
)
from search.values import Value

OBJECTIVES = (Objective.parse("accuracy"), Objective.parse("latency_s@a"))
UNIT = Scale((0.0, 0.0), (1.0, 1.0))


def candidate(number: int, accuracy: float | None, latency: float | None = 1.0, failed: bool = False) -> Evaluation:
    pairs = {"accuracy": accuracy, "latency_s@a": latency}
    figures = {name: Value.missing("lost") if value is None else Value(value) for name, value in pairs.items()}
    failure = Failure("crashed", "signal 11") if failed else None
    return Evaluation(number, f"net-{number}", 10 * number, 1, figures=figures, failure=failure)


def dominates(one: Points, other: Points) -> bool:
    return bool((one <= other).all() and (one < other).any())


grids = st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=12).map(
    lambda rows: np.array(rows, dtype=np.float64)
)


@given(grids)
def test_nondominated_and_ranks_are_what_the_definition_says(points: Points) -> None:
    mask = nondominated(points)
    assert mask.tolist() == [not any(dominates(other, point) for other in points) for point in points]
    assert ((ranks(points) == 0) == mask).all()


@given(grids, st.data())
def test_constrained_ranks_follow_debs_rule(points: Points, data: st.DataObject) -> None:
    pick = st.sampled_from([0.0, 0.0, 0.5, 2.0, math.inf])
    violations = np.array(data.draw(st.lists(pick, min_size=len(points), max_size=len(points))))
    rank = constrained_ranks(points, violations)
    for i in range(len(points)):
        for j in range(len(points)):
            both_feasible = violations[i] == violations[j] == 0
            if violations[i] < violations[j] or (both_feasible and dominates(points[i], points[j])):
                assert rank[i] < rank[j]


def test_nothing_has_no_front() -> None:
    assert len(nondominated(np.empty((0, 2)))) == len(ranks(np.empty((0, 2)))) == 0
    assert front([], OBJECTIVES) == []
    assert hypervolume(np.empty((0, 2)), UNIT) == 0
    assert hypervolume_series([], OBJECTIVES) == []


def test_failed_incomplete_and_infeasible_candidates_are_on_no_front() -> None:
    best = candidate(9, 0.9, 0.5)
    others = [candidate(1, 1.0, 0.1, failed=True), candidate(2, 1.0, None), candidate(3, 1.0, 0.1), candidate(4, 0.8)]
    assert costs(best, OBJECTIVES) == (-0.9, 0.5)
    assert costs(others[0], OBJECTIVES) is costs(others[1], OBJECTIVES) is None
    assert front([*others, best], OBJECTIVES, [Constraint.parse("macs >= 40")]) == [best]


def test_equal_candidates_share_the_front() -> None:
    assert len(front([candidate(1, 0.9), candidate(2, 0.9)], OBJECTIVES)) == 2


def test_hypervolume_by_hand() -> None:
    whole = REFERENCE**2
    assert hypervolume(np.array([[0.0, 0.0]]), UNIT) == pytest.approx(1.0)
    assert hypervolume(np.array([[0.1, 0.6], [0.6, 0.1]]), UNIT) == pytest.approx((2 * 1.0 * 0.5 - 0.25) / whole)
    assert hypervolume(np.array([[2.0, 0.0]]), UNIT) == 0
    assert hypervolume(np.array([[-5.0, -5.0]]), UNIT) == pytest.approx(1.0)


def test_a_scale_spans_the_front_and_copes_with_flat_ones() -> None:
    points = np.array([[0.0, 3.0], [2.0, 1.0], [5.0, 5.0]])
    assert Scale.of(points) == Scale((0.0, 1.0), (2.0, 3.0))
    assert Scale.of(np.array([[1.0, 1.0], [3.0, 4.0]])) == Scale((1.0, 1.0), (3.0, 4.0))
    assert Scale.of(np.array([[1.0, 1.0]])) == Scale((1.0, 1.0), (2.0, 2.0))


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20), st.integers(0, 4)), min_size=1, max_size=20))
def test_the_series_never_falls_and_failures_add_nothing(rows: list[tuple[int, int, int]]) -> None:
    told = [candidate(n, a / 20, float(b), failed=c == 0) for n, (a, b, c) in enumerate(rows)]
    series = hypervolume_series(told, OBJECTIVES)
    assert len(series) == len(told)
    for before, after, evaluation in zip([0.0, *series], series, told, strict=False):
        assert after >= before - 1e-12
        if evaluation.failure:
            assert after == before
    alive = [costs(evaluation, OBJECTIVES) for evaluation in told if not evaluation.failure]
    if alive:
        points = np.array(alive)
        assert series[-1] == pytest.approx(hypervolume(points, Scale.of(points)))
