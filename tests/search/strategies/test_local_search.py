"""Local search: the contract, its steps by hand, and what White et al. found: a strong baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from benchmarks._stats import mean_interval
from benchmarks._yardstick import Problem
from search.errors import StrategyError
from search.objectives import Constraint, Objective
from search.strategies import Nsga2, RandomSearch, Strategy
from search.strategies.local_search import LocalSearch
from tests.search.strategies.contract import StrategyContract
from tests.search.strategies.nb201 import shares
from tests.search.strategies.problems import OBJECTIVES, DigitSpace


class TestLocalSearch(StrategyContract):
    def make(self, space: Any, constraints: Sequence[Constraint] = (), seed: int = 0) -> Strategy:
        return LocalSearch(space, OBJECTIVES, constraints, seed)


class TestHillClimbing(StrategyContract):
    def make(self, space: Any, constraints: Sequence[Constraint] = (), seed: int = 0) -> Strategy:
        return LocalSearch(space, OBJECTIVES[:1], constraints, seed)


def distance(one: str, other: str) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))


def test_neighbours_of_the_front_come_first_and_then_those_of_the_next_front() -> None:
    space: Any = DigitSpace()
    accuracy = Objective.parse("accuracy")
    strategy = LocalSearch(space, [accuracy], seed=2, initial=2)
    told = [space.evaluate(number, a) for number, a in enumerate(strategy.ask(2))]
    strategy.tell(told)
    best, other = sorted(told, key=lambda evaluation: -(evaluation.value("accuracy").value or 0.0))
    around = {a.text for a in space.everything() if distance(a.text, best.architecture) == 1}
    behind = {a.text for a in space.everything() if distance(a.text, other.architecture) == 1}
    assert {a.text for a in strategy.ask(18)} == around - {other.architecture}
    assert {a.text for a in strategy.ask(5)} <= behind


def test_it_climbs_to_the_best_of_a_space_without_local_optima() -> None:
    space: Any = DigitSpace()
    strategy = LocalSearch(space, OBJECTIVES[:1], seed=0, initial=1)
    for number in range(150):
        strategy.tell([space.evaluate(number, strategy.ask(1)[0])])
    assert "333333" in {evaluation.architecture for evaluation in strategy.evaluations}


@pytest.mark.parametrize("initial", [0, 2.5, True])
def test_an_impossible_beginning_is_refused(initial: Any) -> None:
    space: Any = DigitSpace()
    with pytest.raises(StrategyError, match="initial"):
        LocalSearch(space, OBJECTIVES, initial=initial)


def test_on_recorded_hardware_it_beats_random_search_and_matches_evolution(pixel_and_fpga: Problem) -> None:
    """White et al. 2021 on tables of recorded accuracy; here ten paired seeds, 200 queries, (error, Pixel 3, FPGA)."""
    found = {
        make: np.array([shares(pixel_and_fpga, make, 200, seed)[-1] for seed in range(10)])
        for make in (LocalSearch, RandomSearch, Nsga2)
    }
    assert mean_interval(found[LocalSearch] - found[RandomSearch])[0] > 0
    assert mean_interval(found[LocalSearch] - found[Nsga2])[1] > 0
