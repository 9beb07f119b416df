"""When a search ends, and what it says."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.evaluations import Evaluation, Failure
from search.objectives import Constraint, Objective
from search.stopping import Plateau, Progress, StopError, StopRules
from search.values import Value

OBJECTIVES = (Objective.parse("accuracy"), Objective.parse("latency_s@pi4"))
Places = list[tuple[float, float] | None]


def told(places: Places, scale: float = 1.0, **spent: Any) -> Progress:
    """Candidates by (accuracy, latency); None failed."""
    made = []
    for number, place in enumerate(places):
        if place is None:
            made.append(Evaluation(number, f"{number}", 1, 1, failure=Failure("crashed", "signal 11")))
        else:
            figures = {"accuracy": Value(place[0]), "latency_s@pi4": Value(scale * place[1])}
            made.append(Evaluation(number, f"{number}", 1, 1, figures=figures))
    return Progress(made, OBJECTIVES, **spent)


def test_each_bound_says_why_it_ended_the_search() -> None:
    spent = told([(0.5, 1.0)] * 300, device_s=3601.4, energy_j=512.3)
    assert StopRules(queries=300).check(spent) == "300 queries were made, of 300 allowed"
    assert StopRules(device_s=3600).check(spent) == "devices worked for 3,601 s, of 3,600 s allowed"
    assert StopRules(energy_j=500).check(spent) == "devices used 512.3 J, of 500 J allowed"
    plateau = StopRules(plateau=Plateau(60, 0.002)).check(spent)
    assert plateau == "the last 60 queries raised the hypervolume by 0, not by more than 0.002"


def test_below_all_bounds_it_goes_on() -> None:
    spent = told([(0.5, 1.0)] * 60, device_s=3599.0, energy_j=499.0)
    assert StopRules(queries=61, device_s=3600, energy_j=500, plateau=Plateau(60, 0.002)).check(spent) is None
    assert StopRules().check(spent) is None


def test_of_several_the_first_that_holds_speaks() -> None:
    rules = StopRules(queries=10, energy_j=5, plateau=Plateau(2, 0.0))
    assert "J" in str(rules.check(told([(0.1, 1.0), (0.2, 1.0)], energy_j=6)))
    assert "queries were made" in str(rules.check(told([(0.1, 1.0)] * 10, energy_j=6)))


def test_failures_are_queries_that_gain_nothing() -> None:
    rules = StopRules(plateau=Plateau(3, 0.0))
    assert rules.check(told([(0.5, 1.0), None, None])) is None
    assert rules.check(told([(0.5, 1.0), None, None, None])) is not None


def test_nothing_found_is_no_plateau() -> None:
    assert StopRules(plateau=Plateau(3, 0.5)).check(told([None] * 40)) is None


def test_what_breaks_a_constraint_gains_nothing() -> None:
    free = told([(0.5, 1.0), (0.6, 0.9)])
    bounded = Progress(free.evaluations, OBJECTIVES, (Constraint.parse("accuracy <= 0.55"),))
    rules = StopRules(plateau=Plateau(1, 0.01))
    assert rules.check(free) is None
    assert rules.check(bounded) is not None


def test_the_gain_is_that_of_the_box_of_the_front_there_is_now() -> None:
    # On the scale of (0.9, 1) to (0.8, 0): the newcomer at (0.85, 0.5) adds a quarter of the unit square, of 1.1².
    progress = told([(0.9, 1.0), (0.8, 0.0), (0.85, 0.5)])
    assert Plateau(1, 0.0).gained(progress) == pytest.approx(0.25 / 1.21)


def test_with_one_objective_the_gain_is_a_share_of_what_was_seen() -> None:
    told_so_far = told([(0.5, 1.0), (0.5, 3.0), (0.5, 0.9)])
    progress = Progress(told_so_far.evaluations, OBJECTIVES[1:])
    assert Plateau(1, 0.0).gained(progress) == pytest.approx(0.1 / 2.1 / 1.1)


def test_a_front_of_one_point_that_beats_all_others_is_a_gain() -> None:
    assert Plateau(1, 0.0).gained(told([(0.5, 1.0), (0.6, 0.5)])) == pytest.approx(1 - 0.01 / 1.21)


@st.composite
def searches(draw: st.DrawFn) -> Places:
    place = st.tuples(st.integers(0, 20).map(lambda a: a / 20), st.integers(1, 20).map(float))
    return draw(st.lists(st.one_of(st.none(), place), min_size=1, max_size=30))


@given(searches(), st.integers(1, 10), st.sampled_from([1e-9, 1e-3, 1e6]))
def test_units_make_no_difference(places: Places, queries: int, scale: float) -> None:
    one, other = (Plateau(queries, 0.0).gained(told(places, unit)) for unit in (1.0, scale))
    assert one == (None if other is None else pytest.approx(other, abs=1e-9))


@given(searches(), st.integers(1, 10))
def test_a_gain_is_a_share_and_none_only_without_a_new_member_of_the_front(places: Places, queries: int) -> None:
    gained = Plateau(queries, 0.0).gained(told(places))
    if gained is not None:
        assert -1e-12 <= gained <= 1
        known = [place for place in places[:-queries] if place]
        better = any(
            place and not any(old[0] >= place[0] and old[1] <= place[1] for old in known) for place in places[-queries:]
        )
        assert (gained > 1e-12) == better


@given(searches(), st.integers(1, 10))
def test_a_larger_gain_asked_for_never_stops_later(places: Places, queries: int) -> None:
    little, much = (StopRules(plateau=Plateau(queries, gain)).check(told(places)) for gain in (0.001, 0.1))
    assert little is None or much is not None


@pytest.mark.parametrize("wrong", [{"queries": 0}, {"device_s": -1.0}, {"energy_j": math.nan}, {"device_s": math.inf}])
def test_a_bound_of_nonsense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(StopError, match=next(iter(wrong))) as caught:
        StopRules(**wrong)
    assert caught.value.remedy


@pytest.mark.parametrize(("queries", "gain"), [(0, 0.1), (5, 1.0), (5, -0.1), (5, math.nan)])
def test_a_plateau_of_nonsense_is_refused(queries: int, gain: float) -> None:
    with pytest.raises(StopError, match="plateau"):
        Plateau(queries, gain)
