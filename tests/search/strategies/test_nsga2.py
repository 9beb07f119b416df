"""NSGA-II: the contract, its parts by hand, and what the paper promises: a better front than random search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from benchmarks._stats import mean_interval
from benchmarks._yardstick import Problem
from search.errors import StrategyError
from search.objectives import Constraint
from search.strategies import Nsga2, RandomSearch, Strategy
from search.strategies.nsga2 import crowding_distance
from tests.search.strategies.contract import StrategyContract
from tests.search.strategies.nb201 import shares
from tests.search.strategies.problems import OBJECTIVES, DigitSpace


class TestNsga2(StrategyContract):
    def make(self, space: Any, constraints: Sequence[Constraint] = (), seed: int = 0) -> Strategy:
        return Nsga2(space, OBJECTIVES, constraints, seed)


def test_the_crowding_distance_is_that_of_the_paper() -> None:
    points = np.array([[0.0, 4.0], [1.0, 2.0], [4.0, 0.0], [2.0, 1.0]])
    assert crowding_distance(points).tolist() == [np.inf, 2 / 4 + 3 / 4, np.inf, 3 / 4 + 2 / 4]


def test_one_point_and_flat_objectives_have_a_crowding_distance() -> None:
    assert crowding_distance(np.array([[1.0, 2.0]])).tolist() == [np.inf]
    assert crowding_distance(np.ones((3, 2))).tolist() == [np.inf, 0.0, np.inf]


def test_failed_and_incomplete_candidates_are_never_bred() -> None:
    space = DigitSpace()
    strategy = Nsga2(space, OBJECTIVES, seed=1, population=10)
    first = strategy.ask(10)
    strategy.tell([space.evaluate(n, a) if n < 2 else space.failed(n, a) for n, a in enumerate(first)])
    # Each digit of a child of two parents is one of theirs, but for the one that was mutated.
    alphabet = [{parent.text[place] for parent in first[:2]} for place in range(space.length)]
    for child in strategy.ask(8):
        assert sum(digit not in known for digit, known in zip(child.text, alphabet, strict=True)) <= 1


def test_a_population_of_one_is_refused() -> None:
    with pytest.raises(StrategyError, match="cannot breed"):
        Nsga2(DigitSpace(), OBJECTIVES, population=1)


def test_beats_random_search_on_recorded_hardware(pixel_and_fpga: Problem) -> None:
    """Hypervolume after 300 queries, batches of 20, ten paired seeds (0-9), on (error, Pixel 3, FPGA)."""
    gains = [
        shares(pixel_and_fpga, Nsga2, 300, seed)[-1] - shares(pixel_and_fpga, RandomSearch, 300, seed)[-1]
        for seed in range(10)
    ]
    assert mean_interval(gains)[0] > 0
